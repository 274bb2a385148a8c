/* What a client may do: operations in all their spellings, against policies. */
#include "gateway/judging.h"

static struct judging judging;

static const char *const clients[][2] = {
    {"all", ""},
    {"lists", "\"allow\":[\"list*\"]"},
    {"other", "\"allow\":[\"other\"]"},
    {"known", "\"deny\":[\"other\"]"},
    {"no-secrets", "\"deny\":[\"*Secret\",\"*Secrets\"]"},
    {"minter", "\"allow\":[\"*\",\"manageApiKeys\",\"manageTeamApiKeys\"]"},
    {"team-1", "\"teams\":[\"t1\"]"},
    {"no-teams", "\"teams\":[]"},
    {NULL, NULL},
};

static void set_up(void)
{
    judging_start(&judging, clients, "");
}

static void set_up_forwarding(void)
{
    judging_start(&judging, clients, ",\"encoded_slashes\":\"forward\"");
}

static void tear_down(void)
{
    judging_stop(&judging);
}

enum { CLIENTS = sizeof(clients) / sizeof(clients[0]) - 1 };

/* In "may" each client of the table above has its place; a '+' where it may. */
static const struct {
    const char *method, *path, *operation; /* NULL: other */
    const char *may;
} requests[] = {
    {"GET", "/v1/auth/session", "getSession", "+..+++.."},
    {"GET", "/v1/teams/t1/users", "listTeamMembers", "++.++++."},
    {"GET", "/v1/teams/t2/users", "listTeamMembers", "++.+++.."},
    {"GET", "/v1/teams/T1/users", "listTeamMembers", "++.+++.."},
    {"PUT", "/v1/teams/t1/users/u", "updateTeamMember", "+..++++."},
    {"DELETE", "/v1/teams/t1/users/u", "removeTeamMember", "+..++++."},
    {"GET", "/v1/teams/t1/secrets", "listTeamSecrets", "++.+.++."},
    {"POST", "/v1/teams/t1/secrets", "createTeamSecret", "+..+.++."},
    {"GET", "/v1/teams/t1/secrets/n", "getTeamSecret", "+..+.++."},
    {"PATCH", "/v1/teams/t1/secrets/n", "updateTeamSecret", "+..+.++."},
    {"DELETE", "/v1/teams/t2/secrets/n", "deleteTeamSecret", "+..+.+.."},
    {"POST", "/v1/projects/p/secrets", "createProjectSecret", "+..+.+.."},
    {"POST", "/v1/container-registries", "createContainerRegistry", "+..+++.."},
    {"POST", "/v1/api-keys", "manageApiKeys", ".....+.."},
    {"GET", "/v1/api-keys/k/x", "manageApiKeys", ".....+.."},
    {"POST", "/v1/teams/t1/api-keys", "manageTeamApiKeys", ".....+.."},
    {"POST", "/apiTokens/createPublic", "manageApiTokens", "........"},
    {"GET", "/v1/projects", NULL, "+.+.++.."},
    {"BREW", "/v1/teams/t1/users", NULL, "+.+.++.."},
    {"GET", "/", NULL, "+.+.++.."},
};

/* Ways to write a path: each writes the same path in another way. */
enum spelling {
    AS_IT_IS,
    WITH_SLASH,
    IN_UPPER_CASE, /* literals only: parameters have their case */
    ENCODED,
    ENCODED_UPPER_WITH_SLASH,
    ABSOLUTE,
    WITH_QUERY,
    SPELLINGS
};

