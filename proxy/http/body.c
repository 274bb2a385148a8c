#include "http/body.h"

#include "http/chars.h"

/* A chunk-size line with its extensions may be this long; extensions carry no content. */
enum { MAX_CHUNK_LINE = 4096 };

static bool refuse(enum http_fault *fault, enum http_fault what)
{
    *fault = what;
    return false;
}

/* RFC 9112 6.1: exactly one "chunked", nothing else is understood. */
static bool check_coding(const struct http_head *head, const struct http_field *field,
                         unsigned count, enum http_fault *fault)
{
    struct span list = http_field_value(head, field);
    struct span element, last = {0};
    unsigned elements = 0, chunked = 0;

    if (head->minor == 0)
        return refuse(fault, HTTP_FAULT_CODING_IN_1_0);
    if (count > 1)
        return refuse(fault, HTTP_FAULT_CODING_INVALID);
    if (span_equal_nocase(list, SPAN("chunked")))
        return true;
    while (http_list_next(&list, &element)) {
        elements++;
        chunked += span_equal_nocase(element, SPAN("chunked"));
        last = element;
    }
    if (elements > 1 && chunked == 1 && span_equal_nocase(last, SPAN("chunked")))
        return refuse(fault, HTTP_FAULT_CODING_UNSUPPORTED);
    return refuse(fault, HTTP_FAULT_CODING_INVALID);
}

/* What the framing fields say; *framing is NONE when there are none (RFC 9112 6.3). */
static bool read_framing_fields(const struct http_head *head, enum http_framing *framing,
                                uint64_t *length, enum http_fault *fault)
{
    unsigned lengths, codings;
    const struct http_field *length_field =
        http_head_find(head, HTTP_FIELD_CONTENT_LENGTH, &lengths);
    const struct http_field *coding_field =
        http_head_find(head, HTTP_FIELD_TRANSFER_ENCODING, &codings);

    *framing = HTTP_FRAMING_NONE;
    *length = 0;
    if (lengths > 0 && codings > 0)
        return refuse(fault, HTTP_FAULT_LENGTH_AND_CODING);
    if (lengths > 1)
        return refuse(fault, HTTP_FAULT_LENGTH_REPEATED);
    if (codings > 0) {
        *framing = HTTP_FRAMING_CHUNKED;
        return check_coding(head, coding_field, codings, fault);
    }
    if (lengths > 0) {
        *framing = HTTP_FRAMING_LENGTH;
        if (!span_to_number(http_field_value(head, length_field), INT64_MAX, length))
            return refuse(fault, HTTP_FAULT_LENGTH_INVALID);
    }
    return true;
}

bool http_request_framing(const struct http_head *head, enum http_framing *framing,
                          uint64_t *length, enum http_fault *fault)
{
    return read_framing_fields(head, framing, length, fault);
}

bool http_response_framing(const struct http_head *head, bool to_head_request,
                           enum http_framing *framing, uint64_t *length,
                           enum http_fault *fault)
{
    if (!read_framing_fields(head, framing, length, fault))
        return false;
    if (to_head_request || head->status < 200 || head->status == 204 ||
        head->status == 304)
        *framing = HTTP_FRAMING_NONE;
    else if (*framing == HTTP_FRAMING_NONE)
        *framing = HTTP_FRAMING_UNTIL_CLOSE;
    return true;
}

void http_body_init(struct http_body *body, enum http_framing framing, uint64_t length,
                    uint32_t max_trailer_bytes, uint16_t max_trailer_fields)
{
    *body = (struct http_body){
        .framing = framing,
        .left = length,
        .is_done = framing == HTTP_FRAMING_NONE ||
                   (framing == HTTP_FRAMING_LENGTH && length == 0),
        .max_trailer_bytes = max_trailer_bytes,
        .max_trailer_fields = max_trailer_fields,
    };
}

void http_body_fini(struct http_body *body)
{
    text_fini(&body->trailer_bytes);
    http_head_fini(&body->trailers);
}

