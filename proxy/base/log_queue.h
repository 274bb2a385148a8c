/*
 * The lines that wait to be written: any thread adds, one takes all there are at once.
 * Bounded; nobody who adds ever waits for who takes. What does not fit is dropped, whole,
 * and counted. Lines of level info and debug leave a quarter of the room to warnings and
 * errors, which a flood of requests must not push out.
 */
#ifndef PSGATE_BASE_LOG_QUEUE_H
#define PSGATE_BASE_LOG_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/span.h"

struct log_queue {
    pthread_mutex_t lock; /* held for a copy at most, never over a system call */
    pthread_cond_t is_worth_a_look;
    char *filling, *taken; /* of capacity bytes each; they change places */
    size_t filled, capacity;
    uint64_t dropped[LOG_LEVELS]; /* since the last batch */
    bool is_awaited;              /* who takes sleeps */
    bool is_poked, is_closed;
};

/* Whole lines in the order they were added, and how many were dropped meanwhile. */
struct log_batch {
    struct span lines; /* valid until the next batch is taken */
    uint64_t dropped[LOG_LEVELS];
};

/* Room for capacity bytes of lines, twice. False when memory is out. */
bool log_queue_init(struct log_queue *queue, size_t capacity);
void log_queue_fini(struct log_queue *queue);

/* Adds a line with its line feed. False: there was no room, or the queue is closed. */
bool log_queue_add(struct log_queue *queue, enum log_level level, struct span line);

/*
 * Takes what there is; waits until there is something, or somebody pokes: then the batch
 * may be empty. False: closed, and everything was taken.
 */
bool log_queue_take(struct log_queue *queue, struct log_batch *batch);

/* Makes take return soon. */
void log_queue_poke(struct log_queue *queue);

/* Nothing more is added. */
void log_queue_close(struct log_queue *queue);

#endif
