#include "audit/writer.h"

#include <stdlib.h>
#include <string.h>

#include "audit/line.h"
#include "audit/recover.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    HEADROOM_BYTES = 65536,
    OUTCOME_MOST_BYTES = 1024, /* what a result has beyond its intent's body */
};

bool audit_writer_init(struct audit_writer *writer, const char *directory,
                       struct error *error)
{
    *writer = (struct audit_writer){.is_recovered = false};
    audit_journal_init(&writer->journal, directory);
    writer->hasher = audit_hasher_new(error);
    if (writer->hasher == NULL)
        return false;
    writer->unfinished = audit_unfinished_new();
    return writer->unfinished != NULL || error_set(error, "out of memory");
}

void audit_writer_fini(struct audit_writer *writer)
{
    audit_journal_fini(&writer->journal);
    audit_hasher_free(writer->hasher);
    audit_unfinished_free(writer->unfinished);
    if (writer->key != NULL)
        audit_key_fini(writer->key);
    free(writer->key);
    text_fini(&writer->batch);
}

/* After a start: what an earlier process left undone */

struct closing {
    struct audit_entry **link;
    int64_t wall_ms;
};

static void push(struct closing *closing, struct audit_entry *entry)
{
    entry->next = *closing->link;
    *closing->link = entry;
    closing->link = &entry->next;
}

static void add_orphaned(void *arg, struct span body)
{
    struct closing *closing = arg;
    struct audit_entry *entry = audit_entry_new(AUDIT_RESULT);
    struct span id;

    if (entry == NULL || !audit_record_orphaned(body, closing->wall_ms, &entry->body)) {
        audit_entry_free(entry); /* it stays open; the next start sees it again */
        return;
    }
    if (audit_line_find_string(body, SPAN("event.id"), &id) && id.len == AUDIT_ID_HEX)
        memcpy(entry->id, id.at, id.len);
    push(closing, entry);
}

static void add_repair(struct closing *closing, const struct audit_recovered *recovered)
{
    struct audit_entry *entry = audit_entry_new(AUDIT_TRAIL);

    if (entry == NULL)
        return;
    audit_record_repaired(recovered->set_aside, recovered->torn_bytes, closing->wall_ms,
                          &entry->body);
    if (entry->body.failed)
        audit_entry_free(entry);
    else
        push(closing, entry);
}

static bool recover(struct audit_writer *writer, struct audit_entry **pending,
                    struct error *error)
{
    struct closing closing = {.link = pending, .wall_ms = clock_wall_ms()};
    struct audit_recovered recovered;
    size_t open;

    audit_unfinished_free(writer->unfinished); /* may hold what a failed try found */
    writer->unfinished = audit_unfinished_new();
    if (writer->unfinished == NULL)
        return error_set(error, "out of memory");
    if (!audit_recover(&writer->journal, writer->hasher, writer->unfinished, &recovered,
                       error))
        return false;
    writer->chain = recovered.chain;
    writer->checkpointed = recovered.chain.sequence;
    writer->is_recovered = true;
    if (recovered.set_aside[0] != '\0') {
        log_warn("audit: the last line of the trail was torn by a crash: %llu bytes are "
                 "set aside in %s/%s, the chain goes on before them",
                 (unsigned long long)recovered.torn_bytes, writer->journal.directory,
                 recovered.set_aside);
        add_repair(&closing, &recovered);
    }
    open = audit_unfinished_count(writer->unfinished);
    audit_unfinished_each(writer->unfinished, add_orphaned, &closing);
    if (open > 0)
        log_warn("audit: %zu change%s had no result when the gateway stopped: recorded "
                 "as unknown",
                 open, open == 1 ? "" : "s");
    return true;
}

/* The current file */

static bool begin_file(struct audit_writer *writer, struct error *error)
{
    return audit_journal_begin(&writer->journal, writer->chain.sequence + 1, error);
}

/* After a failure: closes the suspect file and begins one that goes on before it. */
static bool replace_suspect(struct audit_writer *writer, struct error *error)
{
    if (writer->must_discard) {
        if (!audit_journal_discard(&writer->journal, error))
            return false;
        writer->must_discard = false;
    }
    if (writer->must_retire) {
        if (audit_journal_is_in_place(&writer->journal)) {
            if (!audit_journal_retire(&writer->journal, true, error))
                return false;
            writer->must_resume = true;
        } else {
            audit_journal_let_go(&writer->journal);
        }
        writer->must_retire = false;
    }
    return begin_file(writer, error);
}

