/*
 * A worker's connections to the upstream: made, verified, lent to one call at a time,
 * kept while idle. The number is bounded over all workers; who finds none waits in line.
 */
#ifndef PSGATE_UPSTREAM_POOL_H
#define PSGATE_UPSTREAM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "http/head.h"
#include "net/deadline.h"
#include "net/stream.h"
#include "upstream/circuit.h"
#include "upstream/failure.h"
#include "upstream/target.h"

struct upstream_connection;
struct upstream_pool;

/* What the pool tells whoever leased or waits. */
struct upstream_lease_events {
    /* A verified connection is yours. It may be one that was idle: is_reused. */
    void (*on_leased)(void *owner, struct upstream_connection *connection);
    void (*on_refused)(void *owner, enum upstream_failure failure, const char *detail);
    /* While leased: the stream's events. */
    void (*on_readable)(void *owner);
    void (*on_drained)(void *owner);
    void (*on_broken)(void *owner);
};

/* Embedded in whoever wants a connection. */
struct upstream_lease {
    const struct upstream_lease_events *events;
    void *owner;
    bool needs_fresh; /* idle for less than a second, or new (RFC 9112 9.3.1) */
    bool needs_new;

    /* The pool's. */
    struct upstream_pool *pool;
    struct upstream_connection *connection; /* being made, or leased */
    struct upstream_lease *next, **link;    /* in the line, while waiting */
    struct deadline patience;
    char failure_text[256];
};

struct upstream_connection {
    struct stream stream;
    bool is_reused;        /* it has carried an exchange before */
    struct http_head head; /* room for the response heads that it brings, one at a time */

    /* The pool's. */
    struct upstream_pool *pool;
    struct upstream_lease *lease;             /* NULL iff idle or closed */
    struct upstream_connection *next, **link; /* in the idle list, newest first */
    struct addresses *addresses;              /* while connecting */
    struct resolver_waiter name_waiter;
    bool awaits_name; /* the waiter's letter is still to come */
    unsigned tried;   /* of them */
    int64_t give_up_ms, idle_since_ms;
    struct deadline deadline;
    bool is_idle, is_closed, has_slot;
    struct retired retired;
};

/* A pool for a worker; takes a reference of the target. NULL when memory is out. */
struct upstream_pool *upstream_pool_new(struct worker *worker,
                                        struct upstream_target *target);

/*
 * Closes what is idle, and each other connection when it comes back; frees the pool when
 * the last is gone.
 */
void upstream_pool_close(struct upstream_pool *pool);

struct upstream_target *upstream_pool_target(struct upstream_pool *pool);
struct worker *upstream_pool_worker(struct upstream_pool *pool);

/*
 * Wants a connection. on_leased or on_refused follows, perhaps before this returns. The
 * caller set events, owner and the needs.
 */
void upstream_pool_lease(struct upstream_pool *pool, struct upstream_lease *lease);

/* Gives the connection back: for the next call if it is sound, else to be closed. */
void upstream_pool_return(struct upstream_lease *lease, bool is_sound);

/* The leased connection turned out dead: closes it and gets the lease a new one. */
void upstream_pool_replace(struct upstream_lease *lease);

/* Gives up, in whatever state; a connection is closed. Does nothing on a lease that
 * ended. */
void upstream_pool_cancel(struct upstream_lease *lease);

/* The failure that a broken stream means for an exchange in progress, and words for it.
 */
enum upstream_failure upstream_stream_failure(const struct stream *stream);

#endif
