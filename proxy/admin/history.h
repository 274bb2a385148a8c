/*
 * The last hour, a point every ten seconds: what the status page draws. Taken on the
 * admin thread from the workers' counts.
 */
#ifndef PSGATE_ADMIN_HISTORY_H
#define PSGATE_ADMIN_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/metrics.h"

enum { HISTORY_STEP_S = 10, HISTORY_POINTS = 360 };

/* What happened within a step. Durations are in seconds; below 0: there was none. */
struct history_point {
    uint64_t requests, errors, refused, hits;
    double p50, p90, p99, upstream_p50, upstream_p99;
};

struct history;

struct history *history_new(void);
void history_free(struct history *history);

/* Adds a point: what came since the last call. */
void history_sample(struct history *history, struct metrics *metrics,
                    int64_t now_wall_ms);

/* How many points there are, and when the first of them begins (wall clock, ms). */
size_t history_count(const struct history *history, int64_t *from_ms);

/* A point; 0 is the oldest. */
const struct history_point *history_at(const struct history *history, size_t index);

#endif
