#include "access/base64url.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

bool base64url_is_alphabet(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (value_of(text.at[i]) < 0)
            return false;
    }
    return true;
}

bool base64url_decode(struct span text, unsigned char *out, size_t capacity, size_t *len)
{
    unsigned bits = 0, held = 0;
    size_t used = 0;

    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.at[i]);

        if (value < 0)
            return false;
        held = held << 6 | (unsigned)value;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        if (used == capacity)
            return false;
        out[used++] = (unsigned char)(held >> bits);
        held &= (1U << bits) - 1;
    }
    *len = used;
    return held == 0; /* two spellings of one token would have two digests */
}
