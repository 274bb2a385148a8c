/* Which requests may reach libevhtp, by which door, and what is read of them. */
#include "admin/guard.h"

#include "base/text.h"
#include "support/suite.h"

enum { MOST_FIELDS = 64, MOST_BYTES = 65536 };

static struct http_head head;
static struct admin_request request;
static struct admin_refusal refusal;
static char *bytes;

static void make(void)
{
    ck_assert(http_head_init(&head, MOST_FIELDS));
}

static void end(void)
{
    free(bytes);
    bytes = NULL;
    http_head_fini(&head);
}

/* Reads the head and judges it: 0, or the status of the refusal. */
static unsigned judge_bytes(struct span whole, enum admin_door door)
{
    free(bytes);
    bytes = exact_copy(whole);
    http_head_reset(&head, HTTP_REQUEST);
    ck_assert_msg(http_head_parse(&head, bytes, whole.len, MOST_BYTES) == HTTP_PARSE_DONE,
                  "not a head: %s", shown(whole));
    refusal = (struct admin_refusal){0};
    if (admin_guard(&head, door, &request, &refusal))
        return 0;
    ck_assert_uint_ge(refusal.status, 400);
    ck_assert_ptr_nonnull(refusal.message);
    return refusal.status;
}

/* The same of a start line and a line of fields, each with its CR LF. */
static unsigned judge(const char *start, const char *fields, enum admin_door door)
{
    struct text whole = {0};
    unsigned status;

    text_add_format(&whole, "%s HTTP/1.1\r\n%s\r\n", start, fields);
    status = judge_bytes(span_make(whole.bytes, whole.len), door);
    text_fini(&whole);
    return status;
}

#define LOCAL "Host: localhost\r\n"

/* Methods */

static const struct {
    const char *start;
    unsigned status;
    bool is_head, is_post;
} methods[] = {
    {"GET /a", 0, false, false},        {"HEAD /a", 0, true, false},
    {"POST /a", 0, false, true},        {"PUT /a", 405, false, false},
    {"DELETE /a", 405, false, false},   {"OPTIONS /a", 405, false, false},
    {"OPTIONS *", 405, false, false},   {"TRACE /a", 405, false, false},
    {"CONNECT a:1", 405, false, false}, {"get /a", 405, false, false},
    {"GETS /a", 405, false, false},     {"GE /a", 405, false, false},
    {"HEA /a", 405, false, false},      {"PATCH /a", 405, false, false},
};

START_TEST(three_methods_are_known)
{
    ck_assert_uint_eq(judge(methods[_i].start, LOCAL, ADMIN_LOOPBACK),
                      methods[_i].status);
    if (methods[_i].status != 0)
        return;
    ck_assert(request.is_head == methods[_i].is_head);
    ck_assert(request.is_post == methods[_i].is_post);
    assert_span_is(request.path, SPAN("/a"), "path");
    ck_assert_ptr_eq(request.head, &head);
}
END_TEST

/* Hosts */

static const struct {
    const char *host;
    bool is_loopback, is_fine_on_unix;
} hosts[] = {
    {"localhost", true, true},
    {"LocalHost:80", true, true},
    {"127.0.0.1", true, true},
    {"127.0.0.1:9090", true, true},
    {"127.255.255.254:1", true, true},
    {"[::1]", true, true},
    {"[::1]:9090", true, true},
    {"[0:0:0:0:0:0:0:1]", true, true},
    {"psgate", false, true},
    {"psgate:80", false, true},
    {"2130706433", false, true}, /* which nothing takes for an address in a Host */
    {"evil.test", false, false},
    {"evil.test:9090", false, false},
    {"localhost.evil.test", false, false},
    {"127.0.0.1.evil.test", false, false},
    {"localhost.", false, false},
    {"10.0.0.1", false, false},
    {"0.0.0.0", false, false},
    {"128.0.0.1", false, false},
    {"[::]", false, false},
    {"[::2]", false, false},
    {"[::ffff:127.0.0.1]", false, false},
    {"127.1", false, false},
};

