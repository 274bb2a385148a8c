/* Bodies, read whole, byte by byte, and with every split into two pieces. */
#include "http/body.h"
#include "support/heads.h"
#include "support/suite.h"

enum { MAX_TRAILERS = 1024, MAX_TRAILER_FIELDS = 8 };

struct body_row {
    struct span bytes;
    const char *content;  /* of a complete body; NULL: it is refused, or more must come */
    const char *trailers; /* described, or NULL: none */
    enum http_fault fault; /* NONE without content: more must come */
    size_t rest;           /* how many of the bytes belong to the next message */
};

/* What reading has come to. */
struct reading {
    struct http_body body;
    struct text content;
    size_t used; /* of the bytes */
    enum http_body_step step;
};

static void start(struct reading *reading, enum http_framing framing, uint64_t length)
{
    *reading = (struct reading){.step = HTTP_BODY_MORE};
    http_body_init(&reading->body, framing, length, MAX_TRAILERS, MAX_TRAILER_FIELDS);
    text_add(&reading->content, SPAN(""));
}

static void end(struct reading *reading)
{
    http_body_fini(&reading->body);
    text_fini(&reading->content);
}

/* Gives one piece, in a block of its own, until it is used up or the body is over. */
static void give(struct reading *reading, struct span piece)
{
    struct span block = exact_span(piece), input = block, content = {0};

    do {
        reading->step = http_body_read(&reading->body, &input, &content);
        if (reading->step == HTTP_BODY_CONTENT) {
            ck_assert_uint_gt(content.len, 0); /* or a caller would loop for ever */
            ck_assert(content.at >= block.at &&
                      content.at + content.len <= block.at + block.len);
            text_add(&reading->content, content);
        }
    } while (reading->step == HTTP_BODY_CONTENT);
    if (reading->step == HTTP_BODY_MORE)
        ck_assert_uint_eq(input.len, 0);
    reading->used += piece.len - input.len;
    free((char *)(uintptr_t)block.at);
}

static void assert_row(struct reading *reading, const struct body_row *row)
{
    struct text text = {0};

    if (row->content == NULL) {
        enum http_body_step wanted =
            row->fault != HTTP_FAULT_NONE ? HTTP_BODY_BAD : HTTP_BODY_MORE;

        ck_assert_msg(reading->step == wanted, "'%s' is %d", shown(row->bytes),
                      reading->step);
        ck_assert_msg(reading->body.fault == row->fault, "'%s': %s", shown(row->bytes),
                      http_fault_text(reading->body.fault));
        ck_assert(!http_body_ends_at_close(&reading->body));
        return;
    }
    ck_assert_msg(reading->step == HTTP_BODY_DONE, "'%s' is %d: %s", shown(row->bytes),
                  reading->step, http_fault_text(reading->body.fault));
    ck_assert_str_eq(reading->content.bytes, row->content);
    ck_assert_uint_eq(reading->used, row->bytes.len - row->rest);
    ck_assert(http_body_ends_at_close(&reading->body));
    if (reading->body.trailers.field_count > 0)
        head_describe(&reading->body.trailers, &text);
    text_add(&text, SPAN(""));
    ck_assert_str_eq(text.bytes, row->trailers != NULL ? row->trailers : "");
    text_fini(&text);
}

/* Cuts the row's bytes at the two places. */
static void check_split(const struct body_row *row, enum http_framing framing,
                        uint64_t length, size_t first, size_t second)
{
    const size_t ends[] = {first, second, row->bytes.len};
    struct reading reading;
    size_t at = 0;

    start(&reading, framing, length);
    for (int i = 0; i < ROWS(ends) && reading.step == HTTP_BODY_MORE; i++) {
        give(&reading, span_make(row->bytes.at + at, ends[i] - at));
        at = ends[i];
    }
    assert_row(&reading, row);
    end(&reading);
}

static void check_bytewise(const struct body_row *row, enum http_framing framing,
                           uint64_t length)
{
    struct reading reading;

    start(&reading, framing, length);
    give(&reading, SPAN(""));
    for (size_t i = 0; i < row->bytes.len && reading.step == HTTP_BODY_MORE; i++)
        give(&reading, span_make(row->bytes.at + i, 1));
    assert_row(&reading, row);
    end(&reading);
}

