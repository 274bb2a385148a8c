/* Key sets: which keys are taken, and which are passed over. */
#include "access/jwk.h"

#include <openssl/err.h>

#include "access/signing.h"
#include "support/suite.h"

static struct text text;

static void set_up(void)
{
    text_add(&text, SPAN("{\"keys\":["));
}

static void tear_down(void)
{
    ck_assert_uint_eq(ERR_peek_error(), 0);
    text_fini(&text);
}

/* The set of what is in text so far, in a block of exactly its size. */
static struct jwk_set *parse(struct error *error)
{
    struct span exact = exact_span(span_make(text.bytes, text.len));
    struct jwk_set *set = jwk_set_parse(exact, error);

    free((char *)(uintptr_t)exact.at);
    return set;
}

/* One key of a kind with these members must be refused for that. */
static void assert_key_is_refused(EVP_PKEY *key, const char *members, const char *why)
{
    struct error error = {""};

    add_jwk(&text, key, NULL, members);
    text_add(&text, SPAN("]}"));
    ck_assert_ptr_null(parse(&error));
    ck_assert_msg(strstr(error.text, why) != NULL, "'%s' is not in '%s'", why,
                  error.text);
    EVP_PKEY_free(key);
}

START_TEST(keys_of_the_three_kinds_are_taken)
{
    EVP_PKEY *made[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-256"),
                        EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_EC_gen("P-384")};
    static const char *const kids[] = {"a", NULL, "", "other"};
    struct jwk_set *set;
    struct error error;

    for (int i = 0; i < 4; i++) {
        text_add(&text, i > 0 ? SPAN(",") : SPAN(""));
        add_jwk(&text, made[i], kids[i], ",\"ext\":true");
    }
    text_add(&text, SPAN("],\"more\":1}"));
    set = parse(&error);
    ck_assert_msg(set != NULL, "%s", error.text);
    ck_assert_uint_eq(set->count, 3);
    ck_assert_uint_eq(set->skipped, 1);
    ck_assert_int_eq(set->keys[0].algorithm, JWK_RS256);
    ck_assert_str_eq(set->keys[0].kid, "a");
    ck_assert_int_eq(set->keys[1].algorithm, JWK_ES256);
    ck_assert_ptr_null(set->keys[1].kid);
    ck_assert_int_eq(set->keys[2].algorithm, JWK_EDDSA);
    ck_assert_str_eq(set->keys[2].kid, "");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(EVP_PKEY_eq(set->keys[i].key, made[i]), 1);
    for (int i = 0; i < 4; i++)
        EVP_PKEY_free(made[i]);
    ck_assert_ptr_eq(jwk_set_ref(set), set);
    jwk_set_unref(set);
    jwk_set_unref(set);
    jwk_set_unref(NULL);
}
END_TEST

START_TEST(small_rsa_keys_are_refused)
{
    assert_key_is_refused(EVP_RSA_gen(1024), "", "1024 bits (2048 are the least)");
}
END_TEST

START_TEST(rsa_keys_of_2047_bits_are_refused)
{
    assert_key_is_refused(EVP_RSA_gen(2047), "", "2047 bits");
}
END_TEST

START_TEST(other_curves_are_refused)
{
    assert_key_is_refused(EVP_EC_gen("P-384"), "", "curve is not P-256");
}
END_TEST

START_TEST(keys_for_encryption_are_refused)
{
    assert_key_is_refused(EVP_EC_gen("P-256"), ",\"use\":\"enc\"", "not for signatures");
}
END_TEST

START_TEST(keys_that_do_not_verify_are_refused)
{
    assert_key_is_refused(EVP_EC_gen("P-256"), ",\"key_ops\":[\"sign\"]",
                          "not for signatures");
}
END_TEST

START_TEST(keys_of_other_algorithms_are_refused)
{
    assert_key_is_refused(EVP_RSA_gen(2048), ",\"alg\":\"RS512\"", "not for RS256");
}
END_TEST

START_TEST(private_keys_are_refused)
{
    assert_key_is_refused(EVP_EC_gen("P-256"), ",\"d\":\"AAAA\"", "private");
}
END_TEST

START_TEST(repeated_members_are_refused)
{
    assert_key_is_refused(EVP_EC_gen("P-256"), ",\"kty\":\"EC\"", "repeated");
}
END_TEST

