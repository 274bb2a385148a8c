/* What the gate lets through to libevhtp: heads and chunked bodies, whole and byte by
 * byte. */
#include <string.h>

#include <check.h>

#include "base/text.h"
#include "sandbox/chunks.h"
#include "sandbox/head.h"

static bool is_good(const char *text, size_t len)
{
    struct sandbox_head head;
    size_t end;

    return sandbox_head_find_end(span_make(text, len), &end) == SANDBOX_HEAD_WHOLE &&
           end == len && sandbox_head_check(span_make(text, len), &head);
}

#define GET "GET /v1/auth/session HTTP/1.1\r\n"
#define HOST "Host: sandbox\r\n"

static const char *const good_heads[] = {
    GET HOST "\r\n",
    GET "host:sandbox\r\n\r\n",
    "GET /?a=b&c HTTP/1.0\r\n\r\n",
    "GET http://sandbox/v1 HTTP/1.1\r\n" HOST "\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 10 \t\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "transfer-encoding:Chunked\r\n\r\n",
    GET HOST "X-Empty:\r\nX-Tab: a\tb\r\nX-8-Bit: \xc3\xa9\r\n\r\n",
};

static const char *const bad_heads[] = {
    "\r\n",
    GET "\r\n",                            /* no Host */
    GET HOST HOST "\r\n",                  /* two */
    "GET / HTTP/1.0\r\n" HOST HOST "\r\n", /* two */
    "GET  / HTTP/1.1\r\n" HOST "\r\n",     /* two spaces */
    "GET / HTTP/1.1 \r\n" HOST "\r\n",     /* a space at the end */
    "GET /\r\n" HOST "\r\n",               /* no version */
    "GET / HTTP/1.9\r\n" HOST "\r\n",      /* libevhtp: 1.9 */
    "GET / HTTP/2.0\r\n" HOST "\r\n",      /* libevhtp: 2.0 */
    "GET / http/1.1\r\n" HOST "\r\n",      /* lower case */
    "GET /a\tb HTTP/1.1\r\n" HOST "\r\n",  /* control byte in the target */
    "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n",
    "GET /#a HTTP/1.1\r\n" HOST "\r\n",
    "GET * HTTP/1.1\r\n" HOST "\r\n",
    "GET a HTTP/1.1\r\n" HOST "\r\n",
    "CONNECT sandbox:80 HTTP/1.1\r\n" HOST "\r\n",
    "G(T / HTTP/1.1\r\n" HOST "\r\n",
    GET HOST " folded: line\r\n\r\n",
    GET HOST "X: a\r\n b\r\n\r\n",
    GET HOST "X : a\r\n\r\n",
    GET HOST ": a\r\n\r\n",
    GET HOST "no colon\r\n\r\n",
    GET HOST "X: a\rb\r\n\r\n",
    GET HOST "X: a\x7f\r\n\r\n",
    GET HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
    GET HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    GET HOST "Content-Length: 1, 1\r\n\r\n",
    GET HOST "Content-Length: +1\r\n\r\n",
    GET HOST "Content-Length: -1\r\n\r\n",
    GET HOST "Content-Length: 0x1\r\n\r\n",
    GET HOST "Content-Length: 1 1\r\n\r\n",
    GET HOST "Content-Length:\t1\r\n\r\n", /* libevhtp does not skip tabs */
    GET HOST "Content-Length:\r\n\r\n",
    GET HOST "Content-Length: 18446744073709551617\r\n\r\n",
    GET HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    GET HOST "Transfer-Encoding: CHUNKED\r\n\r\n", /* libevhtp: no body */
    GET HOST "Transfer-Encoding: chunked \r\n\r\n",
    GET HOST "Transfer-Encoding: xchunked\r\n\r\n",
    GET HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
    GET HOST "Transfer-Encoding: identity\r\n\r\n",
    GET HOST "Transfer-Encoding :chunked\r\n\r\n",
    "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
};

START_TEST(sound_head_passes)
{
    ck_assert_msg(is_good(good_heads[_i], strlen(good_heads[_i])), "%s", good_heads[_i]);
}
END_TEST

START_TEST(ambiguous_head_does_not_pass)
{
    ck_assert_msg(!is_good(bad_heads[_i], strlen(bad_heads[_i])), "%s", bad_heads[_i]);
}
END_TEST

START_TEST(head_with_a_nul_does_not_pass)
{
    static const char in_value[] = GET HOST "X: a\0b\r\n\r\n";
    static const char in_target[] = "GET /\0 HTTP/1.1\r\n" HOST "\r\n";
    static const char in_name[] = GET HOST "X\0: a\r\n\r\n";

    ck_assert(!is_good(in_value, sizeof(in_value) - 1));
    ck_assert(!is_good(in_target, sizeof(in_target) - 1));
    ck_assert(!is_good(in_name, sizeof(in_name) - 1));
}
END_TEST

