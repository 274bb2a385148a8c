#include "upstream/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "upstream/pool_internal.h"

enum { FRESH_MS = 1000 };

static void serve_line(struct upstream_pool *pool);
static void free_if_over(struct upstream_pool *pool);

/* Telling the other workers */

static void on_nudge(struct letter *letter)
{
    struct upstream_pool *pool =
        (struct upstream_pool *)(void *)((char *)letter -
                                         offsetof(struct upstream_pool, nudge));

    atomic_store(&pool->nudge_sent, false);
    serve_line(pool);
    if (pool->idle != NULL && atomic_load(&pool->target->waiting) > 0)
        upstream_connection_close(pool->idle);
    free_if_over(pool);
}

/* Slots or waiters have changed: every pool of the target looks again. */
static void nudge_all(struct upstream_target *target)
{
    (void)pthread_mutex_lock(&target->lock);
    for (struct upstream_pool *pool = target->pools; pool != NULL; pool = pool->next) {
        if (!atomic_exchange(&pool->nudge_sent, true))
            mailbox_send(pool->worker->mailbox, &pool->nudge);
    }
    (void)pthread_mutex_unlock(&target->lock);
}

/* Life of the pool */

struct upstream_pool *upstream_pool_new(struct worker *worker,
                                        struct upstream_target *target)
{
    struct upstream_pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    pool->worker = worker;
    pool->target = upstream_target_ref(target);
    pool->line_end = &pool->line;
    pool->nudge.open = on_nudge;
    upstream_target_start(target);
    (void)pthread_mutex_lock(&target->lock);
    pool->next = target->pools;
    target->pools = pool;
    (void)pthread_mutex_unlock(&target->lock);
    return pool;
}

static void free_pool(struct retired *retired)
{
    struct upstream_pool *pool =
        (struct upstream_pool *)(void *)((char *)retired -
                                         offsetof(struct upstream_pool, retired));

    upstream_target_unref(pool->target);
    free(pool);
}

/* After this nobody can nudge us; a nudge that is under way comes back to here. */
static void leave_target(struct upstream_pool *pool)
{
    struct upstream_target *target = pool->target;
    struct upstream_pool **link = &target->pools;

    (void)pthread_mutex_lock(&target->lock);
    while (*link != NULL && *link != pool)
        link = &(*link)->next;
    if (*link == pool)
        *link = pool->next;
    (void)pthread_mutex_unlock(&target->lock);
}

static void free_if_over(struct upstream_pool *pool)
{
    if (!pool->is_closing || pool->connections > 0 || pool->leases > 0)
        return;
    leave_target(pool);
    if (atomic_load(&pool->nudge_sent) || pool->retired.free != NULL)
        return;
    worker_retire(pool->worker, &pool->retired, free_pool);
}

void upstream_pool_close(struct upstream_pool *pool)
{
    if (pool == NULL)
        return;
    pool->is_closing = true;
    while (pool->idle != NULL)
        upstream_connection_close(pool->idle);
    free_if_over(pool);
}

struct upstream_target *upstream_pool_target(struct upstream_pool *pool)
{
    return pool->target;
}

struct worker *upstream_pool_worker(struct upstream_pool *pool)
{
    return pool->worker;
}

/* Idle connections */

static void leave_idle(struct upstream_connection *connection)
{
    if (!connection->is_idle)
        return;
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    connection->is_idle = false;
    (void)atomic_fetch_sub(&connection->pool->target->idle, 1);
    deadline_lift(&connection->deadline);
}

static void become_idle(struct upstream_pool *pool,
                        struct upstream_connection *connection)
{
    connection->lease = NULL;
    connection->is_idle = true;
    (void)atomic_fetch_add(&pool->target->idle, 1);
    connection->is_reused = true;
    connection->idle_since_ms = clock_monotonic_ms();
    connection->next = pool->idle;
    connection->link = &pool->idle;
    if (pool->idle != NULL)
        pool->idle->link = &connection->next;
    pool->idle = connection;
    deadline_set(&connection->deadline, pool->target->idle_timeout_ms);
}

/* The newest idle connection, if it will do for the lease. */
static struct upstream_connection *take_idle(struct upstream_pool *pool,
                                             const struct upstream_lease *lease)
{
    struct upstream_connection *connection = pool->idle;

    if (connection == NULL || lease->needs_new)
        return NULL;
    if (lease->needs_fresh &&
        clock_monotonic_ms() - connection->idle_since_ms >= FRESH_MS)
        return NULL;
    leave_idle(connection);
    return connection;
}

static void free_connection(struct retired *retired)
{
    struct upstream_connection *connection =
        (struct upstream_connection *)(void *)((char *)retired -
                                               offsetof(struct upstream_connection,
                                                        retired));

    http_head_fini(&connection->head);
    free(connection);
}

static void free_slot(struct upstream_pool *pool)
{
    (void)atomic_fetch_sub(&pool->target->connections, 1);
    if (atomic_load(&pool->target->waiting) > 0)
        nudge_all(pool->target);
}

void upstream_connection_close(struct upstream_connection *connection)
{
    struct upstream_pool *pool = connection->pool;

    if (!connection->is_closed) {
        connection->is_closed = true;
        leave_idle(connection);
        deadline_fini(&connection->deadline);
        stream_close(&connection->stream);
        addresses_unref(connection->addresses);
        connection->addresses = NULL;
        if (connection->awaits_name)
            connection->awaits_name =
                !resolver_forget(pool->target->resolver, &connection->name_waiter);
        free_slot(pool);
    }
    if (connection->awaits_name || connection->retired.free != NULL)
        return; /* its letter is under way, and ends here again; or all is done */
    pool->connections--;
    worker_retire(pool->worker, &connection->retired, free_connection);
    free_if_over(pool);
}

