/*
 * Whether a request's head means to libevhtp what it means to everybody else. libevhtp's
 * parser takes much that RFC 9112 does not (a length beside an encoding, two lengths, a
 * NUL, HTTP/1.9) and reads some of it its own way; such a head must not reach it.
 */
#ifndef PSGATE_SANDBOX_HEAD_H
#define PSGATE_SANDBOX_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* The longest head that is read. */
#define SANDBOX_HEAD_MAX ((size_t)32 * 1024)

enum sandbox_head_end { SANDBOX_HEAD_MORE, SANDBOX_HEAD_WHOLE, SANDBOX_HEAD_BAD };

/*
 * Looks for the empty line at the end of a head that starts at bytes, and sets *len to
 * the head's length with it. BAD when it is too long or a line does not end in CRLF.
 */
enum sandbox_head_end sandbox_head_find_end(struct span bytes, size_t *len);

enum sandbox_framing { SANDBOX_NO_BODY, SANDBOX_LENGTH, SANDBOX_CHUNKED };

struct sandbox_head {
    enum sandbox_framing framing;
    uint64_t length; /* of the body, when framing is SANDBOX_LENGTH: 1 or more */
};

/*
 * Checks a whole head, request line to empty line, and says what body follows it. False
 * when the head is malformed, or well-formed and still misread by libevhtp.
 */
bool sandbox_head_check(struct span bytes, struct sandbox_head *head);

#endif
