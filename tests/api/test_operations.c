/* The shipped table, and the matcher, which no spelling of a request gets past. */
#include "api/builtin.h"
#include "api/operations.h"
#include "support/lines.h"

static struct operation_table *load(const char *path)
{
    struct problems problems = {0};
    struct operation_table *table = operation_table_load(path, &problems);

    ck_assert_msg(table != NULL, "%s", problems.lines.bytes);
    ck_assert_uint_eq(problems.count, 0);
    problems_fini(&problems);
    return table;
}

/* The id of what matches, "" for no operation, NULL: the path itself is refused. */
static const char *match(const struct operation_table *table, struct span method,
                         struct span path)
{
    struct span exact = exact_span(path);
    char *scratch = malloc(path.len);
    const struct operation *operation = NULL;
    enum http_fault fault;
    struct http_path split;
    bool is_good = http_path_split(exact, false, scratch, &split, &fault);

    if (is_good)
        operation = operation_match(table, method, &split);
    free(scratch);
    free((char *)(uintptr_t)exact.at);
    if (!is_good)
        return NULL;
    return operation != NULL ? operation->id : "";
}

static struct operation_table *table;

static void load_table(void)
{
    table = load(NULL);
}

static void free_table(void)
{
    operation_table_free(table);
}

/* The nine operations of the API's contract, and what FACTS says must be guarded. */
static const struct {
    const char *method, *path, *id;
} requests[] = {
    {"GET", "/v1/auth/session", "getSession"},
    {"GET", "/v1/teams/t/users", "listTeamMembers"},
    {"PUT", "/v1/teams/t/users/u", "updateTeamMember"},
    {"DELETE", "/v1/teams/t/users/u", "removeTeamMember"},
    {"GET", "/v1/teams/t/secrets", "listTeamSecrets"},
    {"POST", "/v1/teams/t/secrets", "createTeamSecret"},
    {"GET", "/v1/teams/t/secrets/n", "getTeamSecret"},
    {"PATCH", "/v1/teams/t/secrets/n", "updateTeamSecret"},
    {"DELETE", "/v1/teams/t/secrets/n", "deleteTeamSecret"},
    {"POST", "/v1/projects/p/secrets", "createProjectSecret"},
    {"PATCH", "/v1/projects/p/secrets/n", "updateProjectSecret"},
    {"DELETE", "/v1/projects/p/secrets/n", "deleteProjectSecret"},
    {"POST", "/v1/container-registries", "createContainerRegistry"},
    {"PUT", "/v1/container-registries/r", "updateContainerRegistry"},
    {"DELETE", "/v1/container-registries/r", "deleteContainerRegistry"},
    {"POST", "/v1/storage-providers", "createStorageProvider"},
    {"PUT", "/v1/storage-providers/s", "updateStorageProvider"},
    {"DELETE", "/v1/storage-providers/s", "deleteStorageProvider"},
    {"POST", "/apiTokens/createPublic", "manageApiTokens"},
    {"GET", "/apiTokens", "manageApiTokens"},
    {"POST", "/v1/apiTokens/createPublic", "manageApiTokensV1"},
    {"POST", "/apiToken/createPublic", "manageApiToken"},
    {"GET", "/v1/apiToken/", "manageApiTokenV1"},
    {"POST", "/users/login", "logIn"},
    {"POST", "/v1/Users/LogIn/", "logInV1"},
    {"POST", "/v1/api-keys", "manageApiKeys"},
    {"DELETE", "/v1/api-keys/k/x/y", "manageApiKeys"},
    {"POST", "/v1/teams/t/api-keys", "manageTeamApiKeys"},
    {"PATCH", "/v1/teams/t/api-keys/k", "manageTeamApiKeys"},
    /* Near misses are nobody's. */
    {"POST", "/v1/auth/session", ""},
    {"GET", "/auth/session", ""},
    {"GET", "/v1/auth/session/x", ""},
    {"GET", "/v2/auth/session", ""},
    {"GET", "/v1/auth/sessions", ""},
    {"GET", "/v1/auth", ""},
    {"GET", "/", ""},
    {"POST", "/v1/teams/t/users", ""},
    {"PATCH", "/v1/teams/t/users/u", ""},
    {"PUT", "/v1/teams/t/secrets/n", ""},
    {"GET", "/v1/projects/p/secrets", ""},
    {"POST", "/v1/api-keysx", ""},
    {"GET", "/users", ""},
    {"PROPFIND", "/v1/teams/t/secrets", ""},
};

START_TEST(the_shipped_table_knows_the_api)
{
    ck_assert_str_eq(
        match(table, span_of(requests[_i].method), span_of(requests[_i].path)),
        requests[_i].id);
}
END_TEST

