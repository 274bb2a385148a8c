#include "access/client.h"

#include <stdlib.h>

#include "access/certificate.h"
#include "access/credential.h"
#include "access/identity.h"
#include "base/clock.h"

#define OFFSET(field) offsetof(struct client, field)

/* What the reading of one file needs besides the document. */
struct loading {
    struct client_set *set;
    const struct config *config;
    const struct operation_table *table;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_digest(const char *text, unsigned char digest[TOKEN_DIGEST_BYTES])
{
    if (strlen(text) != (size_t)TOKEN_DIGEST_BYTES * 2)
        return false;
    for (size_t i = 0; i < TOKEN_DIGEST_BYTES; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static void read_digest(struct document *document, const struct place *place,
                        json_t *value, void *target)
{
    struct client *client = target;

    if (!json_is_string(value) || !parse_digest(json_string_value(value), client->digest))
        document_problem(document, place,
                         "must be the token's SHA-256 in 64 hexadecimal digits (psgate "
                         "token create writes it)");
    else
        client->has_token = true;
}

static void read_expires(struct document *document, const struct place *place,
                         json_t *value, void *target)
{
    struct client *client = target;
    const char *text = json_string_value(value);

    if (json_is_null(value))
        return;
    if (text == NULL || !clock_parse_utc(text, strlen(text), &client->expires_ms))
        document_problem(document, place,
                         "must be a time in UTC (such as \"2027-01-31T00:00:00Z\")");
    else
        client->expires = arena_copy(document->arena, span_of(text));
}

static void read_created(struct document *document, const struct place *place,
                         json_t *value, void *target)
{
    int64_t when;
    const char *text = json_string_value(value);

    (void)target;
    if (text == NULL || !clock_parse_utc(text, strlen(text), &when))
        document_problem(document, place,
                         "must be a time in UTC (such as \"2026-11-23T12:00:00Z\")");
}

static void read_allow(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct client *client = target;

    client->has_default_allow = false;
    document_read_strings(document, place, value, &client->allow, &client->allow_count);
}

static void read_deny(struct document *document, const struct place *place, json_t *value,
                      void *target)
{
    struct client *client = target;

    document_read_strings(document, place, value, &client->deny, &client->deny_count);
}

static void read_teams(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct client *client = target;

    document_read_strings(document, place, value, &client->teams, &client->team_count);
}

static void read_burst(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct client *client = target;

    document_read_burst(document, place, value, &client->limits.burst);
}

static void read_concurrency(struct document *document, const struct place *place,
                             json_t *value, void *target)
{
    struct client *client = target;

    document_read_burst(document, place, value, &client->limits.concurrency);
}

static void read_subject(struct document *document, const struct place *place,
                         json_t *value, void *target)
{
    struct client *client = target;
    const char *text = json_string_value(value);
    struct span subject = span_make(text, text != NULL ? json_string_length(value) : 0);
    struct text names = {0};
    struct error error;

    if (json_is_null(value))
        return;
    if (text == NULL) {
        document_problem(document, place, "must be a string (a subject or SAN)");
    } else if (!certificate_parse_subject(subject, &names, &error)) {
        document_problem(document, place, "%s", error.text);
    } else {
        client->tls_subject = arena_copy(document->arena, subject);
        client->certificate_names = span_make(
            arena_copy(document->arena, span_make(names.bytes, names.len)), names.len);
        if (client->tls_subject == NULL || client->certificate_names.at == NULL)
            document_problem(document, place, "out of memory");
    }
    text_fini(&names);
}

/* The highest number is no id: the kernel's calls take it for "unchanged". */
static bool read_id(struct document *document, const struct place *place, json_t *value,
                    uint32_t *id)
{
    if (json_is_null(value))
        return false;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >= UINT32_MAX) {
        document_problem(document, place,
                         "must be a whole number (id -u and id -g print them)");
        return false;
    }
    *id = (uint32_t)json_integer_value(value);
    return true;
}

static void read_uid(struct document *document, const struct place *place, json_t *value,
                     void *target)
{
    struct client *client = target;

    client->has_uid = read_id(document, place, value, &client->uid);
}

static void read_gid(struct document *document, const struct place *place, json_t *value,
                     void *target)
{
    struct client *client = target;

    client->has_gid = read_id(document, place, value, &client->gid);
}

static const struct document_option client_options[] = {
    {.key = "name", .kind = OPTION_STRING, .offset = OFFSET(name), .is_required = true},
    {.key = "token_sha256", .kind = OPTION_CUSTOM, .read = read_digest},
    {.key = "created", .kind = OPTION_CUSTOM, .read = read_created},
    {.key = "expires", .kind = OPTION_CUSTOM, .read = read_expires},
    {.key = "credential", .kind = OPTION_STRING, .offset = OFFSET(credential)},
    {.key = "allow", .kind = OPTION_CUSTOM, .read = read_allow},
    {.key = "deny", .kind = OPTION_CUSTOM, .read = read_deny},
    {.key = "teams", .kind = OPTION_CUSTOM, .read = read_teams},
    {.key = "rate", .kind = OPTION_RATE, .offset = OFFSET(limits.rate)},
    {.key = "burst", .kind = OPTION_CUSTOM, .read = read_burst},
    {.key = "concurrency", .kind = OPTION_CUSTOM, .read = read_concurrency},
    {.key = "tls_subject", .kind = OPTION_CUSTOM, .read = read_subject},
    {.key = "uid", .kind = OPTION_CUSTOM, .read = read_uid},
    {.key = "gid", .kind = OPTION_CUSTOM, .read = read_gid},
    {.key = "admin", .kind = OPTION_BOOL, .offset = OFFSET(is_admin)},
    {0},
};

static bool is_glob(const char *pattern)
{
    return strchr(pattern, '*') != NULL;
}

static bool bit_is_set(const uint64_t *bits, size_t bit)
{
    return (bits[bit / 64] >> (bit % 64) & 1) != 0;
}

static void set_bit(uint64_t *bits, size_t bit, bool on)
{
    if (on)
        bits[bit / 64] |= (uint64_t)1 << (bit % 64);
    else
        bits[bit / 64] &= ~((uint64_t)1 << (bit % 64));
}

enum pattern_effect { PATTERN_IS_ANOTHER, PATTERN_APPLIES, PATTERN_NEEDS_THE_NAME };

/*
 * What a pattern does to an operation (NULL: other). A glob allows no named_only
 * operation, but denies them too.
 */
static enum pattern_effect effect_of(const char *pattern,
                                     const struct operation *operation, bool allow)
{
    struct span glob = span_of(pattern);

    if (operation == NULL)
        return span_equal(glob, SPAN("other")) || span_equal(glob, SPAN("*"))
                   ? PATTERN_APPLIES
                   : PATTERN_IS_ANOTHER;
    if (!span_matches_glob(span_of(operation->id), glob))
        return PATTERN_IS_ANOTHER;
    return allow && is_glob(pattern) && operation->is_named_only ? PATTERN_NEEDS_THE_NAME
                                                                 : PATTERN_APPLIES;
}

/* Turns on (allow) or off (deny) what a pattern names; false when it names nothing. */
static bool apply_pattern(const struct loading *loading, uint64_t *bits,
                          const char *pattern, bool allow)
{
    bool found = false;

    for (size_t i = 0; i <= loading->table->count; i++) {
        enum pattern_effect effect = effect_of(
            pattern, i < loading->table->count ? &loading->table->operations[i] : NULL,
            allow);

        if (effect == PATTERN_APPLIES)
            set_bit(bits, i, allow);
        found = found || effect != PATTERN_IS_ANOTHER;
    }
    return found;
}

static void report_pattern(struct document *document, const struct place *place,
                           const struct loading *loading, const char *pattern)
{
    const char **ids = calloc(loading->table->count + 2, sizeof(*ids));
    const char *nearest = NULL;

    if (ids != NULL) {
        for (size_t i = 0; i < loading->table->count; i++)
            ids[i] = loading->table->operations[i].id;
        ids[loading->table->count] = "other";
        nearest = nearest_word(pattern, ids);
    }
    if (nearest != NULL)
        document_problem(document, place,
                         "\"%s\" names no operation (did you mean \"%s\"?)", pattern,
                         nearest);
    else
        document_problem(document, place,
                         "\"%s\" names no operation (use an id of the operation table, a "
                         "glob such as \"list*\", or \"other\")",
                         pattern);
    free(ids);
}

static void apply_patterns(struct document *document, const struct place *place,
                           const struct loading *loading, uint64_t *bits, bool allow,
                           const char *const *patterns, size_t count)
{
    struct place list = {.parent = place, .key = allow ? "allow" : "deny"};

    for (size_t i = 0; i < count; i++) {
        struct place element = {.parent = &list, .index = i};

        if (patterns[i][0] != '\0' && !apply_pattern(loading, bits, patterns[i], allow))
            report_pattern(document, &element, loading, patterns[i]);
    }
}

/* Denials come last, so that they win over whatever was allowed. */
static void resolve_patterns(struct document *document, const struct place *place,
                             const struct loading *loading, struct client *client)
{
    size_t words = loading->set->other_bit / 64 + 1;
    uint64_t *bits = arena_alloc(document->arena, words * sizeof(*bits));

    if (bits == NULL) {
        document_problem(document, place, "out of memory");
        return;
    }
    client->allowed = bits;
    apply_patterns(document, place, loading, bits, true, client->allow,
                   client->allow_count);
    apply_patterns(document, place, loading, bits, false, client->deny,
                   client->deny_count);
}

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
}

/* null is as good as absent. */
static bool has_member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return value != NULL && !json_is_null(value);
}

