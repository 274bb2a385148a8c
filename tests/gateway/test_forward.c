/* Requests on their way through: the list "On the wire" in INTERFACES, row by row. */
#include "gateway/forward.h"
#include "support/heads.h"

#define TOKEN "psgate_0123456789abcdefghijABCDEFGHIJ0123456789abc_defghi"
/* The same, percent-encoded from its first byte to its last. */
#define ENCODED_START "%70%73%67%61%74%65%5f0123456789abcdefghijABCDEFGHIJ0123456789ab"
#define ENCODED ENCODED_START "%63%5Fdefgh%69"

/* A request with what the gateway knows of it. */
struct passage {
    struct http_head head;
    struct admission admission;
    struct text out;
    size_t key_at;
};

static void read_request(struct passage *passage, struct span request)
{
    enum http_fault fault;
    bool is_sound;

    *passage = (struct passage){.key_at = SIZE_MAX};
    must_parse(&passage->head, HTTP_REQUEST, request);
    is_sound = http_target_split(passage->head.target, passage->head.method,
                                 &passage->admission.target, &fault) &&
               http_request_framing(&passage->head, &passage->admission.framing,
                                    &passage->admission.length, &fault);
    ck_assert_msg(is_sound, "'%s': %s", shown(request), http_fault_text(fault));
    passage->admission.token = span_of(TOKEN);
}

static void forward(struct passage *passage, struct span request)
{
    struct forward_options options = {.authority = "api.test"};

    read_request(passage, request);
    options.is_upgrade = forward_is_websocket(&passage->head, passage->admission.framing);
    ck_assert(forward_request_head(&passage->head, &passage->admission, &options,
                                   &passage->out, &passage->key_at));
}

static void end_passage(struct passage *passage)
{
    http_head_fini(&passage->head);
    text_fini(&passage->out);
}

/*
 * A row's request is a start line and field lines, forwarded as such. In what is
 * expected,
 * '@' is where the key belongs.
 */
struct row {
    const char *request, *forwarded;
};

static void assert_passage_is(const struct passage *passage, const char *forwarded)
{
    const char *at = strchr(forwarded, '@');
    struct text expected = {0};

    ck_assert_ptr_nonnull(at);
    text_add(&expected, span_make(forwarded, (size_t)(at - forwarded)));
    text_add(&expected, span_of(at + 1));
    assert_span_is(span_make(passage->out.bytes, passage->out.len),
                   span_make(expected.bytes, expected.len), "the head");
    ck_assert_uint_eq(passage->key_at, (size_t)(at - forwarded));
    text_fini(&expected);
}

static void check_request(const struct row *row)
{
    struct span request = exact_span(span_of(row->request));
    struct passage passage;

    forward(&passage, request);
    assert_passage_is(&passage, row->forwarded);
    end_passage(&passage);
    free((char *)(uintptr_t)request.at);
}

#define BEARER "Authorization: Bearer " TOKEN "\r\n"
#define KEY "Authorization: Bearer @\r\n"
#define VIA "Via: 1.1 psgate\r\n"
#define END "\r\n"

/* A request that has fields in the middle, and how they arrive. */
#define FIELDS(sent, arrived)                                                            \
    {                                                                                    \
        "POST /a HTTP/1.1\r\nHost: gw\r\n" BEARER sent "Z: 1\r\n" END,                   \
            "POST /a HTTP/1.1\r\nHost: api.test\r\n" KEY arrived "Z: 1\r\n" VIA END      \
    }

