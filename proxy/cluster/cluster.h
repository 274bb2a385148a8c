/*
 * What several gateways share through one Redis server: the generations of scopes, the
 * marks of changes under way, and the buckets of rates (README, "Several gateways").
 *
 * A thread of its own speaks with Redis, over two connections: one for commands, one that
 * hears of what others raise. What it learns it does to the gateway's own generations.
 * Whatever happens to Redis, nobody waits for longer than max_staleness.
 */
#ifndef PSGATE_CLUSTER_CLUSTER_H
#define PSGATE_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/generations.h"
#include "config/config.h"
#include "net/mailbox.h"

struct cluster;

enum {
    CLUSTER_ID_HEX = 32,
    CLUSTER_SCOPE_WORDS = GENERATIONS_SCOPES / 64,
    CLUSTER_BUCKET_BYTES = 160,
};

/*
 * Starts the thread; Redis may be away. config is borrowed for as long as the cluster
 * lives, generations too. hold_ms: how long a change whose end is not known keeps its
 * mark (cache.unknown_hold).
 */
struct cluster *cluster_start(const struct config_cluster *config,
                              struct generations *generations, int64_t hold_ms,
                              struct error *error) MUST_CHECK;

/*
 * Ends the thread. What is under way fails, and so does, at once, whatever is asked from
 * then on. NULL is fine.
 */
void cluster_stop(struct cluster *cluster);

/* Stops and frees; nobody may ask any more. NULL is fine. */
void cluster_free(struct cluster *cluster);

/*
 * Whether stored answers may be trusted: within max_staleness, all was known that others
 * had raised. From any thread, without a lock. NULL: a gateway alone, always.
 */
bool cluster_is_current(const struct cluster *cluster, int64_t now_ms);

enum cluster_kind {
    CLUSTER_BEGIN, /* marks the scopes and raises them: before the change is sent */
    CLUSTER_END,   /* raises them again and takes the mark away */
    CLUSTER_TAKE,  /* a token from a bucket */
};

enum cluster_result {
    CLUSTER_DONE,
    /* END: Redis could not be told, but the mark has stood all the time and still does:
     * nobody has stored or will serve what was read before. It is told later. */
    CLUSTER_COVERED,
    CLUSTER_FAILED,
};

/*
 * Something asked of Redis. The asker's memory, from cluster_ask until it is back: then
 * on_done is called, once, by letter, on the thread of home.
 */
struct cluster_errand {
    enum cluster_kind kind;
    struct mailbox *home;
    void (*on_done)(struct cluster_errand *errand);

    /* BEGIN and END; the same id for both ends of a change. */
    char id[CLUSTER_ID_HEX + 1];
    uint64_t scopes[CLUSTER_SCOPE_WORDS];
    bool is_known; /* END: what became of the change; else the mark stands for hold_ms */

    /* TAKE */
    char bucket[CLUSTER_BUCKET_BYTES]; /* its name; too long a one is cut */
    int64_t interval_us, burst;        /* a token each; the most that are saved up */

    /* When it is back. */
    enum cluster_result result;
    bool is_admitted;   /* TAKE, DONE */
    int64_t full_in_us; /* TAKE, DONE: until the bucket is full again */

    /* The cluster's. */
    struct letter letter;
    struct cluster *cluster;
    int64_t sent_ms;
};

void cluster_ask(struct cluster *cluster, struct cluster_errand *errand);

/* For metrics and status; a moment's values, each by itself. */
struct cluster_state {
    bool is_current;
    int64_t heard_ms_ago; /* when Redis was last known to know us; -1: never */
    uint64_t raised, raise_failed, taken, take_failed, connected;
};

struct cluster_state cluster_state(const struct cluster *cluster, int64_t now_ms);

#endif
