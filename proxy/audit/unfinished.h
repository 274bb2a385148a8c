/*
 * The intents that have no result yet, in the order of the chain. The writer's own, in
 * one thread.
 */
#ifndef PSGATE_AUDIT_UNFINISHED_H
#define PSGATE_AUDIT_UNFINISHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct audit_unfinished;

/* NULL when memory is out. */
struct audit_unfinished *audit_unfinished_new(void);
void audit_unfinished_free(struct audit_unfinished *unfinished);

/*
 * Makes sure that the next count adds, without a body and with an id of ours, find their
 * memory. False when it is out.
 */
bool audit_unfinished_reserve(struct audit_unfinished *unfinished, size_t count);

/*
 * An intent was written. room: the bytes kept for its result. body (may have at NULL) is
 * copied. False when memory is out; an id that is there already is moved to the end.
 */
bool audit_unfinished_add(struct audit_unfinished *unfinished, struct span id,
                          uint64_t sequence, size_t room, struct span body);

/* Its result was written. An id that is not there is fine. */
void audit_unfinished_remove(struct audit_unfinished *unfinished, struct span id);

size_t audit_unfinished_count(const struct audit_unfinished *unfinished);

/* The bytes that all results may need; and that of one, 0 when it is not there. */
size_t audit_unfinished_room(const struct audit_unfinished *unfinished);
size_t audit_unfinished_room_of(const struct audit_unfinished *unfinished,
                                struct span id);

/* The oldest one's sequence, or AUDIT_NONE_OPEN (audit/chain.h). */
uint64_t audit_unfinished_oldest(const struct audit_unfinished *unfinished);

/* Calls back for each, the oldest first; none may be added or removed meanwhile. */
void audit_unfinished_each(const struct audit_unfinished *unfinished,
                           void (*visit)(void *arg, struct span body), void *arg);

#endif
