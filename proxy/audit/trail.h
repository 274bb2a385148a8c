/*
 * The audit trail of a running gateway: one thread that writes, and a queue before it.
 * All that waits is written with one sync, and each entry's owner is told on the writer's
 * thread. Nobody who submits ever waits for the disk (DESIGN, "Audit").
 */
#ifndef PSGATE_AUDIT_TRAIL_H
#define PSGATE_AUDIT_TRAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/entry.h"
#include "audit/line.h"
#include "audit/syslog.h"
#include "base/error.h"
#include "base/histogram.h"
#include "config/syslog.h"

struct audit_trail;

struct audit_settings {
    const char *directory;        /* made if it is not there; needs a present parent */
    const char *signing_key_file; /* NULL: no checkpoints */
    int64_t rotate_bytes;
    const struct config_syslog *syslog; /* where copies go; NULL: nowhere. Borrowed. */
    int64_t timeout_ms; /* a disk that takes longer counts as gone for new intents */
};

/*
 * Starts the writer. A folder that cannot be written is no error: the trail then is not
 * writable until it can be. A signing key that cannot be read is one.
 */
struct audit_trail *audit_trail_new(const struct audit_settings *settings,
                                    struct error *error) MUST_CHECK;

/* Other settings from now on. The folder cannot change while it runs: that is an error.
 */
bool audit_trail_configure(struct audit_trail *trail,
                           const struct audit_settings *settings,
                           struct error *error) MUST_CHECK;

/*
 * Hands an entry over, which is then the trail's. False: it is still the caller's; an
 * intent cannot be made durable now, as the trail is not writable, or there are too many
 * loose entries. Results are always taken.
 */
bool audit_trail_submit(struct audit_trail *trail, struct audit_entry *entry);

/*
 * The same in two steps, for who may have more entries in the same turn: what was queued
 * before a wake is written with one sync.
 */
bool audit_trail_queue(struct audit_trail *trail, struct audit_entry *entry);
void audit_trail_wake(struct audit_trail *trail);

/*
 * Whether a refusal of that source is to be recorded (audit/refusals.h): ask before its
 * entry is made and submitted. If not, it is counted.
 */
bool audit_trail_admits_refusal(struct audit_trail *trail, struct span source);

/* Begins a new file soon (SIGUSR1). */
void audit_trail_rotate(struct audit_trail *trail);

/* Whether an audited change can be recorded at this time; if not, why not. */
bool audit_trail_is_writable(struct audit_trail *trail, struct error *why);

struct audit_numbers {
    uint64_t records[AUDIT_PHASES];
    uint64_t dropped;
    uint64_t waiting; /* taken, and not durable yet */
    struct histogram_counts sync_times;

    char chain_id[AUDIT_CHAIN_ID_HEX + 1]; /* "" before the first record */
    uint64_t sequence;                     /* of the last line that is durable */
    int64_t checkpoint_ms; /* wall clock, of the last one; 0: none since the start */
    uint64_t checkpoint_sequence; /* the line that it is about */

    bool has_syslog;
    struct audit_syslog_counts syslog;
};

/* For the metrics; from any thread. */
void audit_trail_numbers(struct audit_trail *trail, struct audit_numbers *numbers);

/*
 * Waits until all that was submitted is written, at most so long. False: it is not; from
 * then on no owner is told any more.
 */
bool audit_trail_flush(struct audit_trail *trail, int64_t timeout_ms);

/* Writes what is left, with a checkpoint, and ends. NULL is fine. */
void audit_trail_free(struct audit_trail *trail);

#endif
