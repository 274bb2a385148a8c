#include <errno.h>
#include <sys/socket.h>

#include "net/stream_internal.h"

static enum stream_status fail(struct stream *stream, int errnum)
{
    if (errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR)
        return STREAM_AGAIN;
    stream->fault = STREAM_RESET;
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

static enum stream_status plain_write(struct stream *stream, const struct iovec *vectors,
                                      int count, size_t *put)
{
    struct msghdr message = {.msg_iovlen = (size_t)count};
    ssize_t n;

    message.msg_iov = (struct iovec *)(uintptr_t)vectors; /* sendmsg only reads it */
    n = sendmsg(stream->fd, &message, MSG_NOSIGNAL);
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
