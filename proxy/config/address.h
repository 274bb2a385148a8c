/* Addresses to listen on and the upstream's URL, from text into their parts. */
#ifndef PSGATE_CONFIG_ADDRESS_H
#define PSGATE_CONFIG_ADDRESS_H

#include "base/arena.h"
#include "base/error.h"
#include "config/config.h"

/* "127.0.0.1:8080", "[::]:8443" or "unix:/path": fills address, host, port and path. */
bool address_parse_listen(struct arena *arena, const char *text,
                          struct config_listen *listen, struct error *error) MUST_CHECK;

/* "https://host[:port]": fills url, is_tls, host, port and authority. */
bool address_parse_url(struct arena *arena, const char *text,
                       struct config_upstream *upstream, struct error *error) MUST_CHECK;

/* Splits "HOST:PORT" or "[IPv6]:PORT"; *host is copied to the arena without brackets. */
bool address_parse_host_port(struct arena *arena, struct span text, const char **host,
                             uint16_t *port, struct error *error) MUST_CHECK;

/*
 * "HOST[:PORT]" as a URL has it, HOST a name, an IPv4 address or an IPv6 one in brackets.
 * *host is copied to the arena without brackets; *port stays as it is where none is
 * given.
 */
bool address_parse_authority(struct arena *arena, struct span text, const char **host,
                             uint16_t *port, struct error *error) MUST_CHECK;

#endif
