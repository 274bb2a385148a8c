/*
 * Whether the workers go on: a letter to each, which each sends back. A worker that hangs
 * in a callback opens no letter. All calls are made on the main thread.
 */
#ifndef PSGATE_GATEWAY_PULSE_H
#define PSGATE_GATEWAY_PULSE_H

#include <stdbool.h>
#include <stddef.h>

#include "net/mailbox.h"

struct pulse;

/* For so many workers at most, whose answers come to this mailbox. NULL: out of memory.
 */
struct pulse *pulse_new(struct mailbox *home, size_t capacity);

/* Asks this worker too, from now on. */
void pulse_add(struct pulse *pulse, struct mailbox *worker);

/*
 * Asks all; on_felt is called, from within the home mailbox, when each has answered.
 * False when an answer to the last question is still out: nothing is asked then, *silent
 * is the first worker that owes one, and the call for the last question is still to come.
 */
bool pulse_feel(struct pulse *pulse, void (*on_felt)(void *arg), void *arg,
                size_t *silent);

/* No call is made any more; letters may still be under way. */
void pulse_hush(struct pulse *pulse);

/* Once all mailboxes are freed. May be called with NULL. */
void pulse_free(struct pulse *pulse);

#endif
