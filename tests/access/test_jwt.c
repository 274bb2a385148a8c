/* JWTs: what is let in, and everything that is not. */
#include "access/jwt.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "access/signing.h"
#include "support/suite.h"

enum { NOW = 1767225600, LEEWAY = 60 }; /* 2026-01-01 */

#define ISSUER "https://issuer.test"
#define CLAIMS                                                                           \
    "{\"iss\":\"" ISSUER "\",\"aud\":\"psgate\",\"exp\":1767225900,\"sub\":\"me\"}"

static EVP_PKEY *rsa, *small_rsa, *other_rsa, *ec, *ed;
static struct jwk_set *keys;
static struct text token;
static const char *const audience[] = {"psgate", "psgate-eu"};
static struct jwt_issuer issuers[] = {
    {.name = "https://other.test",
     .audience = audience,
     .audience_count = 2,
     .leeway_ms = LEEWAY * 1000},
    {.name = ISSUER,
     .audience = audience,
     .audience_count = 2,
     .leeway_ms = LEEWAY * 1000},
};

static struct jwk_set *parse_keys(const char *text, struct error *error)
{
    return jwk_set_parse(span_of(text), error);
}

static void make_keys(void)
{
    rsa = EVP_RSA_gen(2048);
    other_rsa = EVP_RSA_gen(2048);
    small_rsa = EVP_RSA_gen(1024);
    ec = EVP_EC_gen("P-256");
    ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!rsa || !other_rsa || !small_rsa || !ec || !ed)
        abort(); /* no test runs yet that could fail */
}

static void free_keys(void)
{
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other_rsa);
    EVP_PKEY_free(small_rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(ed);
}

static void set_up(void)
{
    struct text text = {0};
    struct error error;

    text_add(&text, SPAN("{\"keys\":["));
    add_jwk(&text, rsa, "rsa", ",\"alg\":\"RS256\",\"use\":\"sig\"");
    text_add_byte(&text, ',');
    add_jwk(&text, ec, "ec", "");
    text_add_byte(&text, ',');
    add_jwk(&text, ed, "ed", ",\"key_ops\":[\"verify\"]");
    text_add(&text, SPAN("]}"));
    keys = parse_keys(text.bytes, &error);
    ck_assert_msg(keys != NULL, "%s", error.text);
    ck_assert_uint_eq(keys->count, 3);
    issuers[1].keys = keys;
    text_fini(&text);
}

static void tear_down(void)
{
    ck_assert_uint_eq(ERR_peek_error(), 0);
    jwk_set_unref(keys);
    text_fini(&token);
}

/* The verdict of a token in a block of exactly its size. */
static enum jwt_verdict judge_at(struct span text, int64_t now_ms, struct jwt *jwt)
{
    struct span exact = exact_span(text);
    enum jwt_verdict verdict = jwt_verify(exact, issuers, 2, now_ms, jwt);

    ck_assert_int_eq(verdict == JWT_GOOD, jwt->claims != NULL);
    free((char *)(uintptr_t)exact.at);
    return verdict;
}

static enum jwt_verdict judge(struct span text)
{
    struct jwt jwt;
    enum jwt_verdict verdict = judge_at(text, (int64_t)NOW * 1000, &jwt);

    jwt_fini(&jwt);
    return verdict;
}

static struct span whole(void)
{
    return span_make(token.bytes, token.len);
}

static enum jwt_verdict verdict_of(EVP_PKEY *key, const char *header, const char *claims)
{
    make_jwt(&token, key, header, claims);
    return judge(whole());
}

static EVP_PKEY *key_of(const char *name)
{
    return strcmp(name, "rsa") == 0         ? rsa
           : strcmp(name, "other_rsa") == 0 ? other_rsa
           : strcmp(name, "small") == 0     ? small_rsa
           : strcmp(name, "ec") == 0        ? ec
           : strcmp(name, "ed") == 0        ? ed
                                            : NULL;
}

