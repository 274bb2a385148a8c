/*
 * The nine operations of the API's contract: each reads what a request asks, does it to
 * the state, and fills the answer. Who may ask, and which operation it is, was settled
 * before.
 */
#ifndef PSGATE_SANDBOX_OPERATIONS_H
#define PSGATE_SANDBOX_OPERATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "sandbox/answer.h"
#include "sandbox/body.h"
#include "sandbox/state.h"

/* What an operation is told of a request. */
struct sandbox_task {
    bool is_authorized;              /* only getSession is asked without */
    struct span item;                /* the user's id or the secret's name in the path */
    const struct sandbox_body *body; /* whole */
    int64_t now_ms;                  /* on the calendar */
};

typedef void sandbox_operation(struct sandbox_state *state,
                               const struct sandbox_task *task,
                               struct sandbox_answer *answer);

sandbox_operation sandbox_get_session;
sandbox_operation sandbox_list_members;
sandbox_operation sandbox_update_member;
sandbox_operation sandbox_remove_member;
sandbox_operation sandbox_list_secrets;
sandbox_operation sandbox_create_secret;
sandbox_operation sandbox_get_secret;
sandbox_operation sandbox_update_secret;
sandbox_operation sandbox_delete_secret;

#endif
