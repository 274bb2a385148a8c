#include "base/log_queue.h"

#include <stdlib.h>
#include <string.h>

bool log_queue_init(struct log_queue *queue, size_t capacity)
{
    *queue = (struct log_queue){.capacity = capacity};
    queue->filling = malloc(capacity);
    queue->taken = malloc(capacity);
    if (queue->filling == NULL || queue->taken == NULL) {
        free(queue->filling);
        free(queue->taken);
        return false;
    }
    (void)pthread_mutex_init(&queue->lock, NULL);
    (void)pthread_cond_init(&queue->is_worth_a_look, NULL);
    return true;
}

void log_queue_fini(struct log_queue *queue)
{
    (void)pthread_cond_destroy(&queue->is_worth_a_look);
    (void)pthread_mutex_destroy(&queue->lock);
    free(queue->filling);
    free(queue->taken);
}

/* Who sleeps is woken once; the system call comes after the lock was let go. */
static void unlock_and_wake(struct log_queue *queue)
{
    bool must_wake = queue->is_awaited;

    queue->is_awaited = false;
    (void)pthread_mutex_unlock(&queue->lock);
    if (must_wake)
        (void)pthread_cond_signal(&queue->is_worth_a_look);
}

static size_t room_for(const struct log_queue *queue, enum log_level level)
{
    size_t most =
        level <= LOG_WARN ? queue->capacity : queue->capacity - queue->capacity / 4;

    return most > queue->filled ? most - queue->filled : 0;
}

bool log_queue_add(struct log_queue *queue, enum log_level level, struct span line)
{
    bool fits;

    (void)pthread_mutex_lock(&queue->lock);
    fits = !queue->is_closed && line.len <= room_for(queue, level);
    if (fits) {
        memcpy(queue->filling + queue->filled, line.at, line.len);
        queue->filled += line.len;
    } else {
        queue->dropped[level]++;
    }
    unlock_and_wake(queue);
    return fits;
}

bool log_queue_take(struct log_queue *queue, struct log_batch *batch)
{
    char *lines;
    bool is_over;

    (void)pthread_mutex_lock(&queue->lock);
    while (queue->filled == 0 && !queue->is_poked && !queue->is_closed) {
        queue->is_awaited = true;
        (void)pthread_cond_wait(&queue->is_worth_a_look, &queue->lock);
    }
    queue->is_awaited = false;
    lines = queue->filling;
    batch->lines = span_make(lines, queue->filled);
    memcpy(batch->dropped, queue->dropped, sizeof(batch->dropped));
    is_over = queue->is_closed && queue->filled == 0 && !queue->is_poked;
    queue->filling = queue->taken;
    queue->taken = lines;
    queue->filled = 0;
    queue->is_poked = false;
    memset(queue->dropped, 0, sizeof(queue->dropped));
    (void)pthread_mutex_unlock(&queue->lock);
    return !is_over;
}

void log_queue_poke(struct log_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->is_poked = true;
    unlock_and_wake(queue);
}

void log_queue_close(struct log_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->is_closed = true;
    unlock_and_wake(queue);
}
