/* The exchange's second half: the answer, on its way back. */
#include <stdio.h>

#include "base/clock.h"
#include "gateway/exchange_internal.h"
#include "gateway/health.h"
#include "gateway/renewal.h"

enum { MOST_WITHHELD_BYTES = 65536 };

/* Sends what was gathered. False: the exchange may be over, and the caller must return.
 */
static bool flush(struct exchange *exchange)
{
    int count = exchange->vector_count;
    bool is_open = true;

    if (count == 0)
        return true;
    exchange->vector_count = 0;
    exchange->size_line_count = 0;
    exchange->is_watched = false;
    if (exchange->conn != NULL)
        is_open = conn_write(exchange->conn, exchange->vectors, count);
    if (is_open)
        text_fini(&exchange->packed);
    return is_open;
}

/*
 * What was gathered becomes one run of bytes of our own: while the answer is watched none
 * of it may go before all that came with it was looked at.
 */
static bool pack(struct exchange *exchange)
{
    struct text *packed = &exchange->packed;
    int first = packed->len > 0 ? 1 : 0; /* packed already */
    size_t more = 0;

    for (int i = first; i < exchange->vector_count; i++)
        more += exchange->vectors[i].iov_len;
    if (!text_reserve(packed, more)) {
        exchange_stop_answer(exchange, REASON_NO_MEMORY);
        return false;
    }
    for (int i = first; i < exchange->vector_count; i++)
        text_add(packed,
                 span_make(exchange->vectors[i].iov_base, exchange->vectors[i].iov_len));
    exchange->vectors[0] = (struct iovec){packed->bytes, packed->len};
    exchange->vector_count = packed->len > 0;
    exchange->size_line_count = 0;
    return true;
}

static bool pass_on(struct exchange *exchange)
{
    return exchange->is_watched ? pack(exchange) : flush(exchange);
}

static void gather(struct exchange *exchange, struct span bytes)
{
    exchange->vectors[exchange->vector_count++] =
        (struct iovec){(void *)(uintptr_t)bytes.at, bytes.len};
}

/* Room for a chunk's three pieces and the body's end. */
static bool make_room(struct exchange *exchange)
{
    return (exchange->vector_count + 6 <= EXCHANGE_VECTORS &&
            exchange->size_line_count < EXCHANGE_SIZE_LINES) ||
           pass_on(exchange);
}

void exchange_on_interim(void *owner, const struct http_head *head)
{
    struct exchange *exchange = owner;

    if (exchange_watch_interim(exchange, head))
        return;
    if (exchange->conn == NULL || exchange->head.minor == 0)
        return;
    if (exchange_must_withhold(exchange)) { /* not a byte before the result is durable */
        if (exchange->response_head.len <
            (size_t)exchange->snapshot->config->limits.header_bytes)
            (void)forward_response_head(head, FORWARD_NONE, FORWARD_KEEP, SPAN(""),
                                        &exchange->response_head);
        return; /* what is more than any client waits for is not kept */
    }
    text_clear(&exchange->response_head);
    if (forward_response_head(head, FORWARD_NONE, FORWARD_KEEP, SPAN(""),
                              &exchange->response_head)) {
        gather(exchange,
               span_make(exchange->response_head.bytes, exchange->response_head.len));
        if (!flush(exchange))
            return;
    }
    if (exchange->request_state == REQUEST_SENDING && exchange->conn != NULL)
        conn_want_body(exchange->conn, upstream_call_is_drained(exchange->call));
}

static enum forward_body choose_body(const struct exchange *exchange,
                                     enum http_framing framing)
{
    switch (framing) {
    case HTTP_FRAMING_NONE:
        return FORWARD_NONE;
    case HTTP_FRAMING_LENGTH:
        return FORWARD_LENGTH;
    case HTTP_FRAMING_CHUNKED:
    case HTTP_FRAMING_UNTIL_CLOSE:
        break;
    }
    return exchange->head.minor == 0 ? FORWARD_UNTIL_CLOSE : FORWARD_CHUNKED;
}

