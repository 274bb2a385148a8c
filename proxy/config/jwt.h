/* The setting jwt: whose signed tokens (OIDC, say) are taken for a client's identity. */
#ifndef PSGATE_CONFIG_JWT_H
#define PSGATE_CONFIG_JWT_H

#include <stdint.h>

#include "config/document.h"

enum { CONFIG_MOST_ISSUERS = 32 };

/* One issuer; exactly one of jwks_url and jwks_file is set. In the document's arena. */
struct config_jwt {
    const char *issuer; /* as "iss" has it */
    const char *const *audience;
    size_t audience_count; /* at least one */
    const char *jwks_url;  /* https://, or http:// to a literal loopback address */
    const char *jwks_file;
    const char *ca_file; /* of the URL; NULL: the system's store */
    int64_t leeway_ms, refresh_ms;
};

/*
 * Reads the value of jwt, an array of objects; null is none. What is wrong becomes
 * problems of the document.
 */
void config_read_jwt(struct document *document, const struct place *place, json_t *value,
                     const struct config_jwt **list, size_t *count);

#endif
