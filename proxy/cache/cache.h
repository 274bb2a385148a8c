/*
 * The cache as one thing: its store, its flights and its generations, shared by all
 * workers and outliving reloads.
 */
#ifndef PSGATE_CACHE_CACHE_H
#define PSGATE_CACHE_CACHE_H

#include <stddef.h>

#include "cache/flights.h"
#include "cache/generations.h"
#include "cache/store.h"

struct cache {
    struct store *store;
    struct flights *flights;
    struct generations *generations;
};

/* memory: the bound on what the store holds, in bytes. False when memory is out. */
bool cache_init(struct cache *cache, size_t memory);
void cache_fini(struct cache *cache);

#endif
