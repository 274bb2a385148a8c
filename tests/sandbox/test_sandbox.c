/* The sandbox over real sockets: the nine operations of the contract, and every error. */
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <jansson.h>

#include "running.h"

static void set_up(void)
{
    const struct span keys[] = {SPAN("other-key"), SPAN(KEY)};

    running_start((struct sandbox_options){.api_keys = keys, .api_key_count = 2});
}

static void set_up_for_any_key(void)
{
    running_start((struct sandbox_options){0});
}

static void set_up_failing(void)
{
    running_start((struct sandbox_options){.fail_rate = 1.0});
}

static void set_up_failing_half(void)
{
    running_start((struct sandbox_options){.fail_rate = 0.5});
}

static unsigned ask_with(const char *key, const char *path)
{
    return http_client_ask(&running.client, "GET", path, key, NULL, &running.answer);
}

static void assert_field(const char *name, const char *wanted)
{
    char *value = http_answer_field(&running.answer, name);

    ck_assert_msg(value != NULL, "%s", name);
    ck_assert_str_eq(value, wanted);
    free(value);
}

static void assert_no_field(const char *name)
{
    ck_assert_ptr_null(http_answer_field(&running.answer, name));
}

/* The body, as JSON, to be given back. */
static json_t *body_object(void)
{
    json_t *value =
        json_loadb(running.answer.body.bytes, running.answer.body.len, 0, NULL);

    ck_assert_ptr_nonnull(value);
    return value;
}

#define MEMBER(id, email, is_admin)                                                      \
    "{\"userId\":\"" id "\",\"email\":\"" email "@example.com\",\"isAdmin\":" is_admin   \
    ",\"teamId\":\"tsandbox01\"}"
#define FIRST MEMBER("usandbox01", "mira.okonjo", "true")
#define SECOND(is_admin) MEMBER("usandbox02", "tomas.lindqvist", is_admin)
#define THIRD MEMBER("usandbox03", "yuki.arden", "false")

/* The operations. */

START_TEST(session_is_the_user_and_the_team)
{
    ck_assert_uint_eq(ask("GET", "/v1/auth/session", NULL), 200);
    assert_body("{\"user\":{\"id\":\"usandbox01\",\"email\":\"mira.okonjo@example.com\","
                "\"firstName\":\"Mira\",\"lastName\":\"Okonjo\","
                "\"defaultProduct\":\"gradient\",\"theme\":\"light\"},"
                "\"team\":{\"id\":\"tsandbox01\",\"name\":\"Sandbox Team\","
                "\"namespace\":\"sandbox\"}}");
}
END_TEST

START_TEST(session_without_the_right_key_is_null)
{
    ck_assert_uint_eq(ask_with(NULL, "/v1/auth/session"), 200);
    assert_body("null");
    ck_assert_uint_eq(ask_with("wrong", "/v1/auth/session"), 200);
    assert_body("null");
}
END_TEST

START_TEST(members_are_a_plain_array)
{
    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    assert_body("[" FIRST "," SECOND("false") "," THIRD "]");
    ck_assert_uint_eq(ask("GET", "/v1/teams/tsandbox01/users?after=&limit=1", NULL), 200);
    assert_body("[" FIRST "," SECOND("false") "," THIRD "]");
}
END_TEST

START_TEST(member_is_made_an_admin_and_back)
{
    ck_assert_uint_eq(ask("PUT", TEAM "/users/usandbox02", "{\"isAdmin\":true}"), 200);
    assert_body(SECOND("true"));
    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    assert_body("[" FIRST "," SECOND("true") "," THIRD "]");
    ck_assert_uint_eq(ask("PUT", TEAM "/users/usandbox02", "{\"isAdmin\":false}"), 200);
    assert_body(SECOND("false"));
}
END_TEST

START_TEST(removed_member_is_gone)
{
    ck_assert_uint_eq(ask("DELETE", TEAM "/users/usandbox02", NULL), 204);
    assert_no_field("Content-Length");
    assert_no_field("Transfer-Encoding");
    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    assert_body("[" FIRST "," THIRD "]");
    ck_assert_uint_eq(ask("DELETE", TEAM "/users/usandbox02", NULL), 404);
}
END_TEST

START_TEST(last_admin_is_kept)
{
    ck_assert_uint_eq(ask("DELETE", TEAM "/users/usandbox01", NULL), 409);
    assert_says("{\"code\":\"CONFLICT\",\"message\":\"");
    ck_assert_uint_eq(ask("PUT", TEAM "/users/usandbox01", "{\"isAdmin\":false}"), 409);
    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    assert_says(FIRST);
}
END_TEST

