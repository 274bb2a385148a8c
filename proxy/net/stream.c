#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/error.h"
#include "net/stream_internal.h"
#include "net/tls_socket.h"

enum { FLUSH_VECTORS = 16 };

static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_again(evutil_socket_t fd, short what, void *arg);

static void prepare(struct stream *stream, struct worker *worker, int fd, SSL *ssl,
                    const struct stream_events *events, void *owner)
{
    *stream = (struct stream){
        .worker = worker,
        .io = ssl != NULL ? &stream_tls_io : &stream_plain_io,
        .events = events,
        .owner = owner,
        .ssl = ssl,
        .fd = fd,
    };
    (void)event_assign(&stream->readable, worker->base, fd, EV_READ | EV_PERSIST,
                       on_readable, stream);
    (void)event_assign(&stream->writable, worker->base, fd, EV_WRITE, on_writable,
                       stream);
    (void)evtimer_assign(&stream->again, worker->base, on_again, stream);
}

/* In the loop's next turn: in this one, a busy peer would keep all others waiting. */
static void read_again(struct stream *stream)
{
    const struct timeval now = {0};

    if (event_add(&stream->again, &now) != 0)
        event_active(&stream->again, EV_TIMEOUT, 0); /* takes no memory */
}

static void break_off(struct stream *stream, enum stream_fault fault, int errnum)
{
    stream->fault = fault;
    stream->errnum = errnum;
}

/*
 * Nothing of the socket's will tell the owner that memory was out here: the peer is
 * sound, and may wait for us. So the loop does. Takes no memory.
 */
static void tell_if_starved(struct stream *stream)
{
    if (stream->fault == STREAM_NO_MEMORY)
        event_active(&stream->again, EV_TIMEOUT, 0);
}

static void await(struct stream *stream, struct event *event)
{
    if (event_add(event, NULL) == 0)
        return;
    break_off(stream, STREAM_NO_MEMORY, 0);
    tell_if_starved(stream);
}

static void await_writable(struct stream *stream)
{
    await(stream, &stream->writable);
}

static void await_readable(struct stream *stream)
{
    await(stream, &stream->readable);
}

/* Moves a handshake on; tells the owner when the connection is open or has failed. */
static void shake_hands(struct stream *stream)
{
    bool wants_write = false;

    switch (stream->io->handshake(stream, &wants_write)) {
    case STREAM_OK:
        stream->is_open = true;
        if (stream->wants_read)
            await_readable(stream);
        else
            (void)event_del(&stream->readable);
        if (stream->events->on_open != NULL)
            stream->events->on_open(stream->owner);
        /* TLS may have read the first bytes along with the handshake's last. */
        if (stream->fd >= 0 && stream->ssl != NULL && stream->wants_read &&
            SSL_has_pending(stream->ssl))
            read_again(stream);
        break;
    case STREAM_AGAIN:
        if (wants_write)
            await_writable(stream);
        else
            await_readable(stream);
        break;
    case STREAM_END:
    case STREAM_FAILED:
        stream->events->on_failed(stream->owner);
        break;
    }
}

static void on_connected(struct stream *stream)
{
    int errnum = 0;
    socklen_t len = sizeof(errnum);

    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0)
        errnum = errno;
    if (errnum != 0) {
        break_off(stream, STREAM_CONNECT_FAILED, errnum);
        stream->events->on_failed(stream->owner);
        return;
    }
    stream->is_connecting = false;
    shake_hands(stream);
}

static void end_if_empty(struct stream *stream)
{
    if (stream->is_finishing && stream->queue.bytes == 0)
        stream->io->say_end(stream);
}

