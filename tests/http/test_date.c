/* Dates of fields: RFC 9110 5.6.7. */
#include "http/date.h"
#include "support/suite.h"

/* Mon, 23 Nov 2026 12:00:00 GMT */
#define NOW_S INT64_C(1795435200)

static bool parse_at(const char *text, int64_t now_s, int64_t *wall_ms)
{
    struct span exact = exact_span(span_of(text));
    bool is_date = http_date_parse(exact, now_s * 1000, wall_ms);

    free((char *)(uintptr_t)exact.at);
    return is_date;
}

static const struct {
    const char *text;
    int64_t seconds;
} dates[] = {
    /* The three forms of one moment, as the RFC gives them. */
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},

    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Thu Jan  1 00:00:00 1970", 0},
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Thu, 01 Mar 1900 00:00:00 GMT", -2203891200},
    {"Fri, 31 Dec 1999 23:59:59 GMT", 946684799},
    {"Friday, 31-Dec-99 23:59:59 GMT", 946684799},
    {"Fri Dec 31 23:59:59 1999", 946684799},
    {"Tue, 19 Jan 2038 03:14:08 GMT", 2147483648},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},

    /* Leap days. */
    {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
    {"Tuesday, 29-Feb-00 00:00:00 GMT", 951782400},
    {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
    {"Thu Feb 29 23:59:59 2024", 1709251199},
    {"Sun, 28 Feb 2100 00:00:00 GMT", 4107456000},

    /* The second behind a leap second is the next day's first, or the same as it. */
    {"Sat, 31 Dec 2016 23:59:59 GMT", 1483228799},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
    {"Tuesday, 30-Jun-15 23:59:60 GMT", 1435708800},
    {"Tue Jun 30 23:59:60 2015", 1435708800},
};

START_TEST(a_date_of_each_form_is_read)
{
    int64_t wall_ms = 1;

    ck_assert_msg(parse_at(dates[_i].text, NOW_S, &wall_ms), "'%s' is not read",
                  dates[_i].text);
    ck_assert_msg(wall_ms == dates[_i].seconds * 1000, "'%s' is %lld", dates[_i].text,
                  (long long)wall_ms);
}
END_TEST

/* RFC 9110 5.6.7: over 50 years ahead it means the latest year behind. */
static const struct {
    int64_t now_s;
    const char *text;
    int64_t seconds;
} short_years[] = {
    /* Seen from Mon, 23 Nov 2026 12:00:00 GMT. */
    {NOW_S, "Thursday, 01-Jan-26 00:00:00 GMT", 1767225600},
    {NOW_S, "Friday, 01-Jul-50 00:00:00 GMT", 2540246400},
    {NOW_S, "Tuesday, 31-Dec-75 00:00:00 GMT", 3344976000},
    {NOW_S, "Wednesday, 01-Jan-76 00:00:00 GMT", 3345062400},
    {NOW_S, "Friday, 31-Dec-76 23:59:59 GMT", 220924799},
    {NOW_S, "Saturday, 01-Jan-77 00:00:00 GMT", 220924800},
    {NOW_S, "Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    /* From Thu, 01 Jan 2026 00:00:00 GMT. */
    {1767225600, "Wednesday, 01-Jan-76 00:00:00 GMT", 3345062400},
    {1767225600, "Friday, 31-Dec-76 23:59:59 GMT", 220924799},
    /* From Sun, 06 Nov 1994 08:49:37 GMT: the century is the present one. */
    {784111777, "Friday, 31-Dec-99 23:59:59 GMT", 946684799},
    {784111777, "Thursday, 01-Jan-70 00:00:00 GMT", 0},
    /* From Fri, 01 Jul 2050 00:00:00 GMT. */
    {2540246400, "Saturday, 01-Jul-00 00:00:00 GMT", 962409600},
    {2540246400, "Friday, 01-Jul-50 00:00:00 GMT", 2540246400},
};

START_TEST(a_year_of_two_digits_is_at_most_50_years_ahead)
{
    int64_t wall_ms = 1;

    ck_assert(parse_at(short_years[_i].text, short_years[_i].now_s, &wall_ms));
    ck_assert_msg(wall_ms == short_years[_i].seconds * 1000, "'%s' is %lld",
                  short_years[_i].text, (long long)wall_ms / 1000);
}
END_TEST

static const char *const refused[] = {
    "",
    "0",
    "-1",
    "784111777",
    "now",
    /* Almost the first form. */
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 ",
    "Sun, 06 Nov 1994 08:49:37 GM",
    "Sun, 06 Nov 1994 08:49:37 GMT ",
    "Sun, 06 Nov 1994 08:49:37 GMTx",
    " Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37  GMT",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 EST",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 08:49:37Z",
    "Sun 06 Nov 1994 08:49:37 GMT",
    "Sun,06 Nov 1994 08:49:37 GMT",
    "06 Nov 1994 08:49:37 GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun,  6 Nov 1994 08:49:37 GMT",
    "Sun, 06-Nov-1994 08:49:37 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT",
    "Sun, 06 Nov 19940 08:49:37 GMT",
    "Sun, 06 November 1994 08:49:37 GMT",
    "Sun, 06 11 1994 08:49:37 GMT",
    "Sun, 06 Xxx 1994 08:49:37 GMT",
    "Xxx, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06 Nov 1994 08:49 GMT",
    "Sun, 06 Nov 1994 08:49:37.5 GMT",
    "Sun, 06 Nov 1994 08-49-37 GMT",
    "Sun, 06 Nov 1994 +8:49:37 GMT",
    "Sun, 06 Nov 1994 -8:49:37 GMT",
    "Sun, 06 Nov -994 08:49:37 GMT",
    /* Of no calendar or clock. */
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Thu, 31 Nov 1994 08:49:37 GMT",
    "Sun, 32 Jan 1994 08:49:37 GMT",
    "Sun, 99 Dec 1994 08:49:37 GMT",
    "Thu, 29 Feb 1900 00:00:00 GMT",
    "Mon, 29 Feb 2100 00:00:00 GMT",
    "Wed, 29 Feb 2023 00:00:00 GMT",
    "Fri, 30 Feb 2024 00:00:00 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    /* Almost the second and the third. */
    "Sun, 06-Nov-94 08:49:37 GMT",
    "Sunday, 06 Nov 94 08:49:37 GMT",
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37",
    "Sunday, 29-Feb-23 08:49:37 GMT",
    "Sunday, 6-Nov-94 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov   6 08:49:37 1994",
    "Sun Nov  6 08:49:37 94",
    "Sun Nov  6 08:49:37 1994 GMT",
    "Sun Nov  0 08:49:37 1994",
    "Sun Nov 31 08:49:37 1994",
    "Sun, Nov  6 08:49:37 1994",
    "Sunday Nov  6 08:49:37 1994",
    "1994-11-06T08:49:37Z",
};

START_TEST(anything_else_is_no_date)
{
    int64_t wall_ms = 1;

    ck_assert_msg(!parse_at(refused[_i], NOW_S, &wall_ms), "'%s' is read as %lld",
                  refused[_i], (long long)wall_ms);
}
END_TEST

START_TEST(no_beginning_of_a_date_is_a_date)
{
    static const char *const whole[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    int64_t wall_ms;

    for (int i = 0; i < ROWS(whole); i++) {
        for (size_t len = 0; len < strlen(whole[i]); len++) {
            struct span exact = exact_span(span_make(whole[i], len));

            ck_assert_msg(!http_date_parse(exact, NOW_S * 1000, &wall_ms), "'%.*s'",
                          (int)len, whole[i]);
            free((char *)(uintptr_t)exact.at);
        }
    }
}
END_TEST

static const struct {
    int64_t wall_ms;
    const char *text;
} written[] = {
    {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
    {999, "Thu, 01 Jan 1970 00:00:00 GMT"},
    {784111777000, "Sun, 06 Nov 1994 08:49:37 GMT"},
    {784111777999, "Sun, 06 Nov 1994 08:49:37 GMT"},
    {951782400000, "Tue, 29 Feb 2000 00:00:00 GMT"},
    {1709251199000, "Thu, 29 Feb 2024 23:59:59 GMT"},
    {2147483648000, "Tue, 19 Jan 2038 03:14:08 GMT"},
    {253402300799000, "Fri, 31 Dec 9999 23:59:59 GMT"},
};

START_TEST(a_date_is_written_in_the_first_form)
{
    char text[HTTP_DATE_BYTES];

    memset(text, 'x', sizeof(text));
    http_date_format(written[_i].wall_ms, text);
    ck_assert_str_eq(text, written[_i].text);
}
END_TEST

/* Steps of a day and some, over the years from 1970 to 2400. */
START_TEST(what_was_written_is_read_as_the_same_second)
{
    char text[HTTP_DATE_BYTES];
    int64_t wall_ms;

    for (int64_t seconds = 0; seconds < INT64_C(13569465600); seconds += 86400 + 3661) {
        http_date_format(seconds * 1000, text);
        ck_assert_msg(parse_at(text, NOW_S, &wall_ms), "'%s' is not read", text);
        ck_assert_int_eq(wall_ms, seconds * 1000);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/date");
    TCase *reading = suite_case(suite, "reading");
    TCase *writing = suite_case(suite, "writing");

    tcase_add_loop_test(reading, a_date_of_each_form_is_read, 0, ROWS(dates));
    tcase_add_loop_test(reading, a_year_of_two_digits_is_at_most_50_years_ahead, 0,
                        ROWS(short_years));
    tcase_add_loop_test(reading, anything_else_is_no_date, 0, ROWS(refused));
    tcase_add_test(reading, no_beginning_of_a_date_is_a_date);
    tcase_add_loop_test(writing, a_date_is_written_in_the_first_form, 0, ROWS(written));
    tcase_add_test(writing, what_was_written_is_read_as_the_same_second);
    return run_suite(suite);
}