/* Each of them reaches createTeamSecret or manageApiKeys, and NULL: refused before. */
static const struct {
    struct span method, path;
    const char *id;
} spellings[] = {
    {SPAN("POST"), SPAN("/V1/TEAMS/t/SECRETS"), "createTeamSecret"},
    {SPAN("POST"), SPAN("/v1/Teams/t/sEcReTs/"), "createTeamSecret"},
    {SPAN("POST"), SPAN("/v1/teams/t/secrets/"), "createTeamSecret"},
    {SPAN("post"), SPAN("/v1/teams/t/secrets"), "createTeamSecret"},
    {SPAN("PosT"), SPAN("/v1/teams/t/secrets"), "createTeamSecret"},
    {SPAN("POST"), SPAN("/%76%31/teams/t/secret%73"), "createTeamSecret"},
    {SPAN("POST"), SPAN("/v1/teams/t/%53ECRETS/"), "createTeamSecret"},
    {SPAN("POST"), SPAN("/v1/teams/%74%65am%20x/secrets"), "createTeamSecret"},
    {SPAN("POST"), SPAN("/v1/teams/\xc3\xa9/secrets"), "createTeamSecret"},
    {SPAN("POST"), SPAN("/v1/teams/{id}/secrets"), "createTeamSecret"},
    {SPAN("POST"), SPAN("/v1/teams/*/secrets"), "createTeamSecret"},
    {SPAN("HEAD"), SPAN("/v1/teams/t/secrets"), "listTeamSecrets"},
    {SPAN("head"), SPAN("/v1/Auth/Session/"), "getSession"},
    {SPAN("TRACE"), SPAN("/v1/api-keys"), "manageApiKeys"},
    {SPAN("FOO"), SPAN("/v1/API-KEYS/"), "manageApiKeys"},
    {SPAN("GET"), SPAN("/v1/%61pi%2Dkeys/x"), "manageApiKeys"},
    {SPAN("GET"), SPAN("/V1/aPi-kEyS/a/b/c/d"), "manageApiKeys"},
    {SPAN("GET"), SPAN("/APITOKENS/createpublic"), "manageApiTokens"},
    /* A letter of another alphabet is another letter. */
    {SPAN("POST"), SPAN("/v1/api-\342\204\252eys"), ""},    /* KELVIN SIGN */
    {SPAN("POST"), SPAN("/v1/teams/t/\305\277ecrets"), ""}, /* LONG S */
    {SPAN("POST"), SPAN("/v1/api-keys;x"), ""},
    {SPAN("POST"), SPAN("/v1/api-keys%20"), ""},
    {SPAN("POST"), SPAN("/v1/%2561pi-keys"), ""}, /* decoded once, as upstream does */
    {SPAN("POST"), SPAN("/v1//api-keys"), NULL},
    {SPAN("POST"), SPAN("//v1/api-keys"), NULL},
    {SPAN("POST"), SPAN("/v1/x/../api-keys"), NULL},
    {SPAN("POST"), SPAN("/v1/%2e/api-keys"), NULL},
    {SPAN("POST"), SPAN("/v1%2fapi-keys"), NULL},
    {SPAN("POST"), SPAN("/v1\\api-keys"), NULL},
    {SPAN("POST"), SPAN("/v1/api-keys%00"), NULL},
};

START_TEST(no_spelling_slips_past_the_matcher)
{
    ck_assert_pstr_eq(match(table, spellings[_i].method, spellings[_i].path),
                      spellings[_i].id);
}
END_TEST

START_TEST(paths_longer_than_are_kept_match_by_their_beginning)
{
    struct text path = {0};

    text_add(&path, SPAN("/v1/api-keys"));
    for (int i = 0; i < 2 * HTTP_PATH_SEGMENTS; i++) {
        text_add(&path, SPAN("/x"));
        ck_assert_str_eq(match(table, SPAN("GET"), span_make(path.bytes, path.len)),
                         "manageApiKeys");
    }
    path.bytes[4] = 'x';
    ck_assert_str_eq(match(table, SPAN("GET"), span_make(path.bytes, path.len)), "");
    text_fini(&path);
}
END_TEST

static const struct operation *find(const char *id)
{
    const struct operation *operation = operation_find(table, span_of(id));

    ck_assert_msg(operation != NULL, "no %s", id);
    return operation;
}

static void assert_cache(const char *id, const char *scope, int64_t ttl_ms)
{
    const struct operation_cache *cache = find(id)->cache;

    ck_assert_ptr_nonnull(cache);
    ck_assert_str_eq(cache->scope, scope);
    ck_assert_int_eq(cache->freshness, OPERATION_FRESHNESS_FIXED);
    ck_assert_int_eq(cache->ttl_ms, ttl_ms);
    ck_assert_int_eq(cache->stale_while_revalidate_ms, ttl_ms);
    ck_assert_int_eq(cache->stale_if_error_ms, 600000);
}

