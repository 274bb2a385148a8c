/*
 * The keys of all issuers of a configuration, and where they come from: files, read when
 * the configuration is, and URLs, fetched by a thread of its own when that starts. The
 * thread reads and fetches them again every refresh, and soon when a token wants newer
 * ones, at most once in WANT_MS an issuer.
 *
 * What workers see is one immutable, reference-counted list of issuers with their keys,
 * replaced as a whole; a lock is held only to take a reference or to swap the pointer. An
 * attempt that fails, or brings no usable key, leaves the old keys in force, is logged
 * once, and is repeated in RETRY_MS, doubled up to MOST_RETRY_MS or refresh.
 */
#ifndef PSGATE_ACCESS_JWKS_H
#define PSGATE_ACCESS_JWKS_H

#include <stdatomic.h>

#include "access/jwt.h"
#include "config/config.h"

enum {
    JWKS_WANT_MS = 10000,
    JWKS_RETRY_MS = 1000,
    JWKS_MOST_RETRY_MS = 60000,
};

/* A list of issuers, in the configuration's order. Its strings are its jwks's. */
struct jwks_issuers {
    _Atomic unsigned references;
    unsigned number; /* grows with each list of a jwks */
    size_t count;
    struct jwt_issuer issuers[];
};

struct jwks;

/*
 * Reads the files of the configuration; keys of a URL that previous (may be NULL) has
 * fetched already are taken over. Fetches nothing yet. NULL when there were problems,
 * which are then in *problems. Keeps nothing of config.
 */
struct jwks *jwks_load(const struct config *config, struct jwks *previous,
                       struct problems *problems);

/* Starts the thread. Once. */
bool jwks_start(struct jwks *jwks, struct error *error) MUST_CHECK;

/*
 * The issuers as they are now; give them back before the jwks is freed. From any thread.
 */
struct jwks_issuers *jwks_take_issuers(struct jwks *jwks);
void jwks_return_issuers(struct jwks_issuers *issuers);

/* A token of that issuer wants newer keys. From any thread; waits for nothing. */
void jwks_want(struct jwks *jwks, size_t issuer);

/*
 * Tells the thread to end, and waits for that at most so long; 0: not at all. May be
 * called again; NULL is fine.
 */
void jwks_stop(struct jwks *jwks, int64_t wait_ms);

/* Stops the thread, without waiting for it, and gives the rest up. NULL is fine. */
void jwks_free(struct jwks *jwks);

#endif
