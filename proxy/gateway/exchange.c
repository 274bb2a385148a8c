#include "gateway/exchange.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gateway/access_log.h"
#include "gateway/reply.h"

enum { MOST_SPARES = 256 };

static const struct upstream_call_events call_events;

/* Memory: exchanges are kept for reuse, with what they have allocated */

static struct exchange *take_spare(struct station *station)
{
    struct exchange *exchange = station->spare_exchanges;

    if (exchange == NULL)
        return calloc(1, sizeof(*exchange));
    station->spare_exchanges = exchange->next_spare;
    station->spare_exchange_count--;
    return exchange;
}

static void destroy(struct exchange *exchange)
{
    http_head_fini(&exchange->head);
    text_fini(&exchange->request_head);
    text_fini(&exchange->response_head);
    text_fini(&exchange->trailers);
    text_fini(&exchange->caching.key);
    free(exchange);
}

/* Empties it but for its allocations; the texts hold nothing of worth to anyone. */
static void reset(struct exchange *exchange)
{
    struct http_head head = exchange->head;
    struct text request_head = exchange->request_head;
    struct text response_head = exchange->response_head;
    struct text trailers = exchange->trailers;
    struct text key = exchange->caching.key;

    *exchange = (struct exchange){.head = head,
                                  .request_head = request_head,
                                  .response_head = response_head,
                                  .trailers = trailers,
                                  .caching = {.key = key}};
    text_clear(&exchange->caching.key);
    text_clear(&exchange->request_head);
    text_clear(&exchange->response_head);
    text_clear(&exchange->trailers);
}

void exchange_free(struct exchange *exchange)
{
    struct station *station = exchange->station;

    upstream_call_cancel(exchange->call);
    change_end(exchange, false);
    caching_fini(exchange);
    http_body_fini(&exchange->body);
    snapshot_unref(exchange->snapshot);
    free(exchange->kept_input);
    if (station->spare_exchange_count >= MOST_SPARES) {
        destroy(exchange);
        return;
    }
    reset(exchange);
    exchange->next_spare = station->spare_exchanges;
    station->spare_exchanges = exchange;
    station->spare_exchange_count++;
}

void exchange_free_spares(struct station *station)
{
    while (station->spare_exchanges != NULL) {
        struct exchange *exchange = station->spare_exchanges;

        station->spare_exchanges = exchange->next_spare;
        destroy(exchange);
    }
    station->spare_exchange_count = 0;
}

/* A spare one may have room for another number of fields. */
static bool prepare_head(struct exchange *exchange, uint16_t max_fields)
{
    if (exchange->head.max_fields != max_fields) {
        http_head_fini(&exchange->head);
        if (!http_head_init(&exchange->head, max_fields))
            return false;
    }
    http_head_reset(&exchange->head, HTTP_REQUEST);
    return true;
}

struct exchange *exchange_new(struct conn *conn)
{
    struct exchange *exchange = take_spare(conn->station);
    const struct snapshot *snapshot = conn->station->snapshot;

    if (exchange == NULL)
        return NULL;
    if (!prepare_head(exchange, (uint16_t)snapshot->config->limits.headers)) {
        destroy(exchange);
        return NULL;
    }
    exchange->station = conn->station;
    exchange->conn = conn;
    exchange->snapshot = snapshot_ref(conn->station->snapshot);
    exchange->started_us = clock_monotonic_us();
    return exchange;
}

/* The end */

/* A flight's letter is under way to an exchange that is done: its memory waits for it. */
static void await_last_letter(struct exchange *exchange)
{
    upstream_call_cancel(exchange->call);
    exchange->call = NULL;
    exchange->conn = NULL;
    exchange->is_logged = true;
    if (exchange->orphan_link == NULL)
        station_add_orphan(exchange->station, exchange);
}

/* The one end of an exchange: logged, freed, and its connection told. */
static void end_exchange(struct exchange *exchange)
{
    struct conn *conn = exchange->conn;
    bool keep_alive = exchange->keep_alive;

    if (!exchange->is_logged)
        access_log_write(exchange);
    if (conn != NULL)
        conn->exchange = NULL;
    if (exchange->caching.awaits_letter) {
        await_last_letter(exchange);
    } else {
        station_remove_orphan(exchange->station, exchange);
        exchange_free(exchange);
    }
    if (conn != NULL)
        conn_end_exchange(conn, keep_alive);

}

