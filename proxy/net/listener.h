/*
 * Listening sockets, made once and shared by all workers, and each worker's acceptor,
 * which lets libevhtp accept on them and takes the connections over.
 */
#ifndef PSGATE_NET_LISTENER_H
#define PSGATE_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include <sys/socket.h>

#include "base/error.h"
#include "base/network.h"
#include "net/worker.h"

/* Where a connection came from; a unix peer has no more than its family. */
struct peer {
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
    } address;
};

/* "192.0.2.7:4711", "[2001:db8::1]:4711" or "unix". */
enum { PEER_TEXT_BYTES = 64 };
void peer_format(const struct sockaddr *address, char text[PEER_TEXT_BYTES]);

/* Its IP address. False: it has none, as a unix peer. */
bool peer_ip(const struct sockaddr *address, struct ip *ip);

/* Whether the peer is among them: by its address, or as the other end of a unix socket.
 */
bool peer_is_among(const struct sockaddr *address, const struct networks *networks);

/* The process that has connected to a unix socket, as it was when it did. */
bool peer_read_process(int fd, uint32_t *uid, uint32_t *gid);

struct listener {
    int fd;
    char *address; /* as configured: what tells listeners apart over a reload */
    char *url;     /* "http://127.0.0.1:8080", with the real port */
    bool is_unix;
    char *path; /* of a unix socket that we have bound; unlinked with the listener */
};

struct listener_options {
    const char *address;
    const char *host; /* a literal IP address, or NULL: unix */
    uint16_t port;
    const char *path;
    unsigned mode;
    bool is_tls;
};

/*
 * Binds and listens. A unix socket's file that nobody serves any more is replaced; one
 * that is served is an error. NULL with error set.
 */
struct listener *listener_open(const struct listener_options *options,
                               struct error *error) MUST_CHECK;

/*
 * The same for a socket that is bound to that address and listening already. Its file
 * stays as it is, with its mode. fd is taken, also when that fails: NULL with error set.
 */
struct listener *listener_take(const struct listener_options *options, int fd,
                               struct error *error) MUST_CHECK;
void listener_close(struct listener *listener);

struct acceptor;

/* Called with each connection's descriptor, non-blocking, the callee's from then on. */
typedef void acceptor_callback(void *arg, int fd, const struct sockaddr *peer);

/* Accepts on the worker's own duplicate of the listener's descriptor. */
struct acceptor *acceptor_new(struct worker *worker, const struct listener *listener,
                              acceptor_callback *on_accept, void *arg,
                              struct error *error) MUST_CHECK;

/* Stops and goes on; connections wait in the kernel's queue meanwhile. */
void acceptor_pause(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

/* Takes in what already waits in the queue, then stops for good and frees. */
void acceptor_close(struct acceptor *acceptor);

#endif
