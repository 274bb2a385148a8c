/*
 * A gateway's worker with all that hangs off it, as the program has it, on an event loop
 * that runs when it is told to: sockets are pairs whose other ends are the caller's, time
 * stands still until it is moved, and records wait until they are acknowledged.
 *
 * One scene at a time; what calls in here is on the scene's thread.
 */
#ifndef PSGATE_TESTS_FUZZ_SCENE_H
#define PSGATE_TESTS_FUZZ_SCENE_H

#include "access/token.h"
#include "audit/entry.h"
#include "fuzz/support.h"
#include "gateway/caller.h"
#include "gateway/health.h"
#include "gateway/station.h"

enum { SCENE_MOST_PEERS = 32 };

#define SCENE_KEY "the-api-key-that-nobody-may-see"

struct scene {
    struct stations shared;
    struct cache cache;
    struct worker *worker;
    struct station *station;
    struct trust *trust;
    struct event end_of_turn;
    unsigned descriptors; /* that were open before */

    /* Upstream's ends of connections that the gateway has made, not yet taken. */
    int peers[SCENE_MOST_PEERS];
    unsigned peer_count;
    bool refuses_connections;

    /* The trail: entries that wait, oldest first. */
    struct audit_entry *entries, **last_entry;
    bool is_unwritable;
};

/* Loads the configuration that all scenes use. */
void scene_prepare(void);

/* The token of the scene's client. */
const char *scene_token(void);

void scene_begin(struct scene *scene);

/* Requires that nothing is left: no connection, exchange or call. */
void scene_require_rest(const struct scene *scene);

/* Ends as the program does, whatever is under way; no slot or descriptor may be left. */
void scene_end(struct scene *scene);

/* As when the program is told to stop. */
void scene_drain(struct scene *scene);

/* The event loop's turns, and the clock. */
void scene_turn(struct scene *scene, unsigned turns);
void scene_advance(struct scene *scene, int64_t ms);

/* A client connects: its end, non-blocking, the caller's. */
int scene_connect(struct scene *scene);

/* Upstream's end of the oldest connection that was not taken yet, or -1. */
int scene_take_peer(struct scene *scene);

/*
 * Tells the owner of the oldest record how it went; the entry, which is good until then,
 * was shown by scene_oldest (NULL: none waits). Results are always durable in the end.
 */
const struct audit_entry *scene_oldest(const struct scene *scene);
void scene_acknowledge(struct scene *scene, enum audit_done done);

#endif
