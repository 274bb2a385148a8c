/*
 * Between OpenSSL and a stream's descriptor. OpenSSL's own socket BIO asks the kernel
 * once for each record's head, once for its rest, and once more to learn that there is
 * nothing left. This one takes what is there in one call, and believes a short answer.
 */
#ifndef PSGATE_NET_TLS_SOCKET_H
#define PSGATE_NET_TLS_SOCKET_H

#include <stdbool.h>

#include "base/error.h"

struct stream;

/* Joins stream->ssl and stream->fd, once. False: out of memory. */
bool tls_socket_attach(struct stream *stream) MUST_CHECK;

#endif