/* Headers, with the claims that are good. */
static const struct {
    const char *key;
    const char *header;
    enum jwt_verdict verdict;
} headers[] = {
    {"rsa", "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"JWT\"}", JWT_GOOD},
    {"ec", "{\"alg\":\"ES256\",\"kid\":\"ec\"}", JWT_GOOD},
    {"ed", "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"at+JWT\"}", JWT_GOOD},
    {"rsa", "{\"alg\":\"RS256\"}", JWT_GOOD},
    {"ec", "{ \"alg\" : \"ES256\" }", JWT_GOOD},
    {"ed", "{\"alg\":\"EdDSA\",\"x5t\":\"ignored\"}", JWT_GOOD},
    /* none, in every way */
    {"", "{\"alg\":\"none\"}", JWT_ALGORITHM_REFUSED},
    {"", "{\"alg\":\"None\"}", JWT_ALGORITHM_REFUSED},
    {"", "{\"alg\":\"\"}", JWT_ALGORITHM_REFUSED},
    {"rsa", "{\"alg\":\"none\"}", JWT_ALGORITHM_REFUSED},
    {"", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", JWT_SIGNATURE_WRONG},
    {"", "{\"alg\":\"EdDSA\"}", JWT_SIGNATURE_WRONG},
    {"", "{}", JWT_MALFORMED},
    {"rsa", "{\"alg\":null}", JWT_MALFORMED},
    {"rsa", "{\"alg\":[\"RS256\"]}", JWT_MALFORMED},
    {"rsa", "{\"kid\":\"rsa\"}", JWT_MALFORMED},
    {"rsa", "[\"RS256\"]", JWT_MALFORMED},
    {"rsa", "\"RS256\"", JWT_MALFORMED},
    {"rsa", "{\"alg\":\"RS256\"", JWT_MALFORMED},
    {"rsa", "{\"alg\":\"RS256\"}x", JWT_MALFORMED},
    /* others' algorithms, and other spellings */
    {"rsa", "{\"alg\":\"rs256\"}", JWT_ALGORITHM_REFUSED},
    {"rsa", "{\"alg\":\"RS256 \"}", JWT_ALGORITHM_REFUSED},
    {"rsa", "{\"alg\":\"RS384\"}", JWT_ALGORITHM_REFUSED},
    {"rsa", "{\"alg\":\"PS256\"}", JWT_ALGORITHM_REFUSED},
    {"rsa", "{\"alg\":\"HS256\"}", JWT_ALGORITHM_REFUSED},
    {"ec", "{\"alg\":\"ES384\"}", JWT_ALGORITHM_REFUSED},
    /* a key of one kind with another kind's algorithm */
    {"rsa", "{\"alg\":\"ES256\",\"kid\":\"rsa\"}", JWT_KEY_UNKNOWN},
    {"rsa", "{\"alg\":\"ES256\"}", JWT_SIGNATURE_WRONG},
    {"ec", "{\"alg\":\"RS256\"}", JWT_SIGNATURE_WRONG},
    {"ec", "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", JWT_SIGNATURE_WRONG},
    {"ed", "{\"alg\":\"ES256\",\"kid\":\"ec\"}", JWT_SIGNATURE_WRONG},
    /* somebody else's key */
    {"other_rsa", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", JWT_SIGNATURE_WRONG},
    {"other_rsa", "{\"alg\":\"RS256\",\"kid\":\"new\"}", JWT_KEY_UNKNOWN},
    {"rsa", "{\"alg\":\"RS256\",\"kid\":\"RSA\"}", JWT_KEY_UNKNOWN},
    {"rsa", "{\"alg\":\"RS256\",\"kid\":\"\"}", JWT_KEY_UNKNOWN},
    {"rsa", "{\"alg\":\"RS256\",\"kid\":7}", JWT_MALFORMED},
    {"rsa", "{\"alg\":\"RS256\",\"kid\":null}", JWT_MALFORMED},
    {"small", "{\"alg\":\"RS256\"}", JWT_SIGNATURE_WRONG},
    /* keys that come with the token, and what must be understood */
    {"rsa", "{\"alg\":\"RS256\",\"jku\":\"https://evil.test\"}", JWT_HEADER_REFUSED},
    {"rsa", "{\"alg\":\"RS256\",\"jwk\":{}}", JWT_HEADER_REFUSED},
    {"rsa", "{\"alg\":\"RS256\",\"jwk\":null}", JWT_HEADER_REFUSED},
    {"rsa", "{\"alg\":\"RS256\",\"x5u\":\"https://evil.test\"}", JWT_HEADER_REFUSED},
    {"rsa", "{\"alg\":\"RS256\",\"x5c\":[]}", JWT_HEADER_REFUSED},
    {"rsa", "{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}", JWT_HEADER_REFUSED},
    {"", "{\"alg\":\"none\",\"crit\":[]}", JWT_HEADER_REFUSED},
    /* for something else */
    {"rsa", "{\"alg\":\"RS256\",\"typ\":\"logout+jwt\"}", JWT_TYPE_REFUSED},
    {"rsa", "{\"alg\":\"RS256\",\"typ\":1}", JWT_TYPE_REFUSED},
    /* members twice, also by another spelling */
    {"rsa", "{\"alg\":\"RS256\",\"alg\":\"RS256\"}", JWT_MALFORMED},
    {"rsa", "{\"alg\":\"none\",\"\\u0061lg\":\"RS256\"}", JWT_MALFORMED},
    {"rsa", "{\"alg\":\"RS256\",\"x\":{\"y\":1,\"y\":2}}", JWT_MALFORMED},
    {"rsa", "{\"alg\":\"RS256\\u0000\"}", JWT_MALFORMED},
    {"rsa", "{\"alg\":\"RS256\",\"x\":\"\xff\"}", JWT_MALFORMED},
};

START_TEST(a_header_has_its_verdict)
{
    enum jwt_verdict verdict =
        verdict_of(key_of(headers[_i].key), headers[_i].header, CLAIMS);

    ck_assert_msg(verdict == headers[_i].verdict, "%s: %d, not %d", headers[_i].header,
                  verdict, headers[_i].verdict);
}
END_TEST

#define WHO "\"iss\":\"" ISSUER "\",\"aud\":\"psgate\""
#define EXP "\"exp\":1767225900"

static const struct {
    const char *claims;
    enum jwt_verdict verdict;
} payloads[] = {
    {"{" WHO "," EXP "}", JWT_GOOD},
    {"{" WHO "," EXP ",\"nbf\":1767225600,\"iat\":1767225600}", JWT_GOOD},
    {"{\"iss\":\"" ISSUER "\",\"aud\":[\"x\",\"psgate-eu\"]," EXP "}", JWT_GOOD},
    /* whose */
    {"{\"iss\":\"https://issuer.test/\",\"aud\":\"psgate\"," EXP "}", JWT_ISSUER_UNKNOWN},
    {"{\"iss\":\"HTTPS://issuer.test\",\"aud\":\"psgate\"," EXP "}", JWT_ISSUER_UNKNOWN},
    {"{\"iss\":[\"" ISSUER "\"],\"aud\":\"psgate\"," EXP "}", JWT_ISSUER_UNKNOWN},
    {"{\"aud\":\"psgate\"," EXP "}", JWT_ISSUER_UNKNOWN},
    {"{\"iss\":\"https://other.test\",\"aud\":\"psgate\"," EXP "}", JWT_KEYS_MISSING},
    /* for whom */
    {"{\"iss\":\"" ISSUER "\"," EXP "}", JWT_AUDIENCE_WRONG},
    {"{\"iss\":\"" ISSUER "\",\"aud\":\"psgate2\"," EXP "}", JWT_AUDIENCE_WRONG},
    {"{\"iss\":\"" ISSUER "\",\"aud\":\"Psgate\"," EXP "}", JWT_AUDIENCE_WRONG},
    {"{\"iss\":\"" ISSUER "\",\"aud\":[]," EXP "}", JWT_AUDIENCE_WRONG},
    {"{\"iss\":\"" ISSUER "\",\"aud\":[[\"psgate\"]]," EXP "}", JWT_AUDIENCE_WRONG},
    {"{\"iss\":\"" ISSUER "\",\"aud\":{\"psgate\":1}," EXP "}", JWT_AUDIENCE_WRONG},
    /* until when: the leeway is 60 s, and the last moment is out */
    {"{" WHO "}", JWT_EXPIRY_MISSING},
    {"{" WHO ",\"exp\":null}", JWT_MALFORMED},
    {"{" WHO ",\"exp\":\"1767225900\"}", JWT_MALFORMED},
    {"{" WHO ",\"exp\":-1}", JWT_MALFORMED},
    {"{" WHO ",\"exp\":1e99}", JWT_MALFORMED},
    {"{" WHO ",\"exp\":9223372036854775807}", JWT_MALFORMED},
    {"{" WHO ",\"exp\":99999999999999999999}", JWT_MALFORMED},
    {"{" WHO ",\"exp\":true}", JWT_MALFORMED},
    {"{" WHO ",\"exp\":0}", JWT_EXPIRED},
    {"{" WHO ",\"exp\":1767225540}", JWT_EXPIRED},
    {"{" WHO ",\"exp\":1767225540.5}", JWT_GOOD},
    {"{" WHO ",\"exp\":1767225541}", JWT_GOOD},
    {"{" WHO ",\"exp\":1.7672259e9}", JWT_GOOD},
    {"{" WHO ",\"exp\":253402300799}", JWT_GOOD},
    /* since when */
    {"{" WHO "," EXP ",\"nbf\":1767225660}", JWT_GOOD},
    {"{" WHO "," EXP ",\"nbf\":1767225661}", JWT_TOO_EARLY},
    {"{" WHO "," EXP ",\"iat\":1767225660}", JWT_GOOD},
    {"{" WHO "," EXP ",\"iat\":1767225661}", JWT_TOO_EARLY},
    {"{" WHO "," EXP ",\"nbf\":\"1\"}", JWT_MALFORMED},
    {"{" WHO "," EXP ",\"iat\":null}", JWT_MALFORMED},
    /* form */
    {"{" WHO "," EXP ",\"aud\":\"psgate\"}", JWT_MALFORMED},
    {"{" WHO "," EXP ",\"\\u0061ud\":\"psgate\"}", JWT_MALFORMED},
    {"{" WHO "," EXP ",\"x\":{\"a\":1,\"a\":1}}", JWT_MALFORMED},
    {"{" WHO "," EXP "}{}", JWT_MALFORMED},
    {"{" WHO "," EXP "", JWT_MALFORMED},
    {"[]", JWT_MALFORMED},
    {"null", JWT_MALFORMED},
    {" ", JWT_MALFORMED},
};

START_TEST(claims_have_their_verdict)
{
    enum jwt_verdict verdict = verdict_of(ed, "{\"alg\":\"EdDSA\"}", payloads[_i].claims);

    ck_assert_msg(verdict == payloads[_i].verdict, "%s: %d, not %d", payloads[_i].claims,
                  verdict, payloads[_i].verdict);
}
END_TEST

START_TEST(claims_are_believed_only_with_the_signature)
{
    /* Whatever is wrong with the claims, a stranger learns only of the signature. */
    ck_assert_int_eq(verdict_of(other_rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}",
                                "{\"iss\":\"" ISSUER "\",\"aud\":\"x\",\"exp\":0}"),
                     JWT_SIGNATURE_WRONG);
}
END_TEST

/* RFC 8725 2.1: the public key, as anybody can have it, as the secret of an HMAC. */
START_TEST(a_public_key_is_no_secret)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct text jwk = {0};
    char *pem;
    long len;

    ck_assert_int_eq(PEM_write_bio_PUBKEY(bio, rsa), 1);
    len = BIO_get_mem_data(bio, &pem);
    make_hs256(&token, span_make(pem, (size_t)len), "{\"alg\":\"HS256\"}", CLAIMS);
    ck_assert_int_eq(judge(whole()), JWT_ALGORITHM_REFUSED);
    make_hs256(&token, span_make(pem, (size_t)len), "{\"alg\":\"RS256\",\"kid\":\"rsa\"}",
               CLAIMS);
    ck_assert_int_eq(judge(whole()), JWT_SIGNATURE_WRONG);
    add_jwk(&jwk, ed, NULL, "");
    make_hs256(&token, span_make(jwk.bytes, jwk.len), "{\"alg\":\"HS256\"}", CLAIMS);
    ck_assert_int_eq(judge(whole()), JWT_ALGORITHM_REFUSED);
    text_fini(&jwk);
    BIO_free(bio);
}
END_TEST

