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
#include "fuzz/wire.h"
#include "gateway/caller.h"
#include "gateway/health.h"
#include "gateway/station.h"

enum { SCENE_MOST_PEERS = 32, SCENE_WORKERS = 2, SCENE_MOST_RELOADS = 6 };

/* What the API keys begin with; two digits follow. */
#define SCENE_KEY "the-api-key-that-nobody-may-see-"

#define SCENE_START_WALL_MS INT64_C(1767225600000) /* 2026-01-01 */
#define SCENE_JWT_EXPIRES_MS (SCENE_START_WALL_MS + 90000)

/* What stands in bodies, queries and cookies, and nowhere else. */
#define SCENE_SECRET "hush-hush"

struct scene_worker {
    struct worker *worker;
    struct station *station;
    struct event end_of_turn;
};

struct scene {
    struct stations shared;
    struct cache cache;
    struct scene_worker crew[SCENE_WORKERS]; /* both on the scene's thread, in turns */
    struct snapshot *snapshot;               /* in force */
    unsigned reloads;
    struct trust *trust;
    unsigned descriptors; /* that were open before */

    /* Upstream's ends of connections that the gateway has made, not yet taken. */
    int peers[SCENE_MOST_PEERS];
    unsigned peer_count;
    bool refuses_connections;

    /* The trail: entries that wait, oldest first; none when it is the program's. */
    struct audit_entry *entries, **last_entry;
    bool is_unwritable; /* no room on its disk */
    bool came_to_rest;  /* no change may be without its result in the end */

    /* Set before scene_begin, and called for each record. */
    void (*on_record)(struct scene *scene, const struct audit_entry *entry,
                      enum audit_done done);
};

/* What is the program's own in all scenes, and not the script's. */
struct scene_kind {
    bool has_trail; /* its thread and its files, instead of entries that wait */
    bool has_tls;   /* on both sides */
};

/* Loads the configuration that all scenes begin with. */
void scene_prepare(const struct scene_kind *kind);

/* The token of the scene's client, and a JWT of another one, which expires. */
const char *scene_token(void);
const char *scene_jwt(void);
bool scene_jwt_has_expired(void);

/* An API key by its number, good until the next call; the number of the one in force. */
const char *scene_key(unsigned number);
unsigned scene_key_number(void);

void scene_begin(struct scene *scene);

/* Requires that nothing is left: no connection, exchange or call. */
void scene_require_rest(const struct scene *scene);

/* Ends as the program does, whatever is under way; no slot or descriptor may be left. */
void scene_end(struct scene *scene);

/* As when the program is told to stop. */
void scene_drain(struct scene *scene);

/*
 * As on SIGHUP, or when the clients file has changed: nothing is new, the client's token
 * is revoked or comes back, the key is another one, a next key comes or goes, or the
 * operation table is another one. True: what was cached before must not be seen any more.
 * The first few calls of a scene only; the others do nothing.
 */
enum scene_reload {
    SCENE_RELOAD_SAME,
    SCENE_RELOAD_CLIENTS,
    SCENE_RELOAD_KEY,
    SCENE_RELOAD_NEXT_KEY,
    SCENE_RELOAD_OPERATIONS,
};
bool scene_reload(struct scene *scene, enum scene_reload what);

/* As POST /cache/purge?scope=*. */
void scene_purge(struct scene *scene);

/* The event loops' turns, and the clock. */
void scene_turn(struct scene *scene, unsigned turns);
void scene_advance(struct scene *scene, int64_t ms);

/* A client connects to that worker: its end, the caller's. */
struct wire scene_connect(struct scene *scene, unsigned worker);

/* Upstream's end of the oldest connection that was not taken yet; its fd may be -1. */
struct wire scene_take_peer(struct scene *scene);

/*
 * Whether records wait; and how it goes with the oldest. With the program's trail it goes
 * so with all that wait: FAILED is one sync that fails, FAILED_LATER two. Who waits for a
 * record is told, and before him on_record.
 */
bool scene_has_records(const struct scene *scene);
void scene_record(struct scene *scene, enum audit_done done);

#endif