/* Closes the current file, checkpoint and all, and begins the next. */
static bool rotate(struct audit_writer *writer, struct error *error)
{
    writer->must_rotate = false;
    if (writer->journal.size == 0)
        return true;
    if (audit_writer_owes_checkpoint(writer) &&
        audit_writer_put(writer, NULL, true, error) != AUDIT_PUT)
        return false;
    return audit_journal_retire(&writer->journal, false, error) &&
           begin_file(writer, error);
}

enum audit_ready audit_writer_prepare(struct audit_writer *writer,
                                      struct audit_entry **pending, struct error *error)
{
    bool is_ready = true;

    if (!writer->is_recovered) {
        switch (audit_journal_lock(&writer->journal, error)) {
        case AUDIT_LOCK_BUSY:
            return AUDIT_BUSY;
        case AUDIT_LOCK_FAILED:
            return AUDIT_NOT_READY;
        case AUDIT_LOCKED:
            break;
        }
        if (!recover(writer, pending, error)) {
            audit_journal_fini(&writer->journal);
            return AUDIT_NOT_READY;
        }
    }
    if (!audit_journal_follow(&writer->journal, error))
        return AUDIT_NOT_READY;
    if (writer->must_retire || writer->must_discard ||
        (writer->must_resume && writer->journal.fd < 0))
        is_ready = replace_suspect(writer, error);
    else if (!audit_journal_is_in_place(&writer->journal))
        is_ready = begin_file(writer, error);
    else if (writer->must_rotate || writer->journal.size >= writer->rotate_bytes)
        is_ready = rotate(writer, error);
    return is_ready ? AUDIT_READY : AUDIT_NOT_READY;
}

/* Batches */

/* The number to write in a file's first line; 0 in all others. */
static uint64_t oldest_open(const struct audit_writer *writer)
{
    if (writer->journal.size > 0 || writer->batch.len > 0)
        return 0;
    return audit_unfinished_oldest(writer->unfinished);
}

static bool add_line(struct audit_writer *writer, struct audit_chain *chain,
                     struct span body)
{
    return audit_chain_add(chain, writer->hasher, body, oldest_open(writer),
                           &writer->batch);
}

static bool add_resumed(struct audit_writer *writer, struct audit_chain *chain,
                        const struct audit_entry *entries)
{
    struct text body = {0};
    uint64_t repeated = 0;
    bool is_added;

    for (; entries != NULL && entries->was_attempted; entries = entries->next)
        repeated++;
    audit_record_resumed(writer->journal.suspect_name, span_of(chain->last_hash),
                         repeated, clock_wall_ms(), &body);
    is_added = !body.failed && add_line(writer, chain, span_make(body.bytes, body.len));
    text_fini(&body);
    return is_added;
}

static bool add_checkpoint(struct audit_writer *writer, struct audit_chain *chain)
{
    int64_t wall_ms = clock_wall_ms();
    struct text body = {0};
    struct error error;
    bool is_added;

    (void)audit_checkpoint_state(span_of(chain->id), chain->sequence,
                                 span_of(chain->last_hash), wall_ms, writer->statement);
    if (!audit_checkpoint_sign(writer->key, span_of(writer->statement), writer->signature,
                               &error)) {
        log_error("audit: no checkpoint was made: %s", error.text);
        writer->signature[0] = '\0';
        return true; /* the records are worth more than their seal */
    }
    audit_record_checkpoint(writer->statement, writer->signature, writer->key->id,
                            wall_ms, &body);
    is_added = !body.failed && add_line(writer, chain, span_make(body.bytes, body.len));
    text_fini(&body);
    return is_added;
}

/* Whoever keeps the log elsewhere can prove a cut tail with it. */
static void log_checkpoint(const struct audit_writer *writer)
{
    const struct log_field fields[] = {
        {"proxy.checkpoint.statement", span_of(writer->statement), 0},
        {"proxy.checkpoint.signature", span_of(writer->signature), 0},
        {"proxy.checkpoint.key", span_of(writer->key->id), 0},
    };

    log_write_fields("audit checkpoint", fields, sizeof(fields) / sizeof(fields[0]));
}