START_TEST(head_says_what_body_follows)
{
    struct sandbox_head head;

    ck_assert(sandbox_head_check(SPAN(GET HOST "\r\n"), &head));
    ck_assert_int_eq(head.framing, SANDBOX_NO_BODY);
    ck_assert(sandbox_head_check(SPAN(GET HOST "Content-Length: 0\r\n\r\n"), &head));
    ck_assert_int_eq(head.framing, SANDBOX_NO_BODY);
    ck_assert(sandbox_head_check(SPAN(GET HOST "content-length: 07 \r\n\r\n"), &head));
    ck_assert_int_eq(head.framing, SANDBOX_LENGTH);
    ck_assert_uint_eq(head.length, 7);
    ck_assert(
        sandbox_head_check(SPAN(GET HOST "Transfer-Encoding: chunked\r\n\r\n"), &head));
    ck_assert_int_eq(head.framing, SANDBOX_CHUNKED);
}
END_TEST

START_TEST(head_has_at_most_128_fields)
{
    struct text head = {0};

    text_add(&head, SPAN(GET HOST));
    for (int i = 0; i < 127; i++)
        text_add(&head, SPAN("X: a\r\n"));
    text_add(&head, SPAN("\r\n"));
    ck_assert(is_good(head.bytes, head.len));
    head.len -= 2;
    text_add(&head, SPAN("X: a\r\n\r\n"));
    ck_assert(!is_good(head.bytes, head.len));
    text_fini(&head);
}
END_TEST

START_TEST(end_of_head_is_found_at_its_last_byte_and_not_before)
{
    static const char bytes[] = GET HOST "\r\nrest";
    size_t whole = sizeof(bytes) - 1 - 4;
    size_t len = 0;

    for (size_t i = 0; i < whole; i++)
        ck_assert_int_eq(sandbox_head_find_end(span_make(bytes, i), &len),
                         SANDBOX_HEAD_MORE);
    ck_assert_int_eq(sandbox_head_find_end(span_make(bytes, whole), &len),
                     SANDBOX_HEAD_WHOLE);
    ck_assert_uint_eq(len, whole);
    ck_assert_int_eq(sandbox_head_find_end(SPAN(bytes), &len), SANDBOX_HEAD_WHOLE);
    ck_assert_uint_eq(len, whole);
}
END_TEST

START_TEST(bare_line_feed_and_endless_head_are_bad)
{
    static char endless[SANDBOX_HEAD_MAX];
    size_t len;

    memset(endless, 'a', sizeof(endless));
    ck_assert_int_eq(sandbox_head_find_end(SPAN("GET / HTTP/1.1\n"), &len),
                     SANDBOX_HEAD_BAD);
    ck_assert_int_eq(sandbox_head_find_end(SPAN("\n"), &len), SANDBOX_HEAD_BAD);
    ck_assert_int_eq(sandbox_head_find_end(span_make(endless, sizeof(endless) - 1), &len),
                     SANDBOX_HEAD_MORE);
    ck_assert_int_eq(sandbox_head_find_end(span_make(endless, sizeof(endless)), &len),
                     SANDBOX_HEAD_BAD);
}
END_TEST

/* Reads a chunked body given in pieces of step bytes; *used counts what was read. */
static enum sandbox_chunks_result read_all(struct span bytes, size_t step,
                                           struct text *body, size_t *used)
{
    struct sandbox_chunks chunks = {0};
    enum sandbox_chunks_result result = SANDBOX_CHUNKS_MORE;
    size_t given = 0;
    struct span piece = {bytes.at, 0}, data;

    while (result == SANDBOX_CHUNKS_MORE || result == SANDBOX_CHUNKS_DATA) {
        if (piece.len == 0 && given == bytes.len)
            break;
        if (piece.len == 0) {
            piece.len = step < bytes.len - given ? step : bytes.len - given;
            given += piece.len;
        }
        result = sandbox_chunks_read(&chunks, &piece, &data);
        if (result == SANDBOX_CHUNKS_DATA)
            text_add(body, data);
    }
    *used = given - piece.len;
    return result;
}

static void assert_read(const char *bytes, enum sandbox_chunks_result wanted,
                        const char *wanted_body, size_t unread)
{
    size_t len = strlen(bytes);

    for (size_t step = 1; step <= len; step++) {
        struct text body = {0};
        size_t used;

        ck_assert_msg(read_all(span_make(bytes, len), step, &body, &used) == wanted,
                      "%s in steps of %zu", bytes, step);
        if (wanted == SANDBOX_CHUNKS_END) {
            ck_assert(span_equal(span_make(body.bytes, body.len), span_of(wanted_body)));
            ck_assert_uint_eq(used, len - unread);
        }
        text_fini(&body);
    }
}

