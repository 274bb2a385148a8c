/* Paths: what is refused in every spelling, and the decoded segments of the rest. */
#include "base/text.h"
#include "http/target.h"
#include "support/suite.h"

/* Splits with a scratch of exactly the path's length; "a|b", or the fault's text. */
static void describe(struct span path, bool forward, struct text *out)
{
    struct span exact = exact_span(path);
    char *scratch = malloc(path.len);
    enum http_fault fault = HTTP_FAULT_NONE;
    struct http_path split;

    text_add(out, SPAN(""));
    if (http_path_split(exact, forward, scratch, &split, &fault)) {
        for (unsigned i = 0; i < split.count && i < HTTP_PATH_SEGMENTS; i++) {
            text_add(out, i > 0 ? SPAN("|") : SPAN(""));
            text_add(out, split.segments[i]);
        }
        text_add(out, split.has_encoded_slash ? SPAN(" slash") : SPAN(""));
    } else {
        text_add(out, span_of(http_fault_text(fault)));
    }
    free(scratch);
    free((char *)(uintptr_t)exact.at);
}

static void assert_described(struct span path, bool forward, const char *wanted)
{
    struct text text = {0};

    describe(path, forward, &text);
    ck_assert_msg(strcmp(text.bytes, wanted) == 0, "'%s' is '%s', not '%s'", shown(path),
                  text.bytes, wanted);
    text_fini(&text);
}

static const struct {
    struct span path;
    const char *segments;
} good[] = {
    {SPAN("/"), ""},
    {SPAN("/a"), "a"},
    {SPAN("/a/"), "a"}, /* one trailing slash is fine */
    {SPAN("/v1/teams/x/users"), "v1|teams|x|users"},
    {SPAN("/%41%2d%7E"), "A-~"},
    {SPAN("/%61%70%69-keys/"), "api-keys"},
    {SPAN("/a%20b/%3F%23%25"), "a b|?#%"},
    {SPAN("/%2561"), "%61"}, /* decoded once */
    {SPAN("/%252e%252e/a"), "%2e%2e|a"},
    {SPAN("/%252fa"), "%2fa"},
    {SPAN("/..."), "..."},
    {SPAN("/.a/a./..a/a.."), ".a|a.|..a|a.."},
    {SPAN("/%2e%2e%2e"), "..."},
    {SPAN("/.%20/..;"), ". |..;"},
    {SPAN("/a;b=c/d,e:f@g"), "a;b=c|d,e:f@g"},
    {SPAN("/\xc3\xa9/%C3%A9/%c3\xa9"), "\xc3\xa9|\xc3\xa9|\xc3\xa9"},
    {SPAN("/%F0%9F%92%A9"), "\xf0\x9f\x92\xa9"},
    {SPAN("/%ef%bc%8f"), "\xef\xbc\x8f"}, /* FULLWIDTH SOLIDUS is no slash */
    {SPAN("/~!$&'()*+,;=:@-._"), "~!$&'()*+,;=:@-._"},
};

START_TEST(segments_are_decoded_once)
{
    assert_described(good[_i].path, false, good[_i].segments);
    assert_described(good[_i].path, true, good[_i].segments);
}
END_TEST

