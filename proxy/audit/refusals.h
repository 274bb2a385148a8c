/*
 * How many refused attempts are recorded: at most ten in a minute for each source, and
 * what came beyond as one count when that source's minute is over. An outsider can then
 * neither fill the disk nor hide among his own noise. Memory is bounded: when 1,024
 * sources are in their minutes, all further ones share the source "others".
 *
 * A minute begins with a source's first refusal. All calls may come from any thread; time
 * is an argument, of the clock that never jumps.
 */
#ifndef PSGATE_AUDIT_REFUSALS_H
#define PSGATE_AUDIT_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum {
    REFUSALS_RECORDED = 10, /* of a source, in its minute */
    REFUSALS_MINUTE_MS = 60000,
    REFUSALS_SOURCES = 1024,
    REFUSALS_SOURCE_BYTES = 64, /* longer sources are told apart by their start only */
};

#define REFUSALS_OTHERS "others"

/* As a time: the program stops, every count is due. As an answer: nothing is waiting. */
#define REFUSALS_NEVER INT64_MAX

struct refusals;

struct refusals_summary {
    char source[REFUSALS_SOURCE_BYTES + 1]; /* "10.0.0.1", "unix uid 1000", "others" */
    uint64_t count;                         /* refusals that were not recorded; not 0 */
};

/* NULL when memory is out. The caller frees it; NULL is fine there. */
struct refusals *refusals_new(void);
void refusals_free(struct refusals *refusals);

/* Whether this refusal is to be recorded; else it is counted. */
bool refusals_admit(struct refusals *refusals, struct span source, int64_t now_ms);

/*
 * Takes the next count of a minute that is over by now_ms; call until it is false. Counts
 * of one source may come as two, but none is lost, and none is told twice.
 */
bool refusals_next_summary(struct refusals *refusals, int64_t now_ms,
                           struct refusals_summary *summary);

/* When the first count that there is will be due (perhaps now), or REFUSALS_NEVER. */
int64_t refusals_next_due_ms(struct refusals *refusals);

#endif
