/* Answers and trailers on their way through: the list "On the wire" in INTERFACES. */
#include "gateway/forward.h"
#include "support/heads.h"

#define END "\r\n"

static const struct {
    const char *answer;
    enum forward_body body;
    enum forward_connection connection;
    const char *forwarded;
} answers[] = {
    {"HTTP/1.1 200 OK\r\nB: 1\r\na:2 \r\nB: 1\r\nContent-Length: 5\r\n" END,
     FORWARD_LENGTH, FORWARD_KEEP,
     "HTTP/1.1 200 OK\r\nB: 1\r\na:2 \r\nB: 1\r\nContent-Length: 5\r\n" END},
    {"HTTP/1.0 299 \xff (odd)\r\nVia: 1.0 x\r\nDate: d\r\nServer: s\r\n" END,
     FORWARD_UNTIL_CLOSE, FORWARD_SAY_CLOSE,
     "HTTP/1.1 299 \xff (odd)\r\nVia: 1.0 x\r\nDate: d\r\nServer: s\r\nConnection: "
     "close\r\n" END},
    {"HTTP/1.1 204\r\nContent-Length: 0\r\nA: 1\r\n" END, FORWARD_NONE, FORWARD_KEEP,
     "HTTP/1.1 204 \r\nA: 1\r\n" END}, /* RFC 9110 8.6 */
    {"HTTP/1.1 103 Early Hints\r\nLink: l\r\nContent-Length: 9\r\n" END, FORWARD_NONE,
     FORWARD_KEEP, "HTTP/1.1 103 Early Hints\r\nLink: l\r\n" END},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: \"e\"\r\n" END,
     FORWARD_NONE, FORWARD_KEEP,
     "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: \"e\"\r\n" END},
    /* To HEAD: the length stays, a coding says nothing. */
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" END, FORWARD_NONE, FORWARD_SAY_KEEP_ALIVE,
     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: keep-alive\r\n" END},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" END, FORWARD_NONE, FORWARD_KEEP,
     "HTTP/1.1 200 OK\r\n" END},
    {"HTTP/1.1 200 OK\r\nA: 1\r\ntransfer-encoding:CHUNKED\r\nTrailer: T\r\n" END,
     FORWARD_CHUNKED, FORWARD_KEEP,
     "HTTP/1.1 200 OK\r\nA: 1\r\ntransfer-encoding: chunked\r\nTrailer: T\r\n" END},
    /* Chunked for who kept the connection, until the close for HTTP/1.0. */
    {"HTTP/1.1 200 OK\r\nConnection: close\r\nA: 1\r\n" END, FORWARD_CHUNKED,
     FORWARD_KEEP, "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n" END},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n" END, FORWARD_UNTIL_CLOSE,
     FORWARD_SAY_CLOSE, "HTTP/1.1 200 OK\r\nA: 1\r\nConnection: close\r\n" END},
    /* Hop-by-hop fields are between upstream and us. */
    {"HTTP/1.1 200 OK\r\nConnection: x-a, keep-alive\r\nX-A: 1\r\nKeep-Alive: 5\r\n"
     "Proxy-Authenticate: Basic\r\nProxy-Connection: x\r\nUpgrade: h2\r\nTE: x\r\n"
     "Content-Length: 2\r\n" END,
     FORWARD_LENGTH, FORWARD_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" END},
    {"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n" END,
     FORWARD_LENGTH, FORWARD_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" END},
    /* Credentials that upstream gives are the client's. */
    {"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nWWW-Authenticate: x\r\n" END,
     FORWARD_NONE, FORWARD_KEEP,
     "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nWWW-Authenticate: x\r\n" END},
    {"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: upgrade, "
     "x\r\n"
     "X: 1\r\nSec-WebSocket-Accept: a\r\n" END,
     FORWARD_NONE, FORWARD_SAY_UPGRADE,
     "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nSec-WebSocket-Accept: "
     "a\r\n"
     "Connection: Upgrade\r\n" END},
};

START_TEST(an_answer_arrives_as_it_was_but_for_its_framing)
{
    struct span answer = exact_span(span_of(answers[_i].answer));
    struct http_head head;
    struct text out = {0};

    must_parse(&head, HTTP_RESPONSE, answer);
    ck_assert(forward_response_head(&head, answers[_i].body, answers[_i].connection,
                                    SPAN(""), &out));
    assert_span_is(span_make(out.bytes, out.len), span_of(answers[_i].forwarded),
                   "the head");
    text_fini(&out);
    http_head_fini(&head);
    free((char *)(uintptr_t)answer.at);
}
END_TEST

START_TEST(lines_of_the_gateways_own_come_last)
{
    struct http_head head;
    struct text out = {0};

    must_parse(&head, HTTP_RESPONSE,
               SPAN("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: 1\r\n" END));
    ck_assert(forward_response_head(&head, FORWARD_LENGTH, FORWARD_SAY_CLOSE,
                                    SPAN("Cache-Status: psgate; hit\r\nAge: 1\r\n"),
                                    &out));
    assert_span_is(
        span_make(out.bytes, out.len),
        SPAN("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: 1\r\n"
             "Cache-Status: psgate; hit\r\nAge: 1\r\nConnection: close\r\n" END),
        "the head");
    text_fini(&out);
    http_head_fini(&head);
}
END_TEST

/* Trailers */

static const struct {
    const char *sent, *of_request, *of_answer;
} trailers[] = {
    {"", "", ""},
    {"X-Sum:  a  b \r\ny: 1\r\nY: 2\r\n", "X-Sum:  a  b \r\ny: 1\r\nY: 2\r\n",
     "X-Sum:  a  b \r\ny: 1\r\nY: 2\r\n"},
    {"Authorization: x\r\nA: 1\r\nx-api-key: y\r\nCookie: z\r\n", "A: 1\r\n",
     "Authorization: x\r\nA: 1\r\nx-api-key: y\r\nCookie: z\r\n"},
    {"X-HTTP-Method: x\r\nx-http-method-override: x\r\nX-Method-Override: x\r\n"
     "X-Original-URL: x\r\nX-Rewrite-URL: x\r\nA: 1\r\n",
     "A: 1\r\n",
     "X-HTTP-Method: x\r\nx-http-method-override: x\r\nX-Method-Override: x\r\n"
     "X-Original-URL: x\r\nX-Rewrite-URL: x\r\nA: 1\r\n"},
    {"A: 1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nB: 2\r\n",
     "A: 1\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n"},
    {"TE: x\r\nUpgrade: x\r\nKeep-Alive: x\r\nProxy-Connection: x\r\n"
     "Proxy-Authorization: x\r\nProxy-Authenticate: x\r\nA: 1\r\n",
     "A: 1\r\n", "A: 1\r\n"},
    {"X-A: 1\r\nConnection: x-a, close\r\nB: 2\r\n", "B: 2\r\n", "B: 2\r\n"},
    {"Connection: content-length\r\nContent-Length: 3\r\n", "", ""},
    /* The request's own Connection names a field of its trailers too. */
    {"X-Named: 1\r\nB: 2\r\n", "B: 2\r\n", "X-Named: 1\r\nB: 2\r\n"},
};

START_TEST(only_harmless_trailers_go_on)
{
    struct text lines = {0};
    struct http_head head, request;

    text_add_format(&lines, "%s\r\n", trailers[_i].sent);
    must_parse(&head, HTTP_TRAILERS, span_make(lines.bytes, lines.len));
    must_parse(&request, HTTP_REQUEST, SPAN("POST / HTTP/1.1\r\nHost: h\r\n"
                                            "Connection: x-named, close\r\n\r\n"));
    for (int is_request = 0; is_request < 2; is_request++) {
        struct text out = {0};

        ck_assert(forward_trailers(&head, is_request != 0 ? &request : NULL, &out));
        assert_span_is(
            span_make(out.bytes, out.len),
            span_of(is_request != 0 ? trailers[_i].of_request : trailers[_i].of_answer),
            "the trailers");
        text_fini(&out);
    }
    http_head_fini(&request);
    http_head_fini(&head);
    text_fini(&lines);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/forward, answers");
    TCase *heads = suite_case(suite, "heads");
    TCase *ends = suite_case(suite, "trailers");

    tcase_add_loop_test(heads, an_answer_arrives_as_it_was_but_for_its_framing, 0,
                        ROWS(answers));
    tcase_add_test(heads, lines_of_the_gateways_own_come_last);
    tcase_add_loop_test(ends, only_harmless_trailers_go_on, 0, ROWS(trailers));
    return run_suite(suite);
}
