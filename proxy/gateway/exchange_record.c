/*
 * Where an exchange waits for the trail: its request until the intent is durable, its
 * answer until the result is (DESIGN, "Audit"). HOLDING gathers the body, INTENT and
 * WITHHELD wait for the writer, and WITHHELD for the fleet too.
 */
#include <stdio.h>

#include "audit/body.h"
#include "gateway/exchange_internal.h"
#include "gateway/subject.h"

static void refuse(struct exchange *exchange, enum reason reason, const char *detail)
{
    exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
    exchange_reply_error(exchange, reason, detail);
}

/* The request's body, held until its intent is durable */

/* Counts bytes against what all workers may hold. */
static bool count_held(struct exchange *exchange, uint64_t bytes)
{
    struct recording *recording = exchange->recording;
    struct stations *shared = exchange->station->shared;
    const struct config_limits *limits = &exchange->snapshot->config->limits;
    uint64_t before = atomic_fetch_add(&shared->held_bytes, bytes);

    if (before + bytes > (uint64_t)limits->audited_bodies_total_bytes) {
        (void)atomic_fetch_sub(&shared->held_bytes, bytes);
        return false;
    }
    recording->held_bytes += bytes;
    return true;
}

/* False: refused, and the exchange has ended. */
static bool hold(struct exchange *exchange, struct span content)
{
    struct recording *recording = exchange->recording;
    struct text *held = &recording->held_body;
    uint64_t most = (uint64_t)exchange->snapshot->config->limits.audited_body_bytes;

    if (held->len + content.len > most) {
        refuse(exchange, REASON_BODY_TOO_LARGE, NULL);
        return false;
    }
    if (recording->held_bytes < held->len + content.len &&
        !count_held(exchange, held->len + content.len - recording->held_bytes)) {
        refuse(exchange, REASON_BODIES_TOO_MANY, NULL);
        return false;
    }
    recording_hold(recording, content);
    if (!held->failed)
        return true;
    refuse(exchange, REASON_NO_MEMORY, NULL);
    return false;
}

void exchange_hold_body(struct exchange *exchange, struct span *input)
{
    struct span content;

    for (;;) {
        switch (http_body_read(&exchange->body, input, &content)) {
        case HTTP_BODY_CONTENT:
            exchange->request_body_bytes += content.len;
            if (!hold(exchange, content))
                return;
            break;
        case HTTP_BODY_MORE:
            return;
        case HTTP_BODY_DONE:
            conn_want_body(exchange->conn, false);
            exchange_record_intent(exchange);
            return;
        case HTTP_BODY_BAD:
            exchange_refuse(exchange, reason_of_fault(exchange->body.fault),
                            http_fault_text(exchange->body.fault));
            return;
        }
    }
}

bool exchange_answer_expectation(struct exchange *exchange)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct iovec vector = {(void *)(uintptr_t)interim, sizeof(interim) - 1};

    if (exchange->head.minor == 0 ||
        http_head_find(&exchange->head, HTTP_FIELD_EXPECT, NULL) == NULL)
        return true;
    return conn_write(exchange->conn, &vector, 1);
}

static void begin_holding(struct exchange *exchange)
{
    const struct config_limits *limits = &exchange->snapshot->config->limits;
    uint64_t length = exchange->admission.framing == HTTP_FRAMING_LENGTH
                          ? exchange->admission.length
                          : 0;

    if (length > (uint64_t)limits->audited_body_bytes) {
        refuse(exchange, REASON_BODY_TOO_LARGE, NULL);
        return;
    }
    if (!count_held(exchange, length)) {
        refuse(exchange, REASON_BODIES_TOO_MANY, NULL);
        return;
    }
    exchange->recording->holds_body = true;
    exchange->request_state = REQUEST_HOLDING;
    /* Upstream must not see any of it yet, so that it cannot ask for it. */
    if (exchange_answer_expectation(exchange))
        conn_want_body(exchange->conn, true);
}

/* The intent */

static void add_field(struct text *out, const struct http_head *head,
                      const struct http_field *field)
{
    if (out->len > 0)
        text_add(out, SPAN(", "));
    text_add(out, http_field_value(head, field));
}

static bool is_identity(struct span value)
{
    return value.len == 0 || span_equal_nocase(value, SPAN("identity"));
}

/* What the operation's row wants of the body. */
static enum audit_body_verdict read_body(struct exchange *exchange,
                                         struct audit_body *body)
{
    const struct operation *operation = exchange->admission.operation;
    const struct http_head *head = &exchange->head;
    const struct text *held = &exchange->recording->held_body;
    struct audit_body_source source = {.bytes = span_make(held->bytes, held->len)};
    struct text type = {0};
    enum audit_body_verdict verdict;

