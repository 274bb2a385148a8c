#include "command/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/policy.h"
#include "base/clock.h"
#include "base/text.h"
#include "command/command.h"
#include "gateway/admission.h"
#include "gateway/effect.h"

/* A question's request as the gateway would have received it. */
struct asked {
    struct text bytes;
    struct http_head head;
    char *scratch[2]; /* decoded paths: the admission's and ours */
    bool is_whole;    /* it was parsed, and says just what was asked */
};

static void print_line(const char *label, const struct text *value)
{
    (void)printf("%-12s %s\n", label, value->failed ? "out of memory" : value->bytes);
}

static void PRINTF_LIKE(2, 3) say(const char *label, const char *format, ...)
{
    va_list values;

    (void)printf("%-12s ", label);
    va_start(values, format);
    (void)vprintf(format, values);
    va_end(values);
    (void)putchar('\n');
}

/* The request */

/* An absolute-form target brings its own host, which the Host field must repeat. */
static struct span host_of(const struct explain_question *question)
{
    struct http_target target;
    enum http_fault fault;

    if (http_target_split(span_of(question->target), span_of(question->method), &target,
                          &fault) &&
        target.authority.at != NULL)
        return target.authority;
    return SPAN("psgate");
}

static bool ask(struct asked *asked, const struct explain_question *question,
                const struct config_limits *limits)
{
    struct span host = host_of(question);

    text_add_format(&asked->bytes, "%s %s HTTP/1.1\r\nHost: %.*s\r\n\r\n",
                    question->method, question->target, (int)host.len, host.at);
    for (int i = 0; i < 2; i++)
        asked->scratch[i] = malloc(strlen(question->target) + 1);
    if (asked->bytes.failed || asked->scratch[0] == NULL || asked->scratch[1] == NULL ||
        !http_head_init(&asked->head, (uint16_t)limits->headers))
        return false;
    http_head_reset(&asked->head, HTTP_REQUEST);
    /* Line ends and spaces in the question must not make it another request. */
    asked->is_whole =
        http_head_parse(&asked->head, asked->bytes.bytes, asked->bytes.len,
                        (uint32_t)limits->header_bytes) == HTTP_PARSE_DONE &&
        asked->head.len == asked->bytes.len &&
        span_equal(asked->head.method, span_of(question->method)) &&
        span_equal(asked->head.target, span_of(question->target));
    return true;
}

static void forget(struct asked *asked)
{
    http_head_fini(&asked->head);
    free(asked->scratch[0]);
    free(asked->scratch[1]);
    text_fini(&asked->bytes);
}

/* What is said */

/* A slash that was encoded is data of its segment, and must not look like a separator. */
static void add_segment(struct text *line, struct span segment)
{
    for (size_t i = 0; i < segment.len; i++)
        text_add_escaped(line, segment.at[i] == '/' ? SPAN("%2F")
                                                    : span_make(segment.at + i, 1));
}

/* Decoded segments, those that the operation knows as its template spells them. */
static void say_path(const struct operation *operation, const struct http_path *path)
{
    struct text line = {0};

    for (unsigned i = 0; i < path->count && i < HTTP_PATH_SEGMENTS; i++) {
        const char *literal = operation != NULL && i < (unsigned)operation->segment_count
                                  ? operation->segments[i]
                                  : NULL;

        text_add_byte(&line, '/');
        if (literal != NULL)
            text_add(&line, span_of(literal));
        else
            add_segment(&line, path->segments[i]);
    }
    text_add(&line, path->count == 0                   ? SPAN("/")
                    : path->count > HTTP_PATH_SEGMENTS ? SPAN("/...")
                                                       : SPAN(""));
    print_line("path:", &line);
    text_fini(&line);
}

static void say_operation(const struct operation *operation)
{
    if (operation == NULL)
        say("operation:", "other (no operation of the table matches)");
    else
        say("operation:", "%s, by %s %s%s", operation->id, operation->method,
            operation->path, operation->is_named_only ? " (named_only)" : "");
}

static void say_team(const struct client_explanation *explanation)
{
    struct text line = {0};

    if (explanation->team.at != NULL)
        add_segment(&line, explanation->team);
    else
        text_add(&line, SPAN("none is named"));
    print_line("team:", &line);
    text_fini(&line);
}

static void add_teams(struct text *line, const struct client *client)
{
    text_add(line, SPAN("teams ["));
    for (size_t i = 0; i < client->team_count; i++) {
        text_add(line, i > 0 ? SPAN(", \"") : SPAN("\""));
        text_add_escaped(line, span_of(client->teams[i]));
        text_add_byte(line, '"');
    }
    text_add_byte(line, ']');
}

