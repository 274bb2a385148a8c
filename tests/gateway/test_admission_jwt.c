/* Who asks, where a JWT says it; and what a worker remembers of that. */
#include "gateway/judging.h"

#include "access/signing.h"

#define ISSUER "https://issuer.test"
#define CLAIMS(sub)                                                                      \
    "{\"iss\":\"" ISSUER "\",\"aud\":\"psgate\",\"sub\":\"" sub                          \
    "\",\"nbf\":1767225000,\"exp\":1767226000}"

enum { NBF = 1767225000, EXP = 1767226000, LEEWAY = 60 };

static const char config[] =
    "{\"upstream\":{\"url\":\"http://127.0.0.1:1\"},\"clients_file\":\"clients.json\","
    "\"credentials\":{\"default\":{\"api_key_file\":\"api-key\"}},"
    "\"jwt\":[{\"issuer\":\"" ISSUER "\",\"audience\":[\"psgate\"],"
    "\"jwks_file\":\"keys.json\"}]}";

#define CLIENT(name, more)                                                               \
    "{\"name\":\"" name "\"" more ",\"jwt\":{\"issuer\":\"" ISSUER                       \
    "\",\"claims\":{\"sub\":\"" name "\"}}}"

static const char clients[] = "{\"clients\":[" CLIENT("a", "") "," CLIENT(
    "b", "") "," CLIENT("old", ",\"expires\":\"2025-12-31T00:00:00Z\"") "]}";

static struct judging judging;
static EVP_PKEY *key, *other;
static struct text token;

static void set_up(void)
{
    struct problems problems = {0};
    struct text keys = {0};
    struct error error;

    judging = (struct judging){.hasher = token_hasher_new(&error)};
    judging.memo = jwt_memo_new();
    ck_assert(judging.hasher != NULL && judging.memo != NULL);
    folder_make(&judging.folder);
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    other = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    text_add(&keys, SPAN("{\"keys\":["));
    add_jwk(&keys, key, NULL, "");
    text_add(&keys, SPAN("]}"));
    (void)folder_write(&judging.folder, "keys.json", span_make(keys.bytes, keys.len),
                       0644);
    (void)folder_write(&judging.folder, "clients.json", span_of(clients), 0600);
    (void)folder_write(&judging.folder, "api-key", SPAN("the-key\n"), 0600);
    judging.snapshot =
        snapshot_load(folder_write(&judging.folder, "psgate.json", span_of(config), 0600),
                      NULL, NULL, &problems);
    ck_assert_msg(judging.snapshot != NULL, "%s", problems.lines.bytes);
    text_fini(&keys);
}

static void tear_down(void)
{
    judging_stop(&judging);
    jwt_memo_free(judging.memo);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    text_fini(&token);
}

/* Asks with the token; the client's name, or REASON_… as the name of no client. */
static const char *ask(enum reason *reason)
{
    static char name[32];
    struct text line = {0};
    struct judged judged;

    text_add_format(&line, "Authorization: Bearer %.*s\r\n", (int)token.len, token.bytes);
    judging_ask(&judging, "GET", "/v1/a", line.bytes, &judged);
    *reason = judged.is_admitted ? REASON_COUNT : judged.admission.reason;
    if (judged.is_admitted) {
        ck_assert_str_eq(judged.admission.auth, "jwt");
        (void)snprintf(name, sizeof(name), "%s", judged.admission.client->name);
    }
    judged_end(&judged);
    text_fini(&line);
    return *reason == REASON_COUNT ? name : NULL;
}

static void assert_client(const char *name)
{
    enum reason reason;

    ck_assert_pstr_eq(ask(&reason), name);
}

static void assert_refused(enum reason wanted)
{
    enum reason reason;

    ck_assert_ptr_null(ask(&reason));
    ck_assert_int_eq(reason, wanted);
}

static void sign(EVP_PKEY *with, const char *claims)
{
    make_jwt(&token, with, "{\"alg\":\"EdDSA\"}", claims);
}

static struct jwt_memo_key memo_key(void)
{
    struct jwt_memo_key memo = {.generation = judging.snapshot->generation};

    ck_assert(
        token_digest(judging.hasher, span_make(token.bytes, token.len), memo.digest));
    return memo;
}

