#include "config/units.h"
#include "support/suite.h"

struct value_row {
    const char *text;
    int64_t value;
    const char *shortest; /* how the value is written */
};

static const struct value_row durations[] = {
    {"0s", 0, "0s"},
    {"0ms", 0, "0s"},
    {"0d", 0, "0s"},
    {"1ms", 1, "1ms"},
    {"250ms", 250, "250ms"},
    {"999ms", 999, "999ms"},
    {"1000ms", 1000, "1s"},
    {"1500ms", 1500, "1500ms"},
    {"30s", 30000, "30s"},
    {"60s", 60000, "1m"},
    {"90s", 90000, "90s"},
    {"120s", 120000, "2m"},
    {"5m", 300000, "5m"},
    {"2h", 7200000, "2h"},
    {"24h", 86400000, "1d"},
    {"7d", 604800000, "7d"},
    {"007s", 7000, "7s"},
    {"106751991167d", 106751991167 * 86400000, "106751991167d"},
    {"9223372036854775807ms", INT64_MAX, "9223372036854775807ms"},
};

static const struct value_row sizes[] = {
    {"0", 0, "0"},
    {"0KiB", 0, "0"},
    {"1", 1, "1"},
    {"512", 512, "512"},
    {"512B", 512, "512"},
    {"1023", 1023, "1023"},
    {"1024", 1024, "1KiB"},
    {"1025B", 1025, "1025"},
    {"64KiB", 65536, "64KiB"},
    {"1024KiB", 1048576, "1MiB"},
    {"100MiB", 104857600, "100MiB"},
    {"1GiB", 1073741824, "1GiB"},
    {"1024GiB", (int64_t)1 << 40, "1024GiB"},
    {"8589934591GiB", 8589934591 * ((int64_t)1 << 30), "8589934591GiB"},
    {"9223372036854775807", INT64_MAX, "9223372036854775807"},
};

static void check_value(const struct value_row *row,
                        bool (*parse)(struct span, int64_t *),
                        void (*format)(int64_t, char[UNITS_TEXT_BYTES]))
{
    struct span text = exact_span(span_of(row->text));
    int64_t value = -777, again = -777;
    char written[UNITS_TEXT_BYTES];

    ck_assert_msg(parse(text, &value), "'%s' is refused", row->text);
    ck_assert_int_eq(value, row->value);
    format(value, written);
    ck_assert_str_eq(written, row->shortest);
    ck_assert(parse(span_of(written), &again));
    ck_assert_int_eq(again, value);
    free((char *)(uintptr_t)text.at);
}

START_TEST(a_duration_is_read_and_written_shortest)
{
    check_value(&durations[_i], units_parse_duration, units_format_duration);
}
END_TEST

START_TEST(a_size_is_read_and_written_shortest)
{
    check_value(&sizes[_i], units_parse_size, units_format_size);
}
END_TEST

static const char *const no_durations[] = {
    "",
    "s",
    "ms",
    "5",
    "5 s",
    " 5s",
    "5s ",
    "-5s",
    "+5s",
    "5S",
    "5M",
    "5sec",
    "5min",
    "5us",
    "5w",
    "1.5h",
    "1,5h",
    "5m30s",
    "0x5s",
    "5e3ms",
    "infinite",
    "5\xc2\xb5s",
    "106751991168d",
    "9223372036854775808ms",
    "9223372036854776s",
    "99999999999999999999999d",
};

START_TEST(what_is_no_duration_is_refused)
{
    struct span text = exact_span(span_of(no_durations[_i]));
    int64_t ms = -777;

    ck_assert_msg(!units_parse_duration(text, &ms), "'%s' is %lld", no_durations[_i],
                  (long long)ms);
    ck_assert_int_eq(ms, -777);
    free((char *)(uintptr_t)text.at);
}
END_TEST

