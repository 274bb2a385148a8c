#include "gateway/watch.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/log.h"

/* A file that never keeps still is reported anyway after so many looks. */
enum { MOST_PATIENCE = 6 };

struct watch {
    char *path, *folder;
    struct file_identity seen, candidate;
    bool has_candidate;
    bool is_owed;      /* what was seen must be reported again */
    unsigned patience; /* looks that the candidate has not kept still for */
    int inotify, mark; /* the descriptor and the folder's mark; -1: none */
    struct event *poll, *settle, *notice;
    bool (*on_change)(void *arg);
    void *arg;
};

static const struct timeval look_again = {.tv_usec = WATCH_LOOK_MS * 1000L};
static const struct timeval settled = {.tv_usec = WATCH_SETTLE_MS * 1000L};

/*
 * Marks the folder that the path leads to now: a folder that was replaced has a new mark,
 * the same one keeps its own. What fails here is found by looking.
 */
static void mark_folder(struct watch *watch)
{
    int mark = inotify_add_watch(watch->inotify, watch->folder,
                                 IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                     IN_CREATE | IN_DELETE | IN_ATTRIB | IN_ONLYDIR);

    if (mark == watch->mark)
        return;
    if (watch->mark >= 0)
        (void)inotify_rm_watch(watch->inotify, watch->mark);
    watch->mark = mark;
}

static void report(struct watch *watch)
{
    watch->seen = watch->candidate;
    watch->has_candidate = false;
    watch->is_owed = !watch->on_change(watch->arg);
}

/*
 * Two looks that agree, with time between them, mean that the file was not changed in the
 * tick of the clock that its times show: any later change is going to look different.
 */
static void look(struct watch *watch)
{
    struct file_identity now;

    file_identify(watch->path, &now);
    if (!watch->has_candidate) {
        if (file_is_same(&now, &watch->seen) && !watch->is_owed)
            return;
        watch->has_candidate = true;
        watch->patience = 0;
    } else if (file_is_same(&now, &watch->candidate)) {
        report(watch);
        return;
    }
    watch->candidate = now;
    if (++watch->patience < MOST_PATIENCE) {
        (void)evtimer_add(watch->settle, &settled);
        return;
    }
    report(watch);
    watch->is_owed = true;
}

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    look(arg);
}

/* A candidate's own timer decides about it: an early second look proves nothing. */
static void look_if_idle(struct watch *watch)
{
    if (!watch->has_candidate)
        look(watch);
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;

    (void)fd;
    (void)what;
    if (watch->inotify >= 0)
        mark_folder(watch);
    look_if_idle(watch);
}

/* What happened does not matter, nor to which file: a look tells. */
static void on_notice(evutil_socket_t fd, short what, void *arg)
{
    char events[4096];

    (void)what;
    while (read(fd, events, sizeof(events)) > 0)
        ;
    look_if_idle(arg);
}

static void start_inotify(struct watch *watch, struct event_base *base)
{
    watch->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->inotify < 0) {
        log_warn("no inotify (%s): a changed clients file is found by looking twice a "
                 "second",
                 error_errno_text(errno));
        return;
    }
    watch->notice =
        event_new(base, watch->inotify, EV_READ | EV_PERSIST, on_notice, watch);
    if (watch->notice != NULL)
        (void)event_add(watch->notice, NULL);
}

struct watch *watch_new(struct event_base *base, bool (*on_change)(void *arg), void *arg,
                        struct error *error)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (watch != NULL) {
        watch->inotify = watch->mark = -1;
        watch->on_change = on_change;
        watch->arg = arg;
        watch->poll = event_new(base, -1, EV_PERSIST, on_poll, watch);
        watch->settle = evtimer_new(base, on_settle, watch);
    }
    if (watch == NULL || watch->poll == NULL || watch->settle == NULL) {
        (void)error_set(error, "cannot watch the clients file: out of memory");
        watch_free(watch);
        return NULL;
    }
    start_inotify(watch, base);
    return watch;
}

bool watch_follow(struct watch *watch, const char *path,
                  const struct file_identity *known)
{
    char *copy = strdup(path), *scratch = strdup(path);
    char *folder = scratch != NULL ? strdup(dirname(scratch)) : NULL;

    free(scratch);
    if (copy == NULL || folder == NULL) {
        free(copy);
        free(folder);
        return false; /* the path before stays */
    }
    free(watch->path);
    free(watch->folder);
    watch->path = copy;
    watch->folder = folder;
    watch->seen = *known;
    watch->has_candidate = watch->is_owed = false;
    (void)event_del(watch->settle);
    if (watch->inotify >= 0)
        mark_folder(watch);
    (void)event_add(watch->poll, &look_again);
    look_if_idle(watch); /* what has changed since it was read */
    return true;
}

const struct file_identity *watch_seen(const struct watch *watch)
{
    return &watch->seen;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->poll != NULL)
        event_free(watch->poll);
    if (watch->settle != NULL)
        event_free(watch->settle);
    if (watch->notice != NULL)
        event_free(watch->notice);
    if (watch->inotify >= 0)
        (void)close(watch->inotify);
    free(watch->path);
    free(watch->folder);
    free(watch);
}
