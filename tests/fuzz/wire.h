/*
 * The actors' end of a connection: plain, or TLS with a certificate that is made for the
 * occasion, on sockets that never wait.
 */
#ifndef PSGATE_TESTS_FUZZ_WIRE_H
#define PSGATE_TESTS_FUZZ_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <openssl/ssl.h>

struct wire {
    int fd;            /* -1: none */
    SSL *ssl;          /* NULL: plain */
    size_t retry;      /* TLS: a record of that length must be sent first, as it was */
    bool has_sent_end; /* as has wire_finish */
};

/* What both sides of a scene use: the gateway's files and the actors' contexts. */
struct wire_trust {
    char certificate[32], private_key[32]; /* paths of files in memory */
    SSL_CTX *client, *server;
};

/* Makes a key and a certificate for 127.0.0.1. */
void wire_trust_make(struct wire_trust *trust);

/* Takes the descriptor; context NULL: plain. The handshake begins with wire_shake. */
struct wire wire_new(int fd, SSL_CTX *context, bool is_server);

/* Goes on with the handshake; false: it needs the other side, or has failed. */
bool wire_shake(struct wire *wire);

/* How much of it was sent, 0 when nothing. */
size_t wire_send(struct wire *wire, const char *bytes, size_t len);

/* What was received; 0: nothing for now. *has_ended: and nothing will, the end is sound
 * or not. */
size_t wire_receive(struct wire *wire, char *buffer, size_t len, bool *has_ended);

/* Says that nothing will be sent any more. */
void wire_finish(struct wire *wire);

/* Closes without a word; NULL-like wires are fine. */
void wire_close(struct wire *wire);

#endif
