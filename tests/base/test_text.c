#include "base/text.h"
#include "support/suite.h"

START_TEST(text_grows_and_stays_terminated)
{
    struct text text = {0};

    for (int i = 0; i < 1000; i++) {
        text_add(&text, SPAN("abc"));
        text_add_byte(&text, 'd');
        text_add_format(&text, "%02d", i % 100);
        ck_assert_uint_eq(text.len, (size_t)(i + 1) * 6);
        ck_assert_uint_eq(strlen(text.bytes), text.len);
        ck_assert_uint_gt(text.capacity, text.len);
    }
    ck_assert(!text.failed);
    ck_assert_int_eq(memcmp(text.bytes + 5994, "abcd99", 6), 0);
    text_fini(&text);
    ck_assert_ptr_null(text.bytes);
    ck_assert_uint_eq(text.len, 0);
    text_add(&text, SPAN("again"));
    ck_assert_str_eq(text.bytes, "again");
    text_fini(&text);
}
END_TEST

START_TEST(cleared_text_is_empty_and_usable)
{
    struct text text = {0};

    text_clear(&text);
    ck_assert_uint_eq(text.len, 0);
    text_add(&text, SPAN("something"));
    text_clear(&text);
    ck_assert_str_eq(text.bytes, "");
    ck_assert_uint_eq(text.len, 0);
    text_add(&text, SPAN("else"));
    ck_assert_str_eq(text.bytes, "else");
    text_fini(&text);
}
END_TEST

START_TEST(adding_nothing_terminates_too)
{
    struct text text = {0};

    text_add(&text, (struct span){0});
    ck_assert_str_eq(text.bytes, "");
    text_add_format(&text, "%s", "");
    ck_assert_str_eq(text.bytes, "");
    text_fini(&text);
}
END_TEST

START_TEST(bytes_with_nul_are_kept)
{
    struct text text = {0};

    text_add(&text, SPAN("a\0b"));
    text_add_byte(&text, '\0');
    assert_span_is(span_make(text.bytes, text.len), SPAN("a\0b\0"), "the text");
    text_fini(&text);
}
END_TEST

/* A text that failed drops what comes after, and is whole again once cleared. */
START_TEST(failed_text_takes_nothing_until_cleared)
{
    struct text text = {0};

    text_add(&text, SPAN("kept"));
    text.failed = true;
    text_add(&text, SPAN(" dropped"));
    text_add_format(&text, "%d", 5);
    text_add_json_string(&text, SPAN("dropped"));
    ck_assert_str_eq(text.bytes, "kept");
    ck_assert(text.failed);
    text_clear(&text);
    text_add(&text, SPAN("new"));
    ck_assert_str_eq(text.bytes, "new");
    ck_assert(!text.failed);
    text_fini(&text);
}
END_TEST

