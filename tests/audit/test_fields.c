/* The members of a line as they are written, and two lines in one. */
#include "audit/fields.h"
#include "support/suite.h"

static void assert_decoded(const char *value, const char *text, size_t len)
{
    struct span exact = exact_span(span_of(value));
    struct text decoded = {0};

    fields_decode(exact, &decoded);
    ck_assert_msg(decoded.len == len && memcmp(decoded.bytes, text, len) == 0, "%s: '%s'",
                  value, decoded.bytes);
    text_fini(&decoded);
    free((char *)(uintptr_t)exact.at);
}

static const struct {
    const char *value, *text;
} values[] = {
    {"\"plain\"", "plain"},
    {"12", "12"},
    {"true", "true"},
    {"[\"a\",\"b\"]", "[\"a\",\"b\"]"},
    {"\"a\\\"b\\\\c\\/d\"", "a\"b\\c/d"},
    {"\"\\b\\f\\n\\r\\t\"", "\b\f\n\r\t"},
    {"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"},
    {"\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!"},
    {"\"\xc3\xa9\"", "\xc3\xa9"},
    {"\"\\\\u0041\"", "\\u0041"},
};

START_TEST(escapes_are_undone)
{
    assert_decoded(values[_i].value, values[_i].text, strlen(values[_i].text));
}
END_TEST

START_TEST(an_escaped_nul_is_a_byte)
{
    assert_decoded("\"a\\u0000b\"", "a\0b", 3);
}
END_TEST

START_TEST(an_empty_string_is_empty)
{
    struct text decoded = {0};

    fields_decode(SPAN("\"\""), &decoded);
    ck_assert_uint_eq(decoded.len, 0);
    text_fini(&decoded);
}
END_TEST

static struct fields read_line(const char *line)
{
    struct fields fields;
    struct error error;

    ck_assert_msg(fields_read(&fields, span_of(line), &error), "%s", error.text);
    return fields;
}

static void assert_span(struct span span, const char *text)
{
    if (text == NULL)
        ck_assert_ptr_null(span.at);
    else
        ck_assert_msg(span_equal(span, span_of(text)), "'%.*s' is not '%s'",
                      (int)span.len, span.at, text);
}

START_TEST(members_are_given_as_they_are_written)
{
    struct fields fields = read_line("{\"event.action\":\"x\\u0041\",\"a\":[1,2],"
                                     "\"event.sequence\":7,\"user.name\":\"ci\"}");

    assert_span(fields.values[FIELD_ACTION], "\"x\\u0041\"");
    assert_span(fields.values[FIELD_SEQUENCE], "7");
    assert_span(fields.values[FIELD_TEAM], NULL);
    ck_assert_uint_eq(fields_number(&fields, FIELD_SEQUENCE), 7);
    ck_assert_uint_eq(fields_number(&fields, FIELD_STATUS), 0);
    ck_assert(fields_is(&fields, FIELD_USER, SPAN("ci")));
    ck_assert(!fields_is(&fields, FIELD_USER, SPAN("c")));
    ck_assert(!fields_is(&fields, FIELD_TEAM, SPAN("")));
}
END_TEST

START_TEST(the_resource_is_its_name_else_the_member_else_the_path)
{
    struct fields fields = read_line("{\"url.path\":\"/p\",\"user.target.id\":\"u\","
                                     "\"proxy.resource.name\":\"r\"}");

    assert_span(fields_resource(&fields), "\"r\"");
    fields = read_line("{\"url.path\":\"/p\",\"user.target.id\":\"u\"}");
    assert_span(fields_resource(&fields), "\"u\"");
    fields = read_line("{\"url.path\":\"/p\"}");
    assert_span(fields_resource(&fields), "\"/p\"");
    fields = read_line("{\"a\":1}");
    assert_span(fields_resource(&fields), NULL);
}
END_TEST

static const struct {
    const char *line, *later, *merged;
} merges[] = {
    {"{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":4}", "{\"a\":1,\"b\":3,\"c\":4}"},
    {"{\"a\":1}", "{\"a\":1}", "{\"a\":1}"},
    {"{\"n\":1e400}", "{\"s\":\"{\\\"a\\\":1}\"}",
     "{\"n\":1e400,\"s\":\"{\\\"a\\\":1}\"}"},
    {"{\"n\":123456789012345678901234567890}", "{\"l\":[\"x\",\"y\"]}",
     "{\"n\":123456789012345678901234567890,\"l\":[\"x\",\"y\"]}"},
    {"{\"s\":\"ends in {\"}", "{\"t\":null}", "{\"s\":\"ends in {\",\"t\":null}"},
};

START_TEST(the_later_line_wins)
{
    struct text merged = {0};

    fields_merge_lines(span_of(merges[_i].line), span_of(merges[_i].later), &merged);
    ck_assert_str_eq(merged.bytes, merges[_i].merged);
    text_fini(&merged);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit fields");
    TCase *decode = suite_case(suite, "decode"), *read = suite_case(suite, "read");
    TCase *merge = suite_case(suite, "merge");

    tcase_add_loop_test(decode, escapes_are_undone, 0, ROWS(values));
    tcase_add_test(decode, an_escaped_nul_is_a_byte);
    tcase_add_test(decode, an_empty_string_is_empty);
    tcase_add_test(read, members_are_given_as_they_are_written);
    tcase_add_test(read, the_resource_is_its_name_else_the_member_else_the_path);
    tcase_add_loop_test(merge, the_later_line_wins, 0, ROWS(merges));
    return run_suite(suite);
}
