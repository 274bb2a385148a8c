#include "net/reserve.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <evhtp/evhtp.h>

enum { CELL_BYTES = 256, CELLS = RESERVE_BYTES / CELL_BYTES };

/* A block is a run of cells. Pages of which nothing is ever used cost nothing. */
static _Alignas(64) unsigned char memory[RESERVE_BYTES];
static uint16_t runs[CELLS]; /* at a block's first cell: its length; 0 elsewhere */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over runs */

static bool is_ours(const void *block)
{
    uintptr_t at = (uintptr_t)block;

    return at >= (uintptr_t)memory && at < (uintptr_t)memory + RESERVE_BYTES;
}

static size_t cell_of(const void *block)
{
    return (size_t)((const unsigned char *)block - memory) / CELL_BYTES;
}

/* The first of so many free cells, or CELLS. With the lock held. */
static size_t find_run(size_t count)
{
    size_t first = 0;

    for (size_t i = 0; i < CELLS;) {
        if (runs[i] != 0) {
            i += runs[i];
            first = i;
        } else if (++i - first == count) {
            return first;
        }
    }
    return CELLS;
}

static void *take(size_t bytes)
{
    size_t count = bytes > 0 ? (bytes + CELL_BYTES - 1) / CELL_BYTES : 1;
    size_t first;

    if (bytes > RESERVE_MOST_BYTES)
        return NULL;
    (void)pthread_mutex_lock(&lock);
    first = find_run(count);
    if (first < CELLS)
        runs[first] = (uint16_t)count;
    (void)pthread_mutex_unlock(&lock);
    return first < CELLS ? memory + first * CELL_BYTES : NULL;
}

void *reserve_alloc(size_t bytes)
{
    void *block = malloc(bytes);

    /* cppcheck-suppress memleak ; the caller has it */
    return block != NULL ? block : take(bytes);
}

void reserve_free(void *block)
{
    if (!is_ours(block)) {
        free(block);
        return;
    }
    (void)pthread_mutex_lock(&lock);
    runs[cell_of(block)] = 0;
    (void)pthread_mutex_unlock(&lock);
}

static size_t size_of(const void *block)
{
    size_t count;

    (void)pthread_mutex_lock(&lock);
    count = runs[cell_of(block)];
    (void)pthread_mutex_unlock(&lock);
    return count * CELL_BYTES;
}

/* Out of the reserve as soon as there is other memory. */
static void *move(void *block, size_t bytes)
{
    size_t size = size_of(block);
    void *moved = reserve_alloc(bytes);

    if (moved == NULL)
        return NULL;
    memcpy(moved, block, bytes < size ? bytes : size);
    reserve_free(block);
    return moved;
}

void *reserve_resize(void *block, size_t bytes)
{
    void *resized;
    size_t size;

    if (block == NULL)
        return reserve_alloc(bytes);
    if (is_ours(block))
        return move(block, bytes);
    resized = realloc(block, bytes);
    if (resized != NULL || bytes == 0)
        return resized;
    resized = take(bytes);
    if (resized == NULL)
        return NULL;
    size = malloc_usable_size(block);
    memcpy(resized, block, size < bytes ? size : bytes);
    free(block);
    return resized;
}

void reserve_init(void)
{
    evhtp_set_mem_functions(reserve_alloc, reserve_resize,
                            reserve_free); /* libevent's too */
}