START_TEST(seeded_secrets_are_listed_without_values)
{
    ck_assert_uint_eq(ask("GET", TEAM "/secrets", NULL), 200);
    assert_body("[{\"name\":\"DATABASE_URL\",\"dtCreated\":\"2024-01-10T09:00:00.000Z\"},"
                "{\"name\":\"WANDB_API_KEY\",\"dtCreated\":\"2024-03-01T10:30:00.000Z\","
                "\"dtModified\":\"2024-06-01T10:30:00.000Z\"}]");
}
END_TEST

START_TEST(created_secret_is_201_and_can_be_read_but_its_value_cannot)
{
    ck_assert_uint_eq(
        ask("POST", TEAM "/secrets", "{\"name\":\"NEW\",\"value\":\"hush-hush\"}"), 201);
    assert_says("{\"name\":\"NEW\",\"dtCreated\":\"20");
    ck_assert_ptr_null(strstr(running.answer.body.bytes, "hush"));
    ck_assert_ptr_null(strstr(running.answer.body.bytes, "dtModified"));
    ck_assert_uint_eq(ask("GET", TEAM "/secrets/NEW", NULL), 200);
    ck_assert_ptr_null(strstr(running.answer.body.bytes, "hush"));
    ck_assert_uint_eq(ask("GET", TEAM "/secrets", NULL), 200);
    assert_says("\"NEW\"");
    ck_assert_ptr_null(strstr(running.answer.body.bytes, "hush"));
}
END_TEST

START_TEST(existing_secret_is_not_created_again)
{
    ck_assert_uint_eq(
        ask("POST", TEAM "/secrets", "{\"name\":\"DATABASE_URL\",\"value\":\"v\"}"), 409);
    assert_says("{\"code\":\"CONFLICT\",\"message\":\"");
}
END_TEST

START_TEST(updated_secret_has_dt_modified)
{
    json_t *secret;

    ck_assert_uint_eq(ask("PATCH", TEAM "/secrets/DATABASE_URL", "{\"value\":\"v2\"}"),
                      200);
    secret = body_object();
    ck_assert_str_eq(json_string_value(json_object_get(secret, "dtCreated")),
                     "2024-01-10T09:00:00.000Z");
    ck_assert_ptr_nonnull(json_object_get(secret, "dtModified"));
    ck_assert_uint_eq(json_object_size(secret), 3);
    json_decref(secret);
}
END_TEST

START_TEST(deleted_secret_is_gone)
{
    ck_assert_uint_eq(ask("DELETE", TEAM "/secrets/DATABASE_URL", NULL), 204);
    ck_assert_uint_eq(ask("GET", TEAM "/secrets/DATABASE_URL", NULL), 404);
    ck_assert_uint_eq(ask("DELETE", TEAM "/secrets/DATABASE_URL", NULL), 404);
}
END_TEST

START_TEST(names_are_decoded_in_paths_and_escaped_in_bodies)
{
    ck_assert_uint_eq(
        ask("POST", TEAM "/secrets", "{\"name\":\"a/b \\u00e9\\\"\",\"value\":\"v\"}"),
        201);
    ck_assert_uint_eq(ask("GET", TEAM "/secrets/a%2Fb%20%C3%A9%22", NULL), 200);
    assert_says("{\"name\":\"a/b \xc3\xa9\\\"\",");
    ck_assert_uint_eq(ask("GET", TEAM "/secrets/a/b%20%C3%A9%22", NULL), 404);
}
END_TEST

START_TEST(head_is_get_without_a_body)
{
    char *length, *etag;

    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    length = http_answer_field(&running.answer, "Content-Length");
    etag = http_answer_field(&running.answer, "ETag");
    ck_assert_uint_eq(ask("HEAD", TEAM "/users", NULL), 200);
    assert_field("Content-Length", length);
    assert_field("ETag", etag);
    free(length);
    free(etag);
    ck_assert_uint_eq(ask("HEAD", TEAM "/secrets/NONE", NULL), 404);
    ck_assert_uint_eq(ask("GET", "/v1/auth/session", NULL), 200); /* still in step */
}
END_TEST

START_TEST(answer_carries_type_length_date_and_etag)
{
    char *date;

    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    assert_field("Content-Type", "application/json; charset=utf-8");
    date = http_answer_field(&running.answer, "Date");
    ck_assert_ptr_nonnull(date);
    ck_assert_uint_eq(strlen(date), strlen("Sun, 06 Nov 1994 08:49:37 GMT"));
    free(date);
    ck_assert_uint_eq(ask("POST", TEAM "/secrets", "{\"name\":\"N\",\"value\":\"v\"}"),
                      201);
    assert_no_field("ETag");
}
END_TEST

