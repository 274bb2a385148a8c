/* The intents that have no result yet: event ids and their sequences, nothing else. */
#ifndef PSGATE_AUDIT_OPEN_SET_H
#define PSGATE_AUDIT_OPEN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* An all-zero set is empty and ready. */
struct audit_open_set {
    struct audit_open *slots;
    size_t capacity; /* a power of two, at least twice count */
    size_t count;
};

enum audit_open_added { AUDIT_OPEN_ADDED, AUDIT_OPEN_THERE, AUDIT_OPEN_NO_MEMORY };

/* id has 32 hex digits. */
enum audit_open_added audit_open_set_add(struct audit_open_set *set, struct span id,
                                         uint64_t sequence);

/* Whether it was there. */
bool audit_open_set_remove(struct audit_open_set *set, struct span id);

/* The lowest sequence, or 0 when the set is empty. Looks at every slot. */
uint64_t audit_open_set_oldest(const struct audit_open_set *set);

void audit_open_set_fini(struct audit_open_set *set);

#endif
