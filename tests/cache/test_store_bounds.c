/* How much the store holds, what goes when it is full, and keys of every kind. */
#include "cache/cases.h"
#include "cache/store.h"

#include <malloc.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

static struct span key_of(char key[32], size_t number)
{
    return span_make(key, (size_t)snprintf(key, 32, "/v1/things/%zu", number));
}

static void put(struct store *store, size_t number, size_t body_len, char byte)
{
    char key[32];
    struct cache_entry *entry = make_entry(key_of(key, number), body_len, byte);

    store_put(store, entry);
    cache_entry_unref(entry);
}

/* The byte that its body is made of, '-' for an empty body, 0 when it is not there. */
static char look_up(struct store *store, size_t number)
{
    char key[32], byte = 0;
    struct span name = key_of(key, number);
    struct cache_entry *entry = store_find(store, name);

    if (entry != NULL) {
        assert_span_is(cache_entry_key(entry), name, "the key");
        byte = cache_entry_body(entry).len > 0 ? cache_entry_body(entry).at[0] : '-';
    }
    cache_entry_unref(entry);
    return byte;
}

static void take_out(struct store *store, size_t number)
{
    char key[32];

    store_remove(store, key_of(key, number));
}

START_TEST(an_entry_is_put_in_place_of_one_with_its_key)
{
    struct store *store = store_new(MIB);
    size_t one;

    put(store, 1, 10, 'a');
    one = store_sizes(store).bytes;
    put(store, 1, 5000, 'b');
    ck_assert_int_eq(look_up(store, 1), 'b');
    put(store, 1, 10, 'c');
    ck_assert_int_eq(look_up(store, 1), 'c');
    ck_assert_uint_eq(store_sizes(store).entries, 1);
    ck_assert_uint_eq(store_sizes(store).bytes, one);
    take_out(store, 1);
    ck_assert_uint_eq(store_sizes(store).entries, 0);
    ck_assert_uint_lt(store_sizes(store).bytes, one);
    store_free(store);
}
END_TEST

START_TEST(the_same_entry_may_be_put_twice)
{
    struct store *store = store_new(MIB);
    struct cache_entry *entry = make_entry(SPAN("k"), 10, 'a');

    store_put(store, entry);
    store_put(store, entry);
    ck_assert_uint_eq(store_sizes(store).entries, 1);
    store_remove(store, SPAN("k"));
    ck_assert_uint_eq(store_sizes(store).entries, 0);
    ck_assert_int_eq(cache_entry_body(entry).at[9], 'a');
    store_put(store, entry);
    cache_entry_unref(entry);
    store_free(store);
}
END_TEST

START_TEST(keys_may_hold_any_bytes)
{
    static const struct span keys[] = {
        SPAN("a"),       SPAN("a\0"),       SPAN("a\0b"),     SPAN("a\0c"),
        SPAN("\0"),      SPAN("\0\0"),      SPAN("\n"),       SPAN("12345678"),
        SPAN("1234567"), SPAN("123456789"), SPAN("\xff\xfe"), SPAN("12345678\0"),
    };
    struct store *store = store_new(MIB);

    for (int i = 0; i < ROWS(keys); i++) {
        struct cache_entry *entry = make_entry(keys[i], 3, (char)('a' + i));

        store_put(store, entry);
        cache_entry_unref(entry);
    }
    for (int i = 0; i < ROWS(keys); i++) {
        struct span exact = exact_span(keys[i]);
        struct cache_entry *entry = store_find(store, exact);

        ck_assert_ptr_nonnull(entry);
        ck_assert_int_eq(cache_entry_body(entry).at[0], 'a' + i);
        cache_entry_unref(entry);
        free((char *)(uintptr_t)exact.at);
    }
    store_free(store);
}
END_TEST

