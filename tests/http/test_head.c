/* Good heads: what comes out of them, the limits they keep to, and Connection. */
#include "http/head.h"
#include "support/heads.h"
#include "support/suite.h"

static const struct head_row requests[] = {
    {SPAN("GET / HTTP/1.1\r\n\r\n"), .parsed = "GET / 1.1\n"},
    {SPAN("GET / HTTP/1.0\r\n\r\n"), .parsed = "GET / 1.0\n"},
    /* A later minor version is read as 1.1 (RFC 9110 2.5). */
    {SPAN("GET / HTTP/1.9\r\n\r\n"), .parsed = "GET / 1.1\n"},
    /* One empty line before the request line is let pass (RFC 9112 2.2). */
    {SPAN("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n"), .parsed = "GET /x 1.1\nHost: a\n"},
    {SPAN("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), .parsed = "OPTIONS * 1.1\nHost: a\n"},
    {SPAN("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n"),
     .parsed = "GET http://a/b?c 1.1\nHost: a\n"},
    {SPAN("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n\r\n"),
     .parsed = "!#$%&'*+-.^_`|~09azAZ / 1.1\n"},
    {SPAN("get / HTTP/1.1\r\n\r\n"), .parsed = "get / 1.1\n"},
    {SPAN("GET /?\"<>\\^`{|}%zz\xa0\xff HTTP/1.1\r\n\r\n"),
     .parsed = "GET /?\"<>\\^`{|}%zz\xa0\xff 1.1\n"},
    /* Order, case, spelling and repetition stay. */
    {SPAN("GET / HTTP/1.1\r\nhOsT: a\r\nB: 1\r\nA: 2\r\nb: 3\r\nB: 1\r\n\r\n"),
     .parsed = "GET / 1.1\nhOsT: a\nB: 1\nA: 2\nb: 3\nB: 1\n"},
    {SPAN("GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"),
     .parsed = "GET / 1.1\n!#$%&'*+-.^_`|~09azAZ: x\n"},
    /* White space around a value is none of it, within it is (RFC 9112 5.1). */
    {SPAN("GET / HTTP/1.1\r\nA:b\r\nC: \t d\te  f \t\r\n\r\n"),
     .parsed = "GET / 1.1\nA: b\nC: d\te  f\n"},
    {SPAN("GET / HTTP/1.1\r\nA:\r\nB: \r\nC: \t \t\r\n\r\n"),
     .parsed = "GET / 1.1\nA: \nB: \nC: \n"},
    {SPAN("GET / HTTP/1.1\r\nA: b: c:\r\nD:: \r\n\r\n"),
     .parsed = "GET / 1.1\nA: b: c:\nD: :\n"},
    {SPAN("GET / HTTP/1.1\r\nA: \x80\xff\xc3\xa9 \"\\ ,;\r\n\r\n"),
     .parsed = "GET / 1.1\nA: \x80\xff\xc3\xa9 \"\\ ,;\n"},
    {SPAN("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
     .parsed = "POST / 1.1\nHost: a\nContent-Length: 5\n", .rest = 5},
    {SPAN("GET / HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n\r\n"), .parsed = "GET / 1.1\n",
     .rest = 22},
    {SPAN("GET / HTTP/1.1\r\n\r\n\r\n"), .parsed = "GET / 1.1\n", .rest = 2},
    {SPAN("GET / HTTP/1.1\r\n\r\n\n\0\r"), .parsed = "GET / 1.1\n", .rest = 3},
};

START_TEST(a_request_is_parsed_as_it_stands)
{
    check_head(&requests[_i], HTTP_REQUEST);
}
END_TEST

static const struct head_row responses[] = {
    {SPAN("HTTP/1.1 200 OK\r\n\r\n"), .parsed = "1.1 200 'OK'\n"},
    {SPAN("HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n"),
     .parsed = "1.0 404 'Not Found'\nA: b\n"},
    {SPAN("HTTP/1.1 204 \r\n\r\n"), .parsed = "1.1 204 ''\n"},
    /* The space that must stand before an absent reason is often forgotten. */
    {SPAN("HTTP/1.1 204\r\n\r\n"), .parsed = "1.1 204 ''\n"},
    {SPAN("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
     .parsed = "1.1 100 'Continue'\n", .rest = 19},
    {SPAN("HTTP/1.1 200  two  spaces \r\n\r\n"), .parsed = "1.1 200 ' two  spaces '\n"},
    {SPAN("HTTP/1.1 200 \xc3\xa9\t\xff\r\n\r\n"), .parsed = "1.1 200 '\xc3\xa9\t\xff'\n"},
    {SPAN("HTTP/1.1 599 x\r\n\r\n"), .parsed = "1.1 599 'x'\n"},
    {SPAN("HTTP/1.7 200 OK\r\nConnection: close\r\n\r\n"),
     .parsed = "1.1 200 'OK' close\n-Connection: close\n"},
};

START_TEST(a_response_is_parsed_as_it_stands)
{
    check_head(&responses[_i], HTTP_RESPONSE);
}
END_TEST

static const struct head_row trailers[] = {
    {SPAN("\r\n"), .parsed = "\n"},
    {SPAN("\r\nGET / HTTP/1.1\r\n\r\n"), .parsed = "\n", .rest = 18},
    {SPAN("A: b\r\n\r\n"), .parsed = "\nA: b\n"},
    {SPAN("A: b\r\nC:d\r\n\r\nx"), .parsed = "\nA: b\nC: d\n", .rest = 1},
    {SPAN("Transfer-Encoding: chunked\r\nAuthorization: x\r\n\r\n"),
     .parsed = "\n-Transfer-Encoding: chunked\nAuthorization: x\n"},
};

START_TEST(trailers_are_parsed_without_a_start_line)
{
    check_head(&trailers[_i], HTTP_TRAILERS);
}
END_TEST

#define GET_WITH(lines) SPAN("GET / HTTP/1.1\r\n" lines "\r\n")

/* RFC 9110 7.6.1, RFC 9112 9.3 and 9.6; INTERFACES: never Authorization or Host. */
static const struct head_row connections[] = {
    {GET_WITH("Connection: close\r\n"),
     .parsed = "GET / 1.1 close\n-Connection: close\n"},
    {GET_WITH("Connection: Keep-ALIVE\r\n"),
     .parsed = "GET / 1.1 keep-alive\n-Connection: Keep-ALIVE\n"},
    {GET_WITH("Connection: upgrade\r\nUpgrade: websocket\r\n"),
     .parsed = "GET / 1.1 upgrade\n-Connection: upgrade\n-Upgrade: websocket\n"},
    {GET_WITH("Connection: ,close ,,\tUpgrade,\r\n"),
     .parsed = "GET / 1.1 close upgrade\n-Connection: ,close ,,\tUpgrade,\n"},
    {GET_WITH("Connection: keep-alive\r\nConnection: close\r\n"),
     .parsed =
         "GET / 1.1 close keep-alive\n-Connection: keep-alive\n-Connection: close\n"},
    {GET_WITH("Connection:\r\n"), .parsed = "GET / 1.1\n-Connection: \n"},
    {GET_WITH("Connection: closed, xclose, close;q=1, \"close\"\r\n"),
     .parsed = "GET / 1.1\n-Connection: closed, xclose, close;q=1, \"close\"\n"},
    {GET_WITH("A: 1\r\nConnection: a\r\na: 2\r\nAb: 3\r\n"),
     .parsed = "GET / 1.1\n-A: 1\n-Connection: a\n-a: 2\nAb: 3\n"},
    {GET_WITH("Connection: x-one\r\nX-One: 1\r\nX-Two: 2\r\nConnection: X-Two\r\n"),
     .parsed =
         "GET / 1.1\n-Connection: x-one\n-X-One: 1\n-X-Two: 2\n-Connection: X-Two\n"},
    {GET_WITH("Connection: authorization, host\r\nHost: a\r\nAuthorization: b\r\n"),
     .parsed =
         "GET / 1.1\n-Connection: authorization, host\nHost: a\nAuthorization: b\n"},
    /* What frames the message is not the peer's to hide. */
    {GET_WITH("Connection: content-length\r\nContent-Length: 5\r\n"),
     .parsed = "GET / 1.1\n-Connection: content-length\nContent-Length: 5\n"},
    {GET_WITH("Connection: cookie, X-Api-Key\r\nCookie: c\r\nX-Api-Key: k\r\n"),
     .parsed = "GET / 1.1\n-Connection: cookie, X-Api-Key\n-Cookie: c\n-X-Api-Key: k\n"},
    {GET_WITH("Connection: close\r\nClose: x\r\n"),
     .parsed = "GET / 1.1 close\n-Connection: close\n-Close: x\n"},
    {GET_WITH("Keep-Alive: timeout=5\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n"
              "Upgrade: h2c\r\nProxy-Connection: close\r\nProxy-Authorization: x\r\n"
              "Proxy-Authenticate: y\r\nTrailer: z\r\n"),
     .parsed = "GET / 1.1\n-Keep-Alive: timeout=5\n-TE: trailers\n"
               "-Transfer-Encoding: chunked\n-Upgrade: h2c\n-Proxy-Connection: close\n"
               "-Proxy-Authorization: x\n-Proxy-Authenticate: y\nTrailer: z\n"},
};

START_TEST(what_concerns_one_connection_is_marked)
{
    check_head(&connections[_i], HTTP_REQUEST);
}
END_TEST

static const struct head_row unfinished[] = {
    {.bytes = SPAN("G")},
    {.bytes = SPAN("\r")},
    {.bytes = SPAN("\r\n")},
    {.bytes = SPAN("GET / HTTP/1.1")},
    {.bytes = SPAN("GET / HTTP/1.1\r")},
    {.bytes = SPAN("GET / HTTP/1.1\r\n")},
    {.bytes = SPAN("GET / HTTP/1.1\r\nHost")},
    {.bytes = SPAN("GET / HTTP/1.1\r\nHost: a\r\n")},
    {.bytes = SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r")},
};

START_TEST(an_unfinished_head_waits_for_more)
{
    check_head(&unfinished[_i], HTTP_REQUEST);
}
END_TEST

/* Parses in steps with that limit; the fault. */
static enum http_fault fault_within(struct span bytes, enum http_head_kind kind,
                                    size_t step, size_t max_bytes, uint16_t max_fields)
{
    struct feed feed = {.whole = bytes};
    enum http_parse parse = HTTP_PARSE_MORE;
    struct http_head head;
    enum http_fault fault;

    ck_assert(http_head_init(&head, max_fields));
    http_head_reset(&head, kind);
    while (parse == HTTP_PARSE_MORE && feed.arrived.len < bytes.len) {
        struct span arrived = feed_step(&feed, step);

        parse = http_head_parse(&head, arrived.at, arrived.len, max_bytes);
        ck_assert(parse == HTTP_PARSE_BAD || arrived.len <= max_bytes || step > 1);
    }
    ck_assert_int_ne(parse, HTTP_PARSE_MORE);
    fault = head.fault;
    ck_assert_int_eq(parse == HTTP_PARSE_BAD, fault != HTTP_FAULT_NONE);
    http_head_fini(&head);
    feed_end(&feed);
    return fault;
}

#define REQUEST_37 "GET / HTTP/1.1\r\nHost: a\r\nFoo: bar\r\n\r\n"

/* 414 and 431 are different answers, so the faults are too. */
static const struct {
    struct span bytes;
    size_t max_bytes;
    enum http_fault fault;
} sizes[] = {
    {SPAN(REQUEST_37), 37, HTTP_FAULT_NONE},
    {SPAN(REQUEST_37), 36, HTTP_FAULT_HEAD_TOO_LARGE},
    {SPAN(REQUEST_37), 17, HTTP_FAULT_HEAD_TOO_LARGE},
    {SPAN(REQUEST_37), 16, HTTP_FAULT_HEAD_TOO_LARGE},
    {SPAN(REQUEST_37), 15, HTTP_FAULT_START_LINE_TOO_LONG},
    {SPAN(REQUEST_37), 2, HTTP_FAULT_START_LINE_TOO_LONG},
    {SPAN(REQUEST_37 "body"), 37, HTTP_FAULT_NONE},
    {SPAN("\r\n" REQUEST_37), 39, HTTP_FAULT_NONE},
    {SPAN("\r\n" REQUEST_37), 38, HTTP_FAULT_HEAD_TOO_LARGE},
};

START_TEST(a_head_may_fill_its_limit_and_not_a_byte_more)
{
    for (size_t step = 1; step < 100; step += 49)
        ck_assert_int_eq(
            fault_within(sizes[_i].bytes, HTTP_REQUEST, step, sizes[_i].max_bytes, 8),
            sizes[_i].fault);
}
END_TEST

START_TEST(a_line_that_never_ends_is_refused_at_the_limit)
{
    enum { ENDLESS = 5000, LIMIT = 1024 };
    struct text text = {0};

    for (int i = 0; i < ENDLESS; i++)
        text_add_byte(&text, 'a');
    ck_assert_int_eq(
        fault_within(span_make(text.bytes, text.len), HTTP_REQUEST, 1, LIMIT, 8),
        HTTP_FAULT_START_LINE_TOO_LONG);
    text_clear(&text);
    text_add(&text, SPAN("GET / HTTP/1.1\r\nA: "));
    for (int i = 0; i < ENDLESS; i++)
        text_add_byte(&text, 'a');
    ck_assert_int_eq(
        fault_within(span_make(text.bytes, text.len), HTTP_REQUEST, 1, LIMIT, 8),
        HTTP_FAULT_HEAD_TOO_LARGE);
    ck_assert_int_eq(fault_within(span_make(text.bytes + 16, text.len - 16),
                                  HTTP_TRAILERS, 1, LIMIT, 8),
                     HTTP_FAULT_HEAD_TOO_LARGE);
    text_fini(&text);
}
END_TEST

START_TEST(as_many_fields_as_the_limit_and_not_one_more)
{
    struct span three = GET_WITH("A: 1\r\nB: 2\r\nC: 3\r\n");

    for (size_t step = 1; step < 100; step += 49) {
        ck_assert_int_eq(fault_within(three, HTTP_REQUEST, step, 1024, 3),
                         HTTP_FAULT_NONE);
        ck_assert_int_eq(fault_within(three, HTTP_REQUEST, step, 1024, 2),
                         HTTP_FAULT_TOO_MANY_FIELDS);
    }
}
END_TEST

static const size_t name_lengths[] = {255, 256, 65535, 65536, 65537, 131072};

/* A length kept in 16 bits must not come out as another. */
START_TEST(a_very_long_name_is_whole_or_refused)
{
    size_t len = name_lengths[_i];
    struct text text = {0};
    struct http_head head;
    enum http_parse parse;

    text_add(&text, SPAN("GET / HTTP/1.1\r\n"));
    for (size_t i = 0; i < len; i++)
        text_add_byte(&text, 'n');
    text_add(&text, SPAN(": v\r\n\r\n"));
    ck_assert(http_head_init(&head, 8));
    http_head_reset(&head, HTTP_REQUEST);
    parse = http_head_parse(&head, text.bytes, text.len, 1 << 20);
    ck_assert(parse == HTTP_PARSE_BAD || head.fields[0].name_len == len);
    ck_assert(parse == HTTP_PARSE_DONE || len > UINT16_MAX);
    http_head_fini(&head);
    text_fini(&text);
}
END_TEST

START_TEST(a_bad_byte_is_refused_as_soon_as_it_shows)
{
    struct span bytes = SPAN("GET / HTTP/1.1\r\nA: b\0");
    struct http_head head;

    ck_assert(http_head_init(&head, 8));
    http_head_reset(&head, HTTP_REQUEST);
    ck_assert_int_eq(http_head_parse(&head, bytes.at, bytes.len - 1, 1024),
                     HTTP_PARSE_MORE);
    ck_assert_int_eq(http_head_parse(&head, bytes.at, bytes.len, 1024), HTTP_PARSE_BAD);
    ck_assert_int_eq(head.fault, HTTP_FAULT_CONTROL_BYTE);
    http_head_fini(&head);
}
END_TEST

START_TEST(a_reset_head_remembers_nothing)
{
    struct span first = GET_WITH("Connection: close, upgrade, x\r\nX: 1\r\n");
    struct head_row second = {SPAN("HTTP/1.0 204 \r\nX: 2\r\n\r\n"),
                              .parsed = "1.0 204 ''\nX: 2\n"};
    struct http_head head;

    must_parse(&head, HTTP_REQUEST, first);
    http_head_reset(&head, HTTP_RESPONSE);
    ck_assert_int_eq(
        http_head_parse(&head, second.bytes.at, second.bytes.len, HEAD_MAX_BYTES),
        HTTP_PARSE_DONE);
    assert_head_is(&head, &second);
    http_head_reset(&head, HTTP_REQUEST);
    ck_assert_int_eq(http_head_parse(&head, "\0", 1, HEAD_MAX_BYTES), HTTP_PARSE_BAD);
    http_head_reset(&head, HTTP_RESPONSE);
    ck_assert_int_eq(
        http_head_parse(&head, second.bytes.at, second.bytes.len, HEAD_MAX_BYTES),
        HTTP_PARSE_DONE);
    assert_head_is(&head, &second);
    http_head_fini(&head);
}
END_TEST

START_TEST(the_first_field_of_a_kind_is_found_and_all_are_counted)
{
    struct http_head head;
    const struct http_field *field;
    unsigned count;

    must_parse(&head, HTTP_REQUEST, GET_WITH("A: 0\r\nX-API-Key: 1\r\nx-api-key: 2\r\n"));
    field = http_head_find(&head, HTTP_FIELD_X_API_KEY, &count);
    ck_assert_uint_eq(count, 2);
    assert_span_is(http_field_value(&head, field), SPAN("1"), "the value");
    assert_span_is(http_field_name(&head, field), SPAN("X-API-Key"), "the name");
    ck_assert_ptr_eq(http_head_find(&head, HTTP_FIELD_X_API_KEY, NULL), field);
    ck_assert_ptr_null(http_head_find(&head, HTTP_FIELD_HOST, &count));
    ck_assert_uint_eq(count, 0);
    ck_assert(http_head_has(&head, HTTP_FIELD_X_API_KEY));
    ck_assert(!http_head_has(&head, HTTP_FIELD_HOST));
    http_head_reset(&head, HTTP_REQUEST);
    ck_assert(!http_head_has(&head, HTTP_FIELD_X_API_KEY));
    http_head_fini(&head);
}
END_TEST

/* RFC 9110 5.6.1: empty elements are ignored. */
static const struct {
    const char *list, *elements;
} lists[] = {
    {"", ""},
    {",", ""},
    {" ,\t, ", ""},
    {"a", "<a>"},
    {"a,b", "<a><b>"},
    {" a , b\t", "<a><b>"},
    {",a,,b c, ,", "<a><b c>"},
    {"a;q=\"x,y\"", "<a;q=\"x><y\">"}, /* quotes are not known: for lists of tokens */
};

START_TEST(a_list_is_its_elements_that_are_not_empty)
{
    struct span whole = exact_span(span_of(lists[_i].list)), list = whole, element;
    struct text text = {0};

    text_add(&text, SPAN(""));
    while (http_list_next(&list, &element))
        text_add_format(&text, "<%.*s>", (int)element.len, element.at);
    ck_assert_str_eq(text.bytes, lists[_i].elements);
    ck_assert(!http_list_next(&list, &element));
    text_fini(&text);
    free((char *)(uintptr_t)whole.at);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/head");
    TCase *good = suite_case(suite, "good");
    TCase *connection = suite_case(suite, "connection");
    TCase *limits = suite_case(suite, "limits");
    TCase *use = suite_case(suite, "use");

    tcase_add_loop_test(good, a_request_is_parsed_as_it_stands, 0, ROWS(requests));
    tcase_add_loop_test(good, a_response_is_parsed_as_it_stands, 0, ROWS(responses));
    tcase_add_loop_test(good, trailers_are_parsed_without_a_start_line, 0,
                        ROWS(trailers));
    tcase_add_loop_test(good, an_unfinished_head_waits_for_more, 0, ROWS(unfinished));
    tcase_add_loop_test(connection, what_concerns_one_connection_is_marked, 0,
                        ROWS(connections));
    tcase_add_loop_test(limits, a_head_may_fill_its_limit_and_not_a_byte_more, 0,
                        ROWS(sizes));
    tcase_add_test(limits, a_line_that_never_ends_is_refused_at_the_limit);
    tcase_add_test(limits, as_many_fields_as_the_limit_and_not_one_more);
    tcase_add_loop_test(limits, a_very_long_name_is_whole_or_refused, 0,
                        ROWS(name_lengths));
    tcase_add_test(limits, a_bad_byte_is_refused_as_soon_as_it_shows);
    tcase_add_test(use, a_reset_head_remembers_nothing);
    tcase_add_test(use, the_first_field_of_a_kind_is_found_and_all_are_counted);
    tcase_add_loop_test(use, a_list_is_its_elements_that_are_not_empty, 0, ROWS(lists));
    return run_suite(suite);
}
