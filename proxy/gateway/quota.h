/*
 * How much of a client's, and of everyone's, is let through: what exceeds a rate or the
 * number at once is refused there and then. Nothing waits in line: a queue would hold
 * connections and audited bodies for clients that may have given up, and hide from a
 * script that it is too fast (nginx: limit_req with nodelay).
 */
#ifndef PSGATE_GATEWAY_QUOTA_H
#define PSGATE_GATEWAY_QUOTA_H

#include <stdbool.h>

#include "base/text.h"
#include "gateway/reason.h"

struct exchange;

enum quota {
    QUOTA_ADMITTED,
    QUOTA_REFUSED,
    QUOTA_ASKED, /* of the fleet: exchange_on_token follows */
};

/*
 * Counts an admitted request of a client: its place is held until the exchange ends, or
 * its answer's last bytes go out. One without a place takes no token. REFUSED: for
 * *reason.
 */
enum quota quota_admit(struct exchange *exchange, enum reason *reason);

/* Counts what goes upstream, once an exchange. REFUSED: REASON_UPSTREAM_RATE. */
enum quota quota_admit_upstream(struct exchange *exchange);

/*
 * Adds Retry-After and the RateLimit fields (draft-ietf-httpapi-ratelimit-headers-10) of
 * an answer for one of these reasons; nothing for others.
 */
void quota_add_lines(const struct exchange *exchange, enum reason reason,
                     struct text *out);

#endif
