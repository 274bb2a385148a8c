/* Who may call: the clients file, and the decision about each request. */
#include <dirent.h>

#include "access/client.h"
#include "access/policy.h"
#include "base/clock.h"
#include "support/folder.h"
#include "support/lines.h"

static struct folder folder;
static struct operation_table *table;

static struct config_credential credentials[] = {
    {.name = "default", .api_key_file = "/k"},
    {.name = "second", .api_key_env = "K"},
};

/* The issuer that the sample of clients names, as the sample of a configuration has it.
 */
static const struct config_jwt issuer = {
    .issuer = "https://token.actions.githubusercontent.com"};

static const struct config config = {.path = "psgate.json",
                                     .credentials = credentials,
                                     .credential_count = 2,
                                     .jwt = &issuer,
                                     .jwt_count = 1};

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

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define OTHER_DIGEST "ff112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static const unsigned char digest[TOKEN_DIGEST_BYTES] = {
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa,
    0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
    0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

static struct client_set *load_text(struct span text, mode_t mode,
                                    struct problems *problems)
{
    return client_set_load(folder_write(&folder, "clients.json", text, mode), &config,
                           table, problems);
}

/* Loads one client with these members, on the second line, and an identity. */
static struct client_set *load_client(const char *members, struct problems *problems)
{
    struct client_set *set;
    struct text text = {0};

    text_add_format(
        &text, "{\"clients\":[{\"name\":\"ci\",\"token_sha256\":\"" DIGEST "\"%s\n%s}]}",
        members[0] != '\0' ? "," : "", members);
    set = load_text(span_make(text.bytes, text.len), 0600, problems);
    text_fini(&text);
    return set;
}

static struct client_set *must_load(const char *members)
{
    struct problems problems = {0};
    struct client_set *set = load_client(members, &problems);

    ck_assert_msg(set != NULL, "%s", problems.lines.bytes);
    ck_assert_uint_eq(problems.count, 0);
    return set;
}

/* INTERFACES: the example of a client. */
START_TEST(the_example_of_the_interfaces_is_accepted)
{
    struct client_set *set = must_load(
        "\"created\": \"2026-11-23T12:00:00Z\", \"expires\": \"2027-01-31T00:00:00Z\","
        "\"credential\": \"default\", \"allow\": [\"getSession\",\"listTeam*\"],"
        "\"deny\": [], \"teams\": [\"*\"], \"rate\": \"20/s\", \"burst\": 40,"
        "\"admin\": false");
    const struct client *client = client_find(set, digest);

    ck_assert_ptr_nonnull(client);
    ck_assert_str_eq(client->name, "ci");
    ck_assert_int_eq(client->expires_ms, 1801353600000);
    ck_assert_str_eq(client->expires, "2027-01-31T00:00:00Z");
    ck_assert_str_eq(client->credential, "default");
    ck_assert_uint_eq(client->allow_count, 2);
    ck_assert_str_eq(client->allow[1], "listTeam*");
    ck_assert_uint_eq(client->deny_count, 0);
    ck_assert_uint_eq(client->team_count, 1);
    ck_assert(!client->is_admin);
    ck_assert_int_eq(client->limits.rate.count, 20);
    ck_assert_int_eq(client->limits.rate.period_s, 1);
    ck_assert_int_eq(client->limits.burst, 40);
    ck_assert_int_eq(client->limits.concurrency, 0);
    client_set_free(set);
    client_set_free(NULL);
}
END_TEST

START_TEST(a_client_needs_a_name_and_a_token)
{
    struct client_set *set = must_load("");
    const struct client *client = client_find(set, digest);

    ck_assert_ptr_nonnull(client);
    ck_assert_str_eq(client->credential, "default");
    ck_assert_int_eq(client->expires_ms, INT64_MAX);
    ck_assert_ptr_null(client->expires);
    ck_assert_uint_eq(client->allow_count, 1);
    ck_assert_str_eq(client->allow[0], "*");
    ck_assert_str_eq(client->teams[0], "*");
    ck_assert(!client->is_admin);
    client_set_free(set);
}
END_TEST

