/*
 * One of the load's connections: a request is sent on it and its answer read to the end,
 * over and over, by a plain socket or TLS. Nothing here waits.
 */
#ifndef BENCH_LOAD_CONN_H
#define BENCH_LOAD_CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

/* What all connections share. */
struct load_target {
    struct sockaddr_in address;
    const char *host;    /* the name that TLS asks for */
    SSL_CTX *context;    /* NULL: plain */
    bool resumes;        /* with the session that the connection before was given */
    const char *request; /* head and body */
    size_t request_bytes;
};

enum load_step {
    LOAD_WAITING, /* for the socket */
    LOAD_ANSWERED,
    LOAD_FAILED, /* cut, malformed, or a status of 400 or more */
};

enum { LOAD_HEAD_BYTES = 4096 };

struct load_conn {
    int fd; /* -1: closed */
    SSL *ssl;
    SSL_SESSION *session; /* for the next connection in this place, or NULL */
    bool is_shaken;       /* the TLS handshake is over */
    bool is_resumed;
    size_t sent;       /* of the request */
    size_t head_bytes; /* of the answer */
    bool has_head;
    uint64_t body_left;
    uint64_t bytes; /* received since the connection was opened, without TLS's own */
    char head[LOAD_HEAD_BYTES];
};

/* Begins to connect, and a request with it. False: out of ports or descriptors. */
bool load_conn_open(struct load_conn *conn, const struct load_target *target);

/* TLS says goodbye; closing twice is fine. */
void load_conn_close(struct load_conn *conn);

/* Begins another request on a connection whose last one was answered. */
void load_conn_begin(struct load_conn *conn);

/* Goes on as far as the socket lets it. *wants_write: what it is waiting for. */
enum load_step load_conn_go_on(struct load_conn *conn, const struct load_target *target,
                               bool *wants_write);

/* A client's context, TLS 1.3, that keeps the sessions it is given in their connections.
 */
SSL_CTX *load_context_new(void);

#endif
