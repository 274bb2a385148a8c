/* Randomness from the kernel. */
#ifndef PSGATE_BASE_RANDOM_H
#define PSGATE_BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Fills bytes with unpredictable ones. */
bool random_fill(void *bytes, size_t len, struct error *error) MUST_CHECK;

#endif