/* Sends what is queued; false when the stream broke. */
static bool flush(struct stream *stream)
{
    while (stream->queue.bytes > 0) {
        struct iovec vectors[FLUSH_VECTORS];
        int count = queue_peek(&stream->queue, vectors, FLUSH_VECTORS);
        size_t put;
        enum stream_status status = stream->io->write(stream, vectors, count, &put);

        queue_drop(&stream->queue, put);
        stream->bytes_written += put;
        if (status == STREAM_FAILED)
            return false;
        if (status == STREAM_AGAIN)
            return true;
    }
    return true;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct stream *stream = arg;

    (void)fd;
    (void)what;
    if (stream->is_connecting) {
        on_connected(stream);
        return;
    }
    if (!stream->is_open) {
        shake_hands(stream);
        return;
    }
    if (!flush(stream)) {
        stream->events->on_failed(stream->owner);
        return;
    }
    if (stream->queue.bytes > 0)
        await_writable(stream);
    end_if_empty(stream);
    if (stream->queue.bytes <= STREAM_LOW_BYTES)
        stream->events->on_drained(stream->owner);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct stream *stream = arg;

    (void)fd;
    (void)what;
    if (!stream->is_open) {
        shake_hands(stream);
        return;
    }
    if (!stream->wants_read)
        return;
    stream->events->on_readable(stream->owner);
    /* What OpenSSL holds raises no event of the socket's. */
    if (stream->fd >= 0 && stream->wants_read && stream->has_more)
        read_again(stream);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    struct stream *stream = arg;

    if (stream->fault == STREAM_NO_MEMORY)
        stream->events->on_failed(stream->owner);
    else
        on_readable(fd, what, arg);
}

bool stream_start_tls(struct stream *stream, SSL_CTX *context)
{
    stream->ssl = SSL_new(context);
    if (stream->ssl == NULL || !tls_socket_attach(stream)) {
        stream->fault = STREAM_NO_MEMORY;
        return false;
    }
    stream->io = &stream_tls_io;
    stream->is_open = false;
    SSL_set_accept_state(stream->ssl);
    await_readable(stream);
    return true;
}

bool stream_init_accepted(struct stream *stream, struct worker *worker, int fd,
                          SSL_CTX *context, const struct stream_events *events,
                          void *owner)
{
    SSL *ssl = context != NULL ? SSL_new(context) : NULL;

    prepare(stream, worker, fd, ssl, events, owner);
    if (context != NULL && (ssl == NULL || !tls_socket_attach(stream))) {
        stream_close(stream);
        return false;
    }
    if (ssl != NULL) {
        SSL_set_accept_state(ssl);
        await_readable(stream);
    } else {
        stream->is_open = true;
    }
    return true;
}

