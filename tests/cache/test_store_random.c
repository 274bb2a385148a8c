/* The store under random operations: alone against a plain list, and from four threads.
 */
#include "cache/cases.h"
#include "cache/store.h"

#include <pthread.h>

enum { KEYS = 600, STEPS = 60000, KIB = 1024 };

/* An entry of each key that was put last; kept alive here, in the store or not. */
struct world {
    struct store *store;
    size_t budget;
    struct cache_entry *entries[KEYS];
    struct numbers numbers;
};

static struct span key_of(char key[32], size_t number)
{
    return span_make(key, (size_t)snprintf(key, 32, "key %zu", number));
}

static size_t some_length(struct world *world)
{
    switch (below(&world->numbers, 20)) {
    case 0:
        return below(&world->numbers, world->budget + 2); /* perhaps oversize */
    case 1:
    case 2:
        return below(&world->numbers, world->budget / 64 + 2);
    default:
        return below(&world->numbers, 300);
    }
}

static void put(struct world *world, size_t number)
{
    char key[32];
    size_t len = some_length(world);
    struct cache_entry *entry =
        make_entry(key_of(key, number), len, (char)('a' + number % 26));
    bool is_oversize = cache_entry_cost(entry) > store_entry_limit(world->store);

    store_put(world->store, entry);
    if (is_oversize) {
        ck_assert(!entry->is_in_store);
        cache_entry_unref(entry);
        return;
    }
    ck_assert(entry->is_in_store);
    if (world->entries[number] != NULL)
        ck_assert(!world->entries[number]->is_in_store);
    cache_entry_unref(world->entries[number]);
    world->entries[number] = entry;
}

static void find(struct world *world, size_t number)
{
    char key[32];
    struct cache_entry *entry = store_find(world->store, key_of(key, number));
    struct cache_entry *wanted = world->entries[number];

    if (wanted != NULL && wanted->is_in_store)
        ck_assert_ptr_eq(entry, wanted);
    else
        ck_assert_ptr_null(entry);
    cache_entry_unref(entry);
}

static void take_out(struct world *world, size_t number)
{
    char key[32];

    store_remove(world->store, key_of(key, number));
    ck_assert(world->entries[number] == NULL || !world->entries[number]->is_in_store);
}

static void resize(struct world *world)
{
    world->budget = (128 + below(&world->numbers, 512)) * KIB;
    store_resize(world->store, world->budget);
}

/* The store's count is that of the entries in it, and of tables; and within the bound. */
static void assert_bound(const struct world *world)
{
    struct store_sizes sizes = store_sizes(world->store);
    size_t bytes = 0, entries = 0;

    for (size_t i = 0; i < KEYS; i++) {
        if (world->entries[i] == NULL || !world->entries[i]->is_in_store)
            continue;
        bytes += cache_entry_cost(world->entries[i]);
        entries++;
    }
    ck_assert_uint_eq(sizes.entries, entries);
    ck_assert_uint_ge(sizes.bytes, bytes);
    ck_assert_uint_eq((sizes.bytes - bytes) % sizeof(void *), 0);
    ck_assert_uint_le(sizes.bytes, world->budget);
}

static void step(struct world *world)
{
    size_t number = below(&world->numbers, KEYS), what = below(&world->numbers, 1000);

    if (what < 500)
        put(world, number);
    else if (what < 900)
        find(world, number);
    else if (what < 998)
        take_out(world, number);
    else
        resize(world);
}

static const uint64_t seeds[] = {1, 20240416, 0x9e3779b97f4a7c15};

START_TEST(the_bound_is_held_whatever_happens)
{
    struct world world = {.budget = (size_t)256 * KIB, .numbers = {seeds[_i]}};

    world.store = store_new(world.budget);
    for (int i = 0; i < STEPS; i++) {
        step(&world);
        if (i % 4 == 0)
            assert_bound(&world);
    }
    for (size_t i = 0; i < KEYS; i++)
        find(&world, i);
    store_resize(world.store, 0);
    ck_assert_uint_eq(store_sizes(world.store).entries, 0);
    for (size_t i = 0; i < KEYS; i++)
        cache_entry_unref(world.entries[i]);
    store_free(world.store);
}
END_TEST

