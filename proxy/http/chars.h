/* Byte classes of HTTP's grammar (RFC 9110 5.6, RFC 3986), by table. */
#ifndef PSGATE_HTTP_CHARS_H
#define PSGATE_HTTP_CHARS_H

#include <stdbool.h>

enum http_char {
    HTTP_CHAR_TOKEN = 1,  /* tchar */
    HTTP_CHAR_TEXT = 2,   /* field content: VCHAR, obs-text, SP, HTAB */
    HTTP_CHAR_TARGET = 4, /* anything visible but '#'; bytes over 0x7f are judged later */
    HTTP_CHAR_HEX = 8,
    HTTP_CHAR_HOST = 16, /* uri-host and port */
};

extern const unsigned char http_char_classes[256];

static inline bool http_is(char byte, enum http_char class)
{
    return (http_char_classes[(unsigned char)byte] & class) != 0;
}

/* The value of a hexadecimal digit; call only where http_is(digit, HTTP_CHAR_HEX). */
static inline unsigned http_hex_value(char digit)
{
    return digit <= '9' ? (unsigned)(digit - '0') : (unsigned)((digit | 0x20) - 'a' + 10);
}

#endif
