/*
 * The chain: every line carries its number, the chain's id and the SHA-256 of the line
 * before it, over files and restarts. Not thread-safe: the writer's own.
 */
#ifndef PSGATE_AUDIT_CHAIN_H
#define PSGATE_AUDIT_CHAIN_H

#include <stdint.h>

#include "audit/hash.h"
#include "base/error.h"
#include "base/text.h"

enum { AUDIT_CHAIN_ID_BYTES = 16, AUDIT_TAIL_MOST_BYTES = 256 };

/* Where the chain stands: plain data, so that a batch that failed is undone by a copy. */
struct audit_chain {
    char id[2 * AUDIT_CHAIN_ID_BYTES + 1];
    uint64_t sequence;                  /* of the last line; 0: there is none */
    char last_hash[AUDIT_HASH_HEX + 1]; /* of it, or AUDIT_HASH_NONE */
};

/* A new chain with an id of its own. */
bool audit_chain_begin(struct audit_chain *chain, struct error *error) MUST_CHECK;

/*
 * Adds the line to out, with its tail and newline, and moves on. oldest_open, for the
 * first line of a file only, else 0: the number of the oldest intent that is open; when
 * none is, AUDIT_NONE_OPEN. False when memory is out or OpenSSL fails.
 */
#define AUDIT_NONE_OPEN UINT64_MAX
bool audit_chain_add(struct audit_chain *chain, struct audit_hasher *hasher,
                     struct span body, uint64_t oldest_open, struct text *out) MUST_CHECK;

#endif
