#include "audit/verify_internal.h"

#include <stdio.h>

static bool take_intent(struct verify_walk *walk, const struct verify_record *record)
{
    walk->verdict->mutations++;
    switch (audit_open_set_add(&walk->open, record->members[VERIFY_EVENT_ID],
                               record->cut.sequence)) {
    case AUDIT_OPEN_ADDED:
        return true;
    case AUDIT_OPEN_THERE:
        return verify_broken(walk, "is a second intent of one event.id");
    case AUDIT_OPEN_NO_MEMORY:
        break;
    }
    return verify_broken(walk, "cannot be remembered: out of memory");
}

static bool take_mutation(struct verify_walk *walk, const struct verify_record *record)
{
    if (record->members[VERIFY_EVENT_ID].at == NULL ||
        !audit_is_hex(record->members[VERIFY_EVENT_ID], AUDIT_EVENT_ID_HEX))
        return verify_broken(walk, "has no event.id of 32 hex digits");
    if (verify_is_member(record, VERIFY_PHASE, SPAN("intent")))
        return take_intent(walk, record);
    return audit_open_set_remove(&walk->open, record->members[VERIFY_EVENT_ID]) ||
           verify_broken(walk, "is a result without an intent, or a second one");
}

static bool take_checkpoint(struct verify_walk *walk, const struct verify_record *record)
{
    struct audit_checkpoint checkpoint;

    if (record->members[VERIFY_STATEMENT].at == NULL ||
        record->members[VERIFY_SIGNATURE].at == NULL ||
        record->members[VERIFY_KEY].at == NULL)
        return verify_broken(walk, "is a checkpoint without statement, signature or key");
    if (!audit_checkpoint_read(record->members[VERIFY_STATEMENT],
                               record->members[VERIFY_SIGNATURE],
                               record->members[VERIFY_KEY], &checkpoint, walk->error))
        return verify_blame(walk);
    if (memcmp(checkpoint.chain_id, walk->verdict->chain_id, AUDIT_CHAIN_ID_HEX) != 0 ||
        checkpoint.sequence != walk->head.next - 1 ||
        memcmp(checkpoint.hash, walk->head.hash, AUDIT_HASH_HEX) != 0)
        return verify_broken(
            walk, "is a checkpoint whose statement is not about the line before");
    if (!verify_is_signature_good(walk, &checkpoint))
        return verify_broken(
            walk,
            "is a checkpoint that no given public key has signed (its key is "
            "named %s)",
            checkpoint.key_id);
    walk->verdict->checkpoints++;
    walk->verdict->last_checkpoint = checkpoint;
    return true;
}

static bool has_suspect(const struct verify_walk *walk, struct span name)
{
    char wanted[512];

    (void)snprintf(wanted, sizeof(wanted), "%.*s",
                   name.len < sizeof(wanted) ? (int)name.len : 0,
                   name.at != NULL ? name.at : "");
    for (size_t i = 0; i < walk->folder.count; i++) {
        if (audit_folder_is_suspect(&walk->folder, &walk->folder.files[i], wanted))
            return true;
    }
    return false;
}

bool verify_end_repeats(struct verify_walk *walk)
{
    const struct audit_superseded *missing = audit_repeats_missing(&walk->repeats);

    if (missing != NULL) {
        verify_set_place(walk->verdict->place, missing->path, missing->line);
        return error_set(walk->error, "lines after the last acknowledged one were not "
                                      "repeated: this is the first of them");
    }
    audit_repeats_clear(&walk->repeats);
    return true;
}

static bool take_resumed(struct verify_walk *walk, const struct verify_record *record)
{
    if (walk->line != 1)
        return verify_broken(walk, "is a trail.resumed in the midst of a file");
    if (!has_suspect(walk, record->members[VERIFY_SUSPECT]))
        return verify_broken(walk, "goes on from a suspect file that is not here "
                                   "(proxy.trail.suspect_file)");
    if (record->members[VERIFY_LAST_HASH].at == NULL ||
        !span_equal(record->members[VERIFY_LAST_HASH], record->cut.prev_hash))
        return verify_broken(walk,
                             "is a trail.resumed whose proxy.trail.last_hash is not its "
                             "proxy.prev_hash");
    walk->repeats_left = record->repeated;
    return record->repeated > 0 || verify_end_repeats(walk);
}

bool verify_take_meaning(struct verify_walk *walk, const struct verify_record *record,
                         bool is_repeat)
{
    if (verify_is_member(record, VERIFY_PHASE, SPAN("intent")) ||
        verify_is_member(record, VERIFY_PHASE, SPAN("result")))
        return take_mutation(walk, record);
    if (verify_is_member(record, VERIFY_PHASE, SPAN("refused")))
        return true;
    if (verify_is_member(record, VERIFY_PHASE, SPAN("checkpoint")))
        return is_repeat || take_checkpoint(walk, record);
    if (!verify_is_member(record, VERIFY_PHASE, SPAN("trail")))
        return verify_broken(walk, "has no proxy.phase that is known");
    return is_repeat || !verify_is_member(record, VERIFY_ACTION, SPAN("trail.resumed")) ||
           take_resumed(walk, record);
}

/*
 * oldest_open is where a reader that wants all that is open must begin: lower is only
 * slower, higher would lose one.
 */
bool verify_check_oldest_open(struct verify_walk *walk, const struct audit_line *cut)
{
    uint64_t oldest;

    if (cut->oldest_open == 0)
        return true;
    if (walk->line != 1)
        return verify_broken(
            walk, "has a proxy.trail.oldest_open, but is not a file's first line");
    oldest = audit_open_set_oldest(&walk->open);
    if (oldest == 0)
        oldest = cut->sequence;
    return cut->oldest_open <= oldest ||
           verify_broken(
               walk,
               "says that nothing before record %llu is without a result, but record "
               "%llu is",
               verify_shown(cut->oldest_open), verify_shown(oldest));
}
