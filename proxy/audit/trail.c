#include "audit/trail.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "audit/line.h"
#include "audit/refusals.h"
#include "audit/syslog.h"
#include "audit/writer.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    MOST_LOOSE = 10000, /* entries that nobody waits for */
    MOST_QUEUED_BYTES = 64 * 1024 * 1024,
    MOST_BODY_BYTES = 512 * 1024, /* with its outcome, a line that can be read again */
    RETRY_MS = 200,
    RETRY_LOCK_MS = 20,
    CHECKPOINT_MS = 60000,
    LAST_TRY_MS = 1000, /* how long a stop waits for a disk that fails */
};

enum state {
    STATE_OPENING, /* entries wait: the folder is not ours yet */
    STATE_WRITABLE,
    STATE_UNWRITABLE,
};

struct audit_trail {
    pthread_t thread;
    bool has_thread;
    char *directory;
    struct refusals *refusals;

    pthread_mutex_t lock;
    pthread_cond_t wakeup, idle;
    /* Under the lock: */
    struct audit_entry *first, **last;
    size_t loose_count, queued_bytes;
    enum state state;
    struct error trouble; /* why it is not writable */
    int64_t timeout_ms, rotate_bytes;
    struct audit_key *new_key;
    struct audit_syslog *new_syslog;
    bool has_new_settings, wants_rotation, is_stopping, is_working, is_mute;
    int64_t working_since_ms;
    struct audit_numbers numbers;

    struct histogram sync_times; /* the thread adds, anybody reads */

