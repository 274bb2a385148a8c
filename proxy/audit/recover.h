/*
 * Where an earlier process left the trail: the chain's end, the intents without a result,
 * and a last line that a crash has torn.
 */
#ifndef PSGATE_AUDIT_RECOVER_H
#define PSGATE_AUDIT_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "audit/journal.h"
#include "audit/unfinished.h"
#include "base/error.h"

struct audit_recovered {
    struct audit_chain chain;
    char set_aside[NAME_MAX + 1]; /* where the torn bytes went, or "" */
    uint64_t torn_bytes;
};

/*
 * Reads what is needed of a locked folder (no further back than the oldest open intent),
 * sets a torn line aside, or a whole file that was resuming the trail and did not get to
 * the end of its repeats, adds the open intents with their bodies to unfinished, and
 * opens the current file, or begins one. An empty folder begins a chain. False with error
 * when the folder cannot be read or its last lines are no trail: nothing is changed then,
 * but for what was set aside.
 */
bool audit_recover(struct audit_journal *journal, struct audit_hasher *hasher,
                   struct audit_unfinished *unfinished, struct audit_recovered *recovered,
                   struct error *error) MUST_CHECK;

#endif
