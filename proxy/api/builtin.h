/* The text of conf/operations.json, compiled in by the build. */
#ifndef PSGATE_API_BUILTIN_H
#define PSGATE_API_BUILTIN_H

#include <stddef.h>

extern const char *const builtin_operations;
extern const size_t builtin_operations_len;

#endif
