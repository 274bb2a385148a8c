#include "gateway/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/table.h"

enum { USAGE_CHUNK = 64, USAGE_CHUNKS = METRICS_CLIENTS / USAGE_CHUNK };

/* One combination of labels; the key is written once, before the first count. */
struct series {
    _Atomic uint32_t key; /* 0: free */
    _Atomic uint64_t count;
};

struct times {
    struct histogram total, upstream;
};

struct usage {
    _Atomic uint64_t requests, refused;
    _Atomic int64_t last_us;
};

struct metrics_shard {
    struct metrics_shard *next;
    _Atomic uint64_t begun, ended;
    _Atomic uint64_t reasons[REASON_COUNT];
    unsigned series_used; /* its worker's alone */
    struct series series[METRICS_SERIES];
    void *_Atomic times[METRICS_OPERATIONS]; /* each a struct times, or NULL */
    void *_Atomic usage[USAGE_CHUNKS];       /* each an array of USAGE_CHUNK */
};

struct metrics {
    pthread_mutex_t lock; /* over all of it; what is in a shard is its worker's */
    struct metrics_shard *shards;
    char *operations[METRICS_OPERATIONS];
    unsigned operation_count;
    struct table *clients; /* name -> its number, as a pointer */
    char **client_names;
    size_t client_count; /* number 0 is for those beyond the bound */
};

static void increase(_Atomic uint64_t *number)
{
    atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Life */

struct metrics *metrics_new(void)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));

    if (metrics == NULL)
        return NULL;
    (void)pthread_mutex_init(&metrics->lock, NULL);
    metrics->clients = table_new();
    metrics->operations[METRICS_OTHER] = strdup("other");
    metrics->operation_count = 1;
    metrics->client_count = 1;
    if (metrics->clients == NULL || metrics->operations[METRICS_OTHER] == NULL) {
        metrics_free(metrics);
        return NULL;
    }
    return metrics;
}

static void free_shard(struct metrics_shard *shard)
{
    for (size_t i = 0; i < METRICS_OPERATIONS; i++)
        free(atomic_load(&shard->times[i]));
    for (size_t i = 0; i < USAGE_CHUNKS; i++)
        free(atomic_load(&shard->usage[i]));
    free(shard);
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    while (metrics->shards != NULL) {
        struct metrics_shard *shard = metrics->shards;

        metrics->shards = shard->next;
        free_shard(shard);
    }
    for (unsigned i = 0; i < metrics->operation_count; i++)
        free(metrics->operations[i]);
    table_free(metrics->clients);
    for (size_t i = 1; i < metrics->client_count; i++)
        free(metrics->client_names[i]);
    free(metrics->client_names);
    (void)pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

struct metrics_shard *metrics_add_shard(struct metrics *metrics)
{
    struct metrics_shard *shard = calloc(1, sizeof(*shard));

    if (shard == NULL)
        return NULL;
    (void)pthread_mutex_lock(&metrics->lock);
    shard->next = metrics->shards;
    metrics->shards = shard;
    (void)pthread_mutex_unlock(&metrics->lock);
    return shard;
}

/* Names */

/* The number of a client's name, made when it is new. False: memory is out. */
static bool number_client(struct metrics *metrics, const char *name, uint32_t *number)
{
    uintptr_t known = (uintptr_t)table_find(metrics->clients, span_of(name));
    size_t count = metrics->client_count;
    char *copy;

    *number = (uint32_t)known;
    if (known != 0 || count == METRICS_CLIENTS)
        return true;
    if ((count & (count - 1)) == 0) { /* there is room for as many as a power of two */
        char **names = realloc(metrics->client_names, 2 * count * sizeof(char *));

        if (names == NULL)
            return false;
        metrics->client_names = names;
    }
    copy = strdup(name);
    if (copy == NULL ||
        !table_add(metrics->clients, span_of(copy), (void *)(uintptr_t)count)) {
        free(copy);
        return false;
    }
    metrics->client_names[metrics->client_count++] = copy;
    *number = (uint32_t)count;
    return true;
}

bool metrics_name_clients(struct metrics *metrics, struct client_set *set)
{
    bool is_done = true;

    (void)pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; is_done && i < set->count; i++)
        is_done = number_client(metrics, set->clients[i].name, &set->clients[i].number);
    (void)pthread_mutex_unlock(&metrics->lock);
    return is_done;
}

static uint16_t number_operation(struct metrics *metrics, const char *id)
{
    for (unsigned i = 0; i < metrics->operation_count; i++) {
        if (strcmp(metrics->operations[i], id) == 0)
            return (uint16_t)i;
    }
    if (metrics->operation_count == METRICS_OPERATIONS)
        return METRICS_OTHER;
    metrics->operations[metrics->operation_count] = strdup(id);
    if (metrics->operations[metrics->operation_count] == NULL)
        return METRICS_OTHER;
    return (uint16_t)metrics->operation_count++;
}

