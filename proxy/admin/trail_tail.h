/*
 * The newest lines of a trail, in memory, kept up with its files. One thread's own; every
 * call may block on the disk.
 */
#ifndef PSGATE_ADMIN_TRAIL_TAIL_H
#define PSGATE_ADMIN_TRAIL_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/search.h"
#include "base/error.h"

struct trail_tail;

struct trail_tail *trail_tail_new(const char *folder, size_t most_bytes);
void trail_tail_free(struct trail_tail *tail);

/* Reads what has come since. False with error when the trail cannot be read. */
bool trail_tail_catch_up(struct trail_tail *tail, struct error *error);

/* How often it has begun anew: what was known before may be about other files. */
unsigned trail_tail_beginnings(const struct trail_tail *tail);

/* The sequence of the newest line; 0: there is none. */
uint64_t trail_tail_last(const struct trail_tail *tail);

/* Whether every line from that sequence on is there. */
bool trail_tail_has(const struct trail_tail *tail, uint64_t sequence);

/* Gives all that is there to a search. False when memory is out. */
bool trail_tail_feed(const struct trail_tail *tail, struct search *search);

#endif
