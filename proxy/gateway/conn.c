#include "gateway/conn.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "gateway/conn_internal.h"
#include "gateway/exchange.h"
#include "net/tls.h"

enum {
    LINGER_MS = 2000,
    DRAIN_GRACE_MS = 250, /* a request may be on its way into an idle connection */
};

static const char *const state_names[] = {"preface", "idle",   "head",  "exchange",
                                          "tunnel",  "linger", "closed"};

/* Which states may follow, as bits. */
#define TO(state) (1u << (state))
static const unsigned successors[] = {
    [CONN_PREFACE] = TO(CONN_IDLE) | TO(CONN_CLOSED),
    [CONN_IDLE] = TO(CONN_HEAD) | TO(CONN_LINGER) | TO(CONN_CLOSED),
    [CONN_HEAD] = TO(CONN_EXCHANGE) | TO(CONN_LINGER) | TO(CONN_CLOSED),
    [CONN_EXCHANGE] = TO(CONN_IDLE) | TO(CONN_TUNNEL) | TO(CONN_LINGER) | TO(CONN_CLOSED),
    [CONN_TUNNEL] = TO(CONN_LINGER) | TO(CONN_CLOSED),
    [CONN_LINGER] = TO(CONN_CLOSED),
    [CONN_CLOSED] = 0,
};

static const struct {
    const char *text;
    bool is_error;
} close_reasons[] = {
    [CONN_CLOSE_DONE] = {"done", false},
    [CONN_CLOSE_PREFACE] = {"its beginning is no PROXY header", true},
    [CONN_CLOSE_CLIENT_LEFT] = {"client left", false},
    [CONN_CLOSE_IDLE] = {"idle too long", false},
    [CONN_CLOSE_SLOW_CLIENT] = {"client takes bytes too slowly", true},
    [CONN_CLOSE_ANSWER_CUT] = {"answer cut short", true},
    [CONN_CLOSE_DRAINED] = {"shutting down", false},
    [CONN_CLOSE_NO_MEMORY] = {"out of memory", true},
};

static void advance(struct conn *conn);
static void linger(struct conn *conn);

static void set_state(struct conn *conn, enum conn_state state)
{
    assert((successors[conn->state] & TO(state)) != 0);
    conn->state = state;
}

/* The client's end of sending */

static void on_peer_end(struct conn *conn)
{
    conn->peer_has_ended = true;
    stream_want_read(&conn->stream, false);
    switch (conn->state) {
    case CONN_PREFACE: /* conn_preface.c sees it first */
        break;
    case CONN_IDLE:
        linger(conn); /* what is still queued must get there */
        break;
    case CONN_LINGER:
        if (stream_queued(&conn->stream) == 0)
            conn_close(conn, CONN_CLOSE_DONE);
        break;
    case CONN_HEAD:
        exchange_refuse(conn->exchange, REASON_MALFORMED,
                        http_fault_text(HTTP_FAULT_CUT_SHORT));
        break;
    case CONN_EXCHANGE:
    case CONN_TUNNEL:
        exchange_on_client_end(conn->exchange);
        break;
    case CONN_CLOSED:
        break;
    }
}

static void on_read_end(struct conn *conn, enum stream_status status)
{
    if (status == STREAM_END)
        on_peer_end(conn);
    else if (status == STREAM_FAILED)
        conn_close(conn, CONN_CLOSE_CLIENT_LEFT);
}

/* Reading */

/* Reads into the input, behind what is there. False when nothing came. */
static bool fill_input(struct conn *conn)
{
    enum stream_status status;
    size_t room, got;

    if (!conn_ensure_input(conn)) {
        conn_close(conn, CONN_CLOSE_NO_MEMORY);
        return false;
    }
    room = conn->input_bytes - conn->input_end;
    if (room == 0) {
        stream_want_read(&conn->stream, false); /* until the exchange ends */
        return false;
    }
    status = stream_read(&conn->stream, conn->input + conn->input_end, room, &got);
    if (status != STREAM_OK) {
        if (conn->input_end == 0)
            conn_drop_input(conn);
        on_read_end(conn, status);
        return false;
    }
    conn_grow_input(conn, got);
    return true;
}

/*
 * Gives the exchange what lies in the input. What it leaves is the next request's and
 * moves up to the head, which stays at the front: so the room behind it is free again.
 */
static void feed_from_input(struct conn *conn)
{
    size_t head_len = conn->exchange->head.len;
    struct span bytes =
        span_make(conn->input + conn->input_start, conn->input_end - conn->input_start);

    exchange_take_body(conn->exchange, &bytes);
    if (conn->input == NULL)
        return; /* the exchange has ended with a refusal */
    memmove(conn->input + head_len, bytes.at, bytes.len);
    conn->input_start = head_len;
    conn->input_end = head_len + bytes.len;
}

