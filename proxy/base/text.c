#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

void text_fini(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->len = 0;
    text->failed = false;
    if (text->bytes != NULL)
        text->bytes[0] = '\0';
}

/* Makes room for len more bytes and a NUL. */
bool text_reserve(struct text *text, size_t len)
{
    size_t wanted = text->len + len + 1;
    size_t capacity = text->capacity < 64 ? 64 : text->capacity;
    char *bytes;

    if (text->failed)
        return false;
    if (wanted <= text->capacity)
        return true;
    while (capacity < wanted)
        capacity *= 2;
    bytes = realloc(text->bytes, capacity);
    if (bytes == NULL) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void text_add_slowly(struct text *text, struct span bytes)
{
    if (!text_reserve(text, bytes.len))
        return;
    if (bytes.len > 0)
        memcpy(text->bytes + text->len, bytes.at, bytes.len);
    text->len += bytes.len;
    text->bytes[text->len] = '\0';
}

void text_add_format(struct text *text, const char *format, ...)
{
    size_t room = text->failed ? 0 : text->capacity - text->len;
    va_list args, again;
    int len;

    va_start(args, format);
    va_copy(again, args);
    /* Mostly it fits into what is there. */
    len = vsnprintf(room > 0 ? text->bytes + text->len : NULL, room, format, args);
    if (len >= 0 && (size_t)len >= room && text_reserve(text, (size_t)len))
        (void)vsnprintf(text->bytes + text->len, (size_t)len + 1, format, again);
    if (len >= 0 && !text->failed)
        text->len += (size_t)len;
    va_end(again);
    va_end(args);
}

void text_add_number(struct text *text, int64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        text_add_byte(text, '-');
    text_add(text, span_make(digits + at, sizeof(digits) - at));
}

size_t text_utf8_length(struct span bytes)
{
    const unsigned char *b = (const unsigned char *)bytes.at;
    unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
    size_t len;

    if (bytes.len == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    if (b[0] < 0xc2 || b[0] > 0xf4)
        return 0;
    len = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    if (b[0] == 0xe0)
        low = 0xa0;
    else if (b[0] == 0xed)
        high = 0x9f;
    else if (b[0] == 0xf0)
        low = 0x90;
    else if (b[0] == 0xf4)
        high = 0x8f;
    if (bytes.len < len || b[1] < low || b[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (b[i] < 0x80 || b[i] > 0xbf)
            return 0;
    }
    return len;
}

static void add_json_byte(struct text *text, unsigned char byte)
{
    switch (byte) {
    case '"':
        text_add(text, SPAN("\\\""));
        break;
    case '\\':
        text_add(text, SPAN("\\\\"));
        break;
    case '\n':
        text_add(text, SPAN("\\n"));
        break;
    case '\r':
        text_add(text, SPAN("\\r"));
        break;
    case '\t':
        text_add(text, SPAN("\\t"));
        break;
    default:
        if (byte < 0x20 || byte == 0x7f)
            text_add_format(text, "\\u%04x", byte);
        else
            text_add_byte(text, (char)byte);
    }
}

/* Printable ASCII but for the two that a JSON string escapes. */
static bool is_plain(unsigned char byte)
{
    /* A bit for each byte. */
    static const uint64_t plain[4] = {0xfffffffbULL << 32, 0x7fffffffefffffffULL};

    return (plain[byte / 64] >> byte % 64 & 1) != 0;
}

/* How many bytes at the start need no escape: mostly all. */
static size_t plain_length(struct span value)
{
    size_t len = 0;

    while (len < value.len && is_plain((unsigned char)value.at[len]))
        len++;
    return len;
}

void text_add_json_string(struct text *text, struct span value)
{
    text_add_byte(text, '"');
    while (value.len > 0) {
        size_t plain = plain_length(value);
        size_t len = plain > 0 ? plain : text_utf8_length(value);

        if (len == 0) {
            text_add(text, SPAN("\xef\xbf\xbd"));
            len = 1;
        } else if (plain == 0 && len == 1) {
            add_json_byte(text, (unsigned char)value.at[0]);
        } else {
            text_add(text, span_make(value.at, len));
        }
        value.at += len;
        value.len -= len;
    }
    text_add_byte(text, '"');
}

static void add_key(struct text *text, const char *key)
{
    if (text->len > 0 && text->bytes[text->len - 1] != '{')
        text_add_byte(text, ',');
    text_add_byte(text, '"');
    text_add(text, span_of(key));
    text_add(text, SPAN("\":"));
}

void text_add_member(struct text *text, const char *key, struct span value)
{
    add_key(text, key);
    text_add_json_string(text, value);
}

void text_add_member_number(struct text *text, const char *key, int64_t value)
{
    add_key(text, key);
    text_add_number(text, value);
}

void text_add_escaped(struct text *text, struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char byte = (unsigned char)value.at[i];

        if (byte < 0x20 || byte >= 0x7f || byte == '\\')
            text_add_format(text, "\\x%02x", byte);
        else
            text_add_byte(text, value.at[i]);
    }
}