START_TEST(a_key_that_comes_along_is_not_used)
{
    struct text header = {0};

    text_add(&header, SPAN("{\"alg\":\"RS256\",\"jwk\":"));
    add_jwk(&header, other_rsa, NULL, "}");
    ck_assert_int_eq(verdict_of(other_rsa, header.bytes, CLAIMS), JWT_HEADER_REFUSED);
    text_fini(&header);
}
END_TEST

START_TEST(good_claims_are_handed_out)
{
    struct jwt jwt;

    make_jwt(&token, ec, "{\"alg\":\"ES256\"}", CLAIMS);
    ck_assert_int_eq(judge_at(whole(), (int64_t)NOW * 1000, &jwt), JWT_GOOD);
    ck_assert_ptr_eq(jwt.issuer, &issuers[1]);
    ck_assert(!jwt.wants_keys);
    ck_assert_str_eq(json_string_value(json_object_get(jwt.claims, "sub")), "me");
    jwt_fini(&jwt);
    ck_assert_ptr_null(jwt.claims);
    jwt_fini(&jwt);
}
END_TEST

/* Only what newer keys could change asks for them. */
START_TEST(unknown_keys_are_wanted)
{
    static const struct {
        const char *header;
        bool wants_keys;
    } rows[] = {
        {"{\"alg\":\"RS256\",\"kid\":\"new\"}", true},
        {"{\"alg\":\"RS256\"}", true}, /* without a kid any key may be the one */
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\"}", false},
        {"{\"alg\":\"HS256\",\"kid\":\"new\"}", false},
    };

    for (int i = 0; i < ROWS(rows); i++) {
        struct jwt jwt;

        make_jwt(&token, other_rsa, rows[i].header, CLAIMS);
        ck_assert_int_ne(judge_at(whole(), (int64_t)NOW * 1000, &jwt), JWT_GOOD);
        ck_assert_msg(jwt.wants_keys == rows[i].wants_keys, "%s", rows[i].header);
        if (jwt.wants_keys)
            ck_assert_ptr_eq(jwt.issuer, &issuers[1]);
    }
}
END_TEST

