/*
 * Heads on their way through: the client's request as it goes to upstream, and upstream's
 * answer as it goes to the client. What the gateway must not change is copied byte for
 * byte; the changes are the list "On the wire" in INTERFACES.md. Pure functions.
 */
#ifndef PSGATE_GATEWAY_FORWARD_H
#define PSGATE_GATEWAY_FORWARD_H

#include <stdbool.h>

#include "base/text.h"
#include "gateway/admission.h"
#include "http/head.h"

struct forward_options {
    const char *authority; /* upstream's, for Host */
    bool is_upgrade;       /* the WebSocket handshake goes on */
    bool drops_expect;     /* the gateway has answered the expectation itself */
    bool
        drops_conditions; /* the client's If-None-Match and If-Modified-Since stay here */
    struct span conditions; /* field lines of our own, or empty */
};

/*
 * Writes the request head for upstream. *key_at is the offset in out at which the API key
 * belongs: it is not in there. False when memory is out.
 */
bool forward_request_head(const struct http_head *head, const struct admission *admission,
                          const struct forward_options *options, struct text *out,
                          size_t *key_at);

/*
 * The same for the gateway's own fetch in a cache rule's fixed mode: the target and the
 * key, and nothing else of the client's, so that nothing it sends colours what others
 * get.
 */
bool forward_fetch_head(const struct admission *admission,
                        const struct forward_options *options, struct text *out,
                        size_t *key_at);

/* The gateway's own session lookup, by which a key is tried; the same conventions. */
bool forward_session_head(const char *authority, struct text *out, size_t *key_at);

/* Adds the target as it is forwarded: path and query, the caller's token left out. */
void forward_add_target(const struct admission *admission, struct text *out);

/* How the answer's body is framed for the client. */
enum forward_body {
    FORWARD_NONE,   /* no body; Content-Length stays if the answer may have one */
    FORWARD_LENGTH, /* as upstream's Content-Length says */
    FORWARD_CHUNKED,
    FORWARD_UNTIL_CLOSE,
};

enum forward_connection {
    FORWARD_KEEP,           /* say nothing: HTTP/1.1 keeps connections */
    FORWARD_SAY_KEEP_ALIVE, /* to HTTP/1.0 clients that asked */
    FORWARD_SAY_CLOSE,
    FORWARD_SAY_UPGRADE, /* a 101 */
};

/*
 * Writes an answer's head for the client, with more field lines at its end. False when
 * memory is out.
 */
bool forward_response_head(const struct http_head *head, enum forward_body body,
                           enum forward_connection connection, struct span more_lines,
                           struct text *out);

/* The end of a head: the Connection line, if one is needed, and the empty line. */
struct span forward_connection_line(enum forward_connection connection);

/* Whether the answer says how old it is. */
bool forward_has_age(const struct http_head *head);

/*
 * Writes the trailer fields that may go on, each with its CR LF: none about framing and
 * connections. head, of a request (NULL: an answer's trailers), bars credential and
 * override fields too, and those that its Connection field names.
 */
bool forward_trailers(const struct http_head *trailers, const struct http_head *head,
                      struct text *out);

/* Whether the head asks for a WebSocket (RFC 6455 4.1) on a request that could become
 * one. */
bool forward_is_websocket(const struct http_head *head, enum http_framing framing);

#endif
