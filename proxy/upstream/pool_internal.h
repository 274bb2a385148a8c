/* What the pool's two files share: pool.c keeps the lists, connect.c makes connections.
 */
#ifndef PSGATE_UPSTREAM_POOL_INTERNAL_H
#define PSGATE_UPSTREAM_POOL_INTERNAL_H

#include "upstream/pool.h"

struct upstream_pool {
    struct worker *worker;
    struct upstream_target *target;
    struct upstream_connection *idle; /* newest first */
    struct upstream_lease *line, **line_end;
    unsigned connections; /* of this pool, idle or not */
    unsigned leases;      /* connecting, leased or waiting */
    struct circuit circuit;
    enum upstream_failure last_failure; /* why the circuit opened */
    int64_t quiet_until_ms;             /* until then no lack of descriptors is said */
    char last_failure_text[256];
    bool is_closing;

    struct upstream_pool *next; /* in the target's list, under its lock */
    struct letter nudge;        /* "look again": slots or waiters have changed */
    atomic_bool nudge_sent;
    struct retired retired;
};

/* Starts making a connection for the lease; the slot was counted by the caller. */
void upstream_connect(struct upstream_pool *pool, struct upstream_lease *lease);

/* The end of a connection, whatever its state; its slot is free afterwards. */
void upstream_connection_close(struct upstream_connection *connection);

/* The lease ends without a connection. */
void upstream_lease_refuse(struct upstream_lease *lease, enum upstream_failure failure,
                           const char *detail);

/* A connection was made for the lease: it is told. */
void upstream_lease_grant(struct upstream_lease *lease,
                          struct upstream_connection *connection);

#endif
