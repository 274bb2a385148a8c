#include "audit/syslog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "audit/syslog_link.h"
#include "base/analyzer.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

enum { SEVERITY_NOTICE = 5, HOST_NAME_BYTES = 256 };

/* How long the owner waits for a thread that should have ended by itself. */
enum { END_GRACE_MS = 500 };

struct message {
    struct message *next;
    size_t len;
    char bytes[]; /* as they go out, with their frame */
};

struct audit_syslog {
    struct arena arena; /* the settings' strings */
    struct config_syslog server;
    size_t queue_bytes;
    int64_t retry_ms, most_retry_ms;
    char host_name[HOST_NAME_BYTES];

    atomic_uint_fast64_t sent, dropped;
    atomic_bool is_up;
    pthread_t thread;
    struct syslog_stop stop;
    int wake_fd; /* readable when the queue was empty and is no more */

    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t ended;
    struct message *first, **last; /* the first is being sent */
    size_t queued_bytes;
    bool has_ended;
    unsigned references; /* the owner's and the thread's */

    /* The thread's own. */
    struct syslog_link link;
    int64_t pause_ms;         /* before the next attempt */
    uint64_t dropped_when_up; /* as it was when the connection went down */
};

/* Messages */

static void add_local_head(const struct audit_syslog *syslog, struct text *text)
{
    char when[32];
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm local;

    (void)localtime_r(&now, &local);
    (void)strftime(when, sizeof(when), "%b %e %H:%M:%S", &local);
    text_add_format(text,
                    "<%d>%s psgate[%ld]: ", syslog->server.facility * 8 + SEVERITY_NOTICE,
                    when, (long)getpid());
}

/* RFC 5424 6.2 and 6.3: no structured data. */
static void add_head(const struct audit_syslog *syslog, const char *phase,
                     struct text *text)
{
    char when[CLOCK_TEXT_BYTES];

    clock_format_utc(clock_wall_ms(), when);
    text_add_format(text, "<%d>1 %s %s psgate %ld %.32s - ",
                    syslog->server.facility * 8 + SEVERITY_NOTICE, when,
                    syslog->host_name, (long)getpid(), phase);
}

/* NULL when memory is out. */
static struct message *make_message(const struct audit_syslog *syslog, const char *phase,
                                    struct span line)
{
    struct text head = {0}, frame = {0};
    struct message *message = NULL;

    if (syslog->server.transport == CONFIG_SYSLOG_UNIX) {
        add_local_head(syslog, &head);
    } else {
        add_head(syslog, phase, &head);
        text_add_format(&frame, "%zu ", head.len + line.len);
    }
    if (!head.failed && !frame.failed)
        message = malloc(sizeof(*message) + frame.len + head.len + line.len);
    if (message != NULL) {
        *message = (struct message){.len = frame.len + head.len + line.len};
        if (frame.len > 0)
            memcpy(message->bytes, frame.bytes, frame.len);
        memcpy(message->bytes + frame.len, head.bytes, head.len);
        if (line.len > 0)
            memcpy(message->bytes + frame.len + head.len, line.at, line.len);
    }
    text_fini(&head);
    text_fini(&frame);
    return message;
}

/* The queue */

static void wake(int fd)
{
    const uint64_t one = 1;

    (void)!write(fd, &one, sizeof(one));
}

/* False when there is no room. */
static bool enqueue(struct audit_syslog *syslog, struct message *message)
{
    bool fits, was_empty;

    (void)pthread_mutex_lock(&syslog->lock);
    was_empty = syslog->first == NULL;
    fits = message->len <= syslog->queue_bytes - syslog->queued_bytes;
    if (fits) {
        *syslog->last = message;
        syslog->last = &message->next;
        syslog->queued_bytes += message->len;
    }
    (void)pthread_mutex_unlock(&syslog->lock);
    if (fits && was_empty)
        wake(syslog->wake_fd);
    return fits;
}

