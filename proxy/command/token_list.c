#include "command/token_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/operations.h"
#include "base/clock.h"
#include "base/text.h"

enum { COLUMNS = 8 };

static const char *const titles[COLUMNS] = {
    "NAME", "EXPIRES", "CREDENTIAL", "TEAMS", "ALLOW", "DENY", "ADMIN", "CREATED",
};

struct row {
    struct text cells[COLUMNS];
};

static bool is_shown(const json_t *client, const char *name)
{
    const char *own = json_string_value(json_object_get(client, "name"));

    return name == NULL || (own != NULL && strcmp(own, name) == 0);
}

/* Whether the time has come; one that cannot be read is none, as check will say. */
static bool is_expired(const json_t *client)
{
    const char *text = json_string_value(json_object_get(client, "expires"));
    int64_t expires_ms;

    return text != NULL && clock_parse_utc(text, strlen(text), &expires_ms) &&
           clock_wall_ms() >= expires_ms;
}

static bool is_absent(const json_t *value)
{
    return value == NULL || json_is_null(value);
}

/* The table */

/* A string, or an array's strings with commas between; nothing for what is absent. */
static void add_value(struct text *cell, const json_t *value)
{
    if (json_is_string(value))
        text_add_escaped(cell, span_of(json_string_value(value)));
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *element = json_string_value(json_array_get(value, i));

        text_add(cell, i > 0 ? SPAN(",") : SPAN(""));
        text_add_escaped(cell, span_of(element != NULL ? element : "?"));
    }
}

static void add_cell(struct text *cell, const json_t *client, const char *key,
                     const char *otherwise, const char *when_empty)
{
    const json_t *value = json_object_get(client, key);

    if (is_absent(value))
        text_add(cell, span_of(otherwise));
    else
        add_value(cell, value);
    if (cell->len == 0)
        text_add(cell, span_of(when_empty));
}

static void fill_row(struct row *row, const json_t *client)
{
    struct text *cells = row->cells;

    add_cell(&cells[0], client, "name", "?", "?");
    add_cell(&cells[1], client, "expires", "never", "?");
    if (is_expired(client))
        text_add(&cells[1], SPAN(" (expired)"));
    add_cell(&cells[2], client, "credential", "default", "?");
    add_cell(&cells[3], client, "teams", "* (default)", "none");
    add_cell(&cells[4], client, "allow", "* (default)", "nothing");
    add_cell(&cells[5], client, "deny", "-", "-");
    text_add(&cells[6],
             json_is_true(json_object_get(client, "admin")) ? SPAN("yes") : SPAN("no"));
    add_cell(&cells[7], client, "created", "-", "-");
}

static const char *text_of(const struct text *cell)
{
    return cell->bytes != NULL ? cell->bytes : "";
}

static void print_row(const struct row *row, const int widths[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++)
        (void)printf("%-*s%s", i < COLUMNS - 1 ? widths[i] : 0, text_of(&row->cells[i]),
                     i < COLUMNS - 1 ? "  " : "\n");
}

static void print_rows(const struct row *rows, size_t count)
{
    int widths[COLUMNS];
    struct row head = {0};

    for (int i = 0; i < COLUMNS; i++) {
        text_add(&head.cells[i], span_of(titles[i]));
        widths[i] = (int)head.cells[i].len;
        for (size_t j = 0; j < count; j++) {
            if (rows[j].cells[i].len > (size_t)widths[i])
                widths[i] = (int)rows[j].cells[i].len;
        }
    }
    print_row(&head, widths);
    for (size_t j = 0; j < count; j++)
        print_row(&rows[j], widths);
    for (int i = 0; i < COLUMNS; i++)
        text_fini(&head.cells[i]);
}

/* What globs leave out; by the shipped table, as the clients file names no other. */
static void print_note(void)
{
    struct problems problems = {0};
    struct operation_table *table = operation_table_load(NULL, &problems);
    const char *comma = "";

    (void)fputs("\n\"*\" in ALLOW: every operation, and \"other\" ones, but not those "
                "that are named_only\n(shipped: ",
                stdout);
    for (size_t i = 0; table != NULL && i < table->count; i++) {
        if (!table->operations[i].is_named_only)
            continue;
        (void)printf("%s%s", comma, table->operations[i].id);
        comma = ", ";
    }
    (void)fputs("): only their ids allow them.\n", stdout);
    operation_table_free(table);
    problems_fini(&problems);
}

static void print_table(const json_t *clients, const char *name)
{
    size_t most = json_array_size(clients), count = 0;
    struct row *rows = calloc(most + 1, sizeof(*rows));

    for (size_t i = 0; rows != NULL && i < most; i++) {
        const json_t *client = json_array_get(clients, i);

        if (is_shown(client, name))
            fill_row(&rows[count++], client);
    }
    print_rows(rows, count);
    if (count > 0)
        print_note();
    for (size_t j = 0; j < count; j++) {
        for (int i = 0; i < COLUMNS; i++)
            text_fini(&rows[j].cells[i]);
    }
    free(rows);
}

/* JSON */

static void set_effective(json_t *into, const json_t *client, const char *key,
                          json_t *otherwise)
{
    json_t *value = json_object_get(client, key);

    if (is_absent(value)) {
        (void)json_object_set_new(into, key, otherwise);
    } else {
        (void)json_object_set(into, key, value);
        json_decref(otherwise);
    }
}

static json_t *describe(const json_t *client)
{
    json_t *into = json_object();

    set_effective(into, client, "name", json_null());
    set_effective(into, client, "created", json_null());
    set_effective(into, client, "expires", json_null());
    (void)json_object_set_new(into, "expired", json_boolean(is_expired(client)));
    set_effective(into, client, "credential", json_string("default"));
    set_effective(into, client, "allow", json_pack("[s]", "*"));
    (void)json_object_set_new(into, "allow_is_default",
                              json_boolean(is_absent(json_object_get(client, "allow"))));
    set_effective(into, client, "deny", json_array());
    set_effective(into, client, "teams", json_pack("[s]", "*"));
    set_effective(into, client, "admin", json_false());
    return into;
}

static void print_json(const json_t *clients, const char *name)
{
    json_t *list = json_array();

    for (size_t i = 0; i < json_array_size(clients); i++) {
        const json_t *client = json_array_get(clients, i);

        if (is_shown(client, name))
            (void)json_array_append_new(list, describe(client));
    }
    (void)json_dumpf(list, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    (void)putchar('\n');
    json_decref(list);
}

void token_list_print(const json_t *clients, const char *name, bool is_json)
{
    if (is_json)
        print_json(clients, name);
    else
        print_table(clients, name);
}
