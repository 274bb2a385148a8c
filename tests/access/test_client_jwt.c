/* Which client the claims of a token name, and what its entry must not leave open. */
#include "access/client_jwt.h"

#include "access/client.h"
#include "support/folder.h"
#include "support/lines.h"

#define ISSUER "https://issuer.test"

/* One client's member */

static struct arena arena;

static void make(void)
{
    arena = (struct arena){0};
}

static void end(void)
{
    arena_fini(&arena);
}

static void read_member(const char *text, struct client_jwt *jwt,
                        const char *problems_wanted)
{
    const struct place root = {0};
    const struct place place = {.parent = &root, .key = "jwt"};
    struct problems problems = {0};
    struct text whole = {0};
    struct document document;

    text_add_format(&whole, "{\"jwt\":%s}", text);
    ck_assert(document_parse(&document, "c.json", span_make(whole.bytes, whole.len),
                             &arena, &problems));
    *jwt = (struct client_jwt){0};
    client_jwt_read(&document, &place, json_object_get(document.root, "jwt"), jwt);
    document_fini(&document);
    text_fini(&whole);
    ck_assert_msg(problems.count > 0 || problems_wanted[0] == '\0', "%s is accepted",
                  text);
    assert_problems(&problems, "c.json", problems_wanted);
    problems_fini(&problems);
}

static bool matches(const char *wanted, const char *issuer, const char *claims)
{
    struct client_jwt jwt;
    struct text member = {0};
    json_t *json = json_loads(claims, 0, NULL);
    bool is_match;

    ck_assert_msg(json != NULL, "%s", claims);
    text_add_format(&member, "{\"issuer\":\"" ISSUER "\",\"claims\":%s}", wanted);
    read_member(member.bytes, &jwt, "");
    is_match = client_jwt_matches(&jwt, issuer, json);
    json_decref(json);
    text_fini(&member);
    return is_match;
}

