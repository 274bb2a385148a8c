/* The words of a command for Redis, while it is put together. Borrowed, all of them. */
#ifndef PSGATE_CLUSTER_WORDS_H
#define PSGATE_CLUSTER_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum { WORDS_MOST = 512 };

struct words {
    struct span list[WORDS_MOST];
    int count;
    bool is_full; /* and something had to be left out */
};

void words_add(struct words *words, struct span word);

/* A number as a word, which lies in text. */
struct span words_of_number(char *text, size_t size, int64_t number);

/* So many random hexadecimal digits, and a NUL. False: there is no randomness. */
bool words_make_hex(char *text, size_t digits);

#endif
