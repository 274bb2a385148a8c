#include "access/rates.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { CHAINS = 256 };

#define NS_PER_SECOND ((int64_t)1000000000)

struct rate_bucket {
    /*
     * The moment at which the bucket is full again, in nanoseconds: each token that is
     * missing moves it one interval away from now. In the past: it is full.
     */
    _Atomic int64_t full_at_ns;
    _Atomic int64_t interval_ns; /* for one token; 0: no limit */
    _Atomic int64_t burst;
    _Atomic int64_t concurrency, running;
    struct rate_limits limits; /* as given; for rate_bucket_limit alone */

    struct rates *rates;
    struct rate_bucket *next; /* in its chain */
    unsigned references;      /* under the lock */
    char *name;
    size_t name_len;
};

struct rates {
    pthread_mutex_t lock; /* over chains and references */
    struct rate_bucket *chains[CHAINS];
    struct rate_bucket upstream;
};

/* Buckets by name */

struct rates *rates_new(void)
{
    struct rates *rates = calloc(1, sizeof(*rates));

    if (rates != NULL)
        (void)pthread_mutex_init(&rates->lock, NULL);
    return rates;
}

void rates_free(struct rates *rates)
{
    if (rates == NULL)
        return;
    for (size_t i = 0; i < CHAINS; i++) {
        if (rates->chains[i] != NULL)
            return; /* a record that no disk took keeps its snapshot, at the very end */
    }
    (void)pthread_mutex_destroy(&rates->lock);
    free(rates);
}

struct rate_bucket *rates_upstream(struct rates *rates)
{
    return &rates->upstream;
}

static struct rate_bucket **chain_of(struct rates *rates, struct span name)
{
    return &rates->chains[span_hash(name, 0) % CHAINS];
}

static struct span name_of(const struct rate_bucket *bucket)
{
    return span_make(bucket->name, bucket->name_len);
}

static struct rate_bucket *make_bucket(struct rates *rates, struct span name)
{
    struct rate_bucket *bucket = calloc(1, sizeof(*bucket));

    if (bucket == NULL)
        return NULL;
    bucket->name = malloc(name.len + 1);
    if (bucket->name == NULL) {
        free(bucket);
        return NULL;
    }
    memcpy(bucket->name, name.at, name.len);
    bucket->name_len = name.len;
    bucket->rates = rates;
    return bucket;
}

static struct rate_bucket *find_or_make(struct rates *rates, struct span name)
{
    struct rate_bucket **chain = chain_of(rates, name);
    struct rate_bucket *bucket = *chain;

    while (bucket != NULL && !span_equal(name_of(bucket), name))
        bucket = bucket->next;
    if (bucket == NULL) {
        bucket = make_bucket(rates, name);
        if (bucket == NULL)
            return NULL;
        bucket->next = *chain;
        *chain = bucket;
    }
    bucket->references++;
    return bucket;
}

struct rate_bucket *rates_bucket(struct rates *rates, struct span name)
{
    struct rate_bucket *bucket;

    (void)pthread_mutex_lock(&rates->lock);
    bucket = find_or_make(rates, name);
    (void)pthread_mutex_unlock(&rates->lock);
    return bucket;
}

/* The last reference is gone: nobody can find it any more. */
static void unlink_bucket(struct rate_bucket *bucket)
{
    struct rate_bucket **link = chain_of(bucket->rates, name_of(bucket));

    while (*link != bucket)
        link = &(*link)->next;
    *link = bucket->next;
}

void rate_bucket_drop(struct rate_bucket *bucket)
{
    struct rates *rates;
    bool is_last;

    if (bucket == NULL)
        return;
    rates = bucket->rates;
    (void)pthread_mutex_lock(&rates->lock);
    is_last = --bucket->references == 0;
    if (is_last)
        unlink_bucket(bucket);
    (void)pthread_mutex_unlock(&rates->lock);
    if (!is_last)
        return;
    free(bucket->name);
    free(bucket);
}

/* Limits */

/* Rounded up: a little too slow is within the limit, a little too fast is not. */
static int64_t interval_of(const struct rate_limits *limits)
{
    int64_t count = limits->rate.count;

    if (count == 0)
        return 0;
    return (limits->rate.period_s * NS_PER_SECOND + count - 1) / count;
}

static int64_t burst_of(const struct rate_limits *limits)
{
    return limits->burst != 0 ? limits->burst : limits->rate.count;
}

static bool is_same(const struct rate_limits *one, const struct rate_limits *other)
{
    return one->rate.count == other->rate.count &&
           one->rate.period_s == other->rate.period_s && one->burst == other->burst &&
           one->concurrency == other->concurrency;
}

/* The moment that means under the new interval as many missing tokens as it did before.
 */
static int64_t rescaled(int64_t full_at_ns, int64_t now_ns, int64_t before,
                        int64_t interval, int64_t burst)
{
    int64_t missing = 0;

    if (full_at_ns > now_ns && before > 0)
        missing = (full_at_ns - now_ns + before - 1) / before;
    return now_ns + (missing < burst ? missing : burst) * interval;
}

