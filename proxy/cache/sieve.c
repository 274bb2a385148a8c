#include "cache/sieve.h"

void sieve_add(struct sieve *sieve, struct cache_entry *entry)
{
    entry->newer = NULL;
    entry->older = sieve->newest;
    if (sieve->newest != NULL)
        sieve->newest->newer = entry;
    else
        sieve->oldest = entry;
    sieve->newest = entry;
}

void sieve_remove(struct sieve *sieve, struct cache_entry *entry)
{
    if (sieve->hand == entry)
        sieve->hand = entry->newer;
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        sieve->newest = entry->older;
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        sieve->oldest = entry->newer;
    entry->newer = entry->older = NULL;
}

struct cache_entry *sieve_choose(struct sieve *sieve)
{
    struct cache_entry *entry = sieve->hand != NULL ? sieve->hand : sieve->oldest;

    while (entry != NULL &&
           atomic_exchange_explicit(&entry->was_visited, false, memory_order_relaxed))
        entry = entry->newer != NULL ? entry->newer : sieve->oldest;
    sieve->hand = entry;
    return entry;
}
