/* The setting audit.syslog: a URL, or an object with a URL and more. */
#ifndef PSGATE_CONFIG_SYSLOG_H
#define PSGATE_CONFIG_SYSLOG_H

#include <stdint.h>

#include "config/document.h"

enum config_syslog_transport {
    CONFIG_SYSLOG_TCP,  /* tcp://HOST[:514] */
    CONFIG_SYSLOG_TLS,  /* tls://HOST[:6514] */
    CONFIG_SYSLOG_UNIX, /* unix:/PATH */
};

enum { CONFIG_SYSLOG_AUTH = 4 };

/* Strings live in the document's arena. */
struct config_syslog {
    const char *url;  /* as written; NULL: nothing is sent anywhere */
    int transport;    /* enum config_syslog_transport */
    const char *host; /* a name, or a literal address without brackets */
    uint16_t port;
    const char *path;    /* of the local socket */
    const char *ca_file; /* of tls; NULL: the system's store */
    int facility;        /* RFC 5424 6.2.1: 0 to 23 */
};

/*
 * Reads the value of audit.syslog; null is none. What is wrong becomes problems of the
 * document.
 */
void config_read_syslog(struct document *document, const struct place *place,
                        json_t *value, struct config_syslog *syslog);

#endif
