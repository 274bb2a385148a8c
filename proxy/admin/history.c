#include "admin/history.h"

#include <stdlib.h>

#include "admin/tally.h"

struct history {
    struct history_point points[HISTORY_POINTS];
    size_t count, next; /* of points; where the next one goes */
    int64_t last_ms;    /* when the newest point ended */

    struct tally tally; /* at that time */
    struct metrics_times times;
};

struct history *history_new(void)
{
    return calloc(1, sizeof(struct history));
}

void history_free(struct history *history)
{
    free(history);
}

static bool read_tally(struct metrics *metrics, struct tally *tally)
{
    size_t count;
    struct metrics_series *series = metrics_read_requests(metrics, &count);

    *tally = (struct tally){0};
    for (size_t i = 0; series != NULL && i < count; i++)
        tally_add(tally, &series[i]);
    free(series);
    return series != NULL;
}

static void read_times(struct metrics *metrics, struct metrics_times *times)
{
    *times = (struct metrics_times){.total = {.count = 0}};
    for (unsigned i = 0; metrics_operation(metrics, i) != NULL; i++)
        metrics_read_times(metrics, i, times);
}

static double seconds(const struct histogram_counts *counts, double share)
{
    double us = histogram_quantile(counts, share);

    return us < 0 ? -1 : us / 1e6;
}

void history_sample(struct history *history, struct metrics *metrics, int64_t now_wall_ms)
{
    struct history_point *point = &history->points[history->next];
    struct metrics_times times, since;
    struct tally tally;

    if (!read_tally(metrics, &tally))
        return; /* memory is out: the next point has more in it */
    read_times(metrics, &times);
    since = times;
    histogram_subtract(&since.total, &history->times.total);
    histogram_subtract(&since.upstream, &history->times.upstream);
    *point = (struct history_point){
        .requests = tally.requests - history->tally.requests,
        .errors = tally.errors - history->tally.errors,
        .refused = tally.refused - history->tally.refused,
        .hits = tally.outcomes[CACHE_OUTCOME_HIT] -
                history->tally.outcomes[CACHE_OUTCOME_HIT],
        .p50 = seconds(&since.total, 0.5),
        .p90 = seconds(&since.total, 0.9),
        .p99 = seconds(&since.total, 0.99),
        .upstream_p50 = seconds(&since.upstream, 0.5),
        .upstream_p99 = seconds(&since.upstream, 0.99),
    };
    history->tally = tally;
    history->times = times;
    history->last_ms = now_wall_ms;
    history->next = (history->next + 1) % HISTORY_POINTS;
    if (history->count < HISTORY_POINTS)
        history->count++;
}

size_t history_count(const struct history *history, int64_t *from_ms)
{
    *from_ms = history->last_ms - (int64_t)history->count * HISTORY_STEP_S * 1000;
    return history->count;
}

const struct history_point *history_at(const struct history *history, size_t index)
{
    size_t first = (history->next + HISTORY_POINTS - history->count) % HISTORY_POINTS;

    return &history->points[(first + index) % HISTORY_POINTS];
}
