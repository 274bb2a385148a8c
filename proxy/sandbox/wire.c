#include "sandbox/wire.h"

#include <stdio.h>

#include <event2/util.h>

#include "base/clock.h"

static enum sandbox_method method_of(htp_method method)
{
    switch (method) {
    case htp_method_GET:
        return SANDBOX_GET;
    case htp_method_HEAD:
        return SANDBOX_HEAD;
    case htp_method_POST:
        return SANDBOX_POST;
    case htp_method_PUT:
        return SANDBOX_PUT;
    case htp_method_PATCH:
        return SANDBOX_PATCH;
    case htp_method_DELETE:
        return SANDBOX_DELETE;
    default:
        return SANDBOX_OTHER;
    }
}

static void read_field(const evhtp_header_t *field, const struct sandbox_keys *keys,
                       struct sandbox_request *asked)
{
    struct span name, value;

    if (field->key == NULL || field->val == NULL) /* libevhtp leaves such ones behind */
        return;
    name = span_make(field->key, field->klen);
    value = span_trim(span_make(field->val, field->vlen));
    if (span_equal_nocase(name, SPAN("Authorization")))
        asked->task.is_authorized |= sandbox_keys_has(keys, sandbox_keys_bearer(value));
    else if (span_equal_nocase(name, SPAN("X-Api-Key")))
        asked->task.is_authorized |= sandbox_keys_has(keys, value);
    else if (span_equal_nocase(name, SPAN("If-None-Match")))
        asked->if_none_match = value;
}

void sandbox_wire_read(const evhtp_request_t *request, const struct sandbox_body *body,
                       const struct sandbox_keys *keys, struct sandbox_request *asked)
{
    const evhtp_header_t *field;

    *asked = (struct sandbox_request){.method = method_of(request->method)};
    asked->task.body = body;
    asked->task.now_ms = clock_wall_ms();
    if (request->uri != NULL && request->uri->path != NULL)
        asked->path = span_of(request->uri->path->full);
    TAILQ_FOREACH(field, request->headers_in, next)
    read_field(field, keys, asked);
}

/* Both are copied. */
static void add_field(evhtp_request_t *request, const char *name, const char *value)
{
    evhtp_headers_add_header(request->headers_out, evhtp_header_new(name, value, 1, 1));
}

static void add_fields(evhtp_request_t *request, const struct sandbox_answer *answer)
{
    char date[64];

    (void)evutil_date_rfc1123(date, sizeof(date), NULL);
    add_field(request, "Date", date);
    add_field(request, "Content-Type", "application/json; charset=utf-8");
    if (answer->etag[0] != '\0')
        add_field(request, "ETag", answer->etag);
    if (answer->allow[0] != '\0')
        add_field(request, "Allow", answer->allow);
    if (answer->status == 401)
        add_field(request, "WWW-Authenticate", "Bearer realm=\"sandbox\"");
}

void sandbox_wire_send(evhtp_request_t *request, const struct sandbox_answer *answer)
{
    char length[32];

    add_fields(request, answer);
    if (answer->status == 204 || answer->status == 304) {
        /* Keeps libevhtp from adding "Content-Length: 0" (RFC 9110 8.6); it does no more.
         */
        evhtp_request_enable_flag(request, EVHTP_REQ_FLAG_CHUNKED);
    } else {
        (void)snprintf(length, sizeof(length), "%zu", answer->body.len);
        add_field(request, "Content-Length", length);
        if (request->method != htp_method_HEAD)
            (void)evbuffer_add(request->buffer_out, answer->body.bytes, answer->body.len);
    }
    evhtp_send_reply(request, (evhtp_res)answer->status);
}
