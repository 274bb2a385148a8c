/*
 * Who a connection's other end is, apart from what its requests say: the names of a
 * verified certificate, or the process behind a unix socket; and which client that is by
 * a set of clients. Plain data, filled by whoever has the connection.
 */
#ifndef PSGATE_ACCESS_IDENTITY_H
#define PSGATE_ACCESS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "access/certificate.h"
#include "access/client.h"

/* All-zero: nobody is known. */
struct identity {
    const struct certificate_names *certificate; /* NULL: none was shown */
    int64_t
        valid_until_ms; /* wall clock; of the certificate and those that vouch for it */
    bool is_refused;    /* what was shown, or missing, is not accepted any more */
    bool has_process;   /* uid and gid are those of a unix socket's peer */
    uint32_t uid, gid;
    /* Set where a request goes on for a client that an identity was found for before. */
    const struct client *vouched;
    const char *vouched_auth;
};

enum identity_match {
    IDENTITY_NONE,
    IDENTITY_FOUND,
    IDENTITY_AMBIGUOUS, /* entries of two names match */
};

/*
 * The client whom the certificate or process is, by the set. Of several entries of one
 * name an unexpired one is preferred; expiry is the caller's to judge.
 */
enum identity_match identity_find(const struct identity *identity,
                                  const struct client_set *set, int64_t now_wall_ms,
                                  const struct client **client);

/* For the set: adds what its entry says of the client; false: another entry says so too.
 */
bool identity_index(struct client_set *set, struct client *client);

#endif