START_TEST(the_borders_of_time_are_exact)
{
    static const struct {
        int64_t now_ms;
        enum jwt_verdict verdict;
    } rows[] = {
        {INT64_C(1767225900000) + 59999, JWT_GOOD},
        {INT64_C(1767225900000) + 60000, JWT_EXPIRED},
        {INT64_C(1767225600000) - 60000, JWT_GOOD},
        {INT64_C(1767225600000) - 60001, JWT_TOO_EARLY},
    };

    make_jwt(&token, ed, "{\"alg\":\"EdDSA\"}", "{" WHO "," EXP ",\"nbf\":1767225600}");
    for (int i = 0; i < ROWS(rows); i++) {
        struct jwt jwt;

        ck_assert_int_eq(judge_at(whole(), rows[i].now_ms, &jwt), rows[i].verdict);
        if (rows[i].verdict == JWT_GOOD) {
            ck_assert_int_eq(jwt.from_ms, rows[2].now_ms);
            ck_assert_int_eq(jwt.until_ms, rows[1].now_ms);
        }
        jwt_fini(&jwt);
    }
}
END_TEST

/* Every bit of every byte: none leaves the token good. */
START_TEST(no_flipped_bit_passes)
{
    static const char *const kinds[][2] = {
        {"rsa", "{\"alg\":\"RS256\"}"},
        {"ec", "{\"alg\":\"ES256\"}"},
        {"ed", "{\"alg\":\"EdDSA\"}"},
    };
    EVP_PKEY *key = key_of(kinds[_i][0]);

    make_jwt(&token, key, kinds[_i][1], CLAIMS);
    for (size_t i = 0; i < token.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            token.bytes[i] = (char)(token.bytes[i] ^ (1 << bit));
            ck_assert_msg(judge(whole()) != JWT_GOOD, "byte %zu, bit %d", i, bit);
            token.bytes[i] = (char)(token.bytes[i] ^ (1 << bit));
        }
    }
    ck_assert_int_eq(judge(whole()), JWT_GOOD);
}
END_TEST

