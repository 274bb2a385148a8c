/*
 * The header of the PROXY protocol, version 2: what a load balancer sends before a
 * client's first byte, to say whose connection it is. Version 1 is refused. Pure: bytes
 * in, verdict out.
 *
 * Strict: what is not exactly as the specification has it is bad, and nothing is guessed.
 * (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, 2.2)
 */
#ifndef PSGATE_NET_PROXY_HEADER_H
#define PSGATE_NET_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "net/listener.h"

enum {
    PROXY_HEADER_LEAST_BYTES = 16,  /* the part that says how long the rest is */
    PROXY_HEADER_MOST_BYTES = 8192, /* a certificate in it may take thousands */
};

enum proxy_header_verdict { PROXY_HEADER_DONE, PROXY_HEADER_MORE, PROXY_HEADER_BAD };

struct proxy_header {
    size_t len;         /* DONE: of the header; MORE: as many bytes are needed at least */
    bool is_local;      /* DONE: the balancer speaks for itself, and source is unset */
    struct peer source; /* DONE: the client; IPv4 that is mapped into IPv6 is IPv4 */
    const char *fault;  /* BAD: what is wrong */
};

/*
 * Judges all bytes that have come so far, from the connection's first. Reading no more
 * than header->len in all leaves what follows the header unread.
 */
enum proxy_header_verdict proxy_header_read(struct span bytes,
                                            struct proxy_header *header);

#endif
