/*
 * Spares an unreachable upstream and the clients' time: after a few failures to reach it
 * in a row, requests fail at once for a while; then one is let through to see.
 */
#ifndef PSGATE_UPSTREAM_CIRCUIT_H
#define PSGATE_UPSTREAM_CIRCUIT_H

#include <stdbool.h>
#include <stdint.h>

enum { CIRCUIT_TOLERATES = 5, CIRCUIT_OPEN_MS = 1000 };

/* All-zero is closed. */
struct circuit {
    unsigned failures;     /* in a row */
    int64_t open_until_ms; /* 0: closed */
    bool is_probing;       /* one attempt is under way to see whether it may close */
};

/* Whether attempts fail at once for now. */
bool circuit_is_open(const struct circuit *circuit, int64_t now_ms);

/* Whether an attempt may be made now; true may make it the probe. */
bool circuit_admits(struct circuit *circuit, int64_t now_ms);

/* An attempt reached the upstream; one did not; one was given up before it could tell. */
void circuit_note_success(struct circuit *circuit);
void circuit_note_failure(struct circuit *circuit, int64_t now_ms);
void circuit_note_abandoned(struct circuit *circuit);

#endif
