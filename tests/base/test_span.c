#include "base/span.h"
#include "support/suite.h"

struct pair_row {
    struct span a, b;
    bool equal, equal_nocase, a_starts_with_b;
};

static const struct pair_row pairs[] = {
    {SPAN(""), SPAN(""), true, true, true},
    {SPAN("a"), SPAN(""), false, false, true},
    {SPAN(""), SPAN("a"), false, false, false},
    {SPAN("abc"), SPAN("abc"), true, true, true},
    {SPAN("abc"), SPAN("ABC"), false, true, false},
    {SPAN("abc"), SPAN("ab"), false, false, true},
    {SPAN("ab"), SPAN("abc"), false, false, false},
    {SPAN("a\0b"), SPAN("a\0c"), false, false, false},
    {SPAN("a\0b"), SPAN("a\0B"), false, true, false},
    /* Only letters have two cases: these differ from a letter by the same bit. */
    {SPAN("@[`{"), SPAN("`{@["), false, false, false},
    {SPAN("\xc4"), SPAN("\xe4"), false, false, false},
    {SPAN("K"), SPAN("\xe2\x84\xaa"), false, false, false},
};

START_TEST(spans_are_compared_by_bytes_and_ascii_case)
{
    const struct pair_row *row = &pairs[_i];
    struct span a = exact_span(row->a), b = exact_span(row->b);

    ck_assert_int_eq(span_equal(a, b), row->equal);
    ck_assert_int_eq(span_equal_nocase(a, b), row->equal_nocase);
    ck_assert_int_eq(span_starts_with(a, b), row->a_starts_with_b);
    free((char *)(uintptr_t)a.at);
    free((char *)(uintptr_t)b.at);
}
END_TEST

START_TEST(an_empty_span_may_have_no_address)
{
    const struct span nothing = {0};

    ck_assert(span_equal(nothing, SPAN("")));
    ck_assert(span_equal_nocase(nothing, nothing));
    ck_assert(span_starts_with(nothing, SPAN("")));
    ck_assert(span_starts_with(nothing, nothing));
    ck_assert_uint_eq(span_trim(nothing).len, 0);
    ck_assert(span_matches_glob(nothing, SPAN("*")));
}
END_TEST

static const struct {
    struct span text, trimmed;
} trims[] = {
    {SPAN(""), SPAN("")},
    {SPAN(" \t "), SPAN("")},
    {SPAN("a"), SPAN("a")},
    {SPAN(" \ta b\tc \t"), SPAN("a b\tc")},
    /* OWS is space and tab alone (RFC 9110 5.6.3). */
    {SPAN("\va\f"), SPAN("\va\f")},
    {SPAN("\ra\n"), SPAN("\ra\n")},
    {SPAN("\240a\0"), SPAN("\240a\0")},
};

START_TEST(spaces_and_tabs_are_trimmed_and_nothing_else)
{
    struct span text = exact_span(trims[_i].text);

    assert_span_is(span_trim(text), trims[_i].trimmed, "the trimmed text");
    free((char *)(uintptr_t)text.at);
}
END_TEST

static const struct {
    const char *text, *glob;
    bool matches;
} globs[] = {
    {"", "", true},
    {"", "*", true},
    {"", "**", true},
    {"", "a", false},
    {"a", "", false},
    {"listTeamMembers", "listTeam*", true},
    {"listTeam", "listTeam*", true},
    {"listTea", "listTeam*", false},
    {"listTeamMembers", "ListTeam*", false},
    {"listTeamMembers", "list*s", true},
    {"listTeamMembers", "list*sx", false},
    {"listTeamMembers", "*Members", true},
    {"listTeamMembers", "*Team*", true},
    {"listTeamMembers", "*Team", false},
    {"aXbXc", "a*b*c", true},
    {"abab", "*ab", true},
    {"ababac", "*abac", true},
    {"aaab", "a*ab", true},
    {"ab", "a*ab", false},
    {"abc", "a**c", true},
    {"a", "?", false},
    {"a", "[a]", false},
    {"a.c", "a.c", true},
    {"abc", "a.c", false},
    {"a*c", "a*c", true},
};

START_TEST(star_stands_for_any_run_and_nothing_else_is_special)
{
    struct span text = exact_span(span_of(globs[_i].text));
    struct span glob = exact_span(span_of(globs[_i].glob));

    ck_assert_msg(span_matches_glob(text, glob) == globs[_i].matches,
                  "'%s' against '%s' is not %d", globs[_i].text, globs[_i].glob,
                  globs[_i].matches);
    free((char *)(uintptr_t)text.at);
    free((char *)(uintptr_t)glob.at);
}
END_TEST

/* A backtracking matcher would not come back from this one. */
START_TEST(many_stars_take_no_exponential_time)
{
    enum { LENGTH = 5000 };
    char text[LENGTH], glob[2 * LENGTH];

    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < LENGTH; i++)
        memcpy(glob + 2 * i, "*a", 2);
    ck_assert(span_matches_glob(span_make(text, LENGTH), span_make(glob, 2 * LENGTH)));
    text[LENGTH - 1] = 'b';
    ck_assert(!span_matches_glob(span_make(text, LENGTH), span_make(glob, 2 * LENGTH)));
}
END_TEST

