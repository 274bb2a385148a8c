/*
 * All that a configuration file and the files it names amount to: immutable, loaded whole
 * or not at all, reference-counted. A running exchange keeps the one that it began with.
 */
#ifndef PSGATE_GATEWAY_SNAPSHOT_H
#define PSGATE_GATEWAY_SNAPSHOT_H

#include <stdatomic.h>

#include <openssl/ssl.h>

#include "access/client.h"
#include "access/credential.h"
#include "access/jwks.h"
#include "api/operations.h"
#include "base/file.h"
#include "config/config.h"
#include "gateway/tripwire.h"
#include "upstream/target.h"

struct snapshot {
    _Atomic unsigned references;
    unsigned generation; /* counts the loads */
    unsigned epoch;      /* counts those that made cached answers untrue: see below */
    char epoch_text[16]; /* it and a line feed: what keys in the cache begin with */
    struct config *config;
    struct operation_table *operations;
    struct client_set *clients;
    struct credential_set *credentials;
    struct tripwire **tripwires; /* one a key, in the credentials' order; or NULL */
    uint16_t *operation_numbers; /* the metrics': metrics.h. NULL: nobody counts */
    struct jwks *jwks;           /* NULL: no issuer of JWTs is configured */
    struct upstream_target *target;
    SSL_CTX **tls; /* one a listener of the configuration; NULL: plain */
    struct file_identity clients_identity; /* of the clients file, before it was read */
    struct snapshot *lender; /* NULL, or whose all but the clients is: a reference */
};

/*
 * Loads everything. The epoch is previous' unless upstream, a key or the operation table
 * has changed: what was fetched before is then not found any more. previous (may be NULL)
 * is what runs now. Issuers' keys are not fetched before jwks_start. sandbox_url, if not
 * NULL, takes the place of upstream.url and its trust. NULL when there were problems,
 * which are then in *problems.
 */
struct snapshot *snapshot_load(const char *path, const struct snapshot *previous,
                               const char *sandbox_url, struct problems *problems);

/*
 * Reads the clients file again and nothing else: the rest is that of previous, also its
 * epoch. NULL when there were problems, which are then in *problems.
 */
struct snapshot *snapshot_reload_clients(struct snapshot *previous,
                                         struct problems *problems);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot);

/* What finds the key of one of the snapshot's credentials. */
const struct tripwire *snapshot_tripwire(const struct snapshot *snapshot,
                                         const struct credential *credential, int slot);

/* Logs, at warn, which revocation lists are out of date. */
void snapshot_warn_stale(const struct snapshot *snapshot);

#endif
