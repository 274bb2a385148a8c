/*
 * JSON Web Tokens (RFC 7519) as signed by an identity provider: a compact JWS (RFC 7515)
 * is verified as a pure function of its text, the issuers with their keys, and the time.
 *
 * The key decides the algorithm, never the token (RFC 8725 3.1): RS256, ES256 and EdDSA.
 * Whatever a token says about where its key is to be found is refused, as is anything
 * that it says must be understood. The signature is checked before any claim but the
 * issuer is believed. What is parsed is bounded by the length of the token.
 */
#ifndef PSGATE_ACCESS_JWT_H
#define PSGATE_ACCESS_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "access/jwk.h"
#include "base/span.h"

enum {
    JWT_MOST_BYTES = 8192,
    JWT_MOST_TRIES = 8, /* keys that one token without a kid is tried with */
};

/* Who signs: plain data, borrowed from whoever keeps the keys. */
struct jwt_issuer {
    const char *name;            /* what "iss" says, exactly */
    const char *const *audience; /* one of these must be in "aud" */
    size_t audience_count;
    int64_t leeway_ms;    /* by how much clocks may differ: for exp, nbf and iat */
    struct jwk_set *keys; /* NULL: none have come yet */
};

enum jwt_verdict {
    JWT_GOOD,
    JWT_TOO_LONG,
    JWT_MALFORMED,         /* no compact JWS, or no sound JSON in it */
    JWT_HEADER_REFUSED,    /* brings or names a key of its own, or has "crit" */
    JWT_TYPE_REFUSED,      /* says that it is for something else */
    JWT_ALGORITHM_REFUSED, /* none, HS256, and all but those above */
    JWT_ISSUER_UNKNOWN,
    JWT_KEYS_MISSING, /* the issuer's keys have not been fetched yet */
    JWT_KEY_UNKNOWN,  /* no key of the issuer has this kid and algorithm */
    JWT_SIGNATURE_WRONG,
    JWT_AUDIENCE_WRONG,
    JWT_EXPIRY_MISSING,
    JWT_EXPIRED,
    JWT_TOO_EARLY, /* nbf or iat lies ahead */
    JWT_NO_MEMORY, /* it may be good */
    JWT_VERDICTS,
};

/* What a token amounts to. */
struct jwt {
    const struct jwt_issuer *issuer; /* whom it names, believed only if GOOD; or NULL */
    bool wants_keys;                 /* newer keys of the issuer might make it good */
    int64_t from_ms, until_ms; /* GOOD holds from the one until just before the other */
    json_t *claims;            /* an object, only if GOOD; the receiver's */
};

/*
 * Verifies a token; jwt_fini in any case. now_wall_ms is the calendar's time. Leaves
 * nothing in OpenSSL's queue of errors.
 */
enum jwt_verdict jwt_verify(struct span token, const struct jwt_issuer *issuers,
                            size_t count, int64_t now_wall_ms, struct jwt *jwt);
void jwt_fini(struct jwt *jwt);

/* Whether text has a compact JWS's looks: three parts in base64url, the last maybe empty.
 */
bool jwt_looks_like(struct span text);

/* Whether something that may be a JWT stands anywhere in text, whole or cut at its end.
 */
bool jwt_stands_in(struct span text);

#endif