/* The answer cannot be finished: what the client has must not look complete. */
static void cut_short(struct exchange *exchange)
{
    exchange->keep_alive = false;
    exchange->response_state = RESPONSE_DONE;
    if (exchange->conn != NULL && exchange->response_body == FORWARD_UNTIL_CLOSE)
        exchange->conn->is_cut = true;
    end_exchange(exchange);
}

/* Answers of our own */

static enum forward_connection connection_of(const struct exchange *exchange)
{
    if (!exchange->keep_alive)
        return FORWARD_SAY_CLOSE;
    return exchange->head.minor == 0 ? FORWARD_SAY_KEEP_ALIVE : FORWARD_KEEP;
}

static struct reply_options reply_options(const struct exchange *exchange)
{
    return (struct reply_options){
        .is_head_method = span_equal(exchange->head.method, SPAN("HEAD")),
        .connection = connection_of(exchange),
        .now_wall_ms = clock_wall_ms(),
    };
}

void exchange_send_whole(struct exchange *exchange, const struct iovec *vectors, int count,
                         bool is_made)
{
    exchange->response_state = RESPONSE_DONE;
    if (!is_made)
        exchange->keep_alive = false;
    if (exchange->conn != NULL && is_made && !conn_write(exchange->conn, vectors, count))
        return; /* the connection closed, and took the exchange along */
    end_exchange(exchange);
}

/* Sends the whole answer that lies in response_head, and ends. */
static void finish_reply(struct exchange *exchange, bool is_made)
{
    const struct iovec whole = {exchange->response_head.bytes,
                                exchange->response_head.len};

    exchange_send_whole(exchange, &whole, 1, is_made);
}

static void reply_with_error(struct exchange *exchange, enum reason reason,
                             const char *detail)
{
    struct reply_options options = reply_options(exchange);
    struct text lines = {0};
    bool is_made;

    caching_add_lines(exchange, NULL, &lines);
    options.fields = lines.bytes;
    exchange->status = reason_row(reason)->status;
    exchange->error = reason_row(reason)->proxy_error;
    text_clear(&exchange->response_head);
    is_made = reply_error(&options, reason, detail, &exchange->response_head);
    text_fini(&lines);
    finish_reply(exchange, is_made);
}

void exchange_answer_error(struct exchange *exchange, enum reason reason,
                           const char *detail)
{
    exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
    reply_with_error(exchange, reason, detail);
}

void exchange_refuse(struct exchange *exchange, enum reason reason, const char *detail)
{
    upstream_call_cancel(exchange->call);
    exchange->call = NULL;
    exchange->keep_alive = false;
    if (exchange->response_state == RESPONSE_WAITING)
        reply_with_error(exchange, reason, detail);
    else
        cut_short(exchange);
}

static void reply_own(struct exchange *exchange)
{
    const struct admission *admission = &exchange->admission;
    struct reply_options options = reply_options(exchange);
    bool is_ready = !exchange->station->is_draining;

    exchange->status = 200;
    if (!admission->needs_no_client)
        finish_reply(exchange, reply_whoami(&options, admission->client,
                                            &exchange->response_head));
    else
        finish_reply(exchange,
                     reply_health(&options,
                                  is_ready || span_equal_nocase(admission->own_name,
                                                                SPAN("healthz")),
                                  &exchange->status, &exchange->response_head));
}

/* Request: the half that goes to upstream */

bool exchange_has_body(const struct exchange *exchange)
{
    return exchange->body.is_done;
}

