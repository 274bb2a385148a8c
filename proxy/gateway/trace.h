/*
 * W3C Trace Context: what a request's traceparent says. The field itself is passed on
 * like any other, sound or not; the gateway never makes one up.
 */
#ifndef PSGATE_GATEWAY_TRACE_H
#define PSGATE_GATEWAY_TRACE_H

#include "base/span.h"
#include "http/head.h"

/*
 * The trace id, 32 lower-case hexadecimal digits in the head's bytes, or an empty span
 * where there is no traceparent, more than one, or one that is not sound.
 */
struct span trace_id(const struct http_head *head);

#endif
