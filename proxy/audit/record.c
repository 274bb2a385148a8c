#include "audit/record.h"

#include <stdlib.h>

#include <jansson.h>

#include "audit/line.h"
#include "base/clock.h"
#include "base/json_text.h"

#define ECS_VERSION "8.11"

enum { USUAL_BYTES = 1000 }; /* of a body: made with one allocation */

static void begin(struct text *out, const char *phase, int64_t wall_ms)
{
    char time[CLOCK_TEXT_BYTES];

    (void)text_reserve(out, USUAL_BYTES);
    clock_format_utc(wall_ms, time);
    text_add_byte(out, '{');
    text_add_member(out, "@timestamp", span_of(time));
    text_add_member(out, "ecs.version", SPAN(ECS_VERSION));
    text_add_member(out, "proxy.phase", span_of(phase));
    text_add_member(out, "event.kind", SPAN("event"));
}

static void add_if(struct text *out, const char *key, struct span value)
{
    if (value.at != NULL && value.len > 0)
        text_add_member(out, key, value);
}

static void add_word(struct text *out, const char *key, const char *value)
{
    if (value != NULL)
        text_add_member(out, key, span_of(value));
}

/* ECS has these as arrays, and wants one word or several in them. */
static void add_list(struct text *out, const char *key, const char *const *words,
                     size_t count)
{
    if (out->len > 0)
        text_add_byte(out, ',');
    text_add_byte(out, '"');
    text_add(out, span_of(key));
    text_add(out, SPAN("\":["));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text_add_byte(out, ',');
        text_add_json_string(out, span_of(words[i]));
    }
    text_add_byte(out, ']');
}

void audit_record_subject(const struct audit_subject *subject, struct text *out)
{
    (void)text_reserve(out, USUAL_BYTES / 2);
    add_word(out, "event.id", subject->id);
    add_list(out, "event.category", &subject->category, 1);
    add_if(out, "event.action", subject->action);
    add_if(out, "user.name", subject->client);
    add_word(out, "client.auth", subject->client_auth);
    add_if(out, "source.ip", subject->source_ip);
    add_if(out, "user_agent.original", subject->user_agent);
    add_if(out, "organization.id", subject->team);
    add_if(out, "user.target.id", subject->target_user);
    add_if(out, "http.request.method", subject->method);
    add_if(out, "http.request.id", subject->request_id);
    add_if(out, "trace.id", subject->trace_id);
    add_if(out, "proxy.route", subject->route);
    add_if(out, "url.path", subject->path);
    add_if(out, "proxy.resource.type", subject->resource_type);
    add_if(out, "proxy.resource.name", subject->resource_name);
    if (subject->recorded.len > 0) {
        text_add_byte(out, ',');
        text_add(out, subject->recorded);
    }
    if (subject->has_unreadable_body)
        text_add_member(out, "proxy.body", SPAN("unreadable"));
    add_if(out, "proxy.credential", subject->credential);
    text_add_member_number(out, "proxy.config_generation",
                           (int64_t)subject->config_generation);
}

static const char *type_of(struct span method)
{
    if (span_equal(method, SPAN("POST")))
        return "creation";
    return span_equal(method, SPAN("DELETE")) ? "deletion" : "change";
}

static void add_type(struct text *out, const char *type)
{
    add_list(out, "event.type", &type, 1);
}

void audit_record_intent(struct span subject, struct span method, int64_t wall_ms,
                         struct text *out)
{
    begin(out, "intent", wall_ms);
    add_type(out, type_of(method));
    text_add_byte(out, ',');
    text_add(out, subject);
}

void audit_record_result(struct span subject, struct span method, int64_t wall_ms,
                         const struct audit_outcome *outcome, struct text *out)
{
    begin(out, "result", wall_ms);
    add_type(out, type_of(method));
    text_add_byte(out, ',');
    text_add(out, subject);
    add_word(out, "event.outcome", outcome->outcome);
    add_word(out, "event.reason", outcome->reason);
    text_add_member_number(out, "event.duration", outcome->duration_ns);
    if (outcome->status != 0)
        text_add_member_number(out, "http.response.status_code", outcome->status);
    if (outcome->invalidated_count > 0)
        add_list(out, "proxy.invalidated", outcome->invalidated,
                 outcome->invalidated_count);
}

