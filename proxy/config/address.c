#include "config/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

static bool is_literal(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* Where the host ends: behind the bracket, or at the last colon that follows no other. */
static size_t host_length(struct span text)
{
    const char *end = NULL;

    if (text.len > 0 && text.at[0] == '[') {
        end = memchr(text.at, ']', text.len);
        return end != NULL ? (size_t)(end - text.at) + 1 : 0;
    }
    end = memchr(text.at, ':', text.len);
    return end != NULL ? (size_t)(end - text.at) : text.len;
}

static const char *copy_host(struct arena *arena, struct span host)
{
    if (host.len >= 2 && host.at[0] == '[')
        host = span_make(host.at + 1, host.len - 2);
    return arena_copy(arena, host);
}

bool address_parse_host_port(struct arena *arena, struct span text, const char **host,
                             uint16_t *port, struct error *error)
{
    size_t len = text.len > 0 ? host_length(text) : 0;
    uint64_t number;

    if (len == 0 || len >= text.len || text.at[len] != ':' ||
        !span_to_number(span_make(text.at + len + 1, text.len - len - 1), 65535, &number))
        return error_set(error, "is not ADDRESS:PORT (such as \"127.0.0.1:8080\" or "
                                "\"[::1]:8080\")");
    *host = copy_host(arena, span_make(text.at, len));
    if (*host != NULL && (text.at[0] == '[') != (strchr(*host, ':') != NULL))
        return error_set(error, "has brackets that are not an IPv6 address's");
    *port = (uint16_t)number;
    return *host != NULL || error_set(error, "out of memory");
}

static bool parse_unix(struct arena *arena, const char *path,
                       struct config_listen *listen, struct error *error)
{
    if (path[0] != '/' || path[1] == '\0')
        return error_set(error, "needs an absolute path (such as "
                                "\"unix:/run/psgate/psgate.sock\")");
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return error_set(error, "is longer than a unix socket's path may be (107 bytes)");
    listen->path = arena_copy(arena, span_of(path));
    return listen->path != NULL || error_set(error, "out of memory");
}

bool address_parse_listen(struct arena *arena, const char *text,
                          struct config_listen *listen, struct error *error)
{
    listen->address = arena_copy(arena, span_of(text));
    if (listen->address == NULL)
        return error_set(error, "out of memory");
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(arena, text + 5, listen, error);
    if (!address_parse_host_port(arena, span_of(text), &listen->host, &listen->port,
                                 error))
        return false;
    if (!is_literal(listen->host))
        return error_set(error,
                         "%s is not an IP address (write it literally: 127.0.0.1, "
                         "0.0.0.0, [::1], [::])",
                         listen->host);
    return true;
}

static bool is_host_name(const char *host)
{
    size_t len = strlen(host);

    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = ascii_lower(host[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
              c == '_'))
            return false;
    }
    return host[0] != '.' && host[0] != '-';
}

/* Nothing, or a colon and a port that one can connect to. */
static bool parse_url_port(struct span text, uint16_t *port)
{
    uint64_t number;

    if (text.len == 0)
        return true;
    if (text.at[0] != ':' ||
        !span_to_number(span_make(text.at + 1, text.len - 1), 65535, &number) ||
        number == 0)
        return false;
    *port = (uint16_t)number;
    return true;
}

bool address_parse_authority(struct arena *arena, struct span text, const char **host,
                             uint16_t *port, struct error *error)
{
    static const char *const shape = "is not HOST[:PORT]";
    size_t len = text.len > 0 ? host_length(text) : 0;
    bool has_brackets = len > 0 && text.at[0] == '[';

    if (len == 0 || !parse_url_port(span_make(text.at + len, text.len - len), port))
        return error_set(error, "%s", shape);
    *host = copy_host(arena, span_make(text.at, len));
    if (*host == NULL)
        return error_set(error, "out of memory");
    if (has_brackets ? strchr(*host, ':') == NULL || !is_literal(*host)
                     : !is_literal(*host) && !is_host_name(*host))
        return error_set(error, "%s", shape);
    return true;
}

bool address_parse_url(struct arena *arena, const char *text,
                       struct config_upstream *upstream, struct error *error)
{
    static const char *const shape =
        "is not SCHEME://HOST[:PORT] without a path (such as "
        "\"https://api.paperspace.com\")";
    struct span rest = span_of(text);
    uint16_t usual;

    upstream->is_tls = span_starts_with(rest, SPAN("https://"));
    if (!upstream->is_tls && !span_starts_with(rest, SPAN("http://")))
        return error_set(error, "%s", shape);
    usual = upstream->is_tls ? 443 : 80;
    upstream->port = usual;
    rest = span_of(text + (upstream->is_tls ? 8 : 7));
    if (rest.len > 0 && rest.at[rest.len - 1] == '/')
        rest.len--;
    if (!address_parse_authority(arena, rest, &upstream->host, &upstream->port, error))
        return error_set(error, "%s", shape);
    upstream->authority = arena_copy(
        arena, upstream->port == usual ? span_make(rest.at, host_length(rest)) : rest);
    upstream->url = arena_copy(arena, span_of(text));
    return (upstream->authority != NULL && upstream->url != NULL) ||
           error_set(error, "out of memory");
}
