/*
 * The allocations. Below are the C library's, or the sanitizer's where the program has
 * one: by names that need no look-up, which would itself allocate.
 */
#include <errno.h>
#include <stddef.h>

#include "faults.h"

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

#define SANITIZERS __attribute__((weak)) extern
SANITIZERS void *__interceptor_malloc(size_t);
SANITIZERS void *__interceptor_calloc(size_t, size_t);
SANITIZERS void *__interceptor_realloc(void *, size_t);
SANITIZERS void *__interceptor_memalign(size_t, size_t);
SANITIZERS void __interceptor_free(void *);

#define CALL(name, ...)                                                                  \
    (__interceptor_##name != NULL ? __interceptor_##name(__VA_ARGS__)                    \
                                  : __libc_##name(__VA_ARGS__))

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
void *reallocarray(void *memory, size_t count, size_t size);
void *memalign(size_t alignment, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
int posix_memalign(void **memory, size_t alignment, size_t size);
void free(void *memory);

static void *counted(void *memory)
{
    if (memory != NULL)
        fault_note_blocks(1);
    return memory;
}

void *malloc(size_t size)
{
    return fault_strikes(FAULT_MEMORY) ? NULL : counted(CALL(malloc, size));
}

void *calloc(size_t count, size_t size)
{
    return fault_strikes(FAULT_MEMORY) ? NULL : counted(CALL(calloc, count, size));
}

void *realloc(void *memory, size_t size)
{
    if (memory == NULL)
        return malloc(size);
    if (size == 0) {
        free(memory);
        return NULL;
    }
    return fault_strikes(FAULT_MEMORY) ? NULL : CALL(realloc, memory, size);
}

void *reallocarray(void *memory, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(memory, bytes);
}

void *memalign(size_t alignment, size_t size)
{
    return fault_strikes(FAULT_MEMORY) ? NULL : counted(CALL(memalign, alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *aligned = memalign(alignment, size);

    if (aligned == NULL)
        return ENOMEM;
    *memory = aligned;
    return 0;
}

void free(void *memory)
{
    if (memory != NULL)
        fault_note_blocks(-1);
    CALL(free, memory);
}
