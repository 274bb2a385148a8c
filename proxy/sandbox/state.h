/*
 * What the sandbox knows: one team, its members and the names of its secrets. Plain
 * functions of data; the clock is an argument; no HTTP, and never the value of a secret.
 */
#ifndef PSGATE_SANDBOX_STATE_H
#define PSGATE_SANDBOX_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

/* These keep a caller that creates secrets in a loop from eating the machine's memory. */
#define SANDBOX_SECRETS_MAX 10000
#define SANDBOX_NAME_MAX 255

struct sandbox_team {
    const char *id;
    const char *name;
    const char *namespace;
};

struct sandbox_member {
    const char *user_id;
    const char *email;
    const char *first_name;
    const char *last_name;
    bool is_admin;
};

struct sandbox_secret {
    struct span name;    /* 1 to SANDBOX_NAME_MAX bytes */
    int64_t created_ms;  /* since 1970 */
    int64_t modified_ms; /* 0: not since it was created */
};

enum sandbox_outcome {
    SANDBOX_DONE,
    SANDBOX_UNKNOWN,    /* there is no such member or secret */
    SANDBOX_EXISTS,     /* a secret of that name is there already */
    SANDBOX_LAST_ADMIN, /* the team would be left without an admin */
    SANDBOX_FULL,       /* SANDBOX_SECRETS_MAX are there */
    SANDBOX_NO_MEMORY,
};

struct sandbox_state;

/* The seeded team, always the same one. NULL when memory is out. */
struct sandbox_state *sandbox_state_new(void) MUST_CHECK;
void sandbox_state_free(struct sandbox_state *state); /* NULL is fine */

const struct sandbox_team *sandbox_state_team(const struct sandbox_state *state);

/* Who the API key belongs to. Removing them from the team does not log them out. */
const struct sandbox_member *sandbox_state_user(const struct sandbox_state *state);

/* Whether text is the team's id or namespace: clients put either into paths. */
bool sandbox_state_is_team(const struct sandbox_state *state, struct span text);

/*
 * Members in their order, and the one with an id or NULL. Pointers last until the next
 * change of a member.
 */
size_t sandbox_state_member_count(const struct sandbox_state *state);
const struct sandbox_member *sandbox_state_member(const struct sandbox_state *state,
                                                  size_t index);
const struct sandbox_member *sandbox_state_find_member(const struct sandbox_state *state,
                                                       struct span user_id);

/* DONE, UNKNOWN or LAST_ADMIN. */
enum sandbox_outcome sandbox_state_set_admin(struct sandbox_state *state,
                                             struct span user_id,
                                             bool is_admin) MUST_CHECK;
enum sandbox_outcome sandbox_state_remove_member(struct sandbox_state *state,
                                                 struct span user_id) MUST_CHECK;

/*
 * Secrets, oldest first, and the one with a name or NULL. Pointers last until the next
 * change of a secret.
 */
size_t sandbox_state_secret_count(const struct sandbox_state *state);
const struct sandbox_secret *sandbox_state_secret(const struct sandbox_state *state,
                                                  size_t index);
const struct sandbox_secret *sandbox_state_find_secret(const struct sandbox_state *state,
                                                       struct span name);

/* The name's bytes are copied; their length is the caller's to check. DONE, EXISTS, FULL
 * or NO_MEMORY. */
enum sandbox_outcome sandbox_state_create_secret(struct sandbox_state *state,
                                                 struct span name,
                                                 int64_t now_ms) MUST_CHECK;

/* Notes when the value was changed. DONE or UNKNOWN. */
enum sandbox_outcome sandbox_state_update_secret(struct sandbox_state *state,
                                                 struct span name,
                                                 int64_t now_ms) MUST_CHECK;
enum sandbox_outcome sandbox_state_delete_secret(struct sandbox_state *state,
                                                 struct span name) MUST_CHECK;

#endif
