/*
 * Whether a folder's trail is whole: every line in its place, none changed, removed,
 * inserted, reordered or doubled. One pass over the files, in memory for the mutations
 * under way at a time, the lines that wait to be repeated, and one line.
 *
 * What only a checkpoint can show: lines cut off at the very end, a last line that was
 * changed, and a chain that was made anew from some line on. What nothing shows, and
 * nothing needs: the bytes of an incomplete line, and superseded lines cut off a suspect
 * file's end (their repeats are there).
 */
#ifndef PSGATE_AUDIT_VERIFY_H
#define PSGATE_AUDIT_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/checkpoint.h"
#include "audit/key.h"
#include "audit/line.h"
#include "base/error.h"

/* How far the reading is. */
struct audit_progress {
    uint64_t records;
    uint64_t bytes, total_bytes; /* of the files, as they are on disk */
};

/* The last record of a copy of a trail. */
struct audit_copy_end {
    uint64_t sequence;
    const char *hash; /* of AUDIT_HASH_HEX bytes */
};

/* All borrowed during the call. */
struct audit_verify_request {
    const char *folder;
    const struct audit_key *keys; /* when there is one, every signature must be of one */
    size_t key_count;
    const struct audit_checkpoint *held; /* must be in the chain, those of other chains */
    size_t held_count;                   /* aside; one at least must be of this chain */
    bool may_hold_none;                  /* but when this is true */

    /* The record of that sequence, if there is one, must be this one. NULL: there is no
       copy to compare with. */
    const struct audit_copy_end *copy_end;

    /* Called every few records; or NULL. False: it is given up, as if it could not be
       read. */
    bool (*on_progress)(void *owner, const struct audit_progress *progress);
    void *owner;
};

struct audit_verdict {
    char chain_id[AUDIT_CHAIN_ID_HEX + 1]; /* empty before the first good line */
    char last_hash[AUDIT_HASH_HEX + 1];    /* of the last good line; the same */

    uint64_t records;    /* lines of the chain */
    uint64_t mutations;  /* intents */
    uint64_t unfinished; /* intents without a result */

    uint64_t checkpoints; /* in the chain; verified, when a key was given */
    struct audit_checkpoint last_checkpoint; /* the last of them */

    uint64_t held;                     /* those that were of this chain, and are in it */
    struct audit_checkpoint last_held; /* the last of them */

    bool is_incomplete; /* the trail's last line has no end: at place */
    bool is_repeating;  /* the trail ends before its last repeat is over */

    char place[4352]; /* FILE:LINE of the first bad line, or of the incomplete one; a file
                         or a folder when it is about no line; empty when the trail could
                         not be read, which says nothing about the chain */
};

/*
 * True when the chain is intact. False with error, which does not name the place, when it
 * is not, or could not be read; verdict->place says where.
 */
bool audit_verify(const struct audit_verify_request *request,
                  struct audit_verdict *verdict, struct error *error) MUST_CHECK;

#endif
