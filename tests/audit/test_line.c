#include "audit/line.h"
#include "support/suite.h"

#define CHAIN "0123456789abcdef0123456789abcdef"
#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ID_AND_HASH ",\"proxy.chain_id\":\"" CHAIN "\",\"proxy.prev_hash\":\"" HASH "\"}"
#define TAIL(sequence) ",\"event.sequence\":" sequence ID_AND_HASH

START_TEST(a_line_is_cut_into_body_and_tail)
{
    struct span body = SPAN("{\"a\":\"x,\\\"event.sequence\\\":7\"");
    struct span line = exact_span(
        SPAN("{\"a\":\"x,\\\"event.sequence\\\":7\"" TAIL("123456789012345678")));
    struct audit_line cut;
    struct error error;

    ck_assert_msg(audit_line_cut(line, &cut, &error), "%s", error.text);
    assert_span_is(cut.body, body, "the body");
    ck_assert_uint_eq(cut.sequence, 123456789012345678);
    ck_assert_uint_eq(cut.oldest_open, 0);
    assert_span_is(cut.chain_id, SPAN(CHAIN), "the chain");
    assert_span_is(cut.prev_hash, SPAN(HASH), "the hash");
    free((char *)(uintptr_t)line.at);
}
END_TEST

START_TEST(the_oldest_open_record_stands_before_the_hash)
{
    struct span line =
        SPAN("{\"a\":1,\"event.sequence\":20,\"proxy.chain_id\":\"" CHAIN
             "\",\"proxy.trail.oldest_open\":17,\"proxy.prev_hash\":\"" HASH "\"}");
    struct audit_line cut;
    struct error error;

    ck_assert_msg(audit_line_cut(line, &cut, &error), "%s", error.text);
    ck_assert_uint_eq(cut.sequence, 20);
    ck_assert_uint_eq(cut.oldest_open, 17);
}
END_TEST

static const struct span bad_tails[] = {
    SPAN(""),
    SPAN("}"),
    SPAN("\"}"),
    SPAN("{\"a\":1}"),
    SPAN("{\"a\":1" TAIL("5") "\n"),
    SPAN("{\"a\":1" TAIL("5") " "),
    SPAN("{\"a\":1" TAIL("")),
    SPAN("{\"a\":1" TAIL("0")),
    SPAN("{\"a\":1" TAIL("05")),
    SPAN("{\"a\":1" TAIL("-5")),
    SPAN("{\"a\":1" TAIL("5.0")),
    SPAN("{\"a\":1" TAIL(" 5")),
    SPAN("{\"a\":1" TAIL("1234567890123456789")),
    SPAN("{\"a\":1" TAIL("99999999999999999999999")),
    SPAN("\"a\":1" TAIL("5")),
    SPAN("{" TAIL("5") "x"),
    SPAN("{" TAIL("5")),
    SPAN("{\"a\":1,\"event.sequence\":5,\"proxy.prev_hash\":\"" HASH "\"}"),
    SPAN("{\"a\":1,\"event.sequence\":5,\"proxy.chain_id\":\"0" CHAIN
         "\",\"proxy.prev_hash\":\"" HASH "\"}"),
    SPAN("{\"a\":1,\"event.sequence\":5,\"proxy.chain_id\":\"" CHAIN
         "\",\"proxy.prev_hash\":\"0" HASH "\"}"),
    SPAN("{\"a\":1,\"event.sequence\":5,\"proxy.chain_id\":\"" CHAIN
         "\",\"proxy.trail.oldest_open\":0,\"proxy.prev_hash\":\"" HASH "\"}"),
    SPAN("{\"a\":1,\"event.sequence\":5,\"proxy.chain_id\":\"" CHAIN
         "\",\"proxy.trail.oldest_open\":,\"proxy.prev_hash\":\"" HASH "\"}"),
    SPAN("{\"a\":1,\"event.sequence\":5,\"proxy.trail.oldest_open\":4,\"proxy.chain_id\":"
         "\"" CHAIN "\",\"proxy.prev_hash\":\"" HASH "\"}"),
    SPAN("{\"a\":1,\"event.sequence\":5,\"proxy.chain_id\":"
         "\"0123456789ABCDEF0123456789abcdef"
         "\",\"proxy.prev_hash\":\"" HASH "\"}"),
};