LEAK_IS_NONE /* the queue owns what enqueue took */
void audit_syslog_send(struct audit_syslog *syslog, const char *phase, struct span line)
{
    struct message *message = make_message(syslog, phase, line);

    if (message != NULL && enqueue(syslog, message))
        return;
    free(message);
    atomic_fetch_add(&syslog->dropped, 1);
}
LEAK_LOOK_AGAIN

/* The message to be sent, which stays the first; NULL: there is none. */
static struct message *first_message(struct audit_syslog *syslog)
{
    struct message *message;

    (void)pthread_mutex_lock(&syslog->lock);
    message = syslog->first;
    (void)pthread_mutex_unlock(&syslog->lock);
    return message;
}

static void drop_first(struct audit_syslog *syslog)
{
    struct message *message;

    (void)pthread_mutex_lock(&syslog->lock);
    message = syslog->first;
    syslog->first = message->next;
    if (syslog->first == NULL)
        syslog->last = &syslog->first;
    syslog->queued_bytes -= message->len;
    (void)pthread_mutex_unlock(&syslog->lock);
    free(message);
}

struct audit_syslog_counts audit_syslog_count(const struct audit_syslog *syslog)
{
    return (struct audit_syslog_counts){.sent = atomic_load(&syslog->sent),
                                        .dropped = atomic_load(&syslog->dropped),
                                        .is_up = atomic_load(&syslog->is_up)};
}

/* The thread */

static int64_t left_until(int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - clock_monotonic_ms();

    return left_ms > 0 ? left_ms : 0;
}

static bool is_stopping(const struct audit_syslog *syslog)
{
    return atomic_load(&syslog->stop.at_ms) != INT64_MAX;
}

/* Until something is queued, the server says something (that it goes), or the stop. */
static void wait_for_work(struct audit_syslog *syslog)
{
    struct pollfd fds[] = {{.fd = syslog->wake_fd, .events = POLLIN},
                           {.fd = syslog->stop.fd, .events = POLLIN},
                           {.fd = syslog->link.fd, .events = POLLIN}};
    uint64_t count;

    (void)poll(fds, syslog->server.transport == CONFIG_SYSLOG_UNIX ? 2 : 3, -1);
    (void)!read(syslog->wake_fd, &count, sizeof(count));
}

/* Between two attempts; a stop ends it early, and allows one attempt more. */
static void pause_attempts(struct audit_syslog *syslog)
{
    struct pollfd stop = {.fd = syslog->stop.fd, .events = POLLIN};
    int64_t until_ms = clock_monotonic_ms() + syslog->pause_ms;

    while (!is_stopping(syslog) && left_until(until_ms) > 0)
        (void)poll(&stop, 1, (int)left_until(until_ms));
    syslog->pause_ms *= 2;
    if (syslog->pause_ms > syslog->most_retry_ms)
        syslog->pause_ms = syslog->most_retry_ms;
}

static void note_down(struct audit_syslog *syslog, const struct error *error)
{
    if (!atomic_exchange(&syslog->is_up, false))
        return;
    syslog->dropped_when_up = atomic_load(&syslog->dropped);
    log_warn("audit: syslog %s is down: %s (records wait, and when too many do the "
             "newest are dropped; the trail on disk has them all)",
             syslog->server.url, error->text);
}

static void note_up(struct audit_syslog *syslog)
{
    uint64_t dropped = atomic_load(&syslog->dropped);

    if (atomic_exchange(&syslog->is_up, true))
        return;
    log_info("audit: syslog %s is back (records dropped meanwhile: %llu)",
             syslog->server.url, (unsigned long long)(dropped - syslog->dropped_when_up));
}

static void go_down(struct audit_syslog *syslog, const struct error *error)
{
    syslog_link_close(&syslog->link);
    note_down(syslog, error);
}

static bool send_first(struct audit_syslog *syslog, struct message *message,
                       struct error *error)
{
    switch (
        syslog_link_send(&syslog->link, span_make(message->bytes, message->len), error)) {
    case SYSLOG_SENT:
        atomic_fetch_add(&syslog->sent, 1);
        break;
    case SYSLOG_TOO_LONG:
        atomic_fetch_add(&syslog->dropped, 1);
        break;
    case SYSLOG_FAILED:
        return false;
    }
    drop_first(syslog);
    return true;
}

