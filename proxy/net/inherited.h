/*
 * Listening sockets that whoever started the process has bound already and hands over:
 * systemd's socket activation, by the protocol of sd_listen_fds(3). The configuration
 * says what is served on an address; an inherited socket only takes the place of binding
 * it.
 *
 * They are held for as long as the process accepts, so that a reload finds them again.
 * Files of unix sockets and their modes are the giver's: nobody here changes them.
 */
#ifndef PSGATE_NET_INHERITED_H
#define PSGATE_NET_INHERITED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "net/listener.h"

struct inherited;

/*
 * Takes the sockets over: non-blocking, not for children, and out of the environment. So
 * it is called once, and before any thread is started. What is no listening stream socket
 * over IPv4, IPv6 or unix is an error. NULL with error set; without sockets the result is
 * empty.
 */
struct inherited *inherited_take(struct error *error) MUST_CHECK;

size_t inherited_count(const struct inherited *inherited);

/*
 * Whether the socket is bound to one of these addresses and is the first that is. If not,
 * connections to it would wait for ever: error says which it is and what to do.
 */
bool inherited_is_wanted(const struct inherited *inherited, size_t index,
                         const struct listener_options *addresses, size_t count,
                         struct error *error) MUST_CHECK;

/*
 * *fd is a descriptor, the caller's, of the socket that is bound to this address (host
 * and port, or path; a wildcard is equal only to itself), or -1: there is none. False
 * with error set when the process is out of descriptors.
 */
bool inherited_open(const struct inherited *inherited,
                    const struct listener_options *address, int *fd,
                    struct error *error) MUST_CHECK;

/* Closes what is held. May be called with NULL. */
void inherited_free(struct inherited *inherited);

#endif
