#include "gateway/snapshot.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/key.h"
#include "base/log.h"
#include "config/address.h"

static SSL_CTX *load_listener_tls(const struct config_tls *tls, struct error *error)
{
    bool asks = tls->client_auth != CONFIG_CLIENT_AUTH_NONE;
    const struct tls_server_options options = {
        .certificate = tls->certificate,
        .private_key = tls->private_key,
        .client_ca = asks ? tls->client_ca : NULL,
        .client_crl = asks ? tls->client_crl : NULL,
        .requires_client_certificate = tls->client_auth == CONFIG_CLIENT_AUTH_REQUIRED,
    };

    return tls_server_context(&options, error);
}

static void load_tls(struct snapshot *snapshot, struct problems *problems)
{
    const struct config *config = snapshot->config;

    snapshot->tls = calloc(config->listen_count, sizeof(SSL_CTX *));
    if (snapshot->tls == NULL) {
        problems_add(problems, config->path, "out of memory");
        return;
    }
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct place root = {0};
        const struct place listen = {.parent = &root, .key = "listen"};
        const struct place element = {.parent = &listen, .index = i};
        const struct place tls = {.parent = &element, .key = "tls"};
        struct error error;

        if (!config->listen[i].has_tls)
            continue;
        snapshot->tls[i] = load_listener_tls(&config->listen[i].tls, &error);
        if (snapshot->tls[i] == NULL)
            config_problem(config, problems, &tls, "%s", error.text);
    }
}

/* The trail loads it again when this configuration comes into force. */
static void check_signing_key(const struct config *config, struct problems *problems)
{
    const struct place root = {0};
    const struct place audit = {.parent = &root, .key = "audit"};
    const struct place file = {.parent = &audit, .key = "signing_key_file"};
    struct audit_key key = {0};
    struct error error;

    if (config->audit.signing_key_file == NULL)
        return;
    if (!audit_key_load_private(config->audit.signing_key_file, &key, &error))
        config_problem(config, problems, &file, "%s", error.text);
    audit_key_fini(&key);
}

static void make_tripwires(struct snapshot *snapshot, struct problems *problems)
{
    const struct credential_set *set = snapshot->credentials;
    struct error error = {"out of memory"};
    size_t count = set->count * CREDENTIAL_KEYS;

    snapshot->tripwires = calloc(count, sizeof(struct tripwire *));
    for (size_t i = 0; snapshot->tripwires != NULL && i < count; i++) {
        const struct credential *credential = &set->credentials[i / CREDENTIAL_KEYS];
        const struct secret *key = credential->api_keys[i % CREDENTIAL_KEYS];

        if (key == NULL)
            continue;
        snapshot->tripwires[i] = tripwire_new(secret_span(key), &error);
        if (snapshot->tripwires[i] == NULL)
            problems_add(problems, snapshot->config->path, "credentials.%s: %s",
                         credential->name, error.text);
    }
    if (snapshot->tripwires == NULL)
        problems_add(problems, snapshot->config->path, "%s", error.text);
}

static void load_jwks(struct snapshot *snapshot, const struct snapshot *previous,
                      struct problems *problems)
{
    if (snapshot->config->jwt_count > 0)
        snapshot->jwks = jwks_load(snapshot->config,
                                   previous != NULL ? previous->jwks : NULL, problems);
}

static void use_sandbox(struct config *config, const char *url, struct problems *problems)
{
    struct error error;

    config->upstream.ca_file = NULL;
    if (!address_parse_url(&config->arena, url, &config->upstream, &error))
        problems_add(problems, config->path, "upstream.url: %s", error.text);
}

/* Every part is tried, so that all problems of all files are told at once. */
static void load_parts(struct snapshot *snapshot, const struct snapshot *previous,
                       const char *sandbox_url, struct problems *problems)
{
    const struct place root = {0};
    const struct place upstream = {.parent = &root, .key = "upstream"};
    const struct place ca_file = {.parent = &upstream, .key = "ca_file"};
    struct config *config = snapshot->config;
    struct error error;

    if (sandbox_url != NULL)
        use_sandbox(config, sandbox_url, problems);
    snapshot->operations = operation_table_load(config->operations_file, problems);
    file_identify(config->clients_file, &snapshot->clients_identity);
    if (snapshot->operations != NULL)
        snapshot->clients =
            client_set_load(config->clients_file, config, snapshot->operations, problems);
    snapshot->credentials =
        credential_set_load(config, previous != NULL ? previous->config : NULL,
                            previous != NULL ? previous->credentials : NULL, problems);
    if (snapshot->credentials != NULL)
        make_tripwires(snapshot, problems);
    load_jwks(snapshot, previous, problems);
    load_tls(snapshot, problems);
    check_signing_key(config, problems);
    if (previous != NULL &&
        upstream_target_is(previous->target, &config->upstream, &config->limits))
        snapshot->target = upstream_target_ref(previous->target);
    else
        snapshot->target =
            upstream_target_new(&config->upstream, &config->limits, &error);
    if (snapshot->target == NULL)
        config_problem(config, problems,
                       config->upstream.ca_file != NULL ? &ca_file : &upstream, "%s",
                       error.text);
}

