/*
 * The public keys of one issuer: a JSON Web Key Set (RFC 7517), read into an immutable,
 * reference-counted set. A key is for exactly one algorithm, which its kind decides, not
 * a token: RSA of 2048 to 8192 bits for RS256, P-256 for ES256, Ed25519 for EdDSA.
 */
#ifndef PSGATE_ACCESS_JWK_H
#define PSGATE_ACCESS_JWK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"

enum {
    JWK_MOST_TEXT_BYTES = 256 * 1024,
    JWK_MOST_KEYS = 64,
    JWK_MOST_SIGNATURE_BYTES = 1024, /* of an RSA key of 8192 bits */
};

enum jwk_algorithm { JWK_RS256, JWK_ES256, JWK_EDDSA };

struct jwk {
    const char *kid; /* NULL: it has none */
    enum jwk_algorithm algorithm;
    EVP_PKEY *key;
};

struct jwk_set {
    _Atomic unsigned references;
    struct arena arena;
    struct jwk *keys;
    size_t count;   /* at least one */
    size_t skipped; /* keys of the text that are of no use here, or unsound */
};

/*
 * Reads a key set. Keys for other uses and algorithms are passed over, as are unsound
 * ones, private ones among them. NULL with error set when it is no key set, or none of
 * its keys is of use: error then says why the first was not.
 */
struct jwk_set *jwk_set_parse(struct span text, struct error *error) MUST_CHECK;

struct jwk_set *jwk_set_ref(struct jwk_set *set);
void jwk_set_unref(struct jwk_set *set); /* NULL is fine */

/*
 * Whether signature is the key's over input, in JWS's form (RFC 7518 3.4: R and S for
 * ES256). From any thread. Why not may be in OpenSSL's queue of errors
 * (base/crypto_error.h).
 */
bool jwk_verify(const struct jwk *key, struct span input, const unsigned char *signature,
                size_t len);

#endif
