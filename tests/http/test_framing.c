/* How long a body is (RFC 9112 6.3): decided once, and refused where two could differ. */
#include "http/body.h"
#include "support/heads.h"
#include "support/suite.h"

struct framing_row {
    struct span fields;  /* between the start line and the empty line */
    const char *framing; /* "none", "length 5", "chunked", "until close"; NULL: refused */
    enum http_fault fault; /* why */
};

static void describe(enum http_framing framing, uint64_t length, char *text, size_t size)
{
    static const char *const names[] = {
        [HTTP_FRAMING_NONE] = "none",
        [HTTP_FRAMING_LENGTH] = "length",
        [HTTP_FRAMING_CHUNKED] = "chunked",
        [HTTP_FRAMING_UNTIL_CLOSE] = "until close",
    };

    if (framing == HTTP_FRAMING_LENGTH)
        (void)snprintf(text, size, "length %llu", (unsigned long long)length);
    else
        (void)snprintf(text, size, "%s", names[framing]);
}

/* Judges the head of a request, or of a response to GET or HEAD. */
static void check_framing(const struct framing_row *row, const char *start_line,
                          bool is_response, bool to_head_request)
{
    enum http_framing framing = HTTP_FRAMING_NONE;
    enum http_fault fault = HTTP_FAULT_NONE;
    uint64_t length = 777;
    struct text text = {0};
    struct http_head head;
    char described[64] = "refused";
    struct span exact;
    bool is_good;

    text_add_format(&text, "%s\r\n", start_line);
    text_add(&text, row->fields);
    text_add(&text, SPAN("\r\n"));
    exact = exact_span(span_make(text.bytes, text.len));
    must_parse(&head, is_response ? HTTP_RESPONSE : HTTP_REQUEST, exact);
    is_good = is_response ? http_response_framing(&head, to_head_request, &framing,
                                                  &length, &fault)
                          : http_request_framing(&head, &framing, &length, &fault);
    if (is_good)
        describe(framing, length, described, sizeof(described));
    ck_assert_msg(strcmp(described, row->framing != NULL ? row->framing : "refused") == 0,
                  "'%s' is %s, not %s", shown(exact), described, row->framing);
    if (!is_good)
        ck_assert_msg(fault == row->fault, "'%s': %s", shown(exact),
                      http_fault_text(fault));
    http_head_fini(&head);
    free((char *)(uintptr_t)exact.at);
    text_fini(&text);
}

#define CL(value) SPAN("Content-Length:" value "\r\n")
#define TE(value) SPAN("Transfer-Encoding:" value "\r\n")
#define REFUSED(name) .fault = HTTP_FAULT_##name

