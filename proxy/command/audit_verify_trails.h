/* What `psgate audit verify` does once it has read its arguments. */
#ifndef PSGATE_COMMAND_AUDIT_VERIFY_TRAILS_H
#define PSGATE_COMMAND_AUDIT_VERIFY_TRAILS_H

#include <stddef.h>

#include "audit/checkpoint.h"
#include "audit/key.h"

enum { AUDIT_VERIFY_KEYS = 16 };

struct audit_verify_order {
    struct audit_key keys[AUDIT_VERIFY_KEYS];
    size_t key_count;
    struct audit_checkpoint *held;
    size_t held_count, held_capacity;
};

/*
 * Verifies the trails in and under the named folders, one at least, and prints what it
 * found. Returns the exit status.
 */
int audit_verify_trails(const struct audit_verify_order *order, const char *const *named,
                        size_t count);

#endif
