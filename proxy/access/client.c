#include "access/client.h"

#include <stdlib.h>

#include "access/client_members.h"
#include "access/credential.h"
#include "access/identity.h"
#include "access/policy.h"
#include "base/clock.h"

/* What the reading of one file needs besides the document. */
struct loading {
    struct client_set *set;
    const struct config *config;
    const struct operation_table *table;
};

static void check_credential(struct document *document, const struct place *place,
                             const struct loading *loading, const struct client *client)
{
    struct place member = {.parent = place, .key = "credential"};

    if (config_find_credential(loading->config, client->credential) == NULL)
        document_problem(
            document, &member,
            "\"%s\" is not a credential of %s (its \"credentials\" has them)",
            client->credential, loading->config->path);
}

static void check_limits(struct document *document, const struct place *place,
                         const struct rate_limits *limits)
{
    struct place member = {.parent = place, .key = "burst"};

    if (limits->burst != 0 && limits->rate.count == 0)
        document_problem(document, &member,
                         "is without effect (add \"rate\" beside it, such as \"20/s\")");
}

static void check_issuer(struct document *document, const struct place *place,
                         const struct config *config, const struct client *client)
{
    const struct place jwt = {.parent = place, .key = "jwt"};
    const struct place issuer = {.parent = &jwt, .key = "issuer"};

    if (client->jwt.issuer == NULL)
        return;
    for (size_t i = 0; i < config->jwt_count; i++) {
        const char *known = config->jwt[i].issuer;

        if (known != NULL && strcmp(known, client->jwt.issuer) == 0)
            return;
    }
    document_problem(document, &issuer, "is no issuer of %s (its \"jwt\" has them)",
                     config->path);
}

static void index_client(struct document *document, const struct place *place,
                         struct client_set *set, struct client *client)
{
    struct span key = span_make((const char *)client->digest, sizeof(client->digest));

    if (client->has_token && !table_add(set->by_digest, key, client))
        document_problem(document, place,
                         "has the token of another client (each needs its own)");
    if (!identity_index(set, client))
        document_problem(document, place,
                         "has the tls_subject, or the uid and gid, of another client "
                         "(each needs its own)");
    if (client->jwt.issuer != NULL)
        set->with_jwt[set->with_jwt_count++] = client;
}

/* null is as good as absent. */
static bool has_member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return value != NULL && !json_is_null(value);
}

/* A name that no scope of an operation table has: those are without spaces by habit.
 */
static const char *scope_of(struct document *document, const char *credential)
{
    size_t len = strlen(credential);
    char *scope = arena_alloc(document->arena, len + sizeof(CREDENTIAL_SCOPE));

    if (scope == NULL)
        return "";
    memcpy(scope, CREDENTIAL_SCOPE, sizeof(CREDENTIAL_SCOPE) - 1);
    memcpy(scope + sizeof(CREDENTIAL_SCOPE) - 1, credential, len + 1);
    return scope;
}

static bool has_any_team(const struct client *client)
{
    for (size_t i = 0; i < client->team_count; i++) {
        if (strcmp(client->teams[i], "*") == 0)
            return true;
    }
    return false;
}

static const char *const everything[] = {"*"};

static void read_client(struct document *document, const struct place *place,
                        const struct loading *loading, json_t *value,
                        struct client *client)
{
    *client = (struct client){
        .expires_ms = INT64_MAX,
        .credential = "default",
        .allow = everything,
        .allow_count = 1,
        .has_default_allow = true,
        .teams = everything,
        .team_count = 1,
    };
    client_read_members(document, place, value, client);
    if (client->credential == NULL) {
        struct place member = {.parent = place, .key = "credential"};

        document_problem(document, &member, "must be a credential's name");
    }
    if (client->name == NULL || client->credential == NULL)
        return; /* a problem; the set is not going to be used */
    if (!has_member(value, "token_sha256") && !has_member(value, "jwt") &&
        !has_member(value, "tls_subject") && !has_member(value, "uid") &&
        !has_member(value, "gid"))
        document_problem(document, place,
                         "has no identity (token_sha256, which psgate token create "
                         "makes, jwt, tls_subject, uid or gid)");
    client->may_any_team = has_any_team(client);
    client->credential_scope = scope_of(document, client->credential);
    check_limits(document, place, &client->limits);
    check_credential(document, place, loading, client);
    check_issuer(document, place, loading->config, client);
    policy_resolve(document, place, loading->table, client);
    index_client(document, place, loading->set, client);
}

