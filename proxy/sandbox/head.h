/*
 * Whether a request's head means to libevhtp what it means to everybody else. libevhtp's
 * parser takes much that RFC 9112 does not (a length beside an encoding, two lengths, a NUL,
 * HTTP/1.9) and reads some of it its own way; such a head must not reach it.
 */
#ifndef PSGATE_SANDBOX_HEAD_H
#define PSGATE_SANDBOX_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum sandbox_framing { SANDBOX_NO_BODY, SANDBOX_LENGTH, SANDBOX_CHUNKED };

struct sandbox_head {
    enum sandbox_framing framing;
    uint64_t length; /* of the body, when framing is SANDBOX_LENGTH: 1 or more */
};

/*
 * Checks a whole head, request line to empty line, and says what body follows it. False when
 * the head is malformed, or well-formed and still misread by libevhtp.
 */
bool sandbox_head_check(struct span bytes, struct sandbox_head *head);

#endif