START_TEST(nothing_is_lost_while_there_is_room)
{
    enum { COUNT = 20000 };
    struct store *store = store_new((size_t)64 * MIB);

    for (size_t i = 0; i < COUNT; i++)
        put(store, i, 20, (char)('a' + i % 26));
    ck_assert_uint_eq(store_sizes(store).entries, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        ck_assert_int_eq(look_up(store, i), (char)('a' + i % 26));
    for (size_t i = 0; i < COUNT; i += 2)
        take_out(store, i);
    for (size_t i = 0; i < COUNT; i++)
        ck_assert_int_eq(look_up(store, i), i % 2 == 0 ? 0 : (char)('a' + i % 26));
    store_free(store);
}
END_TEST

START_TEST(a_key_has_one_hash)
{
    struct store *store = store_new(MIB);
    struct span exact = exact_span(SPAN("the same key"));

    ck_assert_uint_eq(store_hash(store, exact), store_hash(store, SPAN("the same key")));
    ck_assert_uint_ne(store_hash(store, exact), store_hash(store, SPAN("the same kez")));
    free((char *)(uintptr_t)exact.at);
    store_free(store);
}
END_TEST

/* An entry that is over the limit is not stored, and pushes nothing out. */
START_TEST(an_oversize_entry_is_not_stored)
{
    struct store *store = store_new(MIB);
    size_t limit = store_entry_limit(store);
    struct store_sizes before;

    for (size_t i = 0; i < 100; i++)
        put(store, i, 20, 'a');
    before = store_sizes(store);
    put(store, 1000, limit, 'b');
    put(store, 1001, MIB, 'b');
    put(store, 1002, (size_t)2 * MIB, 'b');
    ck_assert_uint_eq(store_sizes(store).bytes, before.bytes);
    ck_assert_uint_eq(store_sizes(store).entries, 100);
    for (size_t i = 1000; i < 1003; i++)
        ck_assert_int_eq(look_up(store, i), 0);
    put(store, 1000, limit - 256, 'c');
    ck_assert_int_eq(look_up(store, 1000), 'c');
    store_free(store);
}
END_TEST

START_TEST(a_smaller_bound_evicts_at_once)
{
    struct store *store = store_new((size_t)4 * MIB);

    for (size_t i = 0; i < 4000; i++)
        put(store, i, 500, 'a');
    ck_assert_uint_gt(store_sizes(store).bytes, (size_t)2 * MIB);
    store_resize(store, MIB);
    ck_assert_uint_le(store_sizes(store).bytes, MIB);
    ck_assert_uint_gt(store_sizes(store).entries, 0);
    store_resize(store, (size_t)4 * MIB);
    for (size_t i = 0; i < 4000; i++)
        put(store, i, 500, 'b');
    ck_assert_uint_gt(store_sizes(store).bytes, (size_t)2 * MIB);
    store_free(store);
}
END_TEST

/* Tables are memory too: those that many small entries made are within a later bound. */
START_TEST(a_smaller_bound_is_held_by_the_tables_too)
{
    struct store *store = store_new((size_t)64 * MIB);

    for (size_t i = 0; i < 50000; i++)
        put(store, i, 0, 'a');
    store_resize(store, (size_t)128 * KIB);
    ck_assert_uint_le(store_sizes(store).bytes, (size_t)128 * KIB);
    for (size_t i = 0; i < 50000; i++)
        put(store, i, 0, 'b');
    ck_assert_uint_le(store_sizes(store).bytes, (size_t)128 * KIB);
    ck_assert_uint_gt(store_sizes(store).entries, 0);
    store_free(store);
}
END_TEST

static const size_t small_budgets[] = {0, 1, 1000, 4096, 8191, 8192, 16384, 65536};

START_TEST(a_small_bound_is_held_too)
{
    size_t budget = small_budgets[_i];
    struct store *store = store_new(budget);

    ck_assert_ptr_nonnull(store);
    ck_assert_uint_le(store_sizes(store).bytes, budget);
    for (size_t i = 0; i < 2000; i++)
        put(store, i, i % 50, 'a');
    ck_assert_uint_le(store_sizes(store).bytes, budget);
    store_free(store);
}
END_TEST

/* What is used again and again stays, whatever passes through once. */
START_TEST(hot_entries_survive_a_scan)
{
    enum { HOT = 200, COLD = 20000 };
    struct store *store = store_new(MIB);
    size_t found = 0;

    for (size_t i = 0; i < HOT; i++)
        put(store, i, 300, 'h');
    for (size_t i = 0; i < COLD; i++) {
        if (i % 50 == 0) {
            for (size_t j = 0; j < HOT; j++)
                (void)look_up(store, j);
        }
        put(store, HOT + i, 300, 'c');
    }
    for (size_t i = 0; i < HOT; i++)
        found += look_up(store, i) == 'h';
    ck_assert_uint_eq(found, HOT);
    store_free(store);
}
END_TEST

/*
 * Over 100,000 entries: what an entry costs beyond key, head and body, by the store's own
 * count, which is not less than what the allocator gave. (Under a sanitizer mallinfo2()
 * sees nothing, and only the first half is checked.)
 */
START_TEST(an_entry_costs_at_most_200_bytes_more_than_it_holds)
{
    enum { COUNT = 100000, SLACK = 64 * KIB };
    struct mallinfo2 before = mallinfo2(), after;
    struct store *store = store_new((size_t)1024 * MIB);
    size_t held = 0, counted, given;
    char key[32];

    for (size_t i = 0; i < COUNT; i++) {
        size_t body_len = i * 7 % 301;

        put(store, i, body_len, 'b');
        held += key_of(key, i).len + sizeof("HTTP/1.1 200 OK\r\n") - 1 + body_len;
    }
    counted = store_sizes(store).bytes;
    after = mallinfo2();
    given = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    ck_assert_uint_eq(store_sizes(store).entries, COUNT);
    ck_assert_uint_le(counted - held, (size_t)200 * COUNT);
    ck_assert_uint_le(given, counted + SLACK);
    store_free(store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/store_bounds");
    TCase *finding = suite_case(suite, "finding");
    TCase *bounds = suite_case(suite, "bounds");

    tcase_add_test(finding, an_entry_is_put_in_place_of_one_with_its_key);
    tcase_add_test(finding, the_same_entry_may_be_put_twice);
    tcase_add_test(finding, keys_may_hold_any_bytes);
    tcase_add_test(finding, nothing_is_lost_while_there_is_room);
    tcase_add_test(finding, a_key_has_one_hash);
    tcase_add_test(bounds, an_oversize_entry_is_not_stored);
    tcase_add_test(bounds, a_smaller_bound_evicts_at_once);
    tcase_add_test(bounds, a_smaller_bound_is_held_by_the_tables_too);
    tcase_add_loop_test(bounds, a_small_bound_is_held_too, 0, ROWS(small_budgets));
    tcase_add_test(bounds, hot_entries_survive_a_scan);
    tcase_add_test(bounds, an_entry_costs_at_most_200_bytes_more_than_it_holds);
    return run_suite(suite);
}
