/*
 * An answer before it goes to the wire: status, JSON body and the fields that depend on
 * it. Errors have the API's shape, {"code","message"} and sometimes
 * "issues":[{"message"}].
 */
#ifndef PSGATE_SANDBOX_ANSWER_H
#define PSGATE_SANDBOX_ANSWER_H

#include <stdbool.h>

#include "base/error.h"
#include "base/span.h"
#include "base/text.h"

/* Two quotes around 32 hexadecimal digits, and a NUL. */
#define SANDBOX_ETAG_BYTES 35

/* "GET, HEAD, POST, PUT, PATCH, DELETE" and a NUL. */
#define SANDBOX_ALLOW_BYTES 36

struct sandbox_answer {
    unsigned status;
    struct text body;                /* JSON; empty for 204 and 304 */
    char etag[SANDBOX_ETAG_BYTES];   /* "" when there is none */
    char allow[SANDBOX_ALLOW_BYTES]; /* what a 405 says in Allow, else "" */
};

enum sandbox_problem {
    SANDBOX_PARSE_ERROR,
    SANDBOX_BAD_REQUEST,
    SANDBOX_UNAUTHORIZED,
    SANDBOX_NOT_FOUND,
    SANDBOX_METHOD_NOT_SUPPORTED,
    SANDBOX_CONFLICT,
    SANDBOX_PAYLOAD_TOO_LARGE,
    SANDBOX_INTERNAL_SERVER_ERROR,
};

/* An all-zero struct is an answer to be filled; fini frees it and makes it so again. */
void sandbox_answer_fini(struct sandbox_answer *answer);

/* Makes the answer an error: the problem's status and code, and a message. */
void sandbox_answer_problem(struct sandbox_answer *answer, enum sandbox_problem problem,
                            const char *format, ...) PRINTF_LIKE(3, 4);

/* Adds what is wrong with one member of a body to an error's "issues". */
void sandbox_answer_add_issue(struct sandbox_answer *answer, const char *format, ...)
    PRINTF_LIKE(2, 3);

/*
 * Gives a 200 its validator, made of the body; it becomes a 304 without one when the
 * client has it already: if_none_match is the value of that field (RFC 9110 13.1.2), or
 * empty.
 */
void sandbox_answer_validate(struct sandbox_answer *answer, struct span if_none_match);

#endif
