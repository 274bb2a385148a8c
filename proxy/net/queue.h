/* Bytes that could not be sent yet, in order. */
#ifndef PSGATE_NET_QUEUE_H
#define PSGATE_NET_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/uio.h>

struct queue_chunk;

struct queue {
    struct queue_chunk *first, *last;
    size_t bytes;
    bool is_sensitive; /* it may hold the API key: kept apart, cleansed before freeing */
};

/* Copies what the vectors hold behind their first skip bytes. False when memory is out.
 */
bool queue_append(struct queue *queue, const struct iovec *vectors, int count,
                  size_t skip);

/* Points at most max vectors at the first bytes; returns how many it used. */
int queue_peek(const struct queue *queue, struct iovec *vectors, int max);

/* Drops the first len bytes, len at most queue->bytes. */
void queue_drop(struct queue *queue, size_t len);

void queue_clear(struct queue *queue);

#endif
