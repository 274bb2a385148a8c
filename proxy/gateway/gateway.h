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

struct gateway;

/*
 * Loads the configuration, listens and starts the workers. on_drained is called on base
 * when a drain has ended. NULL with *problems (the configuration's) or, when that was
 * good, error set. sandbox_url: see snapshot_load.
 */
struct gateway *gateway_start(const char *path, const char *sandbox_url,
                              struct event_base *base, void (*on_drained)(void *arg),
                              void *arg, struct problems *problems, struct error *error);

/* The URLs that it listens on: "http://127.0.0.1:8080"; and how many. */
size_t gateway_listener_count(const struct gateway *gateway);
const char *gateway_listener_url(const struct gateway *gateway, size_t index);

/* Loads everything again, all or nothing; what is wrong is logged. */
void gateway_reload(struct gateway *gateway);

/* Begins a new file of the audit trail (SIGUSR1). */
void gateway_reopen(struct gateway *gateway);

/* How long a drain may take: limits.drain_timeout. */
int64_t gateway_drain_timeout_ms(const struct gateway *gateway);

/* Stops accepting and lets what is in flight finish, at most limits.drain_timeout. */
void gateway_drain(struct gateway *gateway);

/* Ends the workers at once and frees everything. */
void gateway_free(struct gateway *gateway);

#endif
