#include "access/jwt.h"

#include <math.h>

#include "access/base64url.h"
#include "access/bounded_json.h"
#include "base/crypto_error.h"
#include "base/json_text.h"
#include "base/secret.h"

enum {
    MOST_DECODED_BYTES = JWT_MOST_BYTES / 4 * 3,
    MOST_HEADER_VALUES = 64,
    MOST_CLAIM_VALUES = 1024,
    MOST_DEPTH = 16,
};

/* 9999-12-31T23:59:59Z: later times are mistakes, and would overflow as milliseconds. */
static const double latest_time = 253402300799.0;

/* The parts of a token, as they are written. */
struct parts {
    struct span header, payload, signature;
    struct span signed_text; /* header and payload, with their dot */
};

/* What a header says and is heeded. */
struct header {
    enum jwk_algorithm algorithm;
    const char *kid; /* NULL: none; borrowed from the header's JSON */
};

/* Form */

static bool split(struct span token, struct parts *parts)
{
    const char *end = token.at + token.len;
    const char *first = token.len > 0 ? memchr(token.at, '.', token.len) : NULL;
    const char *second =
        first != NULL ? memchr(first + 1, '.', (size_t)(end - first) - 1) : NULL;

    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second) - 1) != NULL)
        return false;
    parts->header = span_make(token.at, (size_t)(first - token.at));
    parts->payload = span_make(first + 1, (size_t)(second - first) - 1);
    parts->signature = span_make(second + 1, (size_t)(end - second) - 1);
    parts->signed_text = span_make(token.at, (size_t)(second - token.at));
    return parts->header.len > 0 && parts->payload.len > 0;
}

bool jwt_looks_like(struct span text)
{
    struct parts parts;

    return split(text, &parts) && base64url_is_alphabet(parts.header) &&
           base64url_is_alphabet(parts.payload) && base64url_is_alphabet(parts.signature);
}

/* How many bytes of the alphabet stand at the beginning. */
static size_t run_length(struct span text)
{
    size_t len = 0;

    while (len < text.len && base64url_is_alphabet(span_make(text.at + len, 1)))
        len++;
    return len;
}

/*
 * A header is an object, '{' and then a quote or white space, so its base64url begins
 * with "ey" or "ew"; the shortest that names an algorithm has 18 characters. What follows
 * the first dot may be cut.
 */
static bool begins_jwt(struct span text)
{
    enum { LEAST_HEADER = 16, LEAST_PAYLOAD = 8 };
    size_t header = run_length(text);

    return header >= LEAST_HEADER && text.len - header > LEAST_PAYLOAD &&
           text.at[header] == '.' &&
           run_length(span_make(text.at + header + 1, text.len - header - 1)) >=
               LEAST_PAYLOAD;
}

bool jwt_stands_in(struct span text)
{
    size_t run_end = 0;

    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.at[i] != 'e' || (text.at[i + 1] != 'y' && text.at[i + 1] != 'w'))
            continue;
        /* A run without a dot behind it is looked at once, however many an e is in it. */
        if (i < run_end)
            continue;
        if (begins_jwt(span_make(text.at + i, text.len - i)))
            return true;
        run_end = i + run_length(span_make(text.at + i, text.len - i));
    }
    return false;
}

/* The header */

static json_t *read_part(struct span part, unsigned char *scratch, unsigned values)
{
    size_t len;

    if (!base64url_decode(part, scratch, MOST_DECODED_BYTES, &len))
        return NULL;
    return bounded_json_object(span_make((const char *)scratch, len), MOST_DEPTH, values);
}

static bool find_algorithm(const char *name, enum jwk_algorithm *algorithm)
{
    static const char *const names[] = {
        [JWK_RS256] = "RS256", [JWK_ES256] = "ES256", [JWK_EDDSA] = "EdDSA"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            *algorithm = (enum jwk_algorithm)i;
            return true;
        }
    }
    return false;
}

/* RFC 8725 3.11: a logout or event token of the same issuer is no proof of identity. */
static bool is_our_type(const json_t *header)
{
    const json_t *type = json_object_get(header, "typ");
    struct span text;

    if (type == NULL)
        return true;
    if (!json_is_string(type))
        return false;
    text = span_of(json_string_value(type));
    return span_equal_nocase(text, SPAN("JWT")) ||
           span_equal_nocase(text, SPAN("at+jwt")) ||
           span_equal_nocase(text, SPAN("application/at+jwt"));
}

static enum jwt_verdict read_header(const json_t *json, struct header *header)
{
    static const char *const refused[] = {"jwk", "jku", "x5c", "x5u", "crit"};
    const json_t *algorithm = json_object_get(json, "alg");
    const json_t *kid = json_object_get(json, "kid");

    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (json_object_get(json, refused[i]) != NULL)
            return JWT_HEADER_REFUSED;
    }
    if (!json_is_string(algorithm) || (kid != NULL && !json_is_string(kid)))
        return JWT_MALFORMED;
    if (!is_our_type(json))
        return JWT_TYPE_REFUSED;
    header->kid = json_string_value(kid);
    return find_algorithm(json_string_value(algorithm), &header->algorithm)
               ? JWT_GOOD
               : JWT_ALGORITHM_REFUSED;
}

/* The signature */

static bool may_have_signed(const struct jwk *key, const struct header *header)
{
    return key->algorithm == header->algorithm &&
           (header->kid == NULL ||
            (key->kid != NULL && strcmp(key->kid, header->kid) == 0));
}