/* Refused whether or not encoded slashes are forwarded. */
static const struct {
    struct span path;
    enum http_fault fault;
} bad[] = {
    {SPAN("//"), HTTP_FAULT_PATH_EMPTY_SEGMENT},
    {SPAN("//a"), HTTP_FAULT_PATH_EMPTY_SEGMENT},
    {SPAN("/a//b"), HTTP_FAULT_PATH_EMPTY_SEGMENT},
    {SPAN("/a//"), HTTP_FAULT_PATH_EMPTY_SEGMENT},
    {SPAN("///"), HTTP_FAULT_PATH_EMPTY_SEGMENT},
    {SPAN("/."), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/./"), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/a/./b"), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/.."), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/../a"), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/a/../b"), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/a/.."), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/%2e"), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/%2E%2e/a"), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/.%2e"), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/%2e./a"), HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/a\\b"), HTTP_FAULT_PATH_BACKSLASH},
    {SPAN("/..\\a"), HTTP_FAULT_PATH_BACKSLASH},
    {SPAN("/\\"), HTTP_FAULT_PATH_BACKSLASH},
    {SPAN("/a%5cb"), HTTP_FAULT_PATH_BACKSLASH},
    {SPAN("/..%5C..%5Ca"), HTTP_FAULT_PATH_BACKSLASH},
    {SPAN("/a%00"), HTTP_FAULT_PATH_CONTROL_BYTE},
    {SPAN("/%00"), HTTP_FAULT_PATH_CONTROL_BYTE},
    {SPAN("/a%00.json"), HTTP_FAULT_PATH_CONTROL_BYTE},
    {SPAN("/a\0b"), HTTP_FAULT_PATH_CONTROL_BYTE},
    {SPAN("/a%0d%0aX:%20y"), HTTP_FAULT_PATH_CONTROL_BYTE},
    {SPAN("/a%09"), HTTP_FAULT_PATH_CONTROL_BYTE},
    {SPAN("/a%1f"), HTTP_FAULT_PATH_CONTROL_BYTE},
    {SPAN("/a%7F"), HTTP_FAULT_PATH_CONTROL_BYTE},
    {SPAN("/%"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a%4"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a%4/b"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a%/41"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a%zz"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a%4g"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a%%41"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a%u002e"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a% 41"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a%+1"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/a%0x"), HTTP_FAULT_PATH_PERCENT},
    {SPAN("/\xff"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/%ff"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/\xc3"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/%c3/%a9"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/%c3%28"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/%c0%ae%c0%ae/a"), HTTP_FAULT_PATH_UTF8}, /* ".." in overlong forms */
    {SPAN("/%c0%af"), HTTP_FAULT_PATH_UTF8},         /* "/" */
    {SPAN("/%e0%80%af"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/%f0%80%80%af"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/%c1%9c"), HTTP_FAULT_PATH_UTF8}, /* a backslash */
    {SPAN("/%ed%a0%80"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/%f4%90%80%80"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/%80"), HTTP_FAULT_PATH_UTF8},
    {SPAN("/a/b/c%fe"), HTTP_FAULT_PATH_UTF8},
};

START_TEST(what_another_server_could_read_differently_is_refused)
{
    assert_described(bad[_i].path, false, http_fault_text(bad[_i].fault));
    assert_described(bad[_i].path, true, http_fault_text(bad[_i].fault));
}
END_TEST

/*
 * Refused with encoded_slashes "refuse"; with "forward" they are data in their segment,
 * but a dot segment made with one is refused all the same.
 */
static const struct {
    struct span path;
    const char *forwarded; /* NULL: refused, with that fault */
    enum http_fault fault;
    const char *again; /* as a server sees it that takes them for separators */
} slashes[] = {
    {SPAN("/a%2fb"), .forwarded = "a/b slash", .again = "a|b"},
    {SPAN("/a%2Fb/c"), .forwarded = "a/b|c slash", .again = "a|b|c"},
    {SPAN("/a/b%2fc%2Fd"), .forwarded = "a|b/c/d slash", .again = "a|b|c|d"},
    {SPAN("/a%2f.b"), .forwarded = "a/.b slash", .again = "a|.b"},
    {SPAN("/%2f"), .forwarded = "/ slash", .again = ""},
    {SPAN("/a%2f"), .forwarded = "a/ slash", .again = "a"},
    {SPAN("/%2fa/"), .forwarded = "/a slash", .again = "a"},
    {SPAN("/a%2f%2fb"), .forwarded = "a//b slash", .again = "a|b"},
    {SPAN("/a%2f."), .fault = HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/a%2f../b"), .fault = HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/a/..%2fb"), .fault = HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/%2e%2e%2fa"), .fault = HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/a%2f%2e%2F"), .fault = HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/%2f%2e%2e"), .fault = HTTP_FAULT_PATH_DOT_SEGMENT},
    {SPAN("/a%2f%5c"), .fault = HTTP_FAULT_PATH_BACKSLASH},
    {SPAN("/a%2f%00"), .fault = HTTP_FAULT_PATH_CONTROL_BYTE},
};

static bool is_fault(const char *text, enum http_fault fault)
{
    return fault != HTTP_FAULT_NONE && strcmp(text, http_fault_text(fault)) == 0;
}

START_TEST(an_encoded_slash_is_refused_or_data)
{
    const char *forwarded = slashes[_i].forwarded;
    struct text text = {0};

    describe(slashes[_i].path, false, &text);
    ck_assert_msg(is_fault(text.bytes, HTTP_FAULT_PATH_ENCODED_SLASH) ||
                      is_fault(text.bytes, slashes[_i].fault),
                  "'%s' is '%s'", shown(slashes[_i].path), text.bytes);
    text_fini(&text);
    assert_described(slashes[_i].path, true,
                     forwarded != NULL ? forwarded : http_fault_text(slashes[_i].fault));
}
END_TEST

/* Splits with slashes forwarded, then again; exact blocks as above. */
static void describe_again(struct span path, struct http_path *again, struct text *out)
{
    struct span exact = exact_span(path);
    char *scratch = malloc(path.len);
    enum http_fault fault;
    struct http_path split;

    ck_assert(http_path_split(exact, true, scratch, &split, &fault));
    http_path_split_again(&split, again);
    text_add(out, SPAN(""));
    for (unsigned i = 0; i < again->count && i < HTTP_PATH_SEGMENTS; i++) {
        text_add(out, i > 0 ? SPAN("|") : SPAN(""));
        text_add(out, again->segments[i]);
    }
    free(scratch);
    free((char *)(uintptr_t)exact.at);
}

