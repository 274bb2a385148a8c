/*
 * Two questions about the cache's memory, answered side by side in one run: does SIEVE
 * hit more often than LRU where requests follow Zipf's law, and does a look-up cost more
 * among a million entries than among a thousand?
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cache/sieve.h"
#include "cache/store.h"

enum {
    OBJECTS = 100000,
    REQUESTS = 2000000,
    FEW = 1000,
    MANY = 1000000,
    ROUNDS = 21,
    FINDS = 400000, /* a round */
};

/* xorshift: the same numbers everywhere. */
struct numbers {
    uint64_t state;
};

static uint64_t next(struct numbers *numbers)
{
    numbers->state ^= numbers->state << 13;
    numbers->state ^= numbers->state >> 7;
    numbers->state ^= numbers->state << 17;
    return numbers->state;
}

static void *must(void *memory)
{
    if (memory == NULL) {
        (void)fputs("out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

/* Zipf(1.0): the object of rank r is asked for in proportion to 1/r. */
static unsigned *make_trace(void)
{
    double *sums = must(malloc(OBJECTS * sizeof(*sums))), sum = 0;
    unsigned *trace = must(malloc(REQUESTS * sizeof(*trace)));
    struct numbers numbers = {20240416};

    for (unsigned i = 0; i < OBJECTS; i++)
        sums[i] = sum += 1.0 / (i + 1);
    for (unsigned i = 0; i < REQUESTS; i++) {
        double wanted = (double)(next(&numbers) >> 11) / 9007199254740992.0 * sum;
        unsigned low = 0, high = OBJECTS - 1;

        while (low < high) {
            unsigned middle = low + (high - low) / 2;

            if (sums[middle] < wanted)
                low = middle + 1;
            else
                high = middle;
        }
        trace[i] = low;
    }
    free(sums);
    return trace;
}

static struct cache_entry *new_entry(struct span key, struct span head, struct span body)
{
    static const struct cache_policy policy = {.lifetime_ms = 60000};

    return must(cache_entry_new(&(struct cache_entry_parts){
        .key = key, .head = head, .body = body, .status = 200, .policy = &policy}));
}

static unsigned sieve_hits(const unsigned *trace, unsigned size)
{
    struct cache_entry **entries = must(calloc(OBJECTS, sizeof(struct cache_entry *)));
    struct sieve sieve = {0};
    unsigned hits = 0, count = 0;

    for (unsigned i = 0; i < REQUESTS; i++) {
        struct cache_entry **entry = &entries[trace[i]];

        if (*entry != NULL) {
            atomic_store_explicit(&(*entry)->was_visited, true, memory_order_relaxed);
            hits++;
            continue;
        }
        if (count == size) {
            struct cache_entry *victim = sieve_choose(&sieve);
            unsigned object;

            memcpy(&object, cache_entry_key(victim).at, sizeof(object));
            sieve_remove(&sieve, victim);
            cache_entry_unref(victim);
            entries[object] = NULL;
            count--;
        }
        *entry = new_entry(span_make((const char *)&trace[i], sizeof(trace[i])),
                           span_make(NULL, 0), span_make(NULL, 0));
        sieve_add(&sieve, *entry);
        count++;
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        cache_entry_unref(entries[i]);
    free(entries);
    return hits;
}

/* A list of objects, the one used last in front; object OBJECTS is both ends. */
struct lru {
    unsigned *before, *behind;
    bool *is_there;
};

static void lru_unlink(struct lru *lru, unsigned object)
{
    lru->behind[lru->before[object]] = lru->behind[object];
    lru->before[lru->behind[object]] = lru->before[object];
}

static void lru_push(struct lru *lru, unsigned object)
{
    lru->before[object] = OBJECTS;
    lru->behind[object] = lru->behind[OBJECTS];
    lru->before[lru->behind[OBJECTS]] = object;
    lru->behind[OBJECTS] = object;
}

static unsigned lru_hits(const unsigned *trace, unsigned size)
{
    struct lru lru = {must(calloc(OBJECTS + 1, sizeof(unsigned))),
                      must(calloc(OBJECTS + 1, sizeof(unsigned))),
                      must(calloc(OBJECTS + 1, sizeof(bool)))};
    unsigned hits = 0, count = 0;

    lru.before[OBJECTS] = lru.behind[OBJECTS] = OBJECTS;
    for (unsigned i = 0; i < REQUESTS; i++) {
        unsigned object = trace[i];

        if (lru.is_there[object]) {
            hits++;
            lru_unlink(&lru, object);
        } else if (count == size) {
            unsigned last = lru.before[OBJECTS];

            lru_unlink(&lru, last);
            lru.is_there[last] = false;
        } else {
            count++;
        }
        lru_push(&lru, object);
        lru.is_there[object] = true;
    }
    free(lru.before);
    free(lru.behind);
    free(lru.is_there);
    return hits;
}

static void compare_hit_ratios(void)
{
    static const unsigned sizes[] = {OBJECTS / 1000, OBJECTS / 100, OBJECTS / 10};
    unsigned *trace = make_trace();

    (void)printf("hit ratio, Zipf(1.0), %d requests over %d objects\n", REQUESTS,
                 OBJECTS);
    (void)printf("%12s %10s %10s\n", "cache size", "SIEVE", "LRU");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        (void)printf("%11.1f%% %10.4f %10.4f\n", 100.0 * sizes[i] / OBJECTS,
                     (double)sieve_hits(trace, sizes[i]) / REQUESTS,
                     (double)lru_hits(trace, sizes[i]) / REQUESTS);
    free(trace);
}

/* Keys and answers of the size that lookups have. */
static struct span make_key(char key[96], unsigned number)
{
    return span_make(
        key, (size_t)snprintf(key, 96, "default\nlistTeamMembers\n/v1/teams/%08u/users",
                              number));
}

static struct store *make_store(unsigned count)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: 173\r\nETag: \"0123456789abcdef\"\r\n";
    static const char body[173];
    struct store *store = must(store_new((size_t)4 << 30));
    char key[96];

    for (unsigned i = 0; i < count; i++) {
        struct cache_entry *entry =
            new_entry(make_key(key, i), SPAN(head), span_make(body, sizeof(body)));

        store_put(store, entry);
        cache_entry_unref(entry);
    }
    if (store_sizes(store).entries != count)
        (void)fprintf(stderr, "only %zu entries\n", store_sizes(store).entries);
    return store;
}

/* The hot keys, spread over all there are. */
struct hot_set {
    unsigned count;
    char (*keys)[96];
    struct span *spans;
};

static struct hot_set make_hot_set(unsigned count, unsigned of)
{
    struct hot_set set = {count, must(malloc(count * sizeof(*set.keys))),
                          must(malloc(count * sizeof(*set.spans)))};

    for (unsigned i = 0; i < count; i++)
        set.spans[i] = make_key(set.keys[i], i * (of / count));
    return set;
}

static void free_hot_set(struct hot_set *set)
{
    free(set->keys);
    free(set->spans);
}

static double time_finds(struct store *store, const struct hot_set *set,
                         struct numbers *numbers)
{
    struct timespec begin, end;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (unsigned i = 0; i < FINDS; i++) {
        struct cache_entry *entry =
            store_find(store, set->spans[next(numbers) % set->count]);

        if (entry == NULL)
            exit(EXIT_FAILURE);
        cache_entry_unref(entry);
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    return ((double)(end.tv_sec - begin.tv_sec) * 1e9 +
            (double)(end.tv_nsec - begin.tv_nsec)) /
           FINDS;
}

static int compare_doubles(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;

    return (a > b) - (a < b);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), compare_doubles);
    return values[ROUNDS / 2];
}

/* Rounds take turns, so that whatever else the machine does meets both alike. */
static void compare_finds(struct store *few, struct store *many, unsigned hot)
{
    struct hot_set few_set = make_hot_set(hot, FEW), many_set = make_hot_set(hot, MANY);
    double few_ns[ROUNDS], many_ns[ROUNDS];
    struct numbers numbers = {20240416};

    for (int i = 0; i < ROUNDS; i++) {
        few_ns[i] = time_finds(few, &few_set, &numbers);
        many_ns[i] = time_finds(many, &many_set, &numbers);
    }
    (void)printf("%12u %10.1f %10.1f %10.2f\n", hot, median(few_ns), median(many_ns),
                 median(many_ns) / median(few_ns));
    free_hot_set(&few_set);
    free_hot_set(&many_set);
}

int main(void)
{
    struct store *few, *many;

    compare_hit_ratios();
    few = make_store(FEW);
    many = make_store(MANY);
    (void)printf("\nns of CPU a find and release, median of %d rounds\n", ROUNDS);
    (void)printf("%12s %10d %10d %10s\n", "hot keys", FEW, MANY, "ratio");
    compare_finds(few, many, 10);
    compare_finds(few, many, 100);
    compare_finds(few, many, 1000);
    (void)printf("\n%.1f bytes an entry in a store of %d\n",
                 (double)store_sizes(many).bytes / MANY, MANY);
    store_free(few);
    store_free(many);
    return EXIT_SUCCESS;
}
