/*
 * psgate as a service of systemd: what is said to it over the protocol of sd_notify(3).
 * Without NOTIFY_SOCKET in the environment nothing is said and nothing else happens.
 */
#ifndef PSGATE_COMMAND_SERVICE_H
#define PSGATE_COMMAND_SERVICE_H

#include <stdint.h>

#include <event2/event.h>

#include "base/error.h"
#include "gateway/gateway.h"

/*
 * Every listener accepts. generation: as which the configuration in force was loaded;
 * refusal: why the last reload was refused, or NULL.
 */
void service_tell_ready(const struct gateway *gateway, unsigned generation,
                        const char *refusal);

/* A reload begins; service_tell_ready ends it. */
void service_tell_reloading(void);

/* A drain begins, which may take so long; asks for more time to stop where it is needed.
 */
void service_tell_stopping(int64_t drain_timeout_ms);

struct watchdog;

/*
 * Where systemd wants signs of life (WatchdogSec=), gives four in an interval, each once
 * every worker has answered a question: so a silence is logged well before the end that
 * it leads to. *watchdog is NULL if none are wanted. gateway is borrowed until
 * watchdog_free.
 */
bool watchdog_start(struct watchdog **watchdog, struct event_base *base,
                    struct gateway *gateway, struct error *error) MUST_CHECK;

/* Before the gateway is freed. May be called with NULL. */
void watchdog_free(struct watchdog *watchdog);

#endif
