/*
 * Those members of a trail line that a search or a table looks at, as they are written in
 * the line: numbers of any size and strings with any escape pass through unchanged.
 */
#ifndef PSGATE_AUDIT_FIELDS_H
#define PSGATE_AUDIT_FIELDS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/span.h"
#include "base/text.h"

enum field {
    FIELD_TIME,
    FIELD_SEQUENCE,
    FIELD_PHASE,
    FIELD_ID,
    FIELD_ACTION,
    FIELD_USER,
    FIELD_RESOURCE,
    FIELD_TARGET,
    FIELD_PATH,
    FIELD_TEAM,
    FIELD_OUTCOME,
    FIELD_STATUS,
    FIELD_REASON,
    FIELD_SOURCE,
    FIELD_SUPPRESSED,
    FIELD_REPEATED,
    FIELD_COUNT
};

struct fields {
    struct span values[FIELD_COUNT]; /* raw, borrowed from the line; at is NULL: absent */
};

/* Reads a line without its newline; false with error as audit_line_pick() does. */
bool fields_read(struct fields *fields, struct span line, struct error *error) MUST_CHECK;

/* Takes from later every member that it has. */
void fields_merge(struct fields *fields, const struct fields *later);

/* Adds a string's text with its escapes undone, or another value as it stands. */
void fields_decode(struct span value, struct text *into);

/* A whole number's value; 0 where the member is absent or anything else. */
uint64_t fields_number(const struct fields *fields, enum field field);

/* Whether a member is the string text (which has nothing that JSON must escape). */
bool fields_is(const struct fields *fields, enum field field, struct span text);

/* The name of what was changed: the resource's, else the member's id, else the path. */
struct span fields_resource(const struct fields *fields);

/*
 * Adds one object of both lines' members, in their order; where both have one it is
 * later's value that counts. Both were read before and found good.
 */
void fields_merge_lines(struct span line, struct span later, struct text *into);

#endif
