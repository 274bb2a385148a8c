/*
 * Gateway tokens: psgate_ + 43 characters (256 random bits) + _ + 6 characters of
 * checksum, all of [A-Za-z0-9_-]. Only a token's SHA-256 is ever stored or compared.
 */
#ifndef PSGATE_ACCESS_TOKEN_H
#define PSGATE_ACCESS_TOKEN_H

#include <stdbool.h>

#include "base/error.h"
#include "base/span.h"

enum { TOKEN_BYTES = 57, TOKEN_DIGEST_BYTES = 32 };

/* Hashes tokens without an allocation each; one a thread. */
struct token_hasher;

struct token_hasher *token_hasher_new(struct error *error) MUST_CHECK;
void token_hasher_free(struct token_hasher *hasher);

/*
 * Lets it remember the digests of the tokens that came last, in secret memory: a client
 * brings the same one with each request. What is remembered is true for ever, so a reload
 * or an expiry has nothing to take back.
 */
bool token_hasher_remember(struct token_hasher *hasher, struct error *error) MUST_CHECK;

/* SHA-256 of the whole text. */
bool token_digest(struct token_hasher *hasher, struct span text,
                  unsigned char digest[TOKEN_DIGEST_BYTES]) MUST_CHECK;

/* A new token and its NUL. The caller cleanses it after use. */
bool token_generate(struct token_hasher *hasher, char token[TOKEN_BYTES + 1],
                    struct error *error) MUST_CHECK;

/* Whether text looks like a token of ours at all: by prefix alone, and as a whole. */
bool token_has_prefix(struct span text);
bool token_is_well_formed(struct token_hasher *hasher, struct span text);

/* Whether something that may be a token of ours stands anywhere in text. */
bool token_stands_in(struct span text);

#endif
