/*
 * One connection to a Redis server (RESP2): hiredis formats commands and reads replies,
 * bytes go over a stream of ours, plain or TLS. It connects by itself, again and again;
 * each command is answered once, by Redis or by the link's end.
 *
 * All on one thread, the worker's.
 */
#ifndef PSGATE_CLUSTER_LINK_H
#define PSGATE_CLUSTER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/secret.h"
#include "base/span.h"
#include "config/config.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "net/worker.h"

/* Where the server is, and how it is spoken to; shared by the links of a cluster. */
struct link_target {
    const struct config_cluster *config;
    struct resolver *resolver; /* NULL: a unix socket */
    struct tls_client *tls;    /* NULL: plain */
    struct secret *password;   /* NULL: none */
};

/* Reads the password and the authorities; fini is due even if it failed. */
bool link_target_init(struct link_target *target, const struct config_cluster *config,
                      struct error *error) MUST_CHECK;
void link_target_fini(struct link_target *target);

/* Told from the event loop. */
struct link_events {
    /* Connected, let in, the database chosen: commands may be sent. */
    void (*on_up)(void *owner);
    /* It broke, or could not be made; why is for the log. The next attempt comes. */
    void (*on_down)(void *owner, const char *why);
    /* What no command asked for: a publication. NULL: that breaks the link. */
    void (*on_push)(void *owner, const redisReply *reply);
};

struct link;

/* Does not connect yet. patience_ms: how long a command, or a connection, may take. */
struct link *link_new(struct worker *worker, const struct link_target *target,
                      int64_t patience_ms, const struct link_events *events, void *owner);

/* Ends it for good: who waits for an answer hears of that. NULL is fine. */
void link_stop(struct link *link);

/* Once the worker is gone, whose mailbox may still have a letter for the link. */
void link_free(struct link *link);

/* Connects, now and after each failure. */
void link_start(struct link *link);

bool link_is_up(const struct link *link);

/*
 * Whether something answered there since the start, though perhaps not as it must: the
 * network is not at fault.
 */
bool link_was_answered(const struct link *link);

/*
 * What Redis answered: reply is borrowed and never an error; or NULL, and why says what
 * went wrong (an error of Redis, or the link's end).
 */
typedef void link_answer(void *owner, const redisReply *reply, const char *why);

/*
 * Sends a command of count words. The answer comes later, never from within this call;
 * false: the link is down, or memory is out, and there will be none.
 */
bool link_send(struct link *link, const struct span *words, int count,
               link_answer *answer, void *owner) MUST_CHECK;

/*
 * Gives the connection up: something on it was not as it must be. Within an answer only
 * while the link is up: at the end of the answers that have come.
 */
void link_break(struct link *link, const char *why);

#endif
