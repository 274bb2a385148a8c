/*
 * The upstream as all workers know it: where it is, how to trust it, how many connections
 * it may have. Reference-counted; outlives reloads that change none of that.
 */
#ifndef PSGATE_UPSTREAM_TARGET_H
#define PSGATE_UPSTREAM_TARGET_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/text.h"
#include "config/config.h"
#include "net/resolver.h"
#include "net/tls.h"

struct upstream_pool;

struct upstream_target {
    _Atomic unsigned references;
    struct text identity;   /* to see whether a reload changes anything */
    struct tls_client *tls; /* NULL: plain */
    struct resolver *resolver;
    int64_t connect_timeout_ms, response_timeout_ms, idle_timeout_ms, send_timeout_ms;
    uint32_t max_head_bytes;
    uint16_t max_fields;
    unsigned max_connections;

    _Atomic unsigned connections; /* of all workers */
    _Atomic unsigned idle;        /* of them, not lent to any call */
    _Atomic unsigned waiting;     /* calls of all workers that wait for one */
    _Atomic bool
        is_unreachable;   /* a worker's circuit has opened; none got through since */
    pthread_mutex_t lock; /* over pools */
    struct upstream_pool *pools; /* one a worker, to nudge */
};

/* Loads trust; asks nobody yet. Copies what it needs of the configuration. */
struct upstream_target *upstream_target_new(const struct config_upstream *upstream,
                                            const struct config_limits *limits,
                                            struct error *error) MUST_CHECK;

/* Whether a target of these settings, and of the CA file as it is now, is this one. */
bool upstream_target_is(const struct upstream_target *target,
                        const struct config_upstream *upstream,
                        const struct config_limits *limits);

/* Starts resolving the host's name, unless that was done. A pool does it by itself. */
void upstream_target_start(struct upstream_target *target);

struct upstream_target *upstream_target_ref(struct upstream_target *target);
void upstream_target_unref(struct upstream_target *target);

#endif
