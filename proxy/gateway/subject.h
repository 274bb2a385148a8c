/*
 * What of a request may be recorded: its subject (audit/record.h). The caller's token,
 * wherever a client put it, does not get through, and a path is taken apart again here:
 * names are recorded decoded.
 */
#ifndef PSGATE_GATEWAY_SUBJECT_H
#define PSGATE_GATEWAY_SUBJECT_H

#include "audit/body.h"
#include "base/text.h"
#include "gateway/exchange.h"

/*
 * Writes the subject's members for the exchange. id joins records; body is what was read
 * of the request's body, or NULL when nothing was, and verdict what became of that. False
 * when memory is out.
 */
bool subject_write(const struct exchange *exchange, const char *id,
                   const struct audit_body *body, enum audit_body_verdict verdict,
                   struct text *out);

/* Whether the value, whole, holds a token: the exchange's own or any. */
bool subject_is_secret(const void *exchange, struct span value);

/*
 * What the client calls its request: X-Request-Id, its first 128 bytes, or "(withheld)"
 * where a token is in it. Empty: it says nothing. Borrowed from the head.
 */
struct span subject_request_id(const struct exchange *exchange);

/*
 * The method, or "(withheld)" where a token is in it, and where it is not a common one
 * and the request no known client's. Borrowed from the head.
 */
struct span subject_method(const struct exchange *exchange);

#endif
