/* ETag and Last-Modified: a client's conditions on a stored answer, and ours on upstream.
 */
#ifndef PSGATE_CACHE_VALIDATORS_H
#define PSGATE_CACHE_VALIDATORS_H

#include <stdbool.h>

#include "base/text.h"
#include "http/head.h"

/*
 * Whether the client has what is stored already, by If-None-Match (weak comparison) or
 * else If-Modified-Since (RFC 9110 13.1.2, 13.1.3): then 304 is the answer.
 */
bool cache_client_has_it(const struct http_head *request, struct span etag,
                         struct span last_modified, int64_t now_wall_ms);

/* Whether two entity-tags are the same, by weak comparison (RFC 9110 8.8.3.2). */
bool cache_tags_match(struct span one, struct span other);

/* Whether the request sets conditions that cache_client_has_it looks at. */
bool cache_has_own_condition(const struct http_head *request);

/* Whether the request sets conditions that only upstream can judge. */
bool cache_has_foreign_condition(const struct http_head *request);

/* Whether a field is one of the client's own If-None-Match or If-Modified-Since. */
bool cache_is_condition(struct span name);

#endif
