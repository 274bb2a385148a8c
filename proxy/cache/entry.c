#include "cache/entry.h"

#include <malloc.h>
#include <stdlib.h>

struct cache_entry *cache_entry_new(const struct cache_entry_parts *parts)
{
    size_t len = parts->key.len + parts->head.len + parts->body.len;
    struct cache_entry *entry = malloc(sizeof(*entry) + len);
    char *at;

    if (entry == NULL)
        return NULL;
    *entry = (struct cache_entry){
        .is_variant_list = parts->is_variant_list,
        .status = parts->status,
        .scope = (uint16_t)parts->scope,
        .credential_scope = (uint16_t)parts->credential_scope,
        .target = (uint16_t)parts->target,
        .key_len = (uint32_t)parts->key.len,
        .head_len = (uint32_t)parts->head.len,
        .body_len = parts->body.len,
        .generation = parts->generation,
        .credential_generation = parts->credential_generation,
        .target_generation = parts->target_generation,
        .received_ms = parts->received_ms,
        .policy = *parts->policy,
    };
    atomic_init(&entry->references, 1);
    at = entry->bytes;
    memcpy(at, parts->key.at, parts->key.len);
    at += parts->key.len;
    if (parts->head.len > 0)
        memcpy(at, parts->head.at, parts->head.len);
    at += parts->head.len;
    if (parts->body.len > 0)
        memcpy(at, parts->body.at, parts->body.len);
    return entry;
}

struct cache_entry *cache_entry_ref(struct cache_entry *entry)
{
    (void)atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
    return entry;
}

void cache_entry_unref(struct cache_entry *entry)
{
    if (entry != NULL && atomic_fetch_sub(&entry->references, 1) == 1)
        free(entry);
}

size_t cache_entry_cost(const struct cache_entry *entry)
{
    /* malloc_usable_size() only reads; its prototype has no const. */
    return malloc_usable_size((void *)(uintptr_t)entry) + sizeof(size_t);
}

struct span cache_head_field(struct span head, struct span name)
{
    struct span rest = head;

    while (rest.len > 0) {
        const char *end = memchr(rest.at, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.at) + 1 : rest.len;
        struct span line = span_make(rest.at, len);

        if (line.len > name.len + 2 && line.at[name.len] == ':' &&
            span_equal_nocase(span_make(line.at, name.len), name))
            return span_trim(span_make(line.at + name.len + 1, line.len - name.len - 3));
        rest = span_make(rest.at + len, rest.len - len);
    }
    return (struct span){NULL, 0};
}
