#include "sandbox/client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "sandbox/chunks.h"
#include "sandbox/head.h"
#include "sandbox/wire.h"

/* Of a chunked body, this many bytes at most are looked at together. */
#define PIECE_MAX ((size_t)64 * 1024)

enum phase {
    IN_HEAD,  /* bytes are held until a head is whole */
    IN_BODY,  /* libevhtp has the head and is given the body */
    HOLDING,  /* it has the whole request; the answer is made and waits for its time */
    FLUSHING, /* it has the answer; the request lives until that is written */
    CLOSED,   /* it has freed its half; ours goes in the loop's next turn */
};

static const struct {
    const char *name;
    unsigned successors; /* a bit for each phase that may follow */
} phases[] = {
    [IN_HEAD] = {"in head", 1 << IN_BODY | 1 << CLOSED},
    [IN_BODY] = {"in body", 1 << HOLDING | 1 << CLOSED},
    [HOLDING] = {"holding", 1 << FLUSHING | 1 << CLOSED},
    [FLUSHING] = {"flushing", 1 << IN_HEAD | 1 << CLOSED},
    [CLOSED] = {"closed", 0},
};

struct sandbox_client {
    LIST_ENTRY(sandbox_client) entry;
    struct sandbox_service *service;
    unsigned number;  /* its name in the log */
    enum phase phase; /* only enter() assigns it */

    evhtp_connection_t *conn; /* NULL iff CLOSED */
    evhtp_request_t *request; /* the one under way, once its head is read, or NULL */
    bufferevent_data_cb evhtp_read;
    bufferevent_data_cb evhtp_write;
    bufferevent_event_cb evhtp_event;

    struct event *turn;     /* goes off when the delay, the flush or all is over */
    struct evbuffer *held;  /* from the socket, not yet libevhtp's */
    struct evbuffer *piece; /* on its way to libevhtp; empty between calls */

    struct sandbox_head head;     /* of the request under way */
    uint64_t body_left;           /* when it has a length */
    struct sandbox_chunks chunks; /* when it is chunked */
    struct sandbox_body body;
    struct sandbox_answer answer;
};

static void enter(struct sandbox_client *client, enum phase phase)
{
    assert((phases[client->phase].successors & 1U << phase) != 0);
    log_debug("sandbox: c%u %s -> %s", client->number, phases[client->phase].name,
              phases[phase].name);
    client->phase = phase;
}

/* Ends the connection from our side; on_connection_fini does the rest. */
static void close_client(struct sandbox_client *client, const char *reason)
{
    log_debug("sandbox: c%u closed: %s", client->number, reason);
    evhtp_connection_free(client->conn);
}

static void destroy(struct sandbox_client *client)
{
    LIST_REMOVE(client, entry);
    if (client->turn != NULL)
        event_free(client->turn);
    if (client->held != NULL)
        evbuffer_free(client->held);
    if (client->piece != NULL)
        evbuffer_free(client->piece);
    sandbox_body_fini(&client->body);
    sandbox_answer_fini(&client->answer);
    free(client);
}

/* The gate: bytes in. */

/*
 * Lets libevhtp read the piece and nothing else: its input holds nothing of the socket's,
 * as on_read takes all of that away, and it uses up what it is given. May close the
 * connection.
 */
static void give_piece(struct sandbox_client *client)
{
    struct bufferevent *bev = client->conn->bev;

    (void)evbuffer_prepend_buffer(bufferevent_get_input(bev), client->piece);
    client->evhtp_read(bev, client->conn);
}

/* The first bytes that are held, at most max of them, in one piece. */
static struct span peek(struct sandbox_client *client, size_t max)
{
    size_t len = evbuffer_get_length(client->held);

    if (len > max)
        len = max;
    return span_make((const char *)evbuffer_pullup(client->held, (ev_ssize_t)len), len);
}

/* Empty lines before a request are nobody's (RFC 9112 2.2). */
static void skip_empty_lines(struct sandbox_client *client)
{
    while (span_equal(peek(client, 2), SPAN("\r\n")))
        (void)evbuffer_drain(client->held, 2);
}