/* Whole key sets that are of no use. */
static const struct {
    const char *text, *why;
} refused[] = {
    {"", "no JSON"},
    {"[]", "no JSON object"},
    {"{}", "no array \"keys\""},
    {"{\"keys\":{}}", "no array \"keys\""},
    {"{\"keys\":[]}", "it is empty"},
    {"{\"keys\":[1]}", "no object"},
    {"{\"keys\":[{}]}", "neither RSA, EC nor OKP"},
    {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}", "symmetric"},
    {"{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\"}]}", "neither RSA, EC nor OKP"},
    {"{\"keys\":[{\"kty\":\"rsa\"}]}", "neither RSA, EC nor OKP"},
    {"{\"keys\":[{\"kty\":\"RSA\"}]}", "n or e"},
    {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "17 bits"},
    {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ==\",\"e\":\"AQAB\"}]}", "n or e"},
    {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
     "not 32 bytes"},
    {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
     "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
     "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}",
     "no point of P-256"},
    {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AA\"}]}", "not Ed25519"},
    {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}", "not 32 bytes"},
    {"{\"keys\":[{\"kty\":\"OKP\",\"kid\":1}]}", "kid is no string"},
    {"{\"keys\":[[[[[[[[[[[[[]]]]]]]]]]]]]}", "sensible size"},
    {"<html>", "no JSON"},
};

START_TEST(a_useless_set_is_refused)
{
    struct error error = {""};

    text_clear(&text);
    text_add(&text, span_of(refused[_i].text));
    ck_assert_ptr_null(parse(&error));
    ck_assert_msg(strstr(error.text, refused[_i].why) != NULL, "'%s' is not in '%s'",
                  refused[_i].why, error.text);
}
END_TEST

START_TEST(a_set_has_64_keys_at_most)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct jwk_set *set;
    struct error error;

    for (int i = 0; i < JWK_MOST_KEYS; i++) {
        text_add(&text, i > 0 ? SPAN(",") : SPAN(""));
        add_jwk(&text, key, "same", "");
    }
    text_add(&text, SPAN("]}"));
    set = parse(&error);
    ck_assert_msg(set != NULL, "%s", error.text);
    ck_assert_uint_eq(set->count, JWK_MOST_KEYS);
    jwk_set_unref(set);
    text.len -= 2;
    text_add(&text, SPAN(",{}]}"));
    ck_assert_ptr_null(parse(&error));
    ck_assert_ptr_nonnull(strstr(error.text, "more than 64"));
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(a_set_has_256_kib_at_most)
{
    struct error error;

    for (int i = 0; i < JWK_MOST_TEXT_BYTES; i++)
        text_add_byte(&text, ' ');
    text_add(&text, SPAN("]}"));
    ck_assert_ptr_null(parse(&error));
    ck_assert_ptr_nonnull(strstr(error.text, "larger than 256 KiB"));
}
END_TEST

START_TEST(a_set_that_is_cut_is_refused)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct error error;
    size_t len;

    add_jwk(&text, key, "k", "");
    text_add(&text, SPAN("]}"));
    len = text.len;
    while (--text.len > 0)
        ck_assert_ptr_null(parse(&error));
    text.len = len;
    EVP_PKEY_free(key);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/jwk");
    TCase *sets = suite_case(suite, "sets");

    tcase_add_checked_fixture(sets, set_up, tear_down);
    tcase_add_test(sets, keys_of_the_three_kinds_are_taken);
    tcase_add_test(sets, small_rsa_keys_are_refused);
    tcase_add_test(sets, rsa_keys_of_2047_bits_are_refused);
    tcase_add_test(sets, other_curves_are_refused);
    tcase_add_test(sets, keys_for_encryption_are_refused);
    tcase_add_test(sets, keys_that_do_not_verify_are_refused);
    tcase_add_test(sets, keys_of_other_algorithms_are_refused);
    tcase_add_test(sets, private_keys_are_refused);
    tcase_add_test(sets, repeated_members_are_refused);
    tcase_add_loop_test(sets, a_useless_set_is_refused, 0, ROWS(refused));
    tcase_add_test(sets, a_set_has_64_keys_at_most);
    tcase_add_test(sets, a_set_has_256_kib_at_most);
    tcase_add_test(sets, a_set_that_is_cut_is_refused);
    return run_suite(suite);
}