static void check_body(const struct body_row *row, enum http_framing framing,
                       uint64_t length)
{
    check_bytewise(row, framing, length);
    for (size_t i = 0; i <= row->bytes.len; i++) {
        check_split(row, framing, length, i, row->bytes.len);
        check_split(row, framing, length, i, i + (row->bytes.len - i + 1) / 2);
    }
}

#define LAST "0\r\n\r\n"
#define FAULT(name) .fault = HTTP_FAULT_##name

static const struct body_row chunked[] = {
    {SPAN(LAST), .content = ""},
    {SPAN("5\r\nhello\r\n" LAST), .content = "hello"},
    {SPAN("5\r\nhello\r\n6\r\n world\r\n" LAST), .content = "hello world"},
    {SPAN("a\r\n0123456789\r\n" LAST), .content = "0123456789"},
    {SPAN("A\r\n0123456789\r\n" LAST), .content = "0123456789"},
    {SPAN("1e\r\nall your base are belong to us\r\n000\r\n\r\n"),
     .content = "all your base are belong to us"},
    {SPAN("00000000000000000000000005\r\nhello\r\n" LAST), .content = "hello"},
    {SPAN("4\r\n\r\n\r\n\r\n" LAST), .content = "\r\n\r\n"},
    {SPAN("5\r\n0\r\n\r\n\r\n" LAST), .content = "0\r\n\r\n"},
    {SPAN("2\r\n5\r\r\n1\r\n\n\r\n" LAST), .content = "5\r\n"},
    {SPAN("5\r\nhello\r\n" LAST "GET / HTTP/1.1\r\n"), .content = "hello", .rest = 16},
    {SPAN(LAST "0\r\n\r\n"), .content = "", .rest = 5},
    /* Extensions are read past (RFC 9112 7.1.1), white space before ';' too. */
    {SPAN("5;a\r\nhello\r\n0;b=c\r\n\r\n"), .content = "hello"},
    {SPAN("5;a=b;c;d=e\r\nhello\r\n" LAST), .content = "hello"},
    {SPAN("5 ;a\r\nhello\r\n5\t \t; a = b\r\nworld\r\n" LAST), .content = "helloworld"},
    {SPAN("5;a=\"b c;d=\\\"e\\\\\"\r\nhello\r\n" LAST), .content = "hello"},
    {SPAN("5;a=\"\";b=\"\xc3\xa9\t\"\r\nhello\r\n" LAST), .content = "hello"},
    {SPAN("5;a=\"\\\t\"\r\nhello\r\n" LAST), .content = "hello"},
    {SPAN("0;last\r\n\r\n"), .content = ""},
    /* Trailers (RFC 9112 7.1.2). */
    {SPAN("5\r\nhello\r\n0\r\nA: b\r\n\r\n"), .content = "hello", .trailers = "\nA: b\n"},
    {SPAN("0\r\nA: b\r\nA:c\r\nVary: *\r\n\r\nrest"), .content = "",
     .trailers = "\nA: b\nA: c\nVary: *\n", .rest = 4},
    {SPAN("0\r\nContent-Length: 5\r\nX-Api-Key: k\r\n\r\n"), .content = "",
     .trailers = "\nContent-Length: 5\nX-Api-Key: k\n"},
};

START_TEST(a_chunked_body_is_its_chunks)
{
    check_body(&chunked[_i], HTTP_FRAMING_CHUNKED, 0);
}
END_TEST

