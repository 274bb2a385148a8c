#include "gateway/station.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "audit/hash.h"
#include "audit/trail.h"
#include "base/log.h"
#include "base/random.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/metrics.h"
#include "gateway/renewal.h"

/* A door: this worker's way of accepting on one listener. */
struct door {
    struct station *station;
    struct acceptor *acceptor;
    const struct listener *listener; /* lives until every station has dropped its door */
    struct trust *trust;             /* a reference */
    const struct config_listen *listen; /* of the station's snapshot */
    struct door *next;
};

struct station_pool {
    struct upstream_target *target; /* a reference: so that no new one has its address */
    struct upstream_pool *pool;
    struct station_pool *next;
};

static const struct timeval accept_again = {.tv_usec = 20000};

static void on_retry_accept(evutil_socket_t fd, short what, void *arg);
static void on_wake_trail(evutil_socket_t fd, short what, void *arg);

struct station *station_new(struct stations *shared, struct worker *worker,
                            struct error *error)
{
    struct station *station = calloc(1, sizeof(*station));
    bool can_remember, has_prefix;

    if (station == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    station->shared = shared;
    station->worker = worker;
    station->metrics = metrics_add_shard(shared->metrics);
    station->hasher = token_hasher_new(error);
    station->memo = jwt_memo_new();
    station->path_scratch = malloc(CONFIG_MOST_HEADER_BYTES);
    if (station->path_scratch == NULL || station->memo == NULL ||
        station->metrics == NULL)
        (void)error_set(error, "out of memory");
    can_remember =
        station->hasher != NULL && token_hasher_remember(station->hasher, error);
    (void)event_assign(&station->wake_trail, worker->base, -1, 0, on_wake_trail, station);
    (void)evtimer_assign(&station->retry_accept, worker->base, on_retry_accept, station);
    has_prefix =
        random_fill(&station->record_prefix, sizeof(station->record_prefix), error);
    if (!can_remember || !has_prefix || station->path_scratch == NULL ||
        station->memo == NULL || station->metrics == NULL) {
        station_free(station);
        return NULL;
    }
    return station;
}

/* Records */

/* One wake-up for all that was queued in this turn: so one sync takes them all. */
static void on_wake_trail(evutil_socket_t fd, short what, void *arg)
{
    struct station *station = arg;

    (void)fd;
    (void)what;
    station->has_queued_records = false;
    audit_trail_wake(station->shared->trail);
}

bool station_queue_record(struct station *station, struct audit_entry *entry)
{
    if (!audit_trail_queue(station->shared->trail, entry))
        return false;
    if (!station->has_queued_records)
        event_active(&station->wake_trail, EV_TIMEOUT, 0);
    station->has_queued_records = true;
    return true;
}

void station_make_record_id(struct station *station, char id[AUDIT_ID_HEX + 1])
{
    const uint64_t words[] = {htobe64(station->record_prefix),
                              htobe64(++station->record_count)};
    unsigned char bytes[AUDIT_ID_HEX / 2];

    memcpy(bytes, words, sizeof(bytes));
    audit_hex(bytes, sizeof(bytes), id);
    id[AUDIT_ID_HEX] = '\0';
}

/* Doors */

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
    struct door *door = arg;

    conn_accept(door->station, fd, peer, door->trust, &door->listen->proxy_protocol);
}

static void close_door(struct door *door)
{
    acceptor_close(door->acceptor);
    trust_unref(door->trust);
    free(door);
}

static struct door *open_door(struct station *station, const struct listener *listener,
                              struct error *error)
{
    struct door *door = calloc(1, sizeof(*door));

