#include "base/table.h"

#include <stdlib.h>
#include <sys/random.h>

struct slot {
    struct span key; /* at is NULL iff the slot is free */
    uint64_t hash;
    void *value;
};

struct table {
    struct slot *slots;
    size_t size; /* a power of two */
    size_t count;
    uint64_t seed; /* so that nobody can choose keys that collide */
};

enum { FIRST_SIZE = 16 };

struct table *table_new(void)
{
    struct table *table = calloc(1, sizeof(*table));

    if (table == NULL)
        return NULL;
    table->size = FIRST_SIZE;
    table->slots = calloc(table->size, sizeof(*table->slots));
    if (table->slots == NULL) {
        free(table);
        return NULL;
    }
    (void)!getrandom(&table->seed, sizeof(table->seed), GRND_NONBLOCK);
    return table;
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    free(table->slots);
    free(table);
}

/* The slot that holds key, or the free one where it would go. */
static struct slot *find_slot(const struct table *table, struct span key, uint64_t hash)
{
    size_t mask = table->size - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct slot *slot = &table->slots[i];

        if (slot->key.at == NULL || (slot->hash == hash && span_equal(slot->key, key)))
            return slot;
    }
}

static bool grow(struct table *table)
{
    struct table bigger = *table;

    bigger.size = table->size * 2;
    bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < table->size; i++) {
        if (table->slots[i].key.at != NULL)
            *find_slot(&bigger, table->slots[i].key, table->slots[i].hash) =
                table->slots[i];
    }
    free(table->slots);
    *table = bigger;
    return true;
}

bool table_add(struct table *table, struct span key, void *value)
{
    uint64_t hash = span_hash(key, table->seed);
    struct slot *slot;

    if ((table->count + 1) * 4 > table->size * 3 && !grow(table))
        return false;
    slot = find_slot(table, key, hash);
    if (slot->key.at != NULL)
        return false;
    *slot = (struct slot){key.at != NULL ? key : SPAN(""), hash, value};
    table->count++;
    return true;
}

void *table_find(const struct table *table, struct span key)
{
    return find_slot(table, key, span_hash(key, table->seed))->value;
}

size_t table_count(const struct table *table)
{
    return table->count;
}
