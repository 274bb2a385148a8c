/*
 * A connection's bytes, plain or TLS behind one small interface. Reading is the owner's
 * move, when on_readable says so; writing goes straight to the socket while nothing is
 * queued, and what does not fit waits here.
 *
 * A plain stream is two events and a descriptor: it costs nothing while idle. TLS runs on
 * the descriptor directly (README, "Where this departs from the design").
 */
#ifndef PSGATE_NET_STREAM_H
#define PSGATE_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/socket.h>
#include <sys/uio.h>

#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "net/queue.h"
#include "net/worker.h"

/* Above HIGH the owner should stop feeding; on_drained comes when LOW is reached. */
enum { STREAM_HIGH_BYTES = 65536, STREAM_LOW_BYTES = 16384 };

enum stream_status {
    STREAM_OK,
    STREAM_AGAIN,  /* nothing to read now */
    STREAM_END,    /* the peer said that it has sent everything */
    STREAM_FAILED, /* broken: stream->fault says how */
};

enum stream_fault {
    STREAM_SOUND,
    STREAM_CONNECT_FAILED,
    STREAM_RESET, /* also every other failure of a read or write */
    STREAM_CUT,   /* TLS: the end came without close_notify */
    STREAM_TLS_PROTOCOL,
    STREAM_TLS_CERTIFICATE,
    STREAM_TLS_ALERT,
    STREAM_NO_MEMORY, /* ours or the kernel's; the peer knows nothing of it */
};

/* All are called from the event loop, never from within a call into the stream. */
struct stream_events {
    void (*on_open)(void *owner);     /* connected and, on TLS, verified; may be NULL */
    void (*on_readable)(void *owner); /* bytes, or the end, can be read */
    void (*on_drained)(void *owner);  /* what was queued is below the low mark */
    void (*on_failed)(void *owner);   /* broke while connecting or writing the queue, or
                                         memory was out (STREAM_NO_MEMORY) */
};

struct stream_io; /* how bytes get in and out: plain or TLS */

/* Owners read these fields; only stream.c and its ops write them. */
struct stream {
    struct worker *worker;
    const struct stream_io *io;
    const struct stream_events *events;
    void *owner;
    SSL *ssl; /* NULL iff plain */
    int fd;   /* -1 once closed */
    bool is_open, is_connecting, wants_read, is_finishing, has_more, is_corked;
    bool is_dry; /* TLS: in this read the socket has given all that it had */
    enum stream_fault fault;
    int errnum;           /* the errno behind CONNECT_FAILED and RESET */
    uint32_t retry_bytes; /* TLS: the record that must be written again as it was */
    uint64_t bytes_read, bytes_written;
    struct queue queue;
    struct event readable, writable;
    struct event
        again; /* what the socket does not tell: more can be read, or memory is out */
};

/*
 * Takes over an accepted, non-blocking descriptor; context non-NULL makes it the server's
 * end of TLS. False when memory is out: the descriptor is closed.
 */
bool stream_init_accepted(struct stream *stream, struct worker *worker, int fd,
                          SSL_CTX *context, const struct stream_events *events,
                          void *owner) MUST_CHECK;

/*
 * Makes an accepted plain stream, of which nothing is queued, the server's end of TLS
 * from its next byte on; on_open or on_failed follows. False when memory is out: the
 * owner closes it.
 */
bool stream_start_tls(struct stream *stream, SSL_CTX *context) MUST_CHECK;

/*
 * Starts connecting; on_open or on_failed follows. Takes ssl (NULL: plain), also when it
 * fails at once, which returns false with stream->fault set.
 */
bool stream_init_connecting(struct stream *stream, struct worker *worker,
                            const struct sockaddr *address, socklen_t address_len,
                            SSL *ssl, const struct stream_events *events,
                            void *owner) MUST_CHECK;

/* Turns on_readable on and off. Off also means that the peer's end is not noticed. */
void stream_want_read(struct stream *stream, bool wants);

/* Reads at most capacity bytes; *got is set on OK. */
enum stream_status stream_read(struct stream *stream, char *buffer, size_t capacity,
                               size_t *got);

/*
 * Sends the vectors' bytes, which are copied if they have to wait. False when the stream
 * broke: the owner closes it. If memory was out on_failed follows, until it is closed.
 */
bool stream_write(struct stream *stream, const struct iovec *vectors,
                  int count) MUST_CHECK;

/* While corked, what is written is only queued; uncork sends it. False: it broke. */
void stream_cork(struct stream *stream);
bool stream_uncork(struct stream *stream) MUST_CHECK;

static inline size_t stream_queued(const struct stream *stream)
{
    return stream->queue.bytes;
}

/* Says the end (FIN, close_notify) once the queue is empty. Nothing may be written after.
 */
void stream_finish(struct stream *stream);

/* Closes and frees what the stream holds. May be called twice; no callback follows. */
void stream_close(struct stream *stream);

/* The same, but the peer gets a reset: it must not take what it got for the whole. */
void stream_abort(struct stream *stream);

/* Words for stream->fault, with its cause. */
void stream_describe_fault(const struct stream *stream, char *text, size_t len);

#endif
