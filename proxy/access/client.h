/*
 * Who may call: the clients file, read into an immutable set, and the decision what a
 * client may do. Decisions look at the operation that the lenient matcher found, so every
 * spelling of a request gets the same one.
 */
#ifndef PSGATE_ACCESS_CLIENT_H
#define PSGATE_ACCESS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access/client_jwt.h"
#include "access/rates.h"
#include "access/token.h"
#include "api/operations.h"
#include "base/arena.h"
#include "base/table.h"
#include "config/config.h"

struct client {
    const char *name;
    bool has_token;
    unsigned char digest[TOKEN_DIGEST_BYTES]; /* of the token; the set's index */
    const char *tls_subject;                  /* as written, or NULL */
    struct span certificate_names;            /* what it stands for: certificate.h */
    bool has_uid, has_gid;                    /* of the unix socket's peer */
    uint32_t uid, gid;
    struct client_jwt jwt;        /* issuer NULL: none */
    int64_t expires_ms;           /* wall clock; INT64_MAX: never */
    const char *expires;          /* as written, or NULL */
    const char *credential;       /* its name; a credential of the configuration */
    const char *credential_scope; /* the cache's scope of all that it may read */
    const char *const *allow;
    const char *const *deny;
    const char *const *teams;
    size_t allow_count, deny_count, team_count;
    struct rate_limits limits;
    uint32_t number;            /* the metrics' for its name; 0: none */
    struct rate_bucket *bucket; /* a reference; NULL until client_set_bind_rates */
    bool is_admin;
    bool has_default_allow; /* the file has no allow for it */
    bool may_any_team;
    uint64_t
        *allowed; /* a bit an operation of the table; the bit behind the last: other */
};

struct client_set {
    struct arena arena;
    struct client *clients;
    size_t count;
    struct table *by_digest;
    struct table *by_identity; /* identity.h */
    struct client **with_jwt;  /* those that a JWT may name */
    size_t with_jwt_count;
    size_t other_bit;
};

/*
 * Loads the clients file. Patterns are resolved against the table, credentials looked up
 * in the configuration. NULL when there were problems, which are then in *problems. The
 * set keeps nothing of config or table; the caller frees it.
 */
struct client_set *client_set_load(const char *path, const struct config *config,
                                   const struct operation_table *table,
                                   struct problems *problems);
void client_set_free(struct client_set *set);

/*
 * Finds or makes the bucket of each client's name; those of one name (an old token and a
 * new one) share it, and the first of them that sets a limit decides. False: memory is
 * out. Before the set is put in force, and rates must outlive it.
 */
bool client_set_bind_rates(struct client_set *set, struct rates *rates) MUST_CHECK;

/* Puts the limits of a bound set in force; what other clients of it had stays as it is.
 */
void client_set_apply_rates(const struct client_set *set, int64_t now_us);

/* The client whose token has this digest, or NULL. Expiry is not looked at. */
const struct client *client_find(const struct client_set *set,
                                 const unsigned char digest[TOKEN_DIGEST_BYTES]);

/*
 * The client that verified claims of that issuer name, or NULL: none does, or, if
 * *is_ambiguous, several with different names do. Expiry is not looked at.
 */
const struct client *client_find_jwt(const struct client_set *set, const char *issuer,
                                     const json_t *claims, bool *is_ambiguous);

static inline bool client_is_expired(const struct client *client, int64_t now_wall_ms)
{
    return now_wall_ms >= client->expires_ms;
}

#endif