static void add_rule(struct text *line, const char *list, const char *pattern)
{
    text_add_format(line, "%s \"", list);
    text_add_escaped(line, span_of(pattern));
    text_add_byte(line, '"');
}

static void add_allow_rule(struct text *line,
                           const struct client_explanation *explanation)
{
    add_rule(line, "allow", explanation->pattern);
    if (explanation->is_default)
        text_add(line, SPAN(" (the default: the client has no allow)"));
}

static void add_cause(struct text *line, const struct client *client,
                      const struct client_explanation *explanation, const char *id)
{
    switch (explanation->cause) {
    case CLIENT_CAUSE_ALLOWED:
        add_allow_rule(line, explanation);
        text_add_format(line, " covers %s, nothing in deny does, and ", id);
        add_teams(line, client);
        text_add(line, client->may_any_team ? SPAN(" has \"*\"") : SPAN(" has the team"));
        break;
    case CLIENT_CAUSE_DENIED:
        add_rule(line, "deny", explanation->pattern);
        text_add_format(line, " covers %s", id);
        if (explanation->allowed != NULL) {
            text_add(line, SPAN(", and wins over "));
            add_rule(line, "allow", explanation->allowed);
        }
        break;
    case CLIENT_CAUSE_NAMED_ONLY:
        add_allow_rule(line, explanation);
        text_add_format(line,
                        " does not cover %s, which is named_only: only its id in allow "
                        "does, no glob",
                        id);
        break;
    case CLIENT_CAUSE_NOT_ALLOWED:
        text_add_format(line, "nothing in allow covers %s", id);
        break;
    case CLIENT_CAUSE_NO_TEAM:
        add_allow_rule(line, explanation);
        text_add_format(line, " covers %s, but the request names no team and ", id);
        add_teams(line, client);
        text_add(line, SPAN(" has no \"*\""));
        break;
    case CLIENT_CAUSE_TEAM:
        add_allow_rule(line, explanation);
        text_add_format(line, " covers %s, but ", id);
        add_teams(line, client);
        text_add(line, SPAN(" does not list the team"));
        break;
    }
}

/* One way to read the path: its operation, and the rule that decides about it. */
static void say_reading(const struct snapshot *snapshot, const struct client *client,
                        struct span method, const struct http_path *path,
                        bool is_asterisk)
{
    const struct operation *operation =
        is_asterisk ? NULL : operation_match(snapshot->operations, method, path);
    struct client_explanation explanation;
    struct text line = {0};

    client_explain(snapshot->clients, client, operation, path, &explanation);
    if (is_asterisk)
        say("path:", "*");
    else
        say_path(operation, path);
    say_operation(operation);
    say_team(&explanation);
    add_cause(&line, client, &explanation, operation != NULL ? operation->id : "other");
    print_line("rule:", &line);
    text_fini(&line);
}

static void say_readings(const struct snapshot *snapshot,
                         const struct admission *admission, struct asked *asked)
{
    bool forward = snapshot->config->upstream.encoded_slashes == CONFIG_SLASHES_FORWARD;
    struct http_path path = {.count = 0}, again;
    enum http_fault fault;

    if (!admission->target.is_asterisk &&
        !http_path_split(admission->target.path, forward, asked->scratch[1], &path,
                         &fault))
        return;
    say_reading(snapshot, admission->client, asked->head.method, &path,
                admission->target.is_asterisk);
    if (!path.has_encoded_slash)
        return;
    http_path_split_again(&path, &again);
    (void)puts("upstream may read %2F as a separator, which must be allowed too:");
    say_reading(snapshot, admission->client, asked->head.method, &again, false);
}

static void say_cache(const struct admission *admission, bool is_mutating)
{
    const struct operation_cache *cache =
        admission->operation != NULL ? admission->operation->cache : NULL;

    if (cache == NULL || is_mutating)
        say("cache:", "never");
    else if (!admission->is_exact)
        say("cache:", "not in this spelling: only as the template has it");
    else
        say("cache:", "scope %s%s", cache->scope,
            cache->freshness == OPERATION_FRESHNESS_UPSTREAM
                ? ", by the answer's own Cache-Control"
                : "");
}

static const char *recording_text(enum recording_mode mode)
{
    switch (mode) {
    case RECORDING_AWAITED:
        return "recorded, durably before it is sent and before it is answered";
    case RECORDING_LOG:
        return "recorded, without waiting (audit.other_mutations)";
    case RECORDING_NONE:
        break;
    }
    return "not recorded";
}

