#include "admin/guard.h"

#include <string.h>

#include "config/config.h"
#include "http/body.h"
#include "http/target.h"

/* libevhtp closes without an answer where a target or a name or value is over 8 kB. */
enum { MOST_TARGET_BYTES = 4096, MOST_FIELD_BYTES = 8000 };

static bool refuse(struct admin_refusal *refusal, unsigned status, const char *message)
{
    *refusal = (struct admin_refusal){.status = status, .message = message};
    return false;
}

static struct span field_value(const struct http_head *head, struct span name,
                               unsigned *count)
{
    struct span value = {NULL, 0};

    *count = 0;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (span_equal_nocase(http_field_name(head, &head->fields[i]), name) &&
            (*count)++ == 0)
            value = http_field_value(head, &head->fields[i]);
    }
    return value;
}

static bool check_method(const struct http_head *head, struct admin_request *request,
                         struct admin_refusal *refusal)
{
    request->is_head = span_equal(head->method, SPAN("HEAD"));
    request->is_post = span_equal(head->method, SPAN("POST"));
    if (request->is_head || request->is_post || span_equal(head->method, SPAN("GET")))
        return true;
    return refuse(refusal, 405, "the admin endpoint knows GET, HEAD and POST alone");
}

static bool check_sizes(const struct http_head *head, struct admin_refusal *refusal)
{
    if (head->target.len > MOST_TARGET_BYTES)
        return refuse(refusal, 414, "the request target is too long");
    for (unsigned i = 0; i < head->field_count; i++) {
        if (head->fields[i].line_len > MOST_FIELD_BYTES)
            return refuse(refusal, 431, "a field of the request is too long");
    }
    return true;
}

static bool check_body(const struct http_head *head, struct admin_refusal *refusal)
{
    enum http_framing framing;
    enum http_fault fault;
    uint64_t length = 0;

    if (!http_request_framing(head, &framing, &length, &fault))
        return refuse(refusal, 400, "the request's framing contradicts itself");
    if (framing == HTTP_FRAMING_CHUNKED || length > 0)
        return refuse(refusal, 413, "the admin endpoint takes no body: send none");
    if (http_head_has(head, HTTP_FIELD_UPGRADE) || http_head_has(head, HTTP_FIELD_EXPECT))
        return refuse(refusal, 400, "send neither Upgrade nor Expect");
    return true;
}

/* The authority's host, without its port. */
static struct span host_of(struct span authority)
{
    const char *colon;

    if (authority.len > 0 && authority.at[0] == '[') {
        const char *end = memchr(authority.at, ']', authority.len);

        return span_make(authority.at,
                         end != NULL ? (size_t)(end - authority.at) + 1 : authority.len);
    }
    colon = memchr(authority.at, ':', authority.len);
    return span_make(authority.at,
                     colon != NULL ? (size_t)(colon - authority.at) : authority.len);
}

/* An address of this machine's own: no DNS is asked about it. */
static bool is_loopback(struct span host)
{
    char text[64];

    if (host.len > 2 && host.at[0] == '[')
        host = span_make(host.at + 1, host.len - 2);
    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.at, host.len);
    text[host.len] = '\0';
    return config_is_loopback(text);
}

/*
 * A name that a stranger's DNS cannot answer for. The port may be that of a tunnel, and
 * so may the browser behind a unix socket be (ssh -L); but there any name without a dot,
 * which is nobody's domain, will do for programs that must say one.
 */
static bool is_local_host(struct span authority, enum admin_door door)
{
    struct span host = host_of(authority);

    if (span_equal_nocase(host, SPAN("localhost")) || is_loopback(host))
        return true;
    return door == ADMIN_UNIX && memchr(host.at, '.', host.len) == NULL &&
           host.at[0] != '[';
}

/* Only a program that is no browser can leave the field out (HTTP/1.0). */
static bool check_host(const struct http_head *head, enum admin_door door,
                       struct admin_refusal *refusal)
{
    const struct http_field *host = http_head_find(head, HTTP_FIELD_HOST, NULL);

    if (door == ADMIN_METRICS || (host == NULL && door == ADMIN_UNIX) ||
        (host != NULL && is_local_host(http_field_value(head, host), door)))
        return true;
    return refuse(refusal, 421,
                  "ask for localhost, 127.0.0.1 or [::1]: by other names a page of a "
                  "stranger could reach this");
}

/* Whoever takes a decoded value for a C string would see less of it than was sent. */
static bool has_encoded_nul(struct span text)
{
    return text.len > 0 && memmem(text.at, text.len, "%00", 3) != NULL;
}

static bool check_target(const struct http_head *head, enum admin_door door,
                         struct admin_request *request, struct admin_refusal *refusal)
{
    struct http_target target;
    enum http_fault fault;

    if (!http_target_split(head->target, head->method, &target, &fault) ||
        target.authority.at != NULL || !http_check_host(head, &target, &fault))
        return refuse(refusal, 400, "the request target or its Host is not sound");
    if (!check_host(head, door, refusal))
        return false;
    if (has_encoded_nul(target.query))
        return refuse(refusal, 400, "a parameter has a NUL byte in it");
    request->path = target.path;
    request->query = target.query;
    return true;
}

/* A browser says where a request comes from: no other origin may ask for anything. */
static bool check_origin(const struct http_head *head, struct admin_refusal *refusal)
{
    unsigned count;
    struct span site = field_value(head, SPAN("Sec-Fetch-Site"), &count);
    struct span origin;

    if (count > 1 || (count == 1 && !span_equal(site, SPAN("same-origin")) &&
                      !span_equal(site, SPAN("none"))))
        return refuse(refusal, 403, "a page of another origin may ask for nothing here");
    origin = field_value(head, SPAN("Origin"), &count);
    if (count > 0) {
        const struct http_field *host = http_head_find(head, HTTP_FIELD_HOST, NULL);
        struct span scheme = SPAN("http://");

        if (count > 1 || host == NULL || origin.len < scheme.len ||
            memcmp(origin.at, scheme.at, scheme.len) != 0 ||
            !span_equal_nocase(span_make(origin.at + scheme.len, origin.len - scheme.len),
                               http_field_value(head, host)))
            return refuse(refusal, 403,
                          "a page of another origin may ask for nothing here");
    }
    return true;
}

static bool read_bearer(const struct http_head *head, struct admin_request *request,
                        struct admin_refusal *refusal)
{
    static const char scheme[] = "Bearer ";
    unsigned count;
    const struct http_field *field =
        http_head_find(head, HTTP_FIELD_AUTHORIZATION, &count);
    struct span value;

    if (count > 1)
        return refuse(refusal, 400, "send one Authorization field");
    if (field == NULL)
        return true;
    value = http_field_value(head, field);
    if (value.len < sizeof(scheme) - 1 ||
        !span_equal_nocase(span_make(value.at, sizeof(scheme) - 1), span_of(scheme)))
        return true; /* as good as none */
    request->bearer = span_trim(
        span_make(value.at + sizeof(scheme) - 1, value.len - sizeof(scheme) + 1));
    return true;
}

bool admin_guard(const struct http_head *head, enum admin_door door,
                 struct admin_request *request, struct admin_refusal *refusal)
{
    *request = (struct admin_request){.head = head};
    return check_method(head, request, refusal) && check_sizes(head, refusal) &&
           check_body(head, refusal) && check_target(head, door, request, refusal) &&
           check_origin(head, refusal) && read_bearer(head, request, refusal);
}
