/*
 * Whether the writer waits a moment for company. A sync costs the same for one record as
 * for sixty: where many come at once, more of them share it, at the price of a part of
 * the time that it takes itself. Who is alone never waits.
 */
#ifndef PSGATE_AUDIT_PACE_H
#define PSGATE_AUDIT_PACE_H

#include <stddef.h>
#include <stdint.h>

struct pace {
    size_t records;  /* of the last batch */
    int64_t took_us; /* to make it durable */
};

/* A batch was made durable. */
void pace_note(struct pace *pace, size_t records, int64_t took_us);

/* How long to wait before the next one, of which so many records are there; 0: not. */
int64_t pace_pause_us(const struct pace *pace, size_t waiting);

#endif