uint16_t *metrics_name_operations(struct metrics *metrics,
                                  const struct operation_table *table)
{
    uint16_t *numbers = calloc(table->count + 1, sizeof(*numbers));

    if (numbers == NULL)
        return NULL;
    (void)pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < table->count; i++)
        numbers[i] = number_operation(metrics, table->operations[i].id);
    (void)pthread_mutex_unlock(&metrics->lock);
    numbers[table->count] = METRICS_OTHER;
    return numbers;
}

/* Counting: on the shard's worker */

void metrics_begin(struct metrics_shard *shard)
{
    increase(&shard->begun);
}

void metrics_end(struct metrics_shard *shard)
{
    increase(&shard->ended);
}

static uint32_t key_of(unsigned operation, unsigned status, enum cache_outcome outcome)
{
    return ((uint32_t)operation << 16 | (uint32_t)status << 4 | (uint32_t)outcome) + 1;
}

_Static_assert(CACHE_OUTCOMES <= 16, "an outcome has four bits of a key");
_Static_assert(METRICS_OPERATIONS <= 65535, "an operation has sixteen");

/* Only so many places are used, so that there is room for what is left of a request's
 * labels when there is none for all of them, and so that a search is short. */
enum {
    MOST_SERIES = METRICS_SERIES / 4 * 3,
    MOST_OF_OTHERS = METRICS_SERIES / 16 * 15, /* with the operation "other" */
};

_Static_assert(METRICS_SERIES - MOST_OF_OTHERS > 10 * CACHE_OUTCOMES,
               "a place for each class of statuses and outcome");

