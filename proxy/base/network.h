/*
 * IP addresses and networks as plain data: who is meant by "10.0.0.0/8", and whether an
 * address is among them. An IPv4 address and the same one mapped into IPv6 are one.
 */
#ifndef PSGATE_BASE_NETWORK_H
#define PSGATE_BASE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

/* In network order; IPv4 as ::ffff:192.0.2.7 (RFC 4291 2.5.5.2). */
struct ip {
    unsigned char bytes[16];
};

struct ip ip_of_four(const unsigned char bytes[4]);
bool ip_is_four(const struct ip *ip);

/* A literal address without brackets, port or zone. False: it is none. */
bool ip_parse(struct span text, struct ip *ip);

/* "192.0.2.7" or "2001:db8::1". */
enum { IP_TEXT_BYTES = 46 };
void ip_format(const struct ip *ip, char text[IP_TEXT_BYTES]);

struct network {
    struct ip ip;
    unsigned char bits; /* how many of ip's 128 say who belongs to it */
};

/*
 * "10.0.0.0/8", "2001:db8::/32", or an address, which is a network of one. False with
 * error set, in words that follow the value's name.
 */
bool network_parse(struct span text, struct network *network,
                   struct error *error) MUST_CHECK;

/* Who is meant by a list; all-zero is nobody. */
struct networks {
    const struct network *list; /* borrowed */
    size_t count;
    bool has_unix; /* the other end of a unix socket, too */
};

bool networks_have(const struct networks *networks, const struct ip *ip);

static inline bool networks_are_empty(const struct networks *networks)
{
    return networks->count == 0 && !networks->has_unix;
}

#endif