enum { THREADS = 4, THREAD_STEPS = 40000, HELD = 64, BUDGET = 256 * KIB };

struct hammer {
    struct store *store;
    pthread_t thread;
    struct numbers numbers;
    struct cache_entry *held[HELD];
    size_t found;
    bool is_wrong; /* assertions are for the main thread */
};

/* A body says its key: whole or not at all. */
static bool is_sound(const struct cache_entry *entry, size_t number)
{
    char key[32];
    struct span body = cache_entry_body(entry);

    if (!span_equal(cache_entry_key(entry), key_of(key, number)))
        return false;
    for (size_t i = 0; i < body.len; i++) {
        if (body.at[i] != (char)('a' + number % 26))
            return false;
    }
    return true;
}

static void hammer_put(struct hammer *hammer, size_t number)
{
    static const struct cache_policy policy = {.lifetime_ms = 1000};
    size_t len = below(&hammer->numbers, 2) == 0 ? 20 : below(&hammer->numbers, 6000);
    char key[32], body[6000];
    struct cache_entry *entry;

    memset(body, (char)('a' + number % 26), len);
    entry = cache_entry_new(&(struct cache_entry_parts){
        .key = key_of(key, number), .body = span_make(body, len), .policy = &policy});
    if (entry != NULL)
        store_put(hammer->store, entry);
    cache_entry_unref(entry);
}

/* Keeps what it finds for a while: most of it is evicted or replaced meanwhile. */
static void hammer_find(struct hammer *hammer, size_t number)
{
    char key[32];
    struct cache_entry **held = &hammer->held[below(&hammer->numbers, HELD)];
    struct cache_entry *entry = store_find(hammer->store, key_of(key, number));

    if (entry == NULL)
        return;
    hammer->found++;
    hammer->is_wrong |= !is_sound(entry, number);
    cache_entry_unref(*held);
    *held = entry;
}

static void *hammer_run(void *argument)
{
    struct hammer *hammer = argument;

    for (int i = 0; i < THREAD_STEPS; i++) {
        size_t number = below(&hammer->numbers, KEYS);
        size_t what = below(&hammer->numbers, 1000);
        char key[32];

        if (what < 400)
            hammer_put(hammer, number);
        else if (what < 900)
            hammer_find(hammer, number);
        else if (what < 990)
            store_remove(hammer->store, key_of(key, number));
        else if (what < 995)
            store_resize(hammer->store, BUDGET / 2 + below(&hammer->numbers, BUDGET / 2));
        else
            hammer->is_wrong |= store_sizes(hammer->store).bytes > BUDGET;
    }
    for (size_t i = 0; i < HELD; i++)
        cache_entry_unref(hammer->held[i]);
    return NULL;
}

START_TEST(four_threads_share_it_and_hold_what_was_evicted)
{
    struct store *store = store_new(BUDGET);
    struct hammer hammers[THREADS];
    size_t found = 0;

    memset(hammers, 0, sizeof(hammers));
    for (size_t i = 0; i < THREADS; i++) {
        hammers[i].store = store;
        hammers[i].numbers.state = 77 + i;
        ck_assert_int_eq(
            pthread_create(&hammers[i].thread, NULL, hammer_run, &hammers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(hammers[i].thread, NULL), 0);
        ck_assert(!hammers[i].is_wrong);
        found += hammers[i].found;
    }
    ck_assert_uint_gt(found, 1000);
    store_resize(store, BUDGET / 2);
    ck_assert_uint_le(store_sizes(store).bytes, BUDGET / 2);
    store_free(store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/store_random");
    TCase *model = suite_case(suite, "model");
    TCase *threads = suite_case(suite, "threads");

    tcase_add_loop_test(model, the_bound_is_held_whatever_happens, 0, ROWS(seeds));
    tcase_add_test(threads, four_threads_share_it_and_hold_what_was_evicted);
    return run_suite(suite);
}
