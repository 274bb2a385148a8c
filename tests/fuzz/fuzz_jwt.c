/*
 * JWTs: whatever is not signed by the issuer's key is never good, and what is signed is
 * good only if its claims say so, read once more by a common parser.
 *
 * Byte 0 chooses: a token as it is; a header, a NUL and a payload to be signed with the
 * issuer's key, or with another; or a good token of which a byte is changed.
 */
#include "access/jwt.h"
#include "fuzz/signing.h"

#define ISSUER "https://issuer.test"
#define NOW_S INT64_C(1767225600) /* 2026-01-01 */

enum { LEEWAY_S = 60 };

static const unsigned char other_key[32] = {1, 2, 3};

static const char *const audience[] = {"psgate"};
static struct jwt_issuer issuer = {.name = ISSUER,
                                   .audience = audience,
                                   .audience_count = 1,
                                   .leeway_ms = LEEWAY_S * 1000};
static EVP_PKEY *signing, *other;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct error error;

    (void)argc;
    (void)argv;
    issuer.keys = jwk_set_parse(SPAN(SIGNING_KEYS), &error);
    fuzz_require(issuer.keys != NULL, "no keys");
    signing = signing_key();
    other = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, other_key, 32);
    fuzz_require(signing != NULL && other != NULL, "no keys to sign with");
    return 0;
}

static enum jwt_verdict judge(struct span token, json_t **claims)
{
    struct span copy = fuzz_copy(token);
    struct jwt jwt;
    enum jwt_verdict verdict = jwt_verify(copy, &issuer, 1, NOW_S * 1000, &jwt);

    fuzz_require((verdict == JWT_GOOD) == (jwt.claims != NULL),
                 "claims without a verdict");
    fuzz_require(verdict != JWT_GOOD || jwt_looks_like(copy),
                 "good, but looks otherwise");
    *claims = json_incref(jwt.claims);
    jwt_fini(&jwt);
    fuzz_free(copy);
    return verdict;
}

static bool has_audience(const json_t *claims)
{
    const json_t *aud = json_object_get(claims, "aud");
    size_t i;
    json_t *element;

    if (json_is_string(aud))
        return strcmp(json_string_value(aud), "psgate") == 0;
    json_array_foreach (aud, i, element) {
        if (json_is_string(element) && strcmp(json_string_value(element), "psgate") == 0)
            return true;
    }
    return false;
}

static double time_of(const json_t *claims, const char *name, double otherwise)
{
    const json_t *value = json_object_get(claims, name);

    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* What a good token must say. */
static void check_good(struct span header_text, struct span payload)
{
    json_t *header =
        json_loadb(header_text.at, header_text.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *claims = json_loadb(payload.at, payload.len, JSON_REJECT_DUPLICATES, NULL);
    const char *algorithm = json_string_value(json_object_get(header, "alg"));
    const char *name = json_string_value(json_object_get(claims, "iss"));

    fuzz_require(header != NULL && claims != NULL, "good, but no JSON for others");
    fuzz_require(algorithm != NULL && strcmp(algorithm, "EdDSA") == 0,
                 "good, with another algorithm");
    fuzz_require(json_object_get(header, "crit") == NULL &&
                     json_object_get(header, "jwk") == NULL,
                 "good, with a header that must be refused");
    fuzz_require(name != NULL && strcmp(name, ISSUER) == 0 && has_audience(claims),
                 "good, for another issuer or audience");
    fuzz_require(time_of(claims, "exp", 0) > (double)(NOW_S - LEEWAY_S - 1) &&
                     time_of(claims, "nbf", 0) < (double)(NOW_S + LEEWAY_S + 1) &&
                     time_of(claims, "iat", 0) < (double)(NOW_S + LEEWAY_S + 1),
                 "good, but not at this time");
    json_decref(header);
    json_decref(claims);
}

static void check_signed(struct span input, bool by_other)
{
    struct span header = fuzz_take_until(&input, '\0');
    struct text token = {0};
    json_t *claims;

    signing_add(&token, by_other ? other : signing, header, input);
    if (judge(fuzz_text(&token), &claims) == JWT_GOOD) {
        fuzz_require(!by_other, "another key's signature is taken");
        check_good(header, input);
    }
    json_decref(claims);
    text_fini(&token);
}

static void check_changed(struct span input)
{
    struct text token = {0};
    json_t *claims;
    size_t at;
    char byte;

    signing_add(&token, signing, SPAN("{\"alg\":\"EdDSA\",\"kid\":\"ed\"}"),
                SPAN("{\"iss\":\"" ISSUER "\",\"aud\":\"psgate\",\"exp\":1767225900}"));
    at = (fuzz_byte(&input) * 256 + fuzz_byte(&input)) % token.len;
    byte = (char)fuzz_byte(&input);
    if (byte != token.bytes[at]) {
        token.bytes[at] = byte;
        fuzz_require(judge(fuzz_text(&token), &claims) != JWT_GOOD,
                     "a changed token is good: %s", fuzz_shown(fuzz_text(&token)));
    } else {
        fuzz_require(judge(fuzz_text(&token), &claims) == JWT_GOOD, "a good one is not");
        json_decref(claims);
    }
    text_fini(&token);
}

static void check_text(struct span input)
{
    struct span copy = fuzz_copy(input);
    json_t *claims;

    (void)judge(input, &claims);
    json_decref(claims);
    (void)jwt_looks_like(copy);
    if (!jwt_stands_in(copy) && copy.len > 1)
        fuzz_require(!jwt_stands_in(span_make(copy.at + 1, copy.len - 1)),
                     "a token stands in a part, and not in the whole");
    fuzz_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);

    switch (fuzz_byte(&input) & 3) {
    case 0:
        check_text(input);
        break;
    case 1:
        check_signed(input, false);
        break;
    case 2:
        check_signed(input, true);
        break;
    default:
        check_changed(input);
    }
    return 0;
}
