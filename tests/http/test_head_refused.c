/*
 * Heads that are refused: what request smuggling, response splitting and sloppy peers are
 * made of. The rows follow the corpora of nginx, HAProxy, llhttp, picohttpparser and h2o.
 */
#include "support/heads.h"
#include "support/suite.h"

#define FAULT(name) .fault = HTTP_FAULT_##name

/* RFC 9112 2.3, 3: method SP request-target SP HTTP-version, nothing more or less. */
static const struct head_row request_lines[] = {
    {SPAN(" \r\n\r\n"), FAULT(START_LINE)},
    {SPAN("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)}, /* one empty line only */
    {SPAN(" GET / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("\tGET / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN(" / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET \r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET /\r\n\r\n"), FAULT(START_LINE)}, /* HTTP/0.9 */
    {SPAN("GET / \r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET  HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET  / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET /  HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/1.1 \r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/1.1\t\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET /a b HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET\t/\tHTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET /\tHTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN(":GET / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("G:T / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("G\tT / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("\"GET\" / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("(GET) / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("G\xc9T / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("\xef\xbb\xbfGET / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET,POST / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / http/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / Http/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/1.\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/1.10\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/01.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/1.1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/1,1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/1.x\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/ 1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/+1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTPS/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / ICE/1.0\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / IHTTP/1.0\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("PUT / RTSP/1.0\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 200 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("\x16\x03\x01\x02\x00\x01\x00"), FAULT(CONTROL_BYTE)}, /* TLS on a plain port */
    /* Well-formed, but not ours: 505, not 400 (RFC 9110 15.6.6). */
    {SPAN("GET / HTTP/0.9\r\n\r\n"), FAULT(VERSION)},
    {SPAN("GET / HTTP/2.0\r\n\r\n"), FAULT(VERSION)},
    {SPAN("GET / HTTP/5.6\r\n\r\n"), FAULT(VERSION)},
    {SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), FAULT(VERSION)},
};

START_TEST(a_request_line_is_three_words_and_two_spaces)
{
    check_head(&request_lines[_i], HTTP_REQUEST);
}
END_TEST

static const struct head_row status_lines[] = {
    {SPAN("\r\nHTTP/1.1 200 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN(" HTTP/1.1 200 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 \r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1  200 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1\t200 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 20 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 20\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 2000 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 200OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 200X OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 200\tOK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 +20 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 -20 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 0x1 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 000 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 099 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.1 20\xb2 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1. 200 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/1.2z 200 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("ICY 200 OK\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("GET / HTTP/1.1\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("{\"hasMore\":false}\r\n\r\n"), FAULT(START_LINE)},
    {SPAN("HTTP/2.0 200 OK\r\n\r\n"), FAULT(VERSION)},
    {SPAN("HTTP/0.9 200 OK\r\n\r\n"), FAULT(VERSION)},
    {SPAN("HTTP/1.1 200 O\0K\r\n\r\n"), FAULT(CONTROL_BYTE)},
    {SPAN("HTTP/1.1 200 O\x7fK\r\n\r\n"), FAULT(CONTROL_BYTE)},
    {SPAN("HTTP/1.1 200 OK\n\r\n"), FAULT(BARE_LF)},
    {SPAN("HTTP/1.1 200 OK\r\r\n"), FAULT(BARE_CR)},
};

START_TEST(a_status_line_is_version_and_three_digits)
{
    check_head(&status_lines[_i], HTTP_RESPONSE);
}
END_TEST

#define LEAD "GET / HTTP/1.1\r\nHost: a\r\n"
#define END "\r\n\r\n"

/* RFC 9112 2.2, 5: every line ends with CR LF, and holds no other control byte. */
static const struct head_row line_ends[] = {
    {SPAN("\nGET / HTTP/1.1" END), FAULT(BARE_LF)},
    {SPAN("GET / HTTP/1.1\n\n"), FAULT(BARE_LF)},
    {SPAN("GET / HTTP/1.1\n\r\n"), FAULT(BARE_LF)},
    {SPAN("GET /\nX HTTP/1.1" END), FAULT(BARE_LF)},
    {SPAN("GET / HTTP/1.1\r\n\n"), FAULT(BARE_LF)},
    {SPAN(LEAD "\n"), FAULT(BARE_LF)},
    {SPAN(LEAD "A: b\nC: d" END), FAULT(BARE_LF)},
    {SPAN(LEAD "A: b\n\r\n"), FAULT(BARE_LF)},
    {SPAN(LEAD "A: b\n\n"), FAULT(BARE_LF)},
    {SPAN(LEAD "A:\nTransfer-Encoding: chunked" END), FAULT(BARE_LF)},
    {SPAN(LEAD "A: b\n\rTransfer-Encoding: chunked" END), FAULT(BARE_LF)},
    {SPAN(LEAD "\nTransfer-Encoding: chunked" END), FAULT(BARE_LF)},
    {SPAN(LEAD "Transfer-Encoding\n: chunked" END), FAULT(BARE_LF)},
    {SPAN(LEAD "A: b\r\n\n"), FAULT(BARE_LF)},
    {SPAN("\rGET / HTTP/1.1" END), FAULT(BARE_CR)},
    {SPAN("GET / HTTP/1.1\r\r\n\r\n"), FAULT(BARE_CR)},
    {SPAN("GET /\rX HTTP/1.1" END), FAULT(BARE_CR)},
    {SPAN("GET / HTTP/1.1\rHost: a" END), FAULT(BARE_CR)},
    {SPAN(LEAD "A: b\rC: d" END), FAULT(BARE_CR)},
    {SPAN(LEAD "A:\rTransfer-Encoding: chunked" END), FAULT(BARE_CR)},
    {SPAN(LEAD "\rTransfer-Encoding: chunked" END), FAULT(BARE_CR)},
    {SPAN(LEAD "\rZGET /evil: HTTP/1.1" END), FAULT(BARE_CR)},
    {SPAN(LEAD "A: b\r\r\n\r\n"), FAULT(BARE_CR)},
    {SPAN(LEAD "\r\r\n"), FAULT(BARE_CR)},
    {SPAN(LEAD "A: b\r\n\r\r\n"), FAULT(BARE_CR)},
    {SPAN(LEAD "Transfer-Encoding: chunked\r" END), FAULT(BARE_CR)},
    {SPAN("GET /\0 HTTP/1.1" END), FAULT(CONTROL_BYTE)},
    {SPAN("G\0T / HTTP/1.1" END), FAULT(CONTROL_BYTE)},
    {SPAN("GET /\x7f HTTP/1.1" END), FAULT(CONTROL_BYTE)},
    {SPAN("GET /\x01 HTTP/1.1" END), FAULT(CONTROL_BYTE)},
    {SPAN("GET / HTTP/1.1\0" END), FAULT(CONTROL_BYTE)},
    {SPAN("GET / HTTP/1.1\x0b" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "\0A: b" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "A\0: b" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "A\x1b: b" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "A: b\0c" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "A: b\x1b[31m" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "A: \x08" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "A: b\x7f" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "Transfer-Encoding:\013chunked" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "Transfer-Encoding: chunked\x0c" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "Transfer-Encoding\x0b: chunked" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "Content-Length: 5\0" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "Content-Length\0: 5" END), FAULT(CONTROL_BYTE)},
    {SPAN(LEAD "\0\r\n"), FAULT(CONTROL_BYTE)},
};

START_TEST(a_line_ends_with_cr_lf_and_holds_no_control_byte)
{
    check_head(&line_ends[_i], HTTP_REQUEST);
}
END_TEST

/* RFC 9112 5.1, 5.2. */
static const struct head_row field_lines[] = {
    {SPAN("GET / HTTP/1.1\r\n Host: a" END), FAULT(FOLDED_LINE)},
    {SPAN("GET / HTTP/1.1\r\n \r\n\r\n"), FAULT(FOLDED_LINE)},
    {SPAN(LEAD "A: b\r\n c" END), FAULT(FOLDED_LINE)},
    {SPAN(LEAD "A: b\r\n\tc" END), FAULT(FOLDED_LINE)},
    {SPAN(LEAD "A: b\r\n c: d" END), FAULT(FOLDED_LINE)},
    {SPAN(LEAD "A: b\r\n " END), FAULT(FOLDED_LINE)},
    {SPAN(LEAD "A: b\r\n\t\r\n" END), FAULT(FOLDED_LINE)},
    {SPAN(LEAD "A:\r\n Transfer-Encoding: chunked" END), FAULT(FOLDED_LINE)},
    {SPAN(LEAD "Transfer-Encoding:\r\n chunked" END), FAULT(FOLDED_LINE)},
    {SPAN(LEAD " Transfer-Encoding: chunked" END), FAULT(FOLDED_LINE)},
    {SPAN(LEAD "\tContent-Length: 5" END), FAULT(FOLDED_LINE)},
    {SPAN(LEAD "A" END), FAULT(NO_COLON)},
    {SPAN(LEAD "A b" END), FAULT(NO_COLON)},
    {SPAN(LEAD "A=b" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "Transfer-Encoding; chunked" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "Transfer-Encoding chunked" END), FAULT(NO_COLON)},
    {SPAN(LEAD "name\r\n : value" END), FAULT(NO_COLON)},
    {SPAN(LEAD "GET /evil HTTP/1.1" END), FAULT(NO_COLON)},
    {SPAN(LEAD "A : b" END), FAULT(SPACE_BEFORE_COLON)},
    {SPAN(LEAD "A\t: b" END), FAULT(SPACE_BEFORE_COLON)},
    {SPAN(LEAD "A  \t : b" END), FAULT(SPACE_BEFORE_COLON)},
    {SPAN(LEAD "Transfer-Encoding : chunked" END), FAULT(SPACE_BEFORE_COLON)},
    {SPAN(LEAD "Content-Length\t: 5" END), FAULT(SPACE_BEFORE_COLON)},
    {SPAN(LEAD "Content-Length 5: 5" END), FAULT(SPACE_BEFORE_COLON)},
    {SPAN(LEAD "A b: c" END), FAULT(SPACE_BEFORE_COLON)},
    {SPAN(LEAD ": b" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD ":" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "::a" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "Fo@: b" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "A,B: c" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "A/B: c" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "{A}: b" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "\"Content-Length\": 5" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "(Content-Length): 5" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "\xffTransfer-Encoding: chunked" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "Transfer-Encoding\xa0: chunked" END), FAULT(FIELD_NAME)},
    {SPAN(LEAD "Transfer\342\200\220Encoding: chunked" END), FAULT(FIELD_NAME)},
    /* Read as a dash by some servers (http/field.h). */
    {SPAN(LEAD "Transfer_Encoding: chunked" END), FAULT(UNDERSCORE_NAME)},
    {SPAN(LEAD "content_length: 5" END), FAULT(UNDERSCORE_NAME)},
    {SPAN(LEAD "X_Api_Key: k" END), FAULT(UNDERSCORE_NAME)},
    {SPAN(LEAD "X-HTTP_Method-Override: DELETE" END), FAULT(UNDERSCORE_NAME)},
};

START_TEST(a_field_line_is_a_token_and_a_colon)
{
    check_head(&field_lines[_i], HTTP_REQUEST);
}
END_TEST

static const struct head_row trailer_lines[] = {
    {SPAN("\n"), FAULT(BARE_LF)},
    {SPAN("\r\r\n"), FAULT(BARE_CR)},
    {SPAN("\rX"), FAULT(BARE_CR)},
    {SPAN(" \r\n\r\n"), FAULT(FOLDED_LINE)},
    {SPAN(" A: b" END), FAULT(FOLDED_LINE)},
    {SPAN("A: b\n\r\n"), FAULT(BARE_LF)},
    {SPAN("A: b\r\n\n"), FAULT(BARE_LF)},
    {SPAN("A: b\r\n c" END), FAULT(FOLDED_LINE)},
    {SPAN("A : b" END), FAULT(SPACE_BEFORE_COLON)},
    {SPAN("A" END), FAULT(NO_COLON)},
    {SPAN("A: \0" END), FAULT(CONTROL_BYTE)},
    {SPAN("GET / HTTP/1.1" END), FAULT(NO_COLON)},
    {SPAN("HTTP/1.1 200 OK" END), FAULT(FIELD_NAME)},
    {SPAN("Content_Length: 5" END), FAULT(UNDERSCORE_NAME)},
};

START_TEST(trailers_are_judged_like_fields)
{
    check_head(&trailer_lines[_i], HTTP_TRAILERS);
}
END_TEST

/* Wherever a head is corrupted by one control byte, it is not accepted. */
START_TEST(no_control_byte_is_accepted_anywhere_in_a_head)
{
    static const char whole[] = "GET /x HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n";
    struct http_head head;

    ck_assert(http_head_init(&head, 8));
    for (size_t at = 0; at < sizeof(whole) - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            bool is_control = byte < 0x20 || byte == 0x7f;
            char *copy = exact_copy(span_make(whole, sizeof(whole) - 1));

            if (is_control && byte != '\t' && copy[at] != byte) {
                copy[at] = (char)byte;
                http_head_reset(&head, HTTP_REQUEST);
                ck_assert_msg(http_head_parse(&head, copy, sizeof(whole) - 1,
                                              HEAD_MAX_BYTES) == HTTP_PARSE_BAD,
                              "byte %02x at %zu", (unsigned)byte, at);
            }
            free(copy);
        }
    }
    http_head_fini(&head);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/head, refused");
    TCase *start = suite_case(suite, "start line");
    TCase *lines = suite_case(suite, "field lines");

    tcase_add_loop_test(start, a_request_line_is_three_words_and_two_spaces, 0,
                        ROWS(request_lines));
    tcase_add_loop_test(start, a_status_line_is_version_and_three_digits, 0,
                        ROWS(status_lines));
    tcase_add_loop_test(lines, a_line_ends_with_cr_lf_and_holds_no_control_byte, 0,
                        ROWS(line_ends));
    tcase_add_loop_test(lines, a_field_line_is_a_token_and_a_colon, 0, ROWS(field_lines));
    tcase_add_loop_test(lines, trailers_are_judged_like_fields, 0, ROWS(trailer_lines));
    tcase_add_test(lines, no_control_byte_is_accepted_anywhere_in_a_head);
    return run_suite(suite);
}
