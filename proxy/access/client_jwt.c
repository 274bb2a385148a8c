#include "access/client_jwt.h"

#include <stdio.h>

#define OFFSET(field) offsetof(struct client_jwt, field)

enum claim_kind { CLAIM_GLOB, CLAIM_NUMBER, CLAIM_TRUTH };

struct client_claim {
    const char *name;
    enum claim_kind kind;
    const char *glob;
    int64_t number; /* or truth: 0 or 1 */
};

/* Reading */

static bool is_only_stars(const char *glob)
{
    return glob[strspn(glob, "*")] == '\0';
}

/* Whether not every token that has the claim satisfies it: all have the issuer's "iss".
 */
static bool restricts(const struct client_claim *claim)
{
    return strcmp(claim->name, "iss") != 0 &&
           (claim->kind != CLAIM_GLOB || !is_only_stars(claim->glob));
}

static bool read_value(struct arena *arena, const json_t *value,
                       struct client_claim *claim)
{
    if (json_is_boolean(value)) {
        claim->kind = CLAIM_TRUTH;
        claim->number = json_is_true(value);
        return true;
    }
    if (json_is_integer(value)) {
        claim->kind = CLAIM_NUMBER;
        claim->number = json_integer_value(value);
        return true;
    }
    if (!json_is_string(value) || json_string_length(value) == 0)
        return false;
    claim->kind = CLAIM_GLOB;
    claim->glob = arena_copy(arena, span_of(json_string_value(value)));
    return claim->glob != NULL;
}

/* The issuer vouches for all of its users, so a client without a claim is all of them. */
static void read_claims(struct document *document, const struct place *place,
                        json_t *value, void *target)
{
    struct client_jwt *jwt = target;
    struct client_claim *claims;
    bool is_restricted = false;
    const char *name;
    json_t *wanted;

    if (!json_is_object(value) || json_object_size(value) > CLIENT_MOST_CLAIMS) {
        document_problem(document, place,
                         "must be an object of at most %d claims and the values they "
                         "must have",
                         CLIENT_MOST_CLAIMS);
        return;
    }
    claims =
        arena_alloc(document->arena, (json_object_size(value) + 1) * sizeof(*claims));
    json_object_foreach (value, name, wanted) {
        const struct place member = {.parent = place, .key = name};
        struct client_claim *claim = &claims[jwt->claim_count];

        if (claims == NULL ||
            (claim->name = arena_copy(document->arena, span_of(name))) == NULL ||
            !read_value(document->arena, wanted, claim)) {
            document_problem(document, &member,
                             "must be a string that is not empty, a whole number, true "
                             "or false (in a string * stands for anything)");
            return;
        }
        is_restricted |= restricts(claim);
        jwt->claim_count++;
    }
    jwt->claims = claims;
    if (!is_restricted)
        document_problem(document, place,
                         "fits every token of the issuer, whoever has it (name a claim "
                         "that only this client's tokens have, such as \"sub\")");
}

static const struct document_option jwt_options[] = {
    {.key = "issuer",
     .kind = OPTION_STRING,
     .offset = OFFSET(issuer),
     .is_required = true},
    {.key = "claims", .kind = OPTION_CUSTOM, .read = read_claims, .is_required = true},
    {0},
};

void client_jwt_read(struct document *document, const struct place *place, json_t *value,
                     struct client_jwt *jwt)
{
    if (!json_is_null(value))
        document_read_object(document, place, value, jwt_options, jwt);
}

/* Matching */

static bool fits_glob(const char *glob, const json_t *value)
{
    char number[24];

    if (json_is_string(value))
        return span_matches_glob(
            span_make(json_string_value(value), json_string_length(value)),
            span_of(glob));
    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%lld",
                       (long long)json_integer_value(value));
        return span_matches_glob(span_of(number), span_of(glob));
    }
    return json_is_boolean(value) &&
           span_matches_glob(json_is_true(value) ? SPAN("true") : SPAN("false"),
                             span_of(glob));
}

static bool fits(const struct client_claim *claim, const json_t *value)
{
    switch (claim->kind) {
    case CLAIM_GLOB:
        return fits_glob(claim->glob, value);
    case CLAIM_NUMBER:
        return json_is_integer(value) && json_integer_value(value) == claim->number;
    case CLAIM_TRUTH:
        return json_is_boolean(value) && json_is_true(value) == (claim->number != 0);
    }
    return false;
}

static bool is_satisfied(const struct client_claim *claim, const json_t *claims)
{
    json_t *value = json_object_get(claims, claim->name);
    const json_t *element;
    size_t i;

    json_array_foreach (value, i, element) {
        if (fits(claim, element))
            return true;
    }
    return fits(claim, value);
}

bool client_jwt_matches(const struct client_jwt *jwt, const char *issuer,
                        const json_t *claims)
{
    if (jwt->issuer == NULL || strcmp(jwt->issuer, issuer) != 0)
        return false;
    for (size_t i = 0; i < jwt->claim_count; i++) {
        if (!is_satisfied(&jwt->claims[i], claims))
            return false;
    }
    return jwt->claim_count > 0;
}
