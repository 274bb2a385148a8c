/*
 * Clients files: any text is a set of clients or a list of problems, never both; and each
 * client of a set can be told apart, has a credential, and may do no named_only operation
 * that it does not name.
 */
#include "access/client.h"
#include "access/policy.h"
#include "fuzz/support.h"

static struct config_credential credentials[] = {
    {.name = "default", .api_key_file = "/k"}, {.name = "second", .api_key_env = "K"}};
static const struct config_jwt issuers[] = {{.issuer = "https://issuer.test"}};
static const struct config config = {.path = "psgate.json",
                                     .credentials = credentials,
                                     .credential_count = 2,
                                     .jwt = issuers,
                                     .jwt_count = 1};
static struct operation_table *table;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct problems problems = {0};

    (void)argc;
    (void)argv;
    table = operation_table_load(NULL, &problems);
    fuzz_require(table != NULL, "%s", problems.lines.bytes);
    return 0;
}

static bool names(const struct client *client, const char *id)
{
    for (size_t i = 0; i < client->allow_count; i++) {
        if (strcmp(client->allow[i], id) == 0)
            return true;
    }
    return false;
}

static void check_policy(const struct client_set *set, const struct client *client)
{
    struct http_path path = {.count = HTTP_PATH_SEGMENTS};

    for (unsigned i = 0; i < HTTP_PATH_SEGMENTS; i++)
        path.segments[i] = SPAN("some");
    for (size_t i = 0; i < table->count; i++) {
        const struct operation *operation = &table->operations[i];
        struct client_explanation explanation;
        enum client_verdict verdict = client_judge(set, client, operation, &path);

        client_explain(set, client, operation, &path, &explanation);
        fuzz_require(explanation.verdict == verdict, "explained otherwise: %s",
                     operation->id);
        fuzz_require(verdict != CLIENT_MAY || !operation->is_named_only ||
                         names(client, operation->id),
                     "%s needs its name, and has it not", operation->id);
    }
}

static void check(const struct client_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct client *client = &set->clients[i];

        fuzz_require(client->name != NULL && client->name[0] != '\0', "no name");
        fuzz_require(config_find_credential(&config, client->credential) != NULL,
                     "no such credential: %s", client->credential);
        fuzz_require(!client->has_token || client_find(set, client->digest) == client,
                     "'%s' is not found by its digest", client->name);
        fuzz_require(client->has_token || client->tls_subject != NULL ||
                         client->has_uid || client->has_gid || client->jwt.issuer != NULL,
                     "nobody can be '%s'", client->name);
        check_policy(set, client);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problems problems = {0};
    struct client_set *set =
        client_set_load(fuzz_file(fuzz_span(data, size)), &config, table, &problems);

    fuzz_require((set == NULL) == (problems.count > 0), "%u problems, and %s set",
                 problems.count, set != NULL ? "a" : "no");
    if (set != NULL)
        check(set);
    client_set_free(set);
    problems_fini(&problems);
    return 0;
}
