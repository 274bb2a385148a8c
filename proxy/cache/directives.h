/* Cache-Control (RFC 9111 5.2, RFC 5861), of requests and responses. Pure. */
#ifndef PSGATE_CACHE_DIRECTIVES_H
#define PSGATE_CACHE_DIRECTIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "http/head.h"

enum { CACHE_ABSENT = -1 };

/* The most that a delta-seconds can mean (RFC 9111 1.2.2). */
#define CACHE_FOREVER_S ((int64_t)2147483648)

struct cache_directives {
    bool is_present; /* there was a Cache-Control field at all */
    bool no_store, no_cache, only_if_cached;
    bool is_private, is_public, must_revalidate, proxy_revalidate, must_understand;
    bool names_fields; /* no-cache or private with field names: see cache_names_field */
    /* Seconds, or CACHE_ABSENT. One that cannot be read counts as 0: as stale. */
    int64_t max_age, s_maxage, min_fresh;
    int64_t max_stale; /* CACHE_FOREVER_S when given without a value */
    int64_t stale_while_revalidate, stale_if_error;
};

/* No directive at all. */
void cache_directives_clear(struct cache_directives *directives);

/*
 * Reads all Cache-Control fields of a head as one list. Of a directive given twice the
 * stricter counts. A request without the field but with Pragma: no-cache means no-cache
 * (RFC 9111 5.4).
 */
void cache_directives_read(const struct http_head *head,
                           struct cache_directives *directives);

/*
 * Whether no-cache="..." or private="..." names this field: it must not be kept (RFC 9111
 * 5.2.2.4, 5.2.2.7).
 */
bool cache_names_field(const struct http_head *head, struct span name);

#endif