START_TEST(another_tail_is_refused)
{
    struct span line = exact_span(bad_tails[_i]);
    struct error error = {{0}};
    struct audit_line cut;

    ck_assert_msg(!audit_line_cut(line, &cut, &error), "'%s' passes", shown(line));
    ck_assert_uint_gt(strlen(error.text), 0);
    free((char *)(uintptr_t)line.at);
}
END_TEST

/* Every beginning of a line is read to its last byte at most, and is no line. */
START_TEST(a_line_cut_short_anywhere_is_refused)
{
    struct span whole =
        SPAN("{\"k\":[\"\\u00e4\",-1.5e+3,true],\"\xc3\xa4\":null" TAIL("42"));
    struct span key = SPAN("k"), value;
    struct audit_line cut;
    struct error error;

    for (size_t len = 0; len < whole.len; len++) {
        struct span line = exact_span(span_make(whole.at, len));

        ck_assert(!audit_line_cut(line, &cut, &error));
        ck_assert(!audit_line_pick(line, &key, 1, &value, &error));
        (void)audit_line_find(line, SPAN("proxy.prev_hash"), &value);
        free((char *)(uintptr_t)line.at);
    }
    ck_assert(audit_line_cut(whole, &cut, &error));
    ck_assert(audit_line_pick(whole, &key, 1, &value, &error));
}
END_TEST

static const struct span good_json[] = {
    SPAN("{\"a\":1}"),
    SPAN("{\"\":0}"),
    SPAN("{\"a\":-0,\"b\":1.25,\"c\":1e9,\"d\":1E-9,\"e\":-12e+1}"),
    SPAN("{\"a\":true,\"b\":false,\"c\":null}"),
    SPAN("{\"a\":[],\"b\":[1],\"c\":[\"x\",null,2]}"),
    SPAN("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\uD83D\\ude00\"}"),
    SPAN("{\"a\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"}"),
    SPAN("{\"a\\\"b\":1,\"a\\\\b\":2}"),
    SPAN("{\"a\":1,\"b\":1,\"aa\":1,\"long key of many bytes 1\":1,\"long key of many "
         "bytes 2\":1}"),
};

static const struct span bad_json[] = {
    SPAN(""),
    SPAN("{}"),
    SPAN("[]"),
    SPAN("1"),
    SPAN("{\"a\":1"),
    SPAN("{\"a\":1}}"),
    SPAN("{\"a\":1} "),
    SPAN(" {\"a\":1}"),
    SPAN("{ \"a\":1}"),
    SPAN("{\"a\": 1}"),
    SPAN("{\"a\":1,}"),
    SPAN("{,\"a\":1}"),
    SPAN("{\"a\"}"),
    SPAN("{a:1}"),
    SPAN("{\"a\":}"),
    SPAN("{\"a\":01}"),
    SPAN("{\"a\":+1}"),
    SPAN("{\"a\":1.}"),
    SPAN("{\"a\":.5}"),
    SPAN("{\"a\":1e}"),
    SPAN("{\"a\":-}"),
    SPAN("{\"a\":tru}"),
    SPAN("{\"a\":truE}"),
    SPAN("{\"a\":{\"b\":1}}"),
    SPAN("{\"a\":[[1]]}"),
    SPAN("{\"a\":[1,]}"),
    SPAN("{\"a\":[,1]}"),
    SPAN("{\"a\":[1}"),
    SPAN("{\"a\":\"\x01\"}"),
    SPAN("{\"a\":\"\t\"}"),
    SPAN("{\"a\":\"\0\"}"),
    SPAN("{\"a\":\"\xff\"}"),
    SPAN("{\"a\":\"\xc0\xaf\"}"),
    SPAN("{\"a\":\"\xed\xa0\x80\"}"),
    SPAN("{\"a\":\"\xc3\"}"),
    SPAN("{\"\xc3\":1}"),
    SPAN("{\"a\":\"\\x\"}"),
    SPAN("{\"a\":\"\\u12g4\"}"),
    SPAN("{\"a\":\"\\ud800\"}"),
    SPAN("{\"a\":\"\\ud800\\u0041\"}"),
    SPAN("{\"a\":\"\\udc00\"}"),
    SPAN("{\"a\":\"\\"),
    SPAN("{\"a\":\"\\\0\"}"),
    SPAN("{\"a\":1,\"a\":1}"),
    SPAN("{\"a\":1,\"b\":2,\"a\":null}"),
    SPAN("{\"long key of many bytes\":1,\"long key of many bytes\":1}"),
    SPAN("{\"\":1,\"\":1}"),
    SPAN("{\"a\":1,\"\\u0061\":1}"),
    SPAN("{\"a\\/\":1}"),
};

