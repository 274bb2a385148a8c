#include "base/histogram.h"

/* Steps of a decade, in tenths of its beginning. */
enum { STEPS = 9, DECADES = 7 };
static const int64_t steps[STEPS] = {10, 15, 20, 25, 30, 40, 50, 60, 80};

_Static_assert(HISTOGRAM_BOUNDS == STEPS * DECADES + 1, "each step, and the end");

static const int64_t decades[DECADES + 1] = {10,     100,     1000,     10000,
                                             100000, 1000000, 10000000, 100000000};

int64_t histogram_bound_us(size_t bucket)
{
    return decades[bucket / STEPS] * steps[bucket % STEPS] / 10;
}

static size_t bucket_of(int64_t us)
{
    size_t low = 0, high = HISTOGRAM_BOUNDS; /* the bucket is in low..high */

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (us <= histogram_bound_us(middle))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* One thread writes: a load and a store will do, and cost no locked bus. */
static void increase(_Atomic uint64_t *number, uint64_t by)
{
    atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

void histogram_add(struct histogram *histogram, int64_t us)
{
    if (us < 0)
        us = 0;
    increase(&histogram->buckets[bucket_of(us)], 1);
    increase(&histogram->sum_us, (uint64_t)us);
}

void histogram_read(const struct histogram *histogram, struct histogram_counts *counts)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count =
            atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);

        counts->buckets[i] += count;
        counts->count += count;
    }
    counts->sum_us += atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
}

void histogram_subtract(struct histogram_counts *counts,
                        const struct histogram_counts *earlier)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        counts->buckets[i] -= earlier->buckets[i];
    counts->sum_us -= earlier->sum_us;
    counts->count -= earlier->count;
}

double histogram_quantile(const struct histogram_counts *counts, double share)
{
    double wanted = share * (double)counts->count;
    uint64_t below = 0;

    if (counts->count == 0)
        return -1;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        uint64_t here = counts->buckets[i];

        if (here > 0 && (double)(below + here) >= wanted) {
            double low = i > 0 ? (double)histogram_bound_us(i - 1) : 0;
            double high = (double)histogram_bound_us(i);

            return low + (high - low) * (wanted - (double)below) / (double)here;
        }
        below += here;
    }
    return (double)histogram_bound_us(HISTOGRAM_BOUNDS - 1);
}