static const struct body_row bad_chunks[] = {
    /* sizes */
    {SPAN("\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("\n"), FAULT(CHUNK_SIZE)},
    {SPAN("g\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("5g\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("1x\r\na\r\n0\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("-5\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("+5\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("0x5\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5h\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5_0\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5,0\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5.0\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("\"5\"\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN(" 5\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("\t5\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5 \r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5\t\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5 5\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("2 erfrferferf\r\naa"), FAULT(CHUNK_SIZE)},
    {SPAN("0 rrrr\r\n\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("5\x0b\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5\0\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("\0005\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("\xb5\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5\xb5\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("\xef\xbc\x95\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN(";a\r\nhello"), FAULT(CHUNK_SIZE)},
    /* A size that wraps around in 64 bits would begin a request of the attacker's. */
    {SPAN("10000000000000000\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("10000000000000005\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("ffffffffffffffff\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("8000000000000000\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("fffffffffffffffff\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("100000000000000000000000000000005\r\nhello"), FAULT(CHUNK_SIZE)},
    /* line ends of the size */
    {SPAN("5\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5\rhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5\r\rhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5\r\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("0\n\n"), FAULT(CHUNK_SIZE)},
    {SPAN("0\n\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("0\r\r\n"), FAULT(CHUNK_SIZE)},
    {SPAN("3 \n  \r\nfoo"), FAULT(CHUNK_SIZE)},
    {SPAN("6\r\nhello \r\n5\nworld"), FAULT(CHUNK_SIZE)},
    /* ends of the data */
    {SPAN("5\r\nhelloX"), FAULT(CHUNK_END)},
    {SPAN("5\r\nhello0\r\n\r\n"), FAULT(CHUNK_END)},
    {SPAN("5\r\nhello\n0\r\n\r\n"), FAULT(CHUNK_END)},
    {SPAN("5\r\nhello\rX"), FAULT(CHUNK_END)},
    {SPAN("5\r\nhello\r\r\n"), FAULT(CHUNK_END)},
    {SPAN("5\r\nhello \r\n"), FAULT(CHUNK_END)},
    {SPAN("4\r\nhello\r\n"), FAULT(CHUNK_END)},
    {SPAN("2\r\n\r\n0\r\n\r\n"), FAULT(CHUNK_END)},
    {SPAN("5\r\nhello\0\r\n"), FAULT(CHUNK_END)},
};

START_TEST(a_chunk_is_digits_a_line_end_data_and_a_line_end)
{
    check_body(&bad_chunks[_i], HTTP_FRAMING_CHUNKED, 0);
}
END_TEST

/* What one reader takes for an extension must not be a line to another. */
static const struct body_row bad_extensions[] = {
    {SPAN("5;a\nhello\r\n0\r\n\r\n"), FAULT(CHUNK_EXTENSION)},
    {SPAN("2;\nxx\r\n45\r\n0\r\n\r\nGET / HTTP/1.1"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a\rb\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5;a\r\r\nhello"), FAULT(CHUNK_SIZE)},
    {SPAN("5;\rX"), FAULT(CHUNK_SIZE)},
    {SPAN("5;a=\"b\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a=\"b\\\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a=\"b\n\"\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a=\"b\r\n\"\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a=\"\\\n\"\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a=\"\0\"\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a=\"\x7f\"\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;\0\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a\x0b\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a\x1b\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;\xc3\xa9\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a=(b)\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a,b\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("5;a=/b\r\nhello"), FAULT(CHUNK_EXTENSION)},
    {SPAN("0;\n\r\n"), FAULT(CHUNK_EXTENSION)},
};

START_TEST(an_extension_is_on_its_line_and_of_its_bytes)
{
    check_body(&bad_extensions[_i], HTTP_FRAMING_CHUNKED, 0);
}
END_TEST

static const struct body_row bad_trailers[] = {
    {SPAN("0\r\n\n"), FAULT(BARE_LF)},
    {SPAN("0\r\n\r\r\n"), FAULT(BARE_CR)},
    {SPAN("0\r\n\rX"), FAULT(BARE_CR)},
    {SPAN("0\r\nX\r\n\r\n"), FAULT(NO_COLON)},
    {SPAN("0\r\n \r\n\r\n"), FAULT(FOLDED_LINE)},
    {SPAN("0\r\nA: b\n\r\n"), FAULT(BARE_LF)},
    {SPAN("0\r\nA: b\r\n\n"), FAULT(BARE_LF)},
    {SPAN("0\r\nA : b\r\n\r\n"), FAULT(SPACE_BEFORE_COLON)},
    {SPAN("0\r\nA: b\r\n c\r\n\r\n"), FAULT(FOLDED_LINE)},
    {SPAN("0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), FAULT(NO_COLON)},
    {SPAN("0\r\nA: \0\r\n\r\n"), FAULT(CONTROL_BYTE)},
    {SPAN("0\r\n1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n\r\n"),
     FAULT(TOO_MANY_FIELDS)},
};

START_TEST(bad_trailers_are_refused)
{
    check_body(&bad_trailers[_i], HTTP_FRAMING_CHUNKED, 0);
}
END_TEST

/* Every beginning of a complete body is incomplete: cut short, not finished. */
START_TEST(a_chunked_body_cut_anywhere_is_not_complete)
{
    struct span whole =
        SPAN("5;a=\"b\\\"\"\r\nhello\r\n6 ;c\r\n world\r\n0\r\nA: b\r\nC: d\r\n\r\n");

    for (size_t len = 0; len < whole.len; len++) {
        struct body_row cut = {.bytes = {whole.at, len}};

        check_bytewise(&cut, HTTP_FRAMING_CHUNKED, 0);
        check_split(&cut, HTTP_FRAMING_CHUNKED, 0, len / 2, len);
    }
}
END_TEST

static const struct {
    uint64_t length;
    struct body_row row;
} with_length[] = {
    {0, {SPAN(""), .content = ""}},
    {0, {SPAN("next"), .content = "", .rest = 4}},
    {5, {SPAN("hello"), .content = "hello"}},
    {5, {SPAN("helloGET / HTTP/1.1\r\n"), .content = "hello", .rest = 16}},
    {6, {.bytes = SPAN("hello")}},
    {1, {.bytes = SPAN("")}},
    {7, {SPAN("0\r\n\r\n\r\n"), .content = "0\r\n\r\n\r\n"}},
    {INT64_MAX, {.bytes = SPAN("hello")}},
    {(uint64_t)1 << 32, {.bytes = SPAN("hello")}},
};

START_TEST(a_body_with_a_length_has_so_many_bytes)
{
    check_body(&with_length[_i].row, HTTP_FRAMING_LENGTH, with_length[_i].length);
}
END_TEST

START_TEST(a_message_without_a_body_is_done_at_once)
{
    struct body_row row = {SPAN("GET / HTTP/1.1"), .content = "", .rest = 14};

    check_body(&row, HTTP_FRAMING_NONE, 0);
    check_body(&row, HTTP_FRAMING_NONE, 5);
}
END_TEST

START_TEST(a_body_until_close_is_everything_and_complete_at_the_end)
{
    struct reading reading;

    start(&reading, HTTP_FRAMING_UNTIL_CLOSE, 0);
    give(&reading, SPAN(""));
    give(&reading, SPAN("0\r\n\r\n"));
    give(&reading, SPAN("more"));
    ck_assert_int_eq(reading.step, HTTP_BODY_MORE);
    ck_assert_str_eq(reading.content.bytes, "0\r\n\r\nmore");
    ck_assert(http_body_ends_at_close(&reading.body));
    end(&reading);
}
END_TEST

/* The limit counts the trailer section with its empty line. */
static const struct {
    uint32_t max_bytes;
    uint16_t max_fields;
    struct span trailers;
    enum http_fault fault;
} limits[] = {
    {2, 8, SPAN("\r\n"), HTTP_FAULT_NONE},
    {8, 8, SPAN("A: b\r\n\r\n"), HTTP_FAULT_NONE},
    {7, 8, SPAN("A: b\r\n\r\n"), HTTP_FAULT_HEAD_TOO_LARGE},
    {1, 8, SPAN("\r\n"), HTTP_FAULT_HEAD_TOO_LARGE},
    {0, 8, SPAN("\r\n"), HTTP_FAULT_HEAD_TOO_LARGE},
    {64, 1, SPAN("A: b\r\n\r\n"), HTTP_FAULT_NONE},
    {64, 1, SPAN("A: b\r\nC: d\r\n\r\n"), HTTP_FAULT_TOO_MANY_FIELDS},
    {64, 0, SPAN("\r\n"), HTTP_FAULT_NONE},
    {64, 0, SPAN("A: b\r\n\r\n"), HTTP_FAULT_TOO_MANY_FIELDS},
};

START_TEST(trailers_keep_to_their_limits)
{
    struct span trailers = limits[_i].trailers;
    bool is_fine = limits[_i].fault == HTTP_FAULT_NONE;

    for (size_t split = 0; split <= trailers.len; split++) {
        struct reading reading;

        start(&reading, HTTP_FRAMING_CHUNKED, 0);
        http_body_init(&reading.body, HTTP_FRAMING_CHUNKED, 0, limits[_i].max_bytes,
                       limits[_i].max_fields);
        give(&reading, SPAN("0\r\n"));
        give(&reading, span_make(trailers.at, split));
        if (reading.step == HTTP_BODY_MORE)
            give(&reading, span_make(trailers.at + split, trailers.len - split));
        ck_assert_int_eq(reading.step, is_fine ? HTTP_BODY_DONE : HTTP_BODY_BAD);
        ck_assert_int_eq(reading.body.fault, limits[_i].fault);
        end(&reading);
    }
}
END_TEST

/* Reads a chunk whose size line is begun so and goes on with so many bytes. */
static enum http_body_step read_long_line(const char *begin, char filler, size_t count)
{
    struct reading reading;
    enum http_body_step step;

    start(&reading, HTTP_FRAMING_CHUNKED, 0);
    give(&reading, span_of(begin));
    for (size_t i = 0; i < count && reading.step == HTTP_BODY_MORE; i++)
        give(&reading, span_make(&filler, 1));
    if (reading.step == HTTP_BODY_MORE)
        give(&reading, SPAN("\r\n\r\n"));
    step = reading.step;
    end(&reading);
    return step;
}

START_TEST(a_size_line_is_bounded)
{
    ck_assert_int_eq(read_long_line("0;", 'a', 1000), HTTP_BODY_DONE);
    ck_assert_int_eq(read_long_line("0;", 'a', 20000), HTTP_BODY_BAD);
    ck_assert_int_eq(read_long_line("0;a=\"", 'a', 20000), HTTP_BODY_BAD);
    ck_assert_int_eq(read_long_line("0 ", ' ', 20000), HTTP_BODY_BAD);
    ck_assert_int_eq(read_long_line("0", '0', 20000), HTTP_BODY_BAD);
}
END_TEST

/* The bound is a line's, not a body's. */
START_TEST(many_chunks_are_no_long_line)
{
    struct reading reading;

    start(&reading, HTTP_FRAMING_CHUNKED, 0);
    for (int i = 0; i < 5000; i++)
        give(&reading, SPAN("1;ext\r\nx\r\n"));
    give(&reading, SPAN(LAST));
    ck_assert_int_eq(reading.step, HTTP_BODY_DONE);
    ck_assert_uint_eq(reading.content.len, 5000);
    end(&reading);
}
END_TEST

START_TEST(the_largest_chunk_is_begun)
{
    struct reading reading;

    start(&reading, HTTP_FRAMING_CHUNKED, 0);
    give(&reading, SPAN("7fffffffffffffff\r\nhello"));
    ck_assert_int_eq(reading.step, HTTP_BODY_MORE);
    ck_assert_str_eq(reading.content.bytes, "hello");
    end(&reading);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/body");
    TCase *chunks = suite_case(suite, "chunked");
    TCase *others = suite_case(suite, "other framings");
    TCase *bounds = suite_case(suite, "limits");

    tcase_add_loop_test(chunks, a_chunked_body_is_its_chunks, 0, ROWS(chunked));
    tcase_add_loop_test(chunks, a_chunk_is_digits_a_line_end_data_and_a_line_end, 0,
                        ROWS(bad_chunks));
    tcase_add_loop_test(chunks, an_extension_is_on_its_line_and_of_its_bytes, 0,
                        ROWS(bad_extensions));
    tcase_add_loop_test(chunks, bad_trailers_are_refused, 0, ROWS(bad_trailers));
    tcase_add_test(chunks, a_chunked_body_cut_anywhere_is_not_complete);
    tcase_add_loop_test(others, a_body_with_a_length_has_so_many_bytes, 0,
                        ROWS(with_length));
    tcase_add_test(others, a_message_without_a_body_is_done_at_once);
    tcase_add_test(others, a_body_until_close_is_everything_and_complete_at_the_end);
    tcase_add_loop_test(bounds, trailers_keep_to_their_limits, 0, ROWS(limits));
    tcase_add_test(bounds, a_size_line_is_bounded);
    tcase_add_test(bounds, many_chunks_are_no_long_line);
    tcase_add_test(bounds, the_largest_chunk_is_begun);
    return run_suite(suite);
}