/* Upstream refused our key: the client must not take that for its own token's refusal. */
static void refuse_key(struct exchange *exchange)
{
    if (exchange->recording != NULL)
        recording_finish(exchange->recording, recording_end_of(401));
    exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
    exchange_reply_error(exchange, REASON_KEY_REFUSED, NULL);
}

/* Once, and only what can be sent again whole. Nothing of it was done: it was refused. */
static bool may_use_other_key(const struct exchange *exchange)
{
    bool is_held = exchange->recording != NULL && exchange->recording->holds_body;

    return !exchange->has_other_key && (!exchange->request.has_body || is_held);
}

static void try_other_key(struct exchange *exchange)
{
    upstream_call_cancel(exchange->call);
    exchange->call = NULL;
    exchange->request_state = REQUEST_CONNECTING;
    if (!may_use_other_key(exchange)) {
        renewal_look(exchange->station, false); /* for those who come after */
        refuse_key(exchange);
    } else if (!renewal_await(exchange)) {
        refuse_key(exchange);
    }
}

void exchange_on_key(struct exchange *exchange, bool is_renewed)
{
    exchange->has_other_key = true;
    if (!is_renewed) {
        refuse_key(exchange);
        return;
    }
    text_clear(&exchange->response_head); /* interim answers of the refused attempt */
    if (exchange->caching.role == CACHING_FETCH)
        caching_note_generations(exchange); /* this fetch begins only now */
    exchange_call_upstream(exchange);
}

static void begin_tunnel(struct exchange *exchange)
{
    exchange->response_state = RESPONSE_RELAYING;
    exchange->keep_alive = false;
    if (exchange->conn == NULL || !flush(exchange))
        return;
    conn_begin_tunnel(exchange->conn);
}

/* Where the operation has a cache rule, with what the cache has to say. */
static bool write_response_head(struct exchange *exchange, const struct http_head *head,
                                enum forward_connection connection)
{
    struct text lines = {0};
    bool is_written;

    if (exchange->caching.role != CACHING_OFF && !forward_has_age(head))
        text_add(&lines, SPAN("Age: 0\r\n"));
    caching_add_lines(exchange, NULL, &lines);
    is_written =
        !lines.failed && forward_response_head(head, exchange->response_body, connection,
                                               span_make(lines.bytes, lines.len),
                                               &exchange->response_head);
    text_fini(&lines);
    return is_written;
}

void exchange_on_head(void *owner, const struct http_head *head,
                      enum http_framing framing, uint64_t length)
{
    struct exchange *exchange = owner;
    enum forward_connection connection;

    stopwatch_stop(&exchange->upstream_wait, clock_monotonic_us());
    change_end(exchange, true);
    change_note_answer(exchange, head);
    health_note_answer(exchange->station->shared->health, exchange->credential,
                       exchange->key_slot, head->status, clock_wall_ms());
    if (head->status == 401) {
        try_other_key(exchange);
        return;
    }
    if (exchange->recording != NULL) {
        recording_drop_body(exchange->recording);
        recording_finish(exchange->recording, recording_end_of(head->status));
    }
    if (exchange_watch_head(exchange, head))
        return;
    if (fetch_on_head(exchange, head, length,
                      framing == HTTP_FRAMING_LENGTH || framing == HTTP_FRAMING_NONE))
        return;
    exchange->status = head->status;
    exchange->response_body = choose_body(exchange, framing);
    if (exchange->response_body == FORWARD_UNTIL_CLOSE || !exchange->body.is_done ||
        exchange->station->is_draining)
        exchange->keep_alive = false;
    connection =
        head->status == 101 ? FORWARD_SAY_UPGRADE : exchange_connection(exchange);
    if (!exchange_must_withhold(exchange))
        text_clear(&exchange->response_head);
    if (!write_response_head(exchange, head, connection)) {
        exchange_refuse(exchange, REASON_NO_MEMORY, NULL);
        return;
    }
    if (exchange_must_withhold(exchange)) {
        exchange->response_state = RESPONSE_WITHHELD;
        return;
    }
    gather(exchange,
           span_make(exchange->response_head.bytes, exchange->response_head.len));
    exchange->response_state = RESPONSE_RELAYING;
    if (head->status == 101)
        begin_tunnel(exchange);
}

