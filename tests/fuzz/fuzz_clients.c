/*
 * Clients files: any text is a set of clients or a list of problems, never both; and each
 * client of a set can be told apart, has a credential, and may do no named_only operation
 * that it does not name. Behind a NUL may be the claims of a token: whose it is, a slow
 * reader of the file says too.
 */
#include <jansson.h>

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

/* Whether the text fits a glob, by trying each run that a '*' may stand for. */
static bool fits_glob(const char *text, const char *glob)
{
    if (*glob == '\0')
        return *text == '\0';
    if (*glob != '*')
        return *text == *glob && fits_glob(text + 1, glob + 1);
    return fits_glob(text, glob + 1) || (*text != '\0' && fits_glob(text + 1, glob));
}

/* Whether one value of a token is what a client's file asks for. */
static bool is_wanted(const json_t *wanted, const json_t *value)
{
    char number[32];

    if (!json_is_string(wanted))
        return json_equal(wanted, value);
    if (json_is_string(value))
        return strlen(json_string_value(value)) == json_string_length(value) &&
               fits_glob(json_string_value(value), json_string_value(wanted));
    (void)snprintf(number, sizeof(number), "%lld", json_integer_value(value));
    if (json_is_boolean(value))
        return fits_glob(json_is_true(value) ? "true" : "false",
                         json_string_value(wanted));
    return json_is_integer(value) && fits_glob(number, json_string_value(wanted));
}

static bool has_all(json_t *client, const json_t *claims)
{
    json_t *jwt = json_object_get(client, "jwt");
    const char *name;
    json_t *wanted, *value;
    size_t i;

    if (json_is_null(jwt) || jwt == NULL)
        return false;
    json_object_foreach (json_object_get(jwt, "claims"), name, wanted) {
        json_t *claim = json_object_get(claims, name);
        bool is_there = is_wanted(wanted, claim);

        json_array_foreach (claim, i, value)
            is_there = is_there || is_wanted(wanted, value);
        if (!is_there)
            return false;
    }
    return true;
}

/* The one name of all clients that fit: that is who it is, or nobody. */
static void check_claims(const struct client_set *set, struct span file,
                         const json_t *claims)
{
    json_t *root = json_loadb(file.at, file.len, 0, NULL), *client;
    const char *name = NULL, *next;
    bool are_several = false, is_ambiguous;
    const struct client *found =
        client_find_jwt(set, issuers[0].issuer, claims, &is_ambiguous);
    size_t i;

    json_array_foreach (json_object_get(root, "clients"), i, client) {
        if (!has_all(client, claims))
            continue;
        next = json_string_value(json_object_get(client, "name"));
        are_several = are_several || (name != NULL && strcmp(name, next) != 0);
        name = next;
    }
    fuzz_require(are_several == is_ambiguous, "who it is is%s clear",
                 is_ambiguous ? " not" : "");
    fuzz_require((found != NULL) == (name != NULL && !are_several),
                 "somebody, or nobody");
    if (found != NULL)
        fuzz_require(strcmp(found->name, name) == 0, "it is %s, not %s", found->name,
                     name);
    json_decref(root);
}

/* Claims as a token may have them: too long for the slow reader's globs are left out. */
static void read_claims(const struct client_set *set, struct span file, struct span text)
{
    enum { MOST_CLAIMS_TEXT = 60 };
    json_t *claims = text.len <= MOST_CLAIMS_TEXT
                         ? json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL)
                         : NULL;

    if (json_is_object(claims))
        check_claims(set, file, claims);
    json_decref(claims);
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
    struct span input = fuzz_span(data, size);
    struct span file = fuzz_take_until(&input, '\0');
    struct problems problems = {0};
    struct client_set *set = client_set_load(fuzz_file(file), &config, table, &problems);

    fuzz_require((set == NULL) == (problems.count > 0), "%u problems, and %s set",
                 problems.count, set != NULL ? "a" : "no");
    if (set != NULL) {
        check(set);
        read_claims(set, file, input);
    }
    client_set_free(set);
    problems_fini(&problems);
    return 0;
}
