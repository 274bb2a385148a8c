/* Asking the real upstream whether a key is good: GET /v1/auth/session, over the same
 * verified connections that requests take. */
#ifndef PSGATE_COMMAND_PROBE_H
#define PSGATE_COMMAND_PROBE_H

#include "gateway/snapshot.h"

enum probe_result {
    PROBE_ACCEPTED,    /* a session came back */
    PROBE_REFUSED,     /* the key is no good: 401, 403 or a null session */
    PROBE_UNVERIFIED,  /* the upstream's certificate is not accepted */
    PROBE_UNREACHABLE, /* no verdict: network, name or another answer */
};

/*
 * Tries the key in a slot of a credential's, 0 or 1, which must be there. Blocks until
 * there is a result; detail says it in words.
 */
enum probe_result probe_credential(const struct snapshot *snapshot,
                                   const struct credential *credential, int slot,
                                   char *detail, size_t detail_bytes);

#endif
