/*
 * Who is behind a proxy that is trusted: the Forwarded field (RFC 7239), or where there
 * is none X-Forwarded-For. Pure.
 *
 * Both are read from their end: each proxy adds whom it saw, so what stands on the right
 * was written by those whom we know. What a stranger wrote stands to the left of the
 * first address that is not trusted, and is not looked at.
 */
#ifndef PSGATE_HTTP_FORWARDED_H
#define PSGATE_HTTP_FORWARDED_H

#include <stdbool.h>

#include "base/network.h"
#include "http/head.h"

struct forwarded {
    bool has_source;
    struct ip source; /* the rightmost that is not trusted; else the farthest known one */
    bool is_contradicted; /* both fields are there, and X-Forwarded-For says another */
};

/*
 * For a request whose peer is trusted. A hop that says nothing ("unknown", a name of its
 * own making, not sound) hides all that are farther away.
 */
struct forwarded forwarded_read(const struct http_head *head,
                                const struct networks *trusted);

#endif
