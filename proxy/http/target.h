/*
 * Request targets (RFC 9112 3.2) and paths: split and judged, never rewritten.
 */
#ifndef PSGATE_HTTP_TARGET_H
#define PSGATE_HTTP_TARGET_H

#include <stdbool.h>

#include "base/span.h"
#include "http/fault.h"
#include "http/head.h"

struct http_target {
    struct span authority; /* of an absolute-form target; at is NULL otherwise */
    struct span path;      /* as spelled; "/" for an absolute-form without one; or "*" */
    struct span query;     /* after the '?'; at is NULL when there is no '?' */
    bool is_asterisk;      /* OPTIONS * */
};

/*
 * Splits a request's target. All spans point into text, or are literals. OPTIONS alone
 * may use "*", or an absolute-form without path, which means the same (RFC 9112 3.2.4).
 */
bool http_target_split(struct span text, struct span method, struct http_target *target,
                       enum http_fault *fault);

/*
 * Checks the Host field, which HTTP/1.1 demands exactly once, and that an absolute-form
 * target's authority is the same (RFC 9112 3.2, 3.2.2).
 */
bool http_check_host(const struct http_head *head, const struct http_target *target,
                     enum http_fault *fault);

enum { HTTP_PATH_SEGMENTS = 32 };

/* A path's decoded segments: what policy and matching look at. */
struct http_path {
    struct span segments[HTTP_PATH_SEGMENTS]; /* the first ones, if there are more */
    unsigned count;                           /* all */
    bool has_encoded_slash;
};

/*
 * Splits an origin-form path at '/' and decodes each segment; a single trailing slash is
 * ignored. Refused: dot and empty segments, backslashes, control bytes, broken
 * percent-encoding, invalid UTF-8, in plain or encoded spelling; and encoded slashes,
 * unless forward_encoded_slashes: then they stay data inside their segment, but a dot
 * segment made with one is refused too, and so is one in a path of which not all segments
 * are kept: nobody could split it again.
 * Decoded segments lie in scratch (at least path.len bytes) and live as long as it and
 * path.
 */
bool http_path_split(struct span path, bool forward_encoded_slashes, char *scratch,
                     struct http_path *out, enum http_fault *fault);

/*
 * The path as a server sees it that takes encoded slashes for separators: the decoded
 * segments, split again, without empty ones. Nothing is copied. For a path that has
 * encoded slashes.
 */
void http_path_split_again(const struct http_path *path, struct http_path *out);

/*
 * Percent-decodes text into out (at least text.len bytes); broken escapes stay as they
 * are. Returns the decoded length. For values that are only compared, never forwarded.
 */
size_t http_percent_decode(struct span text, char *out);

#endif
