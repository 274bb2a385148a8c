/*
 * The API keys that are accepted, kept as SHA-256 digests: comparing takes the same time
 * wherever a guess goes wrong, and the keys themselves are nowhere in memory.
 */
#ifndef PSGATE_SANDBOX_KEYS_H
#define PSGATE_SANDBOX_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"

struct sandbox_keys {
    unsigned char (*digests)[32];
    size_t count; /* 0: any non-empty key is right */
};

/* Takes digests of the keys; false when memory is out. */
bool sandbox_keys_init(struct sandbox_keys *keys, const struct span *accepted,
                       size_t count) MUST_CHECK;
void sandbox_keys_fini(struct sandbox_keys *keys);

bool sandbox_keys_has(const struct sandbox_keys *keys, struct span key);

/* The key in the value of an Authorization field; empty when it is not "Bearer KEY". */
struct span sandbox_keys_bearer(struct span authorization);

#endif
