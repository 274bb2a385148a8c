/* Making a connection: the name, each address in turn, TLS; all within connect_timeout.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/listener.h"
#include "upstream/pool_internal.h"

/* How long a lack that is said once is not said again. */
enum { QUIET_MS = 10000 };

static void try_next_address(struct upstream_connection *connection);

static void note_unreachable(const struct upstream_connection *connection,
                             enum upstream_failure failure, const char *detail)
{
    struct upstream_pool *pool = connection->pool;

    if (upstream_failure_is_reach(failure))
        circuit_note_failure(&pool->circuit, clock_monotonic_ms());
    else
        circuit_note_abandoned(&pool->circuit);
    if (pool->circuit.open_until_ms != 0)
        atomic_store(&pool->target->is_unreachable, true);
    if (connection->addresses != NULL)
        resolver_ask_again(pool->target->resolver);
    pool->last_failure = failure;
    (void)snprintf(pool->last_failure_text, sizeof(pool->last_failure_text), "%s",
                   detail);
}

/* Now and then: every request may be one that finds none. */
static void warn_of_descriptors(struct upstream_pool *pool)
{
    int64_t now_ms = clock_monotonic_ms();

    if (now_ms < pool->quiet_until_ms)
        return;
    pool->quiet_until_ms = now_ms + QUIET_MS;
    log_warn(
        "upstream: no connection: no more files may be opened (raise LimitNOFILE, or "
        "lower limits.connections)");
}

static void refuse_connecting(struct upstream_connection *connection,
                              enum upstream_failure failure, const char *detail)
{
    struct upstream_pool *pool = connection->pool;
    struct upstream_lease *lease = connection->lease;

    if (upstream_failure_is_reach(failure))
        note_unreachable(connection, failure, detail);
    else
        circuit_note_abandoned(&pool->circuit);
    if (failure == UPSTREAM_NO_DESCRIPTORS)
        warn_of_descriptors(pool);
    log_debug("upstream: no connection: %s", detail);
    lease->connection = NULL;
    connection->lease = NULL;
    upstream_connection_close(connection);
    upstream_lease_refuse(lease, failure, detail);
}

static enum upstream_failure connect_failure(const struct stream *stream)
{
    switch (stream->fault) {
    case STREAM_TLS_CERTIFICATE:
        return UPSTREAM_TLS_CERTIFICATE;
    case STREAM_TLS_ALERT:
        return UPSTREAM_TLS_ALERT;
    case STREAM_CUT:
    case STREAM_TLS_PROTOCOL:
        return UPSTREAM_TLS_PROTOCOL;
    case STREAM_NO_MEMORY:
        return UPSTREAM_NO_MEMORY;
    case STREAM_SOUND:
    case STREAM_CONNECT_FAILED:
    case STREAM_RESET:
        break;
    }
    switch (stream->errnum) {
    case ECONNREFUSED:
        return UPSTREAM_CONNECTION_REFUSED;
    case EMFILE:
    case ENFILE:
        return UPSTREAM_NO_DESCRIPTORS;
    case ENOMEM:
    case ENOBUFS:
        return UPSTREAM_NO_MEMORY;
    default:
        return UPSTREAM_CONNECTION_FAILED;
    }
}

/* The address that was tried last, for messages. */
static void format_tried(const struct upstream_connection *connection,
                         char text[PEER_TEXT_BYTES])
{
    unsigned i = connection->tried - 1;

    peer_format((const struct sockaddr *)&connection->addresses->list[i].address, text);
}

/* An attempt failed: on to the next address, or give up with this one's reason. */
/* NOLINTNEXTLINE(misc-no-recursion): once an address */
static void on_attempt_failed(struct upstream_connection *connection)
{
    enum upstream_failure failure = connect_failure(&connection->stream);
    char address[PEER_TEXT_BYTES], reason[160], detail[256];

    stream_describe_fault(&connection->stream, reason, sizeof(reason));
    format_tried(connection, address);
    (void)snprintf(detail, sizeof(detail), "%s: %s", address, reason);
    stream_close(&connection->stream);
    if (connection->tried < connection->addresses->count) {
        log_debug("upstream: %s, trying the next address", detail);
        try_next_address(connection);
        return;
    }
    refuse_connecting(connection, failure, detail);
}

static void on_open(void *owner)
{
    struct upstream_connection *connection = owner;
    struct upstream_lease *lease = connection->lease;

    deadline_lift(&connection->deadline);
    addresses_unref(connection->addresses);
    connection->addresses = NULL;
    circuit_note_success(&connection->pool->circuit);
    atomic_store(&connection->pool->target->is_unreachable, false);
    stream_want_read(&connection->stream, true);
    upstream_lease_grant(lease, connection);
}

static void on_readable(void *owner)
{
    struct upstream_connection *connection = owner;

    if (connection->lease != NULL)
        connection->lease->events->on_readable(connection->lease->owner);
    else
        upstream_connection_close(connection); /* the end, or bytes nobody asked for */
}

