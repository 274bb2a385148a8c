/*
 * How often, and how much at once: a token bucket for each client's name and one for all
 * that goes upstream, shared by all workers. A bucket is one 64-bit word that is changed
 * by compare-and-swap (the generic cell rate algorithm): asking takes no lock.
 *
 * Buckets are kept by name, outside the immutable client sets, so that a reload neither
 * fills nor empties them. A bucket lives as long as a set names it, and no longer: their
 * number is bounded by the clients of the snapshots that are in use.
 *
 * The clock is an argument: monotonic microseconds. Threads may be a little apart.
 */
#ifndef PSGATE_ACCESS_RATES_H
#define PSGATE_ACCESS_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "config/units.h"

struct rate_limits {
    struct units_rate rate; /* count 0: no limit */
    int64_t burst;          /* 0: the rate's count */
    int64_t concurrency;    /* exchanges at once; 0: no limit */
};

struct rates;
struct rate_bucket;

/* NULL when memory is out. Freed only after every bucket was dropped, else left. */
struct rates *rates_new(void);
void rates_free(struct rates *rates);

/*
 * The bucket of that name, full and without limits if it is new; a reference, for
 * rate_bucket_drop. NULL when memory is out. Takes a lock: for loading, not for requests.
 */
struct rate_bucket *rates_bucket(struct rates *rates, struct span name);
void rate_bucket_drop(struct rate_bucket *bucket);

/* The bucket of all that goes upstream; the rates' own, without limits at first. */
struct rate_bucket *rates_upstream(struct rates *rates);

/*
 * Puts limits in force; the same ones change nothing. What was taken stays taken: so many
 * tokens are missing under the new rate, too (all, where the burst is smaller now). One
 * thread at a time.
 */
void rate_bucket_limit(struct rate_bucket *bucket, const struct rate_limits *limits,
                       int64_t now_us);

struct rate_answer {
    bool is_admitted;
    int64_t remaining;     /* tokens left; INT64_MAX: no limit */
    int64_t reset_s;       /* until the bucket is full again, rounded up */
    int64_t retry_after_s; /* until there is a token, rounded up; 0: admitted */
};

/* Takes a token if there is one; and only looks whether there is. */
struct rate_answer rate_bucket_ask(struct rate_bucket *bucket, int64_t now_us);
struct rate_answer rate_bucket_look(const struct rate_bucket *bucket, int64_t now_us);

/* Takes over what others have counted: it is full again in so many microseconds. */
void rate_bucket_adopt(struct rate_bucket *bucket, int64_t full_in_us, int64_t now_us);

/* A place among those that run at once. All-zero holds none. */
struct rate_slot {
    struct rate_bucket *bucket; /* non-NULL iff a place is held */
};

/*
 * Takes a place; false: they are all taken. Where there is no limit none is counted. The
 * bucket must outlive it. Releasing twice, or what holds none, is fine.
 */
bool rate_slot_acquire(struct rate_slot *slot, struct rate_bucket *bucket);
void rate_slot_release(struct rate_slot *slot);

#endif