/* Sends and waits while the connection lasts. True: the stop came, and all was sent. */
static bool serve_link(struct audit_syslog *syslog, struct error *error)
{
    for (;;) {
        struct message *message = first_message(syslog);

        if (message != NULL) {
            if (!send_first(syslog, message, error))
                return false;
        } else if (is_stopping(syslog)) {
            return true;
        } else {
            wait_for_work(syslog);
            if (!syslog_link_is_alive(&syslog->link, error))
                return false;
        }
    }
}

/*
 * Connects and serves. A connection that lasted begins the pauses anew; with one that did
 * not they go on growing, or a server that accepts and closes would be called for ever.
 */
static bool attempt(struct audit_syslog *syslog, struct error *error)
{
    int64_t begun_ms;
    bool is_done;

    if (!syslog_link_open(&syslog->link, error))
        return false;
    note_up(syslog);
    begun_ms = clock_monotonic_ms();
    is_done = serve_link(syslog, error);
    if (clock_monotonic_ms() - begun_ms >= syslog->most_retry_ms)
        syslog->pause_ms = syslog->retry_ms;
    return is_done;
}

/* After the stop there is one attempt, and none when nothing is queued. */
static void run_until_stop(struct audit_syslog *syslog)
{
    bool is_last = false;

    while (!is_last) {
        struct error error;

        is_last = is_stopping(syslog);
        if (is_last && first_message(syslog) == NULL)
            return;
        if (attempt(syslog, &error))
            return;
        go_down(syslog, &error);
        if (!is_last)
            pause_attempts(syslog);
    }
}

static void drop_rest(struct audit_syslog *syslog)
{
    uint64_t count = 0;

    while (first_message(syslog) != NULL) {
        drop_first(syslog);
        count++;
    }
    atomic_fetch_add(&syslog->dropped, count);
    if (count > 0)
        log_warn("audit: syslog %s: records not sent before the end: %llu",
                 syslog->server.url, (unsigned long long)count);
}

static void destroy(struct audit_syslog *syslog)
{
    while (syslog->first != NULL)
        drop_first(syslog);
    syslog_link_fini(&syslog->link);
    if (syslog->wake_fd >= 0)
        (void)close(syslog->wake_fd);
    if (syslog->stop.fd >= 0)
        (void)close(syslog->stop.fd);
    (void)pthread_cond_destroy(&syslog->ended);
    (void)pthread_mutex_destroy(&syslog->lock);
    arena_fini(&syslog->arena);
    free(syslog);
}

/* With the lock held, which it gives up. */
static void unref_locked(struct audit_syslog *syslog)
{
    bool is_last = --syslog->references == 0;

    (void)pthread_mutex_unlock(&syslog->lock);
    if (is_last)
        destroy(syslog);
}

static void *run(void *argument)
{
    struct audit_syslog *syslog = argument;

    run_until_stop(syslog);
    syslog_link_close(&syslog->link);
    drop_rest(syslog);
    (void)pthread_mutex_lock(&syslog->lock);
    syslog->has_ended = true;
    (void)pthread_cond_signal(&syslog->ended);
    unref_locked(syslog);
    return NULL;
}

/* Beginning and end */

static bool copy_string(struct arena *arena, const char **string)
{
    if (*string != NULL)
        *string = arena_copy(arena, span_of(*string));
    else
        return true;
    return *string != NULL;
}

static bool copy_server(struct audit_syslog *syslog, const struct config_syslog *server)
{
    syslog->server = *server;
    return copy_string(&syslog->arena, &syslog->server.url) &&
           copy_string(&syslog->arena, &syslog->server.host) &&
           copy_string(&syslog->arena, &syslog->server.path) &&
           copy_string(&syslog->arena, &syslog->server.ca_file);
}

