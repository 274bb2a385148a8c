#include "admin/answer.h"

#include <stdio.h>
#include <stdlib.h>

#include <event2/util.h>

#include "base/json_text.h"

/* No script, style or picture but our own files, and no frame around the page. */
#define POLICY                                                                           \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "          \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#define OUT_OF_MEMORY "{\"status\":500,\"message\":\"psgate: out of memory\"}\n"

static const char *const fields[][2] = {
    {"Content-Security-Policy", POLICY},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
};

enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

void admin_answer_fini(struct admin_answer *answer)
{
    text_fini(&answer->body);
    *answer = (struct admin_answer){0};
}

void admin_answer_json(struct admin_answer *answer, unsigned status, json_t *value)
{
    char *dump = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;

    if (json_text_was_starved()) { /* parts of it may be missing */
        free(dump);
        dump = NULL;
    }
    json_decref(value);
    answer->status = dump != NULL ? status : 500;
    answer->type = "application/json; charset=utf-8";
    if (dump != NULL) {
        text_add(&answer->body, span_of(dump));
        text_add_byte(&answer->body, '\n');
    } else {
        answer->fixed = SPAN(OUT_OF_MEMORY);
    }
    free(dump);
}

static void add_problem(struct text *out, unsigned status, const char *message)
{
    text_add_format(out, "{\"status\":%u,\"message\":", status);
    text_add_json_string(out, span_of(message));
    text_add(out, SPAN("}\n"));
}

void admin_answer_problem(struct admin_answer *answer, unsigned status,
                          const char *message)
{
    struct text whole = {0};

    text_add_format(&whole, "psgate: %s", message);
    answer->status = status;
    answer->type = "application/json; charset=utf-8";
    text_clear(&answer->body);
    if (!whole.failed)
        add_problem(&answer->body, status, whole.bytes);
    text_fini(&whole);
}

/* Both are copied. */
static void add_field(evhtp_request_t *request, const char *name, const char *value)
{
    evhtp_headers_add_header(request->headers_out, evhtp_header_new(name, value, 1, 1));
}

static void add_fields(evhtp_request_t *request, const struct admin_answer *answer)
{
    char date[64];

    (void)evutil_date_rfc1123(date, sizeof(date), NULL);
    add_field(request, "Date", date);
    for (size_t i = 0; i < FIELDS; i++)
        add_field(request, fields[i][0], fields[i][1]);
    if (answer->type != NULL)
        add_field(request, "Content-Type", answer->type);
    if (answer->etag != NULL)
        add_field(request, "ETag", answer->etag);
    add_field(request, "Cache-Control", answer->etag != NULL ? "no-cache" : "no-store");
    if (answer->allow != NULL)
        add_field(request, "Allow", answer->allow);
    if (answer->status == 401)
        add_field(request, "WWW-Authenticate", "Bearer realm=\"psgate admin\"");
}

/* What cannot be given whole is not given: libevhtp's parser is still at work, and must
 * not be ended here. */
static const struct admin_answer starved_answer = {
    .status = 500,
    .type = "application/json; charset=utf-8",
    .fixed = {OUT_OF_MEMORY, sizeof(OUT_OF_MEMORY) - 1},
};

void admin_answer_send(evhtp_request_t *request, const struct admin_answer *answer,
                       bool is_head)
{
    char length[32];
    struct span body;

    if (answer->body.failed)
        answer = &starved_answer;
    body = answer->fixed.at != NULL ? answer->fixed
                                    : span_make(answer->body.bytes, answer->body.len);
    if (!is_head && answer->status != 304 &&
        evbuffer_add(request->buffer_out, body.at, body.len) != 0) {
        answer = &starved_answer;
        body = answer->fixed;
        if (evbuffer_add(request->buffer_out, body.at, body.len) != 0)
            body = SPAN("");
    }
    add_fields(request, answer);
    if (answer->status == 304) {
        /* Keeps libevhtp from adding "Content-Length: 0" (RFC 9110 8.6). */
        evhtp_request_enable_flag(request, EVHTP_REQ_FLAG_CHUNKED);
    } else {
        (void)snprintf(length, sizeof(length), "%zu", body.len);
        add_field(request, "Content-Length", length);
    }
    evhtp_send_reply(request, (evhtp_res)answer->status);
}

static const char *status_text(unsigned status)
{
    switch (status) {
    case 403:
        return "Forbidden";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 421:
        return "Misdirected Request";
    case 431:
        return "Request Header Fields Too Large";
    default:
        return "Bad Request";
    }
}

void admin_answer_format_problem(struct text *out, unsigned status, const char *message)
{
    struct admin_answer answer = {0};

    admin_answer_problem(&answer, status, message);
    text_add_format(out, "HTTP/1.1 %u %s\r\n", status, status_text(status));
    for (size_t i = 0; i < FIELDS; i++)
        text_add_format(out, "%s: %s\r\n", fields[i][0], fields[i][1]);
    if (status == 405)
        text_add(out, SPAN("Allow: GET, HEAD, POST\r\n"));
    text_add_format(out,
                    "Cache-Control: no-store\r\nContent-Type: %s\r\n"
                    "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                    answer.type, answer.body.len);
    text_add(out, span_make(answer.body.bytes, answer.body.len));
    if (answer.body.failed)
        out->failed = true;
    admin_answer_fini(&answer);
}