START_TEST(a_flat_object_is_accepted)
{
    struct span line = exact_span(good_json[_i]);
    struct error error;

    ck_assert_msg(audit_line_pick(line, NULL, 0, NULL, &error), "'%s' %s", shown(line),
                  error.text);
    free((char *)(uintptr_t)line.at);
}
END_TEST

START_TEST(anything_else_is_refused)
{
    struct span line = exact_span(bad_json[_i]);
    struct error error = {{0}};

    ck_assert_msg(!audit_line_pick(line, NULL, 0, NULL, &error), "'%s' passes",
                  shown(line));
    ck_assert_uint_gt(strlen(error.text), 0);
    free((char *)(uintptr_t)line.at);
}
END_TEST

START_TEST(an_object_of_too_many_members_is_refused)
{
    char bytes[AUDIT_LINE_MEMBERS * 12 + 24];
    struct error error;
    size_t len = 0;

    for (int i = 0; i <= AUDIT_LINE_MEMBERS; i++) {
        len += (size_t)snprintf(bytes + len, sizeof(bytes) - len, "%c\"%d\":1",
                                i == 0 ? '{' : ',', i);
        bytes[len] = '}';
        ck_assert(audit_line_pick(span_make(bytes, len + 1), NULL, 0, NULL, &error) ==
                  (i < AUDIT_LINE_MEMBERS));
    }
}
END_TEST

START_TEST(members_are_picked_by_key_and_not_out_of_strings)
{
    static const struct span keys[] = {SPAN("n"), SPAN("s"), SPAN("gone"), SPAN("l")};
    struct span line = SPAN(
        "{\"x\":\"\\\",\\\"n\\\":1\",\"l\":[\"n\",\"s\"],\"n\":42,\"s\":\"t\\\"u\"}");
    struct span values[4], text;
    struct error error;
    uint64_t number;

    ck_assert(audit_line_pick(line, keys, 4, values, &error));
    assert_span_is(values[0], SPAN("42"), "n");
    assert_span_is(values[1], SPAN("\"t\\\"u\""), "s");
    ck_assert_ptr_null(values[2].at);
    assert_span_is(values[3], SPAN("[\"n\",\"s\"]"), "l");
    ck_assert(audit_value_number(values[0], &number) && number == 42);
    ck_assert(audit_value_string(values[1], &text));
    assert_span_is(text, SPAN("t\\\"u"), "what is between the quotes");
    ck_assert(!audit_value_string(values[0], &text));
    ck_assert(!audit_value_string(values[2], &text));
    ck_assert(!audit_value_number(values[1], &number));
    ck_assert(!audit_value_number(values[2], &number));
    ck_assert(audit_line_find(line, SPAN("n"), &text));
    assert_span_is(text, SPAN("42"), "n");
    ck_assert(!audit_line_find(line, SPAN("gone"), &text));
    ck_assert(audit_line_find_string(line, SPAN("x"), &text));
    ck_assert(!audit_line_find_string(line, SPAN("n"), &text));
}
END_TEST

START_TEST(only_whole_plain_numbers_are_numbers)
{
    static const struct span bad[] = {SPAN("-1"), SPAN("1.0"), SPAN("1e3"), SPAN("null"),
                                      SPAN("1234567890123456789")};
    uint64_t number;

    ck_assert(audit_value_number(SPAN("0"), &number) && number == 0);
    ck_assert(audit_value_number(SPAN("999999999999999999"), &number));
    for (int i = 0; i < ROWS(bad); i++)
        ck_assert(!audit_value_number(bad[i], &number));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/line");
    TCase *tails = suite_case(suite, "tails");
    TCase *objects = suite_case(suite, "objects");

    tcase_add_test(tails, a_line_is_cut_into_body_and_tail);
    tcase_add_test(tails, the_oldest_open_record_stands_before_the_hash);
    tcase_add_loop_test(tails, another_tail_is_refused, 0, ROWS(bad_tails));
    tcase_add_test(tails, a_line_cut_short_anywhere_is_refused);
    tcase_add_loop_test(objects, a_flat_object_is_accepted, 0, ROWS(good_json));
    tcase_add_loop_test(objects, anything_else_is_refused, 0, ROWS(bad_json));
    tcase_add_test(objects, an_object_of_too_many_members_is_refused);
    tcase_add_test(objects, members_are_picked_by_key_and_not_out_of_strings);
    tcase_add_test(objects, only_whole_plain_numbers_are_numbers);
    return run_suite(suite);
}
