#include "access/policy.h"

#include <stdlib.h>
#include <string.h>

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
static bool apply_pattern(const struct operation_table *table, uint64_t *bits,
                          const char *pattern, bool allow)
{
    bool found = false;

    for (size_t i = 0; i <= table->count; i++) {
        enum pattern_effect effect =
            effect_of(pattern, i < table->count ? &table->operations[i] : NULL, allow);

        if (effect == PATTERN_APPLIES)
            set_bit(bits, i, allow);
        found = found || effect != PATTERN_IS_ANOTHER;
    }
    return found;
}

static void report_pattern(struct document *document, const struct place *place,
                           const struct operation_table *table, const char *pattern)
{
    const char **ids = calloc(table->count + 2, sizeof(*ids));
    const char *nearest = NULL;

    if (ids != NULL) {
        for (size_t i = 0; i < table->count; i++)
            ids[i] = table->operations[i].id;
        ids[table->count] = "other";
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
                           const struct operation_table *table, uint64_t *bits,
                           bool allow, const char *const *patterns, size_t count)
{
    struct place list = {.parent = place, .key = allow ? "allow" : "deny"};

    for (size_t i = 0; i < count; i++) {
        struct place element = {.parent = &list, .index = i};

        if (patterns[i][0] != '\0' && !apply_pattern(table, bits, patterns[i], allow))
            report_pattern(document, &element, table, patterns[i]);
    }
}

/* Denials come last, so that they win over whatever was allowed. */
void policy_resolve(struct document *document, const struct place *place,
                    const struct operation_table *table, struct client *client)
{
    size_t words = table->count / 64 + 1; /* the last bit is that of other */
    uint64_t *bits = arena_alloc(document->arena, words * sizeof(*bits));

    if (bits == NULL) {
        document_problem(document, place, "out of memory");
        return;
    }
    client->allowed = bits;
    apply_patterns(document, place, table, bits, true, client->allow,
                   client->allow_count);
    apply_patterns(document, place, table, bits, false, client->deny, client->deny_count);
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
