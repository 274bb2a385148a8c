/*
 * What a client's tokens must say: the member "jwt" of a client, and whether claims that
 * were verified satisfy it.
 */
#ifndef PSGATE_ACCESS_CLIENT_JWT_H
#define PSGATE_ACCESS_CLIENT_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "config/document.h"

enum { CLIENT_MOST_CLAIMS = 32 };

struct client_claim;

/* All of it in the arena of the client set. */
struct client_jwt {
    const char *issuer; /* NULL: the client has no JWT */
    const struct client_claim *claims;
    size_t claim_count; /* at least one that not every token satisfies */
};

/*
 * Reads { "issuer": "…", "claims": { NAME: VALUE } }. A VALUE is a string, in which '*'
 * stands for any run of bytes, a whole number, or true or false. null is none; what is
 * wrong becomes problems.
 */
void client_jwt_read(struct document *document, const struct place *place, json_t *value,
                     struct client_jwt *jwt);

/*
 * Whether claims of that issuer satisfy every one of the client's. A string is compared
 * with a string claim, and with the decimal or true or false of a number or truth; an
 * array satisfies what one of its elements does. Nothing else satisfies anything.
 */
bool client_jwt_matches(const struct client_jwt *jwt, const char *issuer,
                        const json_t *claims);

#endif