START_TEST(known_etag_is_answered_304_without_a_body)
{
    struct text request = {0};
    char *etag;

    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    etag = http_answer_field(&running.answer, "ETag");
    text_add_format(&request,
                    "GET " TEAM "/users HTTP/1.1\r\nHost: s\r\nX-Api-Key: " KEY
                    "\r\nIf-None-Match: %s\r\n\r\n",
                    etag);
    http_client_send(&running.client, request.bytes, request.len);
    http_client_take(&running.client, &running.answer);
    ck_assert_uint_eq(running.answer.status, 304);
    assert_field("ETag", etag);
    free(etag);
    text_fini(&request);
    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200); /* still in step */
}
END_TEST

START_TEST(key_may_come_as_x_api_key)
{
    http_client_send_text(&running.client, "GET " TEAM "/users HTTP/1.1\r\nHost: s\r\n"
                                           "x-api-key: " KEY "\r\n\r\n");
    http_client_take(&running.client, &running.answer);
    ck_assert_uint_eq(running.answer.status, 200);
}
END_TEST

START_TEST(every_accepted_key_is_right)
{
    ck_assert_uint_eq(ask_with("other-key", TEAM "/users"), 200);
}
END_TEST

START_TEST(any_key_is_right_when_none_was_given)
{
    ck_assert_uint_eq(ask_with("whatever", TEAM "/users"), 200);
    ck_assert_uint_eq(ask_with("", TEAM "/users"), 401);
    ck_assert_uint_eq(ask_with(NULL, TEAM "/users"), 401);
}
END_TEST

/* The errors. */

START_TEST(wrong_key_is_401)
{
    static const char *const keys[] = {NULL, "", "wrong", "right-ke", "right-key2"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        ck_assert_uint_eq(ask_with(keys[i], TEAM "/secrets"), 401);
        assert_says("{\"code\":\"UNAUTHORIZED\",\"message\":\"");
        assert_field("WWW-Authenticate", "Bearer realm=\"sandbox\"");
        assert_field("Content-Type", "application/json; charset=utf-8");
    }
}
END_TEST

START_TEST(what_is_not_there_is_404)
{
    static const char *const paths[] = {
        "/", "/v1/other", "/v1/teams/other/users", TEAM "/secrets/NONE", TEAM "/projects",
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        ck_assert_msg(ask("GET", paths[i], NULL) == 404, "%s", paths[i]);
        assert_says("{\"code\":\"NOT_FOUND\",\"message\":\"");
    }
    ck_assert_uint_eq(ask("PUT", TEAM "/users/nobody", "{\"isAdmin\":true}"), 404);
}
END_TEST

START_TEST(other_method_is_405_and_told_what_is_taken)
{
    ck_assert_uint_eq(ask("PUT", TEAM "/secrets", "{}"), 405);
    assert_says("{\"code\":\"METHOD_NOT_SUPPORTED\",\"message\":\"");
    assert_field("Allow", "GET, HEAD, POST");
    ck_assert_uint_eq(ask("BREW", TEAM "/users", NULL), 405);
    ck_assert_uint_eq(ask("OPTIONS", TEAM "/users", NULL), 405);
}
END_TEST

START_TEST(body_that_is_not_json_is_400_parse_error)
{
    ck_assert_uint_eq(ask("POST", TEAM "/secrets", "{\"name\":"), 400);
    assert_says("{\"code\":\"PARSE_ERROR\",\"message\":\"");
    ck_assert_uint_eq(ask("POST", TEAM "/secrets", NULL), 400);
    assert_says("PARSE_ERROR");
}
END_TEST

START_TEST(body_with_wrong_members_is_400_with_issues)
{
    json_t *object, *issues;

    ck_assert_uint_eq(ask("POST", TEAM "/secrets", "{\"name\":7}"), 400);
    object = body_object();
    ck_assert_str_eq(json_string_value(json_object_get(object, "code")), "BAD_REQUEST");
    issues = json_object_get(object, "issues");
    ck_assert_uint_eq(json_array_size(issues), 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(json_object_size(json_array_get(issues, i)), 1);
        ck_assert(json_is_string(json_object_get(json_array_get(issues, i), "message")));
    }
    ck_assert_uint_eq(json_object_size(object), 3);
    json_decref(object);
}
END_TEST

