#include "sandbox/body.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/secret.h"
#include "sandbox/state.h"

void sandbox_body_fini(struct sandbox_body *body)
{
    if (body->bytes != NULL)
        secret_cleanse(body->bytes, body->capacity);
    free(body->bytes);
    *body = (struct sandbox_body){0};
}

/* Makes room without realloc, which leaves the old copy uncleansed. */
static bool reserve(struct sandbox_body *body, size_t wanted)
{
    struct sandbox_body wider = *body;

    if (wanted <= body->capacity)
        return true;
    if (wider.capacity == 0)
        wider.capacity = 1024;
    while (wider.capacity < wanted)
        wider.capacity *= 2;
    wider.bytes = malloc(wider.capacity);
    if (wider.bytes == NULL)
        return false;
    if (body->len > 0)
        memcpy(wider.bytes, body->bytes, body->len);
    sandbox_body_fini(body);
    *body = wider;
    return true;
}

void sandbox_body_add(struct sandbox_body *body, struct span bytes)
{
    bool is_too_long = body->is_too_long || bytes.len > SANDBOX_BODY_MAX - body->len;

    if (is_too_long || body->failed || !reserve(body, body->len + bytes.len)) {
        bool failed = body->failed || !is_too_long;

        sandbox_body_fini(body);
        body->is_too_long = is_too_long;
        body->failed = failed;
        return;
    }
    if (bytes.len > 0)
        memcpy(body->bytes + body->len, bytes.at, bytes.len);
    body->len += bytes.len;
}

static json_t *parse(const struct sandbox_body *body, struct sandbox_answer *answer)
{
    const char *bytes = body->len > 0 ? body->bytes : "";
    json_error_t error;
    json_t *value = json_loadb(bytes, body->len, JSON_DECODE_ANY, &error);

    if (value == NULL) /* the error's text may quote the body: not told */
        sandbox_answer_problem(answer, SANDBOX_PARSE_ERROR,
                               "the body is not JSON (line %d, column %d)", error.line,
                               error.column);
    return value;
}

#define QUOTE(number) QUOTE_ITSELF(number)
#define QUOTE_ITSELF(number) #number

/* What is wrong with a member, or NULL. */
static const char *find_fault(const struct sandbox_member_rule *rule, const json_t *value)
{
    if (value == NULL)
        return rule->is_required ? "is required" : NULL;
    if (rule->type == SANDBOX_BOOLEAN)
        return json_is_boolean(value) ? NULL : "must be true or false";
    if (!json_is_string(value))
        return "must be a string";
    if (rule->type == SANDBOX_NAME &&
        (json_string_length(value) == 0 || json_string_length(value) > SANDBOX_NAME_MAX))
        return "must be 1 to " QUOTE(SANDBOX_NAME_MAX) " bytes long";
    return NULL;
}

/* The first fault makes the answer an error, the others are added to it. */
static void add_fault(struct sandbox_answer *answer, const char *what, const char *fault)
{
    if (answer->status == 0)
        sandbox_answer_problem(answer, SANDBOX_BAD_REQUEST,
                               "the body is not what this operation takes");
    sandbox_answer_add_issue(answer, "%s %s", what, fault);
}

static void check(const json_t *object, const struct sandbox_member_rule *rules,
                  size_t rule_count, struct sandbox_answer *answer)
{
    size_t known = 0;

    if (!json_is_object(object)) {
        add_fault(answer, "the body", "must be an object");
        return;
    }
    for (size_t i = 0; i < rule_count; i++) {
        const json_t *value = json_object_get(object, rules[i].name);
        const char *fault = find_fault(&rules[i], value);

        known += value != NULL;
        if (fault != NULL)
            add_fault(answer, rules[i].name, fault);
    }
    if (known == 0 && json_object_size(object) > 0 && answer->status == 0)
        add_fault(answer, rules[0].name, "is missing, and nothing else is known here");
}

json_t *sandbox_body_read(const struct sandbox_body *body,
                          const struct sandbox_member_rule *rules, size_t rule_count,
                          struct sandbox_answer *answer)
{
    json_t *object = parse(body, answer);

    if (object == NULL)
        return NULL;
    check(object, rules, rule_count, answer);
    if (answer->status == 0)
        return object;
    sandbox_body_release(object);
    return NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion): jansson reads no deeper than 2048 */
static void cleanse(json_t *value)
{
    const char *key;
    json_t *inner;
    size_t index;

    if (json_is_string(value)) /* ours alone, so the const can go */
        secret_cleanse((void *)(uintptr_t)json_string_value(value),
                       json_string_length(value));
    json_object_foreach (value, key, inner) {
        cleanse(inner);
    }
    json_array_foreach (value, index, inner) {
        cleanse(inner);
    }
}

void sandbox_body_release(json_t *object)
{
    if (object != NULL)
        cleanse(object);
    json_decref(object);
}