static int open_socket(const struct sockaddr *address)
{
    const int on = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

bool stream_init_connecting(struct stream *stream, struct worker *worker,
                            const struct sockaddr *address, socklen_t address_len,
                            SSL *ssl, const struct stream_events *events, void *owner)
{
    int fd = open_socket(address);
    int errnum = errno;

    prepare(stream, worker, fd, ssl, events, owner);
    if (fd < 0) {
        break_off(stream, STREAM_CONNECT_FAILED, errnum);
        return false;
    }
    if (ssl != NULL && !tls_socket_attach(stream)) {
        break_off(stream, STREAM_NO_MEMORY, 0);
        return false;
    }
    if (connect(fd, address, address_len) != 0 && errno != EINPROGRESS) {
        break_off(stream, STREAM_CONNECT_FAILED, errno);
        return false;
    }
    stream->is_connecting = true;
    await_writable(stream);
    return true;
}

void stream_want_read(struct stream *stream, bool wants)
{
    if (stream->wants_read == wants || stream->fd < 0)
        return;
    stream->wants_read = wants;
    if (!stream->is_open)
        return; /* the handshake has the events; it looks at wants_read when done */
    if (!wants) {
        (void)event_del(&stream->readable);
        return;
    }
    await_readable(stream);
    if (stream->has_more || (stream->ssl != NULL && SSL_has_pending(stream->ssl)))
        read_again(stream);
}

enum stream_status stream_read(struct stream *stream, char *buffer, size_t capacity,
                               size_t *got)
{
    enum stream_status status = stream->io->read(stream, buffer, capacity, got);

    if (status == STREAM_OK)
        stream->bytes_read += *got;
    return status;
}

static bool put_in_queue(struct stream *stream, const struct iovec *vectors, int count,
                         size_t skip)
{
    bool was_empty = stream->queue.bytes == 0;

    if (!queue_append(&stream->queue, vectors, count, skip)) {
        break_off(stream, STREAM_NO_MEMORY, 0);
        return false;
    }
    if (was_empty && stream->queue.bytes > 0 && stream->is_open && !stream->is_corked)
        await_writable(stream);
    return true;
}

bool stream_write(struct stream *stream, const struct iovec *vectors, int count)
{
    size_t put = 0;

    if (stream->fault != STREAM_SOUND || stream->fd < 0)
        return false;
    if (stream->is_open && stream->queue.bytes == 0 && !stream->is_corked &&
        stream->io->write(stream, vectors, count, &put) == STREAM_FAILED) {
        tell_if_starved(stream);
        return false;
    }
    stream->bytes_written += put;
    if (put_in_queue(stream, vectors, count, put))
        return true;
    tell_if_starved(stream);
    return false;
}

void stream_cork(struct stream *stream)
{
    if (stream->queue.bytes == 0)
        stream->is_corked = true; /* else it waits for the socket anyway */
}

bool stream_uncork(struct stream *stream)
{
    if (!stream->is_corked)
        return true;
    stream->is_corked = false;
    if (!flush(stream)) {
        tell_if_starved(stream);
        return false;
    }
    if (stream->queue.bytes > 0)
        await_writable(stream);
    return true;
}

void stream_finish(struct stream *stream)
{
    if (stream->is_finishing || stream->fd < 0)
        return;
    stream->is_finishing = true;
    end_if_empty(stream);
}

/* A sound TLS connection says goodbye; that also keeps its session usable. */
static void close_tls(struct stream *stream)
{
    if (stream->ssl == NULL)
        return;
    if (stream->fault == STREAM_SOUND && stream->is_open && !stream->is_finishing)
        (void)SSL_shutdown(stream->ssl);
    SSL_free(stream->ssl);
    ERR_clear_error();
    stream->ssl = NULL;
}

void stream_close(struct stream *stream)
{
    if (stream->fd >= 0) {
        (void)event_del(&stream->readable);
        (void)event_del(&stream->writable);
        (void)event_del(&stream->again);
    }
    close_tls(stream);
    if (stream->fd >= 0)
        (void)close(stream->fd);
    stream->fd = -1;
    stream->wants_read = false;
    queue_clear(&stream->queue);
}

void stream_abort(struct stream *stream)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (stream->fd >= 0)
        (void)setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    if (stream->fault == STREAM_SOUND)
        stream->fault = STREAM_RESET; /* no close_notify: this is no orderly end */
    stream_close(stream);
}

void stream_describe_fault(const struct stream *stream, char *text, size_t len)
{
    long verdict = stream->ssl != NULL ? SSL_get_verify_result(stream->ssl) : X509_V_OK;

    switch (stream->fault) {
    case STREAM_SOUND:
        (void)snprintf(text, len, "no failure");
        break;
    case STREAM_CONNECT_FAILED:
    case STREAM_RESET:
        (void)snprintf(text, len, "%s", error_errno_text(stream->errnum));
        break;
    case STREAM_CUT:
        (void)snprintf(text, len, "the connection ended without TLS close_notify");
        break;
    case STREAM_TLS_PROTOCOL:
        (void)snprintf(text, len, "the peer does not speak TLS as we do");
        break;
    case STREAM_TLS_CERTIFICATE:
        (void)snprintf(text, len, "%s", X509_verify_cert_error_string(verdict));
        break;
    case STREAM_TLS_ALERT:
        (void)snprintf(text, len, "the peer refused the TLS handshake");
        break;
    case STREAM_NO_MEMORY:
        (void)snprintf(text, len, "out of memory");
        break;
    }
}
