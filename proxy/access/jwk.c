#include "access/jwk.h"

#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "access/base64url.h"
#include "access/bounded_json.h"

enum {
    LEAST_RSA_BITS = 2048,
    MOST_RSA_BITS = 8192,
    MOST_EXPONENT_BYTES = 8, /* larger ones only make verifying slow */
    COORDINATE_BYTES = 32,   /* of P-256, and of Ed25519's one */
    MOST_DEPTH = 8,
    MOST_VALUES = 8192,
};

/* Members */

/* A member's text when it is a string; an empty span when it is absent or no string. */
static struct span text_of(const json_t *jwk, const char *name)
{
    const json_t *value = json_object_get(jwk, name);

    return json_is_string(value)
               ? span_make(json_string_value(value), json_string_length(value))
               : span_make(NULL, 0);
}

static bool has(const json_t *jwk, const char *name)
{
    return json_object_get(jwk, name) != NULL;
}

static bool decode(const json_t *jwk, const char *name, unsigned char *out,
                   size_t capacity, size_t *len)
{
    struct span text = text_of(jwk, name);

    return text.len > 0 && base64url_decode(text, out, capacity, len);
}

/* RFC 7517 4.2 and 4.3: what is said of the key's use must include ours. */
static bool is_for_signatures(const json_t *jwk)
{
    const json_t *operations = json_object_get(jwk, "key_ops");
    const json_t *operation;
    size_t i;

    if (has(jwk, "use") && !span_equal(text_of(jwk, "use"), SPAN("sig")))
        return false;
    if (operations == NULL)
        return true;
    json_array_foreach ((json_t *)(uintptr_t)operations, i, operation) {
        if (json_is_string(operation) &&
            strcmp(json_string_value(operation), "verify") == 0)
            return true;
    }
    return false;
}

/* The kinds of key */

/* Builds a public key from what was pushed, and has OpenSSL check it; NULL if unsound. */
static EVP_PKEY *build(OSSL_PARAM_BLD *parts, const char *kind)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(parts);
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    EVP_PKEY_CTX *checker = NULL;
    EVP_PKEY *key = NULL;

    if (params != NULL && maker != NULL && EVP_PKEY_fromdata_init(maker) == 1 &&
        EVP_PKEY_fromdata(maker, &key, EVP_PKEY_PUBLIC_KEY, params) == 1)
        checker = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (checker == NULL || EVP_PKEY_public_check(checker) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(checker);
    EVP_PKEY_CTX_free(maker);
    OSSL_PARAM_free(params);
    return key;
}

static bool check_rsa(const BIGNUM *n, const BIGNUM *e, struct error *error)
{
    if (BN_num_bits(n) < LEAST_RSA_BITS)
        return error_set(error, "an RSA key has %d bits (2048 are the least)",
                         BN_num_bits(n));
    if (BN_num_bits(n) > MOST_RSA_BITS)
        return error_set(error, "an RSA key has %d bits (8192 are the most)",
                         BN_num_bits(n));
    if (!BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e))
        return error_set(error, "an RSA key is unsound");
    return true;
}

static EVP_PKEY *make_rsa(const json_t *jwk, struct error *error)
{
    unsigned char n_bytes[MOST_RSA_BITS / 8 + 1], e_bytes[MOST_EXPONENT_BYTES];
    size_t n_len, e_len;
    BIGNUM *n = NULL, *e = NULL;
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;

    if (!decode(jwk, "n", n_bytes, sizeof(n_bytes), &n_len) ||
        !decode(jwk, "e", e_bytes, sizeof(e_bytes), &e_len)) {
        (void)error_set(error, "an RSA key's n or e is no number of sensible size in "
                               "base64url");
    } else {
        n = BN_bin2bn(n_bytes, (int)n_len, NULL);
        e = BN_bin2bn(e_bytes, (int)e_len, NULL);
        if (n == NULL || e == NULL || parts == NULL)
            (void)error_set(error, "out of memory");
        else if (check_rsa(n, e, error) &&
                 OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
                 OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
                 (key = build(parts, "RSA")) == NULL)
            (void)error_set(error, "an RSA key is unsound");
    }
    BN_free(n);
    BN_free(e);
    OSSL_PARAM_BLD_free(parts);
    return key;
}

