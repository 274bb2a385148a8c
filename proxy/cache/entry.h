/*
 * A stored answer: one immutable, reference-counted block of key, head and body, as it is
 * going to be sent. Its head is status line and field lines without the empty line: a hit
 * adds Age and Cache-Status behind it.
 */
#ifndef PSGATE_CACHE_ENTRY_H
#define PSGATE_CACHE_ENTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "cache/freshness.h"

struct cache_entry {
    _Atomic uint32_t references;
    atomic_bool was_visited; /* SIEVE's mark */
    bool is_variant_list;    /* no answer: its body names the fields that choose one */
    uint16_t status;
    uint16_t scope, credential_scope, target; /* whose generations it carries */
    uint32_t key_len, head_len;
    uint32_t hash;
    size_t body_len;
    uint64_t generation, credential_generation, target_generation; /* when fetched */
    int64_t received_ms;                                           /* monotonic */
    struct cache_policy policy;

    /* The store's, under its shard's lock. */
    struct cache_entry *next_in_bucket, *newer, *older;
    bool is_in_store;

    char bytes[]; /* key, head, body */
};

/* What an entry is made of; everything is copied. */
struct cache_entry_parts {
    struct span key, head, body;
    uint16_t status;
    int scope, credential_scope, target;
    uint64_t generation, credential_generation, target_generation;
    int64_t received_ms;
    bool is_variant_list;
    const struct cache_policy *policy;
};

/* One reference is the caller's. NULL when memory is out. */
struct cache_entry *cache_entry_new(const struct cache_entry_parts *parts);
struct cache_entry *cache_entry_ref(struct cache_entry *entry);
void cache_entry_unref(struct cache_entry *entry);

static inline struct span cache_entry_key(const struct cache_entry *entry)
{
    return span_make(entry->bytes, entry->key_len);
}

static inline struct span cache_entry_head(const struct cache_entry *entry)
{
    return span_make(entry->bytes + entry->key_len, entry->head_len);
}

static inline struct span cache_entry_body(const struct cache_entry *entry)
{
    return span_make(entry->bytes + entry->key_len + entry->head_len, entry->body_len);
}

/* Its age now (RFC 9111 4.2.3 current_age). */
static inline int64_t cache_entry_age_ms(const struct cache_entry *entry, int64_t now_ms)
{
    return entry->policy.initial_age_ms + (now_ms - entry->received_ms);
}

/* What it costs in memory, truly: as the allocator rounds it. */
size_t cache_entry_cost(const struct cache_entry *entry);

/* The value of a field in such a head, or an empty span whose at is NULL. */
struct span cache_head_field(struct span head, struct span name);

#endif
