/*
 * Between libevhtp's requests and ours: reads one into what the operations understand,
 * and writes an answer as libevhtp's reply.
 */
#ifndef PSGATE_SANDBOX_WIRE_H
#define PSGATE_SANDBOX_WIRE_H

#include <evhtp/evhtp.h>

#include "sandbox/answer.h"
#include "sandbox/body.h"
#include "sandbox/keys.h"
#include "sandbox/routes.h"

/* Borrows from request and body: they must outlive asked. */
void sandbox_wire_read(const evhtp_request_t *request, const struct sandbox_body *body,
                       const struct sandbox_keys *keys, struct sandbox_request *asked);

/* Hands the answer to libevhtp, which finishes the request once it is written. */
void sandbox_wire_send(evhtp_request_t *request, const struct sandbox_answer *answer);

#endif
