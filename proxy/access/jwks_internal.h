/*
 * What the parts of the issuers' keys share: jwks.c has the list that workers see and the
 * life of it all, jwks_load.c makes it from a configuration, jwks_renew.c is the thread.
 */
#ifndef PSGATE_ACCESS_JWKS_INTERNAL_H
#define PSGATE_ACCESS_JWKS_INTERNAL_H

#include <pthread.h>

#include "access/jwks.h"
#include "access/jwks_fetch.h"
#include "base/arena.h"

/* Where one issuer's keys come from: a URL or a file. */
struct jwks_source {
    const char *name;        /* the issuer's */
    const char *url;         /* NULL: a file */
    const char *path;        /* NULL: a URL */
    struct span authorities; /* of the URL, PEM; empty: the system's */
    int64_t refresh_ms;
    atomic_bool is_wanted; /* newer keys are; until the next attempt begins */

    /* The thread's own, once it runs. */
    struct jwks_fetch fetch;
    int64_t begun_ms; /* the last attempt */
    int64_t next_ms;  /* when the next one is due */
    int64_t retry_ms; /* the pause after the next failure */
    bool has_begun, is_failing;
};

struct jwks {
    struct arena arena; /* every string and array */
    struct jwks_source *sources;
    size_t count;
    pthread_t thread;
    bool has_thread; /* to be joined, or left to itself */
    CURLM *multi;    /* the thread's, but for wake-ups */
    atomic_bool is_stopping;

    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t ended;
    struct jwks_issuers *issuers;
    bool has_ended;      /* the thread, but for what the system has left to do */
    unsigned references; /* the owner's and the thread's */
};

/* For that many issuers, which have neither names nor keys yet; NULL: out of memory. */
struct jwks *jwks_new(size_t count);

/*
 * Gives up the owner's reference or, has_ended, the thread's; the last one takes
 * everything with it.
 */
void jwks_unref(struct jwks *jwks, bool has_ended);

/*
 * Puts one issuer's new keys in force; they are taken, on failure too. For the thread
 * only.
 */
bool jwks_replace_keys(struct jwks *jwks, size_t index, struct jwk_set *keys) MUST_CHECK;

/* The keys in a file; NULL with error set. */
struct jwk_set *jwks_read_file(const char *path, struct error *error) MUST_CHECK;

/* The thread: renews the keys of the jwks, arg, until it is stopped; gives its reference
 * back. */
void *jwks_renew(void *arg);

#endif