    if (operation == NULL || !operation->is_audited)
        return AUDIT_BODY_READ;
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span name = http_field_name(head, &head->fields[i]);

        if (span_equal_nocase(name, SPAN("content-type")))
            add_field(&type, head, &head->fields[i]);
        else if (span_equal_nocase(name, SPAN("content-encoding")) &&
                 !is_identity(http_field_value(head, &head->fields[i])))
            source.is_encoded = true;
    }
    source.content_type = span_make(type.bytes, type.len);
    source.record = operation->record;
    source.record_count = operation->record_count;
    source.name_member = operation->resource_member;
    source.is_secret = subject_is_secret;
    source.owner = exchange;
    verdict = type.failed ? AUDIT_BODY_NO_MEMORY : audit_body_read(&source, body);
    text_fini(&type);
    return verdict;
}

/* Where a body names the resource, one that cannot be read is no change to let by. */
static bool must_refuse_body(const struct exchange *exchange,
                             enum audit_body_verdict verdict)
{
    const struct operation *operation = exchange->admission.operation;

    return verdict != AUDIT_BODY_READ && operation != NULL &&
           operation->resource_member != NULL &&
           exchange->snapshot->config->audit.unreadable_body == CONFIG_UNREADABLE_REFUSE;
}

void exchange_record_intent(struct exchange *exchange)
{
    struct recording *recording = exchange->recording;
    struct audit_body body = {0};
    enum audit_body_verdict verdict = read_body(exchange, &body);
    bool is_written;

    if (verdict == AUDIT_BODY_NO_MEMORY) { /* the body may be fine */
        audit_body_fini(&body);
        refuse(exchange, REASON_NO_MEMORY, NULL);
        return;
    }
    if (must_refuse_body(exchange, verdict)) {
        audit_body_fini(&body);
        refuse(exchange,
               verdict == AUDIT_BODY_COMPRESSED ? REASON_BODY_ENCODED
                                                : REASON_BODY_UNREADABLE,
               audit_body_verdict_word(verdict));
        return;
    }
    is_written =
        subject_write(exchange, recording->id, &body, verdict, &recording->subject) &&
        recording_reserve_result(recording);
    audit_body_fini(&body);
    if (!is_written) {
        refuse(exchange, REASON_NO_MEMORY, NULL);
        return;
    }
    exchange->request_state = REQUEST_INTENT;
    if (!recording_begin(recording))
        refuse(exchange, REASON_TRAIL_UNWRITABLE, NULL);
}

/* Nobody waits for these records; without one the request goes on all the same. */
static void record_loosely(struct exchange *exchange)
{
    struct recording *recording = recording_new(exchange, RECORDING_LOG);

    exchange->recording = recording;
    if (recording != NULL &&
        subject_write(exchange, recording->id, NULL, AUDIT_BODY_READ,
                      &recording->subject) &&
        recording_reserve_result(recording))
        (void)recording_begin(recording);
    exchange_call_upstream(exchange);
}

void exchange_record_request(struct exchange *exchange)
{
    const struct operation *operation = exchange->admission.operation;
    enum recording_mode mode = recording_mode(exchange);

    if (mode == RECORDING_NONE) {
        exchange_call_upstream(exchange);
        return;
    }
    if (mode == RECORDING_LOG) {
        record_loosely(exchange);
        return;
    }
    exchange->recording = recording_new(exchange, RECORDING_AWAITED);
    if (exchange->recording == NULL) {
        refuse(exchange, REASON_NO_MEMORY, NULL);
    } else if (!exchange->body.is_done && operation != NULL && operation->is_audited) {
        begin_holding(exchange);
    } else {
        if (!exchange->body.is_done)
            conn_want_body(exchange->conn, false); /* it streams, but not yet */
        exchange_record_intent(exchange);
    }
}

void exchange_on_intent(struct exchange *exchange, bool is_durable)
{
    if (is_durable)
        exchange_call_upstream(exchange);
    else
        refuse(exchange, REASON_TRAIL_UNWRITABLE, NULL);
}

/* The answer, held until its result is durable and the fleet knows of it */

static bool has_record(const struct exchange *exchange)
{
    const struct recording *recording = exchange->recording;

    return recording != NULL && recording->mode == RECORDING_AWAITED &&
           recording->intent == INTENT_RECORDED;
}

bool exchange_must_withhold(const struct exchange *exchange)
{
    return exchange->response_state <= RESPONSE_WITHHELD &&
           (has_record(exchange) || fleet_awaits_end(exchange));
}

