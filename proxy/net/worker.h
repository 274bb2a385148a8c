/*
 * A worker: a thread with its event base, and what everything on it shares. A connection
 * lives on one worker from accept to close; workers speak to each other by letters only.
 *
 * Objects that close inside their own callbacks are not freed there but retired, and
 * freed at the end of the loop's turn, so that no caller up the stack holds freed memory.
 */
#ifndef PSGATE_NET_WORKER_H
#define PSGATE_NET_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "base/error.h"
#include "net/mailbox.h"

enum {
    WORKER_SCRATCH_BYTES = 131072, /* the most that one read takes */
    WORKER_RECORD_BYTES = 16384,  /* a TLS record's plaintext (RFC 8446 5.1) */
};

/* Embedded in objects that are retired. */
struct retired {
    struct retired *next;
    void (*free)(struct retired *retired);
};

struct worker {
    unsigned index;
    struct event_base *base;
    struct mailbox *mailbox;
    char *scratch; /* for one read and what is made of it, within one callback */
    char *record;  /* where TLS gathers a record; may hold the API key: secret memory */
    struct secret *record_memory;
    struct retired *retired;
    bool is_stopping;
};

struct worker *worker_new(unsigned index, struct error *error) MUST_CHECK;

/* Frees the worker and all that was retired. Its connections must be gone. */
void worker_free(struct worker *worker);

/* Runs the loop on the calling thread until worker_stop was called on it. */
void worker_run(struct worker *worker);
void worker_stop(struct worker *worker);

/* Frees the object at the end of this turn of the loop. */
void worker_retire(struct worker *worker, struct retired *retired,
                   void (*free)(struct retired *retired));

#endif
