/*
 * The Ed25519 keys that checkpoints are signed and verified with, in the PEM forms that
 * openssl(1) reads and writes (PKCS #8, not encrypted; SubjectPublicKeyInfo; RFC 8410).
 *
 * A private key is read by our own few lines instead of OpenSSL's decoders: so every copy
 * of its bytes is in locked memory, or in the EVP_PKEY, which cleanses what it frees.
 */
#ifndef PSGATE_AUDIT_KEY_H
#define PSGATE_AUDIT_KEY_H

#include <openssl/evp.h>

#include "base/error.h"

#define AUDIT_KEY_ID_HEX 16
#define AUDIT_PRIVATE_KEY_NAME "audit-signing-key.pem"
#define AUDIT_PUBLIC_KEY_NAME "audit-signing-key.pub.pem"

/* A key pair, or the public half alone. */
struct audit_key {
    EVP_PKEY *pkey;                /* owned */
    char id[AUDIT_KEY_ID_HEX + 1]; /* of SHA-256 over the public key's raw 32 bytes */
};

/*
 * Reads a private key, whose file must be private (FILE_PRIVATE), or a public one. False
 * with error, which names the file; *key then holds nothing. Free with audit_key_fini.
 */
bool audit_key_load_private(const char *path, struct audit_key *key,
                            struct error *error) MUST_CHECK;
bool audit_key_load_public(const char *path, struct audit_key *key,
                           struct error *error) MUST_CHECK;

/* An all-zero key is fine. */
void audit_key_fini(struct audit_key *key);

/*
 * Makes a key pair and writes both halves into a folder, AUDIT_PRIVATE_KEY_NAME with mode
 * 0600 and AUDIT_PUBLIC_KEY_NAME with 0644. A file that is there is an error and stays as
 * it is; after an error nothing new is there. id becomes the new key's.
 */
bool audit_key_generate(const char *folder, char id[AUDIT_KEY_ID_HEX + 1],
                        struct error *error) MUST_CHECK;

#endif