static void gather_chunk(struct exchange *exchange, struct span content)
{
    char *line = exchange->size_lines[exchange->size_line_count++];
    int len = snprintf(line, EXCHANGE_SIZE_LINE_BYTES, "%zx\r\n", content.len);

    gather(exchange, span_make(line, (size_t)len));
    gather(exchange, content);
    gather(exchange, SPAN("\r\n"));
}

/* What comes while the answer is withheld waits here; little of it, and upstream then. */
static void withhold(struct exchange *exchange, struct span content)
{
    struct text *withheld = &exchange->withheld.body;

    text_add(withheld, content);
    if (withheld->len > MOST_WITHHELD_BYTES)
        upstream_call_pause(exchange->call);
}

void exchange_on_content(void *owner, struct span content)
{
    struct exchange *exchange = owner;

    if (exchange_watch_content(exchange, content))
        return;
    if (exchange->response_state == RESPONSE_WITHHELD) {
        if (exchange->conn != NULL) /* else nobody gets it */
            withhold(exchange, content);
        return;
    }
    if (exchange->caching.is_collecting && fetch_on_content(exchange, content))
        return;
    exchange->response_body_bytes += content.len;
    if (exchange->conn == NULL || !make_room(exchange))
        return;
    if (exchange->response_body == FORWARD_CHUNKED)
        gather_chunk(exchange, content);
    else
        gather(exchange, content);
}

void exchange_on_flush(void *owner)
{
    struct exchange *exchange = owner;

    if (exchange->response_state == RESPONSE_WITHHELD || !flush(exchange) ||
        exchange->conn == NULL)
        return;
    if (exchange->conn->state == CONN_TUNNEL)
        conn_note_tunnel_traffic(exchange->conn);
    /* Others may wait for what is collected: its own client must not hold them up. What
     * queues for that one is bounded by the largest answer that is collected at all. */
    if (!conn_is_drained(exchange->conn) && !exchange->caching.is_collecting)
        upstream_call_pause(exchange->call);
}

void exchange_on_client_drained(struct exchange *exchange)
{
    if (exchange->conn->state == CONN_TUNNEL)
        conn_note_tunnel_traffic(exchange->conn);
    if (exchange->call != NULL && exchange->response_state != RESPONSE_WITHHELD)
        upstream_call_resume(exchange->call);
}

static void keep_trailers(struct exchange *exchange, const struct http_head *trailers)
{
    text_clear(&exchange->trailers);
    if (trailers != NULL) /* failure shows in the text, when the answer ends */
        (void)forward_trailers(trailers, NULL, &exchange->trailers);
}

static void gather_end(struct exchange *exchange)
{
    if (exchange->response_body != FORWARD_CHUNKED)
        return;
    gather(exchange, SPAN("0\r\n"));
    if (exchange->trailers.len > 0)
        gather(exchange, span_make(exchange->trailers.bytes, exchange->trailers.len));
    gather(exchange, SPAN("\r\n"));
}

/* The answer broke off behind its head: what came of it goes out, and no more. */
static void fail_midway(struct exchange *exchange, enum reason reason)
{
    exchange->error = reason_row(reason)->proxy_error;
    if (flush(exchange))
        exchange_cut_short(exchange);
}

static void end_answer(struct exchange *exchange)
{
    if (exchange->trailers.failed && exchange->response_body == FORWARD_CHUNKED) {
        fail_midway(exchange, REASON_NO_MEMORY);
        return;
    }
    exchange->response_state = RESPONSE_DONE;
    rate_slot_release(&exchange->slot); /* before the client can ask again */
    if (!exchange->body.is_done)
        exchange->keep_alive = false;
    if (exchange->conn != NULL)
        gather_end(exchange);
    if (flush(exchange))
        exchange_end(exchange);
}

