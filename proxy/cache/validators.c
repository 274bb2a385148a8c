#include "cache/validators.h"

#include "http/date.h"

/* The field if there is just one: two dates are none (RFC 9110 13.1.3). */
static const struct http_field *find_single(const struct http_head *head,
                                            enum http_field_id id)
{
    unsigned count;
    const struct http_field *field = http_head_find(head, id, &count);

    return count == 1 ? field : NULL;
}

static struct span without_weakness(struct span tag)
{
    return span_starts_with(tag, SPAN("W/")) ? span_make(tag.at + 2, tag.len - 2) : tag;
}

/* Takes one entity-tag off a list; quotes may hold commas (RFC 9110 8.8.3). */
static bool next_tag(struct span *list, struct span *tag)
{
    size_t len = 0;

    while (list->len > 0 &&
           (list->at[0] == ',' || list->at[0] == ' ' || list->at[0] == '\t')) {
        list->at++;
        list->len--;
    }
    if (list->len == 0)
        return false;
    if (span_starts_with(*list, SPAN("W/")))
        len = 2;
    if (len < list->len && list->at[len] == '"') {
        for (len++; len < list->len && list->at[len] != '"'; len++)
            continue;
        len += len < list->len;
    } else {
        while (len < list->len && list->at[len] != ',')
            len++;
    }
    *tag = span_trim(span_make(list->at, len));
    list->at += len;
    list->len -= len;
    return true;
}

bool cache_tags_match(struct span one, struct span other)
{
    return span_equal(without_weakness(one), without_weakness(other));
}

/* "*" matches whatever is stored. */
static bool tags_match(const struct http_head *request, struct span etag)
{
    for (unsigned i = 0; i < request->field_count; i++) {
        struct span list = http_field_value(request, &request->fields[i]);
        struct span tag;

        if (request->fields[i].id != HTTP_FIELD_IF_NONE_MATCH)
            continue;
        while (next_tag(&list, &tag)) {
            if (span_equal(tag, SPAN("*")) ||
                (etag.len > 0 && cache_tags_match(tag, etag)))
                return true;
        }
    }
    return false;
}

bool cache_client_has_it(const struct http_head *request, struct span etag,
                         struct span last_modified, int64_t now_wall_ms)
{
    const struct http_field *since = find_single(request, HTTP_FIELD_IF_MODIFIED_SINCE);
    int64_t since_ms, modified_ms;

    if (http_head_has(request, HTTP_FIELD_IF_NONE_MATCH))
        return tags_match(request, etag);
    return since != NULL && last_modified.len > 0 &&
           http_date_parse(http_field_value(request, since), now_wall_ms, &since_ms) &&
           http_date_parse(last_modified, now_wall_ms, &modified_ms) &&
           modified_ms <= since_ms;
}

bool cache_has_own_condition(const struct http_head *request)
{
    return http_head_has(request, HTTP_FIELD_IF_NONE_MATCH) ||
           http_head_has(request, HTTP_FIELD_IF_MODIFIED_SINCE);
}

bool cache_has_foreign_condition(const struct http_head *request)
{
    return http_head_has(request, HTTP_FIELD_IF_MATCH) ||
           http_head_has(request, HTTP_FIELD_IF_UNMODIFIED_SINCE) ||
           http_head_has(request, HTTP_FIELD_IF_RANGE);
}

bool cache_is_condition(struct span name)
{
    return span_equal_nocase(name, SPAN("if-none-match")) ||
           span_equal_nocase(name, SPAN("if-modified-since"));
}
