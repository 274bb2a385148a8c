/*
 * What `psgate check` has found: a row for each thing that it tried, with a mark, and
 * what to do where something is not right.
 */
#ifndef PSGATE_COMMAND_FINDINGS_H
#define PSGATE_COMMAND_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "config/config.h"

enum finding_mark {
    FINDING_OK,
    FINDING_WARNING, /* goes on working, or is none of the configuration's fault */
    FINDING_PROBLEM, /* something will not work */
    FINDING_MARKS,
};

struct finding;

struct findings {
    const struct config *config; /* borrowed */
    struct finding *rows;
    size_t count, capacity;
    size_t marks[FINDING_MARKS]; /* how many rows have each */
    struct problems lines; /* of warnings and problems, as of configuration problems */
    bool failed;           /* memory was out: rows are missing */
};

void findings_init(struct findings *findings, const struct config *config);
void findings_fini(struct findings *findings);

/*
 * Adds a row about the value at a place of the configuration. advice says what to do, or
 * is NULL, with FINDING_OK only. What is not printable ASCII is escaped.
 */
void findings_add(struct findings *findings, enum finding_mark mark,
                  const struct place *place, const char *advice, const char *format, ...)
    PRINTF_LIKE(5, 6);

/*
 * Prints the table on standard output, its marks colored on a terminal; and a line for
 * each warning and problem on standard error, for programs and logs: not where both are
 * terminals, as the table says the same.
 */
void findings_print(const struct findings *findings);

#endif