/* Segment by segment; the fixed ones are those that the API's table has as literals. */
static void spell(struct text *out, const char *path, enum spelling spelling)
{
    static const char *const literals[] = {
        "v1",        "auth",     "session",
        "teams",     "users",    "secrets",
        "projects",  "api-keys", "container-registries",
        "apiTokens",
    };
    bool is_upper = spelling == IN_UPPER_CASE || spelling == ENCODED_UPPER_WITH_SLASH;
    bool is_encoded = spelling == ENCODED || spelling == ENCODED_UPPER_WITH_SLASH;

    text_add(out, spelling == ABSOLUTE ? SPAN("http://gw.test") : SPAN(""));
    while (*path != '\0') {
        size_t len = strcspn(path + 1, "/");
        bool is_literal = false;

        for (int i = 0; i < ROWS(literals); i++)
            is_literal |= span_equal(span_make(path + 1, len), span_of(literals[i]));
        text_add_byte(out, '/');
        for (size_t i = 1; i <= len; i++) {
            char letter = path[i];

            if (is_upper && is_literal && letter >= 'a' && letter <= 'z')
                letter = (char)(letter - 0x20);
            if (is_encoded)
                text_add_format(out, i % 2 == 0 ? "%%%02x" : "%%%02X", letter);
            else
                text_add_byte(out, letter);
        }
        path += len + 1;
    }
    if ((spelling == WITH_SLASH || spelling == ENCODED_UPPER_WITH_SLASH) &&
        out->bytes[out->len - 1] != '/')
        text_add_byte(out, '/');
    text_add(out, spelling == WITH_QUERY ? SPAN("?/v1/api-keys") : SPAN(""));
}

/* What psgate check --explain would say of the same request. */
static void check_judged_as(const struct judged *judged, const char *client)
{
    const struct client_set *set = judging.snapshot->clients;
    char *scratch = malloc(judged->head.target.len);
    struct admission admission;
    bool is_found = false;

    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->clients[i].name, client) != 0)
            continue;
        is_found = true;
        ck_assert_int_eq(admission_judge_as(&admission, &judged->head, judging.snapshot,
                                            &set->clients[i], (int64_t)JUDGING_NOW * 1000,
                                            scratch),
                         judged->is_admitted);
        ck_assert_int_eq(admission.reason, judged->admission.reason);
        ck_assert_ptr_eq(admission.operation, judged->admission.operation);
        ck_assert_ptr_eq(admission.client, judged->admission.client);
        ck_assert_int_eq(admission.is_exact, judged->admission.is_exact);
    }
    ck_assert(is_found);
    free(scratch);
}

/* What this client is told; its policy and nothing else decides. */
static void check_client(const char *method, const char *target, const char *operation,
                         const char *client, bool may)
{
    struct text line = {0};
    struct judged judged;

    text_add_format(&line, "X-Api-Key: {%s}\r\n", client);
    judging_ask(&judging, method, target, line.bytes, &judged);
    ck_assert_msg(judged.is_admitted == may, "%s: %s %s is %s", client, method, target,
                  may ? "refused" : "admitted");
    check_judged_as(&judged, client);
    if (may && operation != NULL) {
        ck_assert_msg(judged.admission.operation != NULL, "%s is other", target);
        ck_assert_str_eq(judged.admission.operation->id, operation);
    } else if (may) {
        ck_assert_ptr_null(judged.admission.operation);
    } else {
        ck_assert_uint_eq(reason_row(judged.admission.reason)->status, 403);
    }
    judged_end(&judged);
    text_fini(&line);
}

/* Only an operation that is spelled just as in the table may be answered from a cache. */
static void check_exact(const char *method, const char *target, bool is_exact)
{
    struct judged judged;

    judging_ask(&judging, method, target, "X-Api-Key: {all}\r\n", &judged);
    if (judged.is_admitted)
        ck_assert_msg(judged.admission.is_exact == is_exact, "%s is %s", target,
                      is_exact ? "not exact" : "exact");
    judged_end(&judged);
}

START_TEST(no_spelling_of_a_request_changes_who_may_do_it)
{
    for (int spelling = 0; spelling < SPELLINGS; spelling++) {
        struct text target = {0};

        spell(&target, requests[_i].path, (enum spelling)spelling);
        for (size_t i = 0; i < CLIENTS; i++)
            check_client(requests[_i].method, target.bytes, requests[_i].operation,
                         clients[i][0], requests[_i].may[i] == '+');
        check_exact(
            requests[_i].method, target.bytes,
            requests[_i].operation != NULL &&
                (spelling == AS_IT_IS || spelling == ABSOLUTE || spelling == WITH_QUERY));
        text_fini(&target);
    }
}
END_TEST

