/* JWTs signed with a key that is in an RFC, and so known. */
#ifndef PSGATE_TESTS_FUZZ_SIGNING_H
#define PSGATE_TESTS_FUZZ_SIGNING_H

#include <openssl/evp.h>

#include "fuzz/support.h"

enum { SIGNING_SIGNATURE_BYTES = 64 };

/* The key set in which the public half is. */
#define SIGNING_KEYS                                                                     \
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","                    \
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"

/* The first test key of RFC 8032 7.1, its public half as RFC 8037 A.2 has it. */
static const unsigned char signing_private_key[32] = {
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
    0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
    0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};

/* The private half; the caller frees it. */
static inline EVP_PKEY *signing_key(void)
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, signing_private_key, 32);

    fuzz_require(key != NULL, "no key to sign with");
    return key;
}

static inline void signing_add_base64url(struct text *out, const void *bytes, size_t len)
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

/* Adds the token of a header and a payload to *token, which is empty. */
static inline void signing_add(struct text *token, EVP_PKEY *key, struct span header,
                               struct span payload)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char signature[SIGNING_SIGNATURE_BYTES];
    size_t len = sizeof(signature);

    signing_add_base64url(token, header.at, header.len);
    text_add(token, SPAN("."));
    signing_add_base64url(token, payload.at, payload.len);
    fuzz_require(EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                     EVP_DigestSign(context, signature, &len,
                                    (const unsigned char *)token->bytes, token->len) == 1,
                 "cannot sign");
    EVP_MD_CTX_free(context);
    text_add(token, SPAN("."));
    signing_add_base64url(token, signature, len);
}

#endif
