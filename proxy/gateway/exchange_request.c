/* The exchange's first half: the request, on its way to upstream. */
#include "base/clock.h"
#include "gateway/exchange_internal.h"
#include "gateway/quota.h"

bool exchange_has_body(const struct exchange *exchange)
{
    return exchange->body.is_done;
}

/* Our own conditions on what is stored (RFC 9111 4.3.1). */
static void add_conditions(struct exchange *exchange, struct text *lines)
{
    struct caching *caching = &exchange->caching;
    struct span etag, modified;

    if (!caching_may_revalidate(exchange))
        return;
    etag = cache_head_field(cache_entry_head(caching->stored), SPAN("etag"));
    modified = cache_head_field(cache_entry_head(caching->stored), SPAN("last-modified"));
    caching->asks_conditionally = etag.len > 0 || modified.len > 0;
    if (etag.len > 0)
        text_add_format(lines, "If-None-Match: %.*s\r\n", (int)etag.len, etag.at);
    if (modified.len > 0)
        text_add_format(lines, "If-Modified-Since: %.*s\r\n", (int)modified.len,
                        modified.at);
}

/*
 * Upstream's 100 (Continue) waits, as all that it says, for the result: who waits for it
 * before sending a body would wait for ever. So the gateway says it.
 */
static bool must_answer_expectation(const struct exchange *exchange)
{
    const struct recording *recording = exchange->recording;

    return recording != NULL && recording->mode == RECORDING_AWAITED;
}

/* The head for upstream: the client's, or in a cache rule's fixed mode the gateway's own.
 */
static bool write_request_head(struct exchange *exchange, size_t *key_at)
{
    struct forward_options options = {
        .authority = exchange->snapshot->config->upstream.authority,
        .is_upgrade = exchange->is_upgrade,
        .drops_expect = must_answer_expectation(exchange),
        .drops_conditions = exchange->caching.role == CACHING_FETCH,
    };
    struct text conditions = {0};
    bool is_written;

    if (exchange->caching.role == CACHING_FETCH)
        add_conditions(exchange, &conditions);
    options.conditions = span_make(conditions.bytes, conditions.len);
    text_clear(&exchange->request_head);
    if (exchange->caching.role == CACHING_FETCH &&
        exchange->caching.rule->freshness == OPERATION_FRESHNESS_FIXED)
        is_written = forward_fetch_head(&exchange->admission, &options,
                                        &exchange->request_head, key_at);
    else
        is_written = forward_request_head(&exchange->head, &exchange->admission, &options,
                                          &exchange->request_head, key_at);
    is_written = is_written && !conditions.failed;
    text_fini(&conditions);
    return is_written;
}

static bool prepare_request(struct exchange *exchange)
{
    const struct http_head *head = &exchange->head;
    const struct admission *admission = &exchange->admission;
    const struct snapshot *snapshot = exchange->snapshot;
    const struct credential *credential =
        credential_find(snapshot->credentials, admission->client->credential);
    const struct operation *operation = admission->operation;
    bool is_plain =
        operation == NULL || (operation->cache == NULL && !operation->is_audited);
    bool is_held = exchange->recording != NULL && exchange->recording->holds_body;
    bool has_body = !exchange->body.is_done || is_held;
    size_t key_at = 0;

    exchange->credential = credential;
    exchange->key_slot = credential_slot(credential);
    exchange_watch(exchange);
    exchange->is_upgrade = is_plain && forward_is_websocket(head, admission->framing);
    if (!write_request_head(exchange, &key_at))
        return false;
    exchange->request = (struct upstream_request){
        .head_before = span_make(exchange->request_head.bytes, key_at),
        .api_key = secret_span(credential->api_keys[exchange->key_slot]),
        .head_after = span_make(exchange->request_head.bytes + key_at,
                                exchange->request_head.len - key_at),
        .is_head_method = exchange->caching.role != CACHING_FETCH &&
                          span_equal(head->method, SPAN("HEAD")),
        .has_body = has_body,
        .expects_continue = has_body && !must_answer_expectation(exchange) &&
                            head->minor > 0 &&
                            http_head_find(head, HTTP_FIELD_EXPECT, NULL) != NULL,
        .is_chunked = admission->framing == HTTP_FRAMING_CHUNKED,
        .may_repeat = !exchange->is_mutating && !has_body,
        .is_upgrade = exchange->is_upgrade,
    };
    return true;
}

static const struct upstream_call_events call_events = {
    exchange_on_sending, exchange_on_upstream_drained, exchange_on_interim,
    exchange_on_head,    exchange_on_content,          exchange_on_flush,
    exchange_on_end,     exchange_on_failed,
};

/* Nobody asks upstream now: those who wait hear of it, what is stored may serve. */
static void refuse_by_rate(struct exchange *exchange)
{
    if (!fetch_on_failed(exchange, REASON_UPSTREAM_RATE))
        exchange_answer_error(exchange, REASON_UPSTREAM_RATE, NULL);
}

