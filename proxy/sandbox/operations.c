#include "sandbox/operations.h"

#include "base/clock.h"

static void add_bool(struct text *text, const char *key, bool value)
{
    text_add_format(text, ",\"%s\":%s", key, value ? "true" : "false");
}

static void add_time(struct text *text, const char *key, int64_t wall_ms)
{
    char utc[CLOCK_TEXT_BYTES];

    clock_format_utc(wall_ms, utc);
    text_add_member(text, key, span_of(utc));
}

/* The schemas User, Team, TeamMember and Secret of the contract. */

static void add_user(struct text *text, const struct sandbox_member *user)
{
    text_add_byte(text, '{');
    text_add_member(text, "id", span_of(user->user_id));
    text_add_member(text, "email", span_of(user->email));
    text_add_member(text, "firstName", span_of(user->first_name));
    text_add_member(text, "lastName", span_of(user->last_name));
    text_add_member(text, "defaultProduct", SPAN("gradient"));
    text_add_member(text, "theme", SPAN("light"));
    text_add_byte(text, '}');
}

static void add_team(struct text *text, const struct sandbox_team *team)
{
    text_add_byte(text, '{');
    text_add_member(text, "id", span_of(team->id));
    text_add_member(text, "name", span_of(team->name));
    text_add_member(text, "namespace", span_of(team->namespace));
    text_add_byte(text, '}');
}

static void add_member(struct text *text, const struct sandbox_state *state,
                       const struct sandbox_member *member)
{
    text_add_byte(text, '{');
    text_add_member(text, "userId", span_of(member->user_id));
    text_add_member(text, "email", span_of(member->email));
    add_bool(text, "isAdmin", member->is_admin);
    text_add_member(text, "teamId", span_of(sandbox_state_team(state)->id));
    text_add_byte(text, '}');
}

static void add_secret(struct text *text, const struct sandbox_secret *secret)
{
    text_add_byte(text, '{');
    text_add_member(text, "name", secret->name);
    add_time(text, "dtCreated", secret->created_ms);
    if (secret->modified_ms != 0)
        add_time(text, "dtModified", secret->modified_ms);
    text_add_byte(text, '}');
}

/* What the state would not do, said to the client; what names the thing asked for. */
static void refuse(struct sandbox_answer *answer, enum sandbox_outcome outcome,
                   const char *what)
{
    switch (outcome) {
    case SANDBOX_UNKNOWN:
        sandbox_answer_problem(answer, SANDBOX_NOT_FOUND, "the team has no such %s",
                               what);
        break;
    case SANDBOX_EXISTS:
        sandbox_answer_problem(answer, SANDBOX_CONFLICT, "the team has a %s of that name",
                               what);
        break;
    case SANDBOX_LAST_ADMIN:
        sandbox_answer_problem(answer, SANDBOX_CONFLICT,
                               "this %s is the team's last admin: make another one first",
                               what);
        break;
    case SANDBOX_FULL:
        sandbox_answer_problem(answer, SANDBOX_CONFLICT,
                               "the sandbox keeps at most %d %ss", SANDBOX_SECRETS_MAX,
                               what);
        break;
    case SANDBOX_NO_MEMORY:
    case SANDBOX_DONE:
        sandbox_answer_problem(answer, SANDBOX_INTERNAL_SERVER_ERROR, "out of memory");
    }
}

static void answer_member(struct sandbox_answer *answer,
                          const struct sandbox_state *state, struct span user_id)
{
    answer->status = 200;
    add_member(&answer->body, state, sandbox_state_find_member(state, user_id));
}

static void answer_secret(struct sandbox_answer *answer, unsigned status,
                          const struct sandbox_secret *secret)
{
    answer->status = status;
    add_secret(&answer->body, secret);
}

void sandbox_get_session(struct sandbox_state *state, const struct sandbox_task *task,
                         struct sandbox_answer *answer)
{
    struct text *body = &answer->body;

    answer->status = 200;
    if (!task->is_authorized) {
        text_add(body, SPAN("null"));
        return;
    }
    text_add(body, SPAN("{\"user\":"));
    add_user(body, sandbox_state_user(state));
    text_add(body, SPAN(",\"team\":"));
    add_team(body, sandbox_state_team(state));
    text_add_byte(body, '}');
}

void sandbox_list_members(struct sandbox_state *state, const struct sandbox_task *task,
                          struct sandbox_answer *answer)
{
    (void)task;
    answer->status = 200;
    text_add_byte(&answer->body, '[');
    for (size_t i = 0; i < sandbox_state_member_count(state); i++) {
        if (i > 0)
            text_add_byte(&answer->body, ',');
        add_member(&answer->body, state, sandbox_state_member(state, i));
    }
    text_add_byte(&answer->body, ']');
}

