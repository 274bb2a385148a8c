#include "base/span.h"

/* MurmurHash64A's mixing. */
uint64_t span_hash(struct span bytes, uint64_t seed)
{
    const uint64_t m = 0xc6a4a7935bd1e995u;
    uint64_t hash = seed ^ (bytes.len * m);

    while (bytes.len >= 8) {
        uint64_t word;

        memcpy(&word, bytes.at, sizeof(word));
        word *= m;
        word ^= word >> 47;
        hash = (hash ^ (word * m)) * m;
        bytes.at += 8;
        bytes.len -= 8;
    }
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.at[i]) * m;
    hash ^= hash >> 47;
    hash *= m;
    return hash ^ (hash >> 47);
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.at[i]) != ascii_lower(b.at[i]))
            return false;
    }
    return true;
}

bool span_starts_with(struct span text, struct span prefix)
{
    return prefix.len == 0 ||
           (text.len >= prefix.len && memcmp(text.at, prefix.at, prefix.len) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span text)
{
    while (text.len > 0 && is_blank(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

static bool matches_glob(struct span text, struct span glob)
{
    size_t t = 0, g = 0;
    size_t star = SIZE_MAX, resume = 0; /* the last '*' seen, and where its run ends */

    while (t < text.len) {
        if (g < glob.len && glob.at[g] == '*') {
            star = g++;
            resume = t;
        } else if (g < glob.len && glob.at[g] == text.at[t]) {
            g++;
            t++;
        } else if (star != SIZE_MAX) {
            g = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.at[g] == '*')
        g++;
    return g == glob.len;
}

bool span_matches_glob(struct span text, struct span glob)
{
    bool is_any = glob.len == 1 && glob.at[0] == '*'; /* the commonest of all */

    return is_any || matches_glob(text, glob);
}

bool span_to_number(struct span text, uint64_t max, uint64_t *value)
{
    uint64_t number = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.at[i] - '0';

        if (digit > 9 || digit > max || number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}