static bool wants_keep_alive(const struct exchange *exchange)
{
    const struct http_head *head = &exchange->head;

    if (exchange->station->is_draining || head->wants_close)
        return false;
    return head->minor > 0 || head->wants_keep_alive;
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

/* The head for upstream: the client's, or in a cache rule's fixed mode the gateway's own. */
static bool write_request_head(struct exchange *exchange, size_t *key_at)
{
    struct forward_options options = {
        .authority = exchange->snapshot->config->upstream.authority,
        .is_upgrade = exchange->is_upgrade,
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
    bool is_plain = operation == NULL || (operation->cache == NULL && !operation->is_audited);
    bool has_body = !exchange->body.is_done;
    size_t key_at = 0;

    exchange->is_upgrade = is_plain && forward_is_websocket(head, admission->framing);
    if (!write_request_head(exchange, &key_at))
        return false;
    exchange->request = (struct upstream_request){
        .head_before = span_make(exchange->request_head.bytes, key_at),
        .api_key = secret_span(credential->api_key),
        .head_after = span_make(exchange->request_head.bytes + key_at,
                                exchange->request_head.len - key_at),
        .is_head_method = exchange->caching.role != CACHING_FETCH &&
                          span_equal(head->method, SPAN("HEAD")),
        .has_body = has_body,
        .expects_continue = has_body && head->minor > 0 &&
                            http_head_find(head, HTTP_FIELD_EXPECT, NULL) != NULL,
        .is_chunked = admission->framing == HTTP_FRAMING_CHUNKED,
        .may_repeat = !exchange->is_mutating && !has_body,
        .is_upgrade = exchange->is_upgrade,
    };
    return true;
}

void exchange_call_upstream(struct exchange *exchange)
{
    struct upstream_pool *pool = station_pool(exchange->station, exchange->snapshot);

    if (pool != NULL && prepare_request(exchange))
        exchange->call =
            upstream_call_new(pool, &exchange->request, &call_events, exchange);
    if (exchange->call == NULL) {
        exchange_refuse(exchange, REASON_NO_MEMORY, NULL);
        return;
    }
    exchange->request_state = REQUEST_CONNECTING;
    if (exchange->request.has_body)
        conn_want_body(exchange->conn, false); /* until there is where to send it */
    upstream_call_start(exchange->call);
}

/* The head may have begun before a reload: what holds now decides. */
static void use_present_snapshot(struct exchange *exchange)
{
    struct snapshot *present = exchange->station->snapshot;

    if (exchange->snapshot == present)
        return;
    snapshot_unref(exchange->snapshot);
    exchange->snapshot = snapshot_ref(present);
}

void exchange_begin(struct exchange *exchange)
{
    const struct config_limits *limits;
    struct admission *admission = &exchange->admission;
    struct station *station = exchange->station;
    bool is_admitted;

    use_present_snapshot(exchange);
    limits = &exchange->snapshot->config->limits;
    is_admitted =
        admission_judge(admission, &exchange->head, exchange->snapshot, station->hasher,
                        clock_wall_ms(), station->path_scratch);

    http_body_init(&exchange->body, admission->framing, admission->length,
                   (uint32_t)limits->header_bytes, (uint16_t)limits->headers);
    exchange->keep_alive = wants_keep_alive(exchange);
    if (!is_admitted) {
        /* Only what is sound and without a body can be followed by another request. */
        exchange->keep_alive = exchange->keep_alive && exchange->body.is_done &&
                               reason_row(admission->reason)->status != 400 &&
                               reason_row(admission->reason)->status < 500;
        if (admission->reason == REASON_METHOD_REFUSED)
            exchange->keep_alive = false;
        reply_with_error(exchange, admission->reason, admission->detail);
    } else if (admission->is_own) {
        exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
        reply_own(exchange);
    } else {
        exchange->is_mutating = operation_method_is_mutating(exchange->head.method);
        if (admission->operation != NULL && admission->operation->cache != NULL &&
            !exchange->is_mutating)
            caching_begin(exchange);
        else
            exchange_call_upstream(exchange);
    }
}

static void on_sending(void *owner)
{
    struct exchange *exchange = owner;

    exchange->request_state =
        exchange->request.has_body ? REQUEST_SENDING : REQUEST_SENT;
    exchange->sent_us = clock_monotonic_us();
    change_begin(exchange);
    if (!exchange->request.has_body || exchange->conn == NULL)
        return;
    conn_want_body(exchange->conn, true);
    if (exchange->request.expects_continue && exchange->request_body_bytes == 0 &&
        exchange->conn != NULL)
        conn_await_continue(exchange->conn);
}

static void finish_request(struct exchange *exchange)
{
    const struct http_head *trailers = &exchange->body.trailers;

    text_clear(&exchange->trailers);
    if (trailers->field_count > 0)
        (void)forward_trailers(trailers, &exchange->head, &exchange->trailers);
    exchange->request_state = REQUEST_SENT;
    upstream_call_finish(exchange->call, span_make(exchange->trailers.bytes,
                                                   exchange->trailers.len));
    conn_want_body(exchange->conn, false);
}

void exchange_take_body(struct exchange *exchange, struct span *input)
{
    struct span content;

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

static void on_upstream_drained(void *owner)
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
        exchange_refuse(exchange, REASON_MALFORMED, http_fault_text(HTTP_FAULT_CUT_SHORT));
}

/*
 * A change that was sent whole may have its effect: its answer is waited for. And others
 * may wait for what was fetched.
 */
static bool outlives_client(struct exchange *exchange)
{
    bool is_needed = caching_client_left(exchange);

    if (exchange->caching.awaits_letter)
        return true;
    if (exchange->response_state == RESPONSE_DONE)
        return false;
    return is_needed || (exchange->is_mutating && exchange->call != NULL &&
                         exchange->request_state == REQUEST_SENT);
}

void exchange_on_client_left(struct exchange *exchange)
{
    if (!outlives_client(exchange)) {
        exchange->conn->exchange = NULL;
        if (exchange->status == 0)
            exchange->error = "client left";
        access_log_write(exchange);
        exchange_free(exchange);
        return;
    }
    exchange->kept_input = conn_take_input(exchange->conn);
    exchange->conn = NULL;
    if (exchange->call != NULL)
        upstream_call_resume(exchange->call);
    station_add_orphan(exchange->station, exchange);
}

void exchange_end_orphan(struct exchange *exchange)
{
    end_exchange(exchange);
}

void exchange_give_up(struct exchange *exchange)
{
    exchange->error = "shutting down";
    if (caching_client_left(exchange) && exchange->caching.awaits_letter) {
        station_remove_orphan(exchange->station, exchange); /* its letter ends it */
        return;
    }
    end_exchange(exchange);
}

/* A request of our own for what the source asked for: its head, read again from a copy. */
static struct exchange *copy_for_fetch(const struct exchange *source)
{
    struct exchange *fetch = take_spare(source->station);
    struct station *station = source->station;

    if (fetch == NULL)
        return NULL;
    fetch->station = station;
    fetch->snapshot = snapshot_ref(source->snapshot);
    fetch->started_us = clock_monotonic_us();
    fetch->body.is_done = true;
    fetch->kept_input = malloc(source->head.len);
    if (fetch->kept_input == NULL || !prepare_head(fetch, source->head.max_fields)) {
        exchange_free(fetch);
        return NULL;
    }
    memcpy(fetch->kept_input, source->head.bytes, source->head.len);
    if (http_head_parse(&fetch->head, fetch->kept_input, source->head.len,
                        source->head.len + 1) != HTTP_PARSE_DONE ||
        !admission_judge(&fetch->admission, &fetch->head, fetch->snapshot, station->hasher,
                         clock_wall_ms(), station->path_scratch)) {
        exchange_free(fetch);
        return NULL;
    }
    return fetch;
}

void exchange_fetch_behind(struct exchange *source, struct flight *flight)
{
    struct exchange *fetch = copy_for_fetch(source);
    const struct caching *model = &source->caching;
    struct caching *caching;

    if (fetch == NULL) {
        flights_land(source->station->shared->cache->flights, flight, FLIGHT_UNSHARED, NULL,
                     0);
        return;
    }
    caching = &fetch->caching;
    caching->role = CACHING_FETCH;
    caching->rule = model->rule;
    caching->scope = model->scope;
    caching->credential_scope = model->credential_scope;
    caching->flight = flight;
    caching->forward_reason = "stale";
    caching->stored = model->stored != NULL ? cache_entry_ref(model->stored) : NULL;
    cache_directives_clear(&caching->asked);
    text_add(&caching->key, span_make(model->key.bytes, model->key.len));
    caching_note_generations(fetch);
    station_add_orphan(fetch->station, fetch);
    exchange_call_upstream(fetch);
}

/* Response: the half that comes back */

/* Sends what was gathered. False: the connection closed, and the caller must return. */
static bool flush(struct exchange *exchange)
{
    int count = exchange->vector_count;

    exchange->vector_count = 0;
    exchange->size_line_count = 0;
    if (exchange->conn == NULL || count == 0)
        return true;
    return conn_write(exchange->conn, exchange->vectors, count);
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
           flush(exchange);
}

static void on_interim(void *owner, const struct http_head *head)
{
    struct exchange *exchange = owner;

    if (exchange->conn == NULL || exchange->head.minor == 0)
        return;
    text_clear(&exchange->response_head);
    if (forward_response_head(head, FORWARD_NONE, FORWARD_KEEP, SPAN(""),
                              &exchange->response_head)) {
        gather(exchange, span_make(exchange->response_head.bytes,
                                   exchange->response_head.len));
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
    upstream_call_cancel(exchange->call);
    exchange->call = NULL;
    exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
    reply_with_error(exchange, REASON_KEY_REFUSED, NULL);
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

static void on_head(void *owner, const struct http_head *head, enum http_framing framing,
                    uint64_t length)
{
    struct exchange *exchange = owner;
    enum forward_connection connection;

    change_end(exchange, true);
    change_note_answer(exchange, head);
    if (head->status == 401) {
        refuse_key(exchange);
        return;
    }
    if (fetch_on_head(exchange, head, length, framing == HTTP_FRAMING_LENGTH ||
                                                  framing == HTTP_FRAMING_NONE))
        return;
    exchange->status = head->status;
    exchange->response_body = choose_body(exchange, framing);
    if (exchange->response_body == FORWARD_UNTIL_CLOSE || !exchange->body.is_done ||
        exchange->station->is_draining)
        exchange->keep_alive = false;
    connection =
        head->status == 101 ? FORWARD_SAY_UPGRADE : connection_of(exchange);
    text_clear(&exchange->response_head);
    if (!write_response_head(exchange, head, connection)) {
        exchange_refuse(exchange, REASON_NO_MEMORY, NULL);
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

static void on_content(void *owner, struct span content)
{
    struct exchange *exchange = owner;

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

static void on_flush(void *owner)
{
    struct exchange *exchange = owner;

    if (!flush(exchange) || exchange->conn == NULL)
        return;
    if (exchange->conn->state == CONN_TUNNEL)
        conn_note_tunnel_traffic(exchange->conn);
    if (!conn_is_drained(exchange->conn))
        upstream_call_pause(exchange->call);
}

void exchange_on_client_drained(struct exchange *exchange)
{
    if (exchange->conn->state == CONN_TUNNEL)
        conn_note_tunnel_traffic(exchange->conn);
    if (exchange->call != NULL)
        upstream_call_resume(exchange->call);
}

static void gather_end(struct exchange *exchange, const struct http_head *trailers)
{
    if (exchange->response_body != FORWARD_CHUNKED)
        return;
    text_clear(&exchange->trailers);
    if (trailers != NULL)
        (void)forward_trailers(trailers, NULL, &exchange->trailers);
    gather(exchange, SPAN("0\r\n"));
    if (exchange->trailers.len > 0)
        gather(exchange, span_make(exchange->trailers.bytes, exchange->trailers.len));
    gather(exchange, SPAN("\r\n"));
}

static void end_answer(struct exchange *exchange, const struct http_head *trailers)
{
    exchange->response_state = RESPONSE_DONE;
    if (!exchange->body.is_done)
        exchange->keep_alive = false;
    if (exchange->conn != NULL)
        gather_end(exchange, trailers);
    if (flush(exchange))
        end_exchange(exchange);
}

static void on_end(void *owner, const struct http_head *trailers)
{
    struct exchange *exchange = owner;

    exchange->call = NULL;
    if (exchange->caching.is_collecting) {
        fetch_on_end(exchange);
        return;
    }
    end_answer(exchange, trailers);
}

void exchange_end_stream(struct exchange *exchange)
{
    end_answer(exchange, NULL);
}

void exchange_start_stream(struct exchange *exchange, struct span head, struct span body,
                           bool is_length_known, uint16_t status)
{
    struct text *out = &exchange->response_head;

    exchange->status = status;
    exchange->response_body =
        choose_body(exchange, is_length_known ? HTTP_FRAMING_LENGTH : HTTP_FRAMING_CHUNKED);
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
    text_add(out, forward_connection_line(connection_of(exchange)));
    if (out->failed) {
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
    (void)flush(exchange);
}

static void on_failed(void *owner, enum upstream_failure failure, const char *detail)
{
    struct exchange *exchange = owner;

    exchange->call = NULL;
    change_end(exchange, false);
    if (fetch_on_failed(exchange, (int)reason_of_failure(failure)))
        return;
    if (exchange->response_state == RESPONSE_RELAYING) {
        exchange->error = reason_row(reason_of_failure(failure))->proxy_error;
        if (flush(exchange))
            cut_short(exchange);
        return;
    }
    exchange->keep_alive = exchange->keep_alive && exchange->body.is_done;
    reply_with_error(exchange, reason_of_failure(failure), detail);
}

static const struct upstream_call_events call_events = {
    on_sending, on_upstream_drained, on_interim, on_head,
    on_content, on_flush,            on_end,     on_failed,
};
