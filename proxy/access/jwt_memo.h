/*
 * JWTs that were found good and whom they named, one memo a thread: a job sends the same
 * one with each request, and verifying it takes longer than all the rest.
 *
 * Only what names a client is remembered, by the token's digest, and only for a while in
 * which nothing could make it come out otherwise: the same clients and issuers (the
 * generation), the same keys (the list), and a time at which the token holds. Whether the
 * client has expired is for the caller to ask each time.
 */
#ifndef PSGATE_ACCESS_JWT_MEMO_H
#define PSGATE_ACCESS_JWT_MEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "access/client.h"
#include "access/token.h"

enum { JWT_MEMO_MOST = 256 };

/* What a verdict depends on, but for the time. */
struct jwt_memo_key {
    unsigned char digest[TOKEN_DIGEST_BYTES]; /* of the whole token */
    unsigned generation;                      /* of the snapshot */
    unsigned list; /* the number of the list of issuers in that snapshot */
};

struct jwt_memo;

/* Of constant size. NULL: memory is out. */
struct jwt_memo *jwt_memo_new(void);
void jwt_memo_free(struct jwt_memo *memo); /* NULL is fine */

/*
 * The client that the token named, of the snapshot of that generation, or NULL: it is not
 * known, and to be verified.
 */
const struct client *jwt_memo_find(const struct jwt_memo *memo,
                                   const struct jwt_memo_key *key, int64_t now_wall_ms);

/* The token holds from the one time until just before the other. */
void jwt_memo_add(struct jwt_memo *memo, const struct jwt_memo_key *key, int64_t from_ms,
                  int64_t until_ms, const struct client *client);

#endif