/* RFC 3629 4: the length of the sequence that begins each text, or 0. */
static const struct {
    struct span bytes;
    size_t length;
} sequences[] = {
    {SPAN(""), 0},
    {SPAN("a"), 1},
    {SPAN("\0"), 1},
    {SPAN("\x7f"), 1},
    {SPAN("\x80"), 0},
    {SPAN("\xbf"), 0},
    {SPAN("\xc0\x80"), 0}, /* NUL in two bytes */
    {SPAN("\xc0\xae"), 0}, /* a dot in two bytes */
    {SPAN("\xc1\xbf"), 0},
    {SPAN("\xc2\x80"), 2},
    {SPAN("\xc2\x7f"), 0},
    {SPAN("\xc2\xc0"), 0},
    {SPAN("\xc3\xa9z"), 2},
    {SPAN("\xdf\xbf"), 2},
    {SPAN("\xc3"), 0},
    {SPAN("\xe0\x80\xaf"), 0}, /* a slash in three bytes */
    {SPAN("\xe0\x9f\xbf"), 0},
    {SPAN("\xe0\xa0\x80"), 3},
    {SPAN("\xe2\x82\xac"), 3},
    {SPAN("\xe2\x82"), 0},
    {SPAN("\xe2"), 0},
    {SPAN("\xe2\x82\x28"), 0},
    {SPAN("\xe2\x28\xac"), 0},
    {SPAN("\xed\x9f\xbf"), 3},
    {SPAN("\xed\xa0\x80"), 0}, /* surrogates */
    {SPAN("\xed\xbf\xbf"), 0},
    {SPAN("\xee\x80\x80"), 3},
    {SPAN("\xef\xbf\xbd"), 3},
    {SPAN("\xef\xbf\xbf"), 3},
    {SPAN("\xf0\x80\x80\xaf"), 0}, /* a slash in four bytes */
    {SPAN("\xf0\x8f\xbf\xbf"), 0},
    {SPAN("\xf0\x90\x80\x80"), 4},
    {SPAN("\xf0\x9f\x92\xa9x"), 4},
    {SPAN("\xf0\x9f\x92"), 0},
    {SPAN("\xf0\x9f\x92\x28"), 0},
    {SPAN("\xf3\xbf\xbf\xbf"), 4},
    {SPAN("\xf4\x8f\xbf\xbf"), 4},
    {SPAN("\xf4\x90\x80\x80"), 0}, /* above U+10FFFF */
    {SPAN("\xf5\x80\x80\x80"), 0},
    {SPAN("\xf8\x88\x80\x80\x80"), 0},
    {SPAN("\xfe"), 0},
    {SPAN("\xff"), 0},
};

START_TEST(utf8_is_what_rfc_3629_says)
{
    struct span bytes = exact_span(sequences[_i].bytes);

    ck_assert_msg(text_utf8_length(bytes) == sequences[_i].length, "'%s' is not %zu",
                  shown(bytes), sequences[_i].length);
    free((char *)(uintptr_t)bytes.at);
}
END_TEST

/* Every scalar value, written by the rules of RFC 3629 3, is one sequence. */
START_TEST(every_scalar_value_is_valid_utf8)
{
    for (unsigned value = 0; value <= 0x10ffff; value++) {
        char bytes[4];
        size_t len = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
        static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        bool is_scalar = value < 0xd800 || value > 0xdfff;

        for (size_t i = len; i-- > 1;)
            bytes[i] = (char)(0x80 | (value >> 6 * (len - 1 - i) & 0x3f));
        bytes[0] = (char)(lead[len] | value >> 6 * (len - 1));
        if (text_utf8_length(span_make(bytes, len)) != (is_scalar ? len : 0))
            ck_abort_msg("U+%04X is judged wrongly", value);
    }
}
END_TEST

static const struct {
    struct span value;
    const char *json;
} strings[] = {
    {SPAN(""), "\"\""},
    {SPAN("plain"), "\"plain\""},
    {SPAN("\"\\/"), "\"\\\"\\\\/\""},
    {SPAN("a\r\nb\tc"), "\"a\\r\\nb\\tc\""},
    {SPAN("\0\x01\x1b\x1f"), "\"\\u0000\\u0001\\u001b\\u001f\""},
    {SPAN("\x7f"), "\"\\u007f\""},
    {SPAN("\xc3\xa9\xf0\x9f\x92\xa9"), "\"\xc3\xa9\xf0\x9f\x92\xa9\""},
    {SPAN("a\377b"), "\"a\357\277\275b\""},
    {SPAN("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {SPAN("\xc3\""), "\"\xef\xbf\xbd\\\"\""}, /* a cut sequence eats no quote */
    {SPAN("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {SPAN("\",\"admin\":true,\""), "\"\\\",\\\"admin\\\":true,\\\"\""},
};

START_TEST(json_strings_are_valid_whatever_a_peer_sent)
{
    struct text text = {0};
    struct span value = exact_span(strings[_i].value);

    text_add_json_string(&text, value);
    ck_assert_str_eq(text.bytes, strings[_i].json);
    text_fini(&text);
    free((char *)(uintptr_t)value.at);
}
END_TEST