START_TEST(no_part_of_a_token_passes)
{
    make_jwt(&token, ed, "{\"alg\":\"EdDSA\"}", CLAIMS);
    for (size_t len = 0; len < token.len; len++) {
        ck_assert_int_ne(judge(span_make(token.bytes, len)), JWT_GOOD);
        ck_assert_int_ne(judge(span_make(token.bytes + token.len - len, len)), JWT_GOOD);
    }
}
END_TEST

/* The last character of an Ed25519 signature has two bits too many (RFC 4648 3.5). */
START_TEST(other_spellings_are_refused)
{
    static const char *const ends[] = {"=", "==", " ", "\n", ".", "A", "..", "%3D"};
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *last;

    make_jwt(&token, ed, "{\"alg\":\"EdDSA\"}", CLAIMS);
    last = strchr(alphabet, token.bytes[token.len - 1]);
    ck_assert_int_eq((last - alphabet) % 16, 0);
    for (int i = 1; i < 16; i++) {
        token.bytes[token.len - 1] = last[i];
        ck_assert_int_eq(judge(whole()), JWT_MALFORMED);
    }
    token.bytes[token.len - 1] = *last;
    for (int i = 0; i < ROWS(ends); i++) {
        size_t len = token.len;

        text_add(&token, span_of(ends[i]));
        ck_assert_msg(judge(whole()) != JWT_GOOD, "'%s'", ends[i]);
        token.len = len;
    }
    ck_assert_int_eq(judge(whole()), JWT_GOOD);
}
END_TEST