START_TEST(a_client_is_found_by_its_whole_digest)
{
    struct client_set *set = must_load("");
    unsigned char other[TOKEN_DIGEST_BYTES];

    for (size_t bit = 0; bit < 8 * sizeof(other); bit++) {
        memcpy(other, digest, sizeof(other));
        other[bit / 8] = (unsigned char)(other[bit / 8] ^ 1 << bit % 8);
        ck_assert_ptr_null(client_find(set, other));
    }
    client_set_free(set);
}
END_TEST

/* The set keeps nothing of what it was made from. */
START_TEST(a_set_outlives_its_table)
{
    struct client_set *set = must_load("\"allow\":[\"getSession\"]");
    const struct operation session = {.index = 0, .team_segment = OPERATION_NO_SEGMENT};
    const struct http_path path = {.count = 0};

    operation_table_free(table);
    table = NULL;
    ck_assert_int_eq(client_judge(set, client_find(set, digest), &session, &path),
                     CLIENT_MAY);
    ck_assert_str_eq(client_find(set, digest)->credential, "default");
    client_set_free(set);
}
END_TEST

START_TEST(a_client_expires_at_its_time)
{
    struct client_set *set = must_load("\"expires\":\"2027-01-31T00:00:00.5Z\"");
    const struct client *client = client_find(set, digest);

    ck_assert(!client_is_expired(client, 1801353600499));
    ck_assert(client_is_expired(client, 1801353600500));
    ck_assert(client_is_expired(client, INT64_MAX));
    client_set_free(set);
    set = must_load("\"expires\":null");
    ck_assert(!client_is_expired(client_find(set, digest), 253402300799999));
    client_set_free(set);
}
END_TEST

START_TEST(several_clients_are_told_apart)
{
    struct problems problems = {0};
    struct client_set *set = load_text(
        SPAN("{\"$schema\":\"x\",\"clients\":["
             "{\"name\":\"a\",\"token_sha256\":\"" OTHER_DIGEST "\",\"admin\":true},"
             "{\"name\":\"b\",\"token_sha256\":\"" DIGEST "\",\"credential\":\"second\"},"
             "{\"name\":\"c\",\"uid\":1000},{\"name\":\"d\",\"tls_subject\":\"CN=d\"}]}"),
        0600, &problems);

    ck_assert_msg(set != NULL, "%s", problems.lines.bytes);
    ck_assert_uint_eq(set->count, 4);
    ck_assert_str_eq(client_find(set, digest)->name, "b");
    ck_assert_str_eq(client_find(set, digest)->credential, "second");
    ck_assert(!client_find(set, digest)->is_admin);
    client_set_free(set);
}
END_TEST

START_TEST(a_limit_that_is_null_is_none)
{
    struct client_set *set =
        must_load("\"rate\":null,\"burst\":null,\"concurrency\":null");
    const struct client *client = client_find(set, digest);

    ck_assert_int_eq(client->limits.rate.count, 0);
    ck_assert_int_eq(client->limits.burst, 0);
    ck_assert_int_eq(client->limits.concurrency, 0);
    client_set_free(set);
}
END_TEST

static struct client_set *load_bound(const char *members, const char *others,
                                     struct rates *rates)
{
    struct problems problems = {0};
    struct client_set *set;
    struct text text = {0};

    text_add_format(&text,
                    "{\"clients\":[{\"name\":\"ci\",\"token_sha256\":\"" DIGEST "\"%s},"
                    "{\"name\":\"ci\",\"token_sha256\":\"" OTHER_DIGEST "\"%s}]}",
                    members, others);
    set = load_text(span_make(text.bytes, text.len), 0600, &problems);
    text_fini(&text);
    ck_assert_msg(set != NULL, "%s", problems.lines.bytes);
    ck_assert(client_set_bind_rates(set, rates));
    return set;
}