/* An upstream that takes any case of a method must not be given what was denied. */
START_TEST(a_method_in_lower_case_is_judged_as_the_same)
{
    check_client("delete", "/v1/teams/t1/secrets/n", NULL, "no-secrets", false);
    check_client("Post", "/v1/api-keys", NULL, "all", false);
    check_client("head", "/v1/teams/t1/secrets", NULL, "no-secrets", false);
}
END_TEST

START_TEST(head_is_judged_as_get)
{
    check_client("HEAD", "/v1/teams/t1/users", "listTeamMembers", "lists", true);
    check_client("HEAD", "/v1/teams/t1/secrets/n", "getTeamSecret", "lists", false);
}
END_TEST

START_TEST(a_refusal_says_whether_it_is_the_operation_or_the_team)
{
    struct judged judged;

    judging_ask(&judging, "POST", "/v1/teams/t1/secrets", "X-Api-Key: {lists}\r\n",
                &judged);
    ck_assert_int_eq(judged.admission.reason, REASON_OPERATION_FORBIDDEN);
    ck_assert_str_eq(judged.admission.detail, "createTeamSecret");
    judged_end(&judged);
    judging_ask(&judging, "GET", "/v1/x", "X-Api-Key: {lists}\r\n", &judged);
    ck_assert_int_eq(judged.admission.reason, REASON_OPERATION_FORBIDDEN);
    ck_assert_str_eq(judged.admission.detail, "other");
    judged_end(&judged);
    judging_ask(&judging, "GET", "/v1/teams/t2/users", "X-Api-Key: {team-1}\r\n",
                &judged);
    ck_assert_int_eq(judged.admission.reason, REASON_TEAM_FORBIDDEN);
    judged_end(&judged);
}
END_TEST

START_TEST(asterisk_is_other)
{
    check_client("OPTIONS", "*", NULL, "other", true);
    check_client("OPTIONS", "http://gw.test", NULL, "other", true);
    check_client("OPTIONS", "*", NULL, "known", false);
    check_client("OPTIONS", "*", NULL, "team-1", false);
}
END_TEST

/*
 * encoded_slashes: forward. Upstream may read such a path with or without the slashes as
 * separators; who may not do the one or the other may not do it.
 */
static const struct {
    const char *method, *path, *may;
} slashes[] = {
    /* other, or listTeamSecrets of t1 */
    {"GET", "/v1/teams/t1%2fsecrets", "+....+.."},
    {"GET", "/v1%2Fteams/t1/secrets", "+....+.."},
    {"GET", "/v1%2fteams%2ft1%2Fsecrets%2f", "+....+.."},
    {"GET", "/%2fv1/teams/t1/secrets", "+....+.."},
    {"GET", "/V1/TEAMS%2Ft1/%73ecrets/", "+....+.."},
    {"GET", "/v1/teams%2f%2ft1/secrets", "+....+.."},
    /* other, or an operation that mints keys */
    {"POST", "/v1%2fapi-keys", ".....+.."},
    {"POST", "/%2Fv1/api-keys", ".....+.."},
    {"POST", "/apiTokens%2fcreatePublic", "........"},
    /* getTeamSecret, or a path below one that nobody knows */
    {"GET", "/v1/teams/t1/secrets/a%2fb", "+....+.."},
    /* listTeamMembers of a team "t1/x", or other */
    {"GET", "/v1/teams/t1%2fx/users", "+...++.."},
    /* updateTeamMember of t1's "a/b", or other; or of t1's u after all */
    {"PUT", "/v1/teams/t1/users/a%2fb", "+...++.."},
    {"PUT", "/v1/teams/t1/users/u%2f", "+..++++."},
    /* other both ways */
    {"GET", "/v1/files/a%2Fb", "+.+.++.."},
    /* Without an encoded slash in the path nothing is different. */
    {"GET", "/v1/teams/t1/users", "++.++++."},
    {"GET", "/v1/teams/t1/users?a%2fb", "++.++++."},
};

