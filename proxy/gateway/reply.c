#include "gateway/reply.h"

#include "http/date.h"

static const char *connection_line(enum forward_connection connection)
{
    switch (connection) {
    case FORWARD_SAY_CLOSE:
        return "Connection: close\r\n";
    case FORWARD_SAY_KEEP_ALIVE:
        return "Connection: keep-alive\r\n";
    case FORWARD_KEEP:
    case FORWARD_SAY_UPGRADE:
        break;
    }
    return "";
}

/* Head and body; fields are whole lines of the answer's own. */
static bool add_reply(const struct reply_options *options, unsigned status,
                      const char *fields, const struct text *body, struct text *out)
{
    char date[HTTP_DATE_BYTES];

    http_date_format(options->now_wall_ms, date);
    text_add_format(out, "HTTP/1.1 %u %s\r\n", status, reason_status_text(status));
    text_add_format(
        out,
        "Date: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
        "Cache-Control: no-store\r\n%s%s%s\r\n",
        date, body->len, fields, options->fields != NULL ? options->fields : "",
        connection_line(options->connection));
    if (!options->is_head_method)
        text_add(out, span_make(body->bytes, body->len));
    return !body->failed && !out->failed;
}

bool reply_error(const struct reply_options *options, enum reason reason,
                 const char *detail, struct text *out)
{
    const struct reason_row *row = reason_row(reason);
    struct text message = {0}, body = {0}, fields = {0};
    bool is_made;

    text_add_format(&message, "psgate: %s%s%s%s: %s", row->message,
                    detail != NULL ? " (" : "", detail != NULL ? detail : "",
                    detail != NULL ? ")" : "", row->advice);
    text_add_byte(&body, '{');
    text_add_member(&body, "code", span_of(row->code));
    text_add_member(&body, "message", span_make(message.bytes, message.len));
    text_add_byte(&body, '}');
    text_add_format(&fields, "Proxy-Status: psgate; error=%s\r\n%s", row->proxy_error,
                    options->reason_fields != NULL ? options->reason_fields
                                                   : row->fields);
    is_made = !message.failed && !fields.failed &&
              add_reply(options, row->status, fields.bytes, &body, out);
    text_fini(&message);
    text_fini(&body);
    text_fini(&fields);
    return is_made;
}

bool reply_health(const struct reply_options *options, bool is_ready, const char *cluster,
                  uint16_t *status, struct text *out)
{
    struct text body = {0};
    bool is_made;

    *status = is_ready ? 200 : 503;
    text_add_byte(&body, '{');
    text_add_member(&body, "status", is_ready ? SPAN("ok") : SPAN("no"));
    if (cluster != NULL)
        text_add_member(&body, "cluster", span_of(cluster));
    text_add_byte(&body, '}');
    is_made = add_reply(options, *status, "", &body, out);
    text_fini(&body);
    return is_made;
}

static void add_list(struct text *body, const char *key, const char *const *list,
                     size_t count)
{
    text_add_format(body, ",\"%s\":[", key);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text_add_byte(body, ',');
        text_add_json_string(body, span_of(list[i]));
    }
    text_add_byte(body, ']');
}

bool reply_whoami(const struct reply_options *options, const struct client *client,
                  struct text *out)
{
    struct text body = {0};
    bool is_made;

    text_add_byte(&body, '{');
    text_add_member(&body, "client", span_of(client->name));
    add_list(&body, "allow", client->allow, client->allow_count);
    add_list(&body, "deny", client->deny, client->deny_count);
    add_list(&body, "teams", client->teams, client->team_count);
    text_add_member(&body, "credential", span_of(client->credential));
    if (client->expires != NULL)
        text_add_member(&body, "expires", span_of(client->expires));
    else
        text_add(&body, SPAN(",\"expires\":null"));
    text_add_byte(&body, '}');
    is_made = add_reply(options, 200, "", &body, out);
    text_fini(&body);
    return is_made;
}
