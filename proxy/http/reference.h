/* URI references (RFC 3986 5): what a Location means, seen from the request's target. */
#ifndef PSGATE_HTTP_REFERENCE_H
#define PSGATE_HTTP_REFERENCE_H

#include <stdbool.h>

#include "base/text.h"

/*
 * Adds the origin-form of the reference to out, without its fragment, if it is on the
 * same host: base is the request's path, scheme ("http") and authority are where it went.
 * False for another host, or when memory is out.
 */
bool http_resolve_reference(struct span reference, struct span base, struct span scheme,
                            struct span authority, struct text *out);

#endif