START_TEST(a_host_must_be_no_strangers_name)
{
    char field[128];

    snprintf(field, sizeof(field), "Host: %s\r\n", hosts[_i].host);
    ck_assert_uint_eq(judge("GET /", field, ADMIN_LOOPBACK),
                      hosts[_i].is_loopback ? 0 : 421);
    ck_assert_uint_eq(judge("GET /", field, ADMIN_UNIX),
                      hosts[_i].is_fine_on_unix ? 0 : 421);
    ck_assert_uint_eq(judge("GET /", field, ADMIN_METRICS), 0);
}
END_TEST

START_TEST(a_host_longer_than_any_address_is_a_strangers)
{
    char field[2048];

    snprintf(
        field, sizeof(field), "Host: %.*s\r\n", 255,
        "1111111111111111111111111111111111111111111111111111111111111111111111111111"
        "1111111111111111111111111111111111111111111111111111111111111111111111111111"
        "1111111111111111111111111111111111111111111111111111111111111111111111111111"
        "1111111111111111111111111111");
    ck_assert_uint_eq(judge("GET /", field, ADMIN_LOOPBACK), 421);
}
END_TEST

static const struct {
    const char *start, *fields;
    unsigned status;
} unsound[] = {
    {"GET /", "", 400},
    {"GET /", "Host:\r\n", 400},
    {"GET /", LOCAL LOCAL, 400},
    {"GET /", LOCAL "Host: evil.test\r\n", 400},
    {"GET /", "Host: a@localhost\r\n", 400},
    {"GET /", "Host: localhost:x\r\n", 400},
    {"GET /", "Host: localhost:65536\r\n", 400},
    {"GET http://localhost/", LOCAL, 400},
    {"GET http://evil.test/", "Host: evil.test\r\n", 400},
    {"GET localhost", LOCAL, 400},
    {"GET *", LOCAL, 400},
    {"GET /#a", LOCAL, 400},
    {"GET /?a=%00", LOCAL, 400},
    {"GET /?a=b%00c", LOCAL, 400},
    {"GET /?%%00", LOCAL, 400},
    {"GET /?%00=a", LOCAL, 400},
};

START_TEST(what_is_not_sound_is_refused_at_every_door)
{
    for (int door = ADMIN_UNIX; door <= ADMIN_METRICS; door++)
        ck_assert_uint_eq(
            judge(unsound[_i].start, unsound[_i].fields, (enum admin_door)door),
            unsound[_i].status);
}
END_TEST

START_TEST(without_a_host_only_old_programs_at_the_socket_and_for_metrics_may_ask)
{
    struct span old = SPAN("GET / HTTP/1.0\r\n\r\n");

    ck_assert_uint_eq(judge_bytes(old, ADMIN_LOOPBACK), 421);
    ck_assert_uint_eq(judge_bytes(old, ADMIN_UNIX), 0);
    ck_assert_uint_eq(judge_bytes(old, ADMIN_METRICS), 0);
}
END_TEST

START_TEST(path_and_query_are_told_apart)
{
    ck_assert_uint_eq(judge("GET /a?b=%2500&c", LOCAL, ADMIN_LOOPBACK), 0);
    assert_span_is(request.path, SPAN("/a"), "path");
    assert_span_is(request.query, SPAN("b=%2500&c"), "query");
    ck_assert_uint_eq(judge("GET /a?", LOCAL, ADMIN_LOOPBACK), 0);
    ck_assert_ptr_nonnull(request.query.at);
    ck_assert_uint_eq(request.query.len, 0);
    ck_assert_uint_eq(judge("GET /a", LOCAL, ADMIN_LOOPBACK), 0);
    ck_assert_ptr_null(request.query.at);
}
END_TEST

/* Origins */

