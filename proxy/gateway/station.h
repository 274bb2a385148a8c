/*
 * A station: the gateway's side of one worker. Connections and exchanges of that worker
 * hang off it; nothing in it is touched by another thread.
 */
#ifndef PSGATE_GATEWAY_STATION_H
#define PSGATE_GATEWAY_STATION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <event2/event_struct.h>

#include "access/rates.h"
#include "audit/entry.h"
#include "audit/refusals.h"
#include "cache/cache.h"
#include "gateway/snapshot.h"
#include "net/listener.h"
#include "net/worker.h"
#include "upstream/pool.h"

struct conn;
struct exchange;
struct door;
struct station_pool;

/* What all stations share. */
struct stations {
    struct cache *cache;
    struct audit_trail *trail;
    struct cluster *cluster; /* NULL: a gateway alone */
    struct rates *rates;
    struct metrics *metrics;
    struct health *health;           /* of upstream and the keys */
    struct refusals *preface_faults; /* how many of these are logged */
    _Atomic uint64_t held_bytes;     /* of audited bodies: limits.audited_bodies_total */
    _Atomic unsigned connections;    /* clients', of all workers */
    _Atomic unsigned max_connections;
    _Atomic bool has_told_contradiction; /* of a trusted proxy's (gateway/source.h) */
};

struct station {
    struct stations *shared;
    struct worker *worker;
    struct metrics_shard *metrics;
    struct snapshot *snapshot; /* in force for new requests */
    struct token_hasher *hasher;
    struct jwt_memo *memo;
    char *path_scratch; /* for one path's decoded segments: CONFIG_MOST_HEADER_BYTES */
    struct door *doors;
    struct station_pool *pools;
    struct conn *conns;
    char *spare_input; /* the memory that the last connection to fall idle gave back */
    size_t spare_input_bytes;
    struct exchange *spare_exchanges;
    unsigned spare_exchange_count;
    struct exchange *orphans; /* those without a client */
    struct renewal *renewals; /* keys that are being tried */
    struct event wake_trail;  /* at the end of a turn in which records were queued */
    bool has_queued_records;
    uint64_t record_prefix,
        record_count;          /* what makes the ids of this station's records */
    struct event retry_accept; /* looks again whether connections may be accepted */
    bool is_draining, is_paused, has_told_idle;
    void (*on_idle)(void *arg); /* draining, and the last connection is gone */
    void *arg;
};

/* On the worker's thread, or before it runs. NULL with error set. */
struct station *station_new(struct stations *shared, struct worker *worker,
                            struct error *error) MUST_CHECK;

/* Closes every connection; for after the drain. The pools close by themselves. */
void station_close_all(struct station *station);
void station_free(struct station *station);

/*
 * Puts a snapshot in force and accepts on exactly these listeners, which are in the order
 * of the configuration. Running exchanges keep their snapshot.
 */
bool station_adopt(struct station *station, struct snapshot *snapshot,
                   struct listener *const *listeners, size_t count, struct error *error);

/* Stops accepting; idle connections close soon, others when their exchange ends. */
void station_drain(struct station *station);

/* The pool for the snapshot's upstream, or NULL when memory is out. */
struct upstream_pool *station_pool(struct station *station,
                                   const struct snapshot *snapshot);

/* A connection has come or gone: the limit on them may have been reached or left. */
void station_add_conn(struct station *station, struct conn *conn);
void station_remove_conn(struct station *station, struct conn *conn);

/*
 * Queues a record for the trail, which hears of all of this turn's at once. As
 * audit_trail_queue.
 */
bool station_queue_record(struct station *station, struct audit_entry *entry);

/* A new id, for records and requests: random in its first half, counted in the second. */
void station_make_record_id(struct station *station, char id[AUDIT_ID_HEX + 1]);

/* An exchange has lost its client but goes on; it has come to its end. */
void station_add_orphan(struct station *station, struct exchange *exchange);
void station_remove_orphan(struct station *station, struct exchange *exchange);

#endif
