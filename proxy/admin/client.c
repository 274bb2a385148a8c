#include "admin/client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/secret.h"

enum {
    MOST_HEAD_BYTES = 16384,
    MOST_FIELDS = 64,
    MOST_CLIENTS = 64,         /* a door; more are turned away */
    MOST_IGNORED_BYTES = 65536 /* of a client that was refused and goes on sending */
};

static const struct timeval head_timeout = {10, 0};
static const struct timeval idle_timeout = {75, 0};

enum phase {
    IN_HEAD,  /* bytes are held until a head is whole */
    HOLDING,  /* libevhtp has the request; the answer is being made */
    FLUSHING, /* it has the answer; the request lives until that is written */
    REFUSED,  /* our own answer is being written; what comes is thrown away */
    CLOSED,   /* libevhtp has freed its half; ours goes in the loop's next turn */
};

struct admin_client {
    LIST_ENTRY(admin_client) entry;
    struct admin_service *service;
    enum phase phase;

    evhtp_connection_t *conn; /* NULL iff CLOSED */
    evhtp_request_t *request; /* the one under way, once libevhtp has its head, or NULL */
    bufferevent_data_cb evhtp_read;
    bufferevent_data_cb evhtp_write;
    bufferevent_event_cb evhtp_event;

    struct event *turn;     /* goes off when a phase is over; or when time is */
    struct evbuffer *held;  /* from the socket, not yet libevhtp's */
    struct evbuffer *piece; /* on its way to libevhtp; empty between calls */
    size_t ignored;

    struct http_head head;
    struct text head_bytes; /* a copy, which the request points into */
    struct admin_request asked;
    struct admin_later *later;
};

static void close_client(struct admin_client *client)
{
    evhtp_connection_free(client->conn); /* on_connection_fini does the rest */
}

static void forget_head(struct admin_client *client)
{
    if (client->head_bytes.bytes != NULL) /* it may have shown a token */
        secret_cleanse(client->head_bytes.bytes, client->head_bytes.len);
    text_clear(&client->head_bytes);
}

static void destroy(struct admin_client *client)
{
    LIST_REMOVE(client, entry);
    client->service->count--;
    if (client->turn != NULL)
        event_free(client->turn);
    if (client->held != NULL)
        evbuffer_free(client->held);
    if (client->piece != NULL)
        evbuffer_free(client->piece);
    http_head_fini(&client->head);
    forget_head(client);
    text_fini(&client->head_bytes);
    free(client);
}

/* Bytes in */

/* Answers by ourselves, tells the client that no more follows, and waits for its end. */
static void refuse(struct admin_client *client, unsigned status, const char *message)
{
    struct text whole = {0};

    client->phase = REFUSED;
    admin_answer_format_problem(&whole, status, message);
    if (whole.failed || bufferevent_write(client->conn->bev, whole.bytes, whole.len) != 0)
        close_client(client);
    else
        (void)event_add(client->turn, &head_timeout);
    text_fini(&whole);
}

static void refuse_malformed(struct admin_client *client)
{
    if (client->head.fault == HTTP_FAULT_START_LINE_TOO_LONG)
        refuse(client, 414, "the request target is too long");
    else if (client->head.fault == HTTP_FAULT_HEAD_TOO_LARGE ||
             client->head.fault == HTTP_FAULT_TOO_MANY_FIELDS)
        refuse(client, 431, "the request head is too large");
    else
        refuse(client, 400, http_fault_text(client->head.fault));
}

static bool copy_head(struct admin_client *client, const unsigned char *bytes)
{
    text_add(&client->head_bytes, span_make((const char *)bytes, client->head.len));
    if (client->head_bytes.failed)
        return false;
    http_head_reset(&client->head, HTTP_REQUEST);
    return http_head_parse(&client->head, client->head_bytes.bytes,
                           client->head_bytes.len, MOST_HEAD_BYTES) == HTTP_PARSE_DONE;
}

