#include "base/network.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { FOUR_AT = 12, FOUR_BITS = 32, SIX_BITS = 128, MAPPED_BITS = 96 };

static const unsigned char mapped[FOUR_AT] = {[10] = 0xff, [11] = 0xff};

struct ip ip_of_four(const unsigned char bytes[4])
{
    struct ip ip;

    memcpy(ip.bytes, mapped, FOUR_AT);
    memcpy(ip.bytes + FOUR_AT, bytes, 4);
    return ip;
}

bool ip_is_four(const struct ip *ip)
{
    return memcmp(ip->bytes, mapped, FOUR_AT) == 0;
}

bool ip_parse(struct span text, struct ip *ip)
{
    char copy[IP_TEXT_BYTES];
    unsigned char four[4];

    if (text.len == 0 || text.len >= sizeof(copy) ||
        memchr(text.at, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, four) != 1)
        return inet_pton(AF_INET6, copy, ip->bytes) == 1;
    *ip = ip_of_four(four);
    return true;
}

void ip_format(const struct ip *ip, char text[IP_TEXT_BYTES])
{
    bool is_four = ip_is_four(ip);

    if (inet_ntop(is_four ? AF_INET : AF_INET6, ip->bytes + (is_four ? FOUR_AT : 0), text,
                  IP_TEXT_BYTES) == NULL)
        text[0] = '\0'; /* the buffer takes every address */
}

/* The bits behind the network's own must be 0: else somebody meant something else. */
static bool has_stray_bits(const struct network *network)
{
    for (unsigned bit = network->bits; bit < SIX_BITS; bit++) {
        if ((network->ip.bytes[bit / 8] >> (7 - bit % 8) & 1) != 0)
            return true;
    }
    return false;
}

static void clear_stray_bits(struct network *network)
{
    for (unsigned bit = network->bits; bit < SIX_BITS; bit++)
        network->ip.bytes[bit / 8] &= (unsigned char)~(1U << (7 - bit % 8));
}

bool network_parse(struct span text, struct network *network, struct error *error)
{
    const char *slash = text.len > 0 ? memchr(text.at, '/', text.len) : NULL;
    struct span address =
        slash != NULL ? span_make(text.at, (size_t)(slash - text.at)) : text;
    bool is_four = memchr(address.at, ':', address.len) == NULL;
    uint64_t most = is_four ? FOUR_BITS : SIX_BITS, bits = most;
    char meant[IP_TEXT_BYTES];

    if (!ip_parse(address, &network->ip) ||
        (slash != NULL &&
         !span_to_number(span_make(slash + 1, text.len - address.len - 1), most, &bits)))
        return error_set(error, "is neither an IP address nor a network (such as "
                                "\"10.0.0.0/8\" or \"2001:db8::/32\")");
    network->bits = (unsigned char)(bits + (is_four ? MAPPED_BITS : 0));
    if (!has_stray_bits(network))
        return true;
    clear_stray_bits(network);
    ip_format(&network->ip, meant);
    return error_set(error,
                     "has bits beyond its %u (write \"%s/%u\", or the address alone)",
                     (unsigned)bits, meant, (unsigned)bits);
}

static bool network_has(const struct network *network, const struct ip *ip)
{
    unsigned whole = network->bits / 8U, rest = network->bits % 8U;
    unsigned char mask = (unsigned char)(0xff00U >> rest);

    return memcmp(network->ip.bytes, ip->bytes, whole) == 0 &&
           (rest == 0 || ((network->ip.bytes[whole] ^ ip->bytes[whole]) & mask) == 0);
}

bool networks_have(const struct networks *networks, const struct ip *ip)
{
    for (size_t i = 0; i < networks->count; i++) {
        if (network_has(&networks->list[i], ip))
            return true;
    }
    return false;
}