static const struct {
    const char *fields;
    unsigned status;
} origins[] = {
    {"Origin: http://localhost\r\n", 0},
    {"Origin: http://LOCALHOST\r\n", 0},
    {"Sec-Fetch-Site: same-origin\r\n", 0},
    {"Sec-Fetch-Site: none\r\n", 0},
    {"Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost\r\n", 0},
    {"Origin: https://localhost\r\n", 403},
    {"Origin: http://localhost:80\r\n", 403},
    {"Origin: http://localhost/\r\n", 403},
    {"Origin: http://localhos\r\n", 403},
    {"Origin: http://\r\n", 403},
    {"Origin: http:\r\n", 403},
    {"Origin:\r\n", 403},
    {"Origin: null\r\n", 403},
    {"Origin: http://evil.test\r\n", 403},
    {"Origin: http://localhost\r\nOrigin: http://localhost\r\n", 403},
    {"Origin: http://localhost\r\nSec-Fetch-Site: cross-site\r\n", 403},
    {"Sec-Fetch-Site: cross-site\r\n", 403},
    {"Sec-Fetch-Site: same-site\r\n", 403},
    {"Sec-Fetch-Site:\r\n", 403},
    {"Sec-Fetch-Site: none\r\nSec-Fetch-Site: none\r\n", 403},
    {"sec-fetch-site: none\r\nSEC-FETCH-SITE: cross-site\r\n", 403},
};

START_TEST(pages_of_other_origins_are_refused_at_every_door)
{
    char fields[256];

    snprintf(fields, sizeof(fields), LOCAL "%s", origins[_i].fields);
    for (int door = ADMIN_UNIX; door <= ADMIN_METRICS; door++)
        ck_assert_uint_eq(judge("POST /", fields, (enum admin_door)door),
                          origins[_i].status);
}
END_TEST

START_TEST(an_origin_without_a_host_is_a_strangers)
{
    ck_assert_uint_eq(
        judge_bytes(SPAN("GET / HTTP/1.0\r\nOrigin: http://localhost\r\n\r\n"),
                    ADMIN_UNIX),
        403);
}
END_TEST

/* Bodies */

