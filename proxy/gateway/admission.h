/*
 * May this request go on? Everything that is decided from its head alone, in one place
 * and one order: form, then who asks, then what they may. Pure: no sockets, no clock;
 * issuers' keys are those that the snapshot has at the moment.
 */
#ifndef PSGATE_GATEWAY_ADMISSION_H
#define PSGATE_GATEWAY_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "access/identity.h"
#include "access/jwt_memo.h"
#include "gateway/reason.h"
#include "gateway/snapshot.h"
#include "http/body.h"
#include "http/head.h"
#include "http/target.h"

struct admission {
    struct http_target target;
    enum http_framing framing; /* of the request's body */
    uint64_t length;
    bool is_own;            /* a path below /.psgate/, never forwarded */
    struct span own_name;   /* what follows /.psgate/; decoded */
    bool needs_no_client;   /* a health probe */
    bool has_loggable_path; /* the path was read whole, and no token stands in it */
    const struct client *client;
    const char *auth;  /* how: bearer, api_key, jwt, certificate or peer */
    struct span token; /* as presented: what to blank in the query */
    struct span jwt;   /* the same of a bearer that looks like a JWT, whether it counts */
    bool wants_keys;   /* newer keys of an issuer might have let it in: jwks_want */
    size_t issuer;     /* which */
    const struct operation *operation; /* NULL: other */
    bool is_exact; /* the path is spelled just as the operation's template */

    /* When refused. */
    enum reason reason;
    const char *detail; /* more words, or NULL */
};

/*
 * Judges a complete request head, which came from somebody whose connection says who it
 * is, or says nothing. memo may be NULL. scratch takes the decoded path: at least as many
 * bytes as the target has; own_name points into it or into the head. False: refused, see
 * reason.
 */
bool admission_judge(struct admission *admission, const struct http_head *head,
                     const struct identity *identity, const struct snapshot *snapshot,
                     struct token_hasher *hasher, struct jwt_memo *memo,
                     int64_t now_wall_ms, char *scratch);

/* The same for a request that this client has shown to be its own: in any way. */
bool admission_judge_as(struct admission *admission, const struct http_head *head,
                        const struct snapshot *snapshot, const struct client *client,
                        int64_t now_wall_ms, char *scratch);

#endif
