#include "admin/params.h"

#include "support/suite.h"

static const struct {
    const char *query, *name;
    const char *value; /* NULL: it is not there */
} rows[] = {
    {"a=1", "a", "1"},
    {"a=1&b=2", "b", "2"},
    {"a=1&b=2&a=3", "a", "1"},
    {"b=2&&a=1&", "a", "1"},
    {"a=1=2", "a", "1=2"},
    {"a==", "a", "="},
    {"a=1+2", "a", "1 2"},
    {"a=+", "a", " "},
    {"a=1%2B2", "a", "1+2"},
    {"a=%2b%26%3d%25", "a", "+&=%"},
    {"a=%41%6a%6A", "a", "Ajj"},
    {"a=%C3%A4", "a", "\xc3\xa4"},
    {"a=%ff", "a", "\xff"},
    {"a=%", "a", "%"},
    {"a=%4", "a", "%4"},
    {"a=%4&b=1", "a", "%4"},
    {"a=%zz%41", "a", "%zzA"},
    {"a=%%41", "a", "%A"},
    {"a=%+1", "a", "% 1"},
    {"a=/?:@", "a", "/?:@"},
    {"a=", "a", NULL},
    {"a=&a=1", "a", "1"},
    {"a", "a", NULL},
    {"a&b", "a", NULL},
    {"", "a", NULL},
    {"&", "a", NULL},
    {"=1", "a", NULL},
    {"A=1", "a", NULL},
    {"aa=1", "a", NULL},
    {"xa=1", "a", NULL},
    {"%61=1", "a", NULL},
    {"b=a=1", "a", NULL},
    {"b=%26a=1", "a", NULL},
};

START_TEST(a_parameter_is_found_and_decoded)
{
    struct span query = exact_span(span_of(rows[_i].query));
    struct text value = {0};
    bool is_there = params_find(query, span_of(rows[_i].name), &value);

    ck_assert_msg(is_there == (rows[_i].value != NULL), "%s", rows[_i].query);
    if (is_there)
        ck_assert_str_eq(value.bytes, rows[_i].value);
    text_fini(&value);
    free((char *)(uintptr_t)query.at);
}
END_TEST

START_TEST(no_query_has_no_parameter)
{
    struct text value = {0};

    ck_assert(!params_find(span_make(NULL, 0), SPAN("a"), &value));
    ck_assert_uint_eq(value.len, 0);
}
END_TEST

START_TEST(a_value_is_added_to_what_was_there)
{
    struct text value = {0};

    text_add(&value, SPAN("+%41"));
    ck_assert(params_find(SPAN("a=+%41"), SPAN("a"), &value));
    ck_assert_str_eq(value.bytes, "+%41 A");
    text_fini(&value);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admin/params");
    TCase *tcase = suite_case(suite, "params");

    tcase_add_loop_test(tcase, a_parameter_is_found_and_decoded, 0, ROWS(rows));
    tcase_add_test(tcase, no_query_has_no_parameter);
    tcase_add_test(tcase, a_value_is_added_to_what_was_there);
    return run_suite(suite);
}