static const struct {
    const char *wanted, *claims;
    bool is_match;
} cases[] = {
    /* exactly */
    {"{\"sub\":\"a\"}", "{\"sub\":\"a\"}", true},
    {"{\"sub\":\"a\"}", "{\"sub\":\"A\"}", false},
    {"{\"sub\":\"a\"}", "{\"sub\":\"ab\"}", false},
    {"{\"sub\":\"a\"}", "{\"sub\":\"\"}", false},
    {"{\"sub\":\"a\"}", "{\"Sub\":\"a\"}", false},
    {"{\"sub\":\"a\"}", "{}", false},
    {"{\"sub\":\"a\"}", "{\"sub\":null}", false},
    {"{\"sub\":\"a?[b]\"}", "{\"sub\":\"a?[b]\"}", true},
    {"{\"sub\":\"a?[b]\"}", "{\"sub\":\"axb\"}", false},
    {"{\"sub\":\"\\u00e9\"}", "{\"sub\":\"\303\251\"}", true},
    {"{\"sub\":\"\\u00e9\"}", "{\"sub\":\"e\\u0301\"}", false},
    {"{\"\\u0073ub\":\"a\"}", "{\"sub\":\"a\"}", true},
    /* by glob: the whole value, any run of bytes */
    {"{\"sub\":\"repo:acme/*\"}", "{\"sub\":\"repo:acme/app:ref:refs/heads/main\"}",
     true},
    {"{\"sub\":\"repo:acme/*\"}", "{\"sub\":\"repo:acme-evil/app\"}", false},
    {"{\"sub\":\"repo:acme/*\"}", "{\"sub\":\"xrepo:acme/app\"}", false},
    {"{\"sub\":\"*:main\"}", "{\"sub\":\"repo:main\"}", true},
    {"{\"sub\":\"*:main\"}", "{\"sub\":\"repo:mainx\"}", false},
    {"{\"sub\":\"a*b*c\"}", "{\"sub\":\"abbc\"}", true},
    {"{\"sub\":\"a*b*c\"}", "{\"sub\":\"acb\"}", false},
    {"{\"sub\":\"a*\"}", "{\"sub\":\"a\\nb\"}", true},
    /* all of them */
    {"{\"sub\":\"a\",\"ref\":\"b\"}", "{\"sub\":\"a\",\"ref\":\"b\",\"x\":1}", true},
    {"{\"sub\":\"a\",\"ref\":\"b\"}", "{\"sub\":\"a\"}", false},
    {"{\"sub\":\"a\",\"ref\":\"b\"}", "{\"sub\":\"a\",\"ref\":\"c\"}", false},
    {"{\"sub\":\"a\",\"ref\":\"*\"}", "{\"sub\":\"a\",\"ref\":\"\"}", true},
    {"{\"sub\":\"a\",\"ref\":\"*\"}", "{\"sub\":\"a\"}", false},
    /* arrays: one element */
    {"{\"groups\":\"ops\"}", "{\"groups\":[\"dev\",\"ops\"]}", true},
    {"{\"groups\":\"o*\"}", "{\"groups\":[\"dev\",\"ops\"]}", true},
    {"{\"groups\":\"ops\"}", "{\"groups\":[]}", false},
    {"{\"groups\":\"ops\"}", "{\"groups\":[\"ops,dev\"]}", false},
    {"{\"groups\":\"ops\"}", "{\"groups\":[[\"ops\"]]}", false},
    {"{\"groups\":\"ops\"}", "{\"groups\":[{\"ops\":\"ops\"}]}", false},
    {"{\"groups\":7}", "{\"groups\":[6,7]}", true},
    {"{\"groups\":true}", "{\"groups\":[false,true]}", true},
    /* numbers and truths */
    {"{\"id\":7}", "{\"id\":7}", true},
    {"{\"id\":7}", "{\"id\":\"7\"}", false},
    {"{\"id\":7}", "{\"id\":7.0}", false},
    {"{\"id\":7}", "{\"id\":8}", false},
    {"{\"id\":1}", "{\"id\":true}", false},
    {"{\"id\":-9223372036854775808}", "{\"id\":-9223372036854775808}", true},
    {"{\"id\":\"7\"}", "{\"id\":7}", true},
    {"{\"id\":\"-9223372036854775808\"}", "{\"id\":-9223372036854775808}", true},
    {"{\"id\":\"7*\"}", "{\"id\":71}", true},
    {"{\"id\":\"7\"}", "{\"id\":7.0}", false},
    {"{\"ok\":true}", "{\"ok\":true}", true},
    {"{\"ok\":true}", "{\"ok\":false}", false},
    {"{\"ok\":false}", "{\"ok\":false}", true},
    {"{\"ok\":false}", "{}", false},
    {"{\"ok\":false}", "{\"ok\":null}", false},
    {"{\"ok\":true}", "{\"ok\":\"true\"}", false},
    {"{\"ok\":true}", "{\"ok\":1}", false},
    {"{\"ok\":\"true\"}", "{\"ok\":true}", true},
    /* what is within an object satisfies nothing, whatever the name looks like */
    {"{\"a\":\"x\"}", "{\"a\":{\"a\":\"x\"}}", false},
    {"{\"a.b\":\"x\"}", "{\"a\":{\"b\":\"x\"}}", false},
    {"{\"a.b\":\"x\"}", "{\"a.b\":\"x\"}", true},
    {"{\"a\":\"*\",\"b\":\"x\"}", "{\"a\":{},\"b\":\"x\"}", false},
};

START_TEST(claims_satisfy_a_client_or_not)
{
    ck_assert_msg(matches(cases[_i].wanted, ISSUER, cases[_i].claims) ==
                      cases[_i].is_match,
                  "%s %s", cases[_i].wanted, cases[_i].claims);
}
END_TEST

START_TEST(another_issuers_claims_satisfy_nobody)
{
    const struct client_jwt none = {.issuer = NULL};
    json_t *claims = json_pack("{s:s}", "sub", "a");

    ck_assert(matches("{\"sub\":\"a\"}", ISSUER, "{\"sub\":\"a\"}"));
    ck_assert(!matches("{\"sub\":\"a\"}", ISSUER "/", "{\"sub\":\"a\"}"));
    ck_assert(!matches("{\"sub\":\"a\"}", "HTTPS://issuer.test", "{\"sub\":\"a\"}"));
    ck_assert(!matches("{\"sub\":\"a\"}", "", "{\"sub\":\"a\"}"));
    ck_assert(!client_jwt_matches(&none, ISSUER, claims));
    json_decref(claims);
}
END_TEST

START_TEST(null_is_none)
{
    struct client_jwt jwt;

    read_member("null", &jwt, "");
    ck_assert_ptr_null(jwt.issuer);
}
END_TEST

