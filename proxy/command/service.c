#include "command/service.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/log.h"

/* What a stop takes besides the drain: the trail's last records, and freeing. */
enum { STOP_EXTRA_MS = 10000 };

/* The start goes on: systemd says itself, at the end of its patience, what it misses. */
static void tell(const char *message)
{
    int result = sd_notify(0, message);

    if (result < 0)
        log_warn("systemd cannot be told about this service: %s",
                 error_errno_text(-result));
}

void service_tell_ready(const struct gateway *gateway, unsigned generation,
                        const char *refusal)
{
    size_t count = gateway_listener_count(gateway);
    char message[1024];
    int head = snprintf(message, sizeof(message), "READY=1\n");

    (void)snprintf(message + head, sizeof(message) - (size_t)head,
                   "STATUS=%s%sserving %zu address%s, configuration loaded as "
                   "generation %u",
                   refusal != NULL ? refusal : "", refusal != NULL ? "; " : "", count,
                   count == 1 ? "" : "es", generation);
    for (char *at = message + head; *at != '\0'; at++) {
        if (iscntrl((unsigned char)*at))
            *at = '?'; /* a path may have a line feed, and what follows is no message */
    }
    tell(message);
}

void service_tell_reloading(void)
{
    char message[128];

    (void)snprintf(message, sizeof(message),
                   "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=loading everything again",
                   (long long)clock_monotonic_us());
    tell(message);
}

void service_tell_stopping(int64_t drain_timeout_ms)
{
    char message[256];

    (void)snprintf(message, sizeof(message),
                   "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\n"
                   "STATUS=stopping, requests in flight may finish for at most %lld ms",
                   (long long)(drain_timeout_ms + STOP_EXTRA_MS) * 1000,
                   (long long)drain_timeout_ms);
    tell(message);
}

/* The watchdog */

struct watchdog {
    struct gateway *gateway;
    struct event *tick;
    int64_t interval_ms;
    bool is_late; /* said once for each silence */
};

static void on_alive(void *arg)
{
    struct watchdog *watchdog = arg;

    if (watchdog->is_late)
        log_info("watchdog: all workers answer again");
    watchdog->is_late = false;
    tell("WATCHDOG=1");
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct watchdog *watchdog = arg;
    size_t silent;

    (void)fd;
    (void)what;
    if (gateway_ask_workers(watchdog->gateway, on_alive, watchdog, &silent) ||
        watchdog->is_late)
        return;
    watchdog->is_late = true;
    log_error("watchdog: worker %zu has not answered for %lld ms: systemd ends psgate "
              "after %lld ms without a sign of life",
              silent, (long long)watchdog->interval_ms / 4,
              (long long)watchdog->interval_ms);
}

bool watchdog_start(struct watchdog **watchdog, struct event_base *base,
                    struct gateway *gateway, struct error *error)
{
    uint64_t interval_us = 0;
    struct timeval quarter;

    *watchdog = NULL;
    if (sd_watchdog_enabled(0, &interval_us) <= 0)
        return true;
    quarter = (struct timeval){.tv_sec = (time_t)(interval_us / 4 / 1000000),
                               .tv_usec = (suseconds_t)(interval_us / 4 % 1000000)};
    *watchdog = calloc(1, sizeof(**watchdog));
    if (*watchdog == NULL)
        return error_set(error, "out of memory");
    (*watchdog)->gateway = gateway;
    (*watchdog)->interval_ms = (int64_t)(interval_us / 1000);
    (*watchdog)->tick = event_new(base, -1, EV_PERSIST, on_tick, *watchdog);
    if ((*watchdog)->tick != NULL && event_add((*watchdog)->tick, &quarter) == 0)
        return true;
    watchdog_free(*watchdog);
    *watchdog = NULL;
    return error_set(error, "cannot make a timer for the watchdog");
}

void watchdog_free(struct watchdog *watchdog)
{
    if (watchdog == NULL)
        return;
    if (watchdog->tick != NULL)
        event_free(watchdog->tick);
    free(watchdog);
}
