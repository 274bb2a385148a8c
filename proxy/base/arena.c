#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

enum { BLOCK_BYTES = 4096 };

static struct arena_block *add_block(struct arena *arena, size_t len)
{
    size_t size = len > BLOCK_BYTES ? len : BLOCK_BYTES;
    struct arena_block *block = calloc(1, sizeof(*block) + size);

    if (block == NULL)
        return NULL;
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t len)
{
    size_t rounded = (len + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_block *block = arena->blocks;
    void *piece;

    if (block == NULL || block->size - block->used < rounded)
        block = add_block(arena, rounded);
    if (block == NULL)
        return NULL;
    piece = block->bytes + block->used;
    block->used += rounded;
    return piece;
}

char *arena_copy(struct arena *arena, struct span text)
{
    char *copy = arena_alloc(arena, text.len + 1);

    if (copy != NULL && text.len > 0)
        memcpy(copy, text.at, text.len);
    return copy;
}

void arena_fini(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;

        free(arena->blocks);
        arena->blocks = next;
    }
}
