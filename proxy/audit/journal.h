/*
 * The trail's folder and the file in it that is being written: locked, appended to,
 * synced, closed under a name of its own. Knows nothing of what is in the lines. One
 * thread's own; every call may block on the disk.
 */
#ifndef PSGATE_AUDIT_JOURNAL_H
#define PSGATE_AUDIT_JOURNAL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/span.h"

/* What an open file or folder is, whatever its name may mean by now. */
struct audit_identity {
    dev_t device;
    ino_t inode;
};

struct audit_journal {
    const char *directory; /* borrowed */
    int directory_fd;      /* holds the lock; -1: none */
    int fd;                /* of the current file; -1: there is none */
    struct audit_identity directory_identity, identity; /* of these two */
    uint64_t first_sequence, size;
    uint64_t reserved_to;            /* the file's blocks are there up to here */
    char suspect_name[NAME_MAX + 1]; /* closed after a failure, or "" */
};

enum audit_lock { AUDIT_LOCKED, AUDIT_LOCK_BUSY, AUDIT_LOCK_FAILED };

void audit_journal_init(struct audit_journal *journal, const char *directory);

/* Opens the folder and takes its lock, without waiting. Once locked: LOCKED again. */
enum audit_lock audit_journal_lock(struct audit_journal *journal, struct error *error);

/*
 * When the folder's name has come to mean another one: locks that and leaves the old one.
 * While it means none, or one that cannot be locked, false: the old one is kept, as it
 * may come back under its name with the current file in it.
 */
bool audit_journal_follow(struct audit_journal *journal, struct error *error) MUST_CHECK;

/* Whether the folder's and the current file's names still mean what is open here. */
bool audit_journal_is_in_place(const struct audit_journal *journal);

/* Opens the current file, which begins with this sequence, to go on behind its end. */
bool audit_journal_open(struct audit_journal *journal, uint64_t first_sequence,
                        struct error *error) MUST_CHECK;

/*
 * Begins a new current file; what may stand in its place is renamed out of the way. The
 * folder is opened and locked again first if its name has come to mean another one.
 */
bool audit_journal_begin(struct audit_journal *journal, uint64_t first_sequence,
                         struct error *error) MUST_CHECK;

/*
 * Sees that the disk has room for so many bytes more. False when it has not; where the
 * file system cannot say, true.
 */
bool audit_journal_reserve(struct audit_journal *journal, uint64_t bytes,
                           struct error *error) MUST_CHECK;

/* Writes and syncs. After false nobody knows what of it is on the disk. */
bool audit_journal_append(struct audit_journal *journal, struct span bytes,
                          struct error *error) MUST_CHECK;

/*
 * Closes the current file under its own name, audit-<first sequence>.jsonl. When that
 * fails it stays as it was. suspect: remembers the name in suspect_name.
 */
bool audit_journal_retire(struct audit_journal *journal, bool is_suspect,
                          struct error *error) MUST_CHECK;

/*
 * Removes the current file, in which nothing is that anybody was told of; one that is no
 * longer in its place is only forgotten.
 */
bool audit_journal_discard(struct audit_journal *journal, struct error *error) MUST_CHECK;

/* Closes the current file where it is, and forgets it: the name means another now. */
void audit_journal_let_go(struct audit_journal *journal);

/*
 * Moves the bytes from this offset of the folder's file on into a file of their own,
 * audit-<sequence>.torn, whose name is written to set_aside; durable on return.
 */
bool audit_journal_set_aside(struct audit_journal *journal, const char *name,
                             uint64_t offset, uint64_t sequence,
                             char set_aside[NAME_MAX + 1],
                             struct error *error) MUST_CHECK;

/* Closes everything and gives the lock back. */
void audit_journal_fini(struct audit_journal *journal);

#endif