START_TEST(the_standard_alphabet_is_refused)
{
    /* "{?>" and such need the two characters that differ. */
    make_jwt(&token, ed, "{\"alg\":\"EdDSA\"}",
             "{" WHO "," EXP ",\"x\":\"?>?>~~?>?>~~?>\"}");
    ck_assert_int_eq(judge(whole()), JWT_GOOD);
    for (size_t i = 0; i < token.len; i++) {
        if (token.bytes[i] == '-' || token.bytes[i] == '_')
            token.bytes[i] = token.bytes[i] == '-' ? '+' : '/';
    }
    ck_assert_int_eq(judge(whole()), JWT_MALFORMED);
}
END_TEST

/* A payload with that many bytes of filling. */
static void make_long(size_t filling)
{
    struct text claims = {0};

    text_add(&claims, SPAN("{" WHO "," EXP ",\"x\":\""));
    for (size_t i = 0; i < filling; i++)
        text_add_byte(&claims, 'x');
    text_add(&claims, SPAN("\"}"));
    make_jwt(&token, ed, "{\"alg\":\"EdDSA\"}", claims.bytes);
    text_fini(&claims);
}

START_TEST(a_token_has_8_kib_at_most)
{
    size_t filling = 5900;

    make_long(filling);
    while (token.len < JWT_MOST_BYTES - 1)
        make_long(++filling);
    ck_assert_uint_le(token.len, JWT_MOST_BYTES);
    ck_assert_int_eq(judge(whole()), JWT_GOOD);
    make_long(filling + 2);
    ck_assert_uint_gt(token.len, JWT_MOST_BYTES);
    ck_assert_int_eq(judge(whole()), JWT_TOO_LONG);
    make_long(1000000);
    ck_assert_int_eq(judge(whole()), JWT_TOO_LONG);
}
END_TEST

