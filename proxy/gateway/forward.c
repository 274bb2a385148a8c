#include "gateway/forward.h"

#include "cache/validators.h"

/* Field lines that go on unchanged and lie together are copied together. */
struct copying {
    const struct http_head *head;
    struct text *out;
    uint32_t run, run_len; /* the lines not yet copied */
};

static void copy_run(struct copying *copying)
{
    text_add(copying->out,
             span_make(copying->head->bytes + copying->run, copying->run_len));
    copying->run_len = 0;
}

static void keep_line(struct copying *copying, const struct http_field *field)
{
    if (copying->run_len > 0 && copying->run + copying->run_len != field->line)
        copy_run(copying);
    if (copying->run_len == 0)
        copying->run = field->line;
    copying->run_len += field->line_len;
}

/* "NAME: " with the name as it was spelled; the caller adds the value. */
static void start_line(struct copying *copying, const struct http_field *field)
{
    copy_run(copying);
    text_add(copying->out, http_field_name(copying->head, field));
    text_add(copying->out, SPAN(": "));
}

static void add_line(struct copying *copying, struct span line)
{
    copy_run(copying);
    text_add(copying->out, line);
}

/* The request target */

/* Whether value, percent-decoded, is the token; a token may be long, so nothing is
 * copied.
 */
static bool is_token(struct span value, struct span token)
{
    size_t i = 0;

    if (token.len == 0 || value.len < token.len || value.len > token.len * 3)
        return false;
    for (size_t used = 0; i < value.len; used++) {
        size_t step = value.at[i] == '%' && value.len - i >= 3 ? 3 : 1;
        char decoded[3];

        if (http_percent_decode(span_make(value.at + i, step), decoded) != 1)
            step = 1; /* a '%' that stands for itself */
        if (used == token.len || decoded[0] != token.at[used])
            return false;
        i += step;
        if (i == value.len)
            return used + 1 == token.len;
    }
    return false;
}

/* Copies one NAME=VALUE of a query; the value is left out when it is the caller's token.
 */
static void add_query_pair(struct text *out, struct span pair,
                           const struct admission *admission)
{
    const char *equals = memchr(pair.at, '=', pair.len);
    size_t name_len = equals != NULL ? (size_t)(equals - pair.at) + 1 : 0;
    struct span value = span_make(pair.at + name_len, pair.len - name_len);

    if (is_token(value, admission->token) || is_token(value, admission->jwt))
        value.len = 0;
    text_add(out, span_make(pair.at, name_len));
    text_add(out, value);
}

static void add_query(struct text *out, const struct admission *admission)
{
    struct span query = admission->target.query;

    text_add_byte(out, '?');
    if (admission->token.len == 0 && admission->jwt.len == 0) {
        text_add(out, query);
        return;
    }
    for (;;) {
        size_t len = 0;

        while (len < query.len && query.at[len] != '&' && query.at[len] != ';')
            len++;
        add_query_pair(out, span_make(query.at, len), admission);
        if (len == query.len)
            return;
        text_add_byte(out, query.at[len]);
        query = span_make(query.at + len + 1, query.len - len - 1);
    }
}

void forward_add_target(const struct admission *admission, struct text *out)
{
    text_add(out, admission->target.path);
    if (admission->target.query.at != NULL)
        add_query(out, admission);
}

static void add_request_line(struct text *out, const struct http_head *head,
                             const struct admission *admission)
{
    text_add(out, head->method);
    text_add_byte(out, ' ');
    forward_add_target(admission, out);
    text_add(out, SPAN(" HTTP/1.1\r\n"));
}

/* Request fields */

struct request_copying {
    struct copying copying;
    const struct admission *admission;
    const struct forward_options *options;
    enum http_field_id key_field; /* whose place the key takes */
    bool said_upgrade;
    size_t *key_at;
};

static void add_key(struct request_copying *request, struct span name)
{
    struct text *out = request->copying.out;

    copy_run(&request->copying);
    text_add(out, name);
    text_add(out, SPAN(": Bearer "));
    *request->key_at = out->len;
    text_add(out, SPAN("\r\n"));
}

static void add_length(struct request_copying *request, const struct http_field *field)
{
    start_line(&request->copying, field);
    text_add_format(request->copying.out, "%llu\r\n",
                    (unsigned long long)request->admission->length);
}

