/*
 * What went wrong, in words for a person. Fallible calls return bool and fill one of
 * these; they are warn-unused, so that a failure cannot be overlooked.
 */
#ifndef PSGATE_BASE_ERROR_H
#define PSGATE_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((__format__(__printf__, text, first)))

struct error {
    char text[512]; /* lower case, no full stop; says what failed and what to do next */
};

/* Writes the text (cut when too long) and returns false, so that callers can return it.
 */
bool error_set(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same, with ": " and the meaning of an errno value at the end. */
bool error_set_errno(struct error *error, int errnum, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The meaning of an errno value, from a static table: safe in every thread. */
const char *error_errno_text(int errnum);

#endif
