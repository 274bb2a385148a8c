/* What the endpoint shows of the gateway: texts and JSON made from what others count. */
#ifndef PSGATE_ADMIN_SHOW_H
#define PSGATE_ADMIN_SHOW_H

#include <jansson.h>

#include "admin/history.h"
#include "base/text.h"
#include "gateway/gateway.h"

/* Why it is not ready, as texts; empty: it is. A new reference, or NULL. */
json_t *show_reasons(struct gateway *gateway);

/* /api/status and /api/clients. A new reference, or NULL when memory is out. */
json_t *show_status(struct gateway *gateway, const struct history *history,
                    int64_t started_ms);
json_t *show_clients(struct gateway *gateway);

/* /metrics: Prometheus' text format 0.0.4. */
void show_metrics(struct gateway *gateway, int64_t started_ms, struct text *out);

#endif
