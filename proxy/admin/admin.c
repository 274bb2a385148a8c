#include "admin/admin.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "admin/context.h"
#include "admin/routes.h"
#include "admin/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/listeners.h"
#include "net/mailbox.h"

enum { ENDPOINT, METRICS, DOORS };

/* A door that is open, or to be opened. */
struct door {
    struct listener *listener; /* NULL: not configured */
    struct admin_server *server;
};

struct admin {
    struct admin_context context;
    struct event_base *base;
    struct mailbox *mailbox;
    struct event *sample; /* goes off when the history takes its next point */
    struct door doors[DOORS];
    struct listener *fresh[DOORS]; /* what a reload has opened, or keeps */
    struct letter adopt, stop;
    bool has_fresh, is_stopping; /* the thread's */
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* over adoption */
    pthread_cond_t adopted;
    bool is_adopted;
};

#define ADMIN_OF(letter_, member)                                                        \
    ((struct admin *)(void *)((char *)(letter_)-offsetof(struct admin, member)))

/* On the admin thread */

static void on_adopt(struct letter *letter)
{
    ADMIN_OF(letter, adopt)->has_fresh = true;
}

static void on_stop(struct letter *letter)
{
    ADMIN_OF(letter, stop)->is_stopping = true;
}

static enum admin_door door_of(int index, const struct listener *listener)
{
    if (index == METRICS)
        return ADMIN_METRICS;
    return listener->is_unix ? ADMIN_UNIX : ADMIN_LOOPBACK;
}

/* Opens a door anew if its listener has changed; not within the loop. */
static void change_door(struct admin *admin, int index)
{
    struct door *door = &admin->doors[index];
    struct listener *fresh = admin->fresh[index];
    struct admin_service model = {.perform = routes_perform, .arg = &admin->context};
    struct error error;

    if (door->listener == fresh)
        return;
    admin_server_free(door->server);
    listener_close(door->listener);
    *door = (struct door){.listener = fresh};
    if (fresh == NULL)
        return;
    model.door = door_of(index, fresh);
    door->server = admin_server_new(admin->base, fresh, &model, &error);
    if (door->server == NULL)
        log_error("admin: %s (reload again)", error.text);
    else
        log_info("admin: %s on %s", index == METRICS ? "metrics" : "endpoint",
                 fresh->url);
}

static void adopt_fresh(struct admin *admin)
{
    admin->has_fresh = false;
    for (int i = 0; i < DOORS; i++)
        change_door(admin, i);
    (void)pthread_mutex_lock(&admin->lock);
    admin->is_adopted = true;
    (void)pthread_cond_signal(&admin->adopted);
    (void)pthread_mutex_unlock(&admin->lock);
}

static void on_sample(evutil_socket_t fd, short what, void *arg)
{
    struct admin *admin = arg;

    (void)fd;
    (void)what;
    history_sample(admin->context.history,
                   gateway_stations(admin->context.gateway)->metrics, clock_wall_ms());
}

