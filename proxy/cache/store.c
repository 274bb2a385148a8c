#include "cache/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/analyzer.h"
#include "cache/sieve.h"

enum { SHARDS = 16, FIRST_BUCKETS = 64, ENTRY_SHARE = 4 };

struct shard {
    pthread_mutex_t lock;
    struct cache_entry **buckets; /* NULL until something is stored */
    size_t bucket_count;          /* a power of two, or 0 */
    struct cache_entry *nothing;  /* always NULL: where a look-up without buckets ends */
    size_t entries;
    size_t bytes; /* entries and buckets */
    struct sieve sieve;
} __attribute__((aligned(64)));

struct store {
    struct shard shards[SHARDS];
    _Atomic size_t shard_budget;
    uint64_t seed; /* so that nobody can choose keys that collide */
};

struct store *store_new(size_t budget)
{
    struct store *store = aligned_alloc(64, sizeof(*store));

    if (store == NULL)
        return NULL;
    memset(store, 0, sizeof(*store));
    atomic_store(&store->shard_budget, budget / SHARDS);
    (void)!getrandom(&store->seed, sizeof(store->seed), GRND_NONBLOCK);
    for (int i = 0; i < SHARDS; i++)
        (void)pthread_mutex_init(&store->shards[i].lock, NULL);
    return store;
}

uint64_t store_hash(const struct store *store, struct span key)
{
    return span_hash(key, store->seed);
}

static struct shard *shard_of(struct store *store, uint64_t hash)
{
    return &store->shards[hash >> 60];
}

static struct cache_entry **find_link(struct shard *shard, uint32_t hash, struct span key)
{
    struct cache_entry **link = shard->bucket_count > 0
                                    ? &shard->buckets[hash & (shard->bucket_count - 1)]
                                    : &shard->nothing;

    while (*link != NULL &&
           ((*link)->hash != hash || !span_equal(cache_entry_key(*link), key)))
        link = &(*link)->next_in_bucket;
    return link;
}

/* With the lock held; gives the store's reference up. */
static void unlink_entry(struct shard *shard, struct cache_entry **link)
{
    struct cache_entry *entry = *link;

    *link = entry->next_in_bucket;
    sieve_remove(&shard->sieve, entry);
    entry->is_in_store = false;
    shard->entries--;
    shard->bytes -= cache_entry_cost(entry);
    cache_entry_unref(entry);
}

static void evict(struct shard *shard, size_t budget)
{
    while (shard->bytes > budget) {
        struct cache_entry *victim = sieve_choose(&shard->sieve);

        if (victim == NULL)
            return;
        unlink_entry(shard, find_link(shard, victim->hash, cache_entry_key(victim)));
    }
}

static void move_entries(const struct shard *shard, struct cache_entry **buckets,
                         size_t count)
{
    for (size_t i = 0; i < shard->bucket_count; i++) {
        struct cache_entry *next;

        for (struct cache_entry *entry = shard->buckets[i]; entry != NULL; entry = next) {
            next = entry->next_in_bucket;
            entry->next_in_bucket = buckets[entry->hash & (count - 1)];
            buckets[entry->hash & (count - 1)] = entry;
        }
    }
}

/* Gives the entries another number of buckets; 0 only when there are none. */
LEAK_IS_NONE /* the shard owns the buckets */
static bool rehash(struct shard *shard, size_t count)
{
    struct cache_entry **buckets = NULL;

    if (count > 0) {
        buckets = calloc(count, sizeof(struct cache_entry *));
        if (buckets == NULL)
            return false;
        move_entries(shard, buckets, count);
    }
    shard->bytes -= shard->bucket_count * sizeof(struct cache_entry *);
    shard->bytes += count * sizeof(struct cache_entry *);
    free(shard->buckets);
    shard->buckets = buckets;
    shard->bucket_count = count;
    return true;
}
LEAK_LOOK_AGAIN

/* More buckets when there are more entries, if the budget has room for them. */
static void grow(struct shard *shard, size_t budget)
{
    size_t more = shard->bucket_count * sizeof(struct cache_entry *);

    if (shard->entries > shard->bucket_count && shard->bytes + more <= budget)
        (void)rehash(shard, shard->bucket_count * 2);
}

