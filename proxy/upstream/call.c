#include "upstream/call.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

enum call_state {
    CALL_CONNECTING, /* waiting for a verified connection */
    CALL_AWAITING,   /* the head was sent; the answer's head is to come */
    CALL_RECEIVING,  /* the answer's body */
    CALL_TUNNEL,     /* after 101 */
    CALL_OVER,
};

struct upstream_call {
    struct upstream_lease lease;
    struct upstream_pool *pool;
    const struct upstream_request *request;
    const struct upstream_call_events *events;
    void *owner;

    enum call_state state;
    bool head_pending;  /* the connection is ours, but the head has not been written */
    bool is_sent;       /* the whole request was written or queued */
    bool is_broken;     /* the connection takes no more; what it still gives is read */
    bool has_answer;    /* some byte of an answer came */
    bool has_sent_body; /* some of it */
    bool is_repeat;
    bool is_paused;

    bool keeps_alive;
    struct http_body body;
    struct text held;        /* the beginning of a head that has not arrived whole */
    size_t interim_bytes;    /* of the interim heads so far */
    uint64_t written_before; /* when the deadline was set: to see progress */
    struct deadline deadline;
    struct retired retired;
};

static const struct upstream_lease_events lease_events;
static void read_answer(void *owner);

static struct stream *stream_of(const struct upstream_call *call)
{
    return &call->lease.connection->stream;
}

static void free_call(struct retired *retired)
{
    struct upstream_call *call =
        (struct upstream_call *)(void *)((char *)retired -
                                         offsetof(struct upstream_call, retired));

    http_body_fini(&call->body);
    text_fini(&call->held);
    free(call);
}

/* The one way into CALL_OVER. The lease has ended before. */
static void retire(struct upstream_call *call)
{
    call->state = CALL_OVER;
    deadline_fini(&call->deadline);
    worker_retire(upstream_pool_worker(call->pool), &call->retired, free_call);
}

static void fail(struct upstream_call *call, enum upstream_failure failure,
                 const char *detail)
{
    upstream_pool_cancel(&call->lease);
    retire(call);
    call->events->on_failed(call->owner, failure, detail);
}

/* What to wait for next, and how long: see DESIGN, "Upstream". */
static void set_deadline(struct upstream_call *call)
{
    const struct upstream_target *target = upstream_pool_target(call->pool);

    if (call->state == CALL_OVER || call->lease.connection == NULL)
        return;
    /* NOLINTNEXTLINE(bugprone-branch-clone): the order of these questions decides */
    if (call->state == CALL_TUNNEL || call->is_paused) {
        deadline_lift(&call->deadline);
    } else if (stream_queued(stream_of(call)) > 0 && !call->is_broken) {
        call->written_before = stream_of(call)->bytes_written;
        deadline_set(&call->deadline, target->send_timeout_ms);
    } else if (call->is_sent || call->is_broken || call->state == CALL_RECEIVING ||
               (call->request->expects_continue && !call->has_sent_body)) {
        deadline_set(&call->deadline, target->response_timeout_ms);
    } else {
        deadline_lift(
            &call->deadline); /* the request's sender is awaited, not upstream */
    }
}

static void on_deadline(void *owner)
{
    struct upstream_call *call = owner;
    struct stream *stream = stream_of(call);

    if (stream_queued(stream) == 0 || call->is_broken)
        fail(call, UPSTREAM_RESPONSE_TIMEOUT, "no answer within response_timeout");
    else if (stream->bytes_written > call->written_before)
        set_deadline(call);
    else
        fail(call, UPSTREAM_SEND_TIMEOUT, "it takes no bytes for send_timeout");
}

struct upstream_call *upstream_call_new(struct upstream_pool *pool,
                                        const struct upstream_request *request,
                                        const struct upstream_call_events *events,
                                        void *owner)
{
    struct upstream_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    call->pool = pool;
    call->request = request;
    call->events = events;
    call->owner = owner;
    call->lease.events = &lease_events;
    call->lease.owner = call;
    call->lease.needs_fresh = !request->may_repeat;
    deadline_init(&call->deadline, upstream_pool_worker(pool), on_deadline, call);
    return call;
}

void upstream_call_start(struct upstream_call *call)
{
    upstream_pool_lease(call->pool, &call->lease);
}

/* Sending */

enum { HEAD_VECTORS = 3, BODY_VECTORS = 3 };