static const struct {
    const char *fields;
    unsigned status;
} bodies[] = {
    {"Content-Length: 0\r\n", 0},
    {"Content-Length: 1\r\n", 413},
    {"Content-Length: 1000000000000\r\n", 413},
    {"Transfer-Encoding: chunked\r\n", 413},
    {"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400},
    {"Content-Length: 0\r\nContent-Length: 0\r\n", 400},
    {"Content-Length: x\r\n", 400},
    {"Transfer-Encoding: gzip\r\n", 400},
    {"Transfer-Encoding: xchunked\r\n", 400},
    {"Expect: 100-continue\r\n", 400},
    {"Expect: x\r\n", 400},
    {"Upgrade: websocket\r\nConnection: upgrade\r\n", 400},
};

START_TEST(only_no_body_is_taken)
{
    char fields[256];

    snprintf(fields, sizeof(fields), LOCAL "%s", bodies[_i].fields);
    ck_assert_uint_eq(judge("GET /", fields, ADMIN_UNIX), bodies[_i].status);
    ck_assert_uint_eq(judge("POST /", fields, ADMIN_LOOPBACK), bodies[_i].status);
}
END_TEST

/* Sizes */

static unsigned judge_sizes(size_t target, size_t name, size_t value)
{
    struct text whole = {0};
    unsigned status;

    text_add(&whole, SPAN("GET /"));
    for (size_t i = 1; i < target; i++)
        text_add_byte(&whole, 'x');
    text_add(&whole, SPAN(" HTTP/1.1\r\n" LOCAL));
    for (size_t i = 0; i < name; i++)
        text_add_byte(&whole, 'x');
    text_add(&whole, SPAN(": "));
    for (size_t i = 0; i < value; i++)
        text_add_byte(&whole, 'x');
    text_add(&whole, SPAN("\r\n\r\n"));
    status = judge_bytes(span_make(whole.bytes, whole.len), ADMIN_UNIX);
    text_fini(&whole);
    return status;
}

/* libevhtp has 8,190 bytes for a target, a name or a value. */
START_TEST(nothing_is_longer_than_libevhtp_has_room_for)
{
    ck_assert_uint_eq(judge_sizes(4096, 1, 1), 0);
    ck_assert_uint_eq(judge_sizes(4097, 1, 1), 414);
    ck_assert_uint_eq(judge_sizes(20000, 1, 1), 414);
    ck_assert_uint_eq(judge_sizes(1, 7995, 1), 0);
    ck_assert_uint_eq(judge_sizes(1, 8000, 1), 431);
    ck_assert_uint_eq(judge_sizes(1, 1, 7995), 0);
    ck_assert_uint_eq(judge_sizes(1, 1, 8000), 431);
    ck_assert_uint_eq(judge_sizes(1, 1, 50000), 431);
}
END_TEST

/* Tokens */

static const struct {
    const char *fields;
    unsigned status;
    const char *bearer; /* NULL: none */
} tokens[] = {
    {"", 0, NULL},
    {"Authorization: Bearer abc\r\n", 0, "abc"},
    {"authorization: bearer abc\r\n", 0, "abc"},
    {"Authorization: BEARER abc\r\n", 0, "abc"},
    {"Authorization: Bearer    abc \t\r\n", 0, "abc"},
    {"Authorization: Bearer a b\r\n", 0, "a b"},
    {"Authorization: Bearer\r\n", 0, NULL},
    {"Authorization: Bearerabc\r\n", 0, NULL},
    {"Authorization: Bearer\tabc\r\n", 0, NULL},
    {"Authorization: Basic abc\r\n", 0, NULL},
    {"Authorization: abc\r\n", 0, NULL},
    {"Authorization:\r\n", 0, NULL},
    {"X-Api-Key: abc\r\n", 0, NULL},
    {"Authorization: Bearer abc\r\nAuthorization: Bearer abc\r\n", 400, NULL},
    {"Authorization: x\r\nauthorization: Bearer abc\r\n", 400, NULL},
};

START_TEST(a_bearer_token_is_read_from_one_field)
{
    char fields[256];

    snprintf(fields, sizeof(fields), LOCAL "%s", tokens[_i].fields);
    ck_assert_uint_eq(judge("GET /", fields, ADMIN_LOOPBACK), tokens[_i].status);
    if (tokens[_i].status != 0)
        return;
    if (tokens[_i].bearer == NULL)
        ck_assert_ptr_null(request.bearer.at);
    else
        assert_span_is(request.bearer, span_of(tokens[_i].bearer), "the token");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admin/guard");
    TCase *tcase = suite_case(suite, "guard");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_loop_test(tcase, three_methods_are_known, 0, ROWS(methods));
    tcase_add_loop_test(tcase, a_host_must_be_no_strangers_name, 0, ROWS(hosts));
    tcase_add_test(tcase, a_host_longer_than_any_address_is_a_strangers);
    tcase_add_loop_test(tcase, what_is_not_sound_is_refused_at_every_door, 0,
                        ROWS(unsound));
    tcase_add_test(
        tcase, without_a_host_only_old_programs_at_the_socket_and_for_metrics_may_ask);
    tcase_add_test(tcase, path_and_query_are_told_apart);
    tcase_add_loop_test(tcase, pages_of_other_origins_are_refused_at_every_door, 0,
                        ROWS(origins));
    tcase_add_test(tcase, an_origin_without_a_host_is_a_strangers);
    tcase_add_loop_test(tcase, only_no_body_is_taken, 0, ROWS(bodies));
    tcase_add_test(tcase, nothing_is_longer_than_libevhtp_has_room_for);
    tcase_add_loop_test(tcase, a_bearer_token_is_read_from_one_field, 0, ROWS(tokens));
    return run_suite(suite);
}
