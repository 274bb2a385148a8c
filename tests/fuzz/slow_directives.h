/*
 * Cache-Control once more, slow and obvious: an element at a time, as a string, and what
 * it means by its name (RFC 9111 5.2, RFC 5861). Elements are those of a list whose
 * quotes are where they belong.
 */
#ifndef PSGATE_TESTS_FUZZ_SLOW_DIRECTIVES_H
#define PSGATE_TESTS_FUZZ_SLOW_DIRECTIVES_H

#include <strings.h>

#include "cache/directives.h"
#include "fuzz/slow_head.h"

/* An element taken apart. */
struct slow_directive {
    char name[64], value[256];
    bool has_value, is_sound;
};

static inline struct slow_directive slow_directive_read(struct span element)
{
    struct slow_directive read = {.is_sound = true};
    char text[512];
    const char *at = text;
    size_t len;

    element = span_trim(element);
    (void)snprintf(text, sizeof(text), "%.*s", (int)element.len, element.at);
    len = strspn(at, SLOW_TOKEN);
    (void)snprintf(read.name, sizeof(read.name), "%.*s", (int)len, at);
    at += len;
    if (*at == '=') {
        bool is_quoted = *++at == '"';

        at += is_quoted;
        len = is_quoted ? strcspn(at, "\"") : strspn(at, SLOW_TOKEN);
        (void)snprintf(read.value, sizeof(read.value), "%.*s", (int)len, at);
        at += len + is_quoted;
        read.has_value = true;
    }
    read.is_sound = *at == '\0';
    return read;
}

/* Its seconds: 0 when that is no number, FOREVER when it is too large. */
static inline int64_t slow_seconds(const struct slow_directive *read)
{
    size_t digits = strspn(read->value, "0123456789");
    unsigned long long value = strtoull(read->value, NULL, 10);

    if (!read->is_sound || digits == 0 || read->value[digits] != '\0')
        return 0;
    return value < (unsigned long long)CACHE_FOREVER_S ? (int64_t)value : CACHE_FOREVER_S;
}

static inline void slow_take(int64_t *field, int64_t value, bool larger)
{
    if (*field == CACHE_ABSENT || (larger ? value > *field : value < *field))
        *field = value;
}

static inline void slow_directive_add(const struct slow_directive *read,
                                      struct cache_directives *wanted)
{
    const char *name = read->name;
    bool qualifies = read->is_sound && read->value[0] != '\0';

    if (strcasecmp(name, "no-store") == 0)
        wanted->no_store = true;
    if (strcasecmp(name, "only-if-cached") == 0)
        wanted->only_if_cached = true;
    if (strcasecmp(name, "public") == 0)
        wanted->is_public = true;
    if (strcasecmp(name, "must-revalidate") == 0)
        wanted->must_revalidate = true;
    if (strcasecmp(name, "proxy-revalidate") == 0)
        wanted->proxy_revalidate = true;
    if (strcasecmp(name, "must-understand") == 0)
        wanted->must_understand = true;
    if (strcasecmp(name, "no-cache") == 0)
        *(qualifies ? &wanted->names_fields : &wanted->no_cache) = true;
    if (strcasecmp(name, "private") == 0)
        *(qualifies ? &wanted->names_fields : &wanted->is_private) = true;
    if (strcasecmp(name, "max-age") == 0)
        slow_take(&wanted->max_age, slow_seconds(read), false);
    if (strcasecmp(name, "s-maxage") == 0)
        slow_take(&wanted->s_maxage, slow_seconds(read), false);
    if (strcasecmp(name, "stale-while-revalidate") == 0)
        slow_take(&wanted->stale_while_revalidate, slow_seconds(read), false);
    if (strcasecmp(name, "stale-if-error") == 0)
        slow_take(&wanted->stale_if_error, slow_seconds(read), false);
    if (strcasecmp(name, "min-fresh") == 0)
        slow_take(&wanted->min_fresh, slow_seconds(read), true);
    if (strcasecmp(name, "max-stale") == 0)
        slow_take(&wanted->max_stale,
                  read->has_value ? slow_seconds(read) : CACHE_FOREVER_S, false);
}

#endif