static const struct framing_row lengths[] = {
    {SPAN(""), .framing = "none"},
    {CL(" 0"), .framing = "length 0"},
    {CL(" 5"), .framing = "length 5"},
    {CL("5"), .framing = "length 5"},
    {CL("\t5 \t "), .framing = "length 5"},
    {CL(" 005"), .framing = "length 5"},
    {SPAN("conTENT-LENGTH: 42\r\n"), .framing = "length 42"},
    {CL(" 9223372036854775807"), .framing = "length 9223372036854775807"},
    {CL(" 0000000000000000000000000000000000000000005"), .framing = "length 5"},
    {CL(" 9223372036854775808"), REFUSED(LENGTH_INVALID)},
    {CL(" 18446744073709551615"), REFUSED(LENGTH_INVALID)},
    {CL(" 18446744073709551616"), REFUSED(LENGTH_INVALID)},
    {CL(" 18446744073709551621"), REFUSED(LENGTH_INVALID)}, /* 5, modulo 2^64 */
    {CL(" 36893488147419103237"), REFUSED(LENGTH_INVALID)},
    {CL(" 4294967301000000000000"), REFUSED(LENGTH_INVALID)},
    {CL(""), REFUSED(LENGTH_INVALID)},
    {CL(" \t "), REFUSED(LENGTH_INVALID)},
    {CL(" +5"), REFUSED(LENGTH_INVALID)},
    {CL(" -5"), REFUSED(LENGTH_INVALID)},
    {CL(" -0"), REFUSED(LENGTH_INVALID)},
    {CL(" 5 5"), REFUSED(LENGTH_INVALID)},
    {CL(" 5\t5"), REFUSED(LENGTH_INVALID)},
    {CL(" 5,5"), REFUSED(LENGTH_INVALID)},
    {CL(" 5, 5"), REFUSED(LENGTH_INVALID)},
    {CL(" 5, 6"), REFUSED(LENGTH_INVALID)},
    {CL(" 5,"), REFUSED(LENGTH_INVALID)},
    {CL(" ,5"), REFUSED(LENGTH_INVALID)},
    {CL(" 0x5"), REFUSED(LENGTH_INVALID)},
    {CL(" a"), REFUSED(LENGTH_INVALID)},
    {CL(" 5h"), REFUSED(LENGTH_INVALID)},
    {CL(" 5.0"), REFUSED(LENGTH_INVALID)},
    {CL(" 5e0"), REFUSED(LENGTH_INVALID)},
    {CL(" 0_5"), REFUSED(LENGTH_INVALID)},
    {CL(" 1'000"), REFUSED(LENGTH_INVALID)},
    {CL(" \"5\""), REFUSED(LENGTH_INVALID)},
    {CL(" 5;a=b"), REFUSED(LENGTH_INVALID)},
    {CL(" :5"), REFUSED(LENGTH_INVALID)},
    {CL(" %35"), REFUSED(LENGTH_INVALID)},
    {CL(" \xd9\xa5"), REFUSED(LENGTH_INVALID)},     /* ARABIC-INDIC DIGIT FIVE */
    {CL(" \xef\xbc\x95"), REFUSED(LENGTH_INVALID)}, /* FULLWIDTH DIGIT FIVE */
    {CL(" 5\xa0"), REFUSED(LENGTH_INVALID)},
    {CL(" five"), REFUSED(LENGTH_INVALID)},
};

START_TEST(a_length_is_one_decimal_number)
{
    check_framing(&lengths[_i], "POST / HTTP/1.1", false, false);
    check_framing(&lengths[_i], "GET / HTTP/1.0", false, false);
}
END_TEST

static const struct framing_row repeated_lengths[] = {
    {SPAN("Content-Length: 5\r\nContent-Length: 5\r\n"), REFUSED(LENGTH_REPEATED)},
    {SPAN("Content-Length: 5\r\nContent-Length: 6\r\n"), REFUSED(LENGTH_REPEATED)},
    {SPAN("Content-Length: 0\r\nX: y\r\ncontent-length: 5\r\n"),
     REFUSED(LENGTH_REPEATED)},
    {SPAN("Content-Length: 5\r\nContent-Length:\r\n"), REFUSED(LENGTH_REPEATED)},
    {SPAN("Content-Length: x\r\nContent-Length: y\r\n"), REFUSED(LENGTH_REPEATED)},
};

START_TEST(two_content_lengths_are_refused)
{
    check_framing(&repeated_lengths[_i], "POST / HTTP/1.1", false, false);
    check_framing(&repeated_lengths[_i], "HTTP/1.1 200 OK", true, false);
    check_framing(&repeated_lengths[_i], "HTTP/1.1 200 OK", true, true);
}
END_TEST

