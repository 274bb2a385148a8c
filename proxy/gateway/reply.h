/* Answers that the gateway makes itself: errors, and its own endpoints. */
#ifndef PSGATE_GATEWAY_REPLY_H
#define PSGATE_GATEWAY_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "gateway/admission.h"
#include "gateway/forward.h"
#include "gateway/reason.h"

/* What every answer of ours needs to know. */
struct reply_options {
    bool is_head_method; /* the head only */
    enum forward_connection connection;
    int64_t now_wall_ms;
    const char *fields;        /* more field lines, or NULL */
    const char *reason_fields; /* in place of those of the reason's row, or NULL */
};

/* An error in the API's shape (FACTS.md) with Proxy-Status. False when memory is out. */
bool reply_error(const struct reply_options *options, enum reason reason,
                 const char *detail, struct text *out);

/* /.psgate/healthz and /readyz; *status is what was answered. */
bool reply_health(const struct reply_options *options, bool is_ready, const char *cluster,
                  uint16_t *status, struct text *out);

/* /.psgate/whoami. */
bool reply_whoami(const struct reply_options *options, const struct client *client,
                  struct text *out);

#endif
