/* Vary (RFC 9111 4.1): which request fields chose an answer, and what they said. Pure. */
#ifndef PSGATE_CACHE_VARY_H
#define PSGATE_CACHE_VARY_H

#include <stdbool.h>

#include "base/text.h"
#include "http/head.h"

/*
 * Adds the names that an answer's Vary fields list to *names: lower case, sorted, with
 * commas between; nothing when there is no Vary. False for "Vary: *", which nothing
 * matches, and for what is no name: it may stand for a field that matters.
 */
bool cache_vary_names(const struct http_head *answer, struct text *names);

/*
 * Adds to *key what the request, as it is forwarded, says in those fields, normalised:
 * the same text for requests that RFC 9111 4.1 lets match. Authorization and Host are the
 * gateway's own and so the same in all; X-Api-Key and hop-by-hop fields are never there.
 */
void cache_vary_values(struct span names, const struct http_head *request,
                       struct text *key);

#endif