/* RFC 9112 6.1, 6.3. A coding that is not known is 501, anything else 400. */
static const struct framing_row codings[] = {
    {TE(" chunked"), .framing = "chunked"},
    {TE("chunked"), .framing = "chunked"},
    {TE(" CHUNKED"), .framing = "chunked"},
    {TE("\tchunKed \t"), .framing = "chunked"},
    {SPAN("tRANSFER-eNCODING: chunked\r\n"), .framing = "chunked"},
    {TE(" gzip, chunked"), REFUSED(CODING_UNSUPPORTED)},
    {TE(" deflate,chunked"), REFUSED(CODING_UNSUPPORTED)},
    {TE(" identity, chunked"), REFUSED(CODING_UNSUPPORTED)},
    {TE(" cow, Chunked"), REFUSED(CODING_UNSUPPORTED)},
    {TE(""), REFUSED(CODING_INVALID)},
    {TE(" ,"), REFUSED(CODING_INVALID)},
    {TE(" chunked,"), REFUSED(CODING_INVALID)},
    {TE(" ,chunked"), REFUSED(CODING_INVALID)},
    {TE(" chunked, chunked"), REFUSED(CODING_INVALID)},
    {TE(" chunked,chunked"), REFUSED(CODING_INVALID)},
    {TE(" chunked, gzip"), REFUSED(CODING_INVALID)},
    {TE(" chunked, identity"), REFUSED(CODING_INVALID)},
    {TE(" chunked, gzip, chunked"), REFUSED(CODING_INVALID)},
    {TE(" gzip, chunked, chunked"), REFUSED(CODING_INVALID)},
    {TE(" gzip"), REFUSED(CODING_INVALID)},
    {TE(" identity"), REFUSED(CODING_INVALID)},
    {TE(" pigeons"), REFUSED(CODING_INVALID)},
    {TE(" xchunked"), REFUSED(CODING_INVALID)},
    {TE(" chunkedx"), REFUSED(CODING_INVALID)},
    {TE(" chunkedchunked"), REFUSED(CODING_INVALID)},
    {TE(" chunke"), REFUSED(CODING_INVALID)},
    {TE(" chun ked"), REFUSED(CODING_INVALID)},
    {TE(" chunked x"), REFUSED(CODING_INVALID)},
    {TE(" chunked;q=1"), REFUSED(CODING_INVALID)},
    {TE(" chunked;"), REFUSED(CODING_INVALID)},
    {TE(" \"chunked\""), REFUSED(CODING_INVALID)},
    {TE(" 'chunked'"), REFUSED(CODING_INVALID)},
    {TE(" [chunked]"), REFUSED(CODING_INVALID)},
    {TE(": chunked"), REFUSED(CODING_INVALID)},
    {TE(" \240chunked"), REFUSED(CODING_INVALID)},
    {TE(" chunked\xff"), REFUSED(CODING_INVALID)},
    {TE(" chun\342\204\252ed"), REFUSED(CODING_INVALID)}, /* KELVIN SIGN */
    {SPAN("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
     REFUSED(CODING_INVALID)},
    {SPAN("Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n"),
     REFUSED(CODING_INVALID)},
    {SPAN("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
     REFUSED(CODING_INVALID)},
    {SPAN("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n"),
     REFUSED(CODING_INVALID)},
    {SPAN("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n"),
     REFUSED(CODING_INVALID)},
};

START_TEST(the_only_coding_is_one_chunked)
{
    check_framing(&codings[_i], "POST / HTTP/1.1", false, false);
    check_framing(&codings[_i], "GET / HTTP/1.1", false, false);
    check_framing(&codings[_i], "HTTP/1.1 200 OK", true, false);
}
END_TEST

static const struct framing_row old_codings[] = {
    {TE(" chunked"), REFUSED(CODING_IN_1_0)},
    {TE(" identity"), REFUSED(CODING_IN_1_0)},
    {SPAN("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n"),
     REFUSED(CODING_IN_1_0)},
};

START_TEST(http_1_0_has_no_transfer_coding)
{
    check_framing(&old_codings[_i], "POST / HTTP/1.0", false, false);
    check_framing(&old_codings[_i], "HTTP/1.0 200 OK", true, false);
}
END_TEST

static const struct framing_row both[] = {
    {SPAN("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
     REFUSED(LENGTH_AND_CODING)},
    {SPAN("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
     REFUSED(LENGTH_AND_CODING)},
    {SPAN("transfer-encoding: chunked\r\nX: y\r\ncontent-length: 0\r\n"),
     REFUSED(LENGTH_AND_CODING)},
    {SPAN("Content-Length: 5\r\nTransfer-Encoding: identity\r\n"),
     REFUSED(LENGTH_AND_CODING)},
    {SPAN("Content-Length:\r\nTransfer-Encoding: chunked\r\n"),
     REFUSED(LENGTH_AND_CODING)},
    {SPAN("Content-Length: 5\r\nTransfer-Encoding:\r\n"), REFUSED(LENGTH_AND_CODING)},
    {SPAN("Connection: content-length\r\nContent-Length: 5\r\n"
          "Transfer-Encoding: chunked\r\n"),
     REFUSED(LENGTH_AND_CODING)},
    {SPAN("Connection: transfer-encoding\r\nContent-Length: 5\r\n"
          "Transfer-Encoding: chunked\r\n"),
     REFUSED(LENGTH_AND_CODING)},
    {SPAN("Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
     REFUSED(LENGTH_AND_CODING)},
};

START_TEST(a_length_with_a_coding_is_refused)
{
    check_framing(&both[_i], "POST / HTTP/1.1", false, false);
    check_framing(&both[_i], "GET / HTTP/1.0", false, false);
    check_framing(&both[_i], "HTTP/1.1 200 OK", true, false);
}
END_TEST

/* RFC 9112 6.3, RFC 9110 6.4.1. */
static const struct {
    const char *status_line;
    bool to_head_request;
    struct framing_row row;
} responses[] = {
    {"HTTP/1.1 200 OK", false, {SPAN(""), .framing = "until close"}},
    {"HTTP/1.0 200 OK", false, {SPAN(""), .framing = "until close"}},
    {"HTTP/1.1 200 OK",
     false,
     {SPAN("Connection: keep-alive\r\n"), .framing = "until close"}},
    {"HTTP/1.1 200 OK", false, {CL(" 0"), .framing = "length 0"}},
    {"HTTP/1.1 200 OK", false, {CL(" 5"), .framing = "length 5"}},
    {"HTTP/1.0 200 OK", false, {CL(" 5"), .framing = "length 5"}},
    {"HTTP/1.1 200 OK", false, {TE(" chunked"), .framing = "chunked"}},
    {"HTTP/1.1 200 OK", false, {CL(" 5,5"), REFUSED(LENGTH_INVALID)}},
    {"HTTP/1.1 200 OK", false, {CL(" -1"), REFUSED(LENGTH_INVALID)}},
    {"HTTP/1.1 404 x", false, {SPAN(""), .framing = "until close"}},
    {"HTTP/1.1 500 x", false, {CL(" 5"), .framing = "length 5"}},
    {"HTTP/1.1 205 x", false, {CL(" 0"), .framing = "length 0"}},
    {"HTTP/1.1 200 OK", true, {SPAN(""), .framing = "none"}},
    {"HTTP/1.1 200 OK", true, {CL(" 5"), .framing = "none"}},
    {"HTTP/1.1 200 OK", true, {TE(" chunked"), .framing = "none"}},
    {"HTTP/1.1 404 x", true, {CL(" 5"), .framing = "none"}},
    {"HTTP/1.1 204 x", false, {SPAN(""), .framing = "none"}},
    {"HTTP/1.1 204 x", false, {CL(" 5"), .framing = "none"}},
    {"HTTP/1.1 204 x", false, {TE(" chunked"), .framing = "none"}},
    {"HTTP/1.1 304 x", false, {SPAN(""), .framing = "none"}},
    {"HTTP/1.1 304 x", false, {CL(" 5"), .framing = "none"}},
    {"HTTP/1.1 304 x", false, {TE(" chunked"), .framing = "none"}},
    {"HTTP/1.1 100 x", false, {SPAN(""), .framing = "none"}},
    {"HTTP/1.1 101 x", false, {SPAN(""), .framing = "none"}},
    {"HTTP/1.1 103 x", false, {CL(" 5"), .framing = "none"}},
    {"HTTP/1.1 199 x", false, {TE(" chunked"), .framing = "none"}},
};

START_TEST(a_response_is_as_long_as_status_and_method_say)
{
    check_framing(&responses[_i].row, responses[_i].status_line, true,
                  responses[_i].to_head_request);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/body, framing");
    TCase *request = suite_case(suite, "request");
    TCase *response = suite_case(suite, "response");

    tcase_add_loop_test(request, a_length_is_one_decimal_number, 0, ROWS(lengths));
    tcase_add_loop_test(request, two_content_lengths_are_refused, 0,
                        ROWS(repeated_lengths));
    tcase_add_loop_test(request, the_only_coding_is_one_chunked, 0, ROWS(codings));
    tcase_add_loop_test(request, http_1_0_has_no_transfer_coding, 0, ROWS(old_codings));
    tcase_add_loop_test(request, a_length_with_a_coding_is_refused, 0, ROWS(both));
    tcase_add_loop_test(response, a_response_is_as_long_as_status_and_method_say, 0,
                        ROWS(responses));
    return run_suite(suite);
}
