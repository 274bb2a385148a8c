/*
 * What the parts of a cluster share: cluster.c has its life and what it tells others,
 * knowledge.c what it learns from Redis, errands.c what it does there for requests. All
 * but what is atomic is the cluster's own thread's.
 */
#ifndef PSGATE_CLUSTER_CLUSTER_INTERNAL_H
#define PSGATE_CLUSTER_CLUSTER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "cluster/cluster.h"
#include "cluster/link.h"
#include "cluster/marks.h"
#include "cluster/words.h"
#include "net/deadline.h"

enum {
    GATEWAY_HEX = 16,
    STAMP_HEX = 16,
    VALUE_BYTES = 48, /* a generation as Redis has it */
    KEY_BYTES = 256,
    SYNCS_A_STALENESS = 4,
    MEMBER_BYTES = GATEWAY_HEX + CLUSTER_ID_HEX + 3, /* beside the scope's name */
    DOUBT_STALENESSES = 3,
    MARK_STALENESSES = 5, /* more than the doubt: a mark outlasts what is said of it */
};

struct cluster {
    const struct config_cluster *config;
    struct generations *generations;
    int64_t mark_ms, hold_ms;
    /* How long a mark is relied on that Redis may have lost since; for as long after a
     * loss nobody stores. */
    int64_t doubt_ms;
    bool is_in_doubt;
    struct worker *worker;
    pthread_t thread;
    bool has_thread;
    _Atomic bool is_stopping;
    struct letter stop;

    char gateway[GATEWAY_HEX + 1];
    char generations_key[KEY_BYTES], changes_key[KEY_BYTES], channel[KEY_BYTES];
    struct link_target target;
    struct link *commands, *events;
    struct deadline next_sync;
    struct marks marks;
    char epoch[STAMP_HEX + 1];
    char known[GENERATIONS_SCOPES][VALUE_BYTES]; /* as Redis last had them; "": unknown */
    bool is_syncing, is_pinging;
    bool is_told_away; /* the log says that Redis is away */
    int64_t away_ms;   /* since then */

    /* When what was answered since was asked; 0: not since the link came up. */
    int64_t sync_sent_ms, synced_ms, ping_sent_ms, pinged_ms;
    _Atomic int64_t current_until_ms, heard_ms;
    _Atomic uint64_t raised, raise_failed, taken, take_failed, connected;
};

/* cluster.c: EVAL, the script, and the keys and arguments that every raise begins with.
 */
void cluster_begin_script(struct words *words, struct span script,
                          const struct cluster *cluster);

/* knowledge.c: asks Redis what there is, now and again; the owner is the cluster. */
void cluster_sync_now(void *owner);
extern const struct link_events cluster_commands_events, cluster_events_events;

/* errands.c: says the ends that Redis has not heard of. */
void cluster_retry_ends(struct cluster *cluster);

#endif
