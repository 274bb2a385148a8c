/* SHA-256 as the trail writes it: in lower-case hex. Set up once, used for every line. */
#ifndef PSGATE_AUDIT_HASH_H
#define PSGATE_AUDIT_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"

#define AUDIT_HASH_BYTES 32
#define AUDIT_HASH_HEX 64

/* What the first line of a chain has as the hash of the line before it. */
#define AUDIT_HASH_NONE "0000000000000000000000000000000000000000000000000000000000000000"

struct audit_hasher; /* of one thread at a time */

/* NULL with error set when SHA-256 or memory cannot be had. */
struct audit_hasher *audit_hasher_new(struct error *error) MUST_CHECK;

/* NULL is fine. */
void audit_hasher_free(struct audit_hasher *hasher);

/* The digest of bytes; false only when OpenSSL fails. */
bool audit_hash(struct audit_hasher *hasher, struct span bytes,
                unsigned char digest[AUDIT_HASH_BYTES]) MUST_CHECK;

/* The same as 64 hex digits, without a NUL. */
bool audit_hash_hex(struct audit_hasher *hasher, struct span bytes,
                    char hex[AUDIT_HASH_HEX]) MUST_CHECK;

/* Writes 2 * len lower-case hex digits, without a NUL. */
void audit_hex(const unsigned char *bytes, size_t len, char *hex);

#endif