static struct iovec vector_of(struct span span)
{
    return (struct iovec){(void *)(uintptr_t)span.at, span.len};
}

/* Writes the head, if it is still to go, and some of the body with one system call. */
static void write_out(struct upstream_call *call, const struct span *pieces, int count)
{
    const struct upstream_request *request = call->request;
    struct iovec vectors[HEAD_VECTORS + BODY_VECTORS];
    int used = 0;

    if (call->is_broken || call->state == CALL_OVER)
        return;
    if (call->head_pending) {
        vectors[used++] = vector_of(request->head_before);
        vectors[used++] = vector_of(request->api_key);
        vectors[used++] = vector_of(request->head_after);
        call->head_pending = false;
    }
    for (int i = 0; i < count; i++)
        vectors[used++] = vector_of(pieces[i]);
    if (used > 0 && !stream_write(stream_of(call), vectors, used))
        call->is_broken = true; /* an answer may have come before; reading tells */
    set_deadline(call);
}

/* A body in many little chunks must not cost a system call for each. */
enum { SMALL_BYTES = 1024 };

void upstream_call_send(struct upstream_call *call, struct span content,
                        bool more_follows)
{
    char size[24];
    struct span pieces[BODY_VECTORS] = {{size, 0}, content, SPAN("\r\n")};

    if (content.len == 0)
        return;
    call->has_sent_body = true;
    if (more_follows && content.len < SMALL_BYTES && !call->is_broken)
        stream_cork(stream_of(call));
    if (!call->request->is_chunked || call->state == CALL_TUNNEL) {
        write_out(call, &content, 1);
        return;
    }
    pieces[0].len = (size_t)snprintf(size, sizeof(size), "%zx\r\n", content.len);
    write_out(call, pieces, BODY_VECTORS);
}

void upstream_call_push(struct upstream_call *call)
{
    if (call->state != CALL_OVER && !call->is_broken && !stream_uncork(stream_of(call)))
        call->is_broken = true;
}

void upstream_call_finish(struct upstream_call *call, struct span trailer_lines)
{
    struct span pieces[BODY_VECTORS] = {SPAN("0\r\n"), trailer_lines, SPAN("\r\n")};

    if (call->state == CALL_TUNNEL) {
        stream_finish(stream_of(call));
        return;
    }
    call->is_sent = true;
    write_out(call, pieces, call->request->is_chunked ? BODY_VECTORS : 0);
    upstream_call_push(call);
}

bool upstream_call_is_drained(const struct upstream_call *call)
{
    return call->lease.connection != NULL &&
           (call->is_broken || stream_queued(stream_of(call)) < STREAM_HIGH_BYTES);
}

bool upstream_call_is_sent(const struct upstream_call *call)
{
    return call->is_sent;
}

static void on_leased(void *owner, struct upstream_connection *connection)
{
    struct upstream_call *call = owner;

    call->state = CALL_AWAITING;
    call->head_pending = true;
    http_head_reset(&connection->head, HTTP_RESPONSE);
    call->is_sent = !call->request->has_body;
    call->events->on_sending(call->owner);
    if (call->state == CALL_AWAITING && call->head_pending)
        write_out(call, NULL, 0);
}

static void on_refused(void *owner, enum upstream_failure failure, const char *detail)
{
    struct upstream_call *call = owner;

    retire(call);
    call->events->on_failed(call->owner, failure, detail);
}

static void on_drained(void *owner)
{
    struct upstream_call *call = owner;

    set_deadline(call);
    call->events->on_drained(call->owner);
}

static void on_broken(void *owner)
{
    struct upstream_call *call = owner;

    call->is_broken = true;
    if (stream_of(call)->fault == STREAM_NO_MEMORY)
        fail(call, UPSTREAM_NO_MEMORY, "out of memory");
    else
        read_answer(call);
}

/* Receiving */

static bool may_send_again(const struct upstream_call *call)
{
    return call->state == CALL_AWAITING && call->request->may_repeat &&
           !call->is_repeat && !call->has_answer && call->lease.connection->is_reused;
}

static void send_again(struct upstream_call *call)
{
    call->is_repeat = true;
    call->is_broken = false;
    call->is_sent = false;
    call->state = CALL_CONNECTING;
    deadline_lift(&call->deadline);
    upstream_pool_replace(&call->lease);
}

