/*
 * The writing half of the trail: the chain and the journal, and what is done when the
 * disk fails. One thread's own; every call may block on the disk.
 */
#ifndef PSGATE_AUDIT_WRITER_H
#define PSGATE_AUDIT_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "audit/checkpoint.h"
#include "audit/entry.h"
#include "audit/journal.h"
#include "audit/key.h"
#include "audit/unfinished.h"
#include "base/error.h"

struct audit_writer {
    struct audit_journal journal;
    struct audit_chain chain;
    struct audit_hasher *hasher;
    struct audit_unfinished *unfinished;
    /* Told of the lines of each put that went well, each with its newline; may be NULL.
     */
    void (*on_written)(void *arg, struct span lines);
    void *arg;
    struct audit_key *key; /* signs checkpoints; NULL: there are none. Owned. */
    uint64_t rotate_bytes;
    struct text batch;
    bool is_recovered;     /* the chain's end is known */
    bool must_retire;      /* a write failed: the current file is suspect */
    bool must_resume;      /* the suspect one is closed; its lines are to be repeated */
    bool must_discard;     /* a file that was begun for that failed as well */
    bool must_rotate;      /* was asked for */
    uint64_t checkpointed; /* the last line that a checkpoint is about */
    char statement[AUDIT_STATEMENT_BYTES]; /* of the last checkpoint */
    char signature[AUDIT_SIGNATURE_TEXT];
    int64_t last_sync_us;
};

enum audit_ready { AUDIT_READY, AUDIT_BUSY, AUDIT_NOT_READY };
enum audit_put { AUDIT_PUT, AUDIT_NO_ROOM, AUDIT_BROKEN };

bool audit_writer_init(struct audit_writer *writer, const char *directory,
                       struct error *error) MUST_CHECK;
void audit_writer_fini(struct audit_writer *writer);

/*
 * Makes sure that there is a current file to append to: takes the lock, recovers what an
 * earlier process left, begins a new file where the old one failed, is full or is gone.
 * Records of its own (a repair, intents left open) are put in front of *pending. BUSY:
 * another process holds the lock.
 */
enum audit_ready audit_writer_prepare(struct audit_writer *writer,
                                      struct audit_entry **pending, struct error *error);

/*
 * Writes and syncs the entries, with a checkpoint behind them if with_checkpoint.
 * NO_ROOM: not a byte was written. BROKEN: their bytes may be on the disk; the next
 * prepare begins a new file, and the same entries must be in the next put, in the same
 * order, first.
 */
enum audit_put audit_writer_put(struct audit_writer *writer,
                                const struct audit_entry *entries, bool with_checkpoint,
                                struct error *error);

/*
 * Sees that there is room for some more records; for twice as many if it was out, so that
 * the answer does not change with each record.
 */
bool audit_writer_has_room(struct audit_writer *writer, bool was_out,
                           struct error *error);

/* Whether lines have been written that no checkpoint covers, and there is a key. */
bool audit_writer_owes_checkpoint(const struct audit_writer *writer);

#endif
