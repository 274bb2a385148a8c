/*
 * What follows from a request being an operation: whether it is recorded, and which
 * scopes it makes old. Pure, of the configuration and the operation alone.
 */
#ifndef PSGATE_GATEWAY_EFFECT_H
#define PSGATE_GATEWAY_EFFECT_H

#include <stdbool.h>
#include <stddef.h>

#include "api/operations.h"
#include "config/config.h"
#include "gateway/recording.h"

/* How a request is recorded; operation is NULL for other. */
enum recording_mode effect_recording(const struct config *config,
                                     const struct operation *operation, bool is_mutating);

/* The scopes that a mutating request makes old ("*": all); borrowed from its arguments.
 */
const char *const *effect_invalidates(const struct config *config,
                                      const struct operation *operation, size_t *count);

#endif
