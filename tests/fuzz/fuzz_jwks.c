/*
 * Key sets: any text is a set of sound keys, or is refused with a reason; and no key
 * takes a signature that nobody made.
 */
#include <openssl/err.h>

#include "access/base64url.h"
#include "access/jwk.h"
#include "fuzz/support.h"

static void check_key(const struct jwk *key)
{
    static const unsigned char nothing[512];
    int bits = EVP_PKEY_get_bits(key->key);

    switch (key->algorithm) {
    case JWK_RS256:
        fuzz_require(EVP_PKEY_is_a(key->key, "RSA") && bits >= 2048 && bits <= 8192,
                     "an RSA key of %d bits", bits);
        break;
    case JWK_ES256:
        fuzz_require(EVP_PKEY_is_a(key->key, "EC") && bits == 256, "a curve of %d bits",
                     bits);
        break;
    case JWK_EDDSA:
        fuzz_require(EVP_PKEY_is_a(key->key, "ED25519"), "another kind of key");
        break;
    }
    fuzz_require(!jwk_verify(key, SPAN("text"), nothing, sizeof(nothing)) &&
                     !jwk_verify(key, SPAN("text"), nothing, 64) &&
                     !jwk_verify(key, SPAN("text"), nothing, 0),
                 "a signature of nothing is taken");
}

static void check_base64url(struct span text)
{
    unsigned char out[64];
    size_t len;

    if (base64url_decode(text, out, sizeof(out), &len))
        fuzz_require(base64url_is_alphabet(text) && len == text.len * 3 / 4,
                     "%zu bytes of %zu letters", len, text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = fuzz_copy(fuzz_span(data, size));
    struct error error = {.text = ""};
    struct jwk_set *set = jwk_set_parse(text, &error);

    check_base64url(text);
    fuzz_require((set == NULL) == (error.text[0] != '\0'),
                 "a set and an error, or neither");
    fuzz_require(ERR_peek_error() == 0, "something is left in OpenSSL's queue");
    if (set != NULL) {
        fuzz_require(set->count > 0 && set->count + set->skipped <= JWK_MOST_KEYS,
                     "%zu keys", set->count);
        for (size_t i = 0; i < set->count; i++)
            check_key(&set->keys[i]);
    }
    ERR_clear_error(); /* where jwk_verify says why not */
    jwk_set_unref(set);
    fuzz_free(text);
    return 0;
}
