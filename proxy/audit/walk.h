/*
 * The lines of a whole trail that count, over all its files in the order of the chain and
 * on into what is written meanwhile: rotations, files that are deleted or compressed, and
 * a new current file. Superseded lines and copies are left out, as audit/folder.h says.
 */
#ifndef PSGATE_AUDIT_WALK_H
#define PSGATE_AUDIT_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/line.h"
#include "base/error.h"
#include "base/span.h"

struct audit_walk;

/* The trail in a folder, at its first line. NULL with error when it cannot be read. */
struct audit_walk *audit_walk_open(const char *folder, struct error *error) MUST_CHECK;

/*
 * The same, but so that it begins with the last files of those there are, and still holds
 * the intent of every result in them. *from becomes the sequence of the first line of the
 * last files; it is 1 when they are all that there are.
 */
struct audit_walk *audit_walk_open_last(const char *folder, size_t files, uint64_t *from,
                                        struct error *error) MUST_CHECK;

/* NULL is fine. */
void audit_walk_close(struct audit_walk *trail);

enum audit_walk_read {
    AUDIT_WALK_LINE,
    AUDIT_WALK_END,   /* for now: may be asked again */
    AUDIT_WALK_FAILED /* only audit_walk_close may follow */
};

struct audit_walk_line {
    struct span text; /* without its newline; borrowed until the next call */
    const char *file; /* its path; as long as text */
    uint64_t number;  /* the line's, in that file */
};

/* The next line. error says which file and line when it failed. */
enum audit_walk_read audit_walk_next(struct audit_walk *trail,
                                     struct audit_walk_line *line,
                                     struct error *error) MUST_CHECK;

/* At AUDIT_WALK_END: the last line has no newline yet. */
bool audit_walk_has_torn_end(const struct audit_walk *trail);

/*
 * Whether one of the folder's files was left out because it does not begin with a record;
 * says in error which and why.
 */
bool audit_walk_has_fault(const struct audit_walk *trail, struct error *error);

#endif
