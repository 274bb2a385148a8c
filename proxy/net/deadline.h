/*
 * A deadline that is moved often and rarely missed. Moving it later is a store: the timer
 * behind it fires at the old time, sees that there is time left, and sleeps on.
 */
#ifndef PSGATE_NET_DEADLINE_H
#define PSGATE_NET_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "net/worker.h"

struct deadline {
    struct event timer;
    int64_t due_ms;   /* monotonic; 0: none */
    int64_t armed_ms; /* when the timer fires; 0: it is off */
    void (*on_missed)(void *owner);
    void *owner;
};

void deadline_init(struct deadline *deadline, struct worker *worker,
                   void (*on_missed)(void *owner), void *owner);

/*
 * on_missed is called once after delay_ms, unless the deadline is moved or lifted before.
 * If there is no memory for the timer it counts as missed: on_missed is called by the
 * loop now.
 */
void deadline_set(struct deadline *deadline, int64_t delay_ms);
/* The same for who has just looked at the clock. */
void deadline_set_at(struct deadline *deadline, int64_t now_ms, int64_t delay_ms);
void deadline_lift(struct deadline *deadline);

static inline bool deadline_is_set(const struct deadline *deadline)
{
    return deadline->due_ms != 0;
}

/* Turns the timer off for good; before the owner is freed. */
void deadline_fini(struct deadline *deadline);

#endif
