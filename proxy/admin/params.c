#include "admin/params.h"

#include <string.h>

#include "http/target.h"

static void add_decoded(struct text *value, struct span raw)
{
    size_t before = value->len;

    if (!text_reserve(value, raw.len))
        return;
    text_add(value, raw);
    if (value->failed)
        return;
    for (size_t i = before; i < value->len; i++) {
        if (value->bytes[i] == '+')
            value->bytes[i] = ' ';
    }
    value->len = before + http_percent_decode(span_make(value->bytes + before, raw.len),
                                              value->bytes + before);
    value->bytes[value->len] = '\0';
}

bool params_find(struct span query, struct span name, struct text *value)
{
    while (query.len > 0) {
        const char *end = memchr(query.at, '&', query.len);
        size_t len = end != NULL ? (size_t)(end - query.at) : query.len;
        const char *equals = memchr(query.at, '=', len);

        if (equals != NULL &&
            span_equal(span_make(query.at, (size_t)(equals - query.at)), name) &&
            equals + 1 < query.at + len) {
            add_decoded(value,
                        span_make(equals + 1, len - (size_t)(equals + 1 - query.at)));
            return !value->failed;
        }
        if (end == NULL)
            break;
        query = span_make(end + 1, query.len - len - 1);
    }
    return false;
}