static void read_clients(struct document *document, const struct loading *loading)
{
    static const char *const known[] = {"clients", "$schema", NULL};
    const struct place root = {0};
    const struct place list = {.parent = &root, .key = "clients"};
    struct client_set *set = loading->set;
    json_t *clients = json_object_get(document->root, "clients");
    const char *key;
    json_t *value;

    json_object_foreach (document->root, key, value) {
        const struct place member = {.parent = &root, .key = key};

        if (strcmp(key, known[1]) == 0 && !json_is_string(value))
            document_problem(document, &member, "must be a string");
        else if (strcmp(key, known[0]) != 0 && strcmp(key, known[1]) != 0)
            document_problem(document, &member, "unknown key (known here: \"clients\")");
    }
    if (!json_is_array(clients)) {
        document_problem(document, &root,
                         "must be an object with an array \"clients\" (psgate token "
                         "create makes one)");
        return;
    }
    set->clients = arena_alloc(document->arena,
                               (json_array_size(clients) + 1) * sizeof(struct client));
    set->with_jwt = arena_alloc(document->arena,
                                (json_array_size(clients) + 1) * sizeof(struct client *));
    if (set->clients == NULL || set->with_jwt == NULL) {
        document_problem(document, &root, "out of memory");
        return;
    }
    for (size_t i = 0; i < json_array_size(clients); i++) {
        struct place element = {.parent = &list, .index = i};

        read_client(document, &element, loading, json_array_get(clients, i),
                    &set->clients[set->count++]);
    }
}

struct client_set *client_set_load(const char *path, const struct config *config,
                                   const struct operation_table *table,
                                   struct problems *problems)
{
    struct client_set *set = calloc(1, sizeof(*set));
    struct loading loading = {set, config, table};
    struct document document;
    unsigned before = problems->count;

    if (set != NULL) {
        set->by_digest = table_new();
        set->by_identity = table_new();
    }
    if (set == NULL || set->by_digest == NULL || set->by_identity == NULL) {
        problems_add(problems, path, "out of memory");
        client_set_free(set);
        return NULL;
    }
    set->other_bit = table->count;
    if (document_load(&document, path, FILE_PRIVATE, &set->arena, problems))
        read_clients(&document, &loading);
    document_fini(&document);
    if (problems->count == before)
        return set;
    client_set_free(set);
    return NULL;
}

/* What is said twice of one name: the first says it for all. */
static void merge_limits(struct client *first, const struct client *other)
{
    if (first->limits.rate.count == 0) {
        first->limits.rate = other->limits.rate;
        first->limits.burst = other->limits.burst;
    }
    if (first->limits.concurrency == 0)
        first->limits.concurrency = other->limits.concurrency;
}

/* All that share a bucket show the same limits. */
static bool unite_namesakes(struct client_set *set)
{
    struct table *by_name = table_new();
    bool is_whole = by_name != NULL;

    for (size_t i = 0; is_whole && i < set->count; i++) {
        struct span name = span_of(set->clients[i].name);
        struct client *first = table_find(by_name, name);

        if (first != NULL)
            merge_limits(first, &set->clients[i]);
        else
            is_whole = table_add(by_name, name, &set->clients[i]);
    }
    for (size_t i = 0; is_whole && i < set->count; i++) {
        const struct client *first = table_find(by_name, span_of(set->clients[i].name));

        set->clients[i].limits = first->limits;
    }
    table_free(by_name);
    return is_whole;
}

bool client_set_bind_rates(struct client_set *set, struct rates *rates)
{
    if (!unite_namesakes(set))
        return false;
    for (size_t i = 0; i < set->count; i++) {
        struct client *client = &set->clients[i];

        client->bucket = rates_bucket(rates, span_of(client->name));
        if (client->bucket == NULL)
            return false;
    }
    return true;
}

void client_set_apply_rates(const struct client_set *set, int64_t now_us)
{
    for (size_t i = 0; i < set->count; i++)
        rate_bucket_limit(set->clients[i].bucket, &set->clients[i].limits, now_us);
}

void client_set_free(struct client_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        rate_bucket_drop(set->clients[i].bucket);
    table_free(set->by_identity);
    table_free(set->by_digest);
    arena_fini(&set->arena);
    free(set);
}

const struct client *client_find(const struct client_set *set,
                                 const unsigned char digest[TOKEN_DIGEST_BYTES])
{
    return table_find(set->by_digest,
                      span_make((const char *)digest, TOKEN_DIGEST_BYTES));
}

/* One name may have several entries; the one that lasts longest counts then. */
const struct client *client_find_jwt(const struct client_set *set, const char *issuer,
                                     const json_t *claims, bool *is_ambiguous)
{
    const struct client *found = NULL;

    *is_ambiguous = false;
    for (size_t i = 0; i < set->with_jwt_count; i++) {
        const struct client *client = set->with_jwt[i];

        if (!client_jwt_matches(&client->jwt, issuer, claims))
            continue;
        if (found != NULL && strcmp(found->name, client->name) != 0) {
            *is_ambiguous = true;
            return NULL;
        }
        if (found == NULL || client->expires_ms > found->expires_ms)
            found = client;
    }
    return found;
}
