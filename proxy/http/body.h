/*
 * How long a message's body is (RFC 9112 6) and reading it. Framing is decided once, from
 * the head; what two readers could understand in two ways is refused.
 */
#ifndef PSGATE_HTTP_BODY_H
#define PSGATE_HTTP_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "http/head.h"

enum http_framing {
    HTTP_FRAMING_NONE,
    HTTP_FRAMING_LENGTH,
    HTTP_FRAMING_CHUNKED,
    HTTP_FRAMING_UNTIL_CLOSE, /* responses only */
};

/*
 * The framing of a request's or response's body; *length is set for LENGTH. A response to
 * HEAD, and one with 1xx, 204 or 304, has none. NULL-safe faults: returns false and sets
 * *fault when the head contradicts itself.
 */
bool http_request_framing(const struct http_head *head, enum http_framing *framing,
                          uint64_t *length, enum http_fault *fault);
bool http_response_framing(const struct http_head *head, bool to_head_request,
                           enum http_framing *framing, uint64_t *length,
                           enum http_fault *fault);

enum http_body_step {
    HTTP_BODY_CONTENT, /* a run of content; call again */
    HTTP_BODY_MORE,    /* all input was used up */
    HTTP_BODY_DONE, /* complete; what is left of the input belongs to the next message */
    HTTP_BODY_BAD,
};

/* The states of the chunked coding's reader (RFC 9112 7.1), in the order they occur. */
enum http_chunk_state {
    HTTP_CHUNK_SIZE_FIRST, /* the first digit of chunk-size must come */
    HTTP_CHUNK_SIZE,       /* more digits, or what ends them */
    HTTP_CHUNK_BLANK,      /* white space after the size: only ';' may follow */
    HTTP_CHUNK_EXTENSION,
    HTTP_CHUNK_QUOTED, /* inside an extension's quoted string */
    HTTP_CHUNK_QUOTED_PAIR,
    HTTP_CHUNK_SIZE_LF, /* the LF that ends the size's line */
    HTTP_CHUNK_DATA,
    HTTP_CHUNK_DATA_CR,
    HTTP_CHUNK_DATA_LF,
    HTTP_CHUNK_TRAILERS,
};

struct http_body {
    enum http_framing framing;
    enum http_chunk_state state;
    uint64_t left;       /* of the length, or of the present chunk */
    uint32_t line_bytes; /* of the present chunk-size line, to bound extensions */
    bool is_done;
    enum http_fault fault;
    uint32_t max_trailer_bytes;
    uint16_t max_trailer_fields;
    struct text trailer_bytes;
    struct http_head trailers; /* when done: the trailer fields, if any */
};

/* Starts reading a body. Trailers beyond the limits are a fault. */
void http_body_init(struct http_body *body, enum http_framing framing, uint64_t length,
                    uint32_t max_trailer_bytes, uint16_t max_trailer_fields);
void http_body_fini(struct http_body *body);

/*
 * Takes input off *input. CONTENT: *content is a run of the body, pointing into the
 * input. A body of framing NONE or of length 0 is DONE at once.
 */
enum http_body_step http_body_read(struct http_body *body, struct span *input,
                                   struct span *content);

/* The input ended: whether the body was complete with that. */
bool http_body_ends_at_close(struct http_body *body);

#endif
