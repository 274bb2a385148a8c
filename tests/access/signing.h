/* An identity provider in a test: keys made on the spot, their JWKs, and signed tokens.
 */
#ifndef PSGATE_TESTS_ACCESS_SIGNING_H
#define PSGATE_TESTS_ACCESS_SIGNING_H

#include <check.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "base/text.h"

/* base64url without padding (RFC 4648 5). */
static inline void add_base64url(struct text *out, const void *bytes, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *in = bytes;

    for (size_t i = 0; i < len; i += 3) {
        unsigned word = (unsigned)in[i] << 16 |
                        (i + 1 < len ? (unsigned)in[i + 1] << 8 : 0) |
                        (i + 2 < len ? (unsigned)in[i + 2] : 0);

        for (unsigned k = 0; k < 4 && i + k <= len; k++)
            text_add_byte(out, alphabet[word >> (18 - 6 * k) & 0x3f]);
    }
}

static inline void add_number_member(struct text *out, const EVP_PKEY *key,
                                     const char *param, const char *name, int least)
{
    unsigned char bytes[1024];
    BIGNUM *number = NULL;
    int len;

    ck_assert_int_eq(EVP_PKEY_get_bn_param(key, param, &number), 1);
    len = BN_num_bytes(number) > least ? BN_num_bytes(number) : least;
    ck_assert_int_eq(BN_bn2binpad(number, bytes, len), len);
    text_add_format(out, ",\"%s\":\"", name);
    add_base64url(out, bytes, (size_t)len);
    text_add_byte(out, '"');
    BN_free(number);
}

/* {"kty":…} with that kid (NULL: none) and further members, each with a comma before it.
 */
static inline void add_jwk(struct text *out, EVP_PKEY *key, const char *kid,
                           const char *more)
{
    unsigned char raw[32];
    size_t len = sizeof(raw);

    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        text_add(out, SPAN("{\"kty\":\"RSA\""));
        add_number_member(out, key, OSSL_PKEY_PARAM_RSA_N, "n", 0);
        add_number_member(out, key, OSSL_PKEY_PARAM_RSA_E, "e", 0);
        break;
    case EVP_PKEY_EC:
        text_add_format(out, "{\"kty\":\"EC\",\"crv\":\"%s\"",
                        EVP_PKEY_get_bits(key) == 256 ? "P-256" : "P-384");
        add_number_member(out, key, OSSL_PKEY_PARAM_EC_PUB_X, "x",
                          EVP_PKEY_get_bits(key) / 8);
        add_number_member(out, key, OSSL_PKEY_PARAM_EC_PUB_Y, "y",
                          EVP_PKEY_get_bits(key) / 8);
        break;
    default:
        ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key, raw, &len), 1);
        text_add(out, SPAN("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\""));
        add_base64url(out, raw, len);
        text_add_byte(out, '"');
    }
    if (kid != NULL)
        text_add_format(out, ",\"kid\":\"%s\"", kid);
    text_add_format(out, "%s}", more);
}

/* R and S side by side (RFC 7518 3.4). */
static inline size_t ecdsa_to_jws(unsigned char *signature, size_t len)
{
    const unsigned char *at = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);

    ck_assert_ptr_nonnull(pair);
    ck_assert_int_eq(BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, 32), 32);
    ck_assert_int_eq(BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + 32, 32), 32);
    ECDSA_SIG_free(pair);
    return 64;
}

static inline size_t sign_bytes(EVP_PKEY *key, struct span input,
                                unsigned char signature[1024])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_ed = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
    size_t len = 1024;

    ck_assert_int_eq(
        EVP_DigestSignInit(context, NULL, is_ed ? NULL : EVP_sha256(), NULL, key), 1);
    ck_assert_int_eq(EVP_DigestSign(context, signature, &len,
                                    (const unsigned char *)input.at, input.len),
                     1);
    EVP_MD_CTX_free(context);
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC ? ecdsa_to_jws(signature, len) : len;
}

/* The token of a header and a payload; key NULL: without a signature. Replaces *out. */
static inline void make_jwt(struct text *out, EVP_PKEY *key, const char *header,
                            const char *payload)
{
    unsigned char signature[1024];
    size_t len;

    text_clear(out);
    add_base64url(out, header, strlen(header));
    text_add_byte(out, '.');
    add_base64url(out, payload, strlen(payload));
    len = key != NULL ? sign_bytes(key, span_make(out->bytes, out->len), signature) : 0;
    text_add_byte(out, '.');
    add_base64url(out, signature, len);
    ck_assert(!out->failed);
}

/* HS256 with whatever bytes as the secret. */
static inline void make_hs256(struct text *out, struct span secret, const char *header,
                              const char *payload)
{
    unsigned char mac[32];
    unsigned len = sizeof(mac);

    make_jwt(out, NULL, header, payload);
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), secret.at, (int)secret.len,
                               (const unsigned char *)out->bytes, out->len - 1, mac,
                               &len));
    add_base64url(out, mac, len);
}

#endif