/* RFC 5424 6.2.4: printable ASCII, or "-". */
static void find_host_name(char name[HOST_NAME_BYTES])
{
    if (gethostname(name, HOST_NAME_BYTES) != 0)
        name[0] = '\0';
    name[HOST_NAME_BYTES - 1] = '\0';
    for (char *c = name; *c != '\0'; c++) {
        if (*c <= 0x20 || *c >= 0x7f)
            *c = '?';
    }
    if (name[0] == '\0')
        (void)snprintf(name, HOST_NAME_BYTES, "-");
}

/* The condition waits by the clock that never jumps. */
static void init_locks(struct audit_syslog *syslog)
{
    pthread_condattr_t monotonic;

    (void)pthread_mutex_init(&syslog->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&syslog->ended, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

static void init(struct audit_syslog *syslog, const struct audit_syslog_options *options)
{
    syslog->queue_bytes =
        options->queue_bytes > 0 ? options->queue_bytes : AUDIT_SYSLOG_QUEUE_BYTES;
    syslog->retry_ms = options->retry_ms > 0 ? options->retry_ms : AUDIT_SYSLOG_RETRY_MS;
    syslog->most_retry_ms =
        options->most_retry_ms > 0 ? options->most_retry_ms : AUDIT_SYSLOG_MOST_RETRY_MS;
    syslog->pause_ms = syslog->retry_ms;
    syslog->last = &syslog->first;
    syslog->references = 1;
    syslog->link.fd = -1;
    syslog->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    syslog->stop.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    atomic_store(&syslog->stop.at_ms, INT64_MAX);
    atomic_store(&syslog->is_up, true);
    find_host_name(syslog->host_name);
    init_locks(syslog);
}

/* Signals are other threads' business; a broken connection must raise none. */
static bool start_thread(struct audit_syslog *syslog, struct error *error)
{
    sigset_t all, before;
    int problem;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    syslog->references++;
    problem = pthread_create(&syslog->thread, NULL, run, syslog);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem == 0)
        return true;
    syslog->references--;
    return error_set_errno(error, problem, "cannot start the syslog thread");
}

struct audit_syslog *audit_syslog_new(const struct audit_syslog_options *options,
                                      struct error *error)
{
    struct audit_syslog *syslog = calloc(1, sizeof(*syslog));

    if (syslog == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    init(syslog, options);
    if (syslog->wake_fd < 0 || syslog->stop.fd < 0) {
        (void)error_set_errno(error, errno, "cannot make an event for syslog");
    } else if (!copy_server(syslog, options->server)) {
        (void)error_set(error, "out of memory");
    } else if (syslog_link_init(&syslog->link, &syslog->server, &syslog->stop, error) &&
               start_thread(syslog, error)) {
        return syslog;
    }
    destroy(syslog);
    return NULL;
}

static struct timespec timespec_of(int64_t ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

/* Whether the thread ended before its time was up. */
static bool wait_for_end(struct audit_syslog *syslog, int64_t until_ms)
{
    struct timespec patience = timespec_of(until_ms);
    bool has_ended;
    int result = 0;

    (void)pthread_mutex_lock(&syslog->lock);
    while (!syslog->has_ended && result == 0)
        result = pthread_cond_timedwait(&syslog->ended, &syslog->lock, &patience);
    has_ended = syslog->has_ended;
    (void)pthread_mutex_unlock(&syslog->lock);
    return has_ended;
}

void audit_syslog_free(struct audit_syslog *syslog)
{
    int64_t stop_ms = clock_monotonic_ms() + AUDIT_SYSLOG_FLUSH_MS;

    if (syslog == NULL)
        return;
    atomic_store(&syslog->stop.at_ms, stop_ms);
    wake(syslog->stop.fd);
    if (wait_for_end(syslog, stop_ms + END_GRACE_MS))
        (void)pthread_join(syslog->thread, NULL);
    else
        (void)pthread_detach(syslog->thread);
    (void)pthread_mutex_lock(&syslog->lock);
    unref_locked(syslog);
}