/*
 * Body bytes go by way of the worker's scratch, so that bodies cost no memory. A chunked
 * body's end is not known beforehand: no more is read than the input could keep.
 */
static void read_body(struct conn *conn)
{
    struct exchange *exchange = conn->exchange;
    char *scratch = conn->station->worker->scratch;
    size_t room = conn->input_bytes - conn->input_end;
    size_t most = WORKER_SCRATCH_BYTES;
    enum stream_status status;
    struct span bytes;
    size_t got;

    if (conn->state == CONN_EXCHANGE && exchange->body.framing == HTTP_FRAMING_LENGTH)
        most = exchange->body.left < most ? (size_t)exchange->body.left : most;
    else if (conn->state == CONN_EXCHANGE)
        most = room < most ? room : most;
    status = stream_read(&conn->stream, scratch, most, &got);
    if (status != STREAM_OK) {
        on_read_end(conn, status);
        return;
    }
    if (conn->state == CONN_EXCHANGE) {
        if (!conn_keeps_rate(conn)) {
            secret_cleanse(scratch, got);
            conn_on_too_slow(conn);
            return;
        }
        conn_expect_progress(conn, true);
    }
    bytes = span_make(scratch, got);
    exchange_take_body(exchange, &bytes);
    if (bytes.len > 0 && conn->input != NULL) {
        memcpy(conn->input + conn->input_end, bytes.at, bytes.len);
        conn_grow_input(conn, bytes.len);
    }
    secret_cleanse(scratch, got);
}

static void discard(struct conn *conn)
{
    char *scratch = conn->station->worker->scratch;
    size_t got = 0;
    enum stream_status status =
        stream_read(&conn->stream, scratch, WORKER_SCRATCH_BYTES, &got);

    secret_cleanse(scratch, got);
    on_read_end(conn, status);
}

/* The client's own bytes come now: its TLS, or its requests. */
static void end_preface(struct conn *conn)
{
    struct caller *caller = &conn->caller;

    set_state(conn, CONN_IDLE);
    caller->generation = caller->trust->generation; /* it may have changed meanwhile */
    if (caller->trust->tls != NULL &&
        !stream_start_tls(&conn->stream, caller->trust->tls)) {
        conn_close(conn, CONN_CLOSE_NO_MEMORY);
        return;
    }
    deadline_lift(&conn->deadline);
    deadline_set(&conn->deadline, conn_limits(conn)->header_timeout_ms);
    if (conn->station->is_draining)
        conn_drain(conn);
}

static void on_readable(void *owner)
{
    struct conn *conn = owner;

    switch (conn->state) {
    case CONN_PREFACE:
        if (conn_read_preface(conn))
            end_preface(conn);
        break;
    case CONN_IDLE:
    case CONN_HEAD:
        if (fill_input(conn))
            advance(conn);
        break;
    case CONN_EXCHANGE:
        if (exchange_has_body(conn->exchange))
            (void)fill_input(conn); /* pipelined */
        else
            read_body(conn);
        break;
    case CONN_TUNNEL:
        read_body(conn);
        break;
    case CONN_LINGER:
        discard(conn);
        break;
    case CONN_CLOSED:
        break;
    }
}

/* Requests, one after the other */

static bool begin_head(struct conn *conn)
{
    conn->exchange = exchange_new(conn);
    if (conn->exchange == NULL) {
        conn_close(conn, CONN_CLOSE_NO_MEMORY);
        return false;
    }
    set_state(conn, CONN_HEAD);
    deadline_set_at(&conn->deadline, conn->exchange->started_us / 1000,
                    conn_limits(conn)->header_timeout_ms);
    return true;
}

/* Parses on; true when a head is complete and its exchange has begun. */
static bool parse_head(struct conn *conn)
{
    struct http_head *head = &conn->exchange->head;

    switch (http_head_parse(head, conn->input + conn->input_start,
                            conn->input_end - conn->input_start, conn->most_head_bytes)) {
    case HTTP_PARSE_MORE:
        return false;
    case HTTP_PARSE_BAD:
        exchange_refuse(conn->exchange, reason_of_fault(head->fault),
                        http_fault_text(head->fault));
        return false;
    case HTTP_PARSE_DONE:
        break;
    }
    conn->input_start += head->len;
    set_state(conn, CONN_EXCHANGE);
    deadline_lift(&conn->deadline);
    exchange_begin(conn->exchange);
    return true;
}

/*
 * Between requests empty lines mean nothing (RFC 9112 2.2): they begin no request. False
 * when all that is there may be half of one.
 */