static const struct row fields[] = {
    /* Nothing to change: order, case, white space and repetition stay. */
    FIELDS("", ""),
    FIELDS("b: 1\r\nA:2\r\nB:  1 \t\r\na:\r\nX: \xff\xc3\xa9 \"\\,;\r\n",
           "b: 1\r\nA:2\r\nB:  1 \t\r\na:\r\nX: \xff\xc3\xa9 \"\\,;\r\n"),
    FIELDS("Cookie: a=b\r\nSet-Cookie: c\r\nVia: 1.0 x\r\nForwarded: for=a\r\n",
           "Cookie: a=b\r\nSet-Cookie: c\r\nVia: 1.0 x\r\nForwarded: for=a\r\n"),
    FIELDS("Trailer: X-Sum\r\nMax-Forwards: 3\r\n",
           "Trailer: X-Sum\r\nMax-Forwards: 3\r\n"),
    /* Host and Authorization in their place, their names as spelled. */
    {"GET /a HTTP/1.1\r\nA: 1\r\naUTHORIZATION:bearer  " TOKEN
     "\r\nB: 2\r\nhOST:gw:1\r\n" END,
     "GET /a HTTP/1.1\r\nA: 1\r\naUTHORIZATION: Bearer @\r\nB: 2\r\nhOST: "
     "api.test\r\n" VIA END},
    {"GET /a HTTP/1.1\r\nHost: gw\r\nAuthorization: Basic eDp5\r\nx-api-key: " TOKEN
     "\r\n" END,
     "GET /a HTTP/1.1\r\nHost: api.test\r\n" KEY VIA END},
    {"GET /a HTTP/1.1\r\nx-api-key: " TOKEN "\r\nA: 1\r\n" BEARER "Host: gw\r\n" END,
     "GET /a HTTP/1.1\r\nA: 1\r\n" KEY "Host: api.test\r\n" VIA END},
    /* Without Authorization the key stands where X-Api-Key stood, or behind all else. */
    {"GET /a HTTP/1.1\r\nHost: gw\r\nx-api-key: " TOKEN "\r\nA: 1\r\n" END,
     "GET /a HTTP/1.1\r\nHost: api.test\r\n" KEY "A: 1\r\n" VIA END},
    {"GET /a HTTP/1.1\r\nHost: gw\r\nA: 1\r\n" END,
     "GET /a HTTP/1.1\r\nHost: api.test\r\nA: 1\r\n" KEY VIA END},
    /* Hop-by-hop fields, and what Connection names. */
    FIELDS("Connection: close\r\n", ""),
    FIELDS("Connection:\r\nconnection: keep-alive\r\nKEEP-ALIVE: timeout=5\r\n", ""),
    FIELDS(
        "Proxy-Connection: close\r\nTE: trailers\r\nProxy-Authorization: Basic eDp5\r\n"
        "Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\n",
        ""),
    FIELDS("X-A: 1\r\nB: 2\r\nConnection: x-a ,close,, X-b\r\nx-B: 3\r\nX-a: 4\r\n",
           "B: 2\r\n"),
    FIELDS("A: 1\r\nConnection: x\r\nConnection: a\r\n", ""),
    FIELDS("Connection: via, cookie, x-forwarded-for\r\nVia: 1.1 x\r\nCookie: a\r\n", ""),
    /* Never Authorization or Host, and never what frames the message. */
    FIELDS("Connection: authorization, HOST, Authorization\r\n", ""),
    FIELDS("Connection: x-api-key, content-length\r\nContent-Length: 3\r\n",
           "Content-Length: 3\r\n"),
    FIELDS("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\n"),
    /* The gateway frames by itself. */
    FIELDS("CONTENT-length:\t7 \r\n", "CONTENT-length: 7\r\n"),
    FIELDS("Content-Length: 0\r\n", "Content-Length: 0\r\n"),
    FIELDS("transfer-encoding:  CHUNKED\r\n", "transfer-encoding: chunked\r\n"),
    /* Expect goes through, for upstream to answer. */
    FIELDS("Expect: 100-continue\r\nContent-Length: 3\r\n",
           "Expect: 100-continue\r\nContent-Length: 3\r\n"),
};

START_TEST(only_the_fields_of_the_list_are_changed)
{
    check_request(&fields[_i]);
}
END_TEST

/* A request with this target, and how that arrives. */
#define TARGET(method, sent, arrived)                                                    \
    {                                                                                    \
        method " " sent " HTTP/1.1\r\nHost: gw\r\n" BEARER END,                          \
            method " " arrived " HTTP/1.1\r\nHost: api.test\r\n" KEY VIA END             \
    }