static void say_invalidates(const struct config *config,
                            const struct operation *operation)
{
    struct text line = {0};
    size_t count;
    const char *const *names = effect_invalidates(config, operation, &count);

    for (size_t i = 0; i < count; i++) {
        text_add(&line, i > 0 ? SPAN(", ") : SPAN(""));
        text_add_escaped(&line, strcmp(names[i], "*") == 0 ? SPAN("every scope")
                                                           : span_of(names[i]));
    }
    text_add(&line, count == 0 ? SPAN("nothing") : SPAN(""));
    print_line("invalidates:", &line);
    text_fini(&line);
}

static void say_effects(const struct snapshot *snapshot,
                        const struct admission *admission, struct span method)
{
    const struct config *config = snapshot->config;
    bool is_mutating = operation_method_is_mutating(method);

    say_cache(admission, is_mutating);
    say("audit:", "%s",
        recording_text(effect_recording(config, admission->operation, is_mutating)));
    if (is_mutating)
        say_invalidates(config, admission->operation);
    else
        say("invalidates:", "nothing");
}

static void say_refusal(enum reason reason, const char *detail)
{
    const struct reason_row *row = reason_row(reason);

    say("verdict:", "refused with %u: %s%s%s%s", row->status, row->message,
        detail != NULL ? " (" : "", detail != NULL ? detail : "",
        detail != NULL ? ")" : "");
    say("next:", "%s", row->advice);
}

/* One entry of the client's; whether it may. */
static bool explain_entry(const struct snapshot *snapshot, const struct client *client,
                          struct asked *asked)
{
    struct admission admission;
    bool is_admitted;

    if (!asked->is_whole) {
        say_refusal(REASON_MALFORMED,
                    asked->head.fault != HTTP_FAULT_NONE
                        ? http_fault_text(asked->head.fault)
                        : "the method or the target holds spaces or line ends");
        return false;
    }
    is_admitted = admission_judge_as(&admission, &asked->head, snapshot, client,
                                     clock_wall_ms(), asked->scratch[0]);
    if (is_admitted && admission.is_own) {
        say("operation:", "the gateway's own, never forwarded; no rule is asked");
        say("verdict:", "allowed");
        return true;
    }
    if (admission.client != NULL && !admission.is_own)
        say_readings(snapshot, &admission, asked);
    if (!is_admitted) {
        say_refusal(admission.reason, admission.detail);
        return false;
    }
    say("verdict:", "allowed");
    say_effects(snapshot, &admission, asked->head.method);
    return true;
}

static void say_client(const struct client *client, unsigned number)
{
    struct text line = {0};

    text_add_escaped(&line, span_of(client->name));
    if (number > 1)
        text_add_format(&line, " (entry %u of that name)", number);
    text_add(&line, SPAN(", credential "));
    text_add_escaped(&line, span_of(client->credential));
    if (client->expires != NULL)
        text_add_format(&line, ", expires %s", client->expires);
    print_line("client:", &line);
    text_fini(&line);
}

static int no_such_client(const struct snapshot *snapshot, const char *name)
{
    size_t count = snapshot->clients->count;
    const char **names = calloc(count + 1, sizeof(*names));
    const char *nearest = NULL;
    struct text line = {0};

    for (size_t i = 0; names != NULL && i < count; i++)
        names[i] = snapshot->clients->clients[i].name;
    if (names != NULL)
        nearest = nearest_word(name, names);
    text_add(&line, SPAN("psgate check: there is no client \""));
    text_add_escaped(&line, span_of(name));
    text_add(&line, SPAN("\" ("));
    if (nearest != NULL) {
        text_add(&line, SPAN("did you mean \""));
        text_add_escaped(&line, span_of(nearest));
        text_add(&line, SPAN("\"?)"));
    } else {
        text_add(&line, SPAN("psgate token list shows them)"));
    }
    (void)fprintf(stderr, "%s\n", line.failed ? "out of memory" : line.bytes);
    text_fini(&line);
    free(names);
    return EXIT_USAGE;
}

int explain_request(const struct snapshot *snapshot,
                    const struct explain_question *question)
{
    const struct client_set *set = snapshot->clients;
    struct asked asked = {.is_whole = false};
    int status = EXIT_FINE;
    unsigned entries = 0;

    if (!ask(&asked, question, &snapshot->config->limits)) {
        (void)fputs("psgate check: out of memory\n", stderr);
        forget(&asked);
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->clients[i].name, question->client) != 0)
            continue;
        if (entries++ > 0)
            (void)putchar('\n');
        say_client(&set->clients[i], entries);
        if (!explain_entry(snapshot, &set->clients[i], &asked))
            status = EXIT_FAILED;
    }
    forget(&asked);
    return entries > 0 ? status : no_such_client(snapshot, question->client);
}