void sandbox_update_member(struct sandbox_state *state, const struct sandbox_task *task,
                           struct sandbox_answer *answer)
{
    static const struct sandbox_member_rule rules[] = {
        {"isAdmin", SANDBOX_BOOLEAN, false}};
    const struct sandbox_member *member = sandbox_state_find_member(state, task->item);
    enum sandbox_outcome outcome = SANDBOX_DONE;
    const json_t *is_admin;
    json_t *object;

    if (member == NULL) {
        refuse(answer, SANDBOX_UNKNOWN, "member");
        return;
    }
    object = sandbox_body_read(task->body, rules, 1, answer);
    if (object == NULL)
        return;
    is_admin = json_object_get(object, "isAdmin");
    if (is_admin != NULL)
        outcome = sandbox_state_set_admin(state, task->item, json_is_true(is_admin));
    if (outcome == SANDBOX_DONE)
        answer_member(answer, state, task->item);
    else
        refuse(answer, outcome, "member");
    sandbox_body_release(object);
}

void sandbox_remove_member(struct sandbox_state *state, const struct sandbox_task *task,
                           struct sandbox_answer *answer)
{
    enum sandbox_outcome outcome = sandbox_state_remove_member(state, task->item);

    if (outcome == SANDBOX_DONE)
        answer->status = 204;
    else
        refuse(answer, outcome, "member");
}

void sandbox_list_secrets(struct sandbox_state *state, const struct sandbox_task *task,
                          struct sandbox_answer *answer)
{
    (void)task;
    answer->status = 200;
    text_add_byte(&answer->body, '[');
    for (size_t i = 0; i < sandbox_state_secret_count(state); i++) {
        if (i > 0)
            text_add_byte(&answer->body, ',');
        add_secret(&answer->body, sandbox_state_secret(state, i));
    }
    text_add_byte(&answer->body, ']');
}

void sandbox_create_secret(struct sandbox_state *state, const struct sandbox_task *task,
                           struct sandbox_answer *answer)
{
    static const struct sandbox_member_rule rules[] = {{"name", SANDBOX_NAME, true},
                                                       {"value", SANDBOX_STRING, true}};
    json_t *object = sandbox_body_read(task->body, rules, 2, answer);
    enum sandbox_outcome outcome;
    struct span name;

    if (object == NULL)
        return;
    name = span_make(json_string_value(json_object_get(object, "name")),
                     json_string_length(json_object_get(object, "name")));
    outcome = sandbox_state_create_secret(state, name, task->now_ms);
    if (outcome == SANDBOX_DONE)
        answer_secret(answer, 201, sandbox_state_find_secret(state, name));
    else
        refuse(answer, outcome, "secret");
    sandbox_body_release(object);
}

void sandbox_get_secret(struct sandbox_state *state, const struct sandbox_task *task,
                        struct sandbox_answer *answer)
{
    const struct sandbox_secret *secret = sandbox_state_find_secret(state, task->item);

    if (secret != NULL)
        answer_secret(answer, 200, secret);
    else
        refuse(answer, SANDBOX_UNKNOWN, "secret");
}

void sandbox_update_secret(struct sandbox_state *state, const struct sandbox_task *task,
                           struct sandbox_answer *answer)
{
    static const struct sandbox_member_rule rules[] = {{"value", SANDBOX_STRING, true}};
    enum sandbox_outcome outcome = SANDBOX_UNKNOWN;
    json_t *object;

    if (sandbox_state_find_secret(state, task->item) == NULL) {
        refuse(answer, outcome, "secret");
        return;
    }
    object = sandbox_body_read(task->body, rules, 1, answer);
    if (object == NULL)
        return;
    outcome = sandbox_state_update_secret(state, task->item, task->now_ms);
    if (outcome == SANDBOX_DONE)
        answer_secret(answer, 200, sandbox_state_find_secret(state, task->item));
    else
        refuse(answer, outcome, "secret");
    sandbox_body_release(object);
}

void sandbox_delete_secret(struct sandbox_state *state, const struct sandbox_task *task,
                           struct sandbox_answer *answer)
{
    enum sandbox_outcome outcome = sandbox_state_delete_secret(state, task->item);

    if (outcome == SANDBOX_DONE)
        answer->status = 204;
    else
        refuse(answer, outcome, "secret");
}