START_TEST(chunks_are_joined)
{
    assert_read("0\r\n\r\n", SANDBOX_CHUNKS_END, "", 0);
    assert_read("3\r\nabc\r\n0\r\n\r\n", SANDBOX_CHUNKS_END, "abc", 0);
    assert_read("3\r\nabc\r\nA\r\n0123456789\r\n000\r\n\r\n", SANDBOX_CHUNKS_END,
                "abc0123456789", 0);
    assert_read("00a\r\n0123456789\r\n0\r\n\r\n", SANDBOX_CHUNKS_END, "0123456789", 0);
}
END_TEST

START_TEST(extensions_and_trailers_are_dropped)
{
    assert_read("3;a=b\r\nabc\r\n0;c\r\n\r\n", SANDBOX_CHUNKS_END, "abc", 0);
    assert_read("1\r\na\r\n0\r\nX: y\r\nZ: w\r\n\r\n", SANDBOX_CHUNKS_END, "a", 0);
}
END_TEST

START_TEST(bytes_after_the_body_are_left)
{
    assert_read("1\r\na\r\n0\r\n\r\nGET", SANDBOX_CHUNKS_END, "a", 3);
    assert_read("0\r\nX: y\r\n\r\n\r\n", SANDBOX_CHUNKS_END, "", 2);
}
END_TEST

START_TEST(unfinished_chunks_want_more)
{
    static const char body[] = "3\r\nabc\r\n0\r\nX: y\r\n\r";

    for (size_t len = 1; len < sizeof(body); len++) {
        struct text got = {0};
        size_t used;
        enum sandbox_chunks_result result =
            read_all(span_make(body, len), len, &got, &used);

        ck_assert(result == SANDBOX_CHUNKS_MORE || result == SANDBOX_CHUNKS_DATA);
        text_fini(&got);
    }
}
END_TEST

static const char *const bad_chunks[] = {
    "\r\n",
    "g\r\n",
    "-1\r\n",
    "+1\r\n",
    "0x1\r\n",
    " 1\r\n",
    "1 \r\n",
    ";a\r\n",
    "\x80\r\n", /* libevhtp: 0 */
    "1\na",
    "1\r a",
    "1;a\nb",
    "1;\x01\r\n",
    "1\r\nab\r\n",
    "1\r\na\n",
    "1\r\na\r0",
    "0\r\n\n",
    "0\r\nX: y\n\r\n",
    "0\r\nX\x7f: y\r\n\r\n",
    "0\r\n\r\r",
    "10000000000000005\r\n", /* libevhtp: 5 */
};

START_TEST(malformed_chunk_is_bad)
{
    assert_read(bad_chunks[_i], SANDBOX_CHUNKS_BAD, NULL, 0);
}
END_TEST

START_TEST(endless_extension_and_trailer_are_bad)
{
    struct text body = {0}, got = {0};
    size_t used;

    text_add(&body, SPAN("1;"));
    for (int i = 0; i < 9000; i++)
        text_add_byte(&body, 'a');
    ck_assert_int_eq(read_all(span_make(body.bytes, body.len), 100, &got, &used),
                     SANDBOX_CHUNKS_BAD);
    text_clear(&body);
    text_add(&body, SPAN("0\r\n"));
    for (int i = 0; i < 2000; i++)
        text_add(&body, SPAN("X: y\r\n"));
    ck_assert_int_eq(read_all(span_make(body.bytes, body.len), 100, &got, &used),
                     SANDBOX_CHUNKS_BAD);
    text_fini(&body);
    text_fini(&got);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static TCase *heads_case(void)
{
    TCase *tcase = tcase_create("heads");

    tcase_add_loop_test(tcase, sound_head_passes, 0, COUNT(good_heads));
    tcase_add_loop_test(tcase, ambiguous_head_does_not_pass, 0, COUNT(bad_heads));
    tcase_add_test(tcase, head_with_a_nul_does_not_pass);
    tcase_add_test(tcase, head_says_what_body_follows);
    tcase_add_test(tcase, head_has_at_most_128_fields);
    tcase_add_test(tcase, end_of_head_is_found_at_its_last_byte_and_not_before);
    tcase_add_test(tcase, bare_line_feed_and_endless_head_are_bad);
    return tcase;
}

static TCase *chunks_case(void)
{
    TCase *tcase = tcase_create("chunks");

    tcase_add_test(tcase, chunks_are_joined);
    tcase_add_test(tcase, extensions_and_trailers_are_dropped);
    tcase_add_test(tcase, bytes_after_the_body_are_left);
    tcase_add_test(tcase, unfinished_chunks_want_more);
    tcase_add_loop_test(tcase, malformed_chunk_is_bad, 0, COUNT(bad_chunks));
    tcase_add_test(tcase, endless_extension_and_trailer_are_bad);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("sandbox framing");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, heads_case());
    suite_add_tcase(suite, chunks_case());
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