/* The series of that key, made while fewer than most are used; else NULL. */
static struct series *find_series(struct metrics_shard *shard, uint32_t key,
                                  unsigned most)
{
    uint32_t at = key * UINT32_C(2654435769) >> 20; /* Knuth's; the upper 12 bits */
    uint32_t there;

    _Static_assert(METRICS_SERIES == 1 << 12, "as many as the hash has values");
    for (;; at = (at + 1) % METRICS_SERIES) { /* some are always free */
        there = atomic_load_explicit(&shard->series[at].key, memory_order_relaxed);
        if (there == key)
            return &shard->series[at];
        if (there == 0)
            break;
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a shard is always given */
    if (shard->series_used >= most)
        return NULL;
    shard->series_used++;
    atomic_store_explicit(&shard->series[at].key, key, memory_order_release);
    return &shard->series[at];
}

/* Where there is no room: without the operation, and then with the status's class. */
static struct series *series_of(struct metrics_shard *shard, unsigned operation,
                                unsigned status, enum cache_outcome outcome)
{
    struct series *series =
        find_series(shard, key_of(operation, status, outcome), MOST_SERIES);

    if (series == NULL)
        series =
            find_series(shard, key_of(METRICS_OTHER, status, outcome), MOST_OF_OTHERS);
    if (series == NULL)
        series = find_series(shard, key_of(METRICS_OTHER, status / 100 * 100, outcome),
                             METRICS_SERIES - 1);
    return series;
}

/* The memory behind a slot, made at its first use; NULL when there is none. */
static void *use_slot(void *_Atomic *slot, size_t bytes)
{
    void *there = atomic_load_explicit(slot, memory_order_relaxed);

    if (there == NULL) {
        there = calloc(1, bytes);
        atomic_store_explicit(slot, there, memory_order_release);
    }
    return there;
}

static void count_client(struct metrics_shard *shard,
                         const struct metrics_request *request)
{
    uint32_t number = request->client->number;
    struct usage *chunk =
        use_slot(&shard->usage[number / USAGE_CHUNK], USAGE_CHUNK * sizeof(struct usage));
    struct usage *usage;

    if (chunk == NULL)
        return;
    usage = &chunk[number % USAGE_CHUNK];
    increase(&usage->requests);
    if (request->is_refused)
        increase(&usage->refused);
    atomic_store_explicit(&usage->last_us, request->now_us, memory_order_relaxed);
}

void metrics_count(struct metrics_shard *shard, const struct metrics_request *request)
{
    unsigned status = request->status < 1000 ? request->status : 0;
    struct series *series =
        series_of(shard, request->operation, status, request->outcome);
    struct times *times =
        use_slot(&shard->times[request->operation], sizeof(struct times));

    increase(&series->count);
    if (times != NULL) {
        histogram_add(&times->total, request->total_us);
        if (request->upstream_us > 0)
            histogram_add(&times->upstream, request->upstream_us);
    }
    if (request->client != NULL)
        count_client(shard, request);
}

void metrics_count_reason(struct metrics_shard *shard, enum reason reason)
{
    increase(&shard->reasons[reason]);
}

/* Reading */

const char *metrics_operation(struct metrics *metrics, unsigned number)
{
    const char *name = NULL;

    (void)pthread_mutex_lock(&metrics->lock);
    if (number < metrics->operation_count)
        name = metrics->operations[number];
    (void)pthread_mutex_unlock(&metrics->lock);
    return name;
}

/* Shards are only ever added, at the front: a list that was taken once stays good. */
static struct metrics_shard *take_shards(struct metrics *metrics)
{
    struct metrics_shard *shards;

    (void)pthread_mutex_lock(&metrics->lock);
    shards = metrics->shards;
    (void)pthread_mutex_unlock(&metrics->lock);
    return shards;
}

static int compare_series(const void *one, const void *other)
{
    const struct metrics_series *a = one, *b = other;
    uint32_t a_key = key_of(a->operation, a->status, a->outcome);
    uint32_t b_key = key_of(b->operation, b->status, b->outcome);

    return (a_key > b_key) - (a_key < b_key);
}

static size_t read_shard(const struct metrics_shard *shard, struct metrics_series *list)
{
    size_t used = 0;

    for (size_t i = 0; i < METRICS_SERIES; i++) {
        const struct series *series = &shard->series[i];
        uint32_t key = atomic_load_explicit(&series->key, memory_order_acquire);

        if (key == 0)
            continue;
        key--;
        list[used++] = (struct metrics_series){
            .operation = (uint16_t)(key >> 16),
            .status = key >> 4 & 0xfff,
            .outcome = (enum cache_outcome)(key & 0xf),
            .count = atomic_load_explicit(&series->count, memory_order_relaxed),
        };
    }
    return used;
}

struct metrics_series *metrics_read_requests(struct metrics *metrics, size_t *count)
{
    struct metrics_shard *shards = take_shards(metrics);
    struct metrics_series *list;
    size_t shard_count = 0, used = 0;

    for (struct metrics_shard *shard = shards; shard != NULL; shard = shard->next)
        shard_count++;
    list = calloc(shard_count * METRICS_SERIES + 1, sizeof(*list));
    *count = 0;
    if (list == NULL)
        return NULL;
    for (struct metrics_shard *shard = shards; shard != NULL; shard = shard->next)
        used += read_shard(shard, list + used);
    qsort(list, used, sizeof(*list), compare_series);
    for (size_t i = 0; i < used; i++) {
        if (*count > 0 && compare_series(&list[*count - 1], &list[i]) == 0)
            list[*count - 1].count += list[i].count;
        else
            list[(*count)++] = list[i];
    }
    return list;
}

void metrics_read_times(struct metrics *metrics, unsigned operation,
                        struct metrics_times *times)
{
    for (struct metrics_shard *shard = take_shards(metrics); shard != NULL;
         shard = shard->next) {
        const struct times *there =
            atomic_load_explicit(&shard->times[operation], memory_order_acquire);

        if (there == NULL)
            continue;
        histogram_read(&there->total, &times->total);
        histogram_read(&there->upstream, &times->upstream);
    }
}

void metrics_read_client(struct metrics *metrics, const struct client *client,
                         struct metrics_usage *usage)
{
    *usage = (struct metrics_usage){0};
    for (struct metrics_shard *shard = take_shards(metrics); shard != NULL;
         shard = shard->next) {
        const struct usage *chunk = atomic_load_explicit(
            &shard->usage[client->number / USAGE_CHUNK], memory_order_acquire);
        int64_t last_us;

        if (chunk == NULL)
            continue;
        chunk += client->number % USAGE_CHUNK;
        usage->requests += atomic_load_explicit(&chunk->requests, memory_order_relaxed);
        usage->refused += atomic_load_explicit(&chunk->refused, memory_order_relaxed);
        last_us = atomic_load_explicit(&chunk->last_us, memory_order_relaxed);
        if (last_us > usage->last_us)
            usage->last_us = last_us;
    }
}

uint64_t metrics_read_reason(struct metrics *metrics, enum reason reason)
{
    uint64_t sum = 0;

    for (struct metrics_shard *shard = take_shards(metrics); shard != NULL;
         shard = shard->next)
        sum += atomic_load_explicit(&shard->reasons[reason], memory_order_relaxed);
    return sum;
}

/* A request may end between the two readings: so what has ended is read first. */
uint64_t metrics_in_flight(struct metrics *metrics)
{
    uint64_t sum = 0;

    for (struct metrics_shard *shard = take_shards(metrics); shard != NULL;
         shard = shard->next) {
        uint64_t ended = atomic_load_explicit(&shard->ended, memory_order_acquire);
        uint64_t begun = atomic_load_explicit(&shard->begun, memory_order_acquire);

        sum += begun > ended ? begun - ended : 0;
    }
    return sum;
}