/* The whole head, and nothing else, goes to libevhtp. May close the connection. */
static void give_head(struct admin_client *client)
{
    struct bufferevent *bev = client->conn->bev;

    client->phase = HOLDING;
    (void)event_del(client->turn);
    (void)evbuffer_remove_buffer(client->held, client->piece, client->head.len);
    (void)evbuffer_prepend_buffer(bufferevent_get_input(bev), client->piece);
    /* Not reading, we do not see a client leave, nor take a half-close for that. */
    (void)bufferevent_disable(bev, EV_READ);
    client->evhtp_read(bev, client->conn);
    if (client->phase == HOLDING && client->request == NULL)
        close_client(client); /* libevhtp did not take it for a request */
}

static void feed(struct admin_client *client)
{
    struct admin_refusal refusal;
    unsigned char *bytes;
    size_t len;

    while (evbuffer_get_length(client->held) >= 2) {
        bytes = evbuffer_pullup(client->held, 2);
        if (bytes == NULL || bytes[0] != '\r' || bytes[1] != '\n')
            break;
        (void)evbuffer_drain(client->held, 2); /* RFC 9112 2.2 */
        http_head_reset(&client->head, HTTP_REQUEST); /* it may have seen the CR */
    }
    len = evbuffer_get_length(client->held);
    if (len == 0)
        return;
    if (client->head.scanned == 0) /* a head begins: the whole of it has this time */
        (void)event_add(client->turn, &head_timeout);
    bytes = evbuffer_pullup(client->held, -1);
    if (bytes == NULL) {
        close_client(client);
        return;
    }
    switch (http_head_parse(&client->head, (const char *)bytes, len, MOST_HEAD_BYTES)) {
    case HTTP_PARSE_MORE:
        return;
    case HTTP_PARSE_BAD:
        refuse_malformed(client);
        return;
    case HTTP_PARSE_DONE:
        break;
    }
    if (!copy_head(client, bytes))
        close_client(client);
    else if (!admin_guard(&client->head, client->service->door, &client->asked, &refusal))
        refuse(client, refusal.status, refusal.message);
    else
        give_head(client);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct admin_client *client = arg;
    struct evbuffer *input = bufferevent_get_input(bev);

    if (client->phase == REFUSED) {
        client->ignored += evbuffer_get_length(input);
        (void)evbuffer_drain(input, evbuffer_get_length(input));
        if (client->ignored > MOST_IGNORED_BYTES)
            close_client(client);
        return;
    }
    (void)evbuffer_add_buffer(client->held, input);
    if (client->phase == IN_HEAD)
        feed(client);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct admin_client *client = arg;

    if (client->phase == REFUSED)
        (void)shutdown(client->conn->sock, SHUT_WR);
    else
        client->evhtp_write(bev, client->conn);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct admin_client *client = arg;

    errno = 0; /* libevhtp overlooks an end of file beside a stale EAGAIN */
    client->evhtp_event(bev, what, client->conn);
}

/* What libevhtp makes of them */

static void send_answer(struct admin_client *client, struct admin_answer *answer)
{
    forget_head(client);
    client->phase = FLUSHING;
    (void)event_add(client->turn, &idle_timeout); /* a reader that stands still */
    admin_answer_send(client->request, answer, client->asked.is_head);
}

static void on_request(evhtp_request_t *request, void *arg)
{
    struct admin_client *client = arg;
    struct admin_answer answer = {0};

    (void)request;
    if (client->service->perform(client->service, client, &client->asked, &answer,
                                 &client->later))
        send_answer(client, &answer);
    else
        client->later->client = client;
    admin_answer_fini(&answer);
}

void admin_client_answer(struct admin_later *later, struct admin_answer *answer)
{
    struct admin_client *client = later->client;

    if (client != NULL) {
        client->later = NULL;
        send_answer(client, answer);
    }
    admin_answer_fini(answer);
}

static evhtp_res on_headers(evhtp_request_t *request, evhtp_headers_t *headers, void *arg)
{
    struct admin_client *client = arg;

    (void)headers;
    client->request = request;
    request->cb = on_request;
    request->cbarg = client;
    return EVHTP_RES_OK;
}