/* Gives libevhtp a head, if one is whole; false when there is nothing more to do. */
static bool feed_head(struct sandbox_client *client)
{
    enum sandbox_head_end end;
    struct span bytes;
    size_t len;

    skip_empty_lines(client);
    bytes = peek(client, SANDBOX_HEAD_MAX);
    end = sandbox_head_find_end(bytes, &len);
    if (end == SANDBOX_HEAD_MORE)
        return false;
    if (end == SANDBOX_HEAD_BAD ||
        !sandbox_head_check(span_make(bytes.at, len), &client->head)) {
        close_client(client, "a head that is malformed or ambiguous");
        return false;
    }
    client->body_left = client->head.length;
    client->chunks = (struct sandbox_chunks){0};
    enter(client, IN_BODY);
    (void)evbuffer_remove_buffer(client->held, client->piece, len);
    give_piece(client);
    return true;
}

static bool feed_length(struct sandbox_client *client)
{
    size_t len = evbuffer_get_length(client->held);

    if (len > client->body_left)
        len = (size_t)client->body_left;
    if (len == 0)
        return false;
    client->body_left -= len;
    (void)evbuffer_remove_buffer(client->held, client->piece, len);
    give_piece(client);
    return true;
}

static bool feed_chunks(struct sandbox_client *client)
{
    struct span bytes = peek(client, PIECE_MAX), data;
    size_t len = bytes.len;
    enum sandbox_chunks_result result =
        sandbox_chunks_read(&client->chunks, &bytes, &data);

    if (result == SANDBOX_CHUNKS_BAD) {
        close_client(client, "a chunk that is malformed");
        return false;
    }
    if (result == SANDBOX_CHUNKS_DATA) {
        (void)evbuffer_add_printf(client->piece, "%zx\r\n", data.len);
        (void)evbuffer_add(client->piece, data.at, data.len);
        (void)evbuffer_add(client->piece, "\r\n", 2);
    } else if (result == SANDBOX_CHUNKS_END) {
        (void)evbuffer_add(client->piece, "0\r\n\r\n", 5);
    }
    (void)evbuffer_drain(client->held, len - bytes.len);
    if (result == SANDBOX_CHUNKS_MORE)
        return false;
    give_piece(client);
    return true;
}

/* Gives libevhtp what it may have of the bytes held. May close the connection. */
static void feed(struct sandbox_client *client)
{
    bool goes_on = true;

    while (goes_on) {
        switch (client->phase) {
        case IN_HEAD:
            goes_on = feed_head(client);
            break;
        case IN_BODY:
            goes_on = client->head.framing == SANDBOX_CHUNKED ? feed_chunks(client)
                                                              : feed_length(client);
            break;
        default:
            goes_on = false;
        }
    }
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct sandbox_client *client = arg;

    (void)evbuffer_add_buffer(client->held, bufferevent_get_input(bev));
    feed(client);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct sandbox_client *client = arg;

    client->evhtp_write(bev, client->conn);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct sandbox_client *client = arg;

    errno = 0; /* libevhtp overlooks an end of file beside a stale EAGAIN */
    client->evhtp_event(bev, what, client->conn);
}

/* The request: what libevhtp makes of them. */

static bool fails_on_purpose(double rate)
{
    struct error error;
    uint32_t number;

    if (rate <= 0 || !random_fill(&number, sizeof(number), &error))
        return false;
    return number < rate * 4294967296.0;
}

/* Makes the answer; it is sent when its time has come. */
static void perform(struct sandbox_client *client)
{
    struct sandbox_service *service = client->service;
    struct sandbox_request asked;

    sandbox_wire_read(client->request, &client->body, &service->keys, &asked);
    if (fails_on_purpose(service->fail_rate))
        sandbox_answer_problem(&client->answer, SANDBOX_INTERNAL_SERVER_ERROR,
                               "sandbox: failed on purpose (--fail-rate)");
    else
        sandbox_perform(service->state, &asked, &client->answer);
    log_debug("sandbox: c%u %.*s: %u", client->number, (int)asked.path.len, asked.path.at,
              client->answer.status);
    sandbox_body_fini(&client->body);
}

static void on_request(evhtp_request_t *request, void *arg)
{
    struct sandbox_client *client = arg;
    int64_t delay_ms = client->service->delay_ms;
    struct timeval delay = {delay_ms / 1000, delay_ms % 1000 * 1000};

    enter(client, HOLDING);
    (void)request;
    perform(client);
    /* Not reading, we do not see a client leave, nor take a half-close for that. */
    (void)bufferevent_disable(client->conn->bev, EV_READ);
    (void)event_add(client->turn, &delay);
}

static evhtp_res on_headers(evhtp_request_t *request, evhtp_headers_t *headers, void *arg)
{
    struct sandbox_client *client = arg;

    (void)headers;
    client->request = request;
    request->cb = on_request;
    request->cbarg = client;
    return EVHTP_RES_OK;
}