/* The answer is complete: the connection goes back before the owner goes on. */
static void complete(struct upstream_call *call, bool has_surplus)
{
    const struct http_head *trailers =
        call->body.trailers.field_count > 0 ? &call->body.trailers : NULL;
    bool is_sound =
        call->keeps_alive && call->is_sent && !call->is_broken && !has_surplus;

    upstream_call_resume(call); /* the next to lease it expects to hear of it */
    upstream_pool_return(&call->lease, is_sound);
    retire(call);
    call->events->on_end(call->owner, trailers);
}

static void on_connection_end(struct upstream_call *call, enum stream_status status)
{
    char detail[160];

    if (may_send_again(call)) {
        send_again(call);
        return;
    }
    if (status == STREAM_END &&
        (call->state == CALL_TUNNEL ||
         (call->state == CALL_RECEIVING && http_body_ends_at_close(&call->body)))) {
        call->keeps_alive = false;
        complete(call, false);
        return;
    }
    if (status == STREAM_END)
        (void)snprintf(detail, sizeof(detail), "it closed the connection");
    else
        stream_describe_fault(stream_of(call), detail, sizeof(detail));
    fail(call,
         call->state == CALL_AWAITING ? upstream_stream_failure(stream_of(call))
                                      : UPSTREAM_CUT_SHORT,
         detail);
}

static void fail_with_fault(struct upstream_call *call, enum http_fault fault)
{
    bool is_too_large = fault == HTTP_FAULT_HEAD_TOO_LARGE ||
                        fault == HTTP_FAULT_START_LINE_TOO_LONG ||
                        fault == HTTP_FAULT_TOO_MANY_FIELDS;

    fail(call, is_too_large ? UPSTREAM_RESPONSE_TOO_LARGE : UPSTREAM_RESPONSE_INVALID,
         http_fault_text(fault));
}

/* RFC 6455 4.1: what was asked for is exactly what must come. */
static bool is_websocket(const struct http_head *head)
{
    unsigned count;
    const struct http_field *upgrade = http_head_find(head, HTTP_FIELD_UPGRADE, &count);

    return count == 1 && head->wants_upgrade && head->minor > 0 &&
           span_equal_nocase(http_field_value(head, upgrade), SPAN("websocket"));
}

static void accept_upgrade(struct upstream_call *call, const struct http_head *head)
{
    if (!call->request->is_upgrade || !is_websocket(head)) {
        fail(call, UPSTREAM_UNASKED_UPGRADE, "its 101 is not to what was asked for");
        return;
    }
    call->state = CALL_TUNNEL;
    call->keeps_alive = false;
    deadline_lift(&call->deadline);
    call->events->on_head(call->owner, head, HTTP_FRAMING_NONE, 0);
}

static void accept_head(struct upstream_call *call, const struct http_head *head)
{
    const struct upstream_target *target = upstream_pool_target(call->pool);
    enum http_framing framing;
    enum http_fault fault;
    uint64_t length;

    if (!http_response_framing(head, call->request->is_head_method, &framing, &length,
                               &fault)) {
        fail_with_fault(call, fault);
        return;
    }
    call->keeps_alive = framing != HTTP_FRAMING_UNTIL_CLOSE && !head->wants_close &&
                        (head->minor > 0 || head->wants_keep_alive);
    call->state = CALL_RECEIVING;
    http_body_init(&call->body, framing, length, target->max_head_bytes,
                   target->max_fields);
    call->events->on_head(call->owner, head, framing, length);
}

/* All interim heads together are no longer than one head may be: they would never end. */
static void accept_interim(struct upstream_call *call, struct http_head *head,
                           size_t max_bytes)
{
    call->interim_bytes += head->len;
    if (call->interim_bytes > max_bytes) {
        fail(call, UPSTREAM_RESPONSE_TOO_LARGE, "too many interim answers");
        return;
    }
    call->events->on_interim(call->owner, head);
    if (call->state == CALL_AWAITING)
        http_head_reset(head, HTTP_RESPONSE);
}

