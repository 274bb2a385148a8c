/* The path of a request, cut into segments and percent-decoded. */
#ifndef PSGATE_SANDBOX_PATH_H
#define PSGATE_SANDBOX_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* One more than any operation has, so that "too many" can be told. */
#define SANDBOX_SEGMENTS_MAX 6

/* libevhtp takes no longer lines. */
#define SANDBOX_PATH_BYTES 8192

struct sandbox_path {
    struct span
        segments[SANDBOX_SEGMENTS_MAX]; /* point into bytes: never copy this struct */
    size_t count; /* SANDBOX_SEGMENTS_MAX when there are that many or more */
    char bytes[SANDBOX_PATH_BYTES];
};

/*
 * Cuts "/a/b%20c" into "a" and "b c"; one trailing slash is ignored, as servers in the
 * style of Express do. False when it does not start with a slash, is too long, or a
 * percent sign is not followed by two hexadecimal digits. A decoded slash stays in its
 * segment.
 */
bool sandbox_path_split(struct span text, struct sandbox_path *path);

#endif
