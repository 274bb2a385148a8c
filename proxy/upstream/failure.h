/* Why an upstream exchange failed: a closed list, which the gateway maps to answers. */
#ifndef PSGATE_UPSTREAM_FAILURE_H
#define PSGATE_UPSTREAM_FAILURE_H

#include <stdbool.h>

enum upstream_failure {
    UPSTREAM_NAME_NOT_RESOLVED,
    UPSTREAM_CONNECTION_REFUSED,
    UPSTREAM_CONNECTION_FAILED, /* unreachable, reset while connecting, … */
    UPSTREAM_CONNECT_TIMEOUT,
    UPSTREAM_TLS_CERTIFICATE,
    UPSTREAM_TLS_ALERT,
    UPSTREAM_TLS_PROTOCOL,
    UPSTREAM_NO_CONNECTION_FREE, /* upstream.max_connections are in use */
    UPSTREAM_SEND_TIMEOUT,
    UPSTREAM_RESPONSE_TIMEOUT,
    UPSTREAM_CLOSED_EARLY,       /* the connection ended before any answer */
    UPSTREAM_CUT_SHORT,          /* it ended within the answer */
    UPSTREAM_RESPONSE_INVALID,   /* what came is not a sound HTTP response */
    UPSTREAM_RESPONSE_TOO_LARGE, /* its head is */
    UPSTREAM_UNASKED_UPGRADE,
    UPSTREAM_NO_MEMORY,
    UPSTREAM_NO_DESCRIPTORS, /* of ours: no more files may be opened */
    UPSTREAM_FAILURES
};

/* Whether the host could not be reached at all: what opens the circuit. */
bool upstream_failure_is_reach(enum upstream_failure failure);

#endif
