#include "cluster/words.h"

#include <stdio.h>

#include "base/random.h"

void words_add(struct words *words, struct span word)
{
    words->is_full |= words->count == WORDS_MOST;
    if (!words->is_full)
        words->list[words->count++] = word;
}

struct span words_of_number(char *text, size_t size, int64_t number)
{
    (void)snprintf(text, size, "%lld", (long long)number);
    return span_of(text);
}

bool words_make_hex(char *text, size_t digits)
{
    unsigned char bytes[16];
    struct error error;

    if (digits / 2 > sizeof(bytes) || !random_fill(bytes, digits / 2, &error))
        return false;
    for (size_t i = 0; i < digits / 2; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return true;
}