static const char *const no_sizes[] = {
    "",
    "B",
    "KiB",
    "5K",
    "5k",
    "5kb",
    "5KB",
    "5kib",
    "5KIB",
    "5M",
    "5MB",
    "5GB",
    "5TiB",
    "5 MiB",
    " 5",
    "5 ",
    "-5",
    "+5",
    "1.5MiB",
    "0x10",
    "5BB",
    "8589934592GiB",
    "9223372036854775808",
    "9007199254740992KiB",
    "99999999999999999999999GiB",
};

START_TEST(what_is_no_size_is_refused)
{
    struct span text = exact_span(span_of(no_sizes[_i]));
    int64_t bytes = -777;

    ck_assert_msg(!units_parse_size(text, &bytes), "'%s' is %lld", no_sizes[_i],
                  (long long)bytes);
    ck_assert_int_eq(bytes, -777);
    free((char *)(uintptr_t)text.at);
}
END_TEST

static const struct {
    const char *text;
    int64_t count, period_s;
} rates[] = {
    {"20/s", 20, 1}, {"600/m", 600, 60}, {"1000/h", 1000, 3600},
    {"1/s", 1, 1},   {"007/m", 7, 60},   {"1000000/h", UNITS_MOST_RATE, 3600},
};

START_TEST(a_rate_is_read)
{
    struct span text = exact_span(span_of(rates[_i].text));
    struct units_rate rate = {0};

    ck_assert_msg(units_parse_rate(text, &rate), "'%s' is refused", rates[_i].text);
    ck_assert_int_eq(rate.count, rates[_i].count);
    ck_assert_int_eq(rate.period_s, rates[_i].period_s);
    free((char *)(uintptr_t)text.at);
}
END_TEST

static const char *const no_rates[] = {
    "",
    "/",
    "/s",
    "20",
    "20/",
    "20/d",
    "20/S",
    "20/sec",
    "0/s",
    "-1/s",
    "+1/s",
    "1.5/s",
    "20 /s",
    "20/ s",
    " 20/s",
    "20/s ",
    "s/20",
    "20//s",
    "20/s/s",
    "1000001/s",
    "20r/s",
    "0x5/s",
    "99999999999999999999/s",
};

START_TEST(what_is_no_rate_is_refused)
{
    struct span text = exact_span(span_of(no_rates[_i]));
    struct units_rate rate = {-777, -777};

    ck_assert_msg(!units_parse_rate(text, &rate), "'%s' is taken", no_rates[_i]);
    ck_assert_int_eq(rate.count, -777);
    free((char *)(uintptr_t)text.at);
}
END_TEST

START_TEST(any_value_fits_its_buffer)
{
    static const int64_t values[] = {INT64_MIN, INT64_MIN + 1, -1, INT64_MAX - 1};

    for (int i = 0; i < ROWS(values); i++) {
        char *text = malloc(UNITS_TEXT_BYTES);

        units_format_duration(values[i], text);
        ck_assert_ptr_nonnull(memchr(text, '\0', UNITS_TEXT_BYTES));
        units_format_size(values[i], text);
        ck_assert_ptr_nonnull(memchr(text, '\0', UNITS_TEXT_BYTES));
        free(text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config/units");
    TCase *duration = suite_case(suite, "duration");
    TCase *size = suite_case(suite, "size");
    TCase *rate = suite_case(suite, "rate");

    tcase_add_loop_test(duration, a_duration_is_read_and_written_shortest, 0,
                        ROWS(durations));
    tcase_add_loop_test(duration, what_is_no_duration_is_refused, 0, ROWS(no_durations));
    tcase_add_loop_test(size, a_size_is_read_and_written_shortest, 0, ROWS(sizes));
    tcase_add_loop_test(size, what_is_no_size_is_refused, 0, ROWS(no_sizes));
    tcase_add_test(size, any_value_fits_its_buffer);
    tcase_add_loop_test(rate, a_rate_is_read, 0, ROWS(rates));
    tcase_add_loop_test(rate, what_is_no_rate_is_refused, 0, ROWS(no_rates));
    return run_suite(suite);
}
