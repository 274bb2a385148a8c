/*
 * Memory that is handed out piece by piece and given back all at once: what an immutable
 * snapshot's strings and arrays live in.
 */
#ifndef PSGATE_BASE_ARENA_H
#define PSGATE_BASE_ARENA_H

#include <stddef.h>

#include "base/span.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
};

/* len zero bytes, aligned for any object, owned by the arena. NULL when memory is out. */
void *arena_alloc(struct arena *arena, size_t len);

/* A NUL-terminated copy of text. NULL when memory is out. */
char *arena_copy(struct arena *arena, struct span text);

void arena_fini(struct arena *arena);

#endif
