/* Who asks, where the connection says it: certificates and unix peers beside tokens. */
#include "gateway/judging.h"

static struct judging judging;
static struct certificate_names names;

static const char *const clients[][2] = {
    {"a", "\"tls_subject\":\"DNS:a\",\"uid\":1"},
    {"b", "\"tls_subject\":\"DNS:b\",\"uid\":2"},
    {"old", "\"tls_subject\":\"DNS:old\",\"uid\":3,\"expires\":\"2025-12-31T00:00:00Z\""},
    {"group", "\"gid\":9"},
    {NULL, NULL},
};

enum { OK = REASON_COUNT, NOBODY = 77 };

#define NOW_MS ((int64_t)JUDGING_NOW * 1000)
#define BEARER(name) "Authorization: Bearer {" name "}\r\n"
#define API_KEY(name) "X-Api-Key: {" name "}\r\n"

static void set_up(void)
{
    judging_start(&judging, clients, "");
}

static void tear_down(void)
{
    certificate_names_fini(&names);
    judging_stop(&judging);
}

/* Names parted by '|'. */
static void show_certificate(const char *list)
{
    text_clear(&names.list);
    text_add(&names.list, span_make(list, strlen(list) + 1));
    for (size_t i = 0; i < names.list.len; i++) {
        if (names.list.bytes[i] == '|')
            names.list.bytes[i] = '\0';
    }
    judging.identity =
        (struct identity){.certificate = &names, .valid_until_ms = NOW_MS + 1};
}

static void assert_asked(const char *lines, int reason, const char *client,
                         const char *auth)
{
    struct judged judged;

    judging_ask(&judging, "GET", "/v1/a", lines, &judged);
    ck_assert_msg(judged.is_admitted == (reason == OK), "'%s': %s", lines,
                  judged.is_admitted ? "admitted"
                                     : reason_row(judged.admission.reason)->message);
    if (reason == OK) {
        ck_assert_str_eq(judged.admission.client->name, client);
        ck_assert_str_eq(judged.admission.auth, auth);
    } else {
        ck_assert_int_eq(judged.admission.reason, (enum reason)reason);
        ck_assert_uint_eq(reason_row(judged.admission.reason)->status, 401);
    }
    judged_end(&judged);
}

static const struct {
    const char *certificate, *lines;
    int reason;
    const char *client, *auth;
} certificates[] = {
    {"DNS:a", "", OK, "a", "certificate"},
    {"DN:CN=x|DNS:b", "", OK, "b", "certificate"},
    {"DNS:x", "", REASON_CERTIFICATE_UNKNOWN, NULL, NULL},
    {"DNS:x", BEARER("a"), OK, "a", "bearer"},
    {"DNS:a", BEARER("a"), OK, "a", "bearer"},
    {"DNS:a", API_KEY("a"), OK, "a", "api_key"},
    {"DNS:a", BEARER("b"), REASON_CREDENTIALS_DIFFER, NULL, NULL},
    {"DNS:a", API_KEY("b"), REASON_CREDENTIALS_DIFFER, NULL, NULL},
    {"DNS:a", BEARER("a") API_KEY("b"), REASON_CREDENTIALS_DIFFER, NULL, NULL},
    {"DNS:a", "Authorization: Bearer x\r\n", REASON_TOKEN_MALFORMED, NULL, NULL},
    {"DNS:a", "Authorization: Basic x\r\n", REASON_CREDENTIAL_MALFORMED, NULL, NULL},
    {"DNS:a", "X-Api-Key:\r\n", REASON_TOKEN_MALFORMED, NULL, NULL},
    {"DNS:a", BEARER("old"), REASON_TOKEN_EXPIRED, NULL, NULL},
    {"DNS:old", "", REASON_CLIENT_EXPIRED, NULL, NULL},
    {"DNS:old", BEARER("a"), REASON_CREDENTIALS_DIFFER, NULL, NULL},
    {"DNS:a|DNS:b", "", REASON_CERTIFICATE_AMBIGUOUS, NULL, NULL},
    {"DNS:a|DNS:b", BEARER("a"), REASON_CERTIFICATE_AMBIGUOUS, NULL, NULL},
};

