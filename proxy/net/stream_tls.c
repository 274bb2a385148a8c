#include <errno.h>
#include <string.h>

#include <openssl/err.h>

#include "base/crypto_error.h"
#include "base/secret.h"
#include "net/stream_internal.h"
#include "net/tls.h"

/* A connection's failure after its handshake; during it, certificates may be the cause.
 */
static enum stream_status fail(struct stream *stream, int result, int errnum)
{
    unsigned long code = ERR_peek_last_error();

    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        ERR_clear_error();
        return STREAM_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return STREAM_END;
    case SSL_ERROR_SYSCALL:
        stream->fault = errnum != 0 ? stream_fault_of(errnum) : STREAM_CUT;
        stream->errnum = errnum;
        break;
    default:
        if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            stream->fault = STREAM_CUT;
        else
            stream->fault =
                crypto_error_was_memory() ? STREAM_NO_MEMORY : STREAM_TLS_PROTOCOL;
    }
    ERR_clear_error();
    return STREAM_FAILED;
}

static enum stream_status tls_read(struct stream *stream, char *buffer, size_t capacity,
                                   size_t *got)
{
    size_t used = 0;

    stream->has_more = stream->is_dry = false;
    while (used < capacity) {
        int n;

        ERR_clear_error();
        errno = 0;
        n = SSL_read(stream->ssl, buffer + used, (int)(capacity - used));
        if (n <= 0) {
            enum stream_status status;

            if (used > 0 && SSL_get_error(stream->ssl, n) != SSL_ERROR_WANT_READ)
                stream->has_more = true; /* the end: told at the next read */
            if (used > 0)
                break;
            status = fail(stream, n, errno);
            return status;
        }
        used += (size_t)n;
    }
    ERR_clear_error();
    stream->has_more |= used == capacity;
    *got = used;
    return STREAM_OK;
}

/*
 * One record's plaintext: the first bytes of the vectors, at most a record's worth. Used
 * where they lie when they lie together, else gathered. A record that was refused before
 * must come again with the same length.
 */
static struct span next_record(const struct stream *stream, const struct iovec *vectors,
                               int count, size_t skip, bool *is_gathered)
{
    size_t wanted = stream->retry_bytes > 0 ? stream->retry_bytes : WORKER_RECORD_BYTES;
    char *record = stream->worker->record;
    size_t used = 0;

    *is_gathered = false;
    for (int i = 0; i < count && used < wanted; i++) {
        const char *at = vectors[i].iov_base;
        size_t len = vectors[i].iov_len;

        if (skip >= len) {
            skip -= len;
            continue;
        }
        at += skip;
        len -= skip;
        skip = 0;
        if (used == 0 && (len >= wanted || i == count - 1))
            return span_make(at, len < wanted ? len : wanted);
        len = len < wanted - used ? len : wanted - used;
        memcpy(record + used, at, len);
        used += len;
        *is_gathered = true;
    }
    return span_make(record, used);
}

static enum stream_status tls_write(struct stream *stream, const struct iovec *vectors,
                                    int count, size_t *put)
{
    *put = 0;
    for (;;) {
        enum stream_status status;
        bool is_gathered;
        struct span record = next_record(stream, vectors, count, *put, &is_gathered);
        int n, errnum;

        if (record.len == 0)
            return STREAM_OK;
        ERR_clear_error();
        errno = 0;
        n = SSL_write(stream->ssl, record.at, (int)record.len);
        errnum = errno;
        if (is_gathered && stream->queue.is_sensitive)
            secret_cleanse(stream->worker->record, record.len);
        if (n > 0) {
            stream->retry_bytes = 0;
            *put += (size_t)n;
            continue;
        }
        status = fail(stream, n, errnum);
        if (status == STREAM_AGAIN)
            stream->retry_bytes = (uint32_t)record.len;
        else if (status == STREAM_END)
            stream->fault = STREAM_RESET;
        return status == STREAM_AGAIN ? STREAM_AGAIN : STREAM_FAILED;
    }
}

static void note_handshake_failure(struct stream *stream)
{
    char text[256];

    switch (tls_describe_failure(stream->ssl, text, sizeof(text))) {
    case TLS_FAILURE_CERTIFICATE:
        stream->fault = STREAM_TLS_CERTIFICATE;
        break;
    case TLS_FAILURE_ALERT:
        stream->fault = STREAM_TLS_ALERT;
        break;
    case TLS_FAILURE_PROTOCOL:
        stream->fault = STREAM_TLS_PROTOCOL;
        break;
    }
}

static enum stream_status tls_handshake(struct stream *stream, bool *wants_write)
{
    int result, errnum, why;

    stream->is_dry = false;
    ERR_clear_error();
    errno = 0;
    result = SSL_do_handshake(stream->ssl);
    errnum = errno;
    if (result == 1) {
        /* The handshake fails on a bad certificate; this says so once more. */
        if (SSL_get_verify_result(stream->ssl) == X509_V_OK)
            return STREAM_OK;
        stream->fault = STREAM_TLS_CERTIFICATE;
        return STREAM_FAILED;
    }
    why = SSL_get_error(stream->ssl, result);
    *wants_write = why == SSL_ERROR_WANT_WRITE;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return STREAM_AGAIN;
    if (why == SSL_ERROR_SSL &&
        ERR_GET_REASON(ERR_peek_last_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
        note_handshake_failure(stream);
    else
        (void)fail(stream, result, errnum);
    ERR_clear_error();
    return STREAM_FAILED;
}

static void tls_say_end(struct stream *stream)
{
    ERR_clear_error();
    if (SSL_is_init_finished(stream->ssl))
        (void)SSL_shutdown(stream->ssl);
    ERR_clear_error();
    (void)shutdown(stream->fd, SHUT_WR);
}

const struct stream_io stream_tls_io = {tls_read, tls_write, tls_handshake, tls_say_end};