START_TEST(a_path_split_again_has_no_slash_in_a_segment)
{
    struct http_path again;
    struct text text = {0};

    if (slashes[_i].again == NULL)
        return;
    describe_again(slashes[_i].path, &again, &text);
    ck_assert_str_eq(text.bytes, slashes[_i].again);
    text_fini(&text);
}
END_TEST

/* A path of so many segments, of which the first are /v1%2fapi-keys. */
static void make_long(unsigned segments, struct text *path)
{
    text_add(path, SPAN("/v1%2fapi-keys"));
    for (unsigned i = 1; i < segments; i++)
        text_add(path, i % 3 == 2 ? SPAN("/%2f") : SPAN("/x"));
}

START_TEST(a_long_path_split_again_begins_with_its_beginning)
{
    for (unsigned segments = 1; segments <= HTTP_PATH_SEGMENTS; segments++) {
        struct text path = {0}, text = {0};
        struct http_path again;

        make_long(segments, &path);
        describe_again(span_make(path.bytes, path.len), &again, &text);
        ck_assert_msg(strncmp(text.bytes, "v1|api-keys", 11) == 0, "%u: %s", segments,
                      text.bytes);
        ck_assert_uint_eq(again.count, 1 + segments - segments / 3);
        text_fini(&path);
        text_fini(&text);
    }
}
END_TEST

/*
 * Found by fuzzing: where an encoded slash made an empty segment, what moved up in its
 * place was not there any more, and the split path ended with segments without bytes.
 */
START_TEST(an_encoded_slash_is_refused_where_not_all_segments_are_kept)
{
    for (unsigned more = 1; more < 2 * HTTP_PATH_SEGMENTS; more++) {
        struct text path = {0};

        make_long(HTTP_PATH_SEGMENTS + more, &path);
        assert_described(span_make(path.bytes, path.len), true,
                         http_fault_text(HTTP_FAULT_PATH_SLASHES_TOO_FAR));
        text_fini(&path);
    }
}
END_TEST

/* Every byte in a segment, plain and encoded, is judged the same. */
START_TEST(a_byte_is_judged_alike_plain_and_encoded)
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned byte = 0; byte < 256; byte++) {
        const char plain[] = {'/', 'a', (char)byte};
        const char encoded[] = {'/', 'a', '%', digits[byte >> 4], digits[byte & 15]};
        struct text of_plain = {0}, of_encoded = {0};
        bool splits = byte == '/' || byte == '%';

        describe(span_make(plain, 3), false, &of_plain);
        describe(span_make(encoded, 5), false, &of_encoded);
        if (!splits)
            ck_assert_str_eq(of_plain.bytes, of_encoded.bytes);
        text_fini(&of_plain);
        text_fini(&of_encoded);
    }
}
END_TEST

START_TEST(more_segments_than_are_kept_are_counted)
{
    struct text path = {0};

    for (unsigned i = 1; i <= 3 * HTTP_PATH_SEGMENTS; i++) {
        enum http_fault fault;
        struct http_path *split = malloc(sizeof(*split));
        char *scratch;

        text_add_format(&path, "/%%41%u", i);
        scratch = malloc(path.len);
        ck_assert(http_path_split(span_make(path.bytes, path.len), false, scratch, split,
                                  &fault));
        ck_assert_uint_eq(split->count, i);
        assert_span_is(split->segments[0], SPAN("A1"), "the first segment");
        free(scratch);
        free(split);
    }
    text_fini(&path);
}
END_TEST

/* A bad segment is found wherever it stands, also behind those that are kept. */
START_TEST(segments_that_are_not_kept_are_judged_too)
{
    struct text path = {0};

    for (unsigned i = 0; i < HTTP_PATH_SEGMENTS + 8; i++)
        text_add(&path, SPAN("/a"));
    text_add(&path, SPAN("/%2e%2e"));
    assert_described(span_make(path.bytes, path.len), false,
                     http_fault_text(HTTP_FAULT_PATH_DOT_SEGMENT));
    text_fini(&path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/target, paths");
    TCase *segments = suite_case(suite, "segments");
    TCase *refused = suite_case(suite, "refused");

    tcase_add_loop_test(segments, segments_are_decoded_once, 0, ROWS(good));
    tcase_add_test(segments, more_segments_than_are_kept_are_counted);
    tcase_add_test(segments, segments_that_are_not_kept_are_judged_too);
    tcase_add_loop_test(refused, what_another_server_could_read_differently_is_refused, 0,
                        ROWS(bad));
    tcase_add_loop_test(refused, an_encoded_slash_is_refused_or_data, 0, ROWS(slashes));
    tcase_add_loop_test(segments, a_path_split_again_has_no_slash_in_a_segment, 0,
                        ROWS(slashes));
    tcase_add_test(segments, a_long_path_split_again_begins_with_its_beginning);
    tcase_add_test(refused, an_encoded_slash_is_refused_where_not_all_segments_are_kept);
    tcase_add_test(refused, a_byte_is_judged_alike_plain_and_encoded);
    return run_suite(suite);
}
