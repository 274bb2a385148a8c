#include "gateway/recording.h"

#include <assert.h>
#include <stdlib.h>

#include "audit/trail.h"
#include "base/clock.h"
#include "base/secret.h"
#include "gateway/effect.h"
#include "gateway/exchange.h"
#include "gateway/source.h"
#include "gateway/subject.h"

#define RECORDING_OF(letter_, member)                                                    \
    ((struct recording *)(void *)((char *)(letter_)-offsetof(struct recording, member)))

enum recording_mode recording_mode(const struct exchange *exchange)
{
    return effect_recording(exchange->snapshot->config, exchange->admission.operation,
                            exchange->is_mutating);
}

/* Memory */

static bool is_pending(const struct recording *recording)
{
    return recording->intent == INTENT_PENDING || recording->result == RESULT_PENDING;
}

static void free_if_done(struct recording *recording)
{
    if (recording->exchange != NULL || is_pending(recording))
        return;
    snapshot_unref(recording->snapshot);
    audit_entry_free(recording->result_entry);
    text_fini(&recording->subject);
    free(recording);
}

/* The body goes as soon as it is not needed any more; it may be a secret's value. */
void recording_drop_body(struct recording *recording)
{
    struct stations *shared = recording->station->shared;

    if (recording->held_body.bytes != NULL)
        secret_cleanse(recording->held_body.bytes, recording->held_body.capacity);
    text_fini(&recording->held_body);
    (void)atomic_fetch_sub(&shared->held_bytes, recording->held_bytes);
    recording->held_bytes = 0;
}

void recording_hold(struct recording *recording, struct span content)
{
    struct text *held = &recording->held_body;
    struct text larger = {0};

    if (held->len + content.len + 1 > held->capacity) {
        (void)text_reserve(&larger, 2 * (held->len + content.len) + 1);
        text_add(&larger, span_make(held->bytes, held->len));
        if (held->bytes != NULL)
            secret_cleanse(held->bytes, held->capacity);
        text_fini(held);
        *held = larger;
    }
    text_add(held, content);
}

static void note_invalidated(struct recording *recording, const struct exchange *exchange)
{
    recording->invalidated =
        effect_invalidates(exchange->snapshot->config, exchange->admission.operation,
                           &recording->invalidated_count);
}

static void on_deadline(void *owner)
{
    struct recording *recording = owner;

    exchange_on_record_timeout(recording->exchange);
}

struct recording *recording_new(struct exchange *exchange, enum recording_mode mode)
{
    struct recording *recording = calloc(1, sizeof(*recording));
    struct span method = exchange->head.method;

    if (recording == NULL)
        return NULL;
    station_make_record_id(exchange->station, recording->id);
    memcpy(exchange->record_id, recording->id, sizeof(recording->id));
    recording->exchange = exchange;
    recording->station = exchange->station;
    recording->snapshot = snapshot_ref(exchange->snapshot);
    recording->mode = mode;
    recording->started_us = exchange->started_us;
    if (method.len < sizeof(recording->method))
        memcpy(recording->method, method.at, method.len);
    note_invalidated(recording, exchange);
    deadline_init(&recording->deadline, exchange->station->worker, on_deadline,
                  recording);
    return recording;
}

static void begin_wait(struct recording *recording)
{
    stopwatch_start(&recording->exchange->audit_wait, clock_monotonic_us());
    deadline_set(&recording->deadline, recording->snapshot->config->audit.timeout_ms);
}

static void end_wait(struct recording *recording)
{
    stopwatch_stop(&recording->exchange->audit_wait, clock_monotonic_us());
    deadline_lift(&recording->deadline);
}

/* The result */

static void on_result_letter(struct letter *letter)
{
    struct recording *recording = RECORDING_OF(letter, result_letter);

    audit_entry_free(recording->returned_result);
    recording->returned_result = NULL;
    recording->result = RESULT_RECORDED;
    if (recording->exchange == NULL) {
        free_if_done(recording);
        return;
    }
    end_wait(recording);
    exchange_on_result(recording->exchange);
}

