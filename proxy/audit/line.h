/*
 * One line of the trail, without its "\n": a flat JSON object, made of a body and a tail,
 *     {<body>,"event.sequence":N,"proxy.chain_id":"<32 hex>"
 *         [,"proxy.trail.oldest_open":M],"proxy.prev_hash":"<64 hex>"}
 * Nothing here allocates; every span that is given borrows from the line. The bytes may
 * be anybody's: whatever they are, the answer is a value or an error.
 */
#ifndef PSGATE_AUDIT_LINE_H
#define PSGATE_AUDIT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

enum {
    AUDIT_CHAIN_ID_HEX = 32,
    AUDIT_EVENT_ID_HEX = 32,
    AUDIT_LINE_MEMBERS = 256, /* a line with more is refused */
};

struct audit_line {
    struct span body;     /* from "{" to before the tail's comma: what a repeat repeats */
    uint64_t sequence;    /* 1 or more */
    uint64_t oldest_open; /* 0: not there */
    struct span chain_id; /* 32 lower-case hex digits */
    struct span prev_hash; /* 64 */
};

/*
 * Cuts a line into body and tail, without looking into the body. False with error ("has
 * no …") when the tail is not exactly of the form above.
 */
bool audit_line_cut(struct span line, struct audit_line *cut,
                    struct error *error) MUST_CHECK;

/*
 * Checks the whole line: one JSON object without white space between its parts, valid
 * UTF-8, no key twice, every value a scalar or an array of scalars. values[i] becomes the
 * value of keys[i] as it is written (a string with its quotes), or has at NULL when the
 * line has no such member. False with error when the line is anything else.
 */
bool audit_line_pick(struct span line, const struct span *keys, size_t count,
                     struct span *values, struct error *error) MUST_CHECK;

/*
 * Finds one member's value as it is written, reading no further than that. False when it
 * is not there or the line is not JSON up to it.
 */
bool audit_line_find(struct span line, struct span key, struct span *value);

/*
 * Goes over a line's members: *rest is the line at first, and afterwards what is left of
 * it. False at the end and where the line is not JSON.
 */
bool audit_line_next(struct span *rest, struct span *key, struct span *value);

/*
 * What is between the quotes of a string value, escapes as they stand; and a value that
 * is a whole number of at most 18 digits, not negative. False when the value is none (or
 * has at NULL).
 */
bool audit_value_string(struct span value, struct span *text);
bool audit_value_number(struct span value, uint64_t *number);

/* audit_line_find and audit_value_string in one. */
bool audit_line_find_string(struct span line, struct span key, struct span *text);

/* Whether text is exactly len lower-case hex digits. */
bool audit_is_hex(struct span text, size_t len);

#endif