static const struct client *remembered_at(int64_t seconds)
{
    struct jwt_memo_key memo = memo_key();

    return jwt_memo_find(judging.memo, &memo, seconds * 1000);
}

static const struct client *client_of(const char *name)
{
    bool is_ambiguous;
    json_t *claims = json_pack("{s:s}", "sub", name);
    const struct client *client =
        client_find_jwt(judging.snapshot->clients, ISSUER, claims, &is_ambiguous);

    json_decref(claims);
    ck_assert_ptr_nonnull(client);
    return client;
}

START_TEST(a_good_token_is_remembered_for_as_long_as_it_holds)
{
    sign(key, CLAIMS("a"));
    ck_assert_ptr_null(remembered_at(JUDGING_NOW));
    assert_client("a");
    ck_assert_ptr_eq(remembered_at(JUDGING_NOW), client_of("a"));
    ck_assert_ptr_null(remembered_at(NBF - LEEWAY - 1));
    ck_assert_ptr_nonnull(remembered_at(NBF - LEEWAY));
    ck_assert_ptr_nonnull(remembered_at(EXP + LEEWAY - 1));
    ck_assert_ptr_null(remembered_at(EXP + LEEWAY));
    assert_client("a");
}
END_TEST

START_TEST(what_is_remembered_is_not_verified_again)
{
    struct jwt_memo_key memo;

    sign(other, CLAIMS("a"));
    assert_refused(REASON_JWT_SIGNATURE);
    memo = memo_key();
    jwt_memo_add(judging.memo, &memo, 0, INT64_MAX, client_of("b"));
    assert_client("b");
}
END_TEST

START_TEST(what_was_so_under_other_clients_or_keys_is_verified)
{
    struct jwt_memo_key memo;

    sign(other, CLAIMS("a"));
    memo = memo_key();
    memo.generation++;
    jwt_memo_add(judging.memo, &memo, 0, INT64_MAX, client_of("b"));
    memo = memo_key();
    memo.list++;
    jwt_memo_add(judging.memo, &memo, 0, INT64_MAX, client_of("b"));
    memo = memo_key();
    jwt_memo_add(judging.memo, &memo, 0, (int64_t)JUDGING_NOW * 1000, client_of("b"));
    assert_refused(REASON_JWT_SIGNATURE);
}
END_TEST

START_TEST(what_lets_nobody_in_is_not_remembered)
{
    sign(other, CLAIMS("a"));
    assert_refused(REASON_JWT_SIGNATURE);
    ck_assert_ptr_null(remembered_at(JUDGING_NOW));
    sign(key, CLAIMS("nobody"));
    assert_refused(REASON_JWT_NO_CLIENT);
    ck_assert_ptr_null(remembered_at(JUDGING_NOW));
    sign(key,
         "{\"iss\":\"" ISSUER "\",\"aud\":\"else\",\"sub\":\"a\",\"exp\":1767226000}");
    assert_refused(REASON_JWT_AUDIENCE);
    ck_assert_ptr_null(remembered_at(JUDGING_NOW));
}
END_TEST

START_TEST(a_client_that_has_expired_is_refused_though_its_token_is_remembered)
{
    sign(key, CLAIMS("old"));
    assert_refused(REASON_JWT_CLIENT_EXPIRED);
    assert_refused(REASON_JWT_CLIENT_EXPIRED);
}
END_TEST

START_TEST(without_a_memo_all_is_verified)
{
    struct jwt_memo *memo = judging.memo;

    judging.memo = NULL;
    sign(key, CLAIMS("a"));
    assert_client("a");
    assert_client("a");
    sign(other, CLAIMS("a"));
    assert_refused(REASON_JWT_SIGNATURE);
    judging.memo = memo;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/admission_jwt");
    TCase *tcase = suite_case(suite, "memo");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_good_token_is_remembered_for_as_long_as_it_holds);
    tcase_add_test(tcase, what_is_remembered_is_not_verified_again);
    tcase_add_test(tcase, what_was_so_under_other_clients_or_keys_is_verified);
    tcase_add_test(tcase, what_lets_nobody_in_is_not_remembered);
    tcase_add_test(tcase,
                   a_client_that_has_expired_is_refused_though_its_token_is_remembered);
    tcase_add_test(tcase, without_a_memo_all_is_verified);
    return run_suite_in_folder(suite);
}
