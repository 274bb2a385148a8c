/* A trail file beside its own compressed copy. */
#ifndef PSGATE_AUDIT_COPIES_H
#define PSGATE_AUDIT_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum audit_copies {
    AUDIT_COPIES_FIRST,  /* the first holds all that the second does */
    AUDIT_COPIES_SECOND, /* the second holds more */
    AUDIT_COPIES_DIFFER, /* error says so, and *line where in the second */
    AUDIT_COPIES_FAILED, /* a file cannot be opened: error names it */
};

/*
 * Compares two files line by line, as far as the one goes that ends first; compressed
 * data that stops in its midst is such an end too.
 */
enum audit_copies audit_copies_compare(const char *first, const char *second,
                                       uint64_t *line, struct error *error) MUST_CHECK;

#endif