    /* The thread's own: */
    struct audit_writer writer;
    struct audit_syslog *syslog;     /* NULL: no copies. Changed under the lock. */
    struct audit_syslog *old_syslog; /* to be freed, which takes time */
    struct audit_entry *pending;     /* taken off the queue, not durable yet */
    int64_t owed_since_ms; /* the oldest record that no checkpoint covers; 0: none */
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

static void count_out(struct audit_trail *trail, struct audit_entry *entry)
{
    if (!entry->is_counted)
        return;
    entry->is_counted = false;
    trail->loose_count -= entry->is_loose;
    trail->queued_bytes -= entry->body.len;
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

/* Telling owners */

static void tell(struct audit_trail *trail, struct audit_entry *entry,
                 enum audit_done done)
{
    bool is_told;

    (void)pthread_mutex_lock(&trail->lock);
    is_told = entry->on_done != NULL && !trail->is_mute;
    if (is_told)
        entry->on_done(entry, done);
    (void)pthread_mutex_unlock(&trail->lock);
    if (!is_told)
        audit_entry_free(entry);
}

static void count_written(struct audit_trail *trail, struct audit_entry *entries)
{
    if (entries == NULL)
        return;
    (void)pthread_mutex_lock(&trail->lock);
    for (; entries != NULL; entries = entries->next) {
        trail->numbers.records[entries->phase]++;
        count_out(trail, entries);
    }
    histogram_add(&trail->sync_times, trail->writer.last_sync_us);
    (void)pthread_mutex_unlock(&trail->lock);
}

/* The lines that were just written: copies go out, whatever wrote them. */
static void on_written(void *arg, struct span lines)
{
    struct audit_trail *trail = arg;

    while (trail->syslog != NULL && lines.len > 0) {
        const char *end = memchr(lines.at, '\n', lines.len);
        size_t len = end != NULL ? (size_t)(end - lines.at) : lines.len - 1;
        struct span line = span_make(lines.at, len);
        struct span phase;
        char word[16] = "record";

        if (audit_line_find_string(line, SPAN("proxy.phase"), &phase) &&
            phase.len < sizeof(word)) {
            memcpy(word, phase.at, phase.len);
            word[phase.len] = '\0';
        }
        audit_syslog_send(trail->syslog, word, line);
        lines = span_make(lines.at + len + 1, lines.len - len - 1);
    }
}

static void tell_all_durable(struct audit_trail *trail)
{
    struct audit_entry *entry = trail->pending;

    count_written(trail, entry);
    trail->pending = NULL;
    while (entry != NULL) {
        struct audit_entry *next = entry->next;

        tell(trail, entry, AUDIT_DURABLE);
        entry = next;
    }
}

static void forget(struct audit_trail *trail, struct audit_entry *entry)
{
    (void)pthread_mutex_lock(&trail->lock);
    count_out(trail, entry);
    (void)pthread_mutex_unlock(&trail->lock);
}

/*
 * An intent whose bytes may be on the disk has to be repeated there: a copy stays in its
 * place and the owner is told. False when there is no memory for that: he waits on.
 */
static bool leave_copy(struct audit_trail *trail, struct audit_entry **link)
{
    struct audit_entry *entry = *link;
    struct audit_entry *copy = audit_entry_new(entry->phase);

    if (copy == NULL)
        return false;
    memcpy(copy->id, entry->id, sizeof(copy->id));
    forget(trail, entry);
    copy->body = entry->body;
    copy->was_attempted = true;
    copy->next = entry->next;
    entry->body = (struct text){0};
    *link = copy;
    tell(trail, entry, AUDIT_FAILED_LATER);
    return true;
}

static bool is_awaited_intent(const struct audit_entry *entry)
{
    return entry->phase == AUDIT_INTENT && entry->on_done != NULL;
}

/* Tells whoever waits for an intent that it failed; only withdrawn ones, or all. */
static void fail_intents(struct audit_trail *trail, bool only_withdrawn)
{
    struct audit_entry **link = &trail->pending;

    while (*link != NULL) {
        struct audit_entry *entry = *link;
        bool fails = is_awaited_intent(entry) &&
                     (!only_withdrawn || atomic_load(&entry->is_withdrawn));

        if (fails && !entry->was_attempted) {
            *link = entry->next;
            forget(trail, entry);
            tell(trail, entry, AUDIT_FAILED);
            continue;
        }
        if (fails && !only_withdrawn)
            (void)leave_copy(trail, link);
        link = &(*link)->next;
    }
}

/* Refusals that were never tried give way to results while there is no room. */
static struct audit_entry *take_refusals(struct audit_trail *trail)
{
    struct audit_entry *refusals = NULL, **last = &refusals;
    struct audit_entry **link = &trail->pending;

    while (*link != NULL) {
        struct audit_entry *entry = *link;

        if (entry->phase != AUDIT_REFUSED || entry->was_attempted) {
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        entry->next = NULL;
        *last = entry;
        last = &entry->next;
    }
    return refusals;
}

/* The state */

static void set_state(struct audit_trail *trail, enum state state,
                      const struct error *trouble)
{
    enum state before;

    (void)pthread_mutex_lock(&trail->lock);
    before = trail->state;
    trail->state = state;
    if (trouble != NULL)
        trail->trouble = *trouble;
    (void)pthread_mutex_unlock(&trail->lock);
    if (state == STATE_UNWRITABLE && before != STATE_UNWRITABLE)
        log_error("audit: the trail cannot be written: %s; changes that need a record "
                  "are refused until it can",
                  trouble->text);
    else if (state == STATE_WRITABLE && before == STATE_UNWRITABLE)
        log_info("audit: the trail can be written again");
}

static void become_unwritable(struct audit_trail *trail, const struct error *trouble)
{
    set_state(trail, STATE_UNWRITABLE, trouble);
    fail_intents(trail, false);
}

/* One turn of the thread */

static void append_pending(struct audit_trail *trail, struct audit_entry *entries)
{
    struct audit_entry **link = &trail->pending;

    while (*link != NULL)
        link = &(*link)->next;
    *link = entries;
}

static void mark_attempted(struct audit_entry *entries)
{
    for (; entries != NULL; entries = entries->next)
        entries->was_attempted = true;
}

static bool checkpoint_is_due(const struct audit_trail *trail, bool is_last)
{
    if (!audit_writer_owes_checkpoint(&trail->writer) && trail->pending == NULL)
        return false;
    return trail->writer.key != NULL &&
           (is_last || (trail->owed_since_ms != 0 &&
                        clock_monotonic_ms() - trail->owed_since_ms >= CHECKPOINT_MS));
}

/* Writes what is pending. A write that fails is tried once more at once, in a new file.
 */
static bool put_pending(struct audit_trail *trail, bool is_last, struct error *error)
{
    struct audit_writer *writer = &trail->writer;

    for (int tries = 0; tries < 2; tries++) {
        if (tries > 0 &&
            audit_writer_prepare(writer, &trail->pending, error) != AUDIT_READY)
            return false;
        switch (audit_writer_put(writer, trail->pending,
                                 checkpoint_is_due(trail, is_last), error)) {
        case AUDIT_PUT:
            return true;
        case AUDIT_NO_ROOM:
            return false;
        case AUDIT_BROKEN:
            log_error("audit: %s: the file is closed as suspect, its last lines are "
                      "repeated in a new one",
                      error->text);
            mark_attempted(trail->pending);
            break;
        }
    }
    return false;
}

static void note_chain(struct audit_trail *trail)
{
    const struct audit_writer *writer = &trail->writer;
    struct audit_numbers *numbers = &trail->numbers;

    (void)pthread_mutex_lock(&trail->lock);
    memcpy(numbers->chain_id, writer->chain.id, sizeof(numbers->chain_id));
    numbers->sequence = writer->chain.sequence;
    if (writer->checkpointed != numbers->checkpoint_sequence &&
        writer->statement[0] != '\0') {
        numbers->checkpoint_sequence = writer->checkpointed;
        numbers->checkpoint_ms = clock_wall_ms();
    }
    (void)pthread_mutex_unlock(&trail->lock);
}

static void note_checkpoints(struct audit_trail *trail)
{
    if (!audit_writer_owes_checkpoint(&trail->writer))
        trail->owed_since_ms = 0;
    else if (trail->owed_since_ms == 0)
        trail->owed_since_ms = clock_monotonic_ms();
}

/* No room for new intents; what has its room (results) may still be written. */
static void put_what_has_room(struct audit_trail *trail, const struct error *trouble)
{
    struct audit_writer *writer = &trail->writer;
    struct audit_entry *refusals;
    struct error error;

    become_unwritable(trail, trouble);
    refusals = take_refusals(trail);
    if (trail->pending != NULL &&
        audit_writer_prepare(writer, &trail->pending, &error) == AUDIT_READY &&
        put_pending(trail, false, &error)) {
        tell_all_durable(trail);
    }
    append_pending(trail, refusals);
}

/* False: it did not work, to be tried again soon. */
static bool write_pending(struct audit_trail *trail, bool is_last)
{
    struct error error;
    enum audit_ready ready =
        audit_writer_prepare(&trail->writer, &trail->pending, &error);

    fail_intents(trail, true);
    if (ready == AUDIT_BUSY) {
        set_state(trail, STATE_OPENING, &error);
        return false;
    }
    if (ready != AUDIT_READY) {
        become_unwritable(trail, &error);
        return false;
    }
    if (!put_pending(trail, is_last, &error)) {
        put_what_has_room(trail, &error);
        return false;
    }
    note_chain(trail);
    tell_all_durable(trail);
    note_checkpoints(trail);
    if (!audit_writer_has_room(&trail->writer, trail->state == STATE_UNWRITABLE,
                               &error)) {
        become_unwritable(trail, &error);
        return false;
    }
    set_state(trail, STATE_WRITABLE, NULL);
    return true;
}

static void free_key(struct audit_key *key)
{
    if (key != NULL)
        audit_key_fini(key);
    free(key);
}

static void take_settings(struct audit_trail *trail)
{
    struct audit_writer *writer = &trail->writer;

    writer->rotate_bytes = (uint64_t)trail->rotate_bytes;
    if (trail->wants_rotation)
        writer->must_rotate = true;
    trail->wants_rotation = false;
    if (!trail->has_new_settings)
        return;
    free_key(writer->key);
    writer->key = trail->new_key;
    trail->new_key = NULL;
    trail->old_syslog = trail->syslog;
    trail->syslog = trail->new_syslog;
    trail->new_syslog = NULL;
    trail->has_new_settings = false;
}

/* Counts of refusals whose minute is over. */
static void add_summaries(struct audit_trail *trail, int64_t now_ms)
{
    struct refusals_summary summary;

    while (refusals_next_summary(trail->refusals, now_ms, &summary)) {
        struct audit_entry *entry = audit_entry_new(AUDIT_REFUSED);

        if (entry == NULL)
            return;
        audit_record_suppressed(span_of(summary.source), summary.count, clock_wall_ms(),
                                &entry->body);
        if (entry->body.failed)
            audit_entry_free(entry);
        else
            append_pending(trail, entry);
    }
}

/* When the thread must look again though nobody calls. */
static int64_t next_turn_ms(const struct audit_trail *trail, bool was_written)
{
    if (!was_written)
        return clock_monotonic_ms() +
               (trail->state == STATE_OPENING ? RETRY_LOCK_MS : RETRY_MS);
    return trail->owed_since_ms != 0 ? trail->owed_since_ms + CHECKPOINT_MS
                                     : REFUSALS_NEVER;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static void wait_until(struct audit_trail *trail, int64_t due_ms)
{
    const struct timespec due = {.tv_sec = due_ms / 1000,
                                 .tv_nsec = due_ms % 1000 * 1000000};

    if (due_ms == REFUSALS_NEVER)
        (void)pthread_cond_wait(&trail->wakeup, &trail->lock);
    else
        (void)pthread_cond_timedwait(&trail->wakeup, &trail->lock, &due);
}

/* With the lock held: sleeps until there is something to do, and takes it. */
static bool take_work(struct audit_trail *trail, int64_t due_ms)
{
    bool goes_on;

    trail->is_working = false;
    (void)pthread_cond_broadcast(&trail->idle);
    while (trail->first == NULL && !trail->is_stopping && !trail->wants_rotation &&
           !trail->has_new_settings &&
           clock_monotonic_ms() < earlier(due_ms, refusals_next_due_ms(trail->refusals)))
        wait_until(trail, earlier(due_ms, refusals_next_due_ms(trail->refusals)));
    append_pending(trail, trail->first);
    trail->first = NULL;
    trail->last = &trail->first;
    take_settings(trail);
    goes_on = !trail->is_stopping;
    trail->is_working = true;
    trail->working_since_ms = clock_monotonic_ms();
    return goes_on;
}

/* The last turn: everything out, the counts and the checkpoint too. */
static void finish(struct audit_trail *trail)
{
    int64_t until_ms = clock_monotonic_ms() + LAST_TRY_MS;

    add_summaries(trail, REFUSALS_NEVER);
    while (!write_pending(trail, true) && clock_monotonic_ms() < until_ms) {
        const struct timespec pause = {.tv_nsec = RETRY_LOCK_MS * 1000000L};

        (void)nanosleep(&pause, NULL);
    }
}

static void *run(void *argument)
{
    struct audit_trail *trail = argument;
    bool was_written = false;
    int64_t due_ms = 0;
    bool goes_on = true;

    while (goes_on) {
        (void)pthread_mutex_lock(&trail->lock);
        goes_on = take_work(trail, due_ms);
        (void)pthread_mutex_unlock(&trail->lock);
        audit_syslog_free(trail->old_syslog);
        trail->old_syslog = NULL;
        add_summaries(trail, clock_monotonic_ms());
        was_written = write_pending(trail, false);
        due_ms = next_turn_ms(trail, was_written);
    }
    finish(trail);
    return NULL;
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
        free_key(key);
        return false;
    }
    (void)pthread_mutex_lock(&trail->lock);
    free_key(trail->new_key);
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
    trail->writer.on_written = on_written;
    trail->writer.arg = trail;
    errnum = pthread_create(&trail->thread, NULL, run, trail);
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
    free_key(trail->new_key);
    audit_syslog_free(trail->new_syslog);
    audit_syslog_free(trail->syslog);
    refusals_free(trail->refusals);
    (void)pthread_cond_destroy(&trail->wakeup);
    (void)pthread_cond_destroy(&trail->idle);
    (void)pthread_mutex_destroy(&trail->lock);
    free(trail->directory);
    free(trail);
}