static void make_nested(const char *open, const char *close, int depth)
{
    struct text claims = {0};

    text_add(&claims, SPAN("{" WHO "," EXP ",\"x\":"));
    for (int i = 0; i < depth; i++)
        text_add(&claims, span_of(open));
    text_add(&claims, SPAN("1"));
    for (int i = 0; i < depth; i++)
        text_add(&claims, span_of(close));
    text_add(&claims, SPAN("}"));
    make_jwt(&token, ed, "{\"alg\":\"EdDSA\"}", claims.bytes);
    text_fini(&claims);
}

START_TEST(nesting_and_counts_are_bounded)
{
    struct text claims = {0};

    make_nested("[", "]", 15);
    ck_assert_int_eq(judge(whole()), JWT_GOOD);
    make_nested("[", "]", 16);
    ck_assert_int_eq(judge(whole()), JWT_MALFORMED);
    make_nested("{\"a\":", "}", 16);
    ck_assert_int_eq(judge(whole()), JWT_MALFORMED);
    make_nested("[", "", 4000);
    ck_assert_int_eq(judge(whole()), JWT_MALFORMED);
    text_add(&claims, SPAN("{" WHO "," EXP ",\"x\":[1"));
    for (int i = 0; i < 1100; i++)
        text_add(&claims, SPAN(",1"));
    text_add(&claims, SPAN("]}"));
    ck_assert_int_eq(verdict_of(ed, "{\"alg\":\"EdDSA\"}", claims.bytes), JWT_MALFORMED);
    text_fini(&claims);
}
END_TEST

START_TEST(without_a_kid_few_keys_are_tried)
{
    EVP_PKEY *many[JWT_MOST_TRIES + 1];
    struct text text = {0};
    struct error error;

    text_add(&text, SPAN("{\"keys\":["));
    for (int i = 0; i <= JWT_MOST_TRIES; i++) {
        char kid[8];

        many[i] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        (void)snprintf(kid, sizeof(kid), "k%d", i);
        text_add(&text, i > 0 ? SPAN(",") : SPAN(""));
        add_jwk(&text, many[i], kid, "");
    }
    text_add(&text, SPAN("]}"));
    issuers[1].keys = parse_keys(text.bytes, &error);
    ck_assert_ptr_nonnull(issuers[1].keys);
    for (int i = 0; i <= JWT_MOST_TRIES; i++) {
        ck_assert_int_eq(verdict_of(many[i], "{\"alg\":\"EdDSA\"}", CLAIMS),
                         i < JWT_MOST_TRIES ? JWT_GOOD : JWT_SIGNATURE_WRONG);
        EVP_PKEY_free(many[i]);
    }
    jwk_set_unref(issuers[1].keys);
    text_fini(&text);
}
END_TEST

/* R and S of zero, or of the group's order, once passed for signatures of anything. */
START_TEST(degenerate_ecdsa_signatures_are_refused)
{
    static const unsigned char order[] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
                                          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                          0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                          0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    unsigned char signature[64] = {0};

    make_jwt(&token, NULL, "{\"alg\":\"ES256\"}", CLAIMS);
    for (int i = 0; i < 4; i++) {
        size_t len = token.len;

        memset(signature, 0, sizeof(signature));
        if (i & 1)
            memcpy(signature, order, 32);
        if (i & 2)
            memcpy(signature + 32, order, 32);
        add_base64url(&token, signature, sizeof(signature));
        ck_assert_int_eq(judge(whole()), JWT_SIGNATURE_WRONG);
        token.len = len;
    }
}
END_TEST