static const struct row targets[] = {
    TARGET("GET", "/", "/"),
    TARGET("BREW", "/%41/b%2Fc//d/;e?", "/%41/b%2Fc//d/;e?"),
    TARGET("GET", "/a?b=c&b=c&d=%zz+;e&&=f?g", "/a?b=c&b=c&d=%zz+;e&&=f?g"),
    TARGET("GET", "/\xc3\xa9?\xff", "/\xc3\xa9?\xff"),
    TARGET("OPTIONS", "*", "*"),
    /* Absolute-form becomes origin-form. */
    TARGET("GET", "http://gw/a/b?c=d", "/a/b?c=d"),
    TARGET("GET", "HTTPS://gw", "/"),
    TARGET("GET", "http://gw?a", "/?a"),
    TARGET("GET", "http://gw/?", "/?"),
    TARGET("OPTIONS", "http://gw", "*"),
    TARGET("OPTIONS", "http://gw/", "/"),
    /* The caller's own token, in plain and encoded spelling, wherever it is a value. */
    TARGET("GET", "/a?api-key=" TOKEN, "/a?api-key="),
    TARGET("GET", "/a?" TOKEN, "/a?"),
    TARGET("GET", "/a?b=1&k=" TOKEN "&c=2", "/a?b=1&k=&c=2"),
    TARGET("GET", "/a?k=" TOKEN ";l=" TOKEN "&m", "/a?k=;l=&m"),
    TARGET("GET", "/a?k=" ENCODED, "/a?k="),
    TARGET("GET", "/a?%6b=" ENCODED "&" ENCODED, "/a?%6b=&"),
    TARGET("GET", "http://gw?k=" TOKEN, "/?k="),
    TARGET("OPTIONS", "http://gw/?k=" TOKEN, "/?k="),
    /* What is not exactly the token stays. */
    TARGET("GET", "/a?k=" TOKEN "x&l=x" TOKEN, "/a?k=" TOKEN "x&l=x" TOKEN),
    TARGET("GET", "/a?" TOKEN "=k", "/a?" TOKEN "=k"),
    TARGET("GET", "/a?k=psgate_", "/a?k=psgate_"),
    TARGET("GET", "/a?k=" ENCODED_START, "/a?k=" ENCODED_START),
    TARGET("GET", "/a?k=" ENCODED "%", "/a?k=" ENCODED "%"),
};

START_TEST(a_target_arrives_as_spelled_but_for_the_token)
{
    check_request(&targets[_i]);
}
END_TEST

/* What an HTTP/1.0 client cannot do, and what it need not (RFC 9110 7.6.3, 10.1.1). */
static const struct row old[] = {
    {"GET /a HTTP/1.0\r\nHost: gw\r\n" BEARER END,
     "GET /a HTTP/1.1\r\nHost: api.test\r\n" KEY "Via: 1.0 psgate\r\n" END},
    {"GET /a HTTP/1.0\r\nA: 1\r\n" BEARER END,
     "GET /a HTTP/1.1\r\nHost: api.test\r\nA: 1\r\n" KEY "Via: 1.0 psgate\r\n" END},
    {"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n" END,
     "GET /a HTTP/1.1\r\nHost: api.test\r\n" KEY "Via: 1.0 psgate\r\n" END},
    {"POST /a HTTP/1.0\r\n" BEARER "Expect: 100-continue\r\nContent-Length: 1\r\n" END,
     "POST /a HTTP/1.1\r\nHost: api.test\r\n" KEY
     "Content-Length: 1\r\nVia: 1.0 psgate\r\n" END},
    {"GET /a HTTP/1.9\r\nHost: gw\r\n" BEARER END,
     "GET /a HTTP/1.1\r\nHost: api.test\r\n" KEY VIA END},
};

START_TEST(a_request_of_http_1_0_goes_on_as_1_1)
{
    check_request(&old[_i]);
}
END_TEST

/* A handshake with these fields, and how they arrive. */
#define SOCKET(sent, arrived)                                                            \
    {                                                                                    \
        "GET /s HTTP/1.1\r\nHost: gw\r\n" BEARER sent END,                               \
            "GET /s HTTP/1.1\r\nHost: api.test\r\n" KEY arrived VIA END                  \
    }

