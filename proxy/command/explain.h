/* What the gateway would do with a request of a client's, and which rule decides it. */
#ifndef PSGATE_COMMAND_EXPLAIN_H
#define PSGATE_COMMAND_EXPLAIN_H

#include "gateway/snapshot.h"

/* target is a request's: a path with or without a query, or a whole URL. */
struct explain_question {
    const char *method, *target, *client;
};

/*
 * Prints the answer on standard output. The exit status: 0 allowed, 1 refused (for a name
 * with several entries: any of them), 64 when there is no such client, which is said.
 */
int explain_request(const struct snapshot *snapshot,
                    const struct explain_question *question);

#endif