/* Leases */

static void end_lease(struct upstream_lease *lease)
{
    struct upstream_pool *pool = lease->pool;

    lease->pool = NULL;
    lease->connection = NULL;
    deadline_fini(&lease->patience);
    pool->leases--;
    free_if_over(pool);
}

void upstream_lease_refuse(struct upstream_lease *lease, enum upstream_failure failure,
                           const char *detail)
{
    (void)snprintf(lease->failure_text, sizeof(lease->failure_text), "%s", detail);
    end_lease(lease);
    lease->events->on_refused(lease->owner, failure, lease->failure_text);
}

void upstream_lease_grant(struct upstream_lease *lease,
                          struct upstream_connection *connection)
{
    connection->lease = lease;
    lease->connection = connection;
    lease->events->on_leased(lease->owner, connection);
}

static void leave_line(struct upstream_lease *lease)
{
    if (lease->link == NULL)
        return;
    *lease->link = lease->next;
    if (lease->next != NULL)
        lease->next->link = lease->link;
    else
        lease->pool->line_end = lease->link;
    lease->link = NULL;
    deadline_lift(&lease->patience);
    (void)atomic_fetch_sub(&lease->pool->target->waiting, 1);
}

static void on_patience_lost(void *owner)
{
    struct upstream_lease *lease = owner;

    leave_line(lease);
    upstream_lease_refuse(lease, UPSTREAM_NO_CONNECTION_FREE,
                          "all of upstream.max_connections are in use");
}

static void join_line(struct upstream_pool *pool, struct upstream_lease *lease)
{
    lease->next = NULL;
    lease->link = pool->line_end;
    *pool->line_end = lease;
    pool->line_end = &lease->next;
    deadline_set(&lease->patience, pool->target->connect_timeout_ms);
    (void)atomic_fetch_add(&pool->target->waiting, 1);
    nudge_all(pool->target);
}

static bool take_slot(struct upstream_pool *pool)
{
    unsigned before = atomic_fetch_add(&pool->target->connections, 1);

    if (before < pool->target->max_connections)
        return true;
    (void)atomic_fetch_sub(&pool->target->connections, 1);
    return false;
}

/*
 * Gets the lease a connection, old or new, or a refusal while the circuit is open; false
 * when none is to be had now.
 */
static bool provide(struct upstream_pool *pool, struct upstream_lease *lease)
{
    struct upstream_connection *connection = take_idle(pool, lease);

    if (connection != NULL) {
        leave_line(lease);
        upstream_lease_grant(lease, connection);
        return true;
    }
    if (!take_slot(pool)) {
        if (pool->idle == NULL)
            return false;
        upstream_connection_close(pool->idle); /* it would not do, but has a slot */
        if (!take_slot(pool))
            return false;
    }
    leave_line(lease);
    if (circuit_admits(&pool->circuit, clock_monotonic_ms())) {
        upstream_connect(pool, lease);
    } else {
        free_slot(pool);
        upstream_lease_refuse(lease, pool->last_failure, pool->last_failure_text);
    }
    return true;
}

static void serve_line(struct upstream_pool *pool)
{
    while (pool->line != NULL && provide(pool, pool->line))
        continue;
}

/* Gets a connection now, or a place in the line. */
static void fulfil(struct upstream_pool *pool, struct upstream_lease *lease)
{
    if (pool->idle == NULL && circuit_is_open(&pool->circuit, clock_monotonic_ms()))
        upstream_lease_refuse(lease, pool->last_failure, pool->last_failure_text);
    else if (pool->line != NULL || !provide(pool, lease))
        join_line(pool, lease);
}

void upstream_pool_lease(struct upstream_pool *pool, struct upstream_lease *lease)
{
    lease->pool = pool;
    lease->connection = NULL;
    lease->link = NULL;
    pool->leases++;
    deadline_init(&lease->patience, pool->worker, on_patience_lost, lease);
    fulfil(pool, lease);
}

void upstream_pool_replace(struct upstream_lease *lease)
{
    struct upstream_connection *connection = lease->connection;

    lease->connection = NULL;
    lease->needs_new = true;
    connection->lease = NULL;
    upstream_connection_close(connection);
    fulfil(lease->pool, lease);
}

void upstream_pool_return(struct upstream_lease *lease, bool is_sound)
{
    struct upstream_pool *pool = lease->pool;
    struct upstream_connection *connection = lease->connection;

    connection->lease = NULL;
    if (!is_sound || pool->is_closing || connection->stream.fault != STREAM_SOUND ||
        stream_queued(&connection->stream) > 0 ||
        (pool->line == NULL && atomic_load(&pool->target->waiting) > 0)) {
        end_lease(lease);
        upstream_connection_close(connection);
        return;
    }
    become_idle(pool, connection);
    end_lease(lease);
    serve_line(pool);
}

void upstream_pool_cancel(struct upstream_lease *lease)
{
    struct upstream_pool *pool = lease->pool;
    struct upstream_connection *connection;

    if (pool == NULL)
        return;
    connection = lease->connection;
    leave_line(lease);
    if (connection != NULL) {
        if (connection->addresses != NULL || connection->awaits_name)
            circuit_note_abandoned(&pool->circuit);
        connection->lease = NULL;
        upstream_connection_close(connection);
    }
    end_lease(lease);
}

enum upstream_failure upstream_stream_failure(const struct stream *stream)
{
    return stream->fault == STREAM_NO_MEMORY ? UPSTREAM_NO_MEMORY : UPSTREAM_CLOSED_EARLY;
}
