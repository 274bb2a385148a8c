/* The trail's thread: takes what is queued, makes it durable, and tells its owners. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit/line.h"
#include "audit/trail_internal.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    RETRY_MS = 200,
    RETRY_LOCK_MS = 20,
    CHECKPOINT_MS = 60000,
    LAST_TRY_MS = 1000, /* how long a stop waits for a disk that fails */
};

static void count_out(struct audit_trail *trail, struct audit_entry *entry)
{
    if (!entry->is_counted)
        return;
    entry->is_counted = false;
    trail->loose_count -= entry->is_loose;
    trail->queued_bytes -= entry->body.len;
}

/* Telling owners */

/* Without the lock, because it may wake another thread; whoever mutes waits for us. */
static void tell(struct audit_trail *trail, struct audit_entry *entry,
                 enum audit_done done)
{
    (void)pthread_mutex_lock(&trail->lock);
    trail->is_telling = entry->on_done != NULL && !trail->is_mute;
    (void)pthread_mutex_unlock(&trail->lock);
    if (!trail->is_telling) {
        audit_entry_free(entry);
        return;
    }
    entry->on_done(entry, done);
    (void)pthread_mutex_lock(&trail->lock);
    trail->is_telling = false;
    if (trail->is_mute)
        (void)pthread_cond_broadcast(&trail->idle);
    (void)pthread_mutex_unlock(&trail->lock);
}

static void count_written(struct audit_trail *trail, struct audit_entry *entries)
{
    size_t count = 0;

    if (entries == NULL)
        return;
    (void)pthread_mutex_lock(&trail->lock);
    for (; entries != NULL; entries = entries->next) {
        count++;
        trail->numbers.records[entries->phase]++;
        count_out(trail, entries);
    }
    histogram_add(&trail->sync_times, trail->writer.last_sync_us);
    pace_note(&trail->pace, count, trail->writer.last_sync_us);
    (void)pthread_mutex_unlock(&trail->lock);
}

/* The lines that were just written: copies go out, whatever wrote them. */
void audit_trail_on_written(void *arg, struct span lines)
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

/* One turn */

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

void audit_trail_drop_key(struct audit_key *key)
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
    audit_trail_drop_key(writer->key);
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

/* With the lock held, which it gives up meanwhile: lets more records come. */
static void gather(struct audit_trail *trail)
{
    int64_t pause_us = trail->is_stopping || trail->first == NULL
                           ? 0
                           : pace_pause_us(&trail->pace, trail->queued_count);
    const struct timespec pause = {.tv_nsec = pause_us * 1000};

    if (pause_us == 0)
        return;
    (void)pthread_mutex_unlock(&trail->lock);
    (void)nanosleep(&pause, NULL);
    (void)pthread_mutex_lock(&trail->lock);
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
    gather(trail);
    append_pending(trail, trail->first);
    trail->first = NULL;
    trail->last = &trail->first;
    trail->queued_count = 0;
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

void *audit_trail_run(void *argument)
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
