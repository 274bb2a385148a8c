/*
 * An entry: one record on its way to the disk. Made by whoever records, owned by the
 * trail from audit_trail_submit until on_done, or until the trail frees it.
 */
#ifndef PSGATE_AUDIT_ENTRY_H
#define PSGATE_AUDIT_ENTRY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "audit/record.h"
#include "base/text.h"

enum audit_phase { AUDIT_INTENT, AUDIT_RESULT, AUDIT_REFUSED, AUDIT_TRAIL, AUDIT_PHASES };

enum audit_done {
    AUDIT_DURABLE,
    AUDIT_FAILED, /* it is not in the trail, and will not be */
    /* It is not durable now, but will be in the trail once that can be written: a copy
     * stays. It needs its result. */
    AUDIT_FAILED_LATER,
};

struct audit_entry {
    struct audit_entry *next;
    enum audit_phase phase;
    char id[AUDIT_ID_HEX + 1]; /* the mutation's; empty: of no mutation */
    struct text body;

    /* A loose one is refused when there are too many: no request waits for it. */
    bool is_loose;

    /*
     * Whoever waits for an intent has given up: it is left out if that is still possible.
     */
    _Atomic bool is_withdrawn;

    /*
     * Called once, on the writer's thread; the entry is then the owner's again. NULL: the
     * trail frees the entry. Only intents are told anything but DURABLE.
     */
    void (*on_done)(struct audit_entry *entry, enum audit_done done);
    void *owner; /* for on_done */

    /* The trail's own. */
    bool was_attempted; /* bytes of it may be on the disk */
    bool is_counted;    /* among what is queued */
};

/* An empty one, or NULL when memory is out. */
struct audit_entry *audit_entry_new(enum audit_phase phase);
void audit_entry_free(struct audit_entry *entry);

#endif
