#include "audit/open_set.h"

#include <stdlib.h>

enum { ID_HEX = 32, FIRST_CAPACITY = 64 };

/* Open addressing: an entry lies in the first free slot from its own on. */
struct audit_open {
    uint64_t sequence; /* 0: free */
    char id[ID_HEX];
};

static size_t home_of(const struct audit_open_set *set, const char *id)
{
    uint64_t parts[ID_HEX / sizeof(uint64_t)], mix = 0;

    memcpy(parts, id, ID_HEX);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        mix = (mix ^ parts[i] ^ mix >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mix >> 20) & (set->capacity - 1);
}

/* The slot that holds the id, or the free one where it would go. */
static struct audit_open *find(const struct audit_open_set *set, const char *id)
{
    size_t at = home_of(set, id);

    while (set->slots[at].sequence != 0 && memcmp(set->slots[at].id, id, ID_HEX) != 0)
        at = (at + 1) & (set->capacity - 1);
    return &set->slots[at];
}

static bool grow(struct audit_open_set *set)
{
    struct audit_open_set grown = {
        .capacity = set->capacity == 0 ? FIRST_CAPACITY : set->capacity * 2,
        .count = set->count,
    };

    grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
    if (grown.slots == NULL)
        return false;
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i].sequence != 0)
            *find(&grown, set->slots[i].id) = set->slots[i];
    }
    free(set->slots);
    *set = grown;
    return true;
}

enum audit_open_added audit_open_set_add(struct audit_open_set *set, struct span id,
                                         uint64_t sequence)
{
    struct audit_open *slot;

    if (set->count * 2 >= set->capacity && !grow(set))
        return AUDIT_OPEN_NO_MEMORY;
    slot = find(set, id.at);
    if (slot->sequence != 0)
        return AUDIT_OPEN_THERE;
    slot->sequence = sequence;
    memcpy(slot->id, id.at, ID_HEX);
    set->count++;
    return AUDIT_OPEN_ADDED;
}

/* Moves entries back into the hole, so that each is still found from its own slot on. */
static void close_hole(struct audit_open_set *set, size_t hole)
{
    size_t mask = set->capacity - 1;

    for (size_t at = (hole + 1) & mask; set->slots[at].sequence != 0;
         at = (at + 1) & mask) {
        size_t home = home_of(set, set->slots[at].id);

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            set->slots[hole] = set->slots[at];
            hole = at;
        }
    }
    set->slots[hole].sequence = 0;
}

bool audit_open_set_remove(struct audit_open_set *set, struct span id)
{
    struct audit_open *slot = set->count > 0 ? find(set, id.at) : NULL;

    if (slot == NULL || slot->sequence == 0)
        return false;
    close_hole(set, (size_t)(slot - set->slots));
    set->count--;
    return true;
}

uint64_t audit_open_set_oldest(const struct audit_open_set *set)
{
    uint64_t oldest = 0;

    for (size_t i = 0; set->count > 0 && i < set->capacity; i++) {
        uint64_t sequence = set->slots[i].sequence;

        if (sequence != 0 && (oldest == 0 || sequence < oldest))
            oldest = sequence;
    }
    return oldest;
}

void audit_open_set_fini(struct audit_open_set *set)
{
    free(set->slots);
    *set = (struct audit_open_set){0};
}
