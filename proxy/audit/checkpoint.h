/*
 * Checkpoints: "so far, and with this head, the chain was", signed. Whoever holds one
 * finds a tail that was cut off below it and a history that was rewritten.
 */
#ifndef PSGATE_AUDIT_CHECKPOINT_H
#define PSGATE_AUDIT_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/hash.h"
#include "audit/key.h"
#include "audit/line.h"
#include "base/error.h"
#include "base/span.h"

enum {
    AUDIT_STATEMENT_BYTES = 192, /* room for any statement and a NUL */
    AUDIT_SIGNATURE_BYTES = 64,
    AUDIT_SIGNATURE_TEXT = 89, /* base64 and a NUL */
};

#define AUDIT_KEY_STATEMENT SPAN("proxy.checkpoint.statement")
#define AUDIT_KEY_SIGNATURE SPAN("proxy.checkpoint.signature")
#define AUDIT_KEY_KEY SPAN("proxy.checkpoint.key")

/* A checkpoint that was read: its own copy of everything. */
struct audit_checkpoint {
    char statement[AUDIT_STATEMENT_BYTES]; /* NUL-terminated */
    char chain_id[AUDIT_CHAIN_ID_HEX + 1];
    uint64_t sequence; /* of the line it is about, and that line's hash */
    char hash[AUDIT_HASH_HEX + 1];
    int64_t wall_ms;
    unsigned char signature[AUDIT_SIGNATURE_BYTES];
    char key_id[AUDIT_KEY_ID_HEX + 1]; /* empty when it was not told */
};

/*
 * Writes "psgate-checkpoint v1 <chain_id> <sequence> <hash> <time>" with a NUL; its
 * length. chain_id has 32 bytes, hash 64 (both hex).
 */
size_t audit_checkpoint_state(struct span chain_id, uint64_t sequence, struct span hash,
                              int64_t wall_ms, char statement[AUDIT_STATEMENT_BYTES]);

/* Signs a statement; the signature in base64. False only when OpenSSL fails. */
bool audit_checkpoint_sign(const struct audit_key *key, struct span statement,
                           char signature[AUDIT_SIGNATURE_TEXT],
                           struct error *error) MUST_CHECK;

/*
 * Reads a checkpoint from the members' texts (key may be empty with at NULL: not told).
 * False with error ("has …") when the statement or the signature is not of its form; no
 * signature is verified here.
 */
bool audit_checkpoint_read(struct span statement, struct span signature, struct span key,
                           struct audit_checkpoint *checkpoint,
                           struct error *error) MUST_CHECK;

enum audit_checkpoint_found {
    AUDIT_CHECKPOINT_NONE, /* not a JSON object with the two members */
    AUDIT_CHECKPOINT_FOUND,
    AUDIT_CHECKPOINT_BAD, /* it has them, but audit_checkpoint_read fails: error says why
                           */
};

/* Looks for one in any line: of a trail, or of a log written as JSON. */
enum audit_checkpoint_found audit_checkpoint_find(struct span line,
                                                  struct audit_checkpoint *checkpoint,
                                                  struct error *error) MUST_CHECK;

/* Whether the signature is this key's over the statement. */
bool audit_checkpoint_verify(const struct audit_checkpoint *checkpoint,
                             const struct audit_key *key);

#endif
