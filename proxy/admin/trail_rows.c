#include "admin/trail_rows.h"

#include <stdlib.h>
#include <string.h>

#include "audit/line.h"
#include "base/json_text.h"

void trail_rows_init(struct trail_rows *rows, const struct trail_query *query)
{
    *rows = (struct trail_rows){.query = query};
}

/* A member of the later record, or else of the first; borrowed. */
static json_t *pick(json_t *first, json_t *later, const char *key)
{
    json_t *value = later != NULL ? json_object_get(later, key) : NULL;

    return value != NULL ? value : json_object_get(first, key);
}

static void put(json_t *row, const char *name, json_t *value)
{
    (void)json_object_set_new(row, name,
                              value != NULL ? json_incref(value) : json_null());
}

static void put_resource(json_t *row, json_t *first)
{
    json_t *type = json_object_get(first, "proxy.resource.type");
    json_t *name = json_object_get(first, "proxy.resource.name");
    json_t *resource;

    if (type == NULL && name == NULL) {
        put(row, "resource", NULL);
        return;
    }
    resource = json_object();
    put(resource, "type", type);
    put(resource, "name", name);
    (void)json_object_set_new(row, "resource", resource);
}

/* The trail counts nanoseconds (ECS); people read seconds. */
static void put_duration(json_t *row, json_t *first, json_t *later)
{
    json_t *duration = pick(first, later, "event.duration");

    (void)json_object_set_new(row, "duration",
                              json_is_number(duration)
                                  ? json_real(json_number_value(duration) / 1e9)
                                  : json_null());
}

static json_t *make_row(json_t *first, json_t *later, enum search_outcome outcome)
{
    static const char *const members[][2] = {
        {"id", "event.id"},
        {"sequence", "event.sequence"},
        {"time", "@timestamp"},
        {"operation", "event.action"},
        {"client", "user.name"},
        {"source", "source.ip"},
        {"team", "organization.id"},
        {"user_target", "user.target.id"},
        {"method", "http.request.method"},
        {"route", "proxy.route"},
    };
    json_t *row = json_object(), *records = json_array();

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        put(row, members[i][0], json_object_get(first, members[i][1]));
    put(row, "last_sequence", pick(first, later, "event.sequence"));
    put(row, "status", pick(first, later, "http.response.status_code"));
    put(row, "reason", pick(first, later, "event.reason"));
    put_resource(row, first);
    put_duration(row, first, later);
    (void)json_object_set_new(row, "outcome",
                              json_string(outcome == SEARCH_UNFINISHED
                                              ? "open"
                                              : search_outcome_name(outcome)));
    (void)json_array_append(records, first);
    if (later != NULL)
        (void)json_array_append(records, later);
    (void)json_object_set_new(row, "records", records);
    return row;
}

/* 0 for a line that is none of the chain's. */
static uint64_t sequence_of(struct span line)
{
    struct audit_line cut;
    struct error ignored;

    return audit_line_cut(line, &cut, &ignored) ? cut.sequence : 0;
}

static void keep(struct trail_rows *rows, const struct search_row *row)
{
    struct trail_row *place = &rows->kept[rows->next];
    char *lines = malloc(row->line.len + row->result.len);

    if (lines == NULL) {
        rows->has_failed = true;
        return;
    }
    if (rows->count == rows->query->limit) {
        free(place->lines);
        rows->has_more = true;
    } else {
        rows->count++;
    }
    memcpy(lines, row->line.at, row->line.len);
    if (row->result.len > 0)
        memcpy(lines + row->line.len, row->result.at, row->result.len);
    *place = (struct trail_row){lines, row->line.len, row->result.len, row->outcome};
    rows->next = (rows->next + 1) % rows->query->limit;
    /* cppcheck-suppress memleak ; *place has the lines */
}

void trail_rows_add(void *context, const struct search_row *row)
{
    struct trail_rows *rows = context;
    uint64_t first = sequence_of(row->line);
    uint64_t last = row->result.len > 0 ? sequence_of(row->result) : first;

    if (first >= rows->query->before || last <= rows->query->after)
        return;
    if (row->result.len == 0 && row->outcome != SEARCH_REFUSED &&
        row->outcome != SEARCH_UNFINISHED)
        rows->has_lone = true;
    keep(rows, row);
}

void trail_rows_fini(struct trail_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free(rows->kept[i].lines); /* a ring that is not full begins at 0 */
    rows->count = 0;
}

/* A line that is no JSON was never given as a row; what fails here is memory. */
static json_t *row_of(const struct trail_row *kept)
{
    json_t *first = json_text_read(span_make(kept->lines, kept->len), 0, NULL);
    json_t *later =
        kept->result_len > 0
            ? json_text_read(span_make(kept->lines + kept->len, kept->result_len), 0,
                             NULL)
            : NULL;
    json_t *row = NULL;

    if (first != NULL && (kept->result_len == 0 || later != NULL))
        row = make_row(first, later, kept->outcome);
    json_decref(first);
    json_decref(later);
    return row;
}

json_t *trail_rows_list(const struct trail_rows *rows)
{
    json_t *list = json_array();

    for (size_t i = 0; i < rows->count; i++) {
        size_t at = (rows->next + rows->query->limit - 1 - i) % rows->query->limit;

        if (json_array_append_new(list, row_of(&rows->kept[at])) != 0)
            break;
    }
    if (!rows->has_failed && json_array_size(list) == rows->count)
        return list;
    json_decref(list);
    return NULL;
}