static void on_result_done(struct audit_entry *entry, enum audit_done done)
{
    struct recording *recording = entry->owner;

    (void)done;
    recording->returned_result = entry;
    mailbox_send(recording->station->worker->mailbox, &recording->result_letter);
}

/* What was not sent has made nothing old (DESIGN, "Generations"). */
static bool has_invalidated(const struct recording *recording)
{
    const char *reason = recording->end.reason;

    return reason == NULL || strcmp(reason, RECORDING_NOT_FORWARDED) != 0;
}

static void write_result(const struct recording *recording,
                         const struct audit_outcome *outcome, struct text *out)
{
    text_clear(out);
    audit_record_result(span_make(recording->subject.bytes, recording->subject.len),
                        span_of(recording->method), clock_wall_ms(), outcome, out);
}

bool recording_reserve_result(struct recording *recording)
{
    const struct audit_outcome longest = {
        .outcome = "a word longer than any outcome's",
        .reason = "words longer than any reason's, so that none that is given at the end "
                  "needs more room than these",
        .status = 599,
        .duration_ns = INT64_MAX,
        .invalidated = recording->invalidated,
        .invalidated_count = recording->invalidated_count,
    };
    struct audit_entry *entry = audit_entry_new(AUDIT_RESULT);

    recording->result_entry = entry;
    if (entry == NULL)
        return false;
    memcpy(entry->id, recording->id, sizeof(entry->id));
    write_result(recording, &longest, &entry->body);
    return !entry->body.failed;
}

static void send_result(struct recording *recording)
{
    struct audit_entry *entry = recording->result_entry;
    const struct audit_outcome outcome = {
        .outcome = recording->end.outcome,
        .reason = recording->end.reason,
        .status = recording->end.status,
        .duration_ns = (clock_monotonic_us() - recording->started_us) * 1000,
        .invalidated = recording->invalidated,
        .invalidated_count =
            has_invalidated(recording) ? recording->invalidated_count : 0,
    };

    write_result(recording, &outcome, &entry->body);
    assert(!entry->body.failed); /* all its room was reserved */
    recording->result_entry = NULL;
    recording->result = RESULT_RECORDED;
    if (recording->exchange != NULL && recording->mode == RECORDING_AWAITED) {
        entry->owner = recording;
        entry->on_done = on_result_done;
        recording->result_letter.open = on_result_letter;
        recording->result = RESULT_PENDING;
    }
    (void)station_queue_record(recording->station, entry);
}

void recording_finish(struct recording *recording, struct recording_end end)
{
    if (recording->result != RESULT_NONE)
        return;
    recording->end = end;
    if (recording->mode == RECORDING_AWAITED && recording->exchange != NULL)
        begin_wait(recording);
    if (recording->intent == INTENT_RECORDED || recording->intent == INTENT_LATE)
        send_result(recording);
    else if (recording->intent == INTENT_PENDING)
        recording->result = RESULT_OWED;
}

struct recording_end recording_end_of(unsigned status)
{
    struct recording_end end = {.outcome = "success", .status = status};

    if (status == 401) {
        end = (struct recording_end){"failure", "credential_refused", status};
    } else if (status >= 400) {
        end.outcome = "failure";
        end.reason = status < 500 ? "refused_by_upstream" : "upstream_error";
    }
    return end;
}

/* The intent */

