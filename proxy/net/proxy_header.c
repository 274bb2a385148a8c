#include "net/proxy_header.h"

#include <netinet/in.h>
#include <sys/un.h>

#include "base/network.h"

enum {
    SIGNATURE_BYTES = 12,
    VERSION_LOCAL = 0x20, /* version 2 in the high half, the command in the low one */
    VERSION_PROXY = 0x21,
    FOUR_STREAM = 0x11,
    SIX_STREAM = 0x21,
    UNIX_STREAM = 0x31,
    FOUR_BYTES = 12, /* both addresses, and their ports */
    SIX_BYTES = 36,
    UNIX_BYTES = 216,
    TLV_HEAD_BYTES = 3,
    TLV_CRC32C = 0x03,
    CRC_BYTES = 4,
};

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
static const char first_version[] = "PROXY ";

static unsigned byte_at(struct span bytes, size_t index)
{
    return (unsigned char)bytes.at[index];
}

static unsigned number_at(struct span bytes, size_t index)
{
    return byte_at(bytes, index) << 8 | byte_at(bytes, index + 1);
}

static enum proxy_header_verdict bad(struct proxy_header *header, const char *fault)
{
    header->fault = fault;
    return PROXY_HEADER_BAD;
}

/* Whether both agree as far as the shorter one goes. */
static bool begin_alike(struct span bytes, const char *text, size_t len)
{
    return memcmp(bytes.at, text, bytes.len < len ? bytes.len : len) == 0;
}

static enum proxy_header_verdict judge_signature(struct span bytes,
                                                 struct proxy_header *header)
{
    const size_t first_len = sizeof(first_version) - 1;

    if (bytes.len == 0 || begin_alike(bytes, signature, SIGNATURE_BYTES))
        return bytes.len < SIGNATURE_BYTES ? PROXY_HEADER_MORE : PROXY_HEADER_DONE;
    if (!begin_alike(bytes, first_version, first_len))
        return bad(header, "it does not begin with a PROXY header");
    if (bytes.len < first_len)
        return PROXY_HEADER_MORE;
    return bad(header, "its PROXY header is of version 1 (let the proxy send version 2)");
}

/* The Castagnoli polynomial, bit by bit: few headers have this, and they are short. */
static uint32_t add_to_crc(uint32_t crc, unsigned byte)
{
    crc ^= byte;
    for (unsigned i = 0; i < 8; i++)
        crc = crc >> 1 ^ ((crc & 1) != 0 ? UINT32_C(0x82f63b78) : 0);
    return crc;
}

/* Over the whole header, the checksum's own four bytes as zeros. */
static bool is_crc_right(struct span whole, size_t crc_at)
{
    uint32_t crc = UINT32_MAX;
    uint32_t wanted =
        (uint32_t)number_at(whole, crc_at) << 16 | number_at(whole, crc_at + 2);

    for (size_t i = 0; i < whole.len; i++)
        crc = add_to_crc(crc, i - crc_at < CRC_BYTES ? 0 : (unsigned)byte_at(whole, i));
    return ~crc == wanted;
}

/* What follows the addresses must be whole fields; only the checksum says something. */
static const char *judge_fields(struct span whole, size_t at)
{
    bool has_crc = false;

    while (at < whole.len) {
        size_t value = at + TLV_HEAD_BYTES, len;

        if (whole.len - at < TLV_HEAD_BYTES)
            return "a field of its PROXY header is cut short";
        len = number_at(whole, at + 1);
        if (whole.len - value < len)
            return "a field of its PROXY header is longer than the header";
        if (byte_at(whole, at) == TLV_CRC32C) {
            if (has_crc || len != CRC_BYTES || !is_crc_right(whole, value))
                return "the checksum of its PROXY header is wrong";
            has_crc = true;
        }
        at = value + len;
    }
    return NULL;
}

static void set_six(struct span whole, struct sockaddr_storage *storage)
{
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)storage;
    const char *source = whole.at + PROXY_HEADER_LEAST_BYTES, *port = source + 32;
    struct ip ip;

    memcpy(ip.bytes, source, sizeof(ip.bytes));
    if (ip_is_four(&ip)) {
        four->sin_family = AF_INET;
        memcpy(&four->sin_addr, source + 12, sizeof(four->sin_addr));
        memcpy(&four->sin_port, port, sizeof(four->sin_port));
    } else {
        six->sin6_family = AF_INET6;
        memcpy(&six->sin6_addr, source, sizeof(six->sin6_addr));
        memcpy(&six->sin6_port, port, sizeof(six->sin6_port));
    }
}

/* Where the fields begin, with the source set; 0: no addresses that can be used. */
static size_t take_addresses(struct span whole, struct sockaddr_storage *storage)
{
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)storage;
    const char *source = whole.at + PROXY_HEADER_LEAST_BYTES;
    size_t len = whole.len - PROXY_HEADER_LEAST_BYTES;

    memset(storage, 0, sizeof(*storage));
    switch (byte_at(whole, 13)) {
    case FOUR_STREAM:
        if (len < FOUR_BYTES)
            return 0;
        four->sin_family = AF_INET;
        memcpy(&four->sin_addr, source, sizeof(four->sin_addr));
        memcpy(&four->sin_port, source + 8, sizeof(four->sin_port));
        return PROXY_HEADER_LEAST_BYTES + FOUR_BYTES;
    case SIX_STREAM:
        if (len < SIX_BYTES)
            return 0;
        set_six(whole, storage);
        return PROXY_HEADER_LEAST_BYTES + SIX_BYTES;
    case UNIX_STREAM:
        if (len < UNIX_BYTES)
            return 0;
        storage->ss_family = AF_UNIX; /* its path says nothing about who it is */
        return PROXY_HEADER_LEAST_BYTES + UNIX_BYTES;
    default:
        return 0;
    }
}

static enum proxy_header_verdict judge_whole(struct span whole,
                                             struct proxy_header *header)
{
    size_t fields;
    const char *fault;

    header->is_local = byte_at(whole, 12) == VERSION_LOCAL;
    if (header->is_local)
        return PROXY_HEADER_DONE; /* whatever else it says is to be ignored */
    fields = take_addresses(whole, &header->source.address.storage);
    if (fields == 0)
        return bad(header,
                   "its PROXY header names no client of a TCP or unix stream connection");
    fault = judge_fields(whole, fields);
    return fault == NULL ? PROXY_HEADER_DONE : bad(header, fault);
}

enum proxy_header_verdict proxy_header_read(struct span bytes,
                                            struct proxy_header *header)
{
    enum proxy_header_verdict verdict;

    *header = (struct proxy_header){.len = PROXY_HEADER_LEAST_BYTES};
    verdict = judge_signature(bytes, header);
    if (verdict != PROXY_HEADER_DONE)
        return verdict;
    if (bytes.len > SIGNATURE_BYTES && byte_at(bytes, 12) != VERSION_LOCAL &&
        byte_at(bytes, 12) != VERSION_PROXY)
        return bad(header, "its PROXY header has a version or a command that is unknown");
    if (bytes.len < PROXY_HEADER_LEAST_BYTES)
        return PROXY_HEADER_MORE;
    header->len += number_at(bytes, 14);
    if (header->len > PROXY_HEADER_MOST_BYTES)
        return bad(header, "its PROXY header is longer than 8192 bytes");
    if (bytes.len < header->len)
        return PROXY_HEADER_MORE;
    return judge_whole(span_make(bytes.at, header->len), header);
}