static void on_drained(void *owner)
{
    struct upstream_connection *connection = owner;

    if (connection->lease != NULL)
        connection->lease->events->on_drained(connection->lease->owner);
}

static void on_failed(void *owner)
{
    struct upstream_connection *connection = owner;

    if (connection->addresses != NULL)
        on_attempt_failed(connection);
    else if (connection->lease != NULL)
        connection->lease->events->on_broken(connection->lease->owner);
    else
        upstream_connection_close(connection);
}

static const struct stream_events stream_events = {on_open, on_readable, on_drained,
                                                   on_failed};

/* What is left of the time is shared fairly among the addresses that are left. */
static void set_attempt_deadline(struct upstream_connection *connection)
{
    int64_t left = connection->give_up_ms - clock_monotonic_ms();
    unsigned addresses = connection->addresses->count - connection->tried + 1;

    deadline_set(&connection->deadline, left > 0 ? left / addresses : 0);
}

/* NOLINTNEXTLINE(misc-no-recursion): once an address */
static void try_next_address(struct upstream_connection *connection)
{
    struct upstream_target *target = connection->pool->target;
    unsigned i = connection->tried++;
    struct error error;
    SSL *ssl = NULL;

    if (target->tls != NULL) {
        ssl = tls_client_connection(target->tls, &error);
        if (ssl == NULL) {
            refuse_connecting(connection, UPSTREAM_NO_MEMORY, error.text);
            return;
        }
    }
    set_attempt_deadline(connection);
    if (!stream_init_connecting(
            &connection->stream, connection->pool->worker,
            (const struct sockaddr *)&connection->addresses->list[i].address,
            connection->addresses->list[i].len, ssl, &stream_events, connection)) {
        on_attempt_failed(connection);
        return;
    }
    connection->stream.queue.is_sensitive = true;
}

static void start_connecting(struct upstream_connection *connection, struct error *error)
{
    connection->addresses = resolver_addresses(connection->pool->target->resolver, error);
    if (connection->addresses != NULL)
        try_next_address(connection);
}

/* The name's look-up has ended one way or the other, perhaps after we were closed. */
static void on_name(struct letter *letter)
{
    struct upstream_connection *connection =
        (struct upstream_connection *)(void *)((char *)letter -
                                               offsetof(struct upstream_connection,
                                                        name_waiter.letter));
    struct error error;

    connection->awaits_name = false;
    if (connection->is_closed) {
        upstream_connection_close(connection);
        return;
    }
    start_connecting(connection, &error);
    if (connection->addresses == NULL && !connection->is_closed)
        refuse_connecting(connection, UPSTREAM_NAME_NOT_RESOLVED, error.text);
}

static void await_name(struct upstream_connection *connection)
{
    connection->name_waiter.letter.open = on_name;
    connection->name_waiter.mailbox = connection->pool->worker->mailbox;
    connection->awaits_name = true;
    deadline_set(&connection->deadline, connection->pool->target->connect_timeout_ms);
    resolver_wait(connection->pool->target->resolver, &connection->name_waiter);
}

/* Too slow to connect; or idle for too long. */
static void on_deadline(void *owner)
{
    struct upstream_connection *connection = owner;

    if (connection->lease == NULL) {
        upstream_connection_close(connection);
        return;
    }
    if (connection->addresses == NULL) {
        refuse_connecting(connection, UPSTREAM_NAME_NOT_RESOLVED,
                          "the name's look-up takes too long");
        return;
    }
    stream_close(&connection->stream);
    if (connection->tried < connection->addresses->count) {
        try_next_address(connection);
    } else {
        char address[PEER_TEXT_BYTES], detail[128];

        format_tried(connection, address);
        (void)snprintf(detail, sizeof(detail), "%s: no connection within connect_timeout",
                       address);
        refuse_connecting(connection, UPSTREAM_CONNECT_TIMEOUT, detail);
    }
}

void upstream_connect(struct upstream_pool *pool, struct upstream_lease *lease)
{
    struct upstream_connection *connection = calloc(1, sizeof(*connection));
    struct error error;

    if (connection == NULL ||
        !http_head_init(&connection->head, pool->target->max_fields)) {
        free(connection);
        (void)atomic_fetch_sub(&pool->target->connections, 1);
        circuit_note_abandoned(&pool->circuit);
        upstream_lease_refuse(lease, UPSTREAM_NO_MEMORY, "out of memory");
        return;
    }
    connection->stream.fd = -1;
    connection->pool = pool;
    connection->has_slot = true;
    connection->lease = lease;
    connection->give_up_ms = clock_monotonic_ms() + pool->target->connect_timeout_ms;
    lease->connection = connection;
    pool->connections++;
    deadline_init(&connection->deadline, pool->worker, on_deadline, connection);
    connection->addresses = resolver_addresses(pool->target->resolver, &error);
    if (connection->addresses != NULL)
        try_next_address(connection);
    else
        await_name(connection);
}
