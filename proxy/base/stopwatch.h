/*
 * A stopwatch: the sum of the spans during which something went on. Times are of
 * clock_monotonic_us. All zero is a stopwatch that stands at 0.
 */
#ifndef PSGATE_BASE_STOPWATCH_H
#define PSGATE_BASE_STOPWATCH_H

#include <stdint.h>

struct stopwatch {
    int64_t since_us; /* 0: it stands */
    int64_t sum_us;   /* of the spans that are over */
};

/* Starting one that runs, and stopping one that stands, is of no effect. */
static inline void stopwatch_start(struct stopwatch *watch, int64_t now_us)
{
    if (watch->since_us == 0)
        watch->since_us = now_us;
}

static inline void stopwatch_stop(struct stopwatch *watch, int64_t now_us)
{
    if (watch->since_us != 0)
        watch->sum_us += now_us - watch->since_us;
    watch->since_us = 0;
}

/* The sum, with the span that is not over. 0 if it was never started. */
static inline int64_t stopwatch_read(const struct stopwatch *watch, int64_t now_us)
{
    return watch->sum_us + (watch->since_us != 0 ? now_us - watch->since_us : 0);
}

#endif