static bool skip_empty_lines(struct conn *conn)
{
    if (conn->state != CONN_IDLE || conn->input == NULL)
        return true;
    while (conn->input_end - conn->input_start >= 2 &&
           memcmp(conn->input + conn->input_start, "\r\n", 2) == 0)
        conn->input_start += 2;
    conn_compact_input(conn);
    return conn->input_end != 1 || conn->input[0] != '\r';
}

/* Takes requests off the input until one must wait. A loop, so that pipelining is none.
 */
static void advance(struct conn *conn)
{
    bool goes_on;

    if (conn->is_advancing)
        return;
    conn->is_advancing = true;
    goes_on = skip_empty_lines(conn);
    while (goes_on && conn->input_end > conn->input_start &&
           (conn->state == CONN_IDLE || conn->state == CONN_HEAD))
        goes_on = (conn->state == CONN_HEAD || begin_head(conn)) && parse_head(conn);
    conn->is_advancing = false;
    if (conn->peer_has_ended && (conn->state == CONN_IDLE || conn->state == CONN_HEAD))
        on_peer_end(conn);
}

/* How long an idle connection is kept; what is still queued has its own time limit. */
static void limit_idleness(struct conn *conn)
{
    deadline_lift(&conn->deadline);
    if (stream_queued(&conn->stream) > 0)
        conn_expect_progress(conn, true);
    else
        deadline_set(&conn->deadline, conn->station->is_draining
                                          ? DRAIN_GRACE_MS
                                          : conn_limits(conn)->keepalive_timeout_ms);
}

static void become_idle(struct conn *conn)
{
    set_state(conn, CONN_IDLE);
    conn->wants_body = false;
    conn_compact_input(conn);
    limit_idleness(conn);
    if (!conn->peer_has_ended)
        stream_want_read(&conn->stream, true);
    advance(conn);
}

/* Nothing follows. What the client still sends is read, or it might lose the answer. */
static void linger(struct conn *conn)
{
    bool is_queued = stream_queued(&conn->stream) > 0;

    set_state(conn, CONN_LINGER);
    conn_drop_input(conn);
    if (conn->is_cut && !is_queued) {
        conn_close(conn, CONN_CLOSE_ANSWER_CUT);
        return;
    }
    if (!conn->is_cut)
        stream_finish(&conn->stream);
    if (conn->peer_has_ended && !is_queued) {
        conn_close(conn, CONN_CLOSE_DONE);
        return;
    }
    deadline_lift(&conn->deadline);
    if (is_queued)
        conn_expect_progress(conn, true);
    else
        deadline_set(&conn->deadline, LINGER_MS);
    if (!conn->peer_has_ended)
        stream_want_read(&conn->stream, true);
}

void conn_end_exchange(struct conn *conn, bool keep_alive)
{
    conn->exchange = NULL;
    if (conn->state == CONN_CLOSED)
        return;
    if (keep_alive && !conn->is_cut)
        become_idle(conn);
    else
        linger(conn);
}

void conn_await_continue(struct conn *conn)
{
    conn_expect_progress(conn, stream_queued(&conn->stream) > 0);
}

void conn_begin_tunnel(struct conn *conn)
{
    set_state(conn, CONN_TUNNEL);
    conn_note_tunnel_traffic(conn);
    conn_want_body(conn, true);
}

void conn_want_body(struct conn *conn, bool wants)
{
    if (conn->state == CONN_TUNNEL) {
        stream_want_read(&conn->stream, wants && !conn->peer_has_ended);
    } else {
        conn->wants_body = wants;
        conn_expect_progress(conn, wants || stream_queued(&conn->stream) > 0);
        /* With the body complete reading goes on: pipelining, and the client's end. */
        stream_want_read(&conn->stream, (wants || exchange_has_body(conn->exchange)) &&
                                            !conn->peer_has_ended);
    }
    if (wants && conn->input_end > conn->input_start)
        feed_from_input(conn);
}

/* Writing */

bool conn_write(struct conn *conn, const struct iovec *vectors, int count)
{
    if (!stream_write(&conn->stream, vectors, count)) {
        conn_close(conn, CONN_CLOSE_CLIENT_LEFT);
        return false;
    }
    if (stream_queued(&conn->stream) > 0 && conn->state != CONN_TUNNEL)
        conn_expect_progress(conn, true);
    return true;
}

bool conn_is_drained(const struct conn *conn)
{
    return stream_queued(&conn->stream) < STREAM_HIGH_BYTES;
}