static void *serve(void *arg)
{
    struct admin *admin = arg;

    while (!admin->is_stopping) {
        (void)event_base_loop(admin->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
        if (admin->has_fresh)
            adopt_fresh(admin);
    }
    return NULL;
}

/* On the main thread: a reload, in two steps, so that it is all or nothing */

static struct listener *find_open(struct admin *admin, int index,
                                  const struct config_listen *listen)
{
    struct listener *listener = admin->doors[index].listener;

    return listener != NULL && strcmp(listener->address, listen->address) == 0 ? listener
                                                                               : NULL;
}

/* Closes what was opened for a reload that does not come about. */
static void on_abandon(void *arg)
{
    struct admin *admin = arg;

    for (int i = 0; i < DOORS; i++) {
        if (admin->fresh[i] != admin->doors[i].listener)
            listener_close(admin->fresh[i]);
        admin->fresh[i] = admin->doors[i].listener;
    }
}

static bool on_prepare(void *arg, const struct config *config, struct error *error)
{
    struct admin *admin = arg;
    const struct config_listen *wanted[DOORS] = {&config->admin.endpoint,
                                                 &config->admin.metrics};

    for (int i = 0; i < DOORS; i++) {
        admin->fresh[i] = NULL;
        if (wanted[i]->address == NULL)
            continue;
        admin->fresh[i] = find_open(admin, i, wanted[i]);
        if (admin->fresh[i] == NULL)
            admin->fresh[i] = listeners_open_one(
                wanted[i], gateway_inherited(admin->context.gateway), error);
        if (admin->fresh[i] != NULL)
            continue;
        while (++i < DOORS)
            admin->fresh[i] = NULL;
        on_abandon(admin);
        return false;
    }
    return true;
}

/* Waits for the thread: when this returns, it serves what is new. */
static void on_commit(void *arg)
{
    struct admin *admin = arg;

    (void)pthread_mutex_lock(&admin->lock);
    admin->is_adopted = false;
    mailbox_send(admin->mailbox, &admin->adopt);
    while (!admin->is_adopted)
        (void)pthread_cond_wait(&admin->adopted, &admin->lock);
    (void)pthread_mutex_unlock(&admin->lock);
}

/* Life */

static bool make_loop(struct admin *admin, struct error *error)
{
    const struct timeval step = {HISTORY_STEP_S, 0};

    admin->base = event_base_new();
    if (admin->base == NULL)
        return error_set(error, "cannot make an event base");
    admin->mailbox = mailbox_new(admin->base, error);
    if (admin->mailbox == NULL)
        return false;
    admin->sample = event_new(admin->base, -1, EV_PERSIST, on_sample, admin);
    if (admin->sample == NULL || event_add(admin->sample, &step) != 0)
        return error_set(error, "cannot make an event");
    return true;
}

static bool make_context(struct admin *admin, struct gateway *gateway,
                         struct error *error)
{
    struct admin_context *context = &admin->context;

    context->gateway = gateway;
    context->started_ms = clock_wall_ms();
    context->hasher = token_hasher_new(error);
    if (context->hasher == NULL)
        return false;
    context->history = history_new();
    if (context->history == NULL)
        return error_set(error, "out of memory");
    context->reader = trail_reader_new(admin->mailbox, error);
    return context->reader != NULL;
}

/* The thread takes no signals: they are the main thread's. */
static bool start_thread(struct admin *admin, struct error *error)
{
    sigset_t all, before;
    int errnum;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    errnum = pthread_create(&admin->thread, NULL, serve, admin);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum != 0)
        return error_set_errno(error, errnum, "cannot start the admin thread");
    admin->has_thread = true;
    return true;
}

static bool open_doors(struct admin *admin, struct error *error)
{
    struct snapshot *snapshot = gateway_take_snapshot(admin->context.gateway);
    bool is_prepared = on_prepare(admin, snapshot->config, error);

    snapshot_unref(snapshot);
    if (is_prepared)
        on_commit(admin);
    return is_prepared;
}

struct admin *admin_start(struct gateway *gateway, struct error *error)
{
    const struct gateway_hooks hooks = {
        .prepare = on_prepare, .commit = on_commit, .abandon = on_abandon};
    struct admin *admin = calloc(1, sizeof(*admin));

    if (admin == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    (void)pthread_mutex_init(&admin->lock, NULL);
    (void)pthread_cond_init(&admin->adopted, NULL);
    admin->adopt.open = on_adopt;
    admin->stop.open = on_stop;
    if (!make_loop(admin, error) || !make_context(admin, gateway, error) ||
        !start_thread(admin, error) || !open_doors(admin, error)) {
        admin_stop(admin);
        return NULL;
    }
    gateway_set_hooks(gateway, &hooks, admin);
    return admin;
}

void admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    gateway_set_hooks(admin->context.gateway, NULL, NULL);
    if (admin->has_thread) {
        mailbox_send(admin->mailbox, &admin->stop);
        (void)pthread_join(admin->thread, NULL);
    }
    for (int i = 0; i < DOORS; i++) {
        admin_server_free(admin->doors[i].server);
        listener_close(admin->doors[i].listener);
    }
    trail_reader_free(admin->context.reader);
    if (admin->sample != NULL)
        event_free(admin->sample);
    mailbox_free(admin->mailbox);
    history_free(admin->context.history);
    token_hasher_free(admin->context.hasher);
    if (admin->base != NULL)
        event_base_free(admin->base);
    (void)pthread_cond_destroy(&admin->adopted);
    (void)pthread_mutex_destroy(&admin->lock);
    free(admin);
}
