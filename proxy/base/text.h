/*
 * Text that grows, and JSON written into it. One failed allocation marks the text as
 * failed and everything after it is dropped, so that callers check once, at the end.
 */
#ifndef PSGATE_BASE_TEXT_H
#define PSGATE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

struct text {
    char *bytes; /* NUL-terminated once anything was added */
    size_t len;
    size_t capacity;
    bool failed; /* memory was out: bytes holds what fitted */
};

/* An all-zero struct text is empty and ready; fini frees and makes it so again. */
void text_fini(struct text *text);
void text_clear(struct text *text);

/* Makes room for so many more bytes. False, and failed, when memory is out. */
bool text_reserve(struct text *text, size_t len);

/* Mostly it fits into what is there, and then costs no call. */
void text_add_slowly(struct text *text, struct span bytes);

static inline void text_add(struct text *text, struct span bytes)
{
    if (bytes.len >= text->capacity - text->len || text->failed) {
        text_add_slowly(text, bytes);
        return;
    }
    if (bytes.len > 0)
        memcpy(text->bytes + text->len, bytes.at, bytes.len);
    text->len += bytes.len;
    text->bytes[text->len] = '\0';
}

static inline void text_add_byte(struct text *text, char byte)
{
    text_add(text, span_make(&byte, 1));
}

void text_add_format(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);

/* Adds a decimal number: for where it is done often. */
void text_add_number(struct text *text, int64_t number);

/*
 * Adds a JSON string with its quotes. Control bytes are escaped, invalid UTF-8 becomes
 * U+FFFD: whatever a peer sent, the line stays one line of valid JSON.
 */
void text_add_json_string(struct text *text, struct span value);

/*
 * A flat JSON object member after another: writes the comma when the text does not end in
 * '{', then "key": and the value. Keys are literals of ours and are not escaped.
 */
void text_add_member(struct text *text, const char *key, struct span value);
void text_add_member_number(struct text *text, const char *key, int64_t value);

/* Adds bytes with everything but printable ASCII as \xNN: peer bytes in readable logs. */
void text_add_escaped(struct text *text, struct span value);

/*
 * The length of the valid UTF-8 sequence at the start of bytes (1 to 4), or 0 when there
 * is none (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
 */
size_t text_utf8_length(struct span bytes);

#endif