static const struct {
    const char *text;
    uint64_t max, value;
    bool is_number;
} numbers[] = {
    {"0", UINT64_MAX, 0, true},
    {"000", UINT64_MAX, 0, true},
    {"42", UINT64_MAX, 42, true},
    {"0042", 42, 42, true},
    {"18446744073709551615", UINT64_MAX, UINT64_MAX, true},
    {"18446744073709551616", UINT64_MAX, 0, false},
    {"18446744073709551621", UINT64_MAX, 0, false},
    {"184467440737095516150", UINT64_MAX, 0, false},
    {"9223372036854775807", INT64_MAX, INT64_MAX, true},
    {"9223372036854775808", INT64_MAX, 0, false},
    {"65535", 65535, 65535, true},
    {"65536", 65535, 0, false},
    {"99999", 65535, 0, false},
    {"655350", 65535, 0, false},
    {"10", 9, 0, false},
    {"9", 9, 9, true},
    {"7", 5, 0, false},
    {"6", 5, 0, false},
    {"5", 5, 5, true},
    {"1", 0, 0, false},
    {"0", 0, 0, true},
    {"", UINT64_MAX, 0, false},
    {"+5", UINT64_MAX, 0, false},
    {"-5", UINT64_MAX, 0, false},
    {"-0", UINT64_MAX, 0, false},
    {" 5", UINT64_MAX, 0, false},
    {"5 ", UINT64_MAX, 0, false},
    {"5 5", UINT64_MAX, 0, false},
    {"5,5", UINT64_MAX, 0, false},
    {"0x5", UINT64_MAX, 0, false},
    {"a", UINT64_MAX, 0, false},
    {"5.0", UINT64_MAX, 0, false},
    {"5e0", UINT64_MAX, 0, false},
    {"5_0", UINT64_MAX, 0, false},
    {"/", UINT64_MAX, 0, false},
    {":", UINT64_MAX, 0, false},
    {"\xd9\xa5", UINT64_MAX, 0, false},
    {"\xb2", UINT64_MAX, 0, false},
};

START_TEST(a_number_is_digits_up_to_its_maximum)
{
    struct span text = exact_span(span_of(numbers[_i].text));
    uint64_t value = 777;
    bool is_number = span_to_number(text, numbers[_i].max, &value);

    free((char *)(uintptr_t)text.at);
    ck_assert_msg(is_number == numbers[_i].is_number, "'%s' up to %llu is not %d",
                  numbers[_i].text, (unsigned long long)numbers[_i].max,
                  numbers[_i].is_number);
    ck_assert_uint_eq(value, is_number ? numbers[_i].value : 777);
}
END_TEST

START_TEST(a_nul_is_no_digit_and_ends_no_number)
{
    uint64_t value = 777;

    ck_assert(!span_to_number(SPAN("5\0"), UINT64_MAX, &value));
    ck_assert(!span_to_number(SPAN("5\0005"), UINT64_MAX, &value));
    ck_assert_uint_eq(value, 777);
}
END_TEST

START_TEST(a_hash_depends_on_every_byte_the_length_and_the_seed)
{
    char bytes[40] = {0};

    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct span whole = exact_span(span_make(bytes, len));
        uint64_t hash = span_hash(whole, 1);

        ck_assert_uint_eq(span_hash(span_make(bytes, len), 1), hash);
        ck_assert_uint_ne(span_hash(whole, 2), hash);
        if (len > 0)
            ck_assert_uint_ne(span_hash(span_make(bytes, len - 1), 1), hash);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = 1;
            ck_assert_uint_ne(span_hash(span_make(bytes, len), 1), hash);
            bytes[i] = 0;
        }
        free((char *)(uintptr_t)whole.at);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/span");
    TCase *compare = suite_case(suite, "compare");
    TCase *trim = suite_case(suite, "trim");
    TCase *glob = suite_case(suite, "glob");
    TCase *number = suite_case(suite, "number");

    tcase_add_loop_test(compare, spans_are_compared_by_bytes_and_ascii_case, 0,
                        ROWS(pairs));
    tcase_add_test(compare, a_hash_depends_on_every_byte_the_length_and_the_seed);
    tcase_add_test(compare, an_empty_span_may_have_no_address);
    tcase_add_loop_test(trim, spaces_and_tabs_are_trimmed_and_nothing_else, 0,
                        ROWS(trims));
    tcase_add_loop_test(glob, star_stands_for_any_run_and_nothing_else_is_special, 0,
                        ROWS(globs));
    tcase_add_test(glob, many_stars_take_no_exponential_time);
    tcase_add_loop_test(number, a_number_is_digits_up_to_its_maximum, 0, ROWS(numbers));
    tcase_add_test(number, a_nul_is_no_digit_and_ends_no_number);
    return run_suite(suite);
}
