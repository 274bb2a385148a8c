/*
 * The answer is watched for the API key that went out with the request: its heads, and as
 * much of its body as comes before any of it has been released to the client. Nothing is
 * held back for that: what comes with one read is looked at before it goes on.
 */
#include "base/log.h"
#include "gateway/exchange_internal.h"

void exchange_watch(struct exchange *exchange)
{
    exchange->tripwire =
        snapshot_tripwire(exchange->snapshot, exchange->credential, exchange->key_slot);
}

static void report(const struct exchange *exchange, const char *where)
{
    const struct admission *admission = &exchange->admission;

    log_error("tripwire: %s of upstream's answer to %s holds the API key of the "
              "credential \"%s\": the answer was stopped (find out who sends the key "
              "back, and replace the key)",
              where, admission->operation != NULL ? admission->operation->id : "other",
              admission->client->credential);
}

void exchange_stop_answer(struct exchange *exchange, enum reason reason)
{
    upstream_call_cancel(exchange->call);
    exchange->call = NULL;
    exchange->is_watched = false;
    exchange->vector_count = 0;
    exchange->size_line_count = 0;
    exchange->response_body_bytes = 0;
    if (exchange->response_state == RESPONSE_RELAYING)
        exchange->response_state = RESPONSE_WAITING;
    exchange->caching.is_streaming = false;
    exchange->caching.was_stored = false;
    exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
    if (!fetch_on_failed(exchange, (int)reason))
        exchange_reply_error(exchange, reason, NULL);
}

static bool has_key(struct exchange *exchange, struct span bytes)
{
    return tripwire_read(exchange->tripwire, &exchange->scan, bytes);
}

static bool head_has_key(struct exchange *exchange, const struct http_head *head)
{
    exchange->scan = (struct tripwire_scan){0};
    return has_key(exchange, span_make(head->bytes, head->len));
}

bool exchange_watch_interim(struct exchange *exchange, const struct http_head *head)
{
    if (!head_has_key(exchange, head))
        return false;
    report(exchange, "an interim head");
    change_end(exchange, false);
    if (exchange->recording != NULL)
        recording_finish(exchange->recording,
                         (struct recording_end){"unknown", "key_in_answer", 0});
    exchange_stop_answer(exchange, REASON_KEY_IN_ANSWER);
    return true;
}

/* What is compressed shows nothing. */
static bool is_readable(const struct http_head *head)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span value = http_field_value(head, &head->fields[i]);

        if (span_equal_nocase(http_field_name(head, &head->fields[i]),
                              SPAN("content-encoding")) &&
            value.len > 0 && !span_equal_nocase(value, SPAN("identity")))
            return false;
    }
    return true;
}

bool exchange_watch_head(struct exchange *exchange, const struct http_head *head)
{
    if (head_has_key(exchange, head)) {
        report(exchange, "the head");
        exchange_stop_answer(exchange, REASON_KEY_IN_ANSWER);
        return true;
    }
    exchange->scan = (struct tripwire_scan){0};
    exchange->is_watched = head->status != 101 && is_readable(head);
    return false;
}

bool exchange_watch_content(struct exchange *exchange, struct span content)
{
    if (!exchange->is_watched || !has_key(exchange, content))
        return false;
    report(exchange, "the body");
    exchange_stop_answer(exchange, REASON_KEY_IN_ANSWER);
    return true;
}

bool exchange_watch_trailers(struct exchange *exchange, const struct http_head *trailers)
{
    if (!exchange->is_watched || trailers == NULL || !head_has_key(exchange, trailers))
        return false;
    report(exchange, "the trailers");
    exchange_stop_answer(exchange, REASON_KEY_IN_ANSWER);
    return true;
}