static enum http_body_step fail(struct http_body *body, enum http_fault fault)
{
    body->fault = fault;
    return HTTP_BODY_BAD;
}

static void advance(struct span *input, size_t by)
{
    input->at += by;
    input->len -= by;
}

/* Takes as much content as is there, at most what is left. */
static enum http_body_step take_content(struct http_body *body, struct span *input,
                                        struct span *content)
{
    size_t len = input->len < body->left ? input->len : (size_t)body->left;

    *content = span_make(input->at, len);
    advance(input, len);
    body->left -= len;
    return HTTP_BODY_CONTENT;
}

static bool add_size_digit(struct http_body *body, char digit)
{
    if (body->left > (UINT64_MAX >> 5))
        return false;
    body->left = body->left << 4 | http_hex_value(digit);
    return true;
}

/* What may follow the digits of a chunk's size (RFC 9112 7.1, 7.1.1). */
static enum http_fault after_size(struct http_body *body, char byte)
{
    switch (byte) {
    case '\r':
        body->state = HTTP_CHUNK_SIZE_LF;
        return HTTP_FAULT_NONE;
    case ';':
        body->state = HTTP_CHUNK_EXTENSION;
        return HTTP_FAULT_NONE;
    case ' ':
    case '\t':
        body->state = HTTP_CHUNK_BLANK;
        return HTTP_FAULT_NONE;
    default:
        return HTTP_FAULT_CHUNK_SIZE;
    }
}

/* Extensions are read past, not understood; only their quoting matters for the end. */
static enum http_fault in_extension(struct http_body *body, char byte)
{
    if (byte == '\r')
        body->state = HTTP_CHUNK_SIZE_LF;
    else if (byte == '"')
        body->state = HTTP_CHUNK_QUOTED;
    else if (!http_is(byte, HTTP_CHAR_TOKEN) && byte != ';' && byte != '=' &&
             byte != ' ' && byte != '\t')
        return HTTP_FAULT_CHUNK_EXTENSION;
    return HTTP_FAULT_NONE;
}

static enum http_fault in_quoted(struct http_body *body, char byte)
{
    if (!http_is(byte, HTTP_CHAR_TEXT))
        return HTTP_FAULT_CHUNK_EXTENSION;
    if (body->state == HTTP_CHUNK_QUOTED_PAIR)
        body->state = HTTP_CHUNK_QUOTED;
    else if (byte == '\\')
        body->state = HTTP_CHUNK_QUOTED_PAIR;
    else if (byte == '"')
        body->state = HTTP_CHUNK_EXTENSION;
    return HTTP_FAULT_NONE;
}

static enum http_fault end_size_line(struct http_body *body, char byte)
{
    if (byte != '\n')
        return HTTP_FAULT_CHUNK_SIZE;
    body->state = body->left > 0 ? HTTP_CHUNK_DATA : HTTP_CHUNK_TRAILERS;
    body->line_bytes = 0;
    return HTTP_FAULT_NONE;
}

/* One byte of the coding's own lines: everything but data and trailers. */
static enum http_fault read_coding_byte(struct http_body *body, char byte)
{
    switch (body->state) {
    case HTTP_CHUNK_SIZE_FIRST:
    case HTTP_CHUNK_SIZE:
        if (http_is(byte, HTTP_CHAR_HEX)) {
            body->state = HTTP_CHUNK_SIZE;
            return add_size_digit(body, byte) ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_SIZE;
        }
        if (body->state == HTTP_CHUNK_SIZE_FIRST)
            return HTTP_FAULT_CHUNK_SIZE;
        return after_size(body, byte);
    case HTTP_CHUNK_BLANK:
        return byte == '\r' ? HTTP_FAULT_CHUNK_SIZE : after_size(body, byte);
    case HTTP_CHUNK_EXTENSION:
        return in_extension(body, byte);
    case HTTP_CHUNK_QUOTED:
    case HTTP_CHUNK_QUOTED_PAIR:
        return in_quoted(body, byte);
    case HTTP_CHUNK_SIZE_LF:
        return end_size_line(body, byte);
    case HTTP_CHUNK_DATA_CR:
        body->state = HTTP_CHUNK_DATA_LF;
        return byte == '\r' ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_END;
    case HTTP_CHUNK_DATA_LF:
        body->state = HTTP_CHUNK_SIZE_FIRST;
        return byte == '\n' ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_END;
    case HTTP_CHUNK_DATA:
    case HTTP_CHUNK_TRAILERS:
        break;
    }
    return HTTP_FAULT_NONE;
}