/* Whether something that is withheld still is to be. */
static bool is_awaited(const struct exchange *exchange)
{
    return (has_record(exchange) && exchange->recording->result != RESULT_RECORDED) ||
           fleet_awaits_end(exchange);
}

/* Nothing was forwarded, or what became of it is not known. */
static struct recording_end end_without_answer(const struct exchange *exchange,
                                               const char *why)
{
    if (exchange->request_state >= REQUEST_SENDING)
        return (struct recording_end){"unknown", why, 0};
    return (struct recording_end){"failure", RECORDING_NOT_FORWARDED, 0};
}

void exchange_stop_body(struct exchange *exchange)
{
    if (exchange->conn != NULL && !exchange->body.is_done)
        conn_want_body(exchange->conn, false);
}

bool exchange_withhold_reply(struct exchange *exchange, enum reason reason,
                             const char *detail)
{
    struct withheld *withheld = &exchange->withheld;

    if (!exchange_must_withhold(exchange) || !is_awaited(exchange))
        return false;
    if (has_record(exchange))
        recording_finish(exchange->recording,
                         end_without_answer(exchange, reason_row(reason)->proxy_error));
    withheld->has_reply = true;
    withheld->reply = reason;
    (void)snprintf(withheld->reply_detail, sizeof(withheld->reply_detail), "%s",
                   detail != NULL ? detail : "");
    exchange->response_state = RESPONSE_WITHHELD;
    exchange_stop_body(exchange);
    return true;
}

void exchange_note_failure(struct exchange *exchange, enum reason reason)
{
    if (exchange->recording != NULL)
        recording_finish(exchange->recording,
                         end_without_answer(exchange, reason_row(reason)->proxy_error));
}

struct recording_end exchange_last_end(const struct exchange *exchange)
{
    if (exchange->renewal != NULL)
        return recording_end_of(401); /* upstream has refused it, and no more was sent */
    return end_without_answer(exchange, exchange->station->is_draining ? "gateway_stopped"
                                                                       : "client_left");
}

/* Something that the answer waited for is there; perhaps it was the last. */
static void release(struct exchange *exchange)
{
    const char *detail = exchange->withheld.reply_detail;

    if (exchange->response_state != RESPONSE_WITHHELD || is_awaited(exchange))
        return;
    if (exchange->withheld.has_reply) {
        exchange->response_state = RESPONSE_WAITING;
        exchange_reply_error(exchange, exchange->withheld.reply,
                             *detail != '\0' ? detail : NULL);
    } else {
        exchange_release_answer(exchange);
    }
}

void exchange_on_result(struct exchange *exchange)
{
    release(exchange);
}

/* Nothing was sent, and nothing will be. */
void exchange_on_announced(struct exchange *exchange, bool is_announced)
{
    if (is_announced)
        exchange_call_upstream(exchange);
    else
        refuse(exchange, REASON_FLEET_AWAY, NULL);
}

/* Not safe: others may answer from before the change for as long as they like. */
void exchange_on_end_announced(struct exchange *exchange, bool is_safe)
{
    char detail[64] = "it is not known what upstream did";

    if (is_safe || exchange->response_state != RESPONSE_WITHHELD) {
        release(exchange);
        return;
    }
    if (exchange->status != 0)
        (void)snprintf(detail, sizeof(detail), "upstream answered %u", exchange->status);
    upstream_call_cancel(exchange->call);
    exchange->call = NULL;
    exchange->withheld.has_reply = true;
    exchange->withheld.reply = REASON_NOT_ANNOUNCED;
    (void)snprintf(exchange->withheld.reply_detail,
                   sizeof(exchange->withheld.reply_detail), "%s", detail);
    release(exchange);
}

/*
 * audit.timeout is over. An intent that is not durable: nothing was forwarded. A result:
 * the change has happened, or may have, and must not be tried again, unless nothing was
 * sent: then the client hears why.
 */
void exchange_on_record_timeout(struct exchange *exchange)
{
    struct recording *recording = exchange->recording;
    char detail[64] = "it is not known what upstream did";

    if (exchange->response_state != RESPONSE_WITHHELD) {
        refuse(exchange, REASON_TRAIL_SLOW, NULL);
        return;
    }
    if (recording->end.status != 0)
        (void)snprintf(detail, sizeof(detail), "upstream answered %u",
                       recording->end.status);
    upstream_call_cancel(exchange->call);
    exchange->call = NULL;
    exchange->recording = NULL;
    exchange->response_state = RESPONSE_WAITING;
    if (exchange->withheld.has_reply && exchange->request_state < REQUEST_SENDING)
        refuse(exchange, exchange->withheld.reply, NULL);
    else
        refuse(exchange, REASON_NOT_RECORDED, detail);
    recording_leave(recording, recording->end);
}