static const struct {
    const char *text, *problems;
} bad[] = {
    {"\"" ISSUER "\"", "1:2: jwt:"},
    {"[]", "1:2: jwt:"},
    {"{}", "1:2: jwt.issuer:\n1:2: jwt.claims:"},
    {"{\"claims\":{\"sub\":\"a\"}}", "1:2: jwt.issuer:~required"},
    {"{\"issuer\":\"i\"}", "1:2: jwt.claims:~required"},
    {"{\"issuer\":7,\"claims\":{\"sub\":\"a\"}}", "1:9: jwt.issuer:"},
    {"{\"issuer\":\"\",\"claims\":{\"sub\":\"a\"}}", "1:9: jwt.issuer:"},
    {"{\"issuer\":\"i\",\"claim\":{\"sub\":\"a\"}}",
     "1:22: jwt.claim:~\"claims\"\n1:2: jwt.claims:~required"},
    {"{\"claims\":[],\"issuer\":\"i\"}", "1:9: jwt.claims:~object"},
    {"{\"claims\":\"sub\",\"issuer\":\"i\"}", "1:9: jwt.claims:~object"},
    /* everybody's */
    {"{\"claims\":{},\"issuer\":\"i\"}", "1:9: jwt.claims:~fits every token"},
    {"{\"claims\":{\"sub\":\"*\"},\"issuer\":\"i\"}",
     "1:9: jwt.claims:~fits every token"},
    {"{\"claims\":{\"sub\":\"**\",\"ref\":\"*\"},\"issuer\":\"i\"}",
     "1:9: jwt.claims:~fits every token"},
    {"{\"claims\":{\"iss\":\"i\"},\"issuer\":\"i\"}",
     "1:9: jwt.claims:~fits every token"},
    {"{\"claims\":{\"iss\":\"i\",\"sub\":\"*\"},\"issuer\":\"i\"}",
     "1:9: jwt.claims:~\"sub\""},
    /* values */
    {"{\"claims\":{\"sub\":\"\"},\"issuer\":\"i\"}",
     "1:19: jwt.claims.sub:~whole number"},
    {"{\"claims\":{\"sub\":null},\"issuer\":\"i\"}", "1:19: jwt.claims.sub:"},
    {"{\"claims\":{\"sub\":1.5},\"issuer\":\"i\"}", "1:19: jwt.claims.sub:"},
    {"{\"claims\":{\"sub\":[\"a\"]},\"issuer\":\"i\"}", "1:19: jwt.claims.sub:"},
    {"{\"claims\":{\"sub\":{\"a\":\"b\"}},\"issuer\":\"i\"}", "1:19: jwt.claims.sub:"},
    {"{\"claims\":{\"a\":\"b\",\"sub\":[]},\"issuer\":\"i\"}", "1:27: jwt.claims.sub:"},
};

START_TEST(what_is_wrong_is_said)
{
    struct client_jwt jwt;

    read_member(bad[_i].text, &jwt, bad[_i].problems);
}
END_TEST

START_TEST(there_is_a_most_of_claims)
{
    struct text member = {0};
    struct client_jwt jwt;

    for (unsigned most = CLIENT_MOST_CLAIMS; most <= CLIENT_MOST_CLAIMS + 1; most++) {
        text_clear(&member);
        text_add(&member, SPAN("{\"issuer\":\"i\",\"claims\":{\"c0\":\"v\""));
        for (unsigned i = 1; i < most; i++)
            text_add_format(&member, ",\"c%u\":\"v\"", i);
        text_add(&member, SPAN("}}"));
        read_member(member.bytes, &jwt,
                    most == CLIENT_MOST_CLAIMS ? "" : "1:22: jwt.claims:~at most 32");
        if (most == CLIENT_MOST_CLAIMS)
            ck_assert_uint_eq(jwt.claim_count, CLIENT_MOST_CLAIMS);
    }
    text_fini(&member);
}
END_TEST

/* All clients */

static struct folder folder;
static struct operation_table *table;
static struct config_credential credentials[] = {
    {.name = "default", .api_key_file = "/k"}};
static const struct config_jwt issuers[] = {{.issuer = ISSUER},
                                            {.issuer = "https://other.test"}};
static const struct config config = {.path = "psgate.json",
                                     .credentials = credentials,
                                     .credential_count = 1,
                                     .jwt = issuers,
                                     .jwt_count = 2};

static void set_up(void)
{
    struct problems problems = {0};

    folder_make(&folder);
    table = operation_table_load(NULL, &problems);
    ck_assert_msg(table != NULL, "%s", problems.lines.bytes);
}

static void tear_down(void)
{
    operation_table_free(table);
    folder_remove(&folder);
}

static struct client_set *load(const char *clients, struct problems *problems)
{
    struct text text = {0};
    struct client_set *set;

    text_add_format(&text, "{\"clients\":[%s]}", clients);
    set = client_set_load(
        folder_write(&folder, "clients.json", span_make(text.bytes, text.len), 0600),
        &config, table, problems);
    text_fini(&text);
    return set;
}

#define CLIENT(name, more, claims)                                                       \
    "{\"name\":\"" name "\"" more ",\"jwt\":{\"issuer\":\"" ISSUER                       \
    "\",\"claims\":" claims "}}"