static enum http_body_step finish(struct http_body *body)
{
    body->is_done = true;
    return HTTP_BODY_DONE;
}

/* Copies input up to the trailer section's end and parses it as it grows (RFC
 * 9112 7.1.2). */
static enum http_body_step read_trailers(struct http_body *body, struct span *input)
{
    size_t before = body->trailer_bytes.len;
    size_t room = body->max_trailer_bytes - before;
    size_t take = input->len < room ? input->len : room;

    if (input->len == 0)
        return HTTP_BODY_MORE;
    if (body->trailers.fields == NULL) {
        if (!http_head_init(&body->trailers, body->max_trailer_fields))
            return fail(body, HTTP_FAULT_NO_MEMORY);
        http_head_reset(&body->trailers, HTTP_TRAILERS);
    }
    text_add(&body->trailer_bytes, span_make(input->at, take));
    if (body->trailer_bytes.failed)
        return fail(body, HTTP_FAULT_NO_MEMORY);
    switch (http_head_parse(&body->trailers, body->trailer_bytes.bytes,
                            body->trailer_bytes.len, body->max_trailer_bytes)) {
    case HTTP_PARSE_DONE:
        advance(input, body->trailers.len - before);
        return finish(body);
    case HTTP_PARSE_MORE:
        advance(input, take);
        return HTTP_BODY_MORE;
    case HTTP_PARSE_BAD:
        break;
    }
    return fail(body, body->trailers.fault);
}

static enum http_body_step read_chunked(struct http_body *body, struct span *input,
                                        struct span *content)
{
    for (;;) {
        enum http_fault fault;

        if (body->state == HTTP_CHUNK_TRAILERS)
            return read_trailers(body, input);
        if (input->len == 0)
            return HTTP_BODY_MORE;
        if (body->state == HTTP_CHUNK_DATA) {
            (void)take_content(body, input, content);
            if (body->left == 0)
                body->state = HTTP_CHUNK_DATA_CR;
            return HTTP_BODY_CONTENT;
        }
        fault = read_coding_byte(body, input->at[0]);
        if (fault != HTTP_FAULT_NONE)
            return fail(body, fault);
        if (++body->line_bytes > MAX_CHUNK_LINE)
            return fail(body, HTTP_FAULT_CHUNK_EXTENSION);
        advance(input, 1);
    }
}

static enum http_body_step read_length(struct http_body *body, struct span *input,
                                       struct span *content)
{
    if (body->left == 0)
        return finish(body);
    return input->len == 0 ? HTTP_BODY_MORE : take_content(body, input, content);
}

static enum http_body_step read_until_close(struct span *input, struct span *content)
{
    if (input->len == 0)
        return HTTP_BODY_MORE;
    *content = *input;
    advance(input, input->len);
    return HTTP_BODY_CONTENT;
}

enum http_body_step http_body_read(struct http_body *body, struct span *input,
                                   struct span *content)
{
    if (body->is_done)
        return HTTP_BODY_DONE;
    switch (body->framing) {
    case HTTP_FRAMING_LENGTH:
        return read_length(body, input, content);
    case HTTP_FRAMING_CHUNKED:
        return read_chunked(body, input, content);
    case HTTP_FRAMING_UNTIL_CLOSE:
        return read_until_close(input, content);
    case HTTP_FRAMING_NONE:
        break;
    }
    return HTTP_BODY_DONE;
}

bool http_body_ends_at_close(struct http_body *body)
{
    if (body->framing == HTTP_FRAMING_UNTIL_CLOSE)
        body->is_done = true;
    return body->is_done;
}
