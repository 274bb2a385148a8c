/*
 * How upstream and the API keys are doing, as the answers to requests show: for the
 * metrics and the status page. Noted by all workers, read by anybody.
 */
#ifndef PSGATE_GATEWAY_HEALTH_H
#define PSGATE_GATEWAY_HEALTH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "access/credential.h"

enum { HEALTH_ERROR_BYTES = 256 };

/* Times are of the wall clock, in ms; 0: never. */
struct health {
    _Atomic int64_t success_ms; /* the last answer that was no failure of upstream's */
    _Atomic int64_t failure_ms;
    pthread_mutex_t lock;           /* over error */
    char error[HEALTH_ERROR_BYTES]; /* the last failure; "" before the first */
};

void health_init(struct health *health);
void health_fini(struct health *health);

/* Upstream's final head came, to a request with that key. */
void health_note_answer(struct health *health, const struct credential *credential,
                        int key_slot, unsigned status, int64_t now_wall_ms);

/* No whole head came. text says why, without anything of the request. */
void health_note_failure(struct health *health, const char *text, int64_t now_wall_ms);

/* Copies the last failure's text. */
void health_read_error(struct health *health, char text[HEALTH_ERROR_BYTES]);

#endif
