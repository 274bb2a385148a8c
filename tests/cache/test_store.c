#include "cache/store.h"

#include <pthread.h>

#include "cache/cases.h"

enum { KIB = 1024, MIB = 1024 * KIB };

static struct cache_entry *new_entry(unsigned number, size_t body_len)
{
    const struct cache_policy policy = {0};
    char key[32];
    char *body = calloc(1, body_len + 1);
    struct cache_entry_parts parts = {.status = 200, .policy = &policy};
    struct cache_entry *entry;

    ck_assert_ptr_nonnull(body);
    (void)snprintf(key, sizeof(key), "key %u", number);
    parts.key = span_of(key);
    parts.head = SPAN("HTTP/1.1 200 OK\r\n");
    parts.body = span_make(body, body_len);
    entry = cache_entry_new(&parts);
    ck_assert_ptr_nonnull(entry);
    free(body);
    return entry;
}

static void put(struct store *store, unsigned number, size_t body_len)
{
    struct cache_entry *entry = new_entry(number, body_len);

    store_put(store, entry);
    cache_entry_unref(entry);
}

static struct cache_entry *find(struct store *store, unsigned number)
{
    char key[32];

    (void)snprintf(key, sizeof(key), "key %u", number);
    return store_find(store, span_of(key));
}

static bool has(struct store *store, unsigned number)
{
    struct cache_entry *entry = find(store, number);

    cache_entry_unref(entry);
    return entry != NULL;
}

START_TEST(what_was_put_is_found_until_it_is_removed)
{
    struct store *store = store_new(MIB);

    put(store, 1, 10);
    ck_assert(has(store, 1));
    ck_assert(!has(store, 2));
    store_remove(store, SPAN("key 1"));
    ck_assert(!has(store, 1));
    ck_assert_uint_eq(store_sizes(store).entries, 0);
    store_free(store);
}
END_TEST

START_TEST(a_key_has_one_entry_the_newest)
{
    struct store *store = store_new(MIB);
    struct cache_entry *entry;

    put(store, 1, 10);
    put(store, 1, 20);
    entry = find(store, 1);
    ck_assert_uint_eq(entry->body_len, 20);
    ck_assert_uint_eq(store_sizes(store).entries, 1);
    cache_entry_unref(entry);
    store_free(store);
}
END_TEST

START_TEST(the_budget_is_never_exceeded)
{
    struct store *store = store_new(MIB);
    unsigned random = 7;

    for (unsigned i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        put(store, random % 5000, (random >> 8) % (4 * KIB));
        if (i % 64 == 0)
            ck_assert_uint_le(store_sizes(store).bytes, MIB);
    }
    ck_assert_uint_le(store_sizes(store).bytes, MIB);
    ck_assert_uint_gt(store_sizes(store).entries, 50);
    store_resize(store, 256 * KIB);
    ck_assert_uint_le(store_sizes(store).bytes, 256 * KIB);
    store_free(store);
}
END_TEST

START_TEST(an_oversize_entry_is_not_stored_and_pushes_nothing_out)
{
    struct store *store = store_new(MIB);

    put(store, 1, 10);
    put(store, 2, store_entry_limit(store) + 1);
    ck_assert(has(store, 1));
    ck_assert(!has(store, 2));
    store_free(store);
}
END_TEST

START_TEST(a_store_without_memory_stores_nothing)
{
    struct store *store = store_new(0);

    put(store, 1, 1);
    ck_assert(!has(store, 1));
    store_free(store);
}
END_TEST

START_TEST(an_evicted_entry_lives_as_long_as_it_is_held)
{
    struct store *store = store_new(MIB);
    struct cache_entry *held;

    put(store, 1, 100);
    held = find(store, 1);
    store_resize(store, 0);
    ck_assert(!has(store, 1));
    ck_assert_uint_eq(cache_entry_body(held).len, 100);
    cache_entry_unref(held);
    store_free(store);
}
END_TEST

/* 200 bytes an entry beyond key, head and body: the bound. */
START_TEST(an_entry_costs_at_most_200_bytes_beyond_its_content)
{
    enum { ENTRIES = 100000 };
    struct store *store = store_new((size_t)256 * MIB);
    size_t content = 0;

    for (unsigned i = 0; i < ENTRIES; i++) {
        char key[32];

        put(store, i, 100);
        content += (size_t)snprintf(key, sizeof(key), "key %u", i) + 17 + 100;
    }
    ck_assert_uint_eq(store_sizes(store).entries, ENTRIES);
    ck_assert_uint_le(store_sizes(store).bytes - content, (size_t)200 * ENTRIES);
    store_free(store);
}
END_TEST

static void *hammer(void *arg)
{
    struct store *store = arg;
    unsigned random = (unsigned)(uintptr_t)&random;

    for (int i = 0; i < 20000; i++) {
        struct cache_entry *entry;

        random = random * 1664525u + 1013904223u;
        put(store, (random >> 8) % 500, (random >> 4) % 2000);
        entry = find(store, (random >> 9) % 500);
        if (entry != NULL && cache_entry_body(entry).len > 0 &&
            cache_entry_body(entry).at[0] != '\0')
            abort();
        cache_entry_unref(entry);
    }
    return NULL;
}

START_TEST(threads_share_it)
{
    struct store *store = store_new(MIB);
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, store), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_le(store_sizes(store).bytes, MIB);
    store_free(store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/store");
    TCase *keys = suite_case(suite, "keys");
    TCase *memory = suite_case(suite, "memory");
    TCase *threads = suite_case(suite, "threads");

    tcase_add_test(keys, what_was_put_is_found_until_it_is_removed);
    tcase_add_test(keys, a_key_has_one_entry_the_newest);
    tcase_add_test(memory, the_budget_is_never_exceeded);
    tcase_add_test(memory, an_oversize_entry_is_not_stored_and_pushes_nothing_out);
    tcase_add_test(memory, a_store_without_memory_stores_nothing);
    tcase_add_test(memory, an_evicted_entry_lives_as_long_as_it_is_held);
    tcase_add_test(memory, an_entry_costs_at_most_200_bytes_beyond_its_content);
    tcase_add_test(threads, threads_share_it);
    return run_suite(suite);
}
