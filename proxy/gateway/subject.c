#include "gateway/subject.h"

#include "audit/record.h"
#include "gateway/source.h"
#include "gateway/trace.h"

enum { MOST_AGENT_BYTES = 512, MOST_REQUEST_ID_BYTES = 128 };

static bool stands_in(struct span token, struct span value)
{
    return token.len > 0 && value.len >= token.len &&
           memmem(value.at, value.len, token.at, token.len) != NULL;
}

bool subject_is_secret(const void *owner, struct span value)
{
    const struct exchange *exchange = owner;
    const struct admission *admission = &exchange->admission;

    return token_stands_in(value) || jwt_stands_in(value) ||
           stands_in(admission->token, value) || stands_in(admission->jwt, value);
}

/*
 * A client may put its token anywhere; what holds one is not recorded. The value must be
 * whole: half a token is none any more, but says half of it.
 */
static struct span safe(const struct exchange *exchange, struct span value)
{
    return subject_is_secret(exchange, value) ? SPAN("(withheld)") : value;
}

/* The methods of RFC 9110 9.3 and RFC 5789. */
static bool is_well_known(struct span method)
{
    static const char *const known[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (span_equal_nocase(method, span_of(known[i])))
            return true;
    }
    return false;
}

/*
 * Behind a body whose length was told too short, the rest of it stands where a method is
 * expected. A request with a client's token in it is more than such a rest.
 */
struct span subject_method(const struct exchange *exchange)
{
    struct span method = exchange->head.method;

    if (exchange->admission.client == NULL && method.len > 0 && !is_well_known(method))
        return SPAN("(withheld)");
    return safe(exchange, method);
}

static struct span field_of(const struct exchange *exchange, struct span name,
                            size_t most)
{
    const struct http_head *head = &exchange->head;

    for (unsigned i = 0; i < head->field_count; i++) {
        struct span value = http_field_value(head, &head->fields[i]);

        if (!span_equal_nocase(http_field_name(head, &head->fields[i]), name))
            continue;
        value = safe(exchange, value);
        return span_make(value.at, value.len < most ? value.len : most);
    }
    return span_make(NULL, 0);
}

struct span subject_request_id(const struct exchange *exchange)
{
    const struct http_head *head = &exchange->head;
    const struct http_field *field = http_head_find(head, HTTP_FIELD_X_REQUEST_ID, NULL);
    struct span id;

    if (field == NULL)
        return span_make(NULL, 0);
    id = safe(exchange, http_field_value(head, field));
    return span_make(id.at,
                     id.len < MOST_REQUEST_ID_BYTES ? id.len : MOST_REQUEST_ID_BYTES);
}

/* ECS: who may get in, how things are set up, and the rest. */
static const char *category_of(const struct operation *operation)
{
    if (operation == NULL)
        return "web";
    if (operation->user_segment != OPERATION_NO_SEGMENT || operation->is_named_only)
        return "iam";
    return operation->resource_type != NULL ? "configuration" : "web";
}

/* The path's segments as the operation was matched on them (see admission's authorize).
 */
static void split_path(const struct exchange *exchange, struct http_path *path)
{
    const struct snapshot *snapshot = exchange->snapshot;
    bool forward = snapshot->config->upstream.encoded_slashes == CONFIG_SLASHES_FORWARD;
    struct http_path first;
    enum http_fault fault;

    *path = (struct http_path){0};
    if (exchange->admission.target.is_asterisk ||
        !http_path_split(exchange->admission.target.path, forward,
                         exchange->station->path_scratch, &first, &fault))
        return;
    if (operation_match(snapshot->operations, exchange->head.method, &first) ==
        exchange->admission.operation)
        *path = first;
    else
        http_path_split_again(&first, path);
}

static struct span segment(const struct exchange *exchange, const struct http_path *path,
                           int number)
{
    if (number < 0 || (unsigned)number >= path->count || number >= HTTP_PATH_SEGMENTS)
        return span_make(NULL, 0);
    return safe(exchange, path->segments[number]);
}

static void add_request(const struct exchange *exchange, struct audit_subject *subject)
{
    const struct admission *admission = &exchange->admission;
    const struct client *client = admission->client;

    subject->source_ip = source_ip(exchange);
    subject->user_agent = field_of(exchange, SPAN("user-agent"), MOST_AGENT_BYTES);
    subject->request_id = subject_request_id(exchange);
    subject->trace_id = trace_id(&exchange->head);
    subject->method = subject_method(exchange);
    subject->config_generation = exchange->snapshot->generation;
    if (client == NULL)
        return;
    subject->client = span_of(client->name);
    subject->client_auth = admission->auth;
    subject->credential = span_of(client->credential);
}

static void add_operation(const struct exchange *exchange, const struct http_path *path,
                          const struct audit_body *body, struct audit_subject *subject)
{
    const struct operation *operation = exchange->admission.operation;

    subject->category = category_of(operation);
    if (operation == NULL) {
        subject->action = SPAN("other");
        if (exchange->admission.has_loggable_path)
            subject->path = safe(exchange, exchange->admission.target.path);
        return;
    }
    subject->action = span_of(operation->id);
    subject->route = span_of(operation->path);
    subject->team = segment(exchange, path, operation->team_segment);
    subject->target_user = segment(exchange, path, operation->user_segment);
    if (operation->resource_type != NULL)
        subject->resource_type = span_of(operation->resource_type);
    subject->resource_name = segment(exchange, path, operation->resource_segment);
    if (body != NULL && body->name != NULL)
        subject->resource_name = safe(exchange, span_of(body->name));
}

bool subject_write(const struct exchange *exchange, const char *id,
                   const struct audit_body *body, enum audit_body_verdict verdict,
                   struct text *out)
{
    struct audit_subject subject = {.id = id};
    struct http_path path;

    split_path(exchange, &path);
    add_request(exchange, &subject);
    add_operation(exchange, &path, body, &subject);
    subject.has_unreadable_body =
        verdict != AUDIT_BODY_READ && verdict != AUDIT_BODY_EMPTY;
    if (body != NULL)
        subject.recorded = span_make(body->recorded.bytes, body->recorded.len);
    audit_record_subject(&subject, out);
    return !out->failed;
}