static void add_host(struct request_copying *request, const struct http_field *field)
{
    start_line(&request->copying, field);
    text_add(request->copying.out, span_of(request->options->authority));
    text_add(request->copying.out, SPAN("\r\n"));
}

static void add_upgrade(struct request_copying *request)
{
    if (!request->options->is_upgrade || request->said_upgrade)
        return;
    request->said_upgrade = true;
    add_line(&request->copying, SPAN("Connection: Upgrade\r\n"));
}

static void add_request_field(struct request_copying *request,
                              const struct http_field *field)
{
    const struct http_head *head = request->copying.head;

    switch (field->id) {
    case HTTP_FIELD_HOST:
        add_host(request, field);
        return;
    case HTTP_FIELD_AUTHORIZATION:
        add_key(request, http_field_name(head, field));
        return;
    case HTTP_FIELD_X_API_KEY:
        if (request->key_field == HTTP_FIELD_X_API_KEY)
            add_key(request, SPAN("Authorization"));
        return;
    case HTTP_FIELD_CONTENT_LENGTH:
        add_length(request, field);
        return;
    case HTTP_FIELD_TRANSFER_ENCODING:
        start_line(&request->copying, field);
        text_add(request->copying.out, SPAN("chunked\r\n"));
        return;
    case HTTP_FIELD_CONNECTION:
        add_upgrade(request);
        return;
    case HTTP_FIELD_UPGRADE:
        if (request->options->is_upgrade)
            keep_line(&request->copying, field);
        return;
    case HTTP_FIELD_EXPECT:
        if (head->minor == 0 || request->options->drops_expect)
            return; /* HTTP/1.0 has no interim answers (RFC 9110 10.1.1) */
        break;
    default:
        break;
    }
    if (!field->is_hop_by_hop && !(request->options->drops_conditions &&
                                   cache_is_condition(http_field_name(head, field))))
        keep_line(&request->copying, field);
}

bool forward_request_head(const struct http_head *head, const struct admission *admission,
                          const struct forward_options *options, struct text *out,
                          size_t *key_at)
{
    bool has_authorization = http_head_find(head, HTTP_FIELD_AUTHORIZATION, NULL) != NULL;
    bool has_api_key = http_head_find(head, HTTP_FIELD_X_API_KEY, NULL) != NULL;
    struct request_copying request = {
        .copying = {.head = head, .out = out},
        .admission = admission,
        .options = options,
        .key_field = has_authorization ? HTTP_FIELD_AUTHORIZATION
                     : has_api_key     ? HTTP_FIELD_X_API_KEY
                                       : HTTP_FIELD_OTHER,
        .key_at = key_at,
    };

    add_request_line(out, head, admission);
    if (http_head_find(head, HTTP_FIELD_HOST, NULL) == NULL)
        text_add_format(out, "Host: %s\r\n", options->authority);
    for (unsigned i = 0; i < head->field_count; i++)
        add_request_field(&request, &head->fields[i]);
    copy_run(&request.copying);
    if (request.key_field == HTTP_FIELD_OTHER)
        add_key(&request, SPAN("Authorization"));
    text_add(out, options->conditions);
    text_add(out, head->minor == 0 ? SPAN("Via: 1.0 psgate\r\n\r\n")
                                   : SPAN("Via: 1.1 psgate\r\n\r\n"));
    return !out->failed;
}

bool forward_fetch_head(const struct admission *admission,
                        const struct forward_options *options, struct text *out,
                        size_t *key_at)
{
    text_add(out, SPAN("GET "));
    forward_add_target(admission, out);
    text_add_format(out,
                    " HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n"
                    "Accept-Encoding: identity\r\nAuthorization: Bearer ",
                    options->authority);
    *key_at = out->len;
    text_add(out, SPAN("\r\n"));
    text_add(out, options->conditions);
    text_add(out, SPAN("Via: 1.1 psgate\r\n\r\n"));
    return !out->failed;
}

bool forward_session_head(const char *authority, struct text *out, size_t *key_at)
{
    text_add_format(out,
                    "GET /v1/auth/session HTTP/1.1\r\nHost: %s\r\n"
                    "Accept: application/json\r\nAccept-Encoding: identity\r\n"
                    "Authorization: Bearer ",
                    authority);
    *key_at = out->len;
    text_add(out, SPAN("\r\nVia: 1.1 psgate\r\n\r\n"));
    return !out->failed;
}

