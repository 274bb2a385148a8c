#include "gateway/admission.h"

#include "access/policy.h"
#include "gateway/identify.h"

static bool refuse(struct admission *admission, enum reason reason)
{
    admission->reason = reason;
    return false;
}

static bool refuse_fault(struct admission *admission, enum http_fault fault)
{
    admission->detail = http_fault_text(fault);
    return refuse(admission, reason_of_fault(fault));
}

/* TRACE would echo the injected key back; CONNECT asks for a tunnel to anywhere. */
static bool check_method(struct admission *admission, const struct http_head *head)
{
    if (span_equal_nocase(head->method, SPAN("TRACE")) ||
        span_equal_nocase(head->method, SPAN("CONNECT")))
        return refuse(admission, REASON_METHOD_REFUSED);
    return true;
}

static bool check_form(struct admission *admission, const struct http_head *head)
{
    enum http_fault fault;

    if (!http_target_split(head->target, head->method, &admission->target, &fault) ||
        !http_check_host(head, &admission->target, &fault) ||
        !http_request_framing(head, &admission->framing, &admission->length, &fault))
        return refuse_fault(admission, fault);
    if (http_head_has(head, HTTP_FIELD_OVERRIDE))
        return refuse_fault(admission, HTTP_FAULT_OVERRIDE_FIELD);
    return true;
}

/* Only what was looked at from end to end may be logged. */
static bool is_loggable(const struct http_path *path)
{
    for (unsigned i = 0; i < path->count; i++) {
        if (i == HTTP_PATH_SEGMENTS ||
            span_matches_glob(path->segments[i], SPAN("*psgate_*")) ||
            jwt_stands_in(path->segments[i]))
            return false;
    }
    return true;
}

static bool check_path(struct admission *admission, const struct snapshot *snapshot,
                       char *scratch, struct http_path *path)
{
    bool forward = snapshot->config->upstream.encoded_slashes == CONFIG_SLASHES_FORWARD;
    enum http_fault fault;

    if (admission->target.is_asterisk) {
        *path = (struct http_path){.count = 0};
        return true;
    }
    if (!http_path_split(admission->target.path, forward, scratch, path, &fault))
        return refuse_fault(admission, fault);
    admission->has_loggable_path = is_loggable(path);
    return true;
}

static bool judge_path(struct admission *admission, const struct snapshot *snapshot,
                       struct span method, const struct http_path *path,
                       const struct operation **operation)
{
    *operation = admission->target.is_asterisk
                     ? NULL
                     : operation_match(snapshot->operations, method, path);
    switch (client_judge(snapshot->clients, admission->client, *operation, path)) {
    case CLIENT_MAY:
        return true;
    case CLIENT_MAY_NOT_DO:
        admission->detail = *operation != NULL ? (*operation)->id : "other";
        return refuse(admission, REASON_OPERATION_FORBIDDEN);
    case CLIENT_MAY_NOT_TEAM:
        break;
    }
    return refuse(admission, REASON_TEAM_FORBIDDEN);
}

/*
 * With encoded slashes forwarded, upstream may read a path in two ways; both must be
 * allowed. What is not plain is never taken for an operation that is treated lightly.
 */
static bool authorize(struct admission *admission, const struct snapshot *snapshot,
                      struct span method, const struct http_path *path)
{
    const struct operation *otherwise;
    struct http_path again;

    if (!judge_path(admission, snapshot, method, path, &admission->operation))
        return false;
    if (!path->has_encoded_slash) {
        admission->is_exact =
            admission->operation != NULL &&
            operation_is_exact(admission->operation, admission->target.path);
        return true;
    }
    http_path_split_again(path, &again);
    if (!judge_path(admission, snapshot, method, &again, &otherwise))
        return false;
    if (otherwise != NULL && (admission->operation == NULL || otherwise->is_audited))
        admission->operation = otherwise;
    return true;
}

/* What a stranger tried: recorded if it is audited, in whichever way it may be read. */
static void note_operation(struct admission *admission, const struct snapshot *snapshot,
                           struct span method, const struct http_path *path)
{
    const struct operation *otherwise;
    struct http_path again;

    if (admission->is_own || admission->target.is_asterisk)
        return;
    admission->operation = operation_match(snapshot->operations, method, path);
    if (!path->has_encoded_slash)
        return;
    http_path_split_again(path, &again);
    otherwise = operation_match(snapshot->operations, method, &again);
    if (otherwise != NULL && (admission->operation == NULL || otherwise->is_audited))
        admission->operation = otherwise;
}

/* Whether the path is the gateway's own, in any spelling. */
static void find_own(struct admission *admission, const struct http_path *path)
{
    struct http_path again;

    if (path->has_encoded_slash) {
        http_path_split_again(path, &again);
        path = &again;
    }
    if (path->count == 0 || !span_equal_nocase(path->segments[0], SPAN(".psgate")))
        return;
    admission->is_own = true;
    if (path->count == 2)
        admission->own_name = path->segments[1];
    admission->needs_no_client =
        span_equal_nocase(admission->own_name, SPAN("healthz")) ||
        span_equal_nocase(admission->own_name, SPAN("readyz"));
}

static bool check_own(struct admission *admission, const struct http_head *head)
{
    if (!admission->needs_no_client &&
        !span_equal_nocase(admission->own_name, SPAN("whoami")))
        return refuse(admission, REASON_NO_SUCH_ENDPOINT);
    if (!span_equal(head->method, SPAN("GET")) && !span_equal(head->method, SPAN("HEAD")))
        return refuse(admission, REASON_ENDPOINT_METHOD);
    return true;
}

/* All that is judged before anybody asks who the client is. */
static bool check_request(struct admission *admission, const struct http_head *head,
                          const struct snapshot *snapshot, char *scratch,
                          struct http_path *path)
{
    *admission = (struct admission){.own_name = SPAN("")};
    if (!check_method(admission, head) || !check_form(admission, head) ||
        !check_path(admission, snapshot, scratch, path))
        return false;
    find_own(admission, path);
    return !admission->is_own || check_own(admission, head);
}

bool admission_judge(struct admission *admission, const struct http_head *head,
                     const struct identity *identity, const struct snapshot *snapshot,
                     struct token_hasher *hasher, struct jwt_memo *memo,
                     int64_t now_wall_ms, char *scratch)
{
    struct http_path path;

    if (!check_request(admission, head, snapshot, scratch, &path))
        return false;
    if (admission->needs_no_client)
        return true;
    if (!identify(admission, head, identity, snapshot, hasher, memo, now_wall_ms)) {
        note_operation(admission, snapshot, head->method, &path);
        return false;
    }
    return admission->is_own || authorize(admission, snapshot, head->method, &path);
}

bool admission_judge_as(struct admission *admission, const struct http_head *head,
                        const struct snapshot *snapshot, const struct client *client,
                        int64_t now_wall_ms, char *scratch)
{
    struct http_path path;

    if (!check_request(admission, head, snapshot, scratch, &path))
        return false;
    if (admission->needs_no_client)
        return true;
    admission->client = client;
    if (client_is_expired(client, now_wall_ms)) {
        note_operation(admission, snapshot, head->method, &path);
        return refuse(admission, REASON_TOKEN_EXPIRED);
    }
    return admission->is_own || authorize(admission, snapshot, head->method, &path);
}
