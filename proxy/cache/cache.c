#include "cache/cache.h"

bool cache_init(struct cache *cache, size_t memory)
{
    cache->store = store_new(memory);
    cache->flights = flights_new();
    cache->generations = generations_new();
    if (cache->store != NULL && cache->flights != NULL && cache->generations != NULL)
        return true;
    cache_fini(cache);
    return false;
}

void cache_fini(struct cache *cache)
{
    store_free(cache->store);
    flights_free(cache->flights);
    generations_free(cache->generations);
    *cache = (struct cache){0};
}
