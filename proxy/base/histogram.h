/*
 * How long things took: counts in buckets of time, nine a decade from 10 µs to 100 s.
 * One thread adds, without a lock; any thread may read meanwhile, and gets each number
 * as it is at that moment.
 */
#ifndef PSGATE_BASE_HISTOGRAM_H
#define PSGATE_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* The last bucket is for all that is longer than the last bound. */
enum { HISTOGRAM_BOUNDS = 64, HISTOGRAM_BUCKETS = HISTOGRAM_BOUNDS + 1 };

struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_us;
};

/* What was read of one or several: plain numbers. */
struct histogram_counts {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t sum_us, count;
};

/* Adds a duration; below 0 counts as 0. On the one thread that adds. */
void histogram_add(struct histogram *histogram, int64_t us);

/* Adds what the histogram has to *counts, which began as all zero. From any thread. */
void histogram_read(const struct histogram *histogram, struct histogram_counts *counts);

/* Takes earlier counts of the same histograms off: what came since. */
void histogram_subtract(struct histogram_counts *counts,
                        const struct histogram_counts *earlier);

/*
 * The duration in µs that the given share (0..1) of them does not exceed, interpolated
 * within its bucket; -1 when there are none.
 */
double histogram_quantile(const struct histogram_counts *counts, double share);

/* The upper bound of a bucket but the last, in µs; included. */
int64_t histogram_bound_us(size_t bucket);

#endif