START_TEST(every_byte_makes_a_line_of_printable_json)
{
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        struct text text = {0};

        text_add_json_string(&text, span_make(&c, 1));
        ck_assert_uint_ge(text.len, 3);
        for (size_t i = 0; i < text.len; i++) {
            ck_assert_uint_ge((unsigned char)text.bytes[i], 0x20);
            ck_assert_uint_ne((unsigned char)text.bytes[i], 0x7f);
        }
        text_fini(&text);
    }
}
END_TEST

START_TEST(members_are_separated_by_commas)
{
    struct text text = {0};

    text_add_byte(&text, '{');
    text_add_member(&text, "a", SPAN("x{"));
    text_add_member(&text, "b", SPAN(""));
    text_add_member_number(&text, "c", INT64_MIN);
    text_add_member_number(&text, "d", 0);
    text_add_byte(&text, '}');
    ck_assert_str_eq(text.bytes,
                     "{\"a\":\"x{\",\"b\":\"\",\"c\":-9223372036854775808,\"d\":0}");
    text_fini(&text);
}
END_TEST

static const struct {
    struct span value;
    const char *escaped;
} escapes[] = {
    {SPAN(""), ""},
    {SPAN("plain text ~"), "plain text ~"},
    {SPAN("a\r\nb"), "a\\x0d\\x0ab"},
    {SPAN("\0\x1b[31m\x7f"), "\\x00\\x1b[31m\\x7f"},
    {SPAN("\\x0a"), "\\x5cx0a"}, /* what looks escaped cannot be forged */
    {SPAN("\xc3\xa9"), "\\xc3\\xa9"},
};

START_TEST(escaped_bytes_are_printable_ascii)
{
    struct text text = {0};

    text_add(&text, SPAN("<"));
    text_add_escaped(&text, escapes[_i].value);
    ck_assert_str_eq(text.bytes + 1, escapes[_i].escaped);
    text_fini(&text);
}
END_TEST

static const struct {
    int64_t number;
    const char *text;
} numbers[] = {
    {0, "0"},
    {7, "7"},
    {10, "10"},
    {-1, "-1"},
    {1234567890123, "1234567890123"},
    {INT64_MAX, "9223372036854775807"},
    {INT64_MIN, "-9223372036854775808"},
};

START_TEST(a_number_is_added_in_decimal)
{
    struct text text = {0};

    text_add_number(&text, numbers[_i].number);
    ck_assert_str_eq(text.bytes, numbers[_i].text);
    text_fini(&text);
}
END_TEST

START_TEST(formatted_text_of_any_length_is_added_whole)
{
    struct text text = {0};

    for (int width = 0; width < 300; width++) {
        size_t before = text.len;

        text_add_format(&text, "%*s|", width, "");
        ck_assert_uint_eq(text.len, before + (size_t)width + 1);
        ck_assert_int_eq(text.bytes[text.len - 1], '|');
        ck_assert_int_eq(text.bytes[text.len], '\0');
    }
    text_fini(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/text");
    TCase *growth = suite_case(suite, "growth");
    TCase *utf8 = suite_case(suite, "utf8");
    TCase *json = suite_case(suite, "json");

    tcase_add_test(growth, text_grows_and_stays_terminated);
    tcase_add_test(growth, cleared_text_is_empty_and_usable);
    tcase_add_test(growth, adding_nothing_terminates_too);
    tcase_add_test(growth, bytes_with_nul_are_kept);
    tcase_add_test(growth, failed_text_takes_nothing_until_cleared);
    tcase_add_loop_test(utf8, utf8_is_what_rfc_3629_says, 0, ROWS(sequences));
    tcase_add_test(utf8, every_scalar_value_is_valid_utf8);
    tcase_add_loop_test(json, json_strings_are_valid_whatever_a_peer_sent, 0,
                        ROWS(strings));
    tcase_add_test(json, every_byte_makes_a_line_of_printable_json);
    tcase_add_test(json, members_are_separated_by_commas);
    tcase_add_loop_test(json, escaped_bytes_are_printable_ascii, 0, ROWS(escapes));
    tcase_add_loop_test(growth, a_number_is_added_in_decimal, 0, ROWS(numbers));
    tcase_add_test(growth, formatted_text_of_any_length_is_added_whole);
    return run_suite(suite);
}