/* RFC 7518 6.2.1: both coordinates in full length. */
static EVP_PKEY *make_ec(const json_t *jwk, struct error *error)
{
    unsigned char point[1 + 2 * COORDINATE_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    size_t x_len = 0, y_len = 0;
    OSSL_PARAM_BLD *parts;
    EVP_PKEY *key = NULL;

    if (!span_equal(text_of(jwk, "crv"), SPAN("P-256"))) {
        (void)error_set(error, "an EC key's curve is not P-256");
        return NULL;
    }
    if (!decode(jwk, "x", point + 1, COORDINATE_BYTES, &x_len) ||
        !decode(jwk, "y", point + 1 + COORDINATE_BYTES, COORDINATE_BYTES, &y_len) ||
        x_len != COORDINATE_BYTES || y_len != COORDINATE_BYTES) {
        (void)error_set(error, "an EC key's x or y is not 32 bytes in base64url");
        return NULL;
    }
    parts = OSSL_PARAM_BLD_new();
    if (parts != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1",
                                        0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         sizeof(point)) == 1)
        key = build(parts, "EC");
    if (key == NULL)
        (void)error_set(error, "an EC key is no point of P-256");
    OSSL_PARAM_BLD_free(parts);
    return key;
}

static EVP_PKEY *make_okp(const json_t *jwk, struct error *error)
{
    unsigned char point[COORDINATE_BYTES];
    size_t len = 0;
    EVP_PKEY *key;

    if (!span_equal(text_of(jwk, "crv"), SPAN("Ed25519"))) {
        (void)error_set(error, "an OKP key's curve is not Ed25519");
        return NULL;
    }
    if (!decode(jwk, "x", point, sizeof(point), &len) || len != sizeof(point)) {
        (void)error_set(error, "an OKP key's x is not 32 bytes in base64url");
        return NULL;
    }
    key = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, point, len);
    if (key == NULL)
        (void)error_set(error, "an Ed25519 key is unsound");
    return key;
}

static const struct {
    const char *kty;
    const char *alg;
    enum jwk_algorithm algorithm;
    EVP_PKEY *(*make)(const json_t *jwk, struct error *error);
} kinds[] = {
    {"RSA", "RS256", JWK_RS256, make_rsa},
    {"EC", "ES256", JWK_ES256, make_ec},
    {"OKP", "EdDSA", JWK_EDDSA, make_okp},
};

/* Sets */

/* Whether a key can be used; if not, error says why. */
static bool read_key(struct jwk_set *set, const json_t *jwk, struct jwk *out,
                     struct error *error)
{
    struct span kty = text_of(jwk, "kty"), kid = text_of(jwk, "kid");

    if (!json_is_object(jwk))
        return error_set(error, "a key is no object");
    if (has(jwk, "d") || has(jwk, "k"))
        return error_set(error, "a key is private or symmetric (publish only public "
                                "ones, and replace this one)");
    if (has(jwk, "kid") && kid.at == NULL)
        return error_set(error, "a key's kid is no string");
    if (!is_for_signatures(jwk))
        return error_set(error, "a key is not for signatures");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!span_equal(kty, span_of(kinds[i].kty)))
            continue;
        if (has(jwk, "alg") && !span_equal(text_of(jwk, "alg"), span_of(kinds[i].alg)))
            return error_set(error, "a key of kind %s is not for %s", kinds[i].kty,
                             kinds[i].alg);
        out->algorithm = kinds[i].algorithm;
        if (kid.at != NULL && (out->kid = arena_copy(&set->arena, kid)) == NULL)
            return error_set(error, "out of memory");
        out->key = kinds[i].make(jwk, error);
        return out->key != NULL;
    }
    return error_set(error, "a key is neither RSA, EC nor OKP");
}

