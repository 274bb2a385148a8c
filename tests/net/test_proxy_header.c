/* The PROXY header, version 2: good ones, bad ones, whole and byte by byte. */
#include "net/proxy_header.h"
#include "support/suite.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FOUR "\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"
#define SIX_SOURCE "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define SIX_TARGET "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07"
#define PORTS "\x12\x67\x01\xbb"
#define FILL_9 "/run/x.s\0"
#define FILL_27 FILL_9 FILL_9 FILL_9
#define FILL_108 FILL_27 FILL_27 FILL_27 FILL_27
#define V1 "its PROXY header is of version 1 (let the proxy send version 2)"
#define NONE "it does not begin with a PROXY header"
#define UNKNOWN "its PROXY header has a version or a command that is unknown"
#define NOBODY "its PROXY header names no client of a TCP or unix stream connection"
#define CUT "a field of its PROXY header is cut short"
#define LONG "a field of its PROXY header is longer than the header"
#define SUM "the checksum of its PROXY header is wrong"

/* The checksums were computed apart from the code, by a table. */
static const struct row {
    struct span bytes;
    const char *source; /* NULL: it is bad; "": the balancer's own */
    const char *fault;
} rows[] = {
    {SPAN(SIGNATURE "\x21\x11\0\x0c" FOUR), "192.0.2.7:4711", NULL},
    {SPAN(SIGNATURE "\x21\x21\0\x24" SIX_SOURCE SIX_TARGET PORTS), "[2001:db8::1]:4711",
     NULL},
    {SPAN(SIGNATURE "\x21\x21\0\x24" MAPPED SIX_TARGET PORTS), "192.0.2.7:4711", NULL},
    {SPAN(SIGNATURE "\x21\x31\0\xd8" FILL_108 FILL_108), "unix", NULL},
    {SPAN(SIGNATURE "\x20\0\0\0"), "", NULL},
    {SPAN(SIGNATURE "\x20\x11\0\x0c" FOUR), "", NULL},
    {SPAN(SIGNATURE "\x20\xff\0\x03xyz"), "", NULL},
    /* Fields that mean nothing to us, and an empty one. */
    {SPAN(SIGNATURE "\x21\x11\0\x16" FOUR "\x01\0\x04http\x04\0\0"), "192.0.2.7:4711",
     NULL},
    {SPAN(SIGNATURE "\x21\x11\0\x13" FOUR "\x03\0\x04\x6a\xcd\xf6\x1c"), "192.0.2.7:4711",
     NULL},
    {SPAN(SIGNATURE "\x21\x11\0\x13" FOUR "\x03\0\x04\x6a\xcd\xf6\x1d"), NULL, SUM},
    {SPAN(SIGNATURE "\x21\x11\0\x12" FOUR "\x03\0\x03\x6a\xcd\xf6"), NULL, SUM},
    {SPAN(SIGNATURE "\x21\x11\0\x1a" FOUR
                    "\x03\0\x04\x6a\xcd\xf6\x1c\x03\0\x04\x6a\xcd\xf6\x1c"),
     NULL, SUM},
    {SPAN(SIGNATURE "\x21\x11\0\x0d" FOUR "\x01"), NULL, CUT},
    {SPAN(SIGNATURE "\x21\x11\0\x0e" FOUR "\x01\0"), NULL, CUT},
    {SPAN(SIGNATURE "\x21\x11\0\x0f" FOUR "\x01\0\x01"), NULL, LONG},
    {SPAN(SIGNATURE "\x21\x11\0\x10" FOUR "\x01\xff\xff\x01"), NULL, LONG},
    /* Too short for its addresses; kinds of connections that cannot be. */
    {SPAN(SIGNATURE "\x21\x11\0\x0b" FOUR), NULL, NOBODY},
    {SPAN(SIGNATURE "\x21\x11\0\0"), NULL, NOBODY},
    {SPAN(SIGNATURE "\x21\x21\0\x0c" FOUR), NULL, NOBODY},
    {SPAN(SIGNATURE "\x21\x31\0\x0c" FOUR), NULL, NOBODY},
    {SPAN(SIGNATURE "\x21\0\0\0"), NULL, NOBODY},
    {SPAN(SIGNATURE "\x21\x01\0\x0c" FOUR), NULL, NOBODY},
    {SPAN(SIGNATURE "\x21\x12\0\x0c" FOUR), NULL, NOBODY},
    {SPAN(SIGNATURE "\x21\x22\0\x24" SIX_SOURCE SIX_TARGET PORTS), NULL, NOBODY},
    {SPAN(SIGNATURE "\x21\x41\0\x0c" FOUR), NULL, NOBODY},
    /* Other versions and commands, and what is no header at all. */
    {SPAN(SIGNATURE "\x22\x11\0\x0c" FOUR), NULL, UNKNOWN},
    {SPAN(SIGNATURE "\x11\x11\0\x0c" FOUR), NULL, UNKNOWN},
    {SPAN(SIGNATURE "\x31\x11\0\x0c" FOUR), NULL, UNKNOWN},
    {SPAN(SIGNATURE "\x21\x11\x20\0"), NULL,
     "its PROXY header is longer than 8192 bytes"},
    {SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"), NULL, V1},
    {SPAN("PROXY UNKNOWN\r\n"), NULL, V1},
    {SPAN("PROXYTCP4"), NULL, NONE},
    {SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), NULL, NONE},
    {SPAN("PUT /v1/x HTTP/1.1\r\n\r\n"), NULL, NONE},
    {SPAN("\r\n\r\n\0\r\nQUIT\r"), NULL, NONE},
    {SPAN("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), NULL, NONE},
    {SPAN("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), NULL, NONE},
    {SPAN("\0"), NULL, NONE},
};

static void check_row(const struct row *row, enum proxy_header_verdict verdict,
                      const struct proxy_header *header)
{
    char text[PEER_TEXT_BYTES] = "";

    if (row->source == NULL) {
        ck_assert_msg(verdict == PROXY_HEADER_BAD, "'%s' is not bad", shown(row->bytes));
        ck_assert_str_eq(header->fault, row->fault);
        return;
    }
    ck_assert_msg(verdict == PROXY_HEADER_DONE, "'%s' is not done: %s", shown(row->bytes),
                  header->fault);
    ck_assert_uint_eq(header->len, row->bytes.len);
    ck_assert_int_eq(header->is_local, row->source[0] == '\0');
    if (!header->is_local)
        peer_format(&header->source.address.any, text);
    ck_assert_str_eq(text, row->source);
}

START_TEST(a_header_in_one_piece_is_judged)
{
    struct span bytes = exact_span(rows[_i].bytes);
    struct proxy_header header;

    check_row(&rows[_i], proxy_header_read(bytes, &header), &header);
    free((char *)(uintptr_t)bytes.at);
}
END_TEST

/* Reading no more than what is asked for never takes a byte that follows the header. */
START_TEST(a_header_byte_by_byte_is_judged_the_same)
{
    struct feed feed = {.whole = rows[_i].bytes};
    struct proxy_header header = {.len = 0};
    enum proxy_header_verdict verdict = proxy_header_read(SPAN(""), &header);

    while (verdict == PROXY_HEADER_MORE && feed.arrived.len < feed.whole.len) {
        ck_assert_uint_gt(header.len, feed.arrived.len);
        ck_assert(rows[_i].source == NULL || header.len <= feed.whole.len);
        verdict = proxy_header_read(feed_step(&feed, 1), &header);
    }
    check_row(&rows[_i], verdict, &header);
    feed_end(&feed);
}
END_TEST

START_TEST(every_beginning_of_a_good_header_waits_for_more)
{
    for (size_t len = 0; rows[_i].source != NULL && len < rows[_i].bytes.len; len++) {
        struct span bytes = exact_span(span_make(rows[_i].bytes.at, len));
        struct proxy_header header;

        ck_assert_int_eq(proxy_header_read(bytes, &header), PROXY_HEADER_MORE);
        free((char *)(uintptr_t)bytes.at);
    }
}
END_TEST

START_TEST(what_follows_a_header_is_not_part_of_it)
{
    static const char bytes[] = SIGNATURE "\x21\x11\0\x0c" FOUR "GET / HTTP/1.1\r\n\r\n";
    struct proxy_header header;

    ck_assert_int_eq(proxy_header_read(SPAN(bytes), &header), PROXY_HEADER_DONE);
    ck_assert_uint_eq(header.len, 28);
}
END_TEST

/* Every bit of the checksummed header counts, but for those that make it another kind. */
START_TEST(a_changed_bit_is_noticed_by_the_checksum)
{
    static const struct span good = {
        SIGNATURE "\x21\x11\0\x13" FOUR "\x03\0\x04\x6a\xcd\xf6\x1c", 35};
    struct proxy_header header;

    for (size_t bit = 16 * 8; bit < 28 * 8; bit++) {
        char *copy = exact_copy(good);

        copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
        ck_assert_int_eq(proxy_header_read(span_make(copy, good.len), &header),
                         PROXY_HEADER_BAD);
        free(copy);
    }
}
END_TEST

START_TEST(the_longest_header_is_taken)
{
    char *bytes = calloc(1, PROXY_HEADER_MOST_BYTES);
    const size_t rest = PROXY_HEADER_MOST_BYTES - PROXY_HEADER_LEAST_BYTES;
    const size_t value = rest - 12 - 3;
    struct proxy_header header;

    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, SIGNATURE "\x21\x11", 14);
    bytes[14] = (char)(rest >> 8);
    bytes[15] = (char)(rest & 0xff);
    memcpy(bytes + 16, FOUR "\x04", 13);
    bytes[29] = (char)(value >> 8);
    bytes[30] = (char)(value & 0xff);
    ck_assert_int_eq(
        proxy_header_read(span_make(bytes, PROXY_HEADER_MOST_BYTES), &header),
        PROXY_HEADER_DONE);
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net/proxy_header");
    TCase *reading = suite_case(suite, "reading");
    TCase *ends = suite_case(suite, "ends");

    tcase_add_loop_test(reading, a_header_in_one_piece_is_judged, 0, ROWS(rows));
    tcase_add_loop_test(reading, a_header_byte_by_byte_is_judged_the_same, 0, ROWS(rows));
    tcase_add_loop_test(reading, every_beginning_of_a_good_header_waits_for_more, 0,
                        ROWS(rows));
    tcase_add_test(ends, what_follows_a_header_is_not_part_of_it);
    tcase_add_test(ends, a_changed_bit_is_noticed_by_the_checksum);
    tcase_add_test(ends, the_longest_header_is_taken);
    return run_suite(suite);
}