/* INTERFACES, The operation table. */
START_TEST(the_shipped_rows_say_what_the_interfaces_say)
{
    const struct operation *update = find("updateTeamMember");
    const struct operation *create = find("createTeamSecret");

    assert_cache("getSession", "session", 30000);
    assert_cache("listTeamMembers", "members", 60000);
    ck_assert_int_eq(find("listTeamMembers")->team_segment, 2);
    ck_assert_str_eq(update->method, "PUT");
    ck_assert_str_eq(update->path, "/v1/teams/{teamId}/users/{userId}");
    ck_assert_int_eq(update->team_segment, 2);
    ck_assert_int_eq(update->user_segment, 4);
    ck_assert(update->is_audited);
    ck_assert_uint_eq(update->record_count, 1);
    ck_assert_str_eq(update->record[0], "isAdmin");
    ck_assert_uint_eq(update->invalidates_count, 2);
    ck_assert_str_eq(update->invalidates[0], "session");
    ck_assert_str_eq(update->invalidates[1], "members");
    ck_assert_ptr_null(update->cache);
    ck_assert_str_eq(create->resource_type, "secret");
    ck_assert_str_eq(create->resource_member, "name");
    ck_assert_int_eq(create->resource_segment, OPERATION_NO_SEGMENT);
    ck_assert_str_eq(create->record[0], "name");
    ck_assert_int_eq(find("deleteTeamSecret")->resource_segment, 4);
    ck_assert_ptr_null(find("deleteTeamSecret")->resource_member);
    ck_assert_int_eq(find("getSession")->team_segment, OPERATION_NO_SEGMENT);
    ck_assert_ptr_null(find("getSession")->resource_type);
}
END_TEST

static bool is_minting(const struct operation *operation)
{
    return strncmp(operation->id, "manage", 6) == 0 ||
           strncmp(operation->id, "logIn", 5) == 0;
}

START_TEST(every_mutation_of_the_shipped_table_is_audited)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct operation *operation = &table->operations[i];

        ck_assert_uint_eq(operation->index, i);
        ck_assert_ptr_eq(operation_find(table, span_of(operation->id)), operation);
        ck_assert_int_eq(operation->is_audited, strcmp(operation->method, "GET") != 0);
        ck_assert_int_eq(operation->is_named_only, is_minting(operation));
        ck_assert(operation->cache == NULL || strcmp(operation->method, "GET") == 0);
    }
    ck_assert_ptr_null(operation_find(table, SPAN("getsession")));
    ck_assert_ptr_null(operation_find(table, SPAN("other")));
    ck_assert_ptr_null(operation_find(table, SPAN("")));
}
END_TEST

/* Nothing that the shipped table records can be a secret (FACTS). */
START_TEST(no_secret_value_is_recorded)
{
    static const char *const fine[] = {"name", "isAdmin"};

    for (size_t i = 0; i < table->count; i++) {
        for (size_t j = 0; j < table->operations[i].record_count; j++) {
            const char *member = table->operations[i].record[j];

            ck_assert_msg(strcmp(member, fine[0]) == 0 || strcmp(member, fine[1]) == 0,
                          "%s records %s", table->operations[i].id, member);
        }
    }
}
END_TEST

START_TEST(the_built_in_table_is_the_one_in_conf)
{
    const char *path = PSGATE_SOURCE_DIR "/conf/operations.json";
    struct operation_table *other = load(path);
    struct error error = {{0}};
    struct text text = {0};

    ck_assert_uint_eq(other->count, table->count);
    for (size_t i = 0; i < table->count; i++)
        ck_assert_str_eq(other->operations[i].id, table->operations[i].id);
    ck_assert_msg(file_read(path, FILE_PUBLIC, &text, &error), "%s", error.text);
    ck_assert(span_equal(span_make(text.bytes, text.len),
                         span_make(builtin_operations, builtin_operations_len)));
    text_fini(&text);
    operation_table_free(other);
}
END_TEST

static const struct {
    const char *method;
    bool is_mutating;
} methods[] = {
    {"GET", false}, {"HEAD", false}, {"OPTIONS", false}, {"POST", true},
    {"PUT", true},  {"PATCH", true}, {"DELETE", true},   {"TRACE", true},
    {"FOO", true},  {"", true},      {"get", true},      {"GETX", true},
};

START_TEST(every_method_but_three_is_mutating)
{
    ck_assert_int_eq(operation_method_is_mutating(span_of(methods[_i].method)),
                     methods[_i].is_mutating);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/operations");
    TCase *matching = suite_case(suite, "matching");
    TCase *shipped = suite_case(suite, "shipped");

    tcase_add_checked_fixture(matching, load_table, free_table);
    tcase_add_checked_fixture(shipped, load_table, free_table);
    tcase_add_loop_test(matching, the_shipped_table_knows_the_api, 0, ROWS(requests));
    tcase_add_loop_test(matching, no_spelling_slips_past_the_matcher, 0, ROWS(spellings));
    tcase_add_test(matching, paths_longer_than_are_kept_match_by_their_beginning);
    tcase_add_loop_test(matching, every_method_but_three_is_mutating, 0, ROWS(methods));
    tcase_add_test(shipped, the_shipped_rows_say_what_the_interfaces_say);
    tcase_add_test(shipped, every_mutation_of_the_shipped_table_is_audited);
    tcase_add_test(shipped, no_secret_value_is_recorded);
    tcase_add_test(shipped, the_built_in_table_is_the_one_in_conf);
    return run_suite(suite);
}