/* Who the claims name: NULL nobody, "?" several. */
static void assert_client(const struct client_set *set, const char *issuer,
                          const char *claims, const char *expected)
{
    json_t *json = json_loads(claims, 0, NULL);
    bool is_ambiguous;
    const struct client *client = client_find_jwt(set, issuer, json, &is_ambiguous);

    json_decref(json);
    ck_assert_int_eq(is_ambiguous, expected != NULL && strcmp(expected, "?") == 0);
    if (expected == NULL || is_ambiguous)
        ck_assert_ptr_null(client);
    else
        ck_assert_str_eq(client != NULL ? client->name : "", expected);
}

START_TEST(claims_name_one_client_nobody_or_several)
{
    struct problems problems = {0};
    struct client_set *set =
        load(CLIENT("main", "", "{\"sub\":\"repo:a:main\"}") "," CLIENT(
                 "any", "", "{\"sub\":\"repo:b:*\"}") ","
                                                      "{\"name\":\"else\",\"jwt\":{"
                                                      "\"issuer\":\"https://other.test\","
                                                      "\"claims\":{\"sub\":\"repo:*\"}}}"
                                                      "," CLIENT("wide", "",
                                                                 "{\"sub\":\"*:main\"}"),
             &problems);

    ck_assert_msg(set != NULL, "%s", problems.lines.bytes);
    assert_client(set, ISSUER, "{\"sub\":\"repo:b:x\"}", "any");
    assert_client(set, ISSUER, "{\"sub\":\"x:main\"}", "wide");
    assert_client(set, ISSUER, "{\"sub\":\"repo:a:main\"}", "?");
    assert_client(set, ISSUER, "{\"sub\":\"repo:b:main\"}", "?");
    assert_client(set, ISSUER, "{\"sub\":\"nobody\"}", NULL);
    assert_client(set, ISSUER, "{}", NULL);
    assert_client(set, "https://other.test", "{\"sub\":\"repo:b:x\"}", "else");
    assert_client(set, "https://third.test", "{\"sub\":\"repo:b:x\"}", NULL);
    client_set_free(set);
}
END_TEST

#define UNTIL(time) ",\"expires\":\"" time "\""

START_TEST(of_two_entries_of_one_name_the_one_that_lasts_longer_counts)
{
    struct problems problems = {0};
    struct client_set *set =
        load(CLIENT("ci", UNTIL("2026-01-01T00:00:00Z"), "{\"sub\":\"a\"}") "," CLIENT(
                 "ci", UNTIL("2030-01-01T00:00:00Z"), "{\"sub\":\"a*\"}"),
             &problems);
    json_t *claims = json_pack("{s:s}", "sub", "a");
    const struct client *client;
    bool is_ambiguous;

    ck_assert_msg(set != NULL, "%s", problems.lines.bytes);
    client = client_find_jwt(set, ISSUER, claims, &is_ambiguous);
    ck_assert(!is_ambiguous);
    ck_assert_ptr_nonnull(client);
    ck_assert(!client_is_expired(client, 1798761600000)); /* 2027 */
    ck_assert(client_is_expired(client, 1893456000000));  /* 2030 */
    json_decref(claims);
    client_set_free(set);
}
END_TEST

START_TEST(an_issuer_that_the_configuration_does_not_know_is_a_problem)
{
    struct problems problems = {0};

    ck_assert_ptr_null(load("{\"name\":\"ci\",\"jwt\":{\"issuer\":\"https://issuer.tes\","
                            "\"claims\":{\"sub\":\"a\"}}}",
                            &problems));
    ck_assert_uint_eq(problems.count, 1);
    ck_assert_ptr_nonnull(
        strstr(problems.lines.bytes, "clients[0].jwt.issuer: is no issuer of"));
    problems_fini(&problems);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/client_jwt");
    TCase *tcase = suite_case(suite, "member");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_loop_test(tcase, claims_satisfy_a_client_or_not, 0, ROWS(cases));
    tcase_add_test(tcase, another_issuers_claims_satisfy_nobody);
    tcase_add_test(tcase, null_is_none);
    tcase_add_loop_test(tcase, what_is_wrong_is_said, 0, ROWS(bad));
    tcase_add_test(tcase, there_is_a_most_of_claims);

    tcase = suite_case(suite, "clients");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, claims_name_one_client_nobody_or_several);
    tcase_add_test(tcase, of_two_entries_of_one_name_the_one_that_lasts_longer_counts);
    tcase_add_test(tcase, an_issuer_that_the_configuration_does_not_know_is_a_problem);
    return run_suite_in_folder(suite);
}
