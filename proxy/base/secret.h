/*
 * Memory for keys: pages of their own, locked against swapping, left out of core files,
 * emptied in forked children, and cleansed before they go back to the system.
 */
#ifndef PSGATE_BASE_SECRET_H
#define PSGATE_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"

struct secret;

/* A secret of len zero bytes, len >= 1. NULL with error set when memory cannot be had. */
struct secret *secret_new(size_t len, struct error *error) MUST_CHECK;

/* Cleanses and frees; NULL is fine. */
void secret_free(struct secret *secret);

/* The bytes, writable, owned by the secret; and how many there are. */
char *secret_bytes(struct secret *secret);
struct span secret_span(const struct secret *secret);

/* Keeps the first len bytes (len at most the present length) and cleanses the rest. */
void secret_truncate(struct secret *secret, size_t len);

/* Whether the bytes are the same; takes as long wherever they differ. */
bool secret_equal(const void *one, const void *other, size_t len);

/* Overwrites with zeros in a way that compilers keep. */
void secret_cleanse(void *bytes, size_t len);

/*
 * Makes the whole process undumpable: no core file, no memory in one that a debugger
 * takes, no ptrace by others of the same uid. Call once at start, before any secret is
 * read.
 */
bool secret_protect_process(struct error *error) MUST_CHECK;

#endif
