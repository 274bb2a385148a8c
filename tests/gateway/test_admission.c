/* May this request go on? Form, who asks, the gateway's own endpoints, tokens in paths.
 */
#include "gateway/judging.h"

static struct judging judging;

static const char *const clients[][2] = {
    {"a", ""},
    {"b", ""},
    {"expired", "\"expires\":\"2025-12-31T23:59:59Z\""},
    {"last", "\"expires\":\"2026-01-01T00:00:00.001Z\""},
    {"over", "\"expires\":\"2026-01-01T00:00:00Z\""},
    {"nothing", "\"allow\":[]"},
    {NULL, NULL},
};

static void set_up(void)
{
    judging_start(&judging, clients, "");
}

static void tear_down(void)
{
    judging_stop(&judging);
}

/* Checks that the request is refused for the reason; OK stands for none. */
#define OK REASON_COUNT

static void assert_reason(const struct judged *judged, enum reason reason)
{
    if (reason == OK) {
        ck_assert_msg(judged->is_admitted, "'%s' is refused: %s", shown(judged->bytes),
                      reason_row(judged->admission.reason)->message);
        return;
    }
    ck_assert_msg(!judged->is_admitted, "'%s' is admitted", shown(judged->bytes));
    ck_assert_msg(judged->admission.reason == reason, "'%s': '%s' is not '%s'",
                  shown(judged->bytes), reason_row(judged->admission.reason)->message,
                  reason_row(reason)->message);
}

/* Form */

#define REQUEST(text) SPAN(text "\r\n\r\n")

