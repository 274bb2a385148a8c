#include "access/token.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "base/random.h"
#include "base/secret.h"

#define PREFIX SPAN("psgate_")

enum {
    PREFIX_BYTES = 7,
    RANDOM_BYTES = 32,
    BODY_CHARS = 43,
    CHECKSUM_CHARS = 6,
    SIGNED_BYTES = PREFIX_BYTES + BODY_CHARS, /* what the checksum is over */
    MOST_REMEMBERED = 32,                     /* they fit a page */
};

/* A text of a token's length, and its digest. */
struct remembered {
    bool is_used;
    char text[TOKEN_BYTES];
    unsigned char digest[TOKEN_DIGEST_BYTES];
};

struct token_hasher {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
    struct secret *memory; /* NULL: nothing is remembered */
};

struct token_hasher *token_hasher_new(struct error *error)
{
    struct token_hasher *hasher = calloc(1, sizeof(*hasher));

    if (hasher != NULL) {
        hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        hasher->context = EVP_MD_CTX_new();
        if (hasher->sha256 != NULL && hasher->context != NULL)
            return hasher;
    }
    (void)error_set(error, "cannot set up SHA-256 (out of memory?)");
    token_hasher_free(hasher);
    return NULL;
}

void token_hasher_free(struct token_hasher *hasher)
{
    if (hasher == NULL)
        return;
    secret_free(hasher->memory);
    EVP_MD_CTX_free(hasher->context);
    EVP_MD_free(hasher->sha256);
    free(hasher);
}

bool token_hasher_remember(struct token_hasher *hasher, struct error *error)
{
    hasher->memory = secret_new(MOST_REMEMBERED * sizeof(struct remembered), error);
    return hasher->memory != NULL;
}

/*
 * The one place where a token is remembered; NULL for what is none by its looks. The
 * place says as much of the token as it says itself: it depends on no other's.
 */
static struct remembered *place_of(struct token_hasher *hasher, struct span text)
{
    unsigned place;

    if (hasher->memory == NULL || text.len != TOKEN_BYTES || !token_has_prefix(text))
        return NULL;
    place =
        (unsigned char)text.at[PREFIX_BYTES] + (unsigned char)text.at[SIGNED_BYTES - 1];
    return (struct remembered *)(void *)secret_bytes(hasher->memory) +
           place % MOST_REMEMBERED;
}

static bool compute(struct token_hasher *hasher, struct span text,
                    unsigned char digest[TOKEN_DIGEST_BYTES])
{
    return EVP_DigestInit_ex2(hasher->context, hasher->sha256, NULL) == 1 &&
           EVP_DigestUpdate(hasher->context, text.at, text.len) == 1 &&
           EVP_DigestFinal_ex(hasher->context, digest, NULL) == 1;
}

bool token_digest(struct token_hasher *hasher, struct span text,
                  unsigned char digest[TOKEN_DIGEST_BYTES])
{
    struct remembered *remembered = place_of(hasher, text);

    if (remembered != NULL && remembered->is_used &&
        secret_equal(remembered->text, text.at, TOKEN_BYTES)) {
        memcpy(digest, remembered->digest, TOKEN_DIGEST_BYTES);
        return true;
    }
    if (!compute(hasher, text, digest))
        return false;
    if (remembered != NULL) {
        memcpy(remembered->text, text.at, TOKEN_BYTES);
        memcpy(remembered->digest, digest, TOKEN_DIGEST_BYTES);
        remembered->is_used = true;
    }
    return true;
}

/* base64url without padding (RFC 4648 5): count characters from the first 6 * count bits.
 */
static void encode(const unsigned char *bytes, size_t len, char *out, size_t count)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for (size_t i = 0; i < count; i++) {
        size_t bit = i * 6;
        unsigned pair = (unsigned)bytes[bit / 8] << 8;

        if (bit / 8 + 1 < len)
            pair |= bytes[bit / 8 + 1];
        out[i] = alphabet[pair >> (10 - bit % 8) & 0x3f];
    }
}

/* Finds typing mistakes and cut-off copies; it protects nothing. */
static bool checksum(struct token_hasher *hasher, const char *token,
                     char out[CHECKSUM_CHARS])
{
    unsigned char digest[TOKEN_DIGEST_BYTES];

    if (!token_digest(hasher, span_make(token, SIGNED_BYTES), digest))
        return false;
    encode(digest, sizeof(digest), out, CHECKSUM_CHARS);
    secret_cleanse(digest, sizeof(digest));
    return true;
}

bool token_generate(struct token_hasher *hasher, char token[TOKEN_BYTES + 1],
                    struct error *error)
{
    unsigned char bytes[RANDOM_BYTES];

    if (!random_fill(bytes, sizeof(bytes), error))
        return false;
    memcpy(token, PREFIX.at, PREFIX_BYTES);
    encode(bytes, sizeof(bytes), token + PREFIX_BYTES, BODY_CHARS);
    secret_cleanse(bytes, sizeof(bytes));
    token[SIGNED_BYTES] = '_';
    token[TOKEN_BYTES] = '\0';
    if (!checksum(hasher, token, token + SIGNED_BYTES + 1))
        return error_set(error, "cannot compute SHA-256");
    return true;
}

bool token_has_prefix(struct span text)
{
    return span_starts_with(text, PREFIX);
}

static bool is_alphabet(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return true;
}

bool token_is_well_formed(struct token_hasher *hasher, struct span text)
{
    char expected[CHECKSUM_CHARS];

    return text.len == TOKEN_BYTES && token_has_prefix(text) && is_alphabet(text) &&
           text.at[SIGNED_BYTES] == '_' && checksum(hasher, text.at, expected) &&
           memcmp(text.at + SIGNED_BYTES + 1, expected, CHECKSUM_CHARS) == 0;
}

bool token_stands_in(struct span text)
{
    while (text.len >= TOKEN_BYTES) {
        const char *at = memmem(text.at, text.len, PREFIX.at, PREFIX_BYTES);
        size_t skipped = at != NULL ? (size_t)(at - text.at) : text.len;

        if (text.len - skipped < TOKEN_BYTES)
            return false;
        if (is_alphabet(span_make(at, TOKEN_BYTES)))
            return true;
        text = span_make(at + 1, text.len - skipped - 1);
    }
    return false;
}