START_TEST(both_readings_of_an_encoded_slash_must_be_allowed)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        bool may = slashes[_i].may[i] == '+';
        char line[64];
        struct judged judged;

        (void)snprintf(line, sizeof(line), "X-Api-Key: {%s}\r\n", clients[i][0]);
        judging_ask(&judging, slashes[_i].method, slashes[_i].path, line, &judged);
        ck_assert_msg(judged.is_admitted == may, "%s: %s is %s", clients[i][0],
                      slashes[_i].path, may ? "refused" : "admitted");
        if (memchr(judged.admission.target.path.at, '%',
                   judged.admission.target.path.len))
            ck_assert(!judged.admission.is_exact);
        judged_end(&judged);
    }
}
END_TEST

/* What is forwarded is treated as the graver of its readings. */
START_TEST(an_audited_reading_wins)
{
    check_client("DELETE", "/v1/teams/t1/users%2fu", "removeTeamMember", "all", true);
    check_client("DELETE", "/v1/teams/t1/users/a%2fb", "removeTeamMember", "all", true);
}
END_TEST

static const char *const own[] = {
    "/.psgate%2fhealthz", "/%2f.psgate/x",         "/%2f%2epsgate%2Fwhoami",
    "/.psgate%2f",        "/.PSGATE%2f%2fhealthz",
};

START_TEST(the_gateways_own_paths_are_not_forwarded_with_an_encoded_slash_either)
{
    struct judged judged;

    judging_ask(&judging, "GET", own[_i], "X-Api-Key: {all}\r\n", &judged);
    ck_assert(!judged.is_admitted || judged.admission.is_own);
    judged_end(&judged);
}
END_TEST

static const char *const dots[] = {
    "/v1%2f..%2fapi-keys", "/v1/x%2f../api-keys", "/v1/..%2fapi-keys",
    "/v1/.%2Fa",           "/v1%2f%2e%2e",        "/v1/x%5c..%5capi-keys",
};

START_TEST(dot_segments_are_refused_behind_an_encoded_slash_too)
{
    struct judged judged;

    judging_ask(&judging, "GET", dots[_i], "X-Api-Key: {all}\r\n", &judged);
    ck_assert_msg(!judged.is_admitted, "%s is admitted", dots[_i]);
    ck_assert_int_eq(judged.admission.reason, REASON_MALFORMED);
    judged_end(&judged);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/admission, policy");
    TCase *policy = suite_case(suite, "policy");
    TCase *forwarding = suite_case(suite, "encoded slashes");

    tcase_add_checked_fixture(policy, set_up, tear_down);
    tcase_add_checked_fixture(forwarding, set_up_forwarding, tear_down);
    tcase_add_loop_test(policy, no_spelling_of_a_request_changes_who_may_do_it, 0,
                        ROWS(requests));
    tcase_add_test(policy, a_method_in_lower_case_is_judged_as_the_same);
    tcase_add_test(policy, head_is_judged_as_get);
    tcase_add_test(policy, a_refusal_says_whether_it_is_the_operation_or_the_team);
    tcase_add_test(policy, asterisk_is_other);
    tcase_add_loop_test(forwarding, both_readings_of_an_encoded_slash_must_be_allowed, 0,
                        ROWS(slashes));
    tcase_add_test(forwarding, an_audited_reading_wins);
    tcase_add_loop_test(
        forwarding, the_gateways_own_paths_are_not_forwarded_with_an_encoded_slash_either,
        0, ROWS(own));
    tcase_add_loop_test(forwarding, dot_segments_are_refused_behind_an_encoded_slash_too,
                        0, ROWS(dots));
    return run_suite(suite);
}
