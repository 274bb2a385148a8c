/*
 * The gateway as a process: workers, listeners, the snapshot that is in force, and their
 * changes. All calls are made on the main thread.
 */
#ifndef PSGATE_GATEWAY_GATEWAY_H
#define PSGATE_GATEWAY_GATEWAY_H

#include <stdbool.h>

#include <event2/event.h>

#include "base/error.h"
#include "config/document.h"
#include "gateway/snapshot.h"
#include "gateway/station.h"
#include "net/inherited.h"

struct gateway;

struct gateway_options {
    const char *path;        /* the configuration */
    const char *sandbox_url; /* see snapshot_load */
    struct event_base *base;
    struct inherited *inherited;   /* the gateway's from then on, also if it fails */
    void (*on_drained)(void *arg); /* called on base when a drain has ended */
    void *arg;
};

/*
 * Loads the configuration, listens and starts the workers. NULL with *problems (the
 * configuration's) or, when that was good, error set.
 */
struct gateway *gateway_start(const struct gateway_options *options,
                              struct problems *problems, struct error *error);

/* The URLs that it listens on: "http://127.0.0.1:8080"; and how many. */
size_t gateway_listener_count(const struct gateway *gateway);
const char *gateway_listener_url(const struct gateway *gateway, size_t index);

/* Of what is in force; counts the loads, of the clients file too. */
unsigned gateway_generation(const struct gateway *gateway);

/* Whether all workers go on; as pulse_feel. Until gateway_free. */
bool gateway_ask_workers(struct gateway *gateway, void (*on_alive)(void *arg), void *arg,
                         size_t *silent);

/*
 * Loads everything again, all or nothing; what is wrong is logged. False with error set:
 * the configuration before stays in force.
 */
bool gateway_reload(struct gateway *gateway, struct error *error);

/* Opens the log file anew and begins a new file of the audit trail (SIGUSR1). */
void gateway_reopen(struct gateway *gateway);

/* How long a drain may take: limits.drain_timeout. */
int64_t gateway_drain_timeout_ms(const struct gateway *gateway);

/* Stops accepting and lets what is in flight finish, at most limits.drain_timeout. */
void gateway_drain(struct gateway *gateway);

/* What goes along with a reload, so that it is all or nothing: see gateway_set_hooks. */
struct gateway_hooks {
    /* Opens what the configuration asks for beside what there is. False: the reload is
     * refused, and nothing of it stays. */
    bool (*prepare)(void *arg, const struct config *config, struct error *error);
    /* Puts what was prepared in force. */
    void (*commit)(void *arg);
    /* Or gives it up: the reload is refused for another reason. */
    void (*abandon)(void *arg);
};

/* hooks is copied; NULL: none any more. */
void gateway_set_hooks(struct gateway *gateway, const struct gateway_hooks *hooks,
                       void *arg);

/* The sockets that were handed over; until gateway_drain. */
const struct inherited *gateway_inherited(const struct gateway *gateway);

/* For whoever shows how the gateway is doing; from any thread: */

/* A reference to what is in force. */
struct snapshot *gateway_take_snapshot(struct gateway *gateway);

/* What the workers share: counts, health, cache, trail. As long as the gateway. */
struct stations *gateway_stations(struct gateway *gateway);

struct gateway_state {
    size_t workers;
    bool is_draining;
    bool was_reload_good; /* the last one; true before the first */
    int64_t loaded_ms;    /* wall clock: when what is in force was loaded */
};
void gateway_read_state(struct gateway *gateway, struct gateway_state *state);

/*
 * Makes all that is cached for a scope of the operation table old; "*": of all. False:
 * there is no such scope.
 */
bool gateway_purge(struct gateway *gateway, struct span scope);

/* Ends the workers at once and frees everything. */
void gateway_free(struct gateway *gateway);

#endif