static void on_intent_letter(struct letter *letter)
{
    struct recording *recording = RECORDING_OF(letter, intent_letter);
    struct exchange *exchange = recording->exchange;
    enum audit_done done = recording->intent_done;

    audit_entry_free(recording->returned_intent);
    recording->returned_intent = recording->intent_entry = NULL;
    recording->intent = done == AUDIT_DURABLE  ? INTENT_RECORDED
                        : done == AUDIT_FAILED ? INTENT_FAILED
                                               : INTENT_LATE;
    if (recording->result == RESULT_OWED && done != AUDIT_FAILED)
        send_result(recording);
    if (exchange == NULL) {
        free_if_done(recording);
        return;
    }
    if (recording->mode != RECORDING_AWAITED)
        return;
    end_wait(recording);
    exchange_on_intent(exchange, done == AUDIT_DURABLE);
}

static void on_intent_done(struct audit_entry *entry, enum audit_done done)
{
    struct recording *recording = entry->owner;

    recording->returned_intent = entry;
    recording->intent_done = done;
    mailbox_send(recording->station->worker->mailbox, &recording->intent_letter);
}

bool recording_begin(struct recording *recording)
{
    struct audit_entry *entry = audit_entry_new(AUDIT_INTENT);

    if (entry == NULL)
        return false;
    memcpy(entry->id, recording->id, sizeof(entry->id));
    entry->owner = recording;
    entry->on_done = on_intent_done;
    entry->is_loose = recording->mode == RECORDING_LOG;
    recording->intent_letter.open = on_intent_letter;
    audit_record_intent(span_make(recording->subject.bytes, recording->subject.len),
                        span_of(recording->method), clock_wall_ms(), &entry->body);
    recording->intent = INTENT_PENDING;
    recording->intent_entry = entry;
    if (entry->body.failed || !station_queue_record(recording->station, entry)) {
        audit_entry_free(entry);
        recording->intent_entry = NULL;
        recording->intent = INTENT_FAILED;
        return false;
    }
    if (recording->mode == RECORDING_AWAITED)
        begin_wait(recording);
    return true;
}

void recording_leave(struct recording *recording, struct recording_end end)
{
    if (recording == NULL)
        return;
    deadline_fini(&recording->deadline);
    recording_drop_body(recording);
    recording->exchange = NULL;
    recording_finish(recording, end);
    if (recording->intent == INTENT_PENDING && recording->mode == RECORDING_AWAITED)
        atomic_store(&recording->intent_entry->is_withdrawn, true);
    free_if_done(recording);
}

/* Refusals */

/* The words of event.reason for what the trail has of refusals; NULL: not recorded. */
static const char *refusal_word(enum reason reason)
{
    switch (reason_row(reason)->status) {
    case 401:
        return "unauthenticated";
    case 403:
        return "forbidden";
    case 408:
        return "timeout";
    case 413:
        return "too_large";
    case 429:
        return "rate_limited";
    case 503:
        return "unavailable";
    default:
        return reason == REASON_BODY_UNREADABLE || reason == REASON_BODY_ENCODED
                   ? "unreadable_body"
                   : NULL;
    }
}

static bool is_attempt(const struct exchange *exchange)
{
    const struct operation *operation = exchange->admission.operation;

    return operation != NULL && operation->is_audited &&
           operation_method_is_mutating(exchange->head.method);
}

void recording_refuse(struct exchange *exchange, enum reason reason)
{
    const char *word = refusal_word(reason);
    struct text subject = {0};
    char *id = exchange->record_id;
    struct audit_entry *entry;

    if (word == NULL || !is_attempt(exchange) ||
        !audit_trail_admits_refusal(exchange->station->shared->trail,
                                    source_ip(exchange)))
        return;
    station_make_record_id(exchange->station, id);
    entry = audit_entry_new(AUDIT_REFUSED);
    if (entry == NULL)
        return;
    entry->is_loose = true;
    if (subject_write(exchange, id, NULL, AUDIT_BODY_READ, &subject))
        audit_record_refused(span_make(subject.bytes, subject.len), clock_wall_ms(),
                             reason_row(reason)->status, word, &entry->body);
    if (entry->body.len == 0 || entry->body.failed ||
        !station_queue_record(exchange->station, entry))
        audit_entry_free(entry);
    text_fini(&subject);
}
