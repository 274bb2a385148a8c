#include "audit/verify_internal.h"

#include <stdlib.h>

bool verify_is_signature_good(const struct verify_walk *walk,
                              const struct audit_checkpoint *checkpoint)
{
    for (size_t i = 0; i < walk->request->key_count; i++) {
        const struct audit_key *key = &walk->request->keys[i];

        if ((checkpoint->key_id[0] == '\0' || strcmp(checkpoint->key_id, key->id) == 0) &&
            audit_checkpoint_verify(checkpoint, key))
            return true;
    }
    return walk->request->key_count == 0;
}

static int compare_held(const void *a, const void *b)
{
    const struct audit_checkpoint *const *left = a, *const *right = b;

    return (*left)->sequence < (*right)->sequence
               ? -1
               : (*left)->sequence > (*right)->sequence;
}

bool verify_select_held(struct verify_walk *walk)
{
    const struct audit_verify_request *request = walk->request;

    walk->held = calloc(request->held_count + 1, sizeof(struct audit_checkpoint *));
    if (walk->held == NULL)
        return verify_broken(walk, "out of memory");
    for (size_t i = 0; i < request->held_count; i++) {
        if (memcmp(request->held[i].chain_id, walk->verdict->chain_id,
                   AUDIT_CHAIN_ID_HEX) != 0)
            continue;
        if (!verify_is_signature_good(walk, &request->held[i]))
            return error_set(
                walk->error,
                "the held checkpoint of record %llu was not signed by a given "
                "public key",
                verify_shown(request->held[i].sequence));
        walk->held[walk->held_count++] = &request->held[i];
    }
    qsort(walk->held, walk->held_count, sizeof(struct audit_checkpoint *), compare_held);
    return walk->held_count > 0 || request->held_count == 0 || request->may_hold_none ||
           verify_broken(walk, "begins another chain than that of the held checkpoints "
                               "(proxy.chain_id)");
}

bool verify_compare_with_copy(struct verify_walk *walk,
                              const struct verify_record *record)
{
    const struct audit_copy_end *end = walk->request->copy_end;

    return end == NULL || end->sequence != record->cut.sequence ||
           memcmp(end->hash, record->hash, AUDIT_HASH_HEX) == 0 ||
           verify_broken(walk,
                         "is not the record %llu that a copy ends with: one of the two "
                         "was rewritten",
                         verify_shown(end->sequence));
}

bool verify_compare_with_held(struct verify_walk *walk,
                              const struct verify_record *record)
{
    while (walk->held_next < walk->held_count &&
           walk->held[walk->held_next]->sequence == record->cut.sequence) {
        const struct audit_checkpoint *held = walk->held[walk->held_next++];

        if (memcmp(held->hash, record->hash, AUDIT_HASH_HEX) != 0)
            return verify_broken(
                walk,
                "is not the record %llu that a held checkpoint is about: the "
                "trail was rewritten",
                verify_shown(held->sequence));
        walk->verdict->held++;
        walk->verdict->last_held = *held;
    }
    return true;
}
