#include "audit/trail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "audit/trail_internal.h"
#include "base/clock.h"

enum {
    MOST_LOOSE = 10000, /* entries that nobody waits for */
    MOST_QUEUED_BYTES = 64 * 1024 * 1024,
    MOST_BODY_BYTES = 512 * 1024, /* with its outcome, a line that can be read again */
};

/* The queue */

bool audit_trail_is_writable(struct audit_trail *trail, struct error *why)
{
    bool is_writable, is_stuck;

    (void)pthread_mutex_lock(&trail->lock);
    is_stuck = trail->is_working &&
               clock_monotonic_ms() - trail->working_since_ms > trail->timeout_ms;
    is_writable = trail->state != STATE_UNWRITABLE && !is_stuck;
    if (trail->state == STATE_UNWRITABLE)
        *why = trail->trouble;
    else if (is_stuck)
        (void)error_set(why, "the disk under %s does not answer", trail->directory);
    (void)pthread_mutex_unlock(&trail->lock);
    return is_writable;
}

/* With the lock held. */
static bool takes(const struct audit_trail *trail, const struct audit_entry *entry)
{
    if (entry->is_loose && trail->loose_count >= MOST_LOOSE)
        return false;
    if (entry->phase == AUDIT_RESULT)
        return true;
    if (entry->body.len > MOST_BODY_BYTES)
        return false;
    if (entry->phase != AUDIT_INTENT)
        return true;
    if (trail->is_working &&
        clock_monotonic_ms() - trail->working_since_ms > trail->timeout_ms)
        return false;
    return trail->state != STATE_UNWRITABLE && trail->queued_bytes < MOST_QUEUED_BYTES;
}

/* With the lock held. */
static void count_in(struct audit_trail *trail, struct audit_entry *entry)
{
    entry->is_counted = true;
    trail->loose_count += entry->is_loose;
    trail->queued_bytes += entry->body.len;
}

bool audit_trail_queue(struct audit_trail *trail, struct audit_entry *entry)
{
    bool is_taken;

    (void)pthread_mutex_lock(&trail->lock);
    is_taken = takes(trail, entry);
    if (is_taken) {
        entry->next = NULL;
        *trail->last = entry;
        trail->last = &entry->next;
        trail->queued_count++;
        count_in(trail, entry);
    } else if (entry->is_loose) {
        trail->numbers.dropped++;
    }
    (void)pthread_mutex_unlock(&trail->lock);
    return is_taken;
}

void audit_trail_wake(struct audit_trail *trail)
{
    (void)pthread_cond_signal(&trail->wakeup);
}

bool audit_trail_submit(struct audit_trail *trail, struct audit_entry *entry)
{
    bool is_taken = audit_trail_queue(trail, entry);

    audit_trail_wake(trail);
    return is_taken;
}

bool audit_trail_admits_refusal(struct audit_trail *trail, struct span source)
{
    if (refusals_admit(trail->refusals, source, clock_monotonic_ms()))
        return true;
    /* There is a count to be written later; the thread may be about to sleep. */
    (void)pthread_mutex_lock(&trail->lock);
    (void)pthread_mutex_unlock(&trail->lock);
    (void)pthread_cond_signal(&trail->wakeup);
    return false;
}

void audit_trail_rotate(struct audit_trail *trail)
{
    (void)pthread_mutex_lock(&trail->lock);
    trail->wants_rotation = true;
    (void)pthread_mutex_unlock(&trail->lock);
    (void)pthread_cond_signal(&trail->wakeup);
}

void audit_trail_numbers(struct audit_trail *trail, struct audit_numbers *numbers)
{
    (void)pthread_mutex_lock(&trail->lock);
    *numbers = trail->numbers;
    for (const struct audit_entry *entry = trail->first; entry != NULL;
         entry = entry->next)
        numbers->waiting++;
    numbers->has_syslog = trail->syslog != NULL;
    if (numbers->has_syslog)
        numbers->syslog = audit_syslog_count(trail->syslog);
    (void)pthread_mutex_unlock(&trail->lock);
    histogram_read(&trail->sync_times, &numbers->sync_times);
}

/* Beginning and end */

static bool load_key(const char *path, struct audit_key **key, struct error *error)
{
    *key = NULL;
    if (path == NULL)
        return true;
    *key = calloc(1, sizeof(**key));
    if (*key == NULL)
        return error_set(error, "out of memory");
    if (audit_key_load_private(path, *key, error))
        return true;
    free(*key);
    *key = NULL;
    return false;
}

static bool open_syslog(const struct config_syslog *server, struct audit_syslog **syslog,
                        struct error *error)
{
    const struct audit_syslog_options options = {.server = server};

    *syslog = NULL;
    if (server == NULL)
        return true;
    *syslog = audit_syslog_new(&options, error);
    return *syslog != NULL;
}