/* The answer is written, or the connection is on its way out. */
static evhtp_res on_request_fini(evhtp_request_t *request, void *arg)
{
    struct admin_client *client = arg;

    (void)request;
    client->request = NULL;
    if (client->phase == FLUSHING) /* libevhtp is not ready for the next one yet */
        event_active(client->turn, EV_READ, 0);
    return EVHTP_RES_OK;
}

static evhtp_res on_connection_fini(evhtp_connection_t *conn, void *arg)
{
    struct admin_client *client = arg;

    (void)conn;
    client->phase = CLOSED;
    client->conn = NULL;
    client->request = NULL;
    if (client->later != NULL)
        client->later->client = NULL;
    client->later = NULL;
    event_active(client->turn, EV_READ, 0); /* callers up the stack hold client */
    return EVHTP_RES_OK;
}

/* The turn: what the loop does next for a client, or when its time is over. */

static void await_head(struct admin_client *client)
{
    client->phase = IN_HEAD;
    http_head_reset(&client->head, HTTP_REQUEST);
    (void)bufferevent_enable(client->conn->bev, EV_READ);
    (void)event_add(client->turn, &idle_timeout);
    feed(client);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct admin_client *client = arg;

    (void)fd;
    if (client->phase == CLOSED)
        destroy(client);
    else if ((what & EV_TIMEOUT) != 0)
        close_client(client);
    else if (client->phase == FLUSHING)
        await_head(client);
}

/* In and out */

/* Fails only if it is the first: then on_connection_fini is not set and not called. */
static bool set_hook(struct admin_client *client, evhtp_hook_type type, evhtp_hook hook)
{
    return evhtp_connection_set_hook(client->conn, type, hook, client) == 0;
}

static bool take_in(struct admin_client *client)
{
    client->held = evbuffer_new();
    client->piece = evbuffer_new();
    client->turn = event_new(client->conn->evbase, -1, 0, on_turn, client);
    if (client->held == NULL || client->piece == NULL || client->turn == NULL ||
        !http_head_init(&client->head, MOST_FIELDS))
        return false;
    http_head_reset(&client->head, HTTP_REQUEST);
    return set_hook(client, evhtp_hook_on_headers, on_headers) &&
           set_hook(client, evhtp_hook_on_request_fini, on_request_fini) &&
           set_hook(client, evhtp_hook_on_connection_fini, on_connection_fini);
}

/* Puts our callbacks in front of libevhtp's. */
static void stand_between(struct admin_client *client)
{
    struct bufferevent *bev = client->conn->bev;
    void *conn;

    bufferevent_getcb(bev, &client->evhtp_read, &client->evhtp_write,
                      &client->evhtp_event, &conn);
    assert(conn == client->conn);
    bufferevent_setcb(bev, on_read, on_write, on_event, client);
}

evhtp_res admin_client_accept(evhtp_connection_t *conn, void *arg)
{
    struct admin_service *service = arg;
    struct admin_client *client;

    if (service->count == MOST_CLIENTS) {
        log_warn("admin: %d connections are open: one more is turned away", MOST_CLIENTS);
        return EVHTP_RES_ERROR; /* libevhtp closes it */
    }
    /* libevhtp does not look whether its parser got its memory. */
    client = conn->parser != NULL ? calloc(1, sizeof(*client)) : NULL;
    if (client == NULL)
        return EVHTP_RES_ERROR;
    client->service = service;
    client->conn = conn;
    service->count++;
    LIST_INSERT_HEAD(&service->clients, client, entry);
    if (!take_in(client)) {
        destroy(client);
        return EVHTP_RES_ERROR;
    }
    (void)fcntl(conn->sock, F_SETFD, FD_CLOEXEC);
    stand_between(client);
    (void)event_add(client->turn, &head_timeout);
    return EVHTP_RES_OK;
}

void admin_client_close_all(struct admin_service *service)
{
    struct admin_client *client;

    LIST_FOREACH(client, &service->clients, entry)
    {
        if (client->phase != CLOSED)
            close_client(client);
    }
}
