/*
 * SIEVE (Zhang et al., NSDI 2024): which entry goes when memory is needed. New entries
 * enter at the front and never move; a hand walks from the oldest towards the newest,
 * lets off once what was used since it last came by, and takes the first that was not.
 */
#ifndef PSGATE_CACHE_SIEVE_H
#define PSGATE_CACHE_SIEVE_H

#include "cache/entry.h"

struct sieve {
    struct cache_entry *newest, *oldest;
    struct cache_entry *hand; /* where to look next; NULL: at the oldest */
};

void sieve_add(struct sieve *sieve, struct cache_entry *entry);
void sieve_remove(struct sieve *sieve, struct cache_entry *entry);

/* The entry to evict next, still in the sieve; NULL when it is empty. */
struct cache_entry *sieve_choose(struct sieve *sieve);

#endif