START_TEST(a_certificate_names_the_client_and_a_token_must_agree)
{
    show_certificate(certificates[_i].certificate);
    assert_asked(certificates[_i].lines, certificates[_i].reason, certificates[_i].client,
                 certificates[_i].auth);
}
END_TEST

START_TEST(a_certificate_that_has_expired_meanwhile_refuses_whatever_else_is_shown)
{
    show_certificate("DNS:a");
    judging.identity.valid_until_ms = NOW_MS;
    assert_asked("", REASON_CERTIFICATE_EXPIRED, NULL, NULL);
    assert_asked(BEARER("a"), REASON_CERTIFICATE_EXPIRED, NULL, NULL);
    judging.identity.valid_until_ms = NOW_MS + 1;
    judging.identity.is_refused = true;
    assert_asked("", REASON_CERTIFICATE_REFUSED, NULL, NULL);
    assert_asked(BEARER("a"), REASON_CERTIFICATE_REFUSED, NULL, NULL);
}
END_TEST

START_TEST(a_certificate_with_unusable_names_is_nobodys)
{
    names.is_unusable = true;
    judging.identity =
        (struct identity){.certificate = &names, .valid_until_ms = INT64_MAX};
    assert_asked("", REASON_CERTIFICATE_UNKNOWN, NULL, NULL);
    assert_asked(BEARER("b"), OK, "b", "bearer");
    names.is_unusable = false;
}
END_TEST

static const struct {
    uint32_t uid, gid;
    const char *lines;
    int reason;
    const char *client, *auth;
} peers[] = {
    {1, NOBODY, "", OK, "a", "peer"},
    {NOBODY, 9, "", OK, "group", "peer"},
    {NOBODY, NOBODY, "", REASON_PEER_UNKNOWN, NULL, NULL},
    {NOBODY, NOBODY, BEARER("a"), OK, "a", "bearer"},
    {1, NOBODY, BEARER("a"), OK, "a", "bearer"},
    {1, NOBODY, BEARER("b"), REASON_CREDENTIALS_DIFFER, NULL, NULL},
    {3, NOBODY, "", REASON_CLIENT_EXPIRED, NULL, NULL},
    {1, 9, "", REASON_PEER_AMBIGUOUS, NULL, NULL},
};

START_TEST(a_unix_peer_names_the_client_and_a_token_must_agree)
{
    judging.identity = (struct identity){
        .has_process = true, .uid = peers[_i].uid, .gid = peers[_i].gid};
    assert_asked(peers[_i].lines, peers[_i].reason, peers[_i].client, peers[_i].auth);
}
END_TEST

START_TEST(without_an_identity_a_token_is_missing)
{
    assert_asked("", REASON_CREDENTIAL_MISSING, NULL, NULL);
}
END_TEST

/* A fetch for the cache, on behalf of whoever was told apart before. */
START_TEST(a_client_that_was_vouched_for_needs_no_credential)
{
    judging.identity = (struct identity){
        .vouched = &judging.snapshot->clients->clients[1], .vouched_auth = "certificate"};
    assert_asked("", OK, "b", "certificate");
    assert_asked(BEARER("a"), OK, "a", "bearer");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/admission, identity");
    TCase *certificate = suite_case(suite, "certificate");
    TCase *peer = suite_case(suite, "peer");

    tcase_add_checked_fixture(certificate, set_up, tear_down);
    tcase_add_checked_fixture(peer, set_up, tear_down);
    tcase_add_loop_test(certificate,
                        a_certificate_names_the_client_and_a_token_must_agree, 0,
                        ROWS(certificates));
    tcase_add_test(
        certificate,
        a_certificate_that_has_expired_meanwhile_refuses_whatever_else_is_shown);
    tcase_add_test(certificate, a_certificate_with_unusable_names_is_nobodys);
    tcase_add_loop_test(peer, a_unix_peer_names_the_client_and_a_token_must_agree, 0,
                        ROWS(peers));
    tcase_add_test(peer, without_an_identity_a_token_is_missing);
    tcase_add_test(peer, a_client_that_was_vouched_for_needs_no_credential);
    return run_suite(suite);
}
