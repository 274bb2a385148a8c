/*
 * The PROXY header: whole or byte by byte it is judged the same; what is asked for is
 * never more than the header has; what follows it changes nothing; a header that is taken
 * names a client, or is the balancer's own.
 */
#include "fuzz/support.h"
#include "net/proxy_header.h"

/* As the gateway reads: never more bytes than are asked for. */
static enum proxy_header_verdict read_in_steps(struct span input,
                                               struct proxy_header *header)
{
    enum proxy_header_verdict verdict = proxy_header_read(span_make(NULL, 0), header);

    for (size_t len = 1; verdict == PROXY_HEADER_MORE && len <= input.len; len++) {
        struct span copy = fuzz_copy(span_make(input.at, len));

        fuzz_require(header->len >= len && header->len <= PROXY_HEADER_MOST_BYTES,
                     "%zu bytes are asked for behind %zu", header->len, len - 1);
        verdict = proxy_header_read(copy, header);
        fuzz_free(copy);
    }
    return verdict;
}

static void check_done(struct span input, const struct proxy_header *header)
{
    const struct sockaddr *source = &header->source.address.any;
    struct proxy_header alone;
    char text[PEER_TEXT_BYTES];

    fuzz_require(header->len >= PROXY_HEADER_LEAST_BYTES && header->len <= input.len,
                 "a header of %zu bytes", header->len);
    fuzz_require(proxy_header_read(span_make(input.at, header->len), &alone) ==
                     PROXY_HEADER_DONE,
                 "it needs what follows it");
    if (header->is_local)
        return;
    fuzz_require(source->sa_family == AF_INET || source->sa_family == AF_INET6 ||
                     source->sa_family == AF_UNIX,
                 "a client of family %d", source->sa_family);
    peer_format(source, text);
    fuzz_require(strcmp(text, "unknown") != 0, "a client without an address");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_copy(fuzz_span(data, size));
    struct proxy_header whole, stepped;
    enum proxy_header_verdict verdict = proxy_header_read(input, &whole);

    fuzz_require(read_in_steps(input, &stepped) == verdict,
                 "byte by byte it is judged differently");
    if (verdict == PROXY_HEADER_BAD)
        fuzz_require(whole.fault != NULL && strcmp(whole.fault, stepped.fault) == 0,
                     "byte by byte it has another fault");
    if (verdict == PROXY_HEADER_DONE)
        check_done(input, &whole);
    fuzz_free(input);
    return 0;
}
