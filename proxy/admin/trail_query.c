#include "admin/trail_query.h"

#include <string.h>

#include "admin/params.h"
#include "audit/when.h"

static bool read_time(struct span params, struct span name, int64_t now_ms, int64_t *ms,
                      struct error *error)
{
    struct text value = {0};
    bool is_good = true;

    if (params_find(params, name, &value) && !audit_when_parse(value.bytes, now_ms, ms))
        is_good = error_set(error,
                            "%.*s takes a time such as 24h, 2026-11-23 or "
                            "2026-11-23T17:00:00Z",
                            (int)name.len, name.at);
    text_fini(&value);
    return is_good;
}

static bool read_number(struct span params, struct span name, uint64_t most,
                        uint64_t *number, struct error *error)
{
    struct text value = {0};
    bool is_good = true;

    if (params_find(params, name, &value) &&
        !span_to_number(span_make(value.bytes, value.len), most, number))
        is_good = error_set(error, "%.*s takes a whole number, at most %llu",
                            (int)name.len, name.at, (unsigned long long)most);
    text_fini(&value);
    return is_good;
}

static bool read_outcome(struct span params, unsigned *outcomes, struct error *error)
{
    struct text value = {0};
    unsigned set = 0;
    bool is_good = true;

    if (params_find(params, SPAN("outcome"), &value)) {
        if (strcmp(value.bytes, "open") == 0)
            set = 1u << SEARCH_UNFINISHED;
        else
            is_good = search_add_outcome(span_make(value.bytes, value.len), &set) ||
                      error_set(error, "outcome takes success, failure, unknown, "
                                       "refused or open");
        *outcomes = set;
    }
    text_fini(&value);
    return is_good;
}

/* A text without a '*' is looked for anywhere in the name. */
static bool read_resource(struct span params, struct text *resource)
{
    struct text value = {0};
    bool is_there = params_find(params, SPAN("resource"), &value);

    if (is_there) {
        bool is_glob = strchr(value.bytes, '*') != NULL;

        text_add_format(resource, is_glob ? "%s" : "*%s*", value.bytes);
    }
    text_fini(&value);
    return is_there;
}

bool trail_query_read(struct span params, int64_t now_ms, struct trail_query *query,
                      struct error *error)
{
    struct search_filter *filter = &query->filter;
    uint64_t limit = TRAIL_QUERY_DEFAULT;

    *query = (struct trail_query){.before = UINT64_MAX};
    search_filter_init(filter);
    if (!read_time(params, SPAN("from"), now_ms, &filter->since_ms, error) ||
        !read_time(params, SPAN("to"), now_ms, &filter->until_ms, error) ||
        !read_outcome(params, &filter->outcomes, error) ||
        !read_number(params, SPAN("limit"), TRAIL_QUERY_MOST, &limit, error) ||
        !read_number(params, SPAN("before"), INT64_MAX, &query->before, error) ||
        !read_number(params, SPAN("after"), INT64_MAX, &query->after, error))
        return false;
    query->limit = limit > 0 ? (unsigned)limit : 1;
    query->is_following = query->after > 0;
    if (params_find(params, SPAN("operation"), &query->operation))
        filter->action = query->operation.bytes;
    if (params_find(params, SPAN("client"), &query->client))
        filter->user = query->client.bytes;
    if (read_resource(params, &query->resource))
        filter->resource = query->resource.bytes;
    if (query->operation.failed || query->client.failed || query->resource.failed)
        return error_set(error, "out of memory");
    return true;
}

void trail_query_fini(struct trail_query *query)
{
    text_fini(&query->operation);
    text_fini(&query->client);
    text_fini(&query->resource);
}
