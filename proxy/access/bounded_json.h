/* JSON of strangers: measured before it is parsed, so that it cannot cost much. */
#ifndef PSGATE_ACCESS_BOUNDED_JSON_H
#define PSGATE_ACCESS_BOUNDED_JSON_H

#include <jansson.h>

#include "base/span.h"

/*
 * An object of valid UTF-8 JSON, nested at most depth deep, with at most so many members
 * and elements in all, and no member twice in one object. NULL for anything else, or when
 * memory is out; the caller gives the reference back.
 */
json_t *bounded_json_object(struct span text, unsigned depth, unsigned values);

#endif
