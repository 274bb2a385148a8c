#include "audit/hash.h"

#include <stdlib.h>

#include <openssl/evp.h>

struct audit_hasher {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};

struct audit_hasher *audit_hasher_new(struct error *error)
{
    struct audit_hasher *hasher = calloc(1, sizeof(*hasher));

    if (hasher != NULL) {
        hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        hasher->context = EVP_MD_CTX_new();
        if (hasher->sha256 != NULL && hasher->context != NULL)
            return hasher;
    }
    (void)error_set(error, "cannot set up SHA-256 (out of memory?)");
    audit_hasher_free(hasher);
    return NULL;
}

void audit_hasher_free(struct audit_hasher *hasher)
{
    if (hasher == NULL)
        return;
    EVP_MD_CTX_free(hasher->context);
    EVP_MD_free(hasher->sha256);
    free(hasher);
}

bool audit_hash(struct audit_hasher *hasher, struct span bytes,
                unsigned char digest[AUDIT_HASH_BYTES])
{
    return EVP_DigestInit_ex2(hasher->context, hasher->sha256, NULL) == 1 &&
           EVP_DigestUpdate(hasher->context, bytes.at, bytes.len) == 1 &&
           EVP_DigestFinal_ex(hasher->context, digest, NULL) == 1;
}

bool audit_hash_hex(struct audit_hasher *hasher, struct span bytes,
                    char hex[AUDIT_HASH_HEX])
{
    unsigned char digest[AUDIT_HASH_BYTES];

    if (!audit_hash(hasher, bytes, digest))
        return false;
    audit_hex(digest, sizeof(digest), hex);
    return true;
}

void audit_hex(const unsigned char *bytes, size_t len, char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 0xf];
    }
}
