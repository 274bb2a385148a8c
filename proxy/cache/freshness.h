/*
 * May it be kept, how long is it fresh, may it be used: RFC 9111 for a shared cache, and
 * the operator's rule. Pure functions; time is an argument, in milliseconds.
 */
#ifndef PSGATE_CACHE_FRESHNESS_H
#define PSGATE_CACHE_FRESHNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "api/operations.h"
#include "cache/directives.h"
#include "http/head.h"

/* What an answer allows, worked out once when it is stored. */
struct cache_policy {
    int64_t initial_age_ms; /* when it arrived: RFC 9111 4.2.3 corrected_initial_age */
    int64_t lifetime_ms;    /* freshness lifetime */
    int64_t stale_while_revalidate_ms, stale_if_error_ms; /* behind the lifetime */
    bool must_validate; /* no-cache: never without asking */
    bool never_stale;   /* must-revalidate and what means the same for a shared cache */
    bool has_validator;
};

/* When a request went out and its answer's head came, on the wall clock. */
struct cache_times {
    int64_t sent_wall_ms, received_wall_ms;
};

/*
 * Whether the answer to a GET may be stored by its head (RFC 9111 3), and the policy if
 * so. Mode fixed: 200 without Set-Cookie, for the rule's ttl. The caller checks what a
 * head does not show: completeness, size, the body.
 */
bool cache_may_store(const struct operation_cache *rule,
                     const struct cache_directives *request,
                     const struct http_head *answer, const struct cache_times *times,
                     struct cache_policy *policy);

enum cache_use {
    CACHE_USE_NOW,            /* fresh, or as stale as the client allows */
    CACHE_USE_AND_REVALIDATE, /* stale, within stale-while-revalidate */
    CACHE_USE_AFTER_ASKING,   /* upstream must be asked first */
};

/* May a stored answer of this age serve the request (RFC 9111 4)? */
enum cache_use cache_judge_use(const struct cache_policy *policy, int64_t age_ms,
                               const struct cache_directives *request);

/* Whether an answer's status is the kind of error that stale-if-error is for (RFC 5861
 * 4). */
bool cache_is_server_failure(unsigned status);

/* May it serve because upstream fails or is slow (RFC 5861 4)? */
bool cache_may_serve_on_error(const struct cache_policy *policy, int64_t age_ms,
                              const struct cache_directives *request);

#endif