static bool read_keys(struct jwk_set *set, const json_t *keys, struct error *error)
{
    struct error fault = {"it is empty"}, first = fault;

    if (!json_is_array(keys))
        return error_set(error, "is no key set: it has no array \"keys\"");
    if (json_array_size(keys) > JWK_MOST_KEYS)
        return error_set(error, "has more than %d keys", JWK_MOST_KEYS);
    set->keys =
        arena_alloc(&set->arena, (json_array_size(keys) + 1) * sizeof(struct jwk));
    if (set->keys == NULL)
        return error_set(error, "out of memory");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        struct jwk *key = &set->keys[set->count];

        *key = (struct jwk){0};
        if (read_key(set, json_array_get(keys, i), key, &fault))
            set->count++;
        else if (set->skipped++ == 0)
            first = fault;
    }
    return set->count > 0 ||
           error_set(error, "has no key for RS256, ES256 or EdDSA: %s", first.text);
}

struct jwk_set *jwk_set_parse(struct span text, struct error *error)
{
    struct jwk_set *set = calloc(1, sizeof(*set));
    json_t *root = NULL;
    bool is_read = false;

    if (set == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    atomic_init(&set->references, 1);
    (void)ERR_set_mark();
    if (text.len > JWK_MOST_TEXT_BYTES)
        (void)error_set(error, "is larger than 256 KiB");
    else if ((root = bounded_json_object(text, MOST_DEPTH, MOST_VALUES)) == NULL)
        (void)error_set(error, "is no JSON object of sensible size without repeated "
                               "members");
    else
        is_read = read_keys(set, json_object_get(root, "keys"), error);
    (void)ERR_pop_to_mark();
    json_decref(root);
    if (is_read)
        return set;
    jwk_set_unref(set);
    return NULL;
}

struct jwk_set *jwk_set_ref(struct jwk_set *set)
{
    (void)atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    return set;
}

void jwk_set_unref(struct jwk_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->references, 1) != 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        EVP_PKEY_free(set->keys[i].key);
    arena_fini(&set->arena);
    free(set);
}

/* Signatures */

static bool verify(EVP_PKEY *key, const char *digest, struct span input,
                   const unsigned char *signature, size_t len)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good =
        context != NULL &&
        EVP_DigestVerifyInit_ex(context, NULL, digest, NULL, NULL, key, NULL) == 1 &&
        EVP_DigestVerify(context, signature, len, (const unsigned char *)input.at,
                         input.len) == 1;

    EVP_MD_CTX_free(context);
    return is_good;
}

/* OpenSSL wants R and S in DER; it refuses those outside 1 to n - 1 (CVE-2022-21449). */
static bool verify_ecdsa(EVP_PKEY *key, struct span input, const unsigned char *signature)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, COORDINATE_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(signature + COORDINATE_BYTES, COORDINATE_BYTES, NULL);
    unsigned char *der = NULL;
    bool is_good = false;
    int der_len;

    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL;
        der_len = i2d_ECDSA_SIG(pair, &der);
        is_good = der_len > 0 && verify(key, "SHA256", input, der, (size_t)der_len);
    }
    OPENSSL_free(der);
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return is_good;
}

bool jwk_verify(const struct jwk *key, struct span input, const unsigned char *signature,
                size_t len)
{
    bool is_good = false;

    switch (key->algorithm) {
    case JWK_RS256:
        is_good = verify(key->key, "SHA256", input, signature, len);
        break;
    case JWK_ES256:
        is_good = len == (size_t)2 * COORDINATE_BYTES &&
                  verify_ecdsa(key->key, input, signature);
        break;
    case JWK_EDDSA:
        is_good = verify(key->key, NULL, input, signature, len);
        break;
    }
    return is_good;
}