void exchange_on_end(void *owner, const struct http_head *trailers)
{
    struct exchange *exchange = owner;

    exchange->call = NULL;
    if (exchange->caching.is_collecting) {
        fetch_on_end(exchange);
        return;
    }
    if (exchange_watch_trailers(exchange, trailers))
        return;
    keep_trailers(exchange, trailers);
    if (exchange->response_state == RESPONSE_WITHHELD) {
        exchange->withheld.has_ended = true;
        exchange_stop_body(exchange);
    } else {
        end_answer(exchange);
    }
}

void exchange_end_stream(struct exchange *exchange)
{
    keep_trailers(exchange, NULL);
    end_answer(exchange);
}

void exchange_release_answer(struct exchange *exchange)
{
    const struct withheld *withheld = &exchange->withheld;
    struct span body = span_make(withheld->body.bytes, withheld->body.len);

    exchange->response_state = RESPONSE_RELAYING;
    gather(exchange,
           span_make(exchange->response_head.bytes, exchange->response_head.len));
    exchange->response_body_bytes = body.len;
    if (body.len > 0 && exchange->response_body == FORWARD_CHUNKED)
        gather_chunk(exchange, body);
    else if (body.len > 0)
        gather(exchange, body);
    if (withheld->body.failed || withheld->has_failed)
        fail_midway(exchange,
                    withheld->has_failed ? withheld->failure : REASON_NO_MEMORY);
    else if (withheld->has_ended)
        end_answer(exchange);
    else if (flush(exchange) && exchange->call != NULL)
        upstream_call_resume(exchange->call);
}

void exchange_start_stream(struct exchange *exchange, struct span head, struct span body,
                           bool is_length_known, uint16_t status)
{
    struct text *out = &exchange->response_head;
    bool is_whole = !exchange->caching.head.failed && !exchange->caching.body.failed;

    exchange->status = status;
    exchange->response_body = choose_body(
        exchange, is_length_known ? HTTP_FRAMING_LENGTH : HTTP_FRAMING_CHUNKED);
    if (exchange->response_body == FORWARD_UNTIL_CLOSE || exchange->station->is_draining)
        exchange->keep_alive = false;
    exchange->response_state = RESPONSE_RELAYING;
    text_clear(out);
    text_add(out, head);
    if (exchange->response_body == FORWARD_CHUNKED)
        text_add(out, SPAN("Transfer-Encoding: chunked\r\n"));
    text_add_format(out, "Age: %lld\r\n",
                    (long long)(exchange->caching.policy.initial_age_ms / 1000));
    caching_add_lines(exchange, NULL, out);
    text_add(out, forward_connection_line(exchange_connection(exchange)));
    if (out->failed || !is_whole) {
        exchange->caching.is_collecting = false;
        exchange_refuse(exchange, REASON_NO_MEMORY, NULL);
        return;
    }
    gather(exchange, span_make(out->bytes, out->len));
    exchange->response_body_bytes = body.len;
    if (body.len > 0 && exchange->response_body == FORWARD_CHUNKED)
        gather_chunk(exchange, body);
    else if (body.len > 0)
        gather(exchange, body);
    (void)pass_on(exchange);
}

void exchange_on_failed(void *owner, enum upstream_failure failure, const char *detail)
{
    struct exchange *exchange = owner;
    enum reason reason = reason_of_failure(failure);

    exchange->call = NULL;
    stopwatch_stop(&exchange->upstream_wait, clock_monotonic_us());
    change_end(exchange, false);
    health_note_failure(exchange->station->shared->health, detail, clock_wall_ms());
    exchange_note_failure(exchange, reason);
    if (fetch_on_failed(exchange, (int)reason))
        return;
    if (exchange->response_state == RESPONSE_RELAYING) {
        fail_midway(exchange, reason);
        return;
    }
    if (exchange->response_state == RESPONSE_WITHHELD) {
        exchange->withheld.has_failed = true;
        exchange->withheld.failure = reason;
        exchange_stop_body(exchange);
        return;
    }
    exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
    exchange_reply_error(exchange, reason, detail);
}