void audit_record_refused(struct span subject, int64_t wall_ms, unsigned status,
                          const char *reason, struct text *out)
{
    begin(out, "refused", wall_ms);
    add_type(out, "denied");
    text_add_byte(out, ',');
    text_add(out, subject);
    text_add_member(out, "event.outcome", SPAN("failure"));
    add_word(out, "event.reason", reason);
    text_add_member_number(out, "http.response.status_code", status);
}

void audit_record_suppressed(struct span source, uint64_t count, int64_t wall_ms,
                             struct text *out)
{
    begin(out, "refused", wall_ms);
    add_type(out, "denied");
    text_add_member(out, "event.action", SPAN("refusals"));
    text_add_member(out, "event.outcome", SPAN("failure"));
    text_add_member(out, "source.ip", source);
    text_add_member_number(out, "proxy.suppressed", (int64_t)count);
}

/* The members of an intent that its result must not have. */
static const char *const of_intents[] = {"@timestamp", "ecs.version", "proxy.phase",
                                         "event.kind", "event.type"};

static json_t *read_intent(struct span body)
{
    struct text line = {0};
    json_t *intent;

    text_add(&line, body);
    text_add_byte(&line, '}');
    intent = line.failed
                 ? NULL
                 : json_text_read(span_make(line.bytes, line.len), JSON_ALLOW_NUL, NULL);
    text_fini(&line);
    if (json_is_object(intent) && json_is_string(json_object_get(intent, "event.id")))
        return intent;
    json_decref(intent);
    return NULL;
}

/* A member as the intent has it, to the byte: no number is written in another way. */
static void add_member_of(struct text *out, struct span intent_body, const char *key)
{
    struct text quoted = {0};
    struct span value;

    text_add_json_string(&quoted, span_of(key));
    if (!quoted.failed &&
        audit_line_find(intent_body, span_make(quoted.bytes + 1, quoted.len - 2),
                        &value)) {
        text_add_byte(out, ',');
        text_add(out, span_make(quoted.bytes, quoted.len));
        text_add_byte(out, ':');
        text_add(out, value);
    }
    out->failed = out->failed || quoted.failed;
    text_fini(&quoted);
}

bool audit_record_orphaned(struct span intent_body, int64_t wall_ms, struct text *out)
{
    json_t *intent = read_intent(intent_body);
    const char *method, *key;
    json_t *value;

    if (intent == NULL)
        return false;
    method = json_string_value(json_object_get(intent, "http.request.method"));
    begin(out, "result", wall_ms);
    add_type(out, type_of(span_of(method != NULL ? method : "")));
    for (size_t i = 0; i < sizeof(of_intents) / sizeof(of_intents[0]); i++)
        (void)json_object_del(intent, of_intents[i]);
    json_object_foreach (intent, key, value)
        add_member_of(out, intent_body, key);
    json_decref(intent);
    text_add_member(out, "event.outcome", SPAN("unknown"));
    text_add_member(out, "event.reason", SPAN("gateway_stopped"));
    return !out->failed;
}

void audit_record_resumed(const char *suspect_file, struct span last_hash,
                          uint64_t repeated, int64_t wall_ms, struct text *out)
{
    begin(out, "trail", wall_ms);
    text_add_member(out, "event.action", SPAN("trail.resumed"));
    text_add_member(out, "proxy.trail.suspect_file", span_of(suspect_file));
    text_add_member(out, "proxy.trail.last_hash", last_hash);
    text_add_member_number(out, "proxy.trail.repeated", (int64_t)repeated);
}

void audit_record_repaired(const char *set_aside, uint64_t bytes, int64_t wall_ms,
                           struct text *out)
{
    begin(out, "trail", wall_ms);
    text_add_member(out, "event.action", SPAN("trail.repaired"));
    text_add_member(out, "proxy.trail.set_aside", span_of(set_aside));
    text_add_member_number(out, "proxy.trail.bytes", (int64_t)bytes);
}

void audit_record_checkpoint(const char *statement, const char *signature,
                             const char *key_id, int64_t wall_ms, struct text *out)
{
    begin(out, "checkpoint", wall_ms);
    text_add_member(out, "event.action", SPAN("checkpoint"));
    text_add_member(out, "proxy.checkpoint.statement", span_of(statement));
    text_add_member(out, "proxy.checkpoint.signature", span_of(signature));
    text_add_member(out, "proxy.checkpoint.key", span_of(key_id));
}
