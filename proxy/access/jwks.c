#include "access/jwks_internal.h"

#include <signal.h>
#include <stdlib.h>

#include "access/libcurl.h"
#include "base/clock.h"

/* Lists of issuers */

void jwks_return_issuers(struct jwks_issuers *issuers)
{
    if (issuers == NULL || atomic_fetch_sub(&issuers->references, 1) != 1)
        return;
    for (size_t i = 0; i < issuers->count; i++)
        jwk_set_unref(issuers->issuers[i].keys);
    free(issuers);
}

struct jwks_issuers *jwks_take_issuers(struct jwks *jwks)
{
    struct jwks_issuers *issuers;

    (void)pthread_mutex_lock(&jwks->lock);
    issuers = jwks->issuers;
    (void)atomic_fetch_add_explicit(&issuers->references, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&jwks->lock);
    return issuers;
}

static struct jwks_issuers *new_issuers(size_t count)
{
    struct jwks_issuers *issuers =
        calloc(1, sizeof(*issuers) + count * sizeof(issuers->issuers[0]));

    if (issuers != NULL) {
        atomic_init(&issuers->references, 1);
        issuers->count = count;
    }
    return issuers;
}

bool jwks_replace_keys(struct jwks *jwks, size_t index, struct jwk_set *keys)
{
    struct jwks_issuers *fresh = new_issuers(jwks->count), *old;

    if (fresh == NULL) {
        jwk_set_unref(keys);
        return false;
    }
    old = jwks->issuers; /* nobody else replaces it */
    fresh->number = old->number + 1;
    for (size_t i = 0; i < jwks->count; i++) {
        fresh->issuers[i] = old->issuers[i];
        if (i != index && fresh->issuers[i].keys != NULL)
            (void)jwk_set_ref(fresh->issuers[i].keys);
    }
    fresh->issuers[index].keys = keys;
    (void)pthread_mutex_lock(&jwks->lock);
    jwks->issuers = fresh;
    (void)pthread_mutex_unlock(&jwks->lock);
    jwks_return_issuers(old);
    return true;
}

/* Life */

static void destroy(struct jwks *jwks)
{
    for (size_t i = 0; i < jwks->count; i++)
        jwks_fetch_end(&jwks->sources[i].fetch, jwks->multi);
    if (jwks->multi != NULL)
        (void)libcurl.multi_cleanup(jwks->multi);
    jwks_return_issuers(jwks->issuers);
    (void)pthread_cond_destroy(&jwks->ended);
    (void)pthread_mutex_destroy(&jwks->lock);
    arena_fini(&jwks->arena);
    free(jwks);
}

static void init_locks(struct jwks *jwks)
{
    pthread_condattr_t monotonic;

    (void)pthread_mutex_init(&jwks->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&jwks->ended, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

struct jwks *jwks_new(size_t count)
{
    struct jwks *jwks = calloc(1, sizeof(*jwks));

    if (jwks == NULL)
        return NULL;
    init_locks(jwks);
    jwks->references = 1;
    jwks->sources = arena_alloc(&jwks->arena, (count + 1) * sizeof(*jwks->sources));
    jwks->issuers = new_issuers(count);
    if (jwks->sources != NULL && jwks->issuers != NULL) {
        jwks->count = count;
        return jwks;
    }
    destroy(jwks);
    return NULL;
}

/* In one step: whoever has waited for the end may free it all, and does so alone. */
void jwks_unref(struct jwks *jwks, bool has_ended)
{
    bool is_last;

    (void)pthread_mutex_lock(&jwks->lock);
    is_last = --jwks->references == 0;
    jwks->has_ended |= has_ended;
    (void)pthread_cond_signal(&jwks->ended);
    (void)pthread_mutex_unlock(&jwks->lock);
    if (is_last)
        destroy(jwks);
}

void jwks_want(struct jwks *jwks, size_t issuer)
{
    struct jwks_source *source = &jwks->sources[issuer];

    if (!atomic_exchange(&source->is_wanted, true))
        (void)libcurl.multi_wakeup(jwks->multi);
}

/* Signals are other threads' business; a broken connection must raise none. */
bool jwks_start(struct jwks *jwks, struct error *error)
{
    sigset_t all, before;
    int problem;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    jwks->references++;
    problem = pthread_create(&jwks->thread, NULL, jwks_renew, jwks);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem != 0) {
        jwks->references--;
        return error_set_errno(error, problem,
                               "cannot start the thread that renews issuers' keys");
    }
    jwks->has_thread = true;
    return true;
}

static bool wait_for_end(struct jwks *jwks, int64_t wait_ms)
{
    int64_t until_ms = clock_monotonic_ms() + wait_ms;
    struct timespec patience = {.tv_sec = until_ms / 1000,
                                .tv_nsec = until_ms % 1000 * 1000000};
    int result = 0;
    bool has_ended;

    (void)pthread_mutex_lock(&jwks->lock);
    while (!jwks->has_ended && result == 0)
        result = pthread_cond_timedwait(&jwks->ended, &jwks->lock, &patience);
    has_ended = jwks->has_ended;
    (void)pthread_mutex_unlock(&jwks->lock);
    return has_ended;
}

/* Joined, it leaves nothing behind when the process ends. */
void jwks_stop(struct jwks *jwks, int64_t wait_ms)
{
    if (jwks == NULL || !jwks->has_thread)
        return;
    if (!atomic_exchange(&jwks->is_stopping, true))
        (void)libcurl.multi_wakeup(jwks->multi);
    if (wait_ms > 0 && wait_for_end(jwks, wait_ms)) {
        (void)pthread_join(jwks->thread, NULL);
        jwks->has_thread = false;
    }
}

void jwks_free(struct jwks *jwks)
{
    if (jwks == NULL)
        return;
    jwks_stop(jwks, 0);
    if (jwks->has_thread)
        (void)pthread_detach(jwks->thread); /* it ends by itself, and frees the rest */
    jwks_unref(jwks, false);
}