static const struct row sockets[] = {
    SOCKET("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n",
           "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n"),
    SOCKET("upgrade:  WebSocket\r\nconnection: keep-alive, x-a\r\nX-A: 1\r\n"
           "CONNECTION: uPGRADE\r\n",
           "upgrade:  WebSocket\r\nConnection: Upgrade\r\n"),
    /* Any other is dropped. */
    SOCKET("Upgrade: websocket\r\n", ""),
    SOCKET("Connection: Upgrade\r\n", ""),
    SOCKET("Connection: Upgrade\r\nUpgrade: h2c\r\n", ""),
    SOCKET("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", ""),
    SOCKET("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", ""),
    SOCKET("Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\n"),
    SOCKET("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n",
           "Content-Length: 2\r\n"),
    {"POST /s HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" END,
     "POST /s HTTP/1.1\r\nHost: api.test\r\n" KEY VIA END},
    {"GET /s HTTP/1.0\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" END,
     "GET /s HTTP/1.1\r\nHost: api.test\r\n" KEY "Via: 1.0 psgate\r\n" END},
};

START_TEST(only_a_websocket_is_asked_for_on)
{
    check_request(&sockets[_i]);
}
END_TEST

/* The gateway's own conditions, in the place of the client's */

START_TEST(the_gateways_conditions_take_the_place_of_the_clients)
{
    const struct forward_options options = {.authority = "api.test",
                                            .drops_conditions = true,
                                            .conditions =
                                                SPAN("If-None-Match: \"o\"\r\n")};
    struct passage passage;

    read_request(&passage,
                 SPAN("GET /a HTTP/1.1\r\nHost: gw\r\nIf-None-Match: \"c\"\r\n" BEARER
                      "A: 1\r\nif-modified-since: d\r\nB: 2\r\n" END));
    ck_assert(forward_request_head(&passage.head, &passage.admission, &options,
                                   &passage.out, &passage.key_at));
    assert_passage_is(&passage, "GET /a HTTP/1.1\r\nHost: api.test\r\n" KEY
                                "A: 1\r\nB: 2\r\nIf-None-Match: \"o\"\r\n" VIA END);
    end_passage(&passage);
}
END_TEST

/* DESIGN: nothing that a client sends can colour what others get. */
START_TEST(a_fetch_of_the_gateways_own_has_nothing_of_the_client_but_the_target)
{
    const struct forward_options options = {
        .authority = "api.test", .conditions = SPAN("If-None-Match: \"o\"\r\n")};
    struct passage passage;

    read_request(&passage, SPAN("HEAD http://gw/a?b&k=" TOKEN
                                " HTTP/1.0\r\nHost: gw\r\nCookie: c\r\n" BEARER
                                "Accept: text/html\r\nAccept-Encoding: gzip\r\nX-A: "
                                "1\r\nVia: 1.0 x\r\n" END));
    ck_assert(
        forward_fetch_head(&passage.admission, &options, &passage.out, &passage.key_at));
    assert_passage_is(&passage,
                      "GET /a?b&k= HTTP/1.1\r\nHost: api.test\r\n"
                      "Accept: application/json\r\nAccept-Encoding: identity\r\n" KEY
                      "If-None-Match: \"o\"\r\n" VIA END);
    end_passage(&passage);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/forward");
    TCase *requests = suite_case(suite, "requests");
    TCase *own = suite_case(suite, "the gateway's own");

    tcase_add_loop_test(requests, only_the_fields_of_the_list_are_changed, 0,
                        ROWS(fields));
    tcase_add_loop_test(requests, a_target_arrives_as_spelled_but_for_the_token, 0,
                        ROWS(targets));
    tcase_add_loop_test(requests, a_request_of_http_1_0_goes_on_as_1_1, 0, ROWS(old));
    tcase_add_loop_test(requests, only_a_websocket_is_asked_for_on, 0, ROWS(sockets));
    tcase_add_test(own, the_gateways_conditions_take_the_place_of_the_clients);
    tcase_add_test(own,
                   a_fetch_of_the_gateways_own_has_nothing_of_the_client_but_the_target);
    return run_suite(suite);
}
