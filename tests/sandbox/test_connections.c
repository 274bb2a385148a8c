/*
 * The sandbox's connections: one request after another, in pieces and all at once, and
 * bytes that are no request.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <check.h>

#include "running.h"

#define FIELDS "Host: sandbox\r\nAuthorization: Bearer " KEY "\r\n"
#define GET_SECRETS "GET " TEAM "/secrets HTTP/1.1\r\n" FIELDS "\r\n"
#define POST_SECRET "POST " TEAM "/secrets HTTP/1.1\r\n" FIELDS
#define DELAY_MS 200

static void set_up(void)
{
    running_start((struct sandbox_options){0});
}

static void assert_closes_on(const char *bytes, size_t len)
{
    struct http_client other;

    http_client_open(&other, sandbox_port(running.sandbox));
    http_client_send(&other, bytes, len);
    ck_assert_msg(http_client_ends(&other), "%.*s", (int)len, bytes);
    http_client_close(&other);
}

/* Keep-alive. */

START_TEST(connection_serves_many_requests)
{
    for (int i = 0; i < 200; i++)
        ck_assert_uint_eq(ask("GET", TEAM "/secrets", NULL), 200);
}
END_TEST

START_TEST(connection_survives_errors_and_bodies)
{
    ck_assert_uint_eq(ask("GET", "/nowhere", NULL), 404);
    ck_assert_uint_eq(ask("POST", TEAM "/secrets", "no json"), 400);
    ck_assert_uint_eq(ask("GET", TEAM "/secrets", "{\"a body\":\"of a GET\"}"), 200);
    ck_assert_uint_eq(ask("DELETE", TEAM "/users/usandbox03", NULL), 204);
    ck_assert_uint_eq(ask("GET", TEAM "/secrets", NULL), 200);
}
END_TEST

START_TEST(connection_close_is_honoured)
{
    char *connection;

    http_client_send_text(&running.client, "GET " TEAM "/users HTTP/1.1\r\n" FIELDS
                                           "Connection: close\r\n\r\n");
    ck_assert_uint_eq(take(), 200);
    connection = http_answer_field(&running.answer, "Connection");
    ck_assert_str_eq(connection, "close");
    free(connection);
    ck_assert(http_client_ends(&running.client));
}
END_TEST

START_TEST(http_1_0_is_closed_unless_kept)
{
    http_client_send_text(&running.client, "GET " TEAM "/users HTTP/1.0\r\n" FIELDS
                                           "Connection: keep-alive\r\n\r\n");
    ck_assert_uint_eq(take(), 200);
    http_client_send_text(&running.client,
                          "GET " TEAM "/users HTTP/1.0\r\n" FIELDS "\r\n");
    ck_assert_uint_eq(take(), 200);
    ck_assert(http_client_ends(&running.client));
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    http_client_send_text(&running.client, POST_SECRET
                          "Content-Length: 24\r\n\r\n"
                          "{\"name\":\"P\",\"value\":\"v\"}"
                          "GET " TEAM "/secrets/P HTTP/1.1\r\n" FIELDS "\r\n"
                          "DELETE " TEAM "/secrets/P HTTP/1.1\r\n" FIELDS "\r\n"
                          "\r\n"
                          "GET " TEAM "/secrets/P HTTP/1.1\r\n" FIELDS "\r\n");
    ck_assert_uint_eq(take(), 201);
    ck_assert_uint_eq(take(), 200);
    ck_assert_uint_eq(take(), 204);
    ck_assert_uint_eq(take(), 404);
}
END_TEST

START_TEST(request_may_come_byte_by_byte)
{
    static const char request[] = POST_SECRET "Transfer-Encoding: chunked\r\n\r\n"
                                              "5;x=y\r\n{\"nam\r\n"
                                              "13\r\ne\":\"B\",\"value\":\"v\"}\r\n"
                                              "0\r\nX-Trailer: t\r\nX-Other: o\r\n\r\n" //
        GET_SECRETS;

    for (size_t i = 0; i < sizeof(request) - 1; i++)
        http_client_send(&running.client, request + i, 1);
    ck_assert_uint_eq(take(), 201);
    ck_assert_uint_eq(take(), 200);
    ck_assert_ptr_nonnull(strstr(running.answer.body.bytes, "\"B\""));
}
END_TEST

/* Sends the first part, waits until the server has it, and sends the rest. */
static void send_in_two(const char *bytes, size_t len, size_t first)
{
    struct http_client other;
    struct http_answer got = {0};

    http_client_send(&running.client, bytes, first);
    http_client_open(
        &other, sandbox_port(running.sandbox)); /* its answer comes after our bytes */
    ck_assert_uint_eq(http_client_ask(&other, "GET", TEAM "/users", KEY, NULL, &got),
                      200);
    http_client_close(&other);
    http_answer_fini(&got);
    http_client_send(&running.client, bytes + first, len - first);
}