    if (door == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    door->station = station;
    door->listener = listener;
    door->trust = trust_new();
    if (door->trust == NULL)
        (void)error_set(error, "out of memory");
    else
        door->acceptor = acceptor_new(station->worker, listener, on_accept, door, error);
    if (door->acceptor == NULL) {
        trust_unref(door->trust);
        free(door);
        return NULL;
    }
    if (station->is_paused)
        acceptor_pause(door->acceptor);
    return door;
}

static struct door *take_door(struct door **doors, const struct listener *listener)
{
    for (struct door **link = doors; *link != NULL; link = &(*link)->next) {
        struct door *door = *link;

        if (door->listener == listener) {
            *link = door->next;
            return door;
        }
    }
    return NULL;
}

static void close_doors(struct door **doors)
{
    while (*doors != NULL) {
        struct door *door = *doors;

        *doors = door->next;
        close_door(door);
    }
}

/* Keeps the doors of listeners that stay, opens new ones, closes the rest. */
static bool change_doors(struct station *station, struct listener *const *listeners,
                         size_t count, struct error *error)
{
    struct door *kept = NULL;
    bool is_whole = true;

    for (size_t i = 0; i < count; i++) {
        struct door *door = take_door(&station->doors, listeners[i]);

        if (door == NULL)
            door = open_door(station, listeners[i], error);
        if (door == NULL) {
            is_whole = false;
            continue;
        }
        trust_change(door->trust, station->snapshot->tls[i]);
        door->listen = &station->snapshot->config->listen[i];
        door->next = kept;
        kept = door;
    }
    close_doors(&station->doors);
    station->doors = kept;
    return is_whole;
}

/* The limit on connections */

static void pause_accepting(struct station *station)
{
    station->is_paused = true;
    for (struct door *door = station->doors; door != NULL; door = door->next)
        acceptor_pause(door->acceptor);
    (void)event_add(&station->retry_accept, &accept_again);
}

/* Looks whether connections of any worker have gone; several may have the same idea. */
static void on_retry_accept(evutil_socket_t fd, short what, void *arg)
{
    struct station *station = arg;

    (void)fd;
    (void)what;
    if (atomic_load(&station->shared->connections) >=
        atomic_load(&station->shared->max_connections)) {
        (void)event_add(&station->retry_accept, &accept_again);
        return;
    }
    station->is_paused = false;
    for (struct door *door = station->doors; door != NULL; door = door->next)
        acceptor_resume(door->acceptor);
}

void station_add_conn(struct station *station, struct conn *conn)
{
    unsigned now = atomic_fetch_add(&station->shared->connections, 1) + 1;

    conn->next = station->conns;
    conn->link = &station->conns;
    if (station->conns != NULL)
        station->conns->link = &conn->next;
    station->conns = conn;
    if (now >= atomic_load(&station->shared->max_connections) && !station->is_paused)
        pause_accepting(station);
}

static void check_idle(struct station *station)
{
    if (!station->is_draining || station->conns != NULL || station->orphans != NULL ||
        station->has_told_idle)
        return;
    station->has_told_idle = true;
    station->on_idle(station->arg);
}

void station_remove_conn(struct station *station, struct conn *conn)
{
    *conn->link = conn->next;
    if (conn->next != NULL)
        conn->next->link = conn->link;
    (void)atomic_fetch_sub(&station->shared->connections, 1);
    check_idle(station);
}

void station_add_orphan(struct station *station, struct exchange *exchange)
{
    exchange->next_orphan = station->orphans;
    exchange->orphan_link = &station->orphans;
    if (station->orphans != NULL)
        station->orphans->orphan_link = &exchange->next_orphan;
    station->orphans = exchange;
}

void station_remove_orphan(struct station *station, struct exchange *exchange)
{
    if (exchange->orphan_link == NULL)
        return; /* given up before its last letter came */
    *exchange->orphan_link = exchange->next_orphan;
    if (exchange->next_orphan != NULL)
        exchange->next_orphan->orphan_link = exchange->orphan_link;
    exchange->orphan_link = NULL;
    check_idle(station);
}

/* Upstream pools, one a target that is in use */

struct upstream_pool *station_pool(struct station *station,
                                   const struct snapshot *snapshot)
{
    struct station_pool *entry;

    for (entry = station->pools; entry != NULL; entry = entry->next) {
        if (entry->target == snapshot->target)
            return entry->pool;
    }
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    entry->pool = upstream_pool_new(station->worker, snapshot->target);
    if (entry->pool == NULL) {
        free(entry);
        return NULL;
    }
    entry->target = upstream_target_ref(snapshot->target);
    entry->next = station->pools;
    station->pools = entry;
    return entry->pool;
}

/* Closes the pools of all targets but one. */
static void close_pools(struct station *station, const struct upstream_target *kept)
{
    struct station_pool **link = &station->pools;

    while (*link != NULL) {
        struct station_pool *entry = *link;

        if (entry->target == kept) {
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        upstream_pool_close(entry->pool);
        upstream_target_unref(entry->target);
        free(entry);
    }
}

/* Snapshots */

bool station_adopt(struct station *station, struct snapshot *snapshot,
                   struct listener *const *listeners, size_t count, struct error *error)
{
    struct snapshot *before = station->snapshot;
    bool is_whole, is_first = before == NULL;
    bool has_keys = is_first || before->credentials != snapshot->credentials;

    station->snapshot = snapshot_ref(snapshot);
    upstream_target_start(snapshot->target); /* before the first request asks for it */
    close_pools(station, snapshot->target);
    if (station->worker->index == 0 && has_keys)
        renewal_look(station, !is_first);
    is_whole = change_doors(station, listeners, count, error);
    snapshot_unref(before); /* not earlier: doors that close still accept by it */
    return is_whole;
}

void station_drain(struct station *station)
{
    struct conn *next;

    station->is_draining = true;
    (void)event_del(&station->retry_accept);
    close_doors(&station->doors); /* takes in what has connected already */
    for (struct conn *conn = station->conns; conn != NULL; conn = next) {
        next = conn->next;
        conn_drain(conn);
    }
    check_idle(station);
}

void station_close_all(struct station *station)
{
    (void)event_del(&station->retry_accept);
    close_doors(&station->doors);
    while (station->conns != NULL)
        conn_close(station->conns, CONN_CLOSE_DRAINED);
    while (station->orphans != NULL)
        exchange_give_up(station->orphans);
    renewal_stop(station);
    close_pools(station, NULL);
}

void station_free(struct station *station)
{
    if (station == NULL)
        return;
    exchange_free_spares(station);
    free(station->spare_input);
    token_hasher_free(station->hasher);
    jwt_memo_free(station->memo);
    snapshot_unref(station->snapshot);
    free(station->path_scratch);
    free(station);
}
