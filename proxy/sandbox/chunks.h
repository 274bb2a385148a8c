/*
 * A body in chunked coding (RFC 9112 7.1), read strictly. libevhtp reads it too, but
 * closes on extensions, ends a request at the first line of a trailer, and lets sizes
 * overflow; so it is given the chunks alone, framed anew.
 */
#ifndef PSGATE_SANDBOX_CHUNKS_H
#define PSGATE_SANDBOX_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum sandbox_chunks_state {
    CHUNKS_SIZE_START, /* before the first digit of a size */
    CHUNKS_SIZE,       /* after a digit */
    CHUNKS_EXTENSION,  /* in ";name=value", which is dropped */
    CHUNKS_SIZE_LF,    /* after the CR of a size line */
    CHUNKS_DATA,       /* left bytes of the chunk are to come */
    CHUNKS_DATA_CR,    /* after the chunk's last byte */
    CHUNKS_DATA_LF,
    CHUNKS_TRAILER_START, /* after the last chunk, or a line of the trailer */
    CHUNKS_TRAILER,       /* in a line of the trailer, which is dropped */
    CHUNKS_TRAILER_LF,
    CHUNKS_END_LF, /* after the CR of the empty line */
    CHUNKS_OVER,
};

/* Where a reader stands; all zero is the start of a body. */
struct sandbox_chunks {
    enum sandbox_chunks_state state;
    uint64_t left;   /* of the chunk */
    size_t overhead; /* bytes of the size line, or of the trailer, so far */
};

enum sandbox_chunks_result {
    SANDBOX_CHUNKS_MORE, /* *bytes is used up and the body goes on */
    SANDBOX_CHUNKS_DATA, /* *data is the next run of the body */
    SANDBOX_CHUNKS_END,  /* the body is over; what is left in *bytes follows it */
    SANDBOX_CHUNKS_BAD,
};

/* Reads on in *bytes and moves it past what was read. *data points into it. */
enum sandbox_chunks_result sandbox_chunks_read(struct sandbox_chunks *chunks,
                                               struct span *bytes, struct span *data);

#endif