static evhtp_res on_body(evhtp_request_t *request, struct evbuffer *piece, void *arg)
{
    struct sandbox_client *client = arg;
    size_t len = evbuffer_get_length(piece);
    unsigned char *bytes = evbuffer_pullup(piece, -1);

    (void)request;
    if (bytes != NULL) {
        sandbox_body_add(&client->body, span_make((const char *)bytes, len));
        secret_cleanse(bytes, len);
    }
    (void)evbuffer_drain(piece, len);
    return EVHTP_RES_OK;
}

/* The answer is written, or the connection is on its way out. */
static evhtp_res on_request_fini(evhtp_request_t *request, void *arg)
{
    struct sandbox_client *client = arg;

    (void)request;
    client->request = NULL;
    if (client->phase == FLUSHING) /* libevhtp is not ready for the next one yet */
        event_active(client->turn, EV_TIMEOUT, 0);
    return EVHTP_RES_OK;
}

static evhtp_res on_connection_fini(evhtp_connection_t *conn, void *arg)
{
    struct sandbox_client *client = arg;

    (void)conn;
    enter(client, CLOSED);
    client->conn = NULL;
    client->request = NULL;
    event_active(client->turn, EV_TIMEOUT, 0); /* callers up the stack hold client */
    return EVHTP_RES_OK;
}

/* The turn: answers out. */

static void send_answer(struct sandbox_client *client)
{
    if (client->answer.body.failed) {
        close_client(client, "out of memory");
        return;
    }
    enter(client, FLUSHING);
    sandbox_wire_send(client->request, &client->answer);
}

static void start_next_request(struct sandbox_client *client)
{
    sandbox_answer_fini(&client->answer);
    enter(client, IN_HEAD);
    (void)bufferevent_enable(client->conn->bev, EV_READ);
    feed(client);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct sandbox_client *client = arg;

    (void)fd;
    (void)what;
    if (client->phase == HOLDING)
        send_answer(client);
    else if (client->phase == FLUSHING)
        start_next_request(client);
    else if (client->phase == CLOSED)
        destroy(client);
}

/* The connection: in and out. */

/* Fails only if it is the first: then on_connection_fini is not set and not called. */
static bool set_hook(struct sandbox_client *client, evhtp_hook_type type, evhtp_hook hook)
{
    return evhtp_connection_set_hook(client->conn, type, hook, client) == 0;
}

static bool take_in(struct sandbox_client *client)
{
    client->held = evbuffer_new();
    client->piece = evbuffer_new();
    client->turn = event_new(client->conn->evbase, -1, 0, on_turn, client);
    if (client->held == NULL || client->piece == NULL || client->turn == NULL)
        return false;
    return set_hook(client, evhtp_hook_on_headers, on_headers) &&
           set_hook(client, evhtp_hook_on_read, on_body) &&
           set_hook(client, evhtp_hook_on_request_fini, on_request_fini) &&
           set_hook(client, evhtp_hook_on_connection_fini, on_connection_fini);
}

/* Puts our callbacks in front of libevhtp's. */
static void stand_between(struct sandbox_client *client)
{
    struct bufferevent *bev = client->conn->bev;
    void *conn;

    bufferevent_getcb(bev, &client->evhtp_read, &client->evhtp_write,
                      &client->evhtp_event, &conn);
    assert(conn == client->conn);
    bufferevent_setcb(bev, on_read, on_write, on_event, client);
}

evhtp_res sandbox_client_accept(evhtp_connection_t *conn, void *service)
{
    struct sandbox_client *client = calloc(1, sizeof(*client));

    if (client == NULL)
        return EVHTP_RES_ERROR;
    client->service = service;
    client->number = ++client->service->clients_seen;
    client->conn = conn;
    LIST_INSERT_HEAD(&client->service->clients, client, entry);
    if (!take_in(client)) {
        destroy(client);
        return EVHTP_RES_ERROR; /* libevhtp closes it */
    }
    (void)fcntl(conn->sock, F_SETFD, FD_CLOEXEC);
    stand_between(client);
    return EVHTP_RES_OK;
}

void sandbox_client_close_all(struct sandbox_service *service)
{
    struct sandbox_client *client;

    LIST_FOREACH(client, &service->clients, entry)
    {
        if (client->phase != CLOSED)
            close_client(client, "the sandbox stops");
    }
}
