#include "sandbox/keys.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/secret.h"

_Static_assert(sizeof(((struct sandbox_keys *)0)->digests[0]) == SHA256_DIGEST_LENGTH,
               "a digest fits its place");

static void digest_of(struct span key, unsigned char digest[SHA256_DIGEST_LENGTH])
{
    (void)SHA256((const unsigned char *)key.at, key.len, digest);
}

bool sandbox_keys_init(struct sandbox_keys *keys, const struct span *accepted,
                       size_t count)
{
    keys->digests = calloc(count > 0 ? count : 1, sizeof(keys->digests[0]));
    if (keys->digests == NULL)
        return false;
    keys->count = count;
    for (size_t i = 0; i < count; i++)
        digest_of(accepted[i], keys->digests[i]);
    return true;
}

void sandbox_keys_fini(struct sandbox_keys *keys)
{
    if (keys->digests != NULL)
        secret_cleanse(keys->digests, keys->count * sizeof(keys->digests[0]));
    free(keys->digests);
    *keys = (struct sandbox_keys){0};
}

bool sandbox_keys_has(const struct sandbox_keys *keys, struct span key)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    bool found = keys->count == 0;

    if (key.len == 0)
        return false;
    digest_of(key, digest);
    for (size_t i = 0; i < keys->count; i++)
        found |= CRYPTO_memcmp(digest, keys->digests[i], sizeof(digest)) == 0;
    secret_cleanse(digest, sizeof(digest));
    return found;
}

struct span sandbox_keys_bearer(struct span authorization)
{
    struct span scheme = SPAN("Bearer "); /* in any case: RFC 9110 11.1 */

    if (authorization.len < scheme.len ||
        !span_equal_nocase(span_make(authorization.at, scheme.len), scheme))
        return span_make(NULL, 0);
    return span_trim(
        span_make(authorization.at + scheme.len, authorization.len - scheme.len));
}
