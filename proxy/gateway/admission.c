#include "gateway/admission.h"

#include "base/secret.h"

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
            span_matches_glob(path->segments[i], SPAN("*psgate_*")))
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

/* RFC 6750 2.1: the scheme in any case, one token behind it. */
static bool read_bearer(struct span value, struct span *token)
{
    const char *space = memchr(value.at, ' ', value.len);
    size_t len = space != NULL ? (size_t)(space - value.at) : value.len;

    if (!span_equal_nocase(span_make(value.at, len), SPAN("Bearer")))
        return false;
    *token = span_trim(span_make(value.at + len, value.len - len));
    return true;
}

/* What the request shows of credentials; spans are empty where there are none. */
struct shown {
    struct span bearer, api_key;
    bool has_authorization, is_bearer, has_api_key;
};

static bool read_credentials(struct admission *admission, const struct http_head *head,
                             struct shown *shown)
{
    unsigned authorizations, api_keys;
    const struct http_field *authorization =
        http_head_find(head, HTTP_FIELD_AUTHORIZATION, &authorizations);
    const struct http_field *api_key =
        http_head_find(head, HTTP_FIELD_X_API_KEY, &api_keys);

    *shown = (struct shown){0};
    if (authorizations > 1 || api_keys > 1)
        return refuse(admission, REASON_CREDENTIAL_REPEATED);
    if (authorization != NULL) {
        shown->has_authorization = true;
        shown->is_bearer =
            read_bearer(http_field_value(head, authorization), &shown->bearer);
    }
    if (api_key != NULL) {
        shown->has_api_key = true;
        shown->api_key = http_field_value(head, api_key);
    }
    return true;
}

/* Who has the token; compared by digest only. */
static bool identify(struct admission *admission, const struct snapshot *snapshot,
                     struct token_hasher *hasher, int64_t now_wall_ms, struct span token,
                     const struct client **client)
{
    unsigned char digest[TOKEN_DIGEST_BYTES];

    if (!token_digest(hasher, token, digest))
        return refuse(admission, REASON_NO_MEMORY);
    *client = client_find(snapshot->clients, digest);
    secret_cleanse(digest, sizeof(digest));
    if (*client == NULL)
        return refuse(admission, token_is_well_formed(hasher, token)
                                     ? REASON_TOKEN_UNKNOWN
                                     : REASON_TOKEN_MALFORMED);
    if (client_is_expired(*client, now_wall_ms))
        return refuse(admission, REASON_TOKEN_EXPIRED);
    return true;
}

/* What is wrong with the connection's identity, if no client goes by it. */
static bool refuse_nobody(struct admission *admission, const struct identity *identity)
{
    if (identity->certificate != NULL) {
        if (identity->certificate->is_unusable)
            admission->detail = "the certificate has too many names, or broken ones";
        return refuse(admission, REASON_CERTIFICATE_UNKNOWN);
    }
    return refuse(admission, identity->has_process ? REASON_PEER_UNKNOWN
                                                   : REASON_CREDENTIAL_MISSING);
}

/*
 * The connection's identity comes last: it names the client of a request that shows no
 * credential, and must not name another than a credential does.
 */
static bool identify_connection(struct admission *admission,
                                const struct snapshot *snapshot,
                                const struct identity *identity, int64_t now_wall_ms)
{
    bool has_certificate = identity->certificate != NULL;
    const struct client *client;

    if (identity->is_refused)
        return refuse(admission, REASON_CERTIFICATE_REFUSED);
    if (has_certificate && now_wall_ms >= identity->valid_until_ms)
        return refuse(admission, REASON_CERTIFICATE_EXPIRED);
    switch (identity_find(identity, snapshot->clients, now_wall_ms, &client)) {
    case IDENTITY_AMBIGUOUS:
        return refuse(admission, has_certificate ? REASON_CERTIFICATE_AMBIGUOUS
                                                 : REASON_PEER_AMBIGUOUS);
    case IDENTITY_NONE:
        return admission->client != NULL || refuse_nobody(admission, identity);
    case IDENTITY_FOUND:
        break;
    }
    if (admission->client != NULL)
        return strcmp(client->name, admission->client->name) == 0 ||
               refuse(admission, REASON_CREDENTIALS_DIFFER);
    if (client_is_expired(client, now_wall_ms))
        return refuse(admission, REASON_CLIENT_EXPIRED);
    admission->client = client;
    admission->auth = has_certificate ? "certificate" : "peer";
    return true;
}

/*
 * The credential fields: which of them counts, and that two must agree. True without a
 * client: there is none.
 */
static bool identify_fields(struct admission *admission, const struct http_head *head,
                            const struct snapshot *snapshot, struct token_hasher *hasher,
                            int64_t now_wall_ms)
{
    const struct client *other = NULL;
    struct shown shown;
    bool bearer_counts;

    if (!read_credentials(admission, head, &shown))
        return false;
    bearer_counts =
        shown.is_bearer && (!shown.has_api_key || token_has_prefix(shown.bearer));
    if (bearer_counts) {
        admission->token = shown.bearer;
        admission->auth = "bearer";
        if (!identify(admission, snapshot, hasher, now_wall_ms, shown.bearer,
                      &admission->client))
            return false;
    }
    if (shown.has_api_key) {
        admission->token = shown.api_key;
        if (!identify(admission, snapshot, hasher, now_wall_ms, shown.api_key, &other))
            return false;
        if (bearer_counts && strcmp(other->name, admission->client->name) != 0)
            return refuse(admission, REASON_CREDENTIALS_DIFFER);
        if (!bearer_counts) {
            admission->client = other;
            admission->auth = "api_key";
        }
        return true;
    }
    if (bearer_counts || !shown.has_authorization)
        return true;
    return refuse(admission, REASON_CREDENTIAL_MALFORMED);
}

/* INTERFACES, "On the wire": the order of credentials. */
static bool authenticate(struct admission *admission, const struct http_head *head,
                         const struct identity *identity, const struct snapshot *snapshot,
                         struct token_hasher *hasher, int64_t now_wall_ms)
{
    if (!identify_fields(admission, head, snapshot, hasher, now_wall_ms))
        return false;
    if (identity->vouched == NULL || admission->client != NULL)
        return identify_connection(admission, snapshot, identity, now_wall_ms);
    admission->client = identity->vouched;
    admission->auth = identity->vouched_auth;
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
                     struct token_hasher *hasher, int64_t now_wall_ms, char *scratch)
{
    struct http_path path;

    if (!check_request(admission, head, snapshot, scratch, &path))
        return false;
    if (admission->needs_no_client)
        return true;
    if (!authenticate(admission, head, identity, snapshot, hasher, now_wall_ms)) {
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