static bool make_batch(struct audit_writer *writer, struct audit_chain *chain,
                       const struct audit_entry *entries, bool with_checkpoint)
{
    bool is_made = true;

    text_clear(&writer->batch);
    if (writer->must_resume)
        is_made = add_resumed(writer, chain, entries);
    for (; is_made && entries != NULL; entries = entries->next)
        is_made =
            add_line(writer, chain, span_make(entries->body.bytes, entries->body.len));
    return is_made && (!with_checkpoint || add_checkpoint(writer, chain));
}

static size_t room_for_result(const struct audit_entry *intent)
{
    return intent->body.len + OUTCOME_MOST_BYTES + AUDIT_TAIL_MOST_BYTES;
}

/*
 * What the results of all open intents will need once the entries are written: those here
 * included, and without the intents whose results are here.
 */
static uint64_t room_for_results(const struct audit_writer *writer,
                                 const struct audit_entry *entries)
{
    uint64_t room = audit_unfinished_room(writer->unfinished);
    uint64_t spent = 0;

    for (; entries != NULL; entries = entries->next) {
        if (entries->phase == AUDIT_INTENT)
            room += room_for_result(entries);
        else if (entries->phase == AUDIT_RESULT)
            spent += audit_unfinished_room_of(writer->unfinished, span_of(entries->id));
    }
    return spent < room ? room - spent : 0;
}

/* So that noting the intents once they are written needs no memory: none is forgotten. */
static bool reserve_notes(struct audit_writer *writer, const struct audit_entry *entries)
{
    size_t intents = 0;

    for (; entries != NULL; entries = entries->next)
        intents += entries->phase == AUDIT_INTENT;
    return audit_unfinished_reserve(writer->unfinished, intents);
}

static void note_written(struct audit_writer *writer, const struct audit_entry *entries,
                         uint64_t sequence)
{
    for (; entries != NULL; entries = entries->next) {
        struct span id = span_of(entries->id);

        sequence++;
        if (entries->phase == AUDIT_INTENT && id.len > 0)
            (void)audit_unfinished_add(writer->unfinished, id, sequence,
                                       room_for_result(entries), SPAN(""));
        else if (entries->phase == AUDIT_RESULT)
            audit_unfinished_remove(writer->unfinished, id);
    }
}

static enum audit_put fail(struct audit_writer *writer)
{
    if (writer->must_resume)
        writer->must_discard = true;
    else
        writer->must_retire = true;
    return AUDIT_BROKEN;
}

enum audit_put audit_writer_put(struct audit_writer *writer,
                                const struct audit_entry *entries, bool with_checkpoint,
                                struct error *error)
{
    struct audit_chain chain = writer->chain;
    int64_t started_us;

    if (!make_batch(writer, &chain, entries, with_checkpoint) ||
        !reserve_notes(writer, entries)) {
        (void)error_set(error, "out of memory");
        return AUDIT_NO_ROOM;
    }
    if (writer->batch.len == 0) {
        if (with_checkpoint)
            writer->checkpointed = writer->chain.sequence; /* it cannot be sealed */
        return AUDIT_PUT;
    }
    if (!audit_journal_reserve(&writer->journal,
                               writer->batch.len + room_for_results(writer, entries),
                               error))
        return AUDIT_NO_ROOM;
    started_us = clock_monotonic_us();
    if (!audit_journal_append(&writer->journal,
                              span_make(writer->batch.bytes, writer->batch.len), error))
        return fail(writer);
    writer->last_sync_us = clock_monotonic_us() - started_us;
    note_written(writer, entries, writer->chain.sequence + writer->must_resume);
    writer->must_resume = false;
    writer->chain = chain;
    if (with_checkpoint) {
        writer->checkpointed = chain.sequence;
        if (writer->signature[0] != '\0')
            log_checkpoint(writer);
    }
    if (writer->on_written != NULL)
        writer->on_written(writer->arg,
                           span_make(writer->batch.bytes, writer->batch.len));
    return AUDIT_PUT;
}

bool audit_writer_has_room(struct audit_writer *writer, bool was_out, struct error *error)
{
    uint64_t headroom = was_out ? 2 * HEADROOM_BYTES : HEADROOM_BYTES;

    return audit_journal_reserve(
        &writer->journal, headroom + audit_unfinished_room(writer->unfinished), error);
}

bool audit_writer_owes_checkpoint(const struct audit_writer *writer)
{
    return writer->key != NULL && writer->is_recovered &&
           writer->checkpointed != writer->chain.sequence;
}