static bool has_same_keys(const struct credential_set *one,
                          const struct credential_set *other)
{
    bool is_same = one->count == other->count;

    for (size_t i = 0; is_same && i < one->count; i++) {
        const struct credential *twin = credential_find(other, one->credentials[i].name);

        is_same = twin != NULL && credential_has_same_keys(&one->credentials[i], twin);
    }
    return is_same;
}

/* Whether what was fetched under one is as good under the other. */
static bool answers_alike(const struct snapshot *one, const struct snapshot *other)
{
    return one->target == other->target &&
           span_equal(one->operations->text, other->operations->text) &&
           has_same_keys(one->credentials, other->credentials);
}

static void count_epoch(struct snapshot *snapshot, const struct snapshot *previous)
{
    if (previous != NULL)
        snapshot->epoch = previous->epoch + !answers_alike(previous, snapshot);
    (void)snprintf(snapshot->epoch_text, sizeof(snapshot->epoch_text), "%u\n",
                   snapshot->epoch);
}

struct snapshot *snapshot_load(const char *path, const struct snapshot *previous,
                               const char *sandbox_url, struct problems *problems)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    unsigned before = problems->count;

    if (snapshot == NULL) {
        problems_add(problems, path, "out of memory");
        return NULL;
    }
    atomic_init(&snapshot->references, 1);
    snapshot->generation = previous != NULL ? previous->generation + 1 : 1;
    snapshot->config = config_load(path, problems);
    if (snapshot->config != NULL)
        load_parts(snapshot, previous, sandbox_url, problems);
    if (problems->count == before) {
        credential_cleanse_environment(snapshot->config);
        count_epoch(snapshot, previous);
        return snapshot;
    }
    snapshot_unref(snapshot);
    return NULL;
}

/* All parts of a snapshot but its clients, borrowed from the one that has read them.
 */
static struct snapshot *borrow_parts(struct snapshot *previous)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

    if (snapshot == NULL)
        return NULL;
    /* Not the references, which other threads are counting meanwhile. */
    memcpy((char *)snapshot + offsetof(struct snapshot, generation),
           (const char *)previous + offsetof(struct snapshot, generation),
           sizeof(*snapshot) - offsetof(struct snapshot, generation));
    atomic_init(&snapshot->references, 1);
    snapshot->generation = previous->generation + 1;
    snapshot->lender =
        snapshot_ref(previous->lender != NULL ? previous->lender : previous);
    snapshot->clients = NULL;
    return snapshot;
}

struct snapshot *snapshot_reload_clients(struct snapshot *previous,
                                         struct problems *problems)
{
    const struct config *config = previous->config;
    struct snapshot *snapshot = borrow_parts(previous);

    if (snapshot == NULL) {
        problems_add(problems, config->clients_file, "out of memory");
        return NULL;
    }
    file_identify(config->clients_file, &snapshot->clients_identity);
    snapshot->clients =
        client_set_load(config->clients_file, config, snapshot->operations, problems);
    if (snapshot->clients != NULL)
        return snapshot;
    snapshot_unref(snapshot);
    return NULL;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    (void)atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    return snapshot;
}

/* NOLINTNEXTLINE(misc-no-recursion): a lender borrows nothing */
void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot == NULL || atomic_fetch_sub(&snapshot->references, 1) != 1)
        return;
    client_set_free(snapshot->clients);
    if (snapshot->lender != NULL) {
        snapshot_unref(snapshot->lender);
        free(snapshot);
        return;
    }
    for (size_t i = 0; snapshot->tls != NULL && i < snapshot->config->listen_count; i++)
        SSL_CTX_free(snapshot->tls[i]);
    free(snapshot->tls);
    upstream_target_unref(snapshot->target);
    for (size_t i = 0; snapshot->tripwires != NULL &&
                       i < snapshot->credentials->count * CREDENTIAL_KEYS;
         i++)
        tripwire_free(snapshot->tripwires[i]);
    free(snapshot->tripwires);
    credential_set_free(snapshot->credentials);
    jwks_free(snapshot->jwks);
    free(snapshot->operation_numbers);
    operation_table_free(snapshot->operations);
    config_free(snapshot->config);
    free(snapshot);
}

const struct tripwire *snapshot_tripwire(const struct snapshot *snapshot,
                                         const struct credential *credential, int slot)
{
    size_t index = (size_t)(credential - snapshot->credentials->credentials);

    return snapshot->tripwires[index * CREDENTIAL_KEYS + (size_t)slot];
}

/* Handshakes fail until there is a new list: whoever reloads should know. */
void snapshot_warn_stale(const struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    char text[256];

    for (size_t i = 0; i < config->listen_count; i++) {
        if (snapshot->tls[i] != NULL &&
            tls_has_stale_crl(snapshot->tls[i], text, sizeof(text)))
            log_warn("%s: the revocation list of %s: the certificates of that issuer are "
                     "refused (renew listen[%zu].tls.client_crl and reload)",
                     config->listen[i].tls.client_crl, text, i);
    }
}
