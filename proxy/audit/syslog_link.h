/*
 * One connection to a syslog server: TCP, TLS or a local datagram socket. Calls wait, but
 * not beyond a stop. For syslog.c alone, on its thread.
 */
#ifndef PSGATE_AUDIT_SYSLOG_LINK_H
#define PSGATE_AUDIT_SYSLOG_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/error.h"
#include "base/span.h"
#include "config/syslog.h"

/* How the owner ends all waiting: sets at_ms, then makes fd readable, and it stays so. */
struct syslog_stop {
    int fd;                 /* an eventfd */
    _Atomic(int64_t) at_ms; /* when waiting must end; INT64_MAX: nobody stops */
};

struct syslog_link {
    const struct config_syslog *server; /* borrowed */
    SSL_CTX *context;                   /* of tls; owned */
    struct syslog_stop *stop;           /* borrowed */
    int fd;                             /* -1: not connected */
    SSL *ssl;
};

/* Prepares a link that is not connected; reads the CA file. Use fini in any case. */
bool syslog_link_init(struct syslog_link *link, const struct config_syslog *server,
                      struct syslog_stop *stop, struct error *error) MUST_CHECK;
void syslog_link_fini(struct syslog_link *link);

/* Resolves, connects, and verifies the server's certificate. */
bool syslog_link_open(struct syslog_link *link, struct error *error) MUST_CHECK;

/* Says good-bye where there is a way to, and closes; may be called again. */
void syslog_link_close(struct syslog_link *link);

/*
 * Reads and drops whatever the server says, without waiting. False when it has gone:
 * what is written now would be lost.
 */
bool syslog_link_is_alive(struct syslog_link *link, struct error *error) MUST_CHECK;

enum syslog_sent {
    SYSLOG_SENT,
    SYSLOG_TOO_LONG, /* for a datagram: it will never be sent */
    SYSLOG_FAILED,   /* not sent; close the link */
};

/* Writes a whole message. */
enum syslog_sent syslog_link_send(struct syslog_link *link, struct span message,
                                  struct error *error) MUST_CHECK;

#endif
