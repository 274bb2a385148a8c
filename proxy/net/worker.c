#include "net/worker.h"

#include <stdlib.h>

#include "base/secret.h"

/* No thread but its own touches a base, and signals live on the main thread's. */
static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config != NULL) {
        (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        base = event_base_new_with_config(config);
        event_config_free(config);
    }
    return base;
}

struct worker *worker_new(unsigned index, struct error *error)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    if (worker == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    worker->index = index;
    worker->base = new_base();
    worker->scratch = malloc(WORKER_SCRATCH_BYTES);
    worker->record_memory = secret_new(WORKER_RECORD_BYTES, error);
    if (worker->base == NULL || worker->scratch == NULL)
        (void)error_set(error, "cannot make an event loop");
    else if (worker->record_memory != NULL)
        worker->mailbox = mailbox_new(worker->base, error);
    if (worker->mailbox == NULL) {
        worker_free(worker);
        return NULL;
    }
    worker->record = secret_bytes(worker->record_memory);
    return worker;
}

static void free_retired(struct worker *worker)
{
    while (worker->retired != NULL) {
        struct retired *retired = worker->retired;

        worker->retired = retired->next;
        retired->free(retired);
    }
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    mailbox_free(worker->mailbox);
    free_retired(worker);
    if (worker->base != NULL)
        event_base_free(worker->base);
    secret_free(worker->record_memory);
    free(worker->scratch);
    free(worker);
}

void worker_run(struct worker *worker)
{
    while (!worker->is_stopping) {
        (void)event_base_loop(worker->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
        free_retired(worker);
    }
    /* libevent frees a bufferevent in a later turn: have those, or they leak. */
    (void)event_base_loop(worker->base, EVLOOP_NONBLOCK);
}

void worker_stop(struct worker *worker)
{
    worker->is_stopping = true;
    (void)event_base_loopbreak(worker->base);
}

void worker_retire(struct worker *worker, struct retired *retired,
                   void (*free)(struct retired *retired))
{
    retired->free = free;
    retired->next = worker->retired;
    worker->retired = retired;
}