/* After a change of the budget: the buckets take no more than an eighth of it. */
static void fit(struct shard *shard, size_t budget)
{
    size_t count = shard->bucket_count;

    while (count > 0 && count * sizeof(struct cache_entry *) > budget / 8)
        count /= 2;
    if (count < FIRST_BUCKETS)
        count = 0;
    if (count == 0)
        evict(shard, 0);
    if (count < shard->bucket_count)
        (void)rehash(shard, count);
    evict(shard, budget);
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    store_resize(store, 0);
    for (int i = 0; i < SHARDS; i++)
        (void)pthread_mutex_destroy(&store->shards[i].lock);
    free(store);
}

void store_resize(struct store *store, size_t budget)
{
    atomic_store(&store->shard_budget, budget / SHARDS);
    for (int i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_lock(&store->shards[i].lock);
        fit(&store->shards[i], budget / SHARDS);
        (void)pthread_mutex_unlock(&store->shards[i].lock);
    }
}

size_t store_entry_limit(const struct store *store)
{
    return atomic_load(&store->shard_budget) / ENTRY_SHARE;
}

struct cache_entry *store_find(struct store *store, struct span key)
{
    uint64_t hash = store_hash(store, key);
    struct shard *shard = shard_of(store, hash);
    struct cache_entry *entry;

    (void)pthread_mutex_lock(&shard->lock);
    entry = *find_link(shard, (uint32_t)hash, key);
    if (entry != NULL) {
        if (!atomic_load_explicit(&entry->was_visited, memory_order_relaxed))
            atomic_store_explicit(&entry->was_visited, true, memory_order_relaxed);
        (void)cache_entry_ref(entry);
    }
    (void)pthread_mutex_unlock(&shard->lock);
    return entry;
}

/* The first buckets come with the first entry, if the budget has room for both. */
static bool has_room(struct shard *shard, size_t budget, size_t cost)
{
    if (shard->bucket_count > 0)
        return shard->bytes + cost <= budget;
    return FIRST_BUCKETS * sizeof(struct cache_entry *) + cost <= budget &&
           rehash(shard, FIRST_BUCKETS);
}

void store_put(struct store *store, struct cache_entry *entry)
{
    uint64_t hash = store_hash(store, cache_entry_key(entry));
    struct shard *shard = shard_of(store, hash);
    size_t budget;
    size_t cost = cache_entry_cost(entry);
    struct cache_entry **link;

    (void)pthread_mutex_lock(&shard->lock);
    budget = atomic_load(&store->shard_budget); /* under the lock: a resize may be near */
    if (cost > budget / ENTRY_SHARE) {
        (void)pthread_mutex_unlock(&shard->lock);
        return;
    }
    link = find_link(shard, (uint32_t)hash, cache_entry_key(entry));
    if (*link != NULL)
        unlink_entry(shard, link);
    evict(shard, budget - cost);
    if (!has_room(shard, budget, cost)) {
        (void)pthread_mutex_unlock(&shard->lock);
        return;
    }
    entry->hash = (uint32_t)hash;
    entry->is_in_store = true;
    link = &shard->buckets[entry->hash & (shard->bucket_count - 1)];
    entry->next_in_bucket = *link;
    *link = cache_entry_ref(entry);
    sieve_add(&shard->sieve, entry);
    shard->entries++;
    shard->bytes += cost;
    grow(shard, budget);
    (void)pthread_mutex_unlock(&shard->lock);
}

void store_remove(struct store *store, struct span key)
{
    uint64_t hash = store_hash(store, key);
    struct shard *shard = shard_of(store, hash);
    struct cache_entry **link;

    (void)pthread_mutex_lock(&shard->lock);
    link = find_link(shard, (uint32_t)hash, key);
    if (*link != NULL)
        unlink_entry(shard, link);
    (void)pthread_mutex_unlock(&shard->lock);
}

struct store_sizes store_sizes(struct store *store)
{
    struct store_sizes sizes = {0};

    for (int i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_lock(&store->shards[i].lock);
        sizes.bytes += store->shards[i].bytes;
        sizes.entries += store->shards[i].entries;
        (void)pthread_mutex_unlock(&store->shards[i].lock);
    }
    return sizes;
}