START_TEST(request_may_be_split_anywhere)
{
    static const char request[] = "GET " TEAM "/secrets/DATABASE_URL?a=b HTTP/1.1\r\n" //
        FIELDS "\r\n";

    for (size_t i = 1; i < sizeof(request) - 1; i++) {
        send_in_two(request, sizeof(request) - 1, i);
        ck_assert_uint_eq(take(), 200);
    }
}
END_TEST

START_TEST(chunked_body_may_be_split_anywhere)
{
    static const char request[] =
        "PATCH " TEAM "/secrets/DATABASE_URL HTTP/1.1\r\n" FIELDS
        "Transfer-Encoding: chunked\r\n\r\n"
        "A;e\r\n{\"value\":\"\r\n3\r\nv\"}\r\n0\r\nX: y\r\n\r\n";
    size_t head = (size_t)(strstr(request, "\r\n\r\n") - request);

    for (size_t i = head; i < sizeof(request) - 1; i++) {
        send_in_two(request, sizeof(request) - 1, i);
        ck_assert_uint_eq(take(), 200);
    }
}
END_TEST

START_TEST(large_chunked_body_is_read_whole)
{
    struct text request = {0};

    text_add(&request, SPAN(POST_SECRET "Transfer-Encoding: chunked\r\n\r\n"
                                        "16\r\n{\"name\":\"L\",\"value\":\"x\r\n"));
    for (int i = 0; i < 100; i++) {
        text_add_format(&request, "%x\r\n%08191d\r\n", 8191, 0);
    }
    text_add(&request, SPAN("2\r\n\"}\r\n0\r\n\r\n"));
    http_client_send(&running.client, request.bytes, request.len);
    text_fini(&request);
    ck_assert_uint_eq(take(), 201);
}
END_TEST

START_TEST(expect_100_continue_is_answered)
{
    http_client_send_text(&running.client, POST_SECRET "Expect: 100-continue\r\n"
                                                       "Content-Length: 24\r\n\r\n");
    http_client_take_head(&running.client, &running.answer);
    ck_assert_uint_eq(running.answer.status, 100);
    http_client_send_text(&running.client, "{\"name\":\"E\",\"value\":\"v\"}");
    ck_assert_uint_eq(take(), 201);
    ck_assert_uint_eq(ask("GET", TEAM "/secrets/E", NULL), 200);
}
END_TEST

START_TEST(half_closed_client_is_answered)
{
    http_client_send_text(&running.client, GET_SECRETS GET_SECRETS);
    ck_assert_int_eq(shutdown(running.client.fd, SHUT_WR), 0);
    ck_assert_uint_eq(take(), 200);
    ck_assert_uint_eq(take(), 200);
    ck_assert(http_client_ends(&running.client));
}
END_TEST

START_TEST(form_body_is_not_taken_for_a_query)
{
    http_client_send_text(&running.client, POST_SECRET
                          "Content-Type: application/x-www-form-urlencoded\r\n"
                          "Content-Length: 7\r\n\r\n%=&;=%z");
    ck_assert_uint_eq(take(), 400);
    ck_assert_uint_eq(ask("GET", TEAM "/users?%=&;=%z&&&?", NULL), 200);
}
END_TEST

/* Misuse. */

static const char *const closed_on[] = {
    "\x16\x03\x01\x02garbage\r\n\r\n",
    "GET / HTTP/1.1\n\n",
    "GET / HTTP/1.9\r\nHost: s\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "get / HTTP/1.1\r\nHost: s\r\n\r\n",
    "CONNECT sandbox:80 HTTP/1.1\r\nHost: s\r\n\r\n",
    "CONNECT / HTTP/1.1\r\nHost: s\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: s\r\n\r\n",
    POST_SECRET "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST_SECRET "Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
    POST_SECRET "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    POST_SECRET "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    POST_SECRET "Transfer-Encoding: chunked\r\n\r\nx\r\n",
    POST_SECRET "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n",
    POST_SECRET "Transfer-Encoding: chunked\r\n\r\n\x80\r\n\r\n",
};

START_TEST(misleading_request_is_closed_on)
{
    assert_closes_on(closed_on[_i], strlen(closed_on[_i]));
    assert_still_serves();
}
END_TEST

START_TEST(long_lines_and_heads_are_closed_on)
{
    struct text request = {0};

    text_add_format(&request, "GET /%09000d HTTP/1.1\r\n" FIELDS "\r\n", 0);
    assert_closes_on(request.bytes, request.len);
    text_clear(&request);
    text_add_format(&request, "GET / HTTP/1.1\r\n" FIELDS "X: %09000d\r\n\r\n", 0);
    assert_closes_on(request.bytes, request.len);
    text_clear(&request);
    text_add_format(&request, "GET / HTTP/1.1\r\n" FIELDS "X: %033000d", 0);
    assert_closes_on(request.bytes, request.len);
    text_fini(&request);
    assert_still_serves();
}
END_TEST