START_TEST(body_over_a_mebibyte_is_413_and_the_connection_goes_on)
{
    size_t len = 1024 * 1024 + 1;
    char *body = malloc(len + 1);

    ck_assert_ptr_nonnull(body);
    memset(body, 'x', len);
    body[len] = '\0';
    ck_assert_uint_eq(ask("POST", TEAM "/secrets", body), 413);
    assert_says("{\"code\":\"PAYLOAD_TOO_LARGE\",\"message\":\"");
    ck_assert_uint_eq(ask("GET", TEAM "/secrets", NULL), 200);
    body[len - 1] = '\0';
    ck_assert_uint_eq(ask("POST", TEAM "/secrets", body), 400); /* read, and no JSON */
    free(body);
}
END_TEST

START_TEST(everything_fails_at_rate_one)
{
    static const char *const asked[][3] = {
        {"GET", "/v1/auth/session", NULL},
        {"GET", TEAM "/users", NULL},
        {"PUT", TEAM "/users/usandbox02", "{\"isAdmin\":true}"},
        {"DELETE", TEAM "/users/usandbox02", NULL},
        {"GET", TEAM "/secrets", NULL},
        {"POST", TEAM "/secrets", "{\"name\":\"N\",\"value\":\"v\"}"},
        {"GET", TEAM "/secrets/DATABASE_URL", NULL},
        {"PATCH", TEAM "/secrets/DATABASE_URL", "{\"value\":\"v\"}"},
        {"DELETE", TEAM "/secrets/DATABASE_URL", NULL},
    };

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        ck_assert_uint_eq(ask(asked[i][0], asked[i][1], asked[i][2]), 500);
        assert_body("{\"code\":\"INTERNAL_SERVER_ERROR\","
                    "\"message\":\"sandbox: failed on purpose (--fail-rate)\"}");
    }
}
END_TEST

START_TEST(request_failed_on_purpose_changed_nothing)
{
    unsigned failures = 0;
    unsigned status;

    for (int i = 0; i < 100; i++) {
        while ((status = ask("POST", TEAM "/secrets",
                             "{\"name\":\"N\",\"value\":\"v\"}")) == 500)
            failures++;
        ck_assert_uint_eq(status, 201);
        while ((status = ask("DELETE", TEAM "/secrets/N", NULL)) == 500)
            failures++;
        ck_assert_uint_eq(status, 204);
    }
    ck_assert_uint_gt(failures, 100); /* 200 are expected: 7 sigma off */
    ck_assert_uint_lt(failures, 400);
}
END_TEST

/* Starting. */

static void assert_refused(const struct sandbox_options *options, const char *says)
{
    struct error error = {""};
    unsigned before = open_descriptors();

    ck_assert_ptr_null(sandbox_start(options, &error));
    ck_assert_msg(strstr(error.text, says) != NULL, "%s", error.text);
    ck_assert_uint_eq(open_descriptors(), before);
}

START_TEST(option_out_of_range_is_refused)
{
    assert_refused(&(struct sandbox_options){.host = "localhost"}, "not an IPv4 or IPv6");
    assert_refused(&(struct sandbox_options){.host = "::g"}, "not an IPv4 or IPv6");
    assert_refused(&(struct sandbox_options){.host = "127.0.0.1", .delay_ms = -1},
                   "delay");
    assert_refused(&(struct sandbox_options){.host = "127.0.0.1", .fail_rate = 1.1},
                   "rate");
    assert_refused(&(struct sandbox_options){.host = "127.0.0.1", .fail_rate = -0.1},
                   "rate");
}
END_TEST

START_TEST(taken_port_is_refused)
{
    struct sandbox_options options = {.host = "127.0.0.1",
                                      .port = sandbox_port(running.sandbox)};

    ck_assert_uint_eq(ask("GET", "/v1/auth/session", NULL), 200); /* it has accepted */
    assert_refused(&options, "cannot listen on 127.0.0.1 port ");
}
END_TEST

START_TEST(port_can_be_had_again_after_a_stop)
{
    struct sandbox_options options = {.host = "127.0.0.1",
                                      .port = sandbox_port(running.sandbox)};
    struct error error;

    ck_assert_uint_eq(ask("GET", "/v1/auth/session", NULL), 200);
    sandbox_stop(running.sandbox);
    ck_assert(http_client_ends(&running.client));
    running.sandbox = sandbox_start(&options, &error);
    ck_assert_msg(running.sandbox != NULL, "%s", error.text);
    ck_assert_uint_eq(sandbox_port(running.sandbox), options.port);
}
END_TEST

