#include "base/table.h"
#include "support/suite.h"

START_TEST(an_empty_table_finds_nothing)
{
    struct table *table = table_new();

    ck_assert_ptr_nonnull(table);
    ck_assert_uint_eq(table_count(table), 0);
    ck_assert_ptr_null(table_find(table, SPAN("a")));
    ck_assert_ptr_null(table_find(table, SPAN("")));
    table_free(table);
    table_free(NULL);
}
END_TEST

START_TEST(keys_are_bytes_and_case_counts)
{
    struct table *table = table_new();
    int a, b, c, empty;

    ck_assert(table_add(table, SPAN("key"), &a));
    ck_assert(table_add(table, SPAN("KEY"), &b));
    ck_assert(table_add(table, SPAN("key\0"), &c));
    ck_assert(table_add(table, SPAN(""), &empty));
    ck_assert_ptr_eq(table_find(table, SPAN("key")), &a);
    ck_assert_ptr_eq(table_find(table, SPAN("KEY")), &b);
    ck_assert_ptr_eq(table_find(table, SPAN("key\0")), &c);
    ck_assert_ptr_eq(table_find(table, SPAN("")), &empty);
    ck_assert_ptr_null(table_find(table, SPAN("ke")));
    ck_assert_ptr_null(table_find(table, SPAN("keyy")));
    ck_assert_uint_eq(table_count(table), 4);
    table_free(table);
}
END_TEST

START_TEST(a_key_that_is_there_keeps_its_value)
{
    struct table *table = table_new();
    char again[] = {'k', 'e', 'y'};
    int first, second;

    ck_assert(table_add(table, SPAN("key"), &first));
    ck_assert(!table_add(table, span_make(again, 3), &second));
    ck_assert_ptr_eq(table_find(table, SPAN("key")), &first);
    ck_assert_uint_eq(table_count(table), 1);
    table_free(table);
}
END_TEST

START_TEST(an_empty_key_without_address_is_a_key)
{
    struct table *table = table_new();
    const struct span nothing = {0};
    int value;

    ck_assert(table_add(table, nothing, &value));
    ck_assert(!table_add(table, nothing, &value));
    ck_assert_ptr_eq(table_find(table, nothing), &value);
    ck_assert_uint_eq(table_count(table), 1);
    table_free(table);
}
END_TEST

enum { MANY = 20000 };

START_TEST(many_keys_are_all_found_while_the_table_grows)
{
    static char keys[MANY][8];
    struct table *table = table_new();

    for (int i = 0; i < MANY; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        ck_assert(table_add(table, span_of(keys[i]), keys[i]));
        ck_assert_ptr_eq(table_find(table, span_of(keys[i / 2])), keys[i / 2]);
    }
    ck_assert_uint_eq(table_count(table), MANY);
    for (int i = 0; i < MANY; i++) {
        char copy[8];

        memcpy(copy, keys[i], sizeof(copy));
        ck_assert_ptr_eq(table_find(table, span_of(copy)), keys[i]);
        ck_assert(!table_add(table, span_of(copy), copy));
    }
    ck_assert_uint_eq(table_count(table), MANY);
    ck_assert_ptr_null(table_find(table, SPAN("k20000")));
    table_free(table);
}
END_TEST

/* Digests are keys with NULs and high bytes. */
START_TEST(keys_that_differ_in_their_last_bit_are_two)
{
    struct table *table = table_new();
    char a[32] = {0}, b[32] = {0};

    b[31] = 1;
    ck_assert(table_add(table, span_make(a, sizeof(a)), a));
    ck_assert(table_add(table, span_make(b, sizeof(b)), b));
    ck_assert_ptr_eq(table_find(table, span_make(a, sizeof(a))), a);
    ck_assert_ptr_eq(table_find(table, span_make(b, sizeof(b))), b);
    table_free(table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/table");
    TCase *keys = suite_case(suite, "keys");

    tcase_add_test(keys, an_empty_table_finds_nothing);
    tcase_add_test(keys, keys_are_bytes_and_case_counts);
    tcase_add_test(keys, a_key_that_is_there_keeps_its_value);
    tcase_add_test(keys, an_empty_key_without_address_is_a_key);
    tcase_add_test(keys, many_keys_are_all_found_while_the_table_grows);
    tcase_add_test(keys, keys_that_differ_in_their_last_bit_are_two);
    return run_suite(suite);
}
