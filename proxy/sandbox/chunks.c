#include "sandbox/chunks.h"

#include <stdbool.h>

/* The longest size line and the longest trailer that are read. */
#define OVERHEAD_MAX 8192

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool add_digit(struct sandbox_chunks *chunks, char byte)
{
    int value = hex_value(byte);

    if (value < 0 || chunks->left > (UINT64_MAX >> 4))
        return false;
    chunks->left = chunks->left << 4 | (uint64_t)value;
    chunks->state = CHUNKS_SIZE;
    return true;
}

static bool expect(struct sandbox_chunks *chunks, char byte, char wanted,
                   enum sandbox_chunks_state next)
{
    chunks->state = next;
    return byte == wanted;
}

/* A byte of text that ends with CR. */
static bool skip_text(struct sandbox_chunks *chunks, char byte,
                      enum sandbox_chunks_state after_cr)
{
    unsigned char c = (unsigned char)byte;

    if (byte == '\r')
        chunks->state = after_cr;
    return byte == '\r' || byte == '\t' || (c >= ' ' && c != 0x7f);
}

static bool take_size_byte(struct sandbox_chunks *chunks, char byte)
{
    if (byte == '\r')
        return expect(chunks, byte, '\r', CHUNKS_SIZE_LF);
    if (byte == ';')
        return expect(chunks, byte, ';', CHUNKS_EXTENSION);
    return add_digit(chunks, byte);
}

static bool end_size_line(struct sandbox_chunks *chunks, char byte)
{
    chunks->overhead = 0;
    return expect(chunks, byte, '\n',
                  chunks->left > 0 ? CHUNKS_DATA : CHUNKS_TRAILER_START);
}

static bool start_trailer_line(struct sandbox_chunks *chunks, char byte)
{
    if (byte == '\r')
        return expect(chunks, byte, '\r', CHUNKS_END_LF);
    chunks->state = CHUNKS_TRAILER;
    return skip_text(chunks, byte, CHUNKS_TRAILER_LF);
}

/* Takes a byte that is not of a chunk's data; false when it cannot stand there. */
static bool take_byte(struct sandbox_chunks *chunks, char byte)
{
    if (++chunks->overhead > OVERHEAD_MAX)
        return false;
    switch (chunks->state) {
    case CHUNKS_SIZE_START:
        return add_digit(chunks, byte);
    case CHUNKS_SIZE:
        return take_size_byte(chunks, byte);
    case CHUNKS_EXTENSION:
        return skip_text(chunks, byte, CHUNKS_SIZE_LF);
    case CHUNKS_SIZE_LF:
        return end_size_line(chunks, byte);
    case CHUNKS_DATA_CR:
        return expect(chunks, byte, '\r', CHUNKS_DATA_LF);
    case CHUNKS_DATA_LF:
        chunks->overhead = 0;
        return expect(chunks, byte, '\n', CHUNKS_SIZE_START);
    case CHUNKS_TRAILER_START:
        return start_trailer_line(chunks, byte);
    case CHUNKS_TRAILER:
        return skip_text(chunks, byte, CHUNKS_TRAILER_LF);
    case CHUNKS_TRAILER_LF:
        return expect(chunks, byte, '\n', CHUNKS_TRAILER_START);
    case CHUNKS_END_LF:
        return expect(chunks, byte, '\n', CHUNKS_OVER);
    case CHUNKS_DATA:
    case CHUNKS_OVER:
        break;
    }
    return false;
}

static void take_data(struct sandbox_chunks *chunks, struct span *bytes,
                      struct span *data)
{
    size_t len = chunks->left < bytes->len ? (size_t)chunks->left : bytes->len;

    *data = span_make(bytes->at, len);
    *bytes = span_make(bytes->at + len, bytes->len - len);
    chunks->left -= len;
    if (chunks->left == 0)
        chunks->state = CHUNKS_DATA_CR;
}

enum sandbox_chunks_result sandbox_chunks_read(struct sandbox_chunks *chunks,
                                               struct span *bytes, struct span *data)
{
    while (bytes->len > 0 && chunks->state != CHUNKS_OVER) {
        char byte = bytes->at[0];

        if (chunks->state == CHUNKS_DATA) {
            take_data(chunks, bytes, data);
            return SANDBOX_CHUNKS_DATA;
        }
        *bytes = span_make(bytes->at + 1, bytes->len - 1);
        if (!take_byte(chunks, byte))
            return SANDBOX_CHUNKS_BAD;
    }
    return chunks->state == CHUNKS_OVER ? SANDBOX_CHUNKS_END : SANDBOX_CHUNKS_MORE;
}