/* Reads a head off *input; false: more is needed, or the call is over. */
static bool read_head(struct upstream_call *call, struct span *input)
{
    struct http_head *head = &call->lease.connection->head;
    size_t max_bytes = upstream_pool_target(call->pool)->max_head_bytes;

    switch (http_head_parse(head, input->at, input->len, max_bytes)) {
    case HTTP_PARSE_MORE:
        return false;
    case HTTP_PARSE_BAD:
        fail_with_fault(call, head->fault);
        return false;
    case HTTP_PARSE_DONE:
        break;
    }
    input->at += head->len;
    input->len -= head->len;
    if (head->status == 101) {
        accept_upgrade(call, head);
    } else if (head->status < 200) {
        accept_interim(call, head, max_bytes);
    } else {
        accept_head(call, head);
    }
    return call->state != CALL_OVER;
}

/* Reads body off *input; false: more is needed, or the call is over. */
static bool read_body(struct upstream_call *call, struct span *input)
{
    struct span content;

    switch (http_body_read(&call->body, input, &content)) {
    case HTTP_BODY_CONTENT:
        call->events->on_content(call->owner, content);
        return call->state != CALL_OVER;
    case HTTP_BODY_MORE:
        return false;
    case HTTP_BODY_BAD:
        fail(call, UPSTREAM_CUT_SHORT, http_fault_text(call->body.fault));
        return false;
    case HTTP_BODY_DONE:
        complete(call, input->len > 0);
        return false;
    }
    return false;
}

static bool read_tunnel(struct upstream_call *call, struct span *input)
{
    struct span content = *input;

    *input = SPAN("");
    if (content.len > 0)
        call->events->on_content(call->owner, content);
    return false;
}

static void digest_input(struct upstream_call *call, struct span *input)
{
    bool goes_on = true;

    while (goes_on) {
        switch (call->state) {
        case CALL_AWAITING:
            goes_on = read_head(call, input);
            break;
        case CALL_RECEIVING:
            goes_on = read_body(call, input);
            break;
        case CALL_TUNNEL:
            goes_on = read_tunnel(call, input);
            break;
        case CALL_CONNECTING:
        case CALL_OVER:
            goes_on = false;
            break;
        }
    }
}

/*
 * Takes in what one read gave. Only the beginning of a head is ever kept; body bytes are
 * passed on as they come. The owner was shown pointers into the input, which stay good
 * until it has flushed: also into what was held from earlier reads.
 */
static void take_input(struct upstream_call *call, struct span input)
{
    struct text held = call->held;
    size_t interim_before = call->interim_bytes;

    call->has_answer = true;
    call->held = (struct text){0};
    if (held.len > 0) {
        text_add(&held, input);
        input = span_make(held.bytes, held.len);
    }
    if (held.failed)
        fail(call, UPSTREAM_NO_MEMORY, "out of memory");
    digest_input(call, &input);
    if (call->state == CALL_AWAITING)
        text_add(&call->held, input);
    if (call->held.failed)
        fail(call, UPSTREAM_NO_MEMORY, "out of memory");
    if (call->state != CALL_OVER) {
        /* Half a head gives no time for the rest, or byte by byte it might take for ever.
         */
        if (call->state != CALL_AWAITING || call->interim_bytes > interim_before)
            set_deadline(call);
        call->events->on_flush(call->owner);
    }
    text_fini(&held);
}

static void read_answer(void *owner)
{
    struct upstream_call *call = owner;
    struct worker *worker = upstream_pool_worker(call->pool);
    size_t got;
    enum stream_status status =
        stream_read(stream_of(call), worker->scratch, WORKER_SCRATCH_BYTES, &got);

    switch (status) {
    case STREAM_OK:
        take_input(call, span_make(worker->scratch, got));
        break;
    case STREAM_AGAIN:
        break;
    case STREAM_END:
    case STREAM_FAILED:
        on_connection_end(call, status);
        break;
    }
}

void upstream_call_pause(struct upstream_call *call)
{
    if (call->lease.connection == NULL || call->is_paused)
        return;
    call->is_paused = true;
    stream_want_read(stream_of(call), false);
    set_deadline(call);
}

void upstream_call_resume(struct upstream_call *call)
{
    if (call->lease.connection == NULL || !call->is_paused)
        return;
    call->is_paused = false;
    stream_want_read(stream_of(call), true);
    set_deadline(call);
}

void upstream_call_cancel(struct upstream_call *call)
{
    if (call == NULL || call->state == CALL_OVER)
        return;
    upstream_pool_cancel(&call->lease);
    retire(call);
}

static const struct upstream_lease_events lease_events = {
    on_leased, on_refused, read_answer, on_drained, on_broken};
