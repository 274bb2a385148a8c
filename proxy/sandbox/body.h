/*
 * A request's body: the bytes as they come in, and then the JSON object in them. Bodies
 * carry values of secrets, so every copy made here is cleansed before its memory goes
 * back. (The copies that libevent and jansson make while they read are out of reach.)
 */
#ifndef PSGATE_SANDBOX_BODY_H
#define PSGATE_SANDBOX_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/span.h"
#include "sandbox/answer.h"

/* Longer bodies are read to their end, so that they can be answered, but not kept. */
#define SANDBOX_BODY_MAX ((size_t)1024 * 1024)

/* All zero is empty. */
struct sandbox_body {
    char *bytes;
    size_t len;
    size_t capacity;
    bool is_too_long;
    bool failed; /* memory was out */
};

/* Adds bytes, until the body is too long or memory is out: then it holds none. */
void sandbox_body_add(struct sandbox_body *body, struct span bytes);

/* Cleanses, frees and makes it empty. */
void sandbox_body_fini(struct sandbox_body *body);

/* A member that an operation's body may have. */
struct sandbox_member_rule {
    const char *name;
    enum { SANDBOX_STRING, SANDBOX_NAME, SANDBOX_BOOLEAN } type;
    bool is_required;
};

/*
 * The JSON object in a whole body, or NULL with the answer filled: the body is not JSON,
 * or breaks a rule. Members without a rule are ignored, as the contract allows; but an
 * object that has only such members asks for nothing that there is, and is refused.
 */
json_t *sandbox_body_read(const struct sandbox_body *body,
                          const struct sandbox_member_rule *rules, size_t rule_count,
                          struct sandbox_answer *answer);

/* Cleanses every string in it and gives it back; NULL is fine. */
void sandbox_body_release(json_t *object);

#endif
