/*
 * Superseded lines: those behind the last acknowledged one in a file whose writing
 * failed. Each waits here until the file that resumes the chain has repeated its body, in
 * order.
 *
 * Lines of the phases trail and checkpoint may be repeated but need not: they tell of the
 * failed file's own lines, which are no more.
 */
#ifndef PSGATE_AUDIT_REPEATS_H
#define PSGATE_AUDIT_REPEATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/hash.h"

struct audit_superseded {
    unsigned char body[AUDIT_HASH_BYTES]; /* digest of it */
    bool is_required;
    const char *path; /* borrowed: where it stands */
    uint64_t line;
};

/* An all-zero list is empty and ready. */
struct audit_repeats {
    struct audit_superseded *lines;
    size_t count, capacity;
    size_t next;   /* the first that was not repeated yet */
    size_t branch; /* the same within the superseded lines of one file */
};

/*
 * Another file's superseded lines begin. They may themselves repeat those that wait: what
 * a second failure left of the first one's repeats.
 */
void audit_repeats_begin_file(struct audit_repeats *repeats);

/* One superseded line; false when memory is out. */
bool audit_repeats_add(struct audit_repeats *repeats,
                       const struct audit_superseded *line);

/* A line that counts, where repeats may stand: whether it is one. */
bool audit_repeats_match(struct audit_repeats *repeats,
                         const unsigned char body[AUDIT_HASH_BYTES]);

/* The first line that must be repeated and was not, or NULL. */
const struct audit_superseded *audit_repeats_missing(const struct audit_repeats *repeats);

/* The repeats are over: whatever waits is forgotten. */
void audit_repeats_clear(struct audit_repeats *repeats);

void audit_repeats_fini(struct audit_repeats *repeats);

#endif