START_TEST(two_sandboxes_share_nothing)
{
    struct sandbox_options options = {.host = "127.0.0.1"};
    struct http_client other;
    struct error error;
    struct sandbox *second = sandbox_start(&options, &error);

    ck_assert_msg(second != NULL, "%s", error.text);
    http_client_open(&other, sandbox_port(second));
    ck_assert_uint_eq(ask("DELETE", TEAM "/secrets/DATABASE_URL", NULL), 204);
    ck_assert_uint_eq(http_client_ask(&other, "GET", TEAM "/secrets/DATABASE_URL", KEY,
                                      NULL, &running.answer),
                      200);
    http_client_close(&other);
    sandbox_stop(second);
}
END_TEST

START_TEST(ipv6_is_served_where_there_is_any)
{
    struct sandbox_options options = {.host = "::1"};
    struct error error;
    struct sandbox *six = sandbox_start(&options, &error);

    if (six == NULL)
        ck_assert_msg(strstr(error.text, "cannot ") != NULL, "%s", error.text);
    else
        ck_assert_uint_ne(sandbox_port(six), 0);
    sandbox_stop(six);
    sandbox_stop(NULL);
}
END_TEST

static TCase *operations_case(void)
{
    TCase *tcase = tcase_create("operations");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, running_stop);
    tcase_add_test(tcase, session_is_the_user_and_the_team);
    tcase_add_test(tcase, session_without_the_right_key_is_null);
    tcase_add_test(tcase, members_are_a_plain_array);
    tcase_add_test(tcase, member_is_made_an_admin_and_back);
    tcase_add_test(tcase, removed_member_is_gone);
    tcase_add_test(tcase, last_admin_is_kept);
    tcase_add_test(tcase, seeded_secrets_are_listed_without_values);
    tcase_add_test(tcase, created_secret_is_201_and_can_be_read_but_its_value_cannot);
    tcase_add_test(tcase, existing_secret_is_not_created_again);
    tcase_add_test(tcase, updated_secret_has_dt_modified);
    tcase_add_test(tcase, deleted_secret_is_gone);
    tcase_add_test(tcase, names_are_decoded_in_paths_and_escaped_in_bodies);
    tcase_add_test(tcase, head_is_get_without_a_body);
    tcase_add_test(tcase, answer_carries_type_length_date_and_etag);
    tcase_add_test(tcase, known_etag_is_answered_304_without_a_body);
    tcase_add_test(tcase, key_may_come_as_x_api_key);
    tcase_add_test(tcase, every_accepted_key_is_right);
    return tcase;
}

static TCase *errors_case(void)
{
    TCase *tcase = tcase_create("errors");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, running_stop);
    tcase_add_test(tcase, wrong_key_is_401);
    tcase_add_test(tcase, what_is_not_there_is_404);
    tcase_add_test(tcase, other_method_is_405_and_told_what_is_taken);
    tcase_add_test(tcase, body_that_is_not_json_is_400_parse_error);
    tcase_add_test(tcase, body_with_wrong_members_is_400_with_issues);
    tcase_add_test(tcase, body_over_a_mebibyte_is_413_and_the_connection_goes_on);
    return tcase;
}

static TCase *options_case(const char *name, SFun fixture, const TTest *test)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, fixture, running_stop);
    tcase_add_test(tcase, test);
    return tcase;
}

static TCase *options_refused_case(void)
{
    TCase *tcase = tcase_create("options");

    tcase_add_test(tcase, option_out_of_range_is_refused);
    return tcase;
}

static TCase *starting_case(void)
{
    TCase *tcase = tcase_create("starting");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, running_stop);
    tcase_add_test(tcase, taken_port_is_refused);
    tcase_add_test(tcase, port_can_be_had_again_after_a_stop);
    tcase_add_test(tcase, two_sandboxes_share_nothing);
    tcase_add_test(tcase, ipv6_is_served_where_there_is_any);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("sandbox");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, operations_case());
    suite_add_tcase(suite, errors_case());
    suite_add_tcase(suite, options_case("any key", set_up_for_any_key,
                                        any_key_is_right_when_none_was_given));
    suite_add_tcase(suite, options_case("failing always", set_up_failing,
                                        everything_fails_at_rate_one));
    suite_add_tcase(suite, options_case("failing often", set_up_failing_half,
                                        request_failed_on_purpose_changed_nothing));
    suite_add_tcase(suite, options_refused_case());
    suite_add_tcase(suite, starting_case());
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
