/*
 * From a request to its operation: which one it is, whether the caller may, and what is
 * answered when there is none. Knows requests, but nothing of the wire.
 */
#ifndef PSGATE_SANDBOX_ROUTES_H
#define PSGATE_SANDBOX_ROUTES_H

#include <stdbool.h>

#include "base/span.h"
#include "sandbox/answer.h"
#include "sandbox/operations.h"
#include "sandbox/state.h"

enum sandbox_method {
    SANDBOX_GET,
    SANDBOX_HEAD, /* is performed as GET: the body is for the wire to leave out */
    SANDBOX_POST,
    SANDBOX_PUT,
    SANDBOX_PATCH,
    SANDBOX_DELETE,
    SANDBOX_OTHER,
};

struct sandbox_request {
    enum sandbox_method method;
    struct span path;          /* as sent, without the query */
    struct span if_none_match; /* empty when there is none */
    struct sandbox_task task;  /* all but the item, which is filled here */
};

/*
 * Performs a request and fills the answer. In this order: an unknown path is 404, a known
 * path with another method 405, no right key 401, a body that is too long 413, an unknown
 * team 404; then it is up to the operation. Paths match without regard to case, as the
 * API's do.
 */
void sandbox_perform(struct sandbox_state *state, struct sandbox_request *request,
                     struct sandbox_answer *answer);

#endif
