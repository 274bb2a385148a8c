#include "sandbox/state.h"

#include <assert.h>
#include <stdlib.h>

#include "base/analyzer.h"

static const struct sandbox_team seeded_team = {
    .id = "tsandbox01",
    .name = "Sandbox Team",
    .namespace = "sandbox",
};

static const struct sandbox_member seeded_members[] = {
    {"usandbox01", "mira.okonjo@example.com", "Mira", "Okonjo", true},
    {"usandbox02", "tomas.lindqvist@example.com", "Tomas", "Lindqvist", false},
    {"usandbox03", "yuki.arden@example.com", "Yuki", "Arden", false},
};

static const struct {
    const char *name;
    int64_t created_ms;
    int64_t modified_ms;
} seeded_secrets[] = {
    {"DATABASE_URL", 1704877200000, 0},              /* 2024-01-10T09:00:00Z */
    {"WANDB_API_KEY", 1709289000000, 1717237800000}, /* 2024-03-01, changed 2024-06-01 */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct stored_secret {
    struct sandbox_secret shown; /* its name is the one below */
    char *name;
};

struct sandbox_state {
    struct sandbox_member members[COUNT(seeded_members)];
    size_t member_count;
    struct stored_secret *secrets;
    size_t secret_count;
    size_t secret_capacity;
};

/* Makes room for one more secret. */
static bool reserve_secret(struct sandbox_state *state)
{
    size_t capacity = state->secret_capacity == 0 ? 8 : state->secret_capacity * 2;
    struct stored_secret *secrets;

    if (state->secret_count < state->secret_capacity)
        return true;
    secrets = realloc(state->secrets, capacity * sizeof(*secrets));
    if (secrets == NULL)
        return false;
    state->secrets = secrets;
    state->secret_capacity = capacity;
    return true;
}

LEAK_IS_NONE /* the state owns the copy */
static enum sandbox_outcome append_secret(struct sandbox_state *state, struct span name,
                                          int64_t created_ms, int64_t modified_ms)
{
    struct stored_secret *secret;
    char *copy;

    if (!reserve_secret(state))
        return SANDBOX_NO_MEMORY;
    copy = malloc(name.len + 1);
    if (copy == NULL)
        return SANDBOX_NO_MEMORY;
    memcpy(copy, name.at, name.len);
    copy[name.len] = '\0';
    secret = &state->secrets[state->secret_count++];
    secret->name = copy;
    secret->shown = (struct sandbox_secret){{copy, name.len}, created_ms, modified_ms};
    return SANDBOX_DONE;
}
LEAK_LOOK_AGAIN

struct sandbox_state *sandbox_state_new(void)
{
    struct sandbox_state *state = calloc(1, sizeof(*state));

    if (state == NULL)
        return NULL;
    memcpy(state->members, seeded_members, sizeof(seeded_members));
    state->member_count = COUNT(seeded_members);
    for (size_t i = 0; i < COUNT(seeded_secrets); i++) {
        if (append_secret(state, span_of(seeded_secrets[i].name),
                          seeded_secrets[i].created_ms,
                          seeded_secrets[i].modified_ms) != SANDBOX_DONE) {
            sandbox_state_free(state);
            return NULL;
        }
    }
    return state;
}

void sandbox_state_free(struct sandbox_state *state)
{
    if (state == NULL)
        return;
    for (size_t i = 0; i < state->secret_count; i++)
        free(state->secrets[i].name);
    free(state->secrets);
    free(state);
}

const struct sandbox_team *sandbox_state_team(const struct sandbox_state *state)
{
    (void)state;
    return &seeded_team;
}

const struct sandbox_member *sandbox_state_user(const struct sandbox_state *state)
{
    (void)state;
    return &seeded_members[0];
}

bool sandbox_state_is_team(const struct sandbox_state *state, struct span text)
{
    (void)state;
    return span_equal(text, span_of(seeded_team.id)) ||
           span_equal(text, span_of(seeded_team.namespace));
}

size_t sandbox_state_member_count(const struct sandbox_state *state)
{
    return state->member_count;
}

const struct sandbox_member *sandbox_state_member(const struct sandbox_state *state,
                                                  size_t index)
{
    assert(index < state->member_count);
    return &state->members[index];
}

/* The member's place, or member_count. */
static size_t member_index(const struct sandbox_state *state, struct span user_id)
{
    size_t i;

    for (i = 0; i < state->member_count; i++) {
        if (span_equal(user_id, span_of(state->members[i].user_id)))
            break;
    }
    return i;
}

const struct sandbox_member *sandbox_state_find_member(const struct sandbox_state *state,
                                                       struct span user_id)
{
    size_t index = member_index(state, user_id);

    return index < state->member_count ? &state->members[index] : NULL;
}

static bool is_last_admin(const struct sandbox_state *state, size_t index)
{
    size_t admins = 0;

    for (size_t i = 0; i < state->member_count; i++)
        admins += state->members[i].is_admin;
    return admins == 1 && state->members[index].is_admin;
}

enum sandbox_outcome sandbox_state_set_admin(struct sandbox_state *state,
                                             struct span user_id, bool is_admin)
{
    size_t index = member_index(state, user_id);

    if (index == state->member_count)
        return SANDBOX_UNKNOWN;
    if (!is_admin && is_last_admin(state, index))
        return SANDBOX_LAST_ADMIN;
    state->members[index].is_admin = is_admin;
    return SANDBOX_DONE;
}

enum sandbox_outcome sandbox_state_remove_member(struct sandbox_state *state,
                                                 struct span user_id)
{
    size_t index = member_index(state, user_id);

    if (index == state->member_count)
        return SANDBOX_UNKNOWN;
    if (is_last_admin(state, index))
        return SANDBOX_LAST_ADMIN;
    state->member_count--;
    memmove(&state->members[index], &state->members[index + 1],
            (state->member_count - index) * sizeof(state->members[0]));
    return SANDBOX_DONE;
}

size_t sandbox_state_secret_count(const struct sandbox_state *state)
{
    return state->secret_count;
}

const struct sandbox_secret *sandbox_state_secret(const struct sandbox_state *state,
                                                  size_t index)
{
    assert(index < state->secret_count);
    return &state->secrets[index].shown;
}

/* The secret's place, or secret_count. */
static size_t secret_index(const struct sandbox_state *state, struct span name)
{
    size_t i;

    for (i = 0; i < state->secret_count; i++) {
        if (span_equal(name, state->secrets[i].shown.name))
            break;
    }
    return i;
}

const struct sandbox_secret *sandbox_state_find_secret(const struct sandbox_state *state,
                                                       struct span name)
{
    size_t index = secret_index(state, name);

    return index < state->secret_count ? &state->secrets[index].shown : NULL;
}

enum sandbox_outcome sandbox_state_create_secret(struct sandbox_state *state,
                                                 struct span name, int64_t now_ms)
{
    if (secret_index(state, name) < state->secret_count)
        return SANDBOX_EXISTS;
    if (state->secret_count == SANDBOX_SECRETS_MAX)
        return SANDBOX_FULL;
    return append_secret(state, name, now_ms, 0);
}

enum sandbox_outcome sandbox_state_update_secret(struct sandbox_state *state,
                                                 struct span name, int64_t now_ms)
{
    size_t index = secret_index(state, name);

    if (index == state->secret_count)
        return SANDBOX_UNKNOWN;
    state->secrets[index].shown.modified_ms = now_ms;
    return SANDBOX_DONE;
}

enum sandbox_outcome sandbox_state_delete_secret(struct sandbox_state *state,
                                                 struct span name)
{
    size_t index = secret_index(state, name);

    if (index == state->secret_count)
        return SANDBOX_UNKNOWN;
    free(state->secrets[index].name);
    state->secret_count--;
    memmove(&state->secrets[index], &state->secrets[index + 1],
            (state->secret_count - index) * sizeof(state->secrets[0]));
    return SANDBOX_DONE;
}