void rate_bucket_limit(struct rate_bucket *bucket, const struct rate_limits *limits,
                       int64_t now_us)
{
    int64_t now_ns = now_us * 1000;
    int64_t before = atomic_load(&bucket->interval_ns);
    int64_t interval = interval_of(limits), burst = burst_of(limits);
    int64_t was, is;

    if (is_same(&bucket->limits, limits))
        return;
    bucket->limits = *limits;
    atomic_store(&bucket->concurrency, limits->concurrency);
    if (before == interval && atomic_load(&bucket->burst) == burst)
        return;
    if (interval != 0)
        atomic_store(&bucket->burst, burst); /* first: it is never 0 with an interval */
    atomic_store(&bucket->interval_ns, interval);
    /*
     * Whoever reads the new moment reads the new interval, too; and whoever is about to
     * write by the old one must fail to, so that the moment changes in any case.
     */
    was = atomic_load(&bucket->full_at_ns);
    do {
        is = rescaled(was, now_ns, before, interval, burst);
        if (is == was)
            is--;
    } while (!atomic_compare_exchange_weak(&bucket->full_at_ns, &was, is));
}

/* Tokens */

static int64_t seconds_up(int64_t ns)
{
    return ns > 0 ? (ns + NS_PER_SECOND - 1) / NS_PER_SECOND : 0;
}

/* What a bucket that is full at that moment says; *next is the moment after one more. */
static struct rate_answer answer(int64_t full_at_ns, int64_t now_ns, int64_t interval,
                                 int64_t burst, int64_t *next)
{
    int64_t empty_ns = now_ns + interval * burst;
    int64_t start = full_at_ns > now_ns ? full_at_ns : now_ns;
    int64_t spare; /* for tokens that are there */

    if (start > empty_ns)
        start = empty_ns;
    spare = empty_ns - start;
    *next = start + interval;
    if (spare >= interval)
        return (struct rate_answer){.is_admitted = true,
                                    .remaining = spare / interval - 1,
                                    .reset_s = seconds_up(*next - now_ns)};
    return (struct rate_answer){.reset_s = seconds_up(start - now_ns),
                                .retry_after_s = seconds_up(interval - spare)};
}

static const struct rate_answer unlimited = {.is_admitted = true, .remaining = INT64_MAX};

/*
 * More than all tokens are missing, by far more than clocks are apart: two changes of the
 * limits have hidden each other from a thread that was between reading and writing.
 */
static void mend(struct rate_bucket *bucket, int64_t full_at_ns, int64_t now_ns)
{
    int64_t empty_ns =
        now_ns + atomic_load(&bucket->interval_ns) * atomic_load(&bucket->burst);

    if (full_at_ns - empty_ns > NS_PER_SECOND)
        (void)atomic_compare_exchange_strong(&bucket->full_at_ns, &full_at_ns, empty_ns);
}

struct rate_answer rate_bucket_ask(struct rate_bucket *bucket, int64_t now_us)
{
    int64_t full_at = atomic_load(&bucket->full_at_ns);
    struct rate_answer result;
    int64_t interval, next;

    do { /* the interval after the moment: see rate_bucket_limit */
        interval = atomic_load(&bucket->interval_ns);
        if (interval == 0)
            return unlimited;
        result =
            answer(full_at, now_us * 1000, interval, atomic_load(&bucket->burst), &next);
    } while (result.is_admitted &&
             !atomic_compare_exchange_weak(&bucket->full_at_ns, &full_at, next));
    if (!result.is_admitted)
        mend(bucket, full_at, now_us * 1000);
    return result;
}

struct rate_answer rate_bucket_look(const struct rate_bucket *bucket, int64_t now_us)
{
    int64_t full_at = atomic_load(&bucket->full_at_ns);
    int64_t interval = atomic_load(&bucket->interval_ns);
    int64_t next;

    if (interval == 0)
        return unlimited;
    return answer(full_at, now_us * 1000, interval, atomic_load(&bucket->burst), &next);
}

/* Places */

void rate_bucket_adopt(struct rate_bucket *bucket, int64_t full_in_us, int64_t now_us)
{
    atomic_store(&bucket->full_at_ns, (now_us + full_in_us) * 1000);
}

bool rate_slot_acquire(struct rate_slot *slot, struct rate_bucket *bucket)
{
    int64_t most = atomic_load(&bucket->concurrency);
    int64_t running = atomic_load(&bucket->running);

    assert(slot->bucket == NULL);
    if (most == 0)
        return true;
    do {
        if (running >= most)
            return false;
    } while (!atomic_compare_exchange_weak(&bucket->running, &running, running + 1));
    slot->bucket = bucket;
    return true;
}

void rate_slot_release(struct rate_slot *slot)
{
    if (slot->bucket == NULL)
        return;
    (void)atomic_fetch_sub(&slot->bucket->running, 1);
    slot->bucket = NULL;
}
