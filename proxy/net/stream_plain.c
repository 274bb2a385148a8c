#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/stream_internal.h"

enum { MOST_GATHERED_BYTES = 2048 };

static enum stream_status fail(struct stream *stream, int errnum)
{
    if (errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR)
        return STREAM_AGAIN;
    stream->fault = stream_fault_of(errnum);
    stream->errnum = errnum;
    return STREAM_FAILED;
}

static enum stream_status plain_read(struct stream *stream, char *buffer, size_t capacity,
                                     size_t *got)
{
    ssize_t n = recv(stream->fd, buffer, capacity, 0);

    if (n < 0)
        return fail(stream, errno);
    *got = (size_t)n;
    return n == 0 ? STREAM_END : STREAM_OK;
}

static size_t bytes_of(const struct iovec *vectors, int count)
{
    size_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += vectors[i].iov_len;
    return bytes;
}

/* A few small vectors are copied together: that costs less than each costs the kernel. */
static ssize_t send_gathered(int fd, const struct iovec *vectors, int count)
{
    char whole[MOST_GATHERED_BYTES];
    size_t len = 0;

    for (int i = 0; i < count; i++) {
        if (vectors[i].iov_len > 0)
            memcpy(whole + len, vectors[i].iov_base, vectors[i].iov_len);
        len += vectors[i].iov_len;
    }
    return send(fd, whole, len, MSG_NOSIGNAL);
}

static ssize_t send_vectors(int fd, const struct iovec *vectors, int count)
{
    struct msghdr message = {.msg_iovlen = (size_t)count};

    message.msg_iov = (struct iovec *)(uintptr_t)vectors; /* sendmsg only reads it */
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static enum stream_status plain_write(struct stream *stream, const struct iovec *vectors,
                                      int count, size_t *put)
{
    /* The API key is among what is sensitive: no copy of it on the stack. */
    bool is_gathered =
        !stream->queue.is_sensitive && bytes_of(vectors, count) <= MOST_GATHERED_BYTES;
    ssize_t n = is_gathered ? send_gathered(stream->fd, vectors, count)
                            : send_vectors(stream->fd, vectors, count);

    *put = 0;
    if (n < 0)
        return fail(stream, errno);
    *put = (size_t)n;
    return STREAM_OK;
}

static enum stream_status plain_handshake(struct stream *stream, bool *wants_write)
{
    (void)stream;
    *wants_write = false;
    return STREAM_OK;
}

static void plain_say_end(struct stream *stream)
{
    (void)shutdown(stream->fd, SHUT_WR);
}

const struct stream_io stream_plain_io = {plain_read, plain_write, plain_handshake,
                                          plain_say_end};
