#include "base/log.h"

#include "base/log_internal.h"
#include "support/suite.h"

enum { TIME_LENGTH = 24 };

static void tear_down(void)
{
    log_configure(LOG_INFO, LOG_TEXT);
}

/* The line but for its time, which must be one; the caller frees it. */
static struct text rendered(enum log_format format, const char *message,
                            const struct log_field *fields, unsigned count)
{
    struct text line = {0}, timeless = {0};
    size_t at = format == LOG_JSON ? strlen("{\"@timestamp\":\"") : 0;

    log_configure(LOG_INFO, format);
    log_render(&line, LOG_WARN, span_of(message), fields, count);
    ck_assert(!line.failed && line.len > at + TIME_LENGTH);
    ck_assert_int_eq(line.bytes[at + 4], '-');
    ck_assert_int_eq(line.bytes[at + 10], 'T');
    ck_assert_int_eq(line.bytes[at + TIME_LENGTH - 1], 'Z');
    text_add(&timeless, span_make(line.bytes, at));
    text_add(&timeless,
             span_make(line.bytes + at + TIME_LENGTH, line.len - at - TIME_LENGTH));
    text_fini(&line);
    return timeless;
}

static const struct log_field fields[] = {
    {.name = "a", .value = {"plain/1", 7}},
    {.name = "b", .number = -5},
    {.name = "c", .value = {"x y=\"z\"\n", 8}},
    {.name = "d", .value = {"", 0}},
};

START_TEST(a_line_for_programs_is_json)
{
    struct text line = rendered(LOG_JSON, "it \"is\"\n", fields, 4);

    ck_assert_str_eq(line.bytes,
                     "{\"@timestamp\":\"\",\"log.level\":\"warn\","
                     "\"message\":\"it \\\"is\\\"\\n\",\"a\":\"plain/1\",\"b\":-5,"
                     "\"c\":\"x y=\\\"z\\\"\\n\",\"d\":\"\"}\n");
    text_fini(&line);
}
END_TEST

START_TEST(a_line_for_people_is_one_line_and_a_peer_cannot_make_up_fields)
{
    struct text line = rendered(LOG_TEXT, "it is\n", fields, 4);

    ck_assert_str_eq(
        line.bytes, " warn  it is\\x0a a=plain/1 b=-5 c=\"x y=\\\"z\\\"\\x0a\" d=\"\"\n");
    text_fini(&line);
}
END_TEST

START_TEST(the_level_is_raised_step_by_step_and_then_as_configured)
{
    log_configure(LOG_WARN, LOG_TEXT);
    ck_assert(!log_is_on(LOG_INFO));
    log_raise_level();
    ck_assert(log_is_on(LOG_INFO) && !log_is_on(LOG_DEBUG));
    log_raise_level();
    ck_assert(log_is_on(LOG_DEBUG));
    log_raise_level();
    ck_assert(log_is_on(LOG_WARN) && !log_is_on(LOG_INFO));
    log_raise_level();
    log_configure(LOG_ERROR, LOG_TEXT);
    ck_assert(!log_is_on(LOG_WARN));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/log");
    TCase *lines = suite_case(suite, "lines");

    tcase_add_checked_fixture(lines, NULL, tear_down);
    tcase_add_test(lines, a_line_for_programs_is_json);
    tcase_add_test(lines, a_line_for_people_is_one_line_and_a_peer_cannot_make_up_fields);
    tcase_add_test(lines, the_level_is_raised_step_by_step_and_then_as_configured);
    return run_suite(suite);
}