/* A name that no scope of an operation table has: those are without spaces by habit. */
static const char *scope_of(struct document *document, const char *credential)
{
    size_t len = strlen(credential);
    char *scope = arena_alloc(document->arena, len + sizeof(CREDENTIAL_SCOPE));

    if (scope == NULL)
        return "";
    memcpy(scope, CREDENTIAL_SCOPE, sizeof(CREDENTIAL_SCOPE) - 1);
    memcpy(scope + sizeof(CREDENTIAL_SCOPE) - 1, credential, len);
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
    document_read_object(document, place, value, client_options, client);
    if (client->credential == NULL) {
        struct place member = {.parent = place, .key = "credential"};

        document_problem(document, &member, "must be a credential's name");
    }
    if (client->name == NULL || client->credential == NULL)
        return; /* a problem; the set is not going to be used */
    if (!has_member(value, "token_sha256") && !has_member(value, "tls_subject") &&
        !has_member(value, "uid") && !has_member(value, "gid"))
        document_problem(document, place,
                         "has no identity (token_sha256, which psgate token create "
                         "makes, tls_subject, uid or gid)");
    client->may_any_team = has_any_team(client);
    client->credential_scope = scope_of(document, client->credential);
    check_limits(document, place, &client->limits);
    check_credential(document, place, loading, client);
    resolve_patterns(document, place, loading, client);
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

        if (strcmp(key, known[0]) != 0 && strcmp(key, known[1]) != 0)
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
    for (size_t i = 0; i < json_array_size(clients) && set->clients != NULL; i++) {
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

static bool may_team(const struct client *client, struct span team)
{
    for (size_t i = 0; i < client->team_count; i++) {
        if (span_equal(span_of(client->teams[i]), team))
            return true;
    }
    return false;
}

/* The team that the path names; at is NULL when it names none. */
static struct span team_of(const struct operation *operation,
                           const struct http_path *path)
{
    if (operation == NULL || operation->team_segment == OPERATION_NO_SEGMENT)
        return span_make(NULL, 0);
    return path->segments[operation->team_segment];
}

enum client_verdict client_judge(const struct client_set *set,
                                 const struct client *client,
                                 const struct operation *operation,
                                 const struct http_path *path)
{
    struct span team;

    if (!bit_is_set(client->allowed,
                    operation != NULL ? operation->index : set->other_bit))
        return CLIENT_MAY_NOT_DO;
    if (client->may_any_team)
        return CLIENT_MAY;
    team = team_of(operation, path);
    return team.at != NULL && may_team(client, team) ? CLIENT_MAY : CLIENT_MAY_NOT_TEAM;
}

/* The first of the patterns that has this effect, or NULL. */
static const char *find_pattern(const char *const *patterns, size_t count,
                                const struct operation *operation, bool allow,
                                enum pattern_effect effect)
{
    for (size_t i = 0; i < count; i++) {
        if (effect_of(patterns[i], operation, allow) == effect)
            return patterns[i];
    }
    return NULL;
}

static const char *find_allow(const struct client *client,
                              const struct operation *operation,
                              enum pattern_effect effect)
{
    return find_pattern(client->allow, client->allow_count, operation, true, effect);
}

static void explain_operation(const struct client *client,
                              const struct operation *operation,
                              struct client_explanation *explanation)
{
    explanation->pattern =
        find_pattern(client->deny, client->deny_count, operation, false, PATTERN_APPLIES);
    explanation->allowed = find_allow(client, operation, PATTERN_APPLIES);
    if (explanation->pattern != NULL) {
        explanation->cause = CLIENT_CAUSE_DENIED;
        return;
    }
    explanation->pattern = find_allow(client, operation, PATTERN_NEEDS_THE_NAME);
    explanation->cause =
        explanation->pattern != NULL ? CLIENT_CAUSE_NAMED_ONLY : CLIENT_CAUSE_NOT_ALLOWED;
}

void client_explain(const struct client_set *set, const struct client *client,
                    const struct operation *operation, const struct http_path *path,
                    struct client_explanation *explanation)
{
    *explanation = (struct client_explanation){
        .verdict = client_judge(set, client, operation, path),
        .team = team_of(operation, path),
    };
    switch (explanation->verdict) {
    case CLIENT_MAY:
        explanation->cause = CLIENT_CAUSE_ALLOWED;
        break;
    case CLIENT_MAY_NOT_TEAM:
        explanation->cause =
            explanation->team.at != NULL ? CLIENT_CAUSE_TEAM : CLIENT_CAUSE_NO_TEAM;
        break;
    case CLIENT_MAY_NOT_DO:
        explain_operation(client, operation, explanation);
        explanation->is_default =
            explanation->cause == CLIENT_CAUSE_NAMED_ONLY && client->has_default_allow;
        return;
    }
    explanation->pattern = find_allow(client, operation, PATTERN_APPLIES);
    explanation->is_default = client->has_default_allow;
}