/* An old token and a new one of a client are no way to twice its rate. */
START_TEST(clients_of_one_name_share_a_bucket)
{
    struct rates *rates = rates_new();
    struct client_set *set =
        load_bound("", ",\"rate\":\"2/h\",\"burst\":3,\"concurrency\":1", rates);
    const struct client *client = client_find(set, digest);

    ck_assert_ptr_eq(set->clients[0].bucket, set->clients[1].bucket);
    ck_assert_int_eq(client->limits.burst, 3);
    ck_assert_int_eq(client->limits.concurrency, 1);
    client_set_apply_rates(set, 0);
    ck_assert_int_eq(rate_bucket_ask(client->bucket, 0).remaining, 2);
    client_set_free(set);
    rates_free(rates);
}
END_TEST

START_TEST(a_bucket_outlives_its_set_for_the_next)
{
    struct rates *rates = rates_new();
    struct client_set *set = load_bound(",\"rate\":\"5/h\"", "", rates), *next;

    client_set_apply_rates(set, 0);
    ck_assert_int_eq(rate_bucket_ask(set->clients[0].bucket, 0).remaining, 4);
    next = load_bound(",\"rate\":\"5/h\"", ",\"rate\":\"9/s\"", rates);
    client_set_free(set);
    client_set_apply_rates(next, 0);
    ck_assert_int_eq(rate_bucket_ask(next->clients[1].bucket, 0).remaining, 3);
    client_set_free(next);
    rates_free(rates);
}
END_TEST

/* Judges a request as the gateway does: split, match, judge. */
static enum client_verdict judge(const struct client_set *set, const char *method,
                                 const char *path)
{
    char *scratch = malloc(strlen(path));
    enum client_verdict verdict;
    enum http_fault fault;
    struct http_path split;

    ck_assert(http_path_split(span_of(path), true, scratch, &split, &fault));
    verdict = client_judge(set, client_find(set, digest),
                           operation_match(table, span_of(method), &split), &split);
    free(scratch);
    return verdict;
}

#define SESSION "GET", "/v1/auth/session"
#define MEMBERS "GET", "/v1/teams/t/users"
#define SECRET "POST", "/v1/teams/t/secrets"
#define TOKENS "POST", "/v1/apiTokens/createPublic"
#define KEYS "POST", "/v1/api-keys"
#define OTHER "GET", "/v1/machines"
#define YES CLIENT_MAY
#define NO CLIENT_MAY_NOT_DO

