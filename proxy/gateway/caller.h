/*
 * The other end of a client's connection, learnt once: at accept the process behind a
 * unix socket, at the handshake's end the certificate and its names. Which client that is
 * each request asks anew (access/identity.h). After a reload the certificate is verified
 * again, by the listener's new authorities and revocation lists.
 */
#ifndef PSGATE_GATEWAY_CALLER_H
#define PSGATE_GATEWAY_CALLER_H

#include <sys/socket.h>

#include <openssl/ssl.h>

#include "access/identity.h"
#include "net/listener.h"

/* A listener's TLS as one worker uses it now; connections know by it what has changed. */
struct trust {
    unsigned references;
    unsigned generation; /* counts the changes of tls */
    SSL_CTX *tls;        /* a reference, or NULL: plain */
};

/* NULL when memory is out. */
struct trust *trust_new(void);
void trust_unref(struct trust *trust);

/* Takes a reference to the context, which may be NULL. */
void trust_change(struct trust *trust, SSL_CTX *tls);

struct caller {
    struct trust *trust; /* a reference */
    unsigned generation; /* of trust, when the certificate was verified */
    X509 *certificate;   /* NULL: none was shown */
    STACK_OF(X509) * chain;
    struct certificate_names names;
    struct identity identity;
    struct ip ip;               /* has_ip: where it comes from */
    bool has_ip, is_unix;       /* neither: a balancer named one that has no address */
    char text[PEER_TEXT_BYTES]; /* "192.0.2.7:4711", "unix uid 1000" */
};

/* With an accepted descriptor; keeps a reference to trust. */
void caller_init(struct caller *caller, struct trust *trust, int fd,
                 const struct sockaddr *peer);

/*
 * From a load balancer's PROXY header: the client that it speaks for. The process behind
 * a unix socket stays who it is.
 */
void caller_take_source(struct caller *caller, const struct sockaddr *source);

/* The text without the port: "192.0.2.7", "2001:db8::1", "unix uid 1000". */
struct span caller_source(const struct caller *caller);

/* Whether the client is among them, by its address or as one of a unix socket. */
bool caller_is_among(const struct caller *caller, const struct networks *networks);

void caller_fini(struct caller *caller);

/* At the handshake's end. */
void caller_take_certificate(struct caller *caller, SSL *ssl);

/* Who it is now; borrowed until the next call. */
const struct identity *caller_identify(struct caller *caller);

#endif
