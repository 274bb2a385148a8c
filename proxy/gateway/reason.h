/*
 * Why the gateway answers by itself: a closed list, and the one table that maps each
 * reason to a status, the API's error code, the Proxy-Status error (RFC 9209) and the
 * words.
 */
#ifndef PSGATE_GATEWAY_REASON_H
#define PSGATE_GATEWAY_REASON_H

#include <stdbool.h>
#include <stdint.h>

#include "http/fault.h"
#include "upstream/failure.h"

enum reason {
    REASON_MALFORMED,
    REASON_TARGET_TOO_LONG,
    REASON_HEAD_TOO_LARGE,
    REASON_CODING_UNSUPPORTED,
    REASON_VERSION_UNSUPPORTED,
    REASON_METHOD_REFUSED,
    REASON_OVERRIDE_FIELD,
    REASON_HEAD_TIMEOUT,
    REASON_BODY_TIMEOUT,
    REASON_CREDENTIAL_REPEATED,
    REASON_CREDENTIAL_MISSING,
    REASON_CREDENTIAL_MALFORMED,
    REASON_TOKEN_MALFORMED,
    REASON_TOKEN_UNKNOWN,
    REASON_TOKEN_EXPIRED,
    REASON_CREDENTIALS_DIFFER,
    REASON_CERTIFICATE_UNKNOWN,
    REASON_CERTIFICATE_AMBIGUOUS,
    REASON_CERTIFICATE_EXPIRED,
    REASON_CERTIFICATE_REFUSED,
    REASON_PEER_UNKNOWN,
    REASON_PEER_AMBIGUOUS,
    REASON_CLIENT_EXPIRED,
    REASON_JWT_MALFORMED,
    REASON_JWT_TOO_LONG,
    REASON_JWT_HEADER,
    REASON_JWT_TYPE,
    REASON_JWT_ALGORITHM,
    REASON_JWT_ISSUER,
    REASON_JWT_KEYS_MISSING,
    REASON_JWT_KEY_UNKNOWN,
    REASON_JWT_SIGNATURE,
    REASON_JWT_AUDIENCE,
    REASON_JWT_EXPIRY_MISSING,
    REASON_JWT_EXPIRED,
    REASON_JWT_TOO_EARLY,
    REASON_JWT_NO_CLIENT,
    REASON_JWT_SEVERAL_CLIENTS,
    REASON_JWT_CLIENT_EXPIRED,
    REASON_OPERATION_FORBIDDEN,
    REASON_TEAM_FORBIDDEN,
    REASON_CLIENT_RATE,
    REASON_CLIENT_BUSY,
    REASON_UPSTREAM_RATE,
    REASON_NO_SUCH_ENDPOINT,
    REASON_ENDPOINT_METHOD,
    REASON_NOT_READY,
    REASON_BODY_TOO_LARGE,
    REASON_BODIES_TOO_MANY,
    REASON_BODY_UNREADABLE,
    REASON_BODY_ENCODED,
    REASON_TRAIL_UNWRITABLE,
    REASON_TRAIL_SLOW,
    REASON_NOT_RECORDED,
    REASON_FLEET_AWAY,
    REASON_NOT_ANNOUNCED,
    REASON_NO_MEMORY,
    REASON_NO_DESCRIPTORS,
    REASON_NOT_CACHED,
    REASON_KEY_REFUSED,
    REASON_KEY_IN_ANSWER,
    REASON_NAME_NOT_RESOLVED,
    REASON_CONNECTION_REFUSED,
    REASON_CONNECTION_FAILED,
    REASON_CONNECT_TIMEOUT,
    REASON_TLS_CERTIFICATE,
    REASON_TLS_ALERT,
    REASON_TLS_PROTOCOL,
    REASON_NO_CONNECTION_FREE,
    REASON_SEND_TIMEOUT,
    REASON_RESPONSE_TIMEOUT,
    REASON_CLOSED_EARLY,
    REASON_CUT_SHORT,
    REASON_RESPONSE_INVALID,
    REASON_RESPONSE_TOO_LARGE,
    REASON_UNASKED_UPGRADE,
    REASON_COUNT
};

struct reason_row {
    uint16_t status;
    const char *code;        /* what the API's clients know: FACTS.md */
    const char *proxy_error; /* RFC 9209 2.3, with its details parameter if it has one */
    const char *message;     /* what is wrong */
    const char *advice;      /* what to do next */
    const char *fields;      /* further field lines of the answer, or "" */
};

const struct reason_row *reason_row(enum reason reason);

/* The reason as one word for metrics: "token_unknown". */
const char *reason_word(enum reason reason);

/* The reasons behind a message's fault and an upstream's failure. */
enum reason reason_of_fault(enum http_fault fault);
enum reason reason_of_failure(enum upstream_failure failure);

/* "Bad Request"; "" for a status that the gateway never makes. */
const char *reason_status_text(unsigned status);

#endif