static const struct {
    const char *members, *method, *path;
    enum client_verdict verdict;
} policies[] = {
    /* the default, "*": everything but what is named only */
    {"", SESSION, YES},
    {"", SECRET, YES},
    {"", OTHER, YES},
    {"", "POST", "/v1/machines", YES},
    {"", TOKENS, NO},
    {"", KEYS, NO},
    {"", "GET", "/v1/Api-Keys/", NO},
    {"", "HEAD", "/APITOKENS", NO},
    {"", "DELETE", "/v1/teams/t/API%2dKEYS/k", NO},
    {"\"allow\":[\"*\"]", SESSION, YES},
    {"\"allow\":[\"*\"]", OTHER, YES},
    {"\"allow\":[\"*\"]", KEYS, NO},
    {"\"allow\":[\"**\"]", KEYS, NO},
    {"\"allow\":[]", SESSION, NO},
    {"\"allow\":[]", OTHER, NO},
    /* ids */
    {"\"allow\":[\"getSession\"]", SESSION, YES},
    {"\"allow\":[\"getSession\"]", "HEAD", "/v1/auth/session", YES},
    {"\"allow\":[\"getSession\"]", "GET", "/V1/auth/%73ession/", YES},
    {"\"allow\":[\"getSession\"]", MEMBERS, NO},
    {"\"allow\":[\"getSession\"]", OTHER, NO},
    {"\"allow\":[\"getSession\",\"listTeamMembers\"]", MEMBERS, YES},
    {"\"allow\":[\"other\"]", OTHER, YES},
    {"\"allow\":[\"other\"]", SESSION, NO},
    {"\"allow\":[\"other\"]", KEYS, NO},
    {"\"allow\":[\"manageApiKeys\"]", KEYS, YES},
    {"\"allow\":[\"manageApiKeys\"]", TOKENS, NO},
    {"\"allow\":[\"*\",\"manageApiKeys\"]", KEYS, YES},
    {"\"allow\":[\"manageApiKeys\",\"*\"]", KEYS, YES},
    /* globs; named_only operations are in none of them */
    {"\"allow\":[\"listTeam*\"]", MEMBERS, YES},
    {"\"allow\":[\"listTeam*\"]", "GET", "/v1/teams/t/secrets", YES},
    {"\"allow\":[\"listTeam*\"]", SECRET, NO},
    {"\"allow\":[\"listTeam*\"]", OTHER, NO},
    {"\"allow\":[\"*Secret\"]", SECRET, YES},
    {"\"allow\":[\"manage*\"]", KEYS, NO},
    {"\"allow\":[\"manageApiKey*\"]", KEYS, NO},
    {"\"allow\":[\"*manageApiKeys\"]", KEYS, NO},
    /* denials win, in globs too */
    {"\"deny\":[\"createTeamSecret\"]", SECRET, NO},
    {"\"deny\":[\"createTeamSecret\"]", "post", "/V1/TEAMS/t/%53ecrets/", NO},
    {"\"deny\":[\"createTeamSecret\"]", SESSION, YES},
    {"\"allow\":[\"createTeamSecret\"],\"deny\":[\"createTeamSecret\"]", SECRET, NO},
    {"\"deny\":[\"createTeamSecret\"],\"allow\":[\"createTeamSecret\"]", SECRET, NO},
    {"\"deny\":[\"*\"]", SESSION, NO},
    {"\"deny\":[\"*\"]", OTHER, NO},
    {"\"deny\":[\"other\"]", OTHER, NO},
    {"\"deny\":[\"other\"]", SESSION, YES},
    {"\"deny\":[\"*Secret*\"]", "GET", "/v1/teams/t/secrets", NO},
    {"\"allow\":[\"manageApiKeys\"],\"deny\":[\"manage*\"]", KEYS, NO},
    /* teams, as they are spelled */
    {"\"teams\":[\"t\"]", MEMBERS, YES},
    {"\"teams\":[\"a\",\"t\"]", MEMBERS, YES},
    {"\"teams\":[\"a\",\"*\"]", MEMBERS, YES},
    {"\"teams\":[\"a\"]", MEMBERS, CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[\"T\"]", MEMBERS, CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[\"tt\"]", MEMBERS, CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[\"t*\"]", MEMBERS, CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[\"t\"]", "GET", "/v1/teams/%74/users", YES},
    {"\"teams\":[\"a\"]", "GET", "/v1/teams/t%2fa/users", CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[]", MEMBERS, CLIENT_MAY_NOT_TEAM},
    /* a request that names no team */
    {"\"teams\":[\"t\"]", SESSION, CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[\"t\"]", OTHER, CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[\"t\"]", "GET", "/v1/teams/t/else", CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[\"t\"]", "POST", "/v1/projects/t/secrets", CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[]", SESSION, CLIENT_MAY_NOT_TEAM},
    {"\"teams\":[\"t\"],\"deny\":[\"listTeamMembers\"]", MEMBERS, NO},
};

START_TEST(a_client_may_what_is_allowed_and_not_denied)
{
    struct client_set *set = must_load(policies[_i].members);
    enum client_verdict verdict = judge(set, policies[_i].method, policies[_i].path);

    client_set_free(set);
    ck_assert_msg(verdict == policies[_i].verdict, "{%s} %s %s: %d", policies[_i].members,
                  policies[_i].method, policies[_i].path, verdict);
}
END_TEST

/* The rule, in words and places: what a person is told. */
static const struct {
    const char *members, *method, *path;
    enum client_cause cause;
    const char *pattern, *allowed;
    bool is_default;
} explained[] = {
    {"", SESSION, CLIENT_CAUSE_ALLOWED, "*", NULL, true},
    {"", OTHER, CLIENT_CAUSE_ALLOWED, "*", NULL, true},
    {"", KEYS, CLIENT_CAUSE_NAMED_ONLY, "*", NULL, true},
    {"\"allow\":[\"*\"]", SESSION, CLIENT_CAUSE_ALLOWED, "*", NULL, false},
    {"\"allow\":[\"other\",\"manage*\"]", KEYS, CLIENT_CAUSE_NAMED_ONLY, "manage*", NULL,
     false},
    {"\"allow\":[\"*\",\"manageApiKeys\"]", KEYS, CLIENT_CAUSE_ALLOWED, "manageApiKeys",
     NULL, false},
    {"\"allow\":[\"get*\",\"getSession\"]", SESSION, CLIENT_CAUSE_ALLOWED, "get*", NULL,
     false},
    {"\"allow\":[]", SESSION, CLIENT_CAUSE_NOT_ALLOWED, NULL, NULL, false},
    {"\"allow\":[\"list*\"]", OTHER, CLIENT_CAUSE_NOT_ALLOWED, NULL, NULL, false},
    {"\"deny\":[\"list*\",\"getS*\"]", SESSION, CLIENT_CAUSE_DENIED, "getS*", "*", false},
    {"\"allow\":[\"other\"],\"deny\":[\"*\"]", SESSION, CLIENT_CAUSE_DENIED, "*", NULL,
     false},
    {"\"deny\":[\"manage*\"]", KEYS, CLIENT_CAUSE_DENIED, "manage*", NULL, false},
    {"\"teams\":[\"a\"]", MEMBERS, CLIENT_CAUSE_TEAM, "*", NULL, true},
    {"\"teams\":[\"a\"]", SESSION, CLIENT_CAUSE_NO_TEAM, "*", NULL, true},
    {"\"teams\":[\"t\"]", MEMBERS, CLIENT_CAUSE_ALLOWED, "*", NULL, true},
    {"\"teams\":[\"a\"],\"deny\":[\"listTeamMembers\"]", MEMBERS, CLIENT_CAUSE_DENIED,
     "listTeamMembers", "*", false},
};

static void assert_text_is(const char *got, const char *wanted)
{
    ck_assert((got == NULL) == (wanted == NULL));
    if (got != NULL)
        ck_assert_str_eq(got, wanted);
}

START_TEST(the_rule_that_decides_is_named)
{
    struct client_set *set = must_load(explained[_i].members);
    struct client_explanation explanation;
    char scratch[64];
    enum http_fault fault;
    struct http_path path;

    ck_assert(http_path_split(span_of(explained[_i].path), true, scratch, &path, &fault));
    client_explain(set, client_find(set, digest),
                   operation_match(table, span_of(explained[_i].method), &path), &path,
                   &explanation);
    ck_assert_int_eq(explanation.cause, explained[_i].cause);
    assert_text_is(explanation.pattern, explained[_i].pattern);
    assert_text_is(explanation.allowed, explained[_i].allowed);
    ck_assert_int_eq(explanation.is_default, explained[_i].is_default);
    client_set_free(set);
}
END_TEST

/* A small generator of its own, so that a failure can be repeated. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

/* An id of the table, a glob of one, "other", or "*"; it always names something. */
static void add_random_pattern(struct text *text, uint32_t *state)
{
    const char *id = table->operations[next_random(state) % table->count].id;
    int from = (int)(next_random(state) % strlen(id));

    switch (next_random(state) % 8) {
    case 0:
        text_add(text, SPAN("*"));
        break;
    case 1:
        text_add(text, SPAN("other"));
        break;
    case 2:
    case 3:
        text_add_format(text, "%.*s*", from, id);
        break;
    case 4:
        text_add_format(text, "*%s", id + from);
        break;
    case 5:
        text_add_format(text, "%.*s*%s", from / 2, id, id + from);
        break;
    default:
        text_add(text, span_of(id));
        break;
    }
}

static void add_random_list(struct text *text, const char *key, uint32_t *state)
{
    uint32_t count = next_random(state) % 5;

    if (next_random(state) % 6 == 0)
        return; /* the default */
    text_add_format(text, "%s\"%s\":[", text->len > 0 ? "," : "", key);
    for (uint32_t i = 0; i < count; i++) {
        text_add(text, i > 0 ? SPAN(",\"") : SPAN("\""));
        if (strcmp(key, "teams") == 0)
            text_add_format(text, "%c", "*tu"[next_random(state) % 3]);
        else
            add_random_pattern(text, state);
        text_add_byte(text, '"');
    }
    text_add_byte(text, ']');
}

/* The verdict that the rule by itself amounts to. */
static enum client_verdict verdict_of(const struct client_explanation *explanation)
{
    switch (explanation->cause) {
    case CLIENT_CAUSE_ALLOWED:
        ck_assert_ptr_nonnull(explanation->pattern);
        return CLIENT_MAY;
    case CLIENT_CAUSE_DENIED:
    case CLIENT_CAUSE_NAMED_ONLY:
        ck_assert_ptr_nonnull(explanation->pattern);
        return CLIENT_MAY_NOT_DO;
    case CLIENT_CAUSE_NOT_ALLOWED:
        ck_assert_ptr_null(explanation->pattern);
        return CLIENT_MAY_NOT_DO;
    case CLIENT_CAUSE_NO_TEAM:
    case CLIENT_CAUSE_TEAM:
        ck_assert_ptr_nonnull(explanation->pattern);
        return CLIENT_MAY_NOT_TEAM;
    }
    return CLIENT_MAY_NOT_DO;
}

/* By the specification alone: no bits, no code that is shared with the set. */
static enum client_verdict verdict_by_hand(const struct client *client,
                                           const struct operation *operation)
{
    bool is_allowed = false;

    for (size_t i = 0; i < client->allow_count; i++) {
        struct span pattern = span_of(client->allow[i]);

        if (operation == NULL)
            is_allowed |=
                span_equal(pattern, SPAN("*")) || span_equal(pattern, SPAN("other"));
        else if (operation->is_named_only)
            is_allowed |= span_equal(pattern, span_of(operation->id));
        else
            is_allowed |= span_matches_glob(span_of(operation->id), pattern);
    }
    for (size_t i = 0; i < client->deny_count; i++) {
        struct span pattern = span_of(client->deny[i]);

        if (operation != NULL
                ? span_matches_glob(span_of(operation->id), pattern)
                : span_equal(pattern, SPAN("*")) || span_equal(pattern, SPAN("other")))
            is_allowed = false;
    }
    if (!is_allowed)
        return CLIENT_MAY_NOT_DO;
    for (size_t i = 0; i < client->team_count; i++) {
        if (strcmp(client->teams[i], "*") == 0 ||
            (strcmp(client->teams[i], "t") == 0 && operation != NULL &&
             operation->team_segment != OPERATION_NO_SEGMENT))
            return CLIENT_MAY;
    }
    return CLIENT_MAY_NOT_TEAM;
}

START_TEST(what_is_explained_is_what_is_decided)
{
    uint32_t state = (uint32_t)_i * 7919 + 1;
    struct http_path path = {.count = HTTP_PATH_SEGMENTS};
    struct text members = {0};
    struct client_set *set;
    const struct client *client;

    for (unsigned i = 0; i < HTTP_PATH_SEGMENTS; i++)
        path.segments[i] = SPAN("t");
    add_random_list(&members, "allow", &state);
    add_random_list(&members, "deny", &state);
    add_random_list(&members, "teams", &state);
    set = must_load(members.bytes != NULL ? members.bytes : "");
    client = client_find(set, digest);
    for (size_t i = 0; i <= table->count; i++) {
        const struct operation *operation =
            i < table->count ? &table->operations[i] : NULL;
        enum client_verdict verdict = client_judge(set, client, operation, &path);
        struct client_explanation explanation;

        client_explain(set, client, operation, &path, &explanation);
        ck_assert_msg(explanation.verdict == verdict &&
                          verdict_of(&explanation) == verdict &&
                          verdict_by_hand(client, operation) == verdict,
                      "{%s} %s: %d", members.bytes,
                      operation != NULL ? operation->id : "other", verdict);
    }
    client_set_free(set);
    text_fini(&members);
}
END_TEST

/* Tables larger than one word of bits. */
START_TEST(every_operation_has_its_own_bit)
{
    enum { OPERATIONS = 200 };
    struct problems problems = {0};
    struct text text = {0};
    struct client_set *set;

    text_add(&text, SPAN("{\"operations\":["));
    for (int i = 0; i < OPERATIONS; i++)
        text_add_format(&text,
                        "%s{\"id\":\"op%03d\",\"method\":\"GET\",\"path\":\"/%d\"}",
                        i > 0 ? "," : "", i, i);
    text_add(&text, SPAN("]}"));
    operation_table_free(table);
    table = operation_table_load(
        folder_write(&folder, "o.json", span_make(text.bytes, text.len), 0600),
        &problems);
    ck_assert_msg(table != NULL, "%s", problems.lines.bytes);
    set = must_load("\"allow\":[\"op*7\"],\"deny\":[\"op17*\"]");
    for (int i = 0; i < OPERATIONS; i++) {
        text_clear(&text);
        text_add_format(&text, "/%d", i);
        ck_assert_int_eq(judge(set, "GET", text.bytes),
                         i % 10 == 7 && i / 10 != 17 ? CLIENT_MAY : CLIENT_MAY_NOT_DO);
    }
    ck_assert_int_eq(judge(set, "GET", "/x"), CLIENT_MAY_NOT_DO);
    client_set_free(set);
    text_fini(&text);
}
END_TEST

/* Samples come out of version control readable by all: copied, then judged. */
START_TEST(every_sample_of_clients_in_conf_is_accepted)
{
    DIR *samples = opendir(PSGATE_SOURCE_DIR "/conf");
    const struct dirent *entry;

    ck_assert_ptr_nonnull(samples);
    while ((entry = readdir(samples)) != NULL) {
        struct text path = {0}, text = {0};
        struct problems problems = {0};
        struct error error = {{0}};
        struct client_set *set;

        if (strncmp(entry->d_name, "clients", 7) != 0 ||
            strstr(entry->d_name, ".schema.") != NULL)
            continue;
        text_add_format(&path, "%s/conf/%s", PSGATE_SOURCE_DIR, entry->d_name);
        ck_assert_msg(file_read(path.bytes, FILE_PUBLIC, &text, &error), "%s",
                      error.text);
        set = load_text(span_make(text.bytes, text.len), 0600, &problems);
        ck_assert_msg(set != NULL, "%s: %s", path.bytes, problems.lines.bytes);
        client_set_free(set);
        text_fini(&path);
        text_fini(&text);
    }
    ck_assert_int_eq(closedir(samples), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/client");
    TCase *files = suite_case(suite, "files");
    TCase *policy = suite_case(suite, "policy");
    TCase *rates = suite_case(suite, "rates");

    tcase_add_checked_fixture(files, set_up, tear_down);
    tcase_add_checked_fixture(policy, set_up, tear_down);
    tcase_add_checked_fixture(rates, set_up, tear_down);
    tcase_add_test(files, the_example_of_the_interfaces_is_accepted);
    tcase_add_test(files, a_client_needs_a_name_and_a_token);
    tcase_add_test(files, a_client_is_found_by_its_whole_digest);
    tcase_add_test(files, a_set_outlives_its_table);
    tcase_add_test(files, a_client_expires_at_its_time);
    tcase_add_test(files, several_clients_are_told_apart);
    tcase_add_test(files, every_sample_of_clients_in_conf_is_accepted);
    tcase_add_test(rates, a_limit_that_is_null_is_none);
    tcase_add_test(rates, clients_of_one_name_share_a_bucket);
    tcase_add_test(rates, a_bucket_outlives_its_set_for_the_next);
    tcase_add_loop_test(policy, a_client_may_what_is_allowed_and_not_denied, 0,
                        ROWS(policies));
    tcase_add_loop_test(policy, the_rule_that_decides_is_named, 0, ROWS(explained));
    tcase_add_loop_test(policy, what_is_explained_is_what_is_decided, 0, 400);
    tcase_add_test(policy, every_operation_has_its_own_bit);
    return run_suite_in_folder(suite);
}
