#include "net/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

enum { PAUSE_SECONDS = 1 }; /* between attempts that nobody waits for */

struct resolver {
    char *host;
    char port[8];
    int64_t interval_ms;

    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t changed;
    struct addresses *addresses; /* the last good answer, or NULL */
    struct error error;          /* of the last attempt that failed */
    struct resolver_waiter *waiters;
    bool is_asked;   /* somebody needs an attempt now */
    bool is_doubted; /* the last answer was of no use: an attempt after the pause */
    bool is_started, is_stopping;
    unsigned references; /* the owner's and the thread's */
};

void addresses_unref(struct addresses *addresses)
{
    if (addresses != NULL && atomic_fetch_sub(&addresses->references, 1) == 1)
        free(addresses);
}

static struct addresses *copy_answer(const struct addrinfo *answer)
{
    unsigned count = 0;
    struct addresses *addresses;

    for (const struct addrinfo *entry = answer; entry != NULL; entry = entry->ai_next)
        count++;
    addresses = calloc(1, sizeof(*addresses) + count * sizeof(addresses->list[0]));
    if (addresses == NULL)
        return NULL;
    atomic_init(&addresses->references, 1);
    for (; answer != NULL; answer = answer->ai_next) {
        unsigned i = addresses->count++;

        memcpy(&addresses->list[i].address, answer->ai_addr, answer->ai_addrlen);
        addresses->list[i].len = answer->ai_addrlen;
    }
    return addresses;
}

/* Asks the system, which may take long. NULL with error set. */
static struct addresses *look_up(const char *host, const char *port, int flags,
                                 struct error *error)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *answer = NULL;
    struct addresses *addresses = NULL;
    int code = getaddrinfo(host, port, &hints, &answer);

    if (code != 0) {
        (void)error_set(error, "%s", gai_strerror(code));
        return NULL;
    }
    addresses = copy_answer(answer);
    freeaddrinfo(answer);
    if (addresses == NULL)
        (void)error_set(error, "out of memory");
    return addresses;
}

static void destroy(struct resolver *resolver)
{
    addresses_unref(resolver->addresses);
    (void)pthread_cond_destroy(&resolver->changed);
    (void)pthread_mutex_destroy(&resolver->lock);
    free(resolver->host);
    free(resolver);
}

/* With the lock held, which it gives up. */
static void unref_locked(struct resolver *resolver)
{
    bool is_last = --resolver->references == 0;

    (void)pthread_mutex_unlock(&resolver->lock);
    if (is_last)
        destroy(resolver);
}

static void tell_waiters(struct resolver *resolver)
{
    while (resolver->waiters != NULL) {
        struct resolver_waiter *waiter = resolver->waiters;

        resolver->waiters = waiter->next;
        mailbox_send(waiter->mailbox, &waiter->letter);
    }
}

/* Takes in the result of an attempt; the last good answer outlives failures. */
static void note_result(struct resolver *resolver, struct addresses *fresh,
                        const struct error *error)
{
    if (fresh == NULL) {
        resolver->error = *error;
        log_warn("upstream: cannot resolve %s: %s%s", resolver->host, error->text,
                 resolver->addresses != NULL ? " (keeping the last addresses)" : "");
        return;
    }
    addresses_unref(resolver->addresses);
    resolver->addresses = fresh;
}

static void sleep_until_next(struct resolver *resolver)
{
    struct timespec pause_end, next;

    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    pause_end = next;
    pause_end.tv_sec += PAUSE_SECONDS;
    next.tv_sec += resolver->interval_ms / 1000;
    while (!resolver->is_asked && !resolver->is_stopping) {
        const struct timespec *until = resolver->is_doubted ? &pause_end : &next;

        if (pthread_cond_timedwait(&resolver->changed, &resolver->lock, until) ==
            ETIMEDOUT)
            return;
    }
}

