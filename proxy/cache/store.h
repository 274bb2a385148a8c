/*
 * The entries, by key, within a bound on memory. Sharded, each shard under its own lock,
 * which is held for a look-up or an insertion and never for anything slow.
 */
#ifndef PSGATE_CACHE_STORE_H
#define PSGATE_CACHE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/entry.h"

struct store;

/* A store that holds at most budget bytes of entries and tables. NULL: out of memory. */
struct store *store_new(size_t budget);
void store_free(struct store *store);

/* Changes the bound; what is over it goes. */
void store_resize(struct store *store, size_t budget);

/* The largest entry that is worth storing: more would push everything else out. */
size_t store_entry_limit(const struct store *store);

/* The entry of that key, one reference of it, or NULL. */
struct cache_entry *store_find(struct store *store, struct span key);

/* Adds an entry, in place of one with its key; takes its own reference. */
void store_put(struct store *store, struct cache_entry *entry);

/* Removes the entry of that key, if there is one. */
void store_remove(struct store *store, struct span key);

struct store_sizes {
    size_t bytes, entries;
};

struct store_sizes store_sizes(struct store *store);

/* The hash that shards and buckets are chosen by; also for flights. */
uint64_t store_hash(const struct store *store, struct span key);

#endif