bool audit_trail_configure(struct audit_trail *trail,
                           const struct audit_settings *settings, struct error *error)
{
    struct audit_syslog *syslog;
    struct audit_key *key;

    if (strcmp(settings->directory, trail->directory) != 0)
        return error_set(error,
                         "audit.directory changes only at the next start (it is "
                         "%s now)",
                         trail->directory);
    if (!load_key(settings->signing_key_file, &key, error))
        return false;
    if (!open_syslog(settings->syslog, &syslog, error)) {
        audit_trail_drop_key(key);
        return false;
    }
    (void)pthread_mutex_lock(&trail->lock);
    audit_trail_drop_key(trail->new_key);
    trail->new_key = key;
    audit_syslog_free(trail->new_syslog);
    trail->new_syslog = syslog;
    trail->has_new_settings = true;
    trail->timeout_ms = settings->timeout_ms;
    trail->rotate_bytes = settings->rotate_bytes;
    (void)pthread_mutex_unlock(&trail->lock);
    (void)pthread_cond_signal(&trail->wakeup);
    return true;
}

static void init_locks(struct audit_trail *trail)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&trail->lock, NULL);
    (void)pthread_cond_init(&trail->wakeup, &monotonic);
    (void)pthread_cond_init(&trail->idle, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

static bool start(struct audit_trail *trail, const struct audit_settings *settings,
                  struct error *error)
{
    int errnum;

    trail->directory = strdup(settings->directory);
    trail->refusals = refusals_new();
    if (trail->directory == NULL || trail->refusals == NULL)
        return error_set(error, "out of memory");
    (void)mkdir(trail->directory,
                0700); /* what is wrong with it shows when it is opened */
    if (!audit_writer_init(&trail->writer, trail->directory, error) ||
        !audit_trail_configure(trail, settings, error))
        return false;
    trail->writer.on_written = audit_trail_on_written;
    trail->writer.arg = trail;
    errnum = pthread_create(&trail->thread, NULL, audit_trail_run, trail);
    if (errnum != 0)
        return error_set_errno(error, errnum, "cannot start the audit trail's thread");
    trail->has_thread = true;
    return true;
}

struct audit_trail *audit_trail_new(const struct audit_settings *settings,
                                    struct error *error)
{
    struct audit_trail *trail = calloc(1, sizeof(*trail));

    if (trail == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    trail->last = &trail->first;
    audit_journal_init(&trail->writer.journal, settings->directory); /* can be ended */
    (void)error_set(&trail->trouble, "the trail in %s is being opened",
                    settings->directory);
    init_locks(trail);
    if (!start(trail, settings, error)) {
        audit_trail_free(trail);
        return NULL;
    }
    return trail;
}

static bool is_idle(const struct audit_trail *trail)
{
    return trail->first == NULL && !trail->is_working && trail->pending == NULL;
}

bool audit_trail_flush(struct audit_trail *trail, int64_t timeout_ms)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    const struct timespec until = {.tv_sec = until_ms / 1000,
                                   .tv_nsec = until_ms % 1000 * 1000000};
    bool is_flushed;

    (void)pthread_mutex_lock(&trail->lock);
    (void)pthread_cond_signal(&trail->wakeup); /* for what was queued without a wake */
    while (!is_idle(trail) &&
           pthread_cond_timedwait(&trail->idle, &trail->lock, &until) == 0)
        continue;
    is_flushed = is_idle(trail);
    if (!is_flushed)
        trail->is_mute = true;
    while (trail->is_mute && trail->is_telling)
        (void)pthread_cond_wait(&trail->idle, &trail->lock);
    (void)pthread_mutex_unlock(&trail->lock);
    return is_flushed;
}

static void free_entries(struct audit_entry *entry)
{
    while (entry != NULL) {
        struct audit_entry *next = entry->next;

        audit_entry_free(entry);
        entry = next;
    }
}

void audit_trail_free(struct audit_trail *trail)
{
    if (trail == NULL)
        return;
    if (trail->has_thread) {
        (void)pthread_mutex_lock(&trail->lock);
        trail->is_stopping = true;
        (void)pthread_mutex_unlock(&trail->lock);
        (void)pthread_cond_signal(&trail->wakeup);
        (void)pthread_join(trail->thread, NULL);
    }
    free_entries(trail->pending);
    free_entries(trail->first);
    audit_writer_fini(&trail->writer);
    audit_trail_drop_key(trail->new_key);
    audit_syslog_free(trail->new_syslog);
    audit_syslog_free(trail->syslog);
    refusals_free(trail->refusals);
    (void)pthread_cond_destroy(&trail->wakeup);
    (void)pthread_cond_destroy(&trail->idle);
    (void)pthread_mutex_destroy(&trail->lock);
    free(trail->directory);
    free(trail);
}