static enum jwt_verdict check_signature(const struct parts *parts,
                                        const struct header *header, struct jwt *jwt)
{
    const struct jwk_set *keys = jwt->issuer->keys;
    unsigned char signature[JWK_MOST_SIGNATURE_BYTES];
    unsigned tried = 0;
    size_t len;

    (void)crypto_error_was_memory(); /* what was there is not ours */
    if (!base64url_decode(parts->signature, signature, sizeof(signature), &len))
        return JWT_MALFORMED;
    for (size_t i = 0; keys != NULL && i < keys->count && tried < JWT_MOST_TRIES; i++) {
        if (!may_have_signed(&keys->keys[i], header))
            continue;
        tried++;
        if (jwk_verify(&keys->keys[i], parts->signed_text, signature, len)) {
            (void)crypto_error_was_memory();
            return JWT_GOOD;
        }
        if (crypto_error_was_memory())
            return JWT_NO_MEMORY;
    }
    jwt->wants_keys = tried == 0 || header->kid == NULL;
    if (keys == NULL)
        return JWT_KEYS_MISSING;
    return tried == 0 ? JWT_KEY_UNKNOWN : JWT_SIGNATURE_WRONG;
}

/* The claims */

static const struct jwt_issuer *
find_issuer(const json_t *claims, const struct jwt_issuer *issuers, size_t count)
{
    const json_t *name = json_object_get(claims, "iss");

    for (size_t i = 0; json_is_string(name) && i < count; i++) {
        if (strcmp(issuers[i].name, json_string_value(name)) == 0)
            return &issuers[i];
    }
    return NULL;
}

static bool is_audience(const struct jwt_issuer *issuer, const json_t *value)
{
    for (size_t i = 0; json_is_string(value) && i < issuer->audience_count; i++) {
        if (strcmp(issuer->audience[i], json_string_value(value)) == 0)
            return true;
    }
    return false;
}

static bool has_audience(const struct jwt_issuer *issuer, const json_t *claims)
{
    json_t *audience = json_object_get(claims, "aud");
    const json_t *value;
    size_t i;

    json_array_foreach (audience, i, value) {
        if (is_audience(issuer, value))
            return true;
    }
    return is_audience(issuer, audience);
}

/* RFC 7519 2, NumericDate: seconds, perhaps with a fraction. False: it is none. */
static bool read_time(const json_t *value, int64_t *ms)
{
    double seconds = json_number_value(value);

    if (!json_is_number(value) || !(seconds >= 0 && seconds <= latest_time))
        return false;
    *ms = (int64_t)floor(seconds * 1000);
    return true;
}

/* Moves *from_ms to a claim's time if that is later; the claim may be absent. */
static bool put_off(const json_t *value, int64_t *from_ms)
{
    int64_t ms;

    if (value == NULL)
        return true;
    if (!read_time(value, &ms))
        return false;
    if (ms > *from_ms)
        *from_ms = ms;
    return true;
}

static enum jwt_verdict check_times(struct jwt *jwt, int64_t now_wall_ms)
{
    const json_t *expiry = json_object_get(jwt->claims, "exp");

    if (expiry == NULL)
        return JWT_EXPIRY_MISSING;
    jwt->from_ms = 0;
    if (!read_time(expiry, &jwt->until_ms) ||
        !put_off(json_object_get(jwt->claims, "nbf"), &jwt->from_ms) ||
        !put_off(json_object_get(jwt->claims, "iat"), &jwt->from_ms))
        return JWT_MALFORMED;
    jwt->until_ms += jwt->issuer->leeway_ms;
    jwt->from_ms -= jwt->issuer->leeway_ms;
    if (now_wall_ms >= jwt->until_ms)
        return JWT_EXPIRED;
    return now_wall_ms >= jwt->from_ms ? JWT_GOOD : JWT_TOO_EARLY;
}

/* All of it, in the order in which a token earns belief. */

static enum jwt_verdict verify_parts(const struct parts *parts, const json_t *header_json,
                                     const struct jwt_issuer *issuers, size_t count,
                                     int64_t now_wall_ms, struct jwt *jwt)
{
    struct header header;
    enum jwt_verdict verdict = read_header(header_json, &header);

    if (verdict != JWT_GOOD)
        return verdict;
    jwt->issuer = find_issuer(jwt->claims, issuers, count);
    if (jwt->issuer == NULL)
        return JWT_ISSUER_UNKNOWN;
    verdict = check_signature(parts, &header, jwt);
    if (verdict != JWT_GOOD)
        return verdict;
    if (!has_audience(jwt->issuer, jwt->claims))
        return JWT_AUDIENCE_WRONG;
    return check_times(jwt, now_wall_ms);
}

enum jwt_verdict jwt_verify(struct span token, const struct jwt_issuer *issuers,
                            size_t count, int64_t now_wall_ms, struct jwt *jwt)
{
    unsigned char scratch[MOST_DECODED_BYTES];
    enum jwt_verdict verdict = JWT_MALFORMED;
    struct parts parts;
    json_t *header = NULL;

    *jwt = (struct jwt){.claims = NULL};
    if (token.len > JWT_MOST_BYTES)
        return JWT_TOO_LONG;
    if (!split(token, &parts))
        return JWT_MALFORMED;
    (void)json_text_was_starved();
    header = read_part(parts.header, scratch, MOST_HEADER_VALUES);
    if (header != NULL)
        jwt->claims = read_part(parts.payload, scratch, MOST_CLAIM_VALUES);
    if (jwt->claims != NULL)
        verdict = verify_parts(&parts, header, issuers, count, now_wall_ms, jwt);
    else if (json_text_was_starved())
        verdict = JWT_NO_MEMORY;
    if (verdict != JWT_GOOD)
        jwt_fini(jwt);
    secret_cleanse(scratch, sizeof(scratch));
    json_decref(header);
    return verdict;
}

void jwt_fini(struct jwt *jwt)
{
    json_decref(jwt->claims);
    jwt->claims = NULL;
}