START_TEST(long_path_is_404)
{
    struct text path = {0};

    text_add_format(&path, TEAM "/secrets/%08000d", 0);
    ck_assert_uint_eq(ask("GET", path.bytes, NULL), 404);
    text_fini(&path);
}
END_TEST

START_TEST(body_without_end_is_closed_on)
{
    static char chunk[1024 * 1024 + 16];
    struct http_client other;
    int sent;

    memset(chunk, 'x', sizeof(chunk));
    memcpy(chunk, "100000\r\n", 8);
    memcpy(chunk + 8 + 0x100000, "\r\n", 2);
    http_client_open(&other, sandbox_port(running.sandbox));
    http_client_send_text(&other, POST_SECRET "Transfer-Encoding: chunked\r\n\r\n");
    for (sent = 0; sent < 200; sent++) {
        if (send(other.fd, chunk, 8 + 0x100000 + 2, MSG_NOSIGNAL) < 0)
            break;
    }
    ck_assert_int_lt(sent, 200);
    http_client_close(&other);
    assert_still_serves();
}
END_TEST

/* Requests, cut and changed at random: whatever is said to them, nothing breaks. */
START_TEST(random_changes_of_requests_break_nothing)
{
    static const char *const seeds[] = {
        GET_SECRETS GET_SECRETS,
        POST_SECRET
        "Content-Length: 24\r\n\r\n{\"name\":\"F\",\"value\":\"v\"}" GET_SECRETS,
        POST_SECRET
        "Transfer-Encoding: chunked\r\n\r\n"
        "18\r\n{\"name\":\"G\",\"value\":\"v\"}\r\n0\r\nX: y\r\n\r\n" GET_SECRETS,
        "PUT " TEAM "/users/usandbox02 HTTP/1.1\r\n" FIELDS
        "Expect: 100-continue\r\nContent-Length: 16\r\n\r\n{\"isAdmin\":true}",
    };
    unsigned seed = 20240510;
    char bytes[1024];

    for (int i = 0; i < 400; i++) {
        const char *text = seeds[i % 4];
        size_t len = strlen(text);
        struct http_client other;

        memcpy(bytes, text, len); /* NOLINT(bugprone-not-null-terminated-result): bytes */
        for (int change = rand_r(&seed) % 4; change > 0; change--)
            bytes[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
        if (rand_r(&seed) % 4 == 0)
            len = (size_t)rand_r(&seed) % len;
        http_client_open(&other, sandbox_port(running.sandbox));
        http_client_send(&other, bytes, len);
        if (rand_r(&seed) % 2 == 0) {
            (void)shutdown(other.fd, SHUT_WR);
            while (!http_client_ends(&other))
                text_clear(&other.in);
        }
        if (rand_r(&seed) % 2 == 0)
            http_client_close(&other);
        else
            http_client_reset(&other);
    }
    assert_still_serves();
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static TCase *case_with(const char *name, SFun fixture)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, fixture, running_stop);
    return tcase;
}

static TCase *requests_case(void)
{
    TCase *tcase = case_with("requests", set_up);

    tcase_add_test(tcase, connection_serves_many_requests);
    tcase_add_test(tcase, connection_survives_errors_and_bodies);
    tcase_add_test(tcase, connection_close_is_honoured);
    tcase_add_test(tcase, http_1_0_is_closed_unless_kept);
    tcase_add_test(tcase, pipelined_requests_are_answered_in_order);
    tcase_add_test(tcase, request_may_come_byte_by_byte);
    tcase_add_test(tcase, request_may_be_split_anywhere);
    tcase_add_test(tcase, chunked_body_may_be_split_anywhere);
    tcase_add_test(tcase, large_chunked_body_is_read_whole);
    tcase_add_test(tcase, expect_100_continue_is_answered);
    tcase_add_test(tcase, half_closed_client_is_answered);
    tcase_add_test(tcase, form_body_is_not_taken_for_a_query);
    return tcase;
}

static TCase *misuse_case(void)
{
    TCase *tcase = case_with("misuse", set_up);

    tcase_add_loop_test(tcase, misleading_request_is_closed_on, 0, COUNT(closed_on));
    tcase_add_test(tcase, long_lines_and_heads_are_closed_on);
    tcase_add_test(tcase, long_path_is_404);
    tcase_add_test(tcase, body_without_end_is_closed_on);
    tcase_add_test(tcase, random_changes_of_requests_break_nothing);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("sandbox connections");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, requests_case());
    suite_add_tcase(suite, misuse_case());
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
