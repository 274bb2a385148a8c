#include "net/queue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/secret.h"

struct queue_chunk {
    struct queue_chunk *next;
    size_t start, end, capacity;
    char bytes[];
};

enum { CHUNK_BYTES = 16384, PAGE_BYTES = 4096 };

/* Pages of their own, locked if that can be had, and never in a core file. */
static void *alloc_sensitive(size_t *bytes)
{
    void *pages;

    *bytes = (*bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    pages = aligned_alloc(PAGE_BYTES, *bytes);
    if (pages != NULL) {
        (void)mlock(pages, *bytes);
        (void)madvise(pages, *bytes, MADV_DONTDUMP);
    }
    return pages;
}

static void free_sensitive(void *pages, size_t bytes)
{
    secret_cleanse(pages, bytes);
    (void)madvise(pages, bytes, MADV_DODUMP);
    (void)munlock(pages, bytes);
    free(pages);
}

static struct queue_chunk *add_chunk(struct queue *queue, size_t len)
{
    size_t bytes = sizeof(struct queue_chunk) + (len > CHUNK_BYTES ? len : CHUNK_BYTES);
    struct queue_chunk *chunk =
        queue->is_sensitive ? alloc_sensitive(&bytes) : malloc(bytes);
    size_t capacity = bytes - sizeof(*chunk);

    if (chunk == NULL)
        return NULL;
    *chunk = (struct queue_chunk){.capacity = capacity};
    if (queue->last != NULL)
        queue->last->next = chunk;
    else
        queue->first = chunk;
    queue->last = chunk;
    return chunk;
}

static void copy_in(struct queue *queue, struct queue_chunk *chunk,
                    const struct iovec *vectors, int count, size_t skip)
{
    for (int i = 0; i < count; i++) {
        size_t passed = skip < vectors[i].iov_len ? skip : vectors[i].iov_len;
        size_t len = vectors[i].iov_len - passed;

        if (len > 0)
            memcpy(chunk->bytes + chunk->end, (const char *)vectors[i].iov_base + passed,
                   len);
        skip -= passed;
        chunk->end += len;
        queue->bytes += len;
    }
}

bool queue_append(struct queue *queue, const struct iovec *vectors, int count,
                  size_t skip)
{
    struct queue_chunk *chunk = queue->last;
    size_t len = 0;

    for (int i = 0; i < count; i++)
        len += vectors[i].iov_len;
    len -= skip;
    if (len == 0)
        return true;
    if (chunk == NULL || chunk->capacity - chunk->end < len)
        chunk = add_chunk(queue, len);
    if (chunk == NULL)
        return false;
    copy_in(queue, chunk, vectors, count, skip);
    return true;
}

int queue_peek(const struct queue *queue, struct iovec *vectors, int max)
{
    int used = 0;

    for (struct queue_chunk *chunk = queue->first; chunk != NULL && used < max;
         chunk = chunk->next)
        vectors[used++] =
            (struct iovec){chunk->bytes + chunk->start, chunk->end - chunk->start};
    return used;
}

static void drop_first(struct queue *queue)
{
    struct queue_chunk *chunk = queue->first;

    queue->first = chunk->next;
    if (queue->first == NULL)
        queue->last = NULL;
    if (queue->is_sensitive)
        free_sensitive(chunk, sizeof(*chunk) + chunk->capacity);
    else
        free(chunk);
}

void queue_drop(struct queue *queue, size_t len)
{
    queue->bytes -= len;
    while (len > 0) {
        struct queue_chunk *chunk = queue->first;
        size_t here = chunk->end - chunk->start;

        if (len < here) {
            chunk->start += len;
            return;
        }
        len -= here;
        drop_first(queue);
    }
}

void queue_clear(struct queue *queue)
{
    while (queue->first != NULL)
        drop_first(queue);
    queue->bytes = 0;
}
