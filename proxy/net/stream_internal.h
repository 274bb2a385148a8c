/* What the two kinds of stream offer to stream.c. */
#ifndef PSGATE_NET_STREAM_INTERNAL_H
#define PSGATE_NET_STREAM_INTERNAL_H

#include <errno.h>

#include "net/stream.h"

struct stream_io {
    /* OK: more was moved. AGAIN: wait. FAILED: fault is set. END: only from read. */
    enum stream_status (*read)(struct stream *stream, char *buffer, size_t capacity,
                               size_t *got);
    /* *put counts what went out, also when AGAIN or FAILED is returned. */
    enum stream_status (*write)(struct stream *stream, const struct iovec *vectors,
                                int count, size_t *put);
    /* OK: the connection is ready for data. *wants_write: which event to wait for. */
    enum stream_status (*handshake)(struct stream *stream, bool *wants_write);
    void (*say_end)(struct stream *stream);
};

/* What a read or write that failed with this says of the connection. */
static inline enum stream_fault stream_fault_of(int errnum)
{
    return errnum == ENOMEM || errnum == ENOBUFS ? STREAM_NO_MEMORY : STREAM_RESET;
}

extern const struct stream_io stream_plain_io;
extern const struct stream_io stream_tls_io;

#endif
