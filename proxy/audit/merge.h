/*
 * The mutations of several trails that a filter lets through, merged by the time of their
 * intents: of two at one time that of the trail that was given first comes first, and one
 * trail's stay in the order of its chain, whatever its clock did.
 *
 * Memory: what audit/search.h keeps for each trail, and those of its rows that came out
 * at once, as they had waited for one before them.
 */
#ifndef PSGATE_AUDIT_MERGE_H
#define PSGATE_AUDIT_MERGE_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/search.h"
#include "base/error.h"

struct audit_merge;

/*
 * Is told what could not be read, with its place: a trail, a file or a line; what follows
 * in that trail and all the others are read on. trail is its index.
 */
typedef void audit_merge_on_problem(void *context, size_t trail,
                                    const struct error *problem);

/* Of folders, which are borrowed as the filter is. NULL when memory is out. */
struct audit_merge *audit_merge_new(const char *const *folders, size_t count,
                                    const struct search_filter *filter,
                                    audit_merge_on_problem *on_problem, void *context);
/* NULL is fine. */
void audit_merge_free(struct audit_merge *merge);

enum audit_merge_read {
    AUDIT_MERGE_ROW,
    AUDIT_MERGE_END,
    AUDIT_MERGE_NO_MEMORY /* only audit_merge_free may follow */
};

/* How many of the trails could be opened; the problems of the others were told. */
size_t audit_merge_opened(const struct audit_merge *merge);

/* The next row and its trail's index; the spans live until the next call. */
enum audit_merge_read audit_merge_next(struct audit_merge *merge, struct search_row *row,
                                       size_t *trail) MUST_CHECK;

/* At the end: whether the trail's last line has no newline yet. */
bool audit_merge_has_torn_end(const struct audit_merge *merge, size_t trail);

/*
 * An earlier trail that is of the same chain, as its first line says; trail itself when
 * there is none.
 */
size_t audit_merge_copy_of(const struct audit_merge *merge, size_t trail);

#endif