static void *run(void *arg)
{
    struct resolver *resolver = arg;

    (void)pthread_mutex_lock(&resolver->lock);
    while (!resolver->is_stopping) {
        struct error error;
        struct addresses *fresh;

        resolver->is_asked = false;
        resolver->is_doubted = false;
        (void)pthread_mutex_unlock(&resolver->lock);
        fresh = look_up(resolver->host, resolver->port, 0, &error);
        (void)pthread_mutex_lock(&resolver->lock);
        if (resolver->is_stopping) {
            addresses_unref(fresh);
            break;
        }
        note_result(resolver, fresh, &error);
        tell_waiters(resolver);
        sleep_until_next(resolver);
    }
    unref_locked(resolver);
    return NULL;
}

/* With the lock held: the thread waits for it. */
static bool start_thread(struct resolver *resolver)
{
    pthread_t thread;
    int errnum;

    resolver->references++;
    errnum = pthread_create(&thread, NULL, run, resolver);
    if (errnum != 0) {
        resolver->references--;
        (void)error_set_errno(&resolver->error, errnum,
                              "cannot start the resolver's thread");
        log_error("upstream: cannot resolve %s: %s", resolver->host,
                  resolver->error.text);
        return false;
    }
    (void)pthread_detach(thread);
    return true;
}

void resolver_start(struct resolver *resolver)
{
    (void)pthread_mutex_lock(&resolver->lock);
    if (!resolver->is_started)
        resolver->is_started = resolver->addresses != NULL || start_thread(resolver);
    (void)pthread_mutex_unlock(&resolver->lock);
}

void resolver_ask_again(struct resolver *resolver)
{
    (void)pthread_mutex_lock(&resolver->lock);
    if (!resolver->is_doubted) {
        resolver->is_doubted = true;
        (void)pthread_cond_broadcast(&resolver->changed);
    }
    (void)pthread_mutex_unlock(&resolver->lock);
}

struct resolver *resolver_new(const char *host, uint16_t port, int64_t interval_ms,
                              struct error *error)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    pthread_condattr_t attributes;

    if (resolver == NULL || (resolver->host = strdup(host)) == NULL) {
        (void)error_set(error, "out of memory");
        free(resolver);
        return NULL;
    }
    (void)snprintf(resolver->port, sizeof(resolver->port), "%u", port);
    resolver->interval_ms = interval_ms;
    resolver->references = 1;
    (void)pthread_mutex_init(&resolver->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&resolver->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    resolver->addresses = look_up(host, resolver->port, AI_NUMERICHOST, &resolver->error);
    (void)error_set(&resolver->error, "no answer yet");
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    (void)pthread_mutex_lock(&resolver->lock);
    resolver->is_stopping = true;
    tell_waiters(resolver);
    (void)pthread_cond_broadcast(&resolver->changed);
    unref_locked(resolver);
}

struct addresses *resolver_addresses(struct resolver *resolver, struct error *error)
{
    struct addresses *addresses;

    (void)pthread_mutex_lock(&resolver->lock);
    addresses = resolver->addresses;
    if (addresses != NULL)
        (void)atomic_fetch_add(&addresses->references, 1);
    else
        *error = resolver->error;
    (void)pthread_mutex_unlock(&resolver->lock);
    return addresses;
}

void resolver_wait(struct resolver *resolver, struct resolver_waiter *waiter)
{
    (void)pthread_mutex_lock(&resolver->lock);
    waiter->next = resolver->waiters;
    resolver->waiters = waiter;
    resolver->is_asked = true;
    (void)pthread_cond_broadcast(&resolver->changed);
    (void)pthread_mutex_unlock(&resolver->lock);
}

bool resolver_forget(struct resolver *resolver, struct resolver_waiter *waiter)
{
    struct resolver_waiter **link = &resolver->waiters;
    bool is_found;

    (void)pthread_mutex_lock(&resolver->lock);
    while (*link != NULL && *link != waiter)
        link = &(*link)->next;
    is_found = *link != NULL;
    if (is_found)
        *link = waiter->next;
    (void)pthread_mutex_unlock(&resolver->lock);
    return is_found;
}
