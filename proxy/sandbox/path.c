#include "sandbox/path.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes one segment to at, moving *at behind it. */
static bool decode(struct span text, char **at, struct span *segment)
{
    char *start = *at;

    for (size_t i = 0; i < text.len; i++) {
        char byte = text.at[i];

        if (byte == '%') {
            int high = i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_value(text.at[i + 2]);

            if (low < 0)
                return false;
            byte = (char)(high << 4 | low);
            i += 2;
        }
        *(*at)++ = byte;
    }
    *segment = span_make(start, (size_t)(*at - start));
    return true;
}

bool sandbox_path_split(struct span text, struct sandbox_path *path)
{
    char *at = path->bytes;

    path->count = 0;
    if (text.len == 0 || text.at[0] != '/' || text.len > sizeof(path->bytes))
        return false;
    if (text.len > 1 && text.at[text.len - 1] == '/')
        text.len--;
    while (text.len > 0 && path->count < SANDBOX_SEGMENTS_MAX) {
        const char *end;
        size_t len;

        text = span_make(text.at + 1, text.len - 1); /* the slash */
        end = text.len == 0 ? NULL : memchr(text.at, '/', text.len);
        len = end == NULL ? text.len : (size_t)(end - text.at);
        if (!decode(span_make(text.at, len), &at, &path->segments[path->count++]))
            return false;
        text = span_make(text.at + len, text.len - len);
    }
    return true;
}