static void on_drained(void *owner)
{
    struct conn *conn = owner;

    if (conn->state == CONN_LINGER) {
        if (stream_queued(&conn->stream) > 0)
            return;
        if (conn->is_cut || conn->peer_has_ended)
            conn_close(conn, conn->is_cut ? CONN_CLOSE_ANSWER_CUT : CONN_CLOSE_DONE);
        else
            deadline_set(&conn->deadline, LINGER_MS);
        return;
    }
    if (conn->state == CONN_IDLE)
        limit_idleness(conn);
    if (conn->exchange == NULL)
        return;
    if (conn->state == CONN_EXCHANGE)
        conn_expect_progress(conn, stream_queued(&conn->stream) > 0 || conn->wants_body);
    exchange_on_client_drained(conn->exchange);
}

static void on_open(void *owner)
{
    struct conn *conn = owner;

    caller_take_certificate(&conn->caller, conn->stream.ssl);
}

/* Operators renew revocation lists; everything else about it is the client's. */
static void log_refused_certificate(const struct conn *conn)
{
    char why[256];

    stream_describe_fault(&conn->stream, why, sizeof(why));
    if (tls_is_about_crl(conn->stream.ssl))
        log_warn("client %s: its certificate was refused: %s (renew or complete "
                 "listen[].tls.client_crl and reload)",
                 conn->caller.text, why);
    else
        log_info("client %s: its certificate was refused: %s", conn->caller.text, why);
}

static void on_failed(void *owner)
{
    const struct conn *conn = owner;

    if (!conn->stream.is_open && conn->stream.fault == STREAM_TLS_CERTIFICATE)
        log_refused_certificate(conn);
    conn_close(owner, CONN_CLOSE_CLIENT_LEFT);
}

/* Beginning and end */

static const struct stream_events stream_events = {on_open, on_readable, on_drained,
                                                   on_failed};

void conn_accept(struct station *station, int fd, const struct sockaddr *peer,
                 struct trust *trust, const struct networks *proxies)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    bool has_preface = peer_is_among(peer, proxies);

    if (conn == NULL ||
        !stream_init_accepted(&conn->stream, station->worker, fd,
                              has_preface ? NULL : trust->tls, &stream_events, conn)) {
        if (conn == NULL)
            evutil_closesocket(fd);
        free(conn);
        log_warn("a connection was turned away: out of memory");
        return;
    }
    conn->state = has_preface ? CONN_PREFACE : CONN_IDLE;
    conn->station = station;
    conn->opened_ms = clock_monotonic_ms();
    caller_init(&conn->caller, trust, fd, peer);
    deadline_init(&conn->deadline, station->worker, conn_on_deadline, conn);
    deadline_set(&conn->deadline, conn_limits(conn)->header_timeout_ms);
    station_add_conn(station, conn);
    stream_want_read(&conn->stream, true);
    if (station->is_draining)
        conn_drain(conn);
}

static void free_conn(struct retired *retired)
{
    free((char *)retired - offsetof(struct conn, retired));
}

static void log_close(const struct conn *conn, enum conn_close_reason reason)
{
    if (!log_is_on(LOG_DEBUG))
        return;
    log_debug("client %s: closed in state %s: %s%s, %llu bytes in, %llu out, %lld ms",
              conn->caller.text, state_names[conn->state], close_reasons[reason].text,
              close_reasons[reason].is_error ? " (error)" : "",
              (unsigned long long)conn->stream.bytes_read,
              (unsigned long long)conn->stream.bytes_written,
              (long long)(clock_monotonic_ms() - conn->opened_ms));
}

/* Whether the client has a part of an answer that must not look like the whole. */
static bool is_in_mid_answer(const struct conn *conn)
{
    return conn->is_cut || stream_queued(&conn->stream) > 0 ||
           (conn->exchange != NULL &&
            conn->exchange->response_state == RESPONSE_RELAYING &&
            conn->state != CONN_TUNNEL);
}

void conn_close(struct conn *conn, enum conn_close_reason reason)
{
    bool must_abort;

    if (conn->state == CONN_CLOSED)
        return;
    log_close(conn, reason);
    must_abort = is_in_mid_answer(conn) || close_reasons[reason].is_error;
    set_state(conn, CONN_CLOSED);
    if (conn->exchange != NULL)
        exchange_on_client_left(conn->exchange);
    conn->exchange = NULL;
    deadline_fini(&conn->deadline);
    if (must_abort)
        stream_abort(&conn->stream);
    else
        stream_close(&conn->stream);
    conn_drop_input(conn);
    caller_fini(&conn->caller);
    station_remove_conn(conn->station, conn);
    worker_retire(conn->station->worker, &conn->retired, free_conn);
}

void conn_drain(struct conn *conn)
{
    if (conn->state == CONN_IDLE || conn->state == CONN_PREFACE)
        limit_idleness(conn);
}