bool forward_is_websocket(const struct http_head *head, enum http_framing framing)
{
    unsigned count;
    const struct http_field *upgrade = http_head_find(head, HTTP_FIELD_UPGRADE, &count);

    return count == 1 && head->wants_upgrade && head->minor == 1 &&
           framing == HTTP_FRAMING_NONE && span_equal(head->method, SPAN("GET")) &&
           span_equal_nocase(http_field_value(head, upgrade), SPAN("websocket"));
}

/* Answers */

static void add_response_field(struct copying *copying, const struct http_field *field,
                               enum forward_body body, enum forward_connection connection)
{
    switch (field->id) {
    case HTTP_FIELD_TRANSFER_ENCODING:
        if (body == FORWARD_CHUNKED) {
            start_line(copying, field);
            text_add(copying->out, SPAN("chunked\r\n"));
        }
        return;
    case HTTP_FIELD_CONTENT_LENGTH:
        /* RFC 9110 8.6: none in 1xx and 204. */
        if (copying->head->status >= 200 && copying->head->status != 204)
            keep_line(copying, field);
        return;
    case HTTP_FIELD_UPGRADE:
        if (connection == FORWARD_SAY_UPGRADE)
            keep_line(copying, field);
        return;
    default:
        if (!field->is_hop_by_hop)
            keep_line(copying, field);
    }
}

struct span forward_connection_line(enum forward_connection connection)
{
    switch (connection) {
    case FORWARD_SAY_KEEP_ALIVE:
        return SPAN("Connection: keep-alive\r\n\r\n");
    case FORWARD_SAY_CLOSE:
        return SPAN("Connection: close\r\n\r\n");
    case FORWARD_SAY_UPGRADE:
        return SPAN("Connection: Upgrade\r\n\r\n");
    case FORWARD_KEEP:
        break;
    }
    return SPAN("\r\n");
}

static void add_status_line(struct text *out, const struct http_head *head)
{
    char status[] = "HTTP/1.1 000 ";

    status[9] = (char)('0' + head->status / 100);
    status[10] = (char)('0' + head->status / 10 % 10);
    status[11] = (char)('0' + head->status % 10);
    text_add(out, span_make(status, sizeof(status) - 1));
    text_add(out, head->reason);
    text_add(out, SPAN("\r\n"));
}

bool forward_response_head(const struct http_head *head, enum forward_body body,
                           enum forward_connection connection, struct span more_lines,
                           struct text *out)
{
    struct copying copying = {.head = head, .out = out};

    add_status_line(out, head);
    for (unsigned i = 0; i < head->field_count; i++)
        add_response_field(&copying, &head->fields[i], body, connection);
    copy_run(&copying);
    if (body == FORWARD_CHUNKED &&
        http_head_find(head, HTTP_FIELD_TRANSFER_ENCODING, NULL) == NULL)
        text_add(out, SPAN("Transfer-Encoding: chunked\r\n"));
    text_add(out, more_lines);
    text_add(out, forward_connection_line(connection));
    return !out->failed;
}

bool forward_has_age(const struct http_head *head)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        if (span_equal_nocase(http_field_name(head, &head->fields[i]), SPAN("age")))
            return true;
    }
    return false;
}

static bool is_named_by_connection(const struct http_head *head, struct span name)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span list = http_field_value(head, &head->fields[i]);
        struct span option;

        if (head->fields[i].id != HTTP_FIELD_CONNECTION)
            continue;
        while (http_list_next(&list, &option)) {
            if (span_equal_nocase(option, name))
                return true;
        }
    }
    return false;
}

bool forward_trailers(const struct http_head *trailers, const struct http_head *head,
                      struct text *out)
{
    unsigned dropped = HTTP_TRAIT_HOP_BY_HOP | HTTP_TRAIT_FRAMING;

    if (head != NULL)
        dropped |= HTTP_TRAIT_CREDENTIAL | HTTP_TRAIT_OVERRIDE;
    for (unsigned i = 0; i < trailers->field_count; i++) {
        const struct http_field *field = &trailers->fields[i];

        if (!field->is_hop_by_hop &&
            (http_field_traits((enum http_field_id)field->id) & dropped) == 0 &&
            (head == NULL ||
             !is_named_by_connection(head, http_field_name(trailers, field))))
            text_add(out, span_make(trailers->bytes + field->line, field->line_len));
    }
    return !out->failed;
}
