#include "net/deadline.h"

#include "base/clock.h"

static void arm(struct deadline *deadline, int64_t now_ms)
{
    int64_t delay_ms = deadline->due_ms > now_ms ? deadline->due_ms - now_ms : 0;
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

    deadline->armed_ms = deadline->due_ms;
    if (event_add(&deadline->timer, &delay) != 0) { /* no memory: it counts as missed */
        deadline->due_ms = deadline->armed_ms = now_ms;
        event_active(&deadline->timer, EV_TIMEOUT, 0); /* takes none */
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct deadline *deadline = arg;
    int64_t now_ms = clock_monotonic_ms();

    (void)fd;
    (void)what;
    deadline->armed_ms = 0;
    if (deadline->due_ms == 0)
        return;
    if (deadline->due_ms > now_ms) {
        arm(deadline, now_ms);
        return;
    }
    deadline->due_ms = 0;
    deadline->on_missed(deadline->owner);
}

void deadline_init(struct deadline *deadline, struct worker *worker,
                   void (*on_missed)(void *owner), void *owner)
{
    *deadline = (struct deadline){.on_missed = on_missed, .owner = owner};
    (void)evtimer_assign(&deadline->timer, worker->base, on_timer, deadline);
}

void deadline_set(struct deadline *deadline, int64_t delay_ms)
{
    deadline_set_at(deadline, clock_monotonic_ms(), delay_ms);
}

void deadline_set_at(struct deadline *deadline, int64_t now_ms, int64_t delay_ms)
{
    deadline->due_ms = now_ms + delay_ms;
    if (deadline->armed_ms == 0 || deadline->armed_ms > deadline->due_ms)
        arm(deadline, now_ms);
}

void deadline_lift(struct deadline *deadline)
{
    deadline->due_ms = 0;
}

void deadline_fini(struct deadline *deadline)
{
    deadline->due_ms = 0;
    if (deadline->timer.ev_base != NULL)
        (void)event_del(&deadline->timer);
}
