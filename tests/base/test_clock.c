#include "base/clock.h"
#include "support/suite.h"

/* Each time, and how it is written. */
static const struct {
    int64_t wall_ms;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {1, "1970-01-01T00:00:00.001Z"},
    {-1, "1969-12-31T23:59:59.999Z"},
    {-1000, "1969-12-31T23:59:59.000Z"},
    {951782400000, "2000-02-29T00:00:00.000Z"},
    {1795453445123, "2026-11-23T17:04:05.123Z"},
    {1483228799999, "2016-12-31T23:59:59.999Z"},
    {4107542400000, "2100-03-01T00:00:00.000Z"},
    {253402300799999, "9999-12-31T23:59:59.999Z"},
};

START_TEST(a_time_is_written_in_utc_with_milliseconds)
{
    char text[CLOCK_TEXT_BYTES];

    clock_format_utc(times[_i].wall_ms, text);
    ck_assert_str_eq(text, times[_i].text);
}
END_TEST

START_TEST(a_written_time_is_read_back)
{
    int64_t wall_ms = 777;
    struct span text = exact_span(span_of(times[_i].text));

    ck_assert(clock_parse_utc(text.at, text.len, &wall_ms));
    ck_assert_int_eq(wall_ms, times[_i].wall_ms);
    free((char *)(uintptr_t)text.at);
}
END_TEST

static const struct {
    const char *text;
    int64_t wall_ms;
} accepted[] = {
    {"2026-11-23T17:04:05Z", 1795453445000},
    {"2026-11-23T17:04:05.1Z", 1795453445100},
    {"2026-11-23T17:04:05.12Z", 1795453445120},
    {"2026-11-23T17:04:05.1239Z", 1795453445123},
    {"2026-11-23T17:04:05.123456789012345678901234567890Z", 1795453445123},
    {"2024-02-29T00:00:00Z", 1709164800000},
    {"2000-02-29T00:00:00Z", 951782400000},
};

START_TEST(the_fraction_is_optional)
{
    int64_t wall_ms = 777;

    ck_assert(clock_parse_utc(accepted[_i].text, strlen(accepted[_i].text), &wall_ms));
    ck_assert_int_eq(wall_ms, accepted[_i].wall_ms);
}
END_TEST

static const char *const refused[] = {
    "",
    "2026-11-23",
    "2026-11-23T17:04:05",
    "2026-11-23T17:04Z",
    "2026-11-23 17:04:05Z",
    "2026-11-23T17:04:05.Z",
    "2026-11-23T17:04:05,5Z",
    "2026-11-23T17:04:05ZZ",
    "2026-11-23T17:04:05Z ",
    " 2026-11-23T17:04:05Z",
    "2026-11-23T17:04:05+01:00",
    "2026-11-23T17:04:05.5+01:00",
    "2026-1-23T17:04:05Z",
    "26-11-23T17:04:05Z",
    "02026-11-23T17:04:05Z",
    "-026-11-23T17:04:05Z",
    "2026-11-+3T17:04:05Z",
    "2026-00-23T17:04:05Z",
    "2026-13-23T17:04:05Z",
    "2026-11-00T17:04:05Z",
    "2026-11-31T17:04:05Z",
    "2026-11-32T17:04:05Z",
    "2026-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T25:04:05Z",
    "2026-11-23T17:60:05Z",
    "2026-11-23T17:04:61Z",
    "2026-11-23T17:04:99Z",
    "now",
    "1795453445",
    "90d",
};

START_TEST(what_is_no_time_in_utc_is_refused)
{
    int64_t wall_ms = 777;
    struct span text = exact_span(span_of(refused[_i]));

    ck_assert_msg(!clock_parse_utc(text.at, text.len, &wall_ms), "'%s' was read as %lld",
                  refused[_i], (long long)wall_ms);
    ck_assert_int_eq(wall_ms, 777);
    free((char *)(uintptr_t)text.at);
}
END_TEST

/* Every cut is refused, and none is read past its end. */
START_TEST(a_cut_time_is_refused)
{
    struct span whole = SPAN("2026-11-23T17:04:05.123Z");

    for (size_t len = 0; len < whole.len; len++) {
        struct span cut = exact_span(span_make(whole.at, len));
        int64_t wall_ms;

        ck_assert(!clock_parse_utc(cut.at, cut.len, &wall_ms));
        free((char *)(uintptr_t)cut.at);
    }
}
END_TEST

START_TEST(the_format_ends_inside_its_buffer_for_any_time)
{
    static const int64_t extremes[] = {INT64_MIN, INT64_MAX, 253402300800000,
                                       -62135596800001};

    for (int i = 0; i < ROWS(extremes); i++) {
        char *text = malloc(CLOCK_TEXT_BYTES);

        memset(text, 'x', CLOCK_TEXT_BYTES);
        clock_format_utc(extremes[i], text);
        ck_assert_ptr_nonnull(memchr(text, '\0', CLOCK_TEXT_BYTES));
        free(text);
    }
}
END_TEST

START_TEST(the_monotonic_clocks_never_go_back_and_agree)
{
    int64_t before_us = clock_monotonic_us();
    int64_t ms = clock_monotonic_ms();
    int64_t after_us = clock_monotonic_us();

    ck_assert_int_le(before_us / 1000, ms);
    ck_assert_int_le(ms, after_us / 1000);
}
END_TEST

START_TEST(the_wall_clock_counts_milliseconds_since_1970)
{
    ck_assert_int_gt(clock_wall_ms(), 1577836800000); /* 2020 */
    ck_assert_int_lt(clock_wall_ms(), 7258118400000); /* 2200 */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/clock");
    TCase *format = suite_case(suite, "format");
    TCase *parse = suite_case(suite, "parse");
    TCase *now = suite_case(suite, "now");

    tcase_add_loop_test(format, a_time_is_written_in_utc_with_milliseconds, 0,
                        ROWS(times));
    tcase_add_test(format, the_format_ends_inside_its_buffer_for_any_time);
    tcase_add_loop_test(parse, a_written_time_is_read_back, 0, ROWS(times));
    tcase_add_loop_test(parse, the_fraction_is_optional, 0, ROWS(accepted));
    tcase_add_loop_test(parse, what_is_no_time_in_utc_is_refused, 0, ROWS(refused));
    tcase_add_test(parse, a_cut_time_is_refused);
    tcase_add_test(now, the_monotonic_clocks_never_go_back_and_agree);
    tcase_add_test(now, the_wall_clock_counts_milliseconds_since_1970);
    return run_suite(suite);
}