void exchange_call_upstream(struct exchange *exchange)
{
    struct upstream_pool *pool;

    switch (quota_admit_upstream(exchange)) {
    case QUOTA_ADMITTED:
        break;
    case QUOTA_ASKED:
        return;
    case QUOTA_REFUSED:
        refuse_by_rate(exchange);
        return;
    }
    if (exchange->request_state < REQUEST_ANNOUNCING)
        exchange->request_state = REQUEST_ANNOUNCING;
    if (fleet_announce(exchange))
        return;
    pool = station_pool(exchange->station, exchange->snapshot);
    if (pool != NULL && prepare_request(exchange))
        exchange->call =
            upstream_call_new(pool, &exchange->request, &call_events, exchange);
    if (exchange->call == NULL) {
        exchange_refuse(exchange, REASON_NO_MEMORY, NULL);
        return;
    }
    exchange->request_state = REQUEST_CONNECTING;
    if (!exchange->body.is_done)
        conn_want_body(exchange->conn, false); /* until there is where to send it */
    stopwatch_start(&exchange->upstream_wait, clock_monotonic_us());
    upstream_call_start(exchange->call);
}

static void finish_request(struct exchange *exchange)
{
    const struct http_head *trailers = &exchange->body.trailers;

    text_clear(&exchange->trailers);
    if (trailers->field_count > 0 &&
        !forward_trailers(trailers, &exchange->head, &exchange->trailers)) {
        exchange_refuse(exchange, REASON_NO_MEMORY, NULL);
        return;
    }
    exchange->request_state = REQUEST_SENT;
    upstream_call_finish(exchange->call,
                         span_make(exchange->trailers.bytes, exchange->trailers.len));
    if (exchange->conn != NULL)
        conn_want_body(exchange->conn, false);
}

/* The body whose intent is durable now, at once. */
static void send_held(struct exchange *exchange)
{
    const struct text *held = &exchange->recording->held_body;

    upstream_call_send(exchange->call, span_make(held->bytes, held->len), false);
    finish_request(exchange);
}

void exchange_on_sending(void *owner)
{
    struct exchange *exchange = owner;

    exchange->request_state = exchange->request.has_body ? REQUEST_SENDING : REQUEST_SENT;
    exchange->sent_us = clock_monotonic_us();
    change_begin(exchange);
    if (exchange->recording != NULL && exchange->recording->holds_body) {
        send_held(exchange);
        return;
    }
    if (!exchange->request.has_body || exchange->conn == NULL ||
        (must_answer_expectation(exchange) && !exchange_answer_expectation(exchange)))
        return;
    conn_want_body(exchange->conn, true);
    if (exchange->request.expects_continue && exchange->request_body_bytes == 0 &&
        exchange->conn != NULL)
        conn_await_continue(exchange->conn);
}

void exchange_take_body(struct exchange *exchange, struct span *input)
{
    struct span content;

    if (exchange->request_state == REQUEST_HOLDING) {
        exchange_hold_body(exchange, input);
        return;
    }
    if (exchange->conn->state == CONN_TUNNEL) {
        upstream_call_send(exchange->call, *input, false);
        *input = SPAN("");
        conn_note_tunnel_traffic(exchange->conn);
        if (!upstream_call_is_drained(exchange->call))
            conn_want_body(exchange->conn, false);
        return;
    }
    for (;;) {
        switch (http_body_read(&exchange->body, input, &content)) {
        case HTTP_BODY_CONTENT:
            exchange->request_body_bytes += content.len;
            upstream_call_send(exchange->call, content, input->len > 0);
            break;
        case HTTP_BODY_MORE:
            upstream_call_push(exchange->call);
            if (!upstream_call_is_drained(exchange->call))
                conn_want_body(exchange->conn, false);
            return;
        case HTTP_BODY_DONE:
            finish_request(exchange);
            return;
        case HTTP_BODY_BAD:
            exchange_refuse(exchange, reason_of_fault(exchange->body.fault),
                            http_fault_text(exchange->body.fault));
            return;
        }
    }
}

void exchange_on_upstream_drained(void *owner)
{
    struct exchange *exchange = owner;

    if (exchange->conn == NULL)
        return;
    if (exchange->conn->state == CONN_TUNNEL)
        conn_note_tunnel_traffic(exchange->conn);
    if (exchange->conn->state == CONN_TUNNEL || !exchange->body.is_done)
        conn_want_body(exchange->conn, true);
}

void exchange_on_body_timeout(struct exchange *exchange)
{
    exchange_refuse(exchange, REASON_BODY_TIMEOUT, NULL);
}

void exchange_on_client_end(struct exchange *exchange)
{
    if (exchange->conn->state == CONN_TUNNEL)
        upstream_call_finish(exchange->call, SPAN(""));
    else if (!exchange->body.is_done)
        exchange_refuse(exchange, REASON_MALFORMED,
                        http_fault_text(HTTP_FAULT_CUT_SHORT));
}