START_TEST(tokens_are_known_by_their_looks)
{
    make_jwt(&token, ed, "{\"alg\":\"EdDSA\"}", CLAIMS);
    ck_assert(jwt_looks_like(whole()));
    ck_assert(jwt_looks_like(SPAN("a.b.c")));
    ck_assert(jwt_looks_like(SPAN("a.b.")));
    ck_assert(!jwt_looks_like(SPAN("a.b")));
    ck_assert(!jwt_looks_like(SPAN("a.b.c.d")));
    ck_assert(!jwt_looks_like(SPAN(".b.c")));
    ck_assert(!jwt_looks_like(SPAN("a..c")));
    ck_assert(!jwt_looks_like(SPAN("a.b.c=")));
    ck_assert(!jwt_looks_like(SPAN("")));
    ck_assert(!jwt_looks_like(span_make(NULL, 0)));
}
END_TEST

START_TEST(tokens_are_found_in_other_text)
{
    struct text text = {0};

    make_jwt(&token, ed, "{\"alg\":\"EdDSA\"}", CLAIMS);
    text_add(&text, SPAN("/v1/eyes/"));
    text_add(&text, whole());
    text_add(&text, SPAN("/x"));
    ck_assert(jwt_stands_in(span_make(text.bytes, text.len)));
    ck_assert(jwt_stands_in(span_make(token.bytes, token.len - 60)));
    ck_assert(!jwt_stands_in(SPAN("")));
    ck_assert(!jwt_stands_in(SPAN("curl/8.1.2 (keyboard-interactive.newer.version)")));
    ck_assert(!jwt_stands_in(SPAN("eyeyeyeyeyeyeyeyeyeyeyeyeyeyey.x.y")));
    ck_assert(!jwt_stands_in(SPAN("https://www.eyewitness.example.com/news")));
    make_jwt(&token, NULL, "{ \"alg\" : \"none\" }", CLAIMS);
    ck_assert(jwt_stands_in(whole()));
    make_jwt(&token, NULL, "{\n\"alg\" : \"none\" }", CLAIMS);
    ck_assert(jwt_stands_in(whole()));
    text_fini(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/jwt");
    TCase *tokens = suite_case(suite, "tokens");
    TCase *forms = suite_case(suite, "forms");
    int status;

    make_keys();
    tcase_add_checked_fixture(tokens, set_up, tear_down);
    tcase_add_loop_test(tokens, a_header_has_its_verdict, 0, ROWS(headers));
    tcase_add_loop_test(tokens, claims_have_their_verdict, 0, ROWS(payloads));
    tcase_add_test(tokens, claims_are_believed_only_with_the_signature);
    tcase_add_test(tokens, a_public_key_is_no_secret);
    tcase_add_test(tokens, a_key_that_comes_along_is_not_used);
    tcase_add_test(tokens, good_claims_are_handed_out);
    tcase_add_test(tokens, unknown_keys_are_wanted);
    tcase_add_test(tokens, the_borders_of_time_are_exact);
    tcase_add_test(tokens, without_a_kid_few_keys_are_tried);
    tcase_add_test(tokens, degenerate_ecdsa_signatures_are_refused);
    tcase_add_checked_fixture(forms, set_up, tear_down);
    tcase_add_loop_test(forms, no_flipped_bit_passes, 0, 3);
    tcase_add_test(forms, no_part_of_a_token_passes);
    tcase_add_test(forms, other_spellings_are_refused);
    tcase_add_test(forms, the_standard_alphabet_is_refused);
    tcase_add_test(forms, a_token_has_8_kib_at_most);
    tcase_add_test(forms, nesting_and_counts_are_bounded);
    tcase_add_test(forms, tokens_are_known_by_their_looks);
    tcase_add_test(forms, tokens_are_found_in_other_text);
    status = run_suite(suite);
    free_keys();
    return status;
}