static const struct {
    struct span request;
    enum reason reason;
} forms[] = {
    {REQUEST("TRACE /v1/a HTTP/1.1\r\nHost: a"), REASON_METHOD_REFUSED},
    {REQUEST("Trace /v1/a HTTP/1.1\r\nHost: a"), REASON_METHOD_REFUSED},
    {REQUEST("CONNECT gw.test:443 HTTP/1.1\r\nHost: a"), REASON_METHOD_REFUSED},
    {REQUEST("connect /v1/a HTTP/1.1\r\nHost: a"), REASON_METHOD_REFUSED},
    {REQUEST("GET /v1/a HTTP/1.1"), REASON_MALFORMED},
    {REQUEST("GET /v1/a HTTP/1.1\r\nHost: a\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/a HTTP/1.1\r\nHost: a b"), REASON_MALFORMED},
    {REQUEST("GET /v1/a HTTP/1.1\r\nHost:"), REASON_MALFORMED},
    {REQUEST("GET http://a/v1/a HTTP/1.1\r\nHost: b"), REASON_MALFORMED},
    {REQUEST("GET a/b HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET * HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/a#b HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/./a HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/%2e%2E/a HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1//a HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET //v1/a HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/a// HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1\\a HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/%5ca HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/%00 HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/%0a HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/%zz HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/%c3 HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1/\xff HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET /v1%2fa HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("GET http://a/v1%2Fa HTTP/1.1\r\nHost: a"), REASON_MALFORMED},
    {REQUEST("POST /v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: x"), REASON_MALFORMED},
    {REQUEST("POST /v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1"),
     REASON_MALFORMED},
    {REQUEST("POST /v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
             "Transfer-Encoding: chunked"),
     REASON_MALFORMED},
    {REQUEST("POST /v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip"),
     REASON_MALFORMED},
    {REQUEST("POST /v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked"),
     REASON_CODING_UNSUPPORTED},
    {REQUEST("POST /v1/a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked"),
     REASON_MALFORMED},
    {REQUEST("GET /v1/a HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: PUT"),
     REASON_OVERRIDE_FIELD},
    {REQUEST("GET /v1/a HTTP/1.1\r\nHost: a\r\nx-http-method:"), REASON_OVERRIDE_FIELD},
    {REQUEST("GET /v1/a HTTP/1.1\r\nHost: a\r\nX-Method-Override: GET"),
     REASON_OVERRIDE_FIELD},
    {REQUEST("GET /v1/a HTTP/1.1\r\nHost: a\r\nX-ORIGINAL-URL: /"),
     REASON_OVERRIDE_FIELD},
    {REQUEST("GET /v1/a HTTP/1.1\r\nHost: a\r\nX-Rewrite-URL: /"), REASON_OVERRIDE_FIELD},
    /* Its form is good: only now it matters who asks. */
    {REQUEST("GET /v1/a HTTP/1.1\r\nHost: a"), REASON_CREDENTIAL_MISSING},
    {REQUEST("GET /v1/a HTTP/1.0"), REASON_CREDENTIAL_MISSING},
    {REQUEST("TRACES /v1/a HTTP/1.1\r\nHost: a"), REASON_CREDENTIAL_MISSING},
    {REQUEST("OPTIONS * HTTP/1.1\r\nHost: a"), REASON_CREDENTIAL_MISSING},
    {REQUEST("GET http://a HTTP/1.1\r\nHost: A"), REASON_CREDENTIAL_MISSING},
    {REQUEST("GET /v1/a/?..//%2f%zz HTTP/1.1\r\nHost: a"), REASON_CREDENTIAL_MISSING},
    {REQUEST("POST /v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked"),
     REASON_CREDENTIAL_MISSING},
};

START_TEST(the_form_is_judged_before_who_asks)
{
    struct judged judged;

    judging_judge(&judging, forms[_i].request, &judged);
    assert_reason(&judged, forms[_i].reason);
    ck_assert_ptr_null(judged.admission.client);
    judged_end(&judged);
}
END_TEST

/* No credential makes up for a bad form. */
START_TEST(a_bad_form_is_refused_whoever_asks)
{
    struct text request = {0};
    struct judged judged;
    enum reason reason = forms[_i].reason;

    text_add(&request, span_make(forms[_i].request.at, forms[_i].request.len - 2));
    text_add(&request, SPAN("Authorization: Bearer {a}\r\n\r\n"));
    judging_judge(&judging, span_make(request.bytes, request.len), &judged);
    assert_reason(&judged, reason == REASON_CREDENTIAL_MISSING ? OK : reason);
    judged_end(&judged);
    text_fini(&request);
}
END_TEST

/* Who asks */

#define CUT "psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_"
#define AUTH(value) "Authorization: " value "\r\n"
#define API_KEY(value) "X-Api-Key: " value "\r\n"

static const struct {
    const char *lines;
    enum reason reason; /* OK: it is the client below */
    const char *client;
} credentials[] = {
    {"", REASON_CREDENTIAL_MISSING, NULL},
    {"Cookie: {a}\r\nProxy-Authorization: Bearer {a}\r\n", REASON_CREDENTIAL_MISSING,
     NULL},
    {AUTH("Bearer {a}"), OK, "a"},
    {"aUTHORIZATION:bEARER {b}\r\n", OK, "b"},
    {AUTH("Bearer   {a}"), OK, "a"},
    {API_KEY("{a}"), OK, "a"},
    {"x-api-key:{b} \r\n", OK, "b"},
    /* Both. */
    {AUTH("Bearer {a}") API_KEY("{a}"), OK, "a"},
    {AUTH("Bearer {a}") API_KEY("{b}"), REASON_CREDENTIALS_DIFFER, NULL},
    {API_KEY("{b}") AUTH("Bearer {a}"), REASON_CREDENTIALS_DIFFER, NULL},
    {AUTH("Bearer something") API_KEY("{b}"), OK, "b"},
    {AUTH("Basic eDp5") API_KEY("{b}"), OK, "b"},
    {AUTH("") API_KEY("{b}"), OK, "b"},
    {AUTH("Bearer " CUT) API_KEY("{b}"), REASON_TOKEN_MALFORMED, NULL},
    {AUTH("Bearer {a}") API_KEY("something"), REASON_TOKEN_MALFORMED, NULL},
    {AUTH("Bearer {a}") API_KEY(""), REASON_TOKEN_MALFORMED, NULL},
    {AUTH("Bearer {expired}") API_KEY("{a}"), REASON_TOKEN_EXPIRED, NULL},
    {AUTH("Bearer {a}") API_KEY("{expired}"), REASON_TOKEN_EXPIRED, NULL},
    /* Repeated: never a guess. */
    {AUTH("Bearer {a}") AUTH("Bearer {a}"), REASON_CREDENTIAL_REPEATED, NULL},
    {AUTH("Bearer {a}") "authorization:\r\n", REASON_CREDENTIAL_REPEATED, NULL},
    {AUTH("Basic x") AUTH("Bearer {a}"), REASON_CREDENTIAL_REPEATED, NULL},
    {API_KEY("{a}") API_KEY("{a}"), REASON_CREDENTIAL_REPEATED, NULL},
    {AUTH("Basic x") AUTH("Basic x") API_KEY("{a}"), REASON_CREDENTIAL_REPEATED, NULL},
    {AUTH("Bearer {a}") API_KEY("{a}") "x-api-key: x\r\n", REASON_CREDENTIAL_REPEATED,
     NULL},
    /* Malformed. */
    {AUTH(""), REASON_CREDENTIAL_MALFORMED, NULL},
    {AUTH("{a}"), REASON_CREDENTIAL_MALFORMED, NULL},
    {AUTH("Basic {a}"), REASON_CREDENTIAL_MALFORMED, NULL},
    {AUTH("Bearer{a}"), REASON_CREDENTIAL_MALFORMED, NULL},
    {AUTH("Bearer: {a}"), REASON_CREDENTIAL_MALFORMED, NULL},
    {AUTH("Bearer\t{a}"), REASON_CREDENTIAL_MALFORMED, NULL},
    {AUTH("Bearer"), REASON_TOKEN_MALFORMED, NULL},
    {AUTH("Bearer {a}, Bearer {b}"), REASON_TOKEN_MALFORMED, NULL},
    {AUTH("Bearer \"{a}\""), REASON_TOKEN_MALFORMED, NULL},
    {AUTH("Bearer {a} {a}"), REASON_TOKEN_MALFORMED, NULL},
    {AUTH("Bearer {a}x"), REASON_TOKEN_MALFORMED, NULL},
    {AUTH("Bearer the-key"), REASON_TOKEN_MALFORMED, NULL},
    {API_KEY("Bearer {a}"), REASON_TOKEN_MALFORMED, NULL},
    {API_KEY(""), REASON_TOKEN_MALFORMED, NULL},
    /* Time. */
    {AUTH("Bearer {expired}"), REASON_TOKEN_EXPIRED, NULL},
    {AUTH("Bearer {over}"), REASON_TOKEN_EXPIRED, NULL},
    {AUTH("Bearer {last}"), OK, "last"},
    {API_KEY("{expired}"), REASON_TOKEN_EXPIRED, NULL},
    {AUTH("Bearer {nothing}"), REASON_OPERATION_FORBIDDEN, NULL},
};

START_TEST(one_known_client_gets_in_and_nobody_else)
{
    struct judged judged;

    judging_ask(&judging, "GET", "/v1/a", credentials[_i].lines, &judged);
    assert_reason(&judged, credentials[_i].reason);
    if (credentials[_i].client != NULL) {
        ck_assert_str_eq(judged.admission.client->name, credentials[_i].client);
        assert_span_is(judged.admission.token,
                       judging_token(&judging, span_of(credentials[_i].client)),
                       "the token to blank");
    }
    judged_end(&judged);
}
END_TEST

/* A good checksum tells a revoked token from a mistyped one. */
START_TEST(a_token_that_nobody_has_is_unknown)
{
    char token[TOKEN_BYTES + 1], line[128];
    struct judged judged;
    struct error error;

    ck_assert(token_generate(judging.hasher, token, &error));
    (void)snprintf(line, sizeof(line), AUTH("Bearer %s"), token);
    judging_ask(&judging, "GET", "/v1/a", line, &judged);
    assert_reason(&judged, REASON_TOKEN_UNKNOWN);
    judged_end(&judged);
    token[30] = token[30] == 'x' ? 'y' : 'x';
    (void)snprintf(line, sizeof(line), API_KEY("%s"), token);
    judging_ask(&judging, "GET", "/v1/a", line, &judged);
    assert_reason(&judged, REASON_TOKEN_MALFORMED);
    judged_end(&judged);
}
END_TEST

/* The gateway's own endpoints */

static const struct {
    const char *method, *target;
    enum reason without, with; /* a token */
} own[] = {
    {"GET", "/.psgate/healthz", OK, OK},
    {"HEAD", "/.psgate/readyz", OK, OK},
    {"GET", "/.psgate/readyz/?x=y", OK, OK},
    {"GET", "/.PSGATE/HealthZ", OK, OK},
    {"GET", "/%2epsgate/%68ealthz", OK, OK},
    {"GET", "http://gw.test/.psgate/healthz", OK, OK},
    {"GET", "/.psgate/whoami", REASON_CREDENTIAL_MISSING, OK},
    {"HEAD", "/.psgate/whoami", REASON_CREDENTIAL_MISSING, OK},
    {"POST", "/.psgate/healthz", REASON_ENDPOINT_METHOD, REASON_ENDPOINT_METHOD},
    {"get", "/.psgate/healthz", REASON_ENDPOINT_METHOD, REASON_ENDPOINT_METHOD},
    {"DELETE", "/.psgate/whoami", REASON_ENDPOINT_METHOD, REASON_ENDPOINT_METHOD},
    {"GET", "/.psgate", REASON_NO_SUCH_ENDPOINT, REASON_NO_SUCH_ENDPOINT},
    {"GET", "/.psgate/", REASON_NO_SUCH_ENDPOINT, REASON_NO_SUCH_ENDPOINT},
    {"GET", "/.psgate/healthz/x", REASON_NO_SUCH_ENDPOINT, REASON_NO_SUCH_ENDPOINT},
    {"GET", "/.psgate/health", REASON_NO_SUCH_ENDPOINT, REASON_NO_SUCH_ENDPOINT},
    {"POST", "/%2EPSgate/metrics", REASON_NO_SUCH_ENDPOINT, REASON_NO_SUCH_ENDPOINT},
    {"GET", "/.psgate%2fhealthz", REASON_MALFORMED, REASON_MALFORMED},
};

START_TEST(the_gateways_own_paths_are_its_own_in_every_spelling)
{
    for (int with = 0; with < 2; with++) {
        struct judged judged;

        judging_ask(&judging, own[_i].method, own[_i].target,
                    with != 0 ? AUTH("Bearer {a}") : "", &judged);
        assert_reason(&judged, with != 0 ? own[_i].with : own[_i].without);
        if (judged.is_admitted)
            ck_assert(judged.admission.is_own);
        judged_end(&judged);
    }
}
END_TEST

START_TEST(whoami_is_for_clients_that_may_do_nothing_too)
{
    struct judged judged;

    judging_ask(&judging, "GET", "/.psgate/whoami", AUTH("Bearer {nothing}"), &judged);
    assert_reason(&judged, OK);
    ck_assert_str_eq(judged.admission.client->name, "nothing");
    assert_span_is(judged.admission.own_name, SPAN("whoami"), "the endpoint");
    judged_end(&judged);
}
END_TEST

static const char *const not_own[] = {"/psgate/healthz", "/.psgatex/healthz",
                                      "/v1/.psgate",     "/.psgat/healthz",
                                      "/x.psgate",       "/",
                                      "/?/.psgate/"};

START_TEST(what_only_looks_like_its_own_is_forwarded)
{
    struct judged judged;

    judging_ask(&judging, "GET", not_own[_i], AUTH("Bearer {a}"), &judged);
    assert_reason(&judged, OK);
    ck_assert(!judged.admission.is_own);
    judged_end(&judged);
}
END_TEST

/* Tokens in paths: whoever logs the path looks at has_loggable_path. */

#define A_LONG_PATH                                                                      \
    "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/" \
    "31"

static const struct {
    struct span request;
    bool is_admitted;
} secrets[] = {
    {REQUEST("GET /v1/{b} HTTP/1.1\r\nHost: gw\r\nX-Api-Key: {a}"), true},
    {REQUEST("GET /{a} HTTP/1.1\r\nHost: gw\r\nX-Api-Key: {a}"), true},
    {REQUEST("GET /v1/x{b}y/z HTTP/1.1\r\nHost: gw\r\nX-Api-Key: {a}"), true},
    {REQUEST("GET http://gw/v1/k={b}/ HTTP/1.1\r\nHost: gw\r\nX-Api-Key: {a}"), true},
    {REQUEST("GET " A_LONG_PATH "/{b} HTTP/1.1\r\nHost: gw\r\nX-Api-Key: {a}"), true},
    {REQUEST("GET " A_LONG_PATH "/32/{b} HTTP/1.1\r\nHost: gw\r\nX-Api-Key: {a}"), true},
    {REQUEST("GET /v1/{b} HTTP/1.1\r\nHost: gw\r\nX-Api-Key: {nothing}"), false},
    {REQUEST("GET /v1/{b} HTTP/1.1\r\nHost: gw"), false},
    {REQUEST("GET /.psgate/{b} HTTP/1.1\r\nHost: gw"), false},
    /* What is refused for its form is logged as well. */
    {REQUEST("GET /v1/../{b} HTTP/1.1\r\nHost: gw"), false},
    {REQUEST("GET /v1/{b}/.. HTTP/1.1\r\nHost: gw"), false},
    {REQUEST("GET /v1/{b}%zz HTTP/1.1\r\nHost: gw"), false},
    {REQUEST("GET /v1/{b}%2fx HTTP/1.1\r\nHost: gw"), false},
    {REQUEST("GET /v1//{b} HTTP/1.1\r\nHost: gw"), false},
    {REQUEST("GET /v1/{b} HTTP/1.1"), false},
    {REQUEST("GET http://other/v1/{b} HTTP/1.1\r\nHost: gw"), false},
    {REQUEST("POST /v1/{b} HTTP/1.1\r\nHost: gw\r\nContent-Length: x"), false},
    {REQUEST("GET /v1/{b} HTTP/1.1\r\nHost: gw\r\nX-HTTP-Method: x"), false},
    {REQUEST("TRACE /v1/{b} HTTP/1.1\r\nHost: gw"), false},
    {REQUEST("GET /v1/{b}#x HTTP/1.1\r\nHost: gw"), false},
};

START_TEST(a_path_that_could_be_logged_and_holds_a_token_is_known)
{
    struct judged judged;
    struct span path;

    judging_judge(&judging, secrets[_i].request, &judged);
    ck_assert(judged.is_admitted == secrets[_i].is_admitted);
    path = judged.admission.target.path;
    ck_assert_msg(!judged.admission.has_loggable_path || path.len == 0 ||
                      memmem(path.at, path.len, "psgate_", 7) == NULL,
                  "the token in it is not known (row %d)", _i);
    judged_end(&judged);
}
END_TEST

START_TEST(a_token_in_a_path_is_known_when_it_is_encoded)
{
    struct judged judged;

    judging_ask(&judging, "GET", "/v1/%70sgat%65%5f0123456789", AUTH("Bearer {a}"),
                &judged);
    ck_assert(judged.is_admitted && !judged.admission.has_loggable_path);
    judged_end(&judged);
}
END_TEST

START_TEST(a_path_without_a_token_has_no_secret)
{
    struct judged judged;

    judging_ask(&judging, "GET", "/v1/psgate/a_b?k={a}", AUTH("Bearer {a}"), &judged);
    ck_assert(judged.is_admitted && judged.admission.has_loggable_path);
    judged_end(&judged);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/admission");
    TCase *form = suite_case(suite, "form");
    TCase *who = suite_case(suite, "who");
    TCase *endpoints = suite_case(suite, "endpoints");
    TCase *paths = suite_case(suite, "paths");

    tcase_add_checked_fixture(form, set_up, tear_down);
    tcase_add_checked_fixture(who, set_up, tear_down);
    tcase_add_checked_fixture(endpoints, set_up, tear_down);
    tcase_add_checked_fixture(paths, set_up, tear_down);
    tcase_add_loop_test(form, the_form_is_judged_before_who_asks, 0, ROWS(forms));
    tcase_add_loop_test(form, a_bad_form_is_refused_whoever_asks, 0, ROWS(forms));
    tcase_add_loop_test(who, one_known_client_gets_in_and_nobody_else, 0,
                        ROWS(credentials));
    tcase_add_test(who, a_token_that_nobody_has_is_unknown);
    tcase_add_loop_test(endpoints, the_gateways_own_paths_are_its_own_in_every_spelling,
                        0, ROWS(own));
    tcase_add_test(endpoints, whoami_is_for_clients_that_may_do_nothing_too);
    tcase_add_loop_test(endpoints, what_only_looks_like_its_own_is_forwarded, 0,
                        ROWS(not_own));
    tcase_add_loop_test(paths, a_path_that_could_be_logged_and_holds_a_token_is_known, 0,
                        ROWS(secrets));
    tcase_add_test(paths, a_token_in_a_path_is_known_when_it_is_encoded);
    tcase_add_test(paths, a_path_without_a_token_has_no_secret);
    return run_suite(suite);
}
