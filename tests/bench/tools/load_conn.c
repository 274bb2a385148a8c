#include "load_conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

/* What a body is read into; nobody looks at it. */
static char scrap[256 * 1024];

enum io { IO_OK, IO_AGAIN_READ, IO_AGAIN_WRITE, IO_END };

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct load_conn *conn = SSL_get_app_data(ssl);

    SSL_SESSION_free(conn->session);
    conn->session = session;
    return 1; /* it is ours now */
}

SSL_CTX *load_context_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1)
        return NULL;
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT |
                                                      SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    return context;
}

static bool begin_tls(struct load_conn *conn, const struct load_target *target)
{
    conn->ssl = SSL_new(target->context);
    if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1 ||
        SSL_set_tlsext_host_name(conn->ssl, target->host) != 1)
        return false;
    (void)SSL_set_app_data(conn->ssl, conn);
    SSL_set_connect_state(conn->ssl);
    return !target->resumes || conn->session == NULL ||
           SSL_set_session(conn->ssl, conn->session) == 1;
}

bool load_conn_open(struct load_conn *conn, const struct load_target *target)
{
    const int on = 1;

    conn->is_shaken = target->context == NULL;
    conn->is_resumed = false;
    conn->bytes = 0;
    load_conn_begin(conn);
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        return false;
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if ((connect(conn->fd, (const struct sockaddr *)&target->address,
                 sizeof(target->address)) == 0 ||
         errno == EINPROGRESS) &&
        (target->context == NULL || begin_tls(conn, target)))
        return true;
    load_conn_close(conn);
    return false;
}

void load_conn_close(struct load_conn *conn)
{
    if (conn->ssl != NULL) {
        ERR_clear_error();
        if (conn->is_shaken)
            (void)SSL_shutdown(conn->ssl);
        SSL_free(conn->ssl);
        conn->ssl = NULL;
    }
    if (conn->fd >= 0)
        (void)close(conn->fd);
    conn->fd = -1;
}

void load_conn_begin(struct load_conn *conn)
{
    conn->sent = conn->head_bytes = 0;
    conn->has_head = false;
    conn->body_left = 0;
}

static enum io tls_result(struct load_conn *conn, int result)
{
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_NONE:
        return IO_OK;
    case SSL_ERROR_WANT_READ:
        return IO_AGAIN_READ;
    case SSL_ERROR_WANT_WRITE:
        return IO_AGAIN_WRITE;
    default:
        return IO_END;
    }
}

static enum io shake_hands(struct load_conn *conn)
{
    enum io io;

    ERR_clear_error();
    io = tls_result(conn, SSL_do_handshake(conn->ssl));
    if (io == IO_OK) {
        conn->is_shaken = true;
        conn->is_resumed = SSL_session_reused(conn->ssl) == 1;
    }
    return io;
}

static enum io put(struct load_conn *conn, const char *bytes, size_t len, size_t *done)
{
    ssize_t sent;

    if (conn->ssl != NULL) {
        ERR_clear_error();
        return tls_result(conn, SSL_write_ex(conn->ssl, bytes, len, done));
    }
    sent = send(conn->fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == ENOTCONN ? IO_AGAIN_WRITE : IO_END;
    *done = (size_t)sent;
    return IO_OK;
}

static enum io get(struct load_conn *conn, char *bytes, size_t len, size_t *done)
{
    ssize_t got;

    if (conn->ssl != NULL) {
        enum io io;

        ERR_clear_error();
        io = tls_result(conn, SSL_read_ex(conn->ssl, bytes, len, done));
        conn->bytes += io == IO_OK ? *done : 0;
        return io;
    }
    got = recv(conn->fd, bytes, len, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN ? IO_AGAIN_READ : IO_END;
    *done = (size_t)got;
    conn->bytes += *done;
    return IO_OK;
}

/* The head is whole, and all that was read behind it is of the body. */
static bool judge_head(struct load_conn *conn, size_t behind)
{
    static const char length[] = "\r\ncontent-length:";
    unsigned long status = conn->head_bytes > 12 ? strtoul(conn->head + 9, NULL, 10) : 0;
    const char *field = strcasestr(conn->head, length);

    if (status < 200 || status >= 400)
        return false;
    if (status == 204 || status == 304)
        conn->body_left = 0;
    else if (field == NULL)
        return false;
    else
        conn->body_left = strtoull(field + sizeof(length) - 1, NULL, 10);
    if (conn->body_left < behind)
        return false;
    conn->body_left -= behind;
    conn->has_head = true;
    return true;
}

static enum io read_head(struct load_conn *conn)
{
    size_t got = 0, before = conn->head_bytes < 3 ? 0 : conn->head_bytes - 3;
    enum io io;
    const char *end;

    if (conn->head_bytes == LOAD_HEAD_BYTES - 1)
        return IO_END;
    io = get(conn, conn->head + conn->head_bytes, LOAD_HEAD_BYTES - 1 - conn->head_bytes,
             &got);
    if (io != IO_OK)
        return io;
    conn->head_bytes += got;
    conn->head[conn->head_bytes] = '\0';
    end = strstr(conn->head + before, "\r\n\r\n");
    if (end == NULL)
        return IO_OK;
    conn->head[end - conn->head + 2] = '\0'; /* a body's bytes are no fields */
    return judge_head(conn, conn->head_bytes - (size_t)(end + 4 - conn->head)) ? IO_OK
                                                                               : IO_END;
}

static enum io go_one_step(struct load_conn *conn, const struct load_target *target)
{
    size_t done = 0;
    enum io io;

    if (!conn->is_shaken)
        return shake_hands(conn);
    if (conn->sent < target->request_bytes) {
        io = put(conn, target->request + conn->sent, target->request_bytes - conn->sent,
                 &done);
        conn->sent += io == IO_OK ? done : 0;
        return io;
    }
    if (!conn->has_head)
        return read_head(conn);
    io = get(conn, scrap,
             conn->body_left < sizeof(scrap) ? (size_t)conn->body_left : sizeof(scrap),
             &done);
    conn->body_left -= io == IO_OK ? done : 0;
    return io;
}

enum load_step load_conn_go_on(struct load_conn *conn, const struct load_target *target,
                               bool *wants_write)
{
    while (!conn->has_head || conn->body_left > 0) {
        switch (go_one_step(conn, target)) {
        case IO_OK:
            break;
        case IO_AGAIN_READ:
            *wants_write = false;
            return LOAD_WAITING;
        case IO_AGAIN_WRITE:
            *wants_write = true;
            return LOAD_WAITING;
        case IO_END:
            return LOAD_FAILED;
        }
    }
    return LOAD_ANSWERED;
}
