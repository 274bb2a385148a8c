/*
 * A message's framing and body, both ways: read whole and in steps, and by a reader that
 * has the whole message before it and takes its time. Byte 0 chooses request or response
 * and the step; then come a head and its body.
 */
#include "fuzz/heads.h"
#include "http/body.h"

enum { MOST_TRAILER_BYTES = 512, MOST_TRAILERS = 8 };

enum verdict { COMPLETE, UNFINISHED, REFUSED };

struct reading {
    enum verdict verdict;
    struct text content;
    size_t used; /* of the input, when COMPLETE */
};

/* The real reader, fed in steps. */
static void read_in_steps(struct span whole, enum http_framing framing, uint64_t length,
                          size_t step, struct reading *reading)
{
    enum http_body_step last = HTTP_BODY_MORE;
    struct http_body body;
    size_t given = 0;

    *reading = (struct reading){.verdict = UNFINISHED};
    http_body_init(&body, framing, length, MOST_TRAILER_BYTES, MOST_TRAILERS);
    do {
        size_t more = whole.len - given < step ? whole.len - given : step;
        struct span block = fuzz_copy(span_make(whole.at + given, more));
        struct span input = block, content;

        given += more;
        while ((last = http_body_read(&body, &input, &content)) == HTTP_BODY_CONTENT)
            text_add(&reading->content, content);
        reading->used = given - input.len;
        fuzz_require(last != HTTP_BODY_MORE || input.len == 0,
                     "more is wanted, with %zu bytes unread", input.len);
        fuzz_free(block);
    } while (last == HTTP_BODY_MORE && given < whole.len);
    if (last == HTTP_BODY_DONE)
        reading->verdict = COMPLETE;
    else if (last == HTTP_BODY_BAD)
        reading->verdict = REFUSED;
    else if (http_body_ends_at_close(&body))
        reading->verdict = COMPLETE;
    fuzz_require((body.fault != HTTP_FAULT_NONE) == (reading->verdict == REFUSED),
                 "a fault without a refusal, or the other way round");
    http_body_fini(&body);
}

/* The slow reader. */

static bool is_one_of(char byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

/* What may follow the digits of a size: nothing, or blanks, ';' and extensions. */
static bool is_extension(struct span rest)
{
    static const char free[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789!#$%&'*+-.^_`|~;= \t";

    if (rest.len == 0)
        return true;
    while (rest.len > 0 && is_one_of(rest.at[0], " \t"))
        (void)fuzz_byte(&rest);
    if (rest.len == 0 || rest.at[0] != ';')
        return false;
    while (rest.len > 0) {
        char byte = (char)fuzz_byte(&rest);

        if (byte == '"') {
            while (rest.len > 0 && rest.at[0] != '"') {
                unsigned inside = fuzz_byte(&rest);

                if (inside == '\\' && rest.len > 0)
                    inside = fuzz_byte(&rest);
                if ((inside < 0x20 && inside != '\t') || inside == 0x7f)
                    return false;
            }
            if (rest.len == 0)
                return false;
            (void)fuzz_byte(&rest);
        } else if (!is_one_of(byte, free)) {
            return false;
        }
    }
    return true;
}

/* Reads "SIZE[;EXTENSIONS]"; a size is at most INT64_MAX. */
static bool read_size(struct span line, uint64_t *size)
{
    size_t digits = 0;

    *size = 0;
    while (digits < line.len && is_one_of(line.at[digits], "0123456789abcdefABCDEF")) {
        char digit[] = {line.at[digits++], '\0'};

        if (*size > INT64_MAX / 16)
            return false;
        *size = *size * 16 + strtoul(digit, NULL, 16);
    }
    return digits > 0 && is_extension(span_make(line.at + digits, line.len - digits));
}

/* Takes a line off; false when its end is not there, or is not CR LF. */
static bool take_line(struct span *rest, struct span *line)
{
    const char *cr = rest->len > 0 ? memchr(rest->at, '\r', rest->len) : NULL;
    size_t len = cr != NULL ? (size_t)(cr - rest->at) : rest->len;

    if (len + 2 > rest->len || rest->at[len + 1] != '\n')
        return false;
    *line = span_make(rest->at, len);
    (void)fuzz_take(rest, len + 2);
    return true;
}

/* Content up to where the coding ends or breaks; *rest is then what was not read. */
static bool read_chunks(struct span *rest, struct text *content)
{
    for (;;) {
        struct span line;
        uint64_t size;

        if (!take_line(rest, &line) || !read_size(line, &size))
            return false;
        if (size == 0)
            return true;
        text_add(content, fuzz_take(rest, (size_t)size));
        if (rest->len < 2 || memcmp(rest->at, "\r\n", 2) != 0)
            return false;
        (void)fuzz_take(rest, 2);
    }
}

/* The trailer section ends with an empty line: its length, or 0 when there is none. */
static size_t trailer_length(struct span rest)
{
    struct span left = rest, line;

    while (take_line(&left, &line)) {
        if (line.len == 0)
            return rest.len - left.len;
    }
    return 0;
}

static void judge_chunked(struct span whole, const struct reading *reading)
{
    struct span rest = whole;
    struct text content = {0};
    bool has_ended = read_chunks(&rest, &content);
    size_t trailers = has_ended ? trailer_length(rest) : 0;

    fuzz_require(span_equal(fuzz_text(&content), fuzz_text(&reading->content)),
                 "the slow reader's content is '%s'", fuzz_shown(fuzz_text(&content)));
    if (reading->verdict == COMPLETE)
        fuzz_require(trailers > 0 && reading->used == whole.len - rest.len + trailers,
                     "the body ends at %zu, says the reader", reading->used);
    if (trailers == 2)
        fuzz_require(reading->verdict == COMPLETE, "a sound body is not taken");
    text_fini(&content);
}

static void judge(struct span whole, enum http_framing framing, uint64_t length,
                  const struct reading *reading)
{
    struct span rest = whole;
    struct span content = {0};

    switch (framing) {
    case HTTP_FRAMING_CHUNKED:
        judge_chunked(whole, reading);
        return;
    case HTTP_FRAMING_LENGTH:
        content = fuzz_take(&rest, length < SIZE_MAX ? (size_t)length : SIZE_MAX);
        fuzz_require((reading->verdict == COMPLETE) == (content.len == length),
                     "a body of a length is not complete with its last byte");
        break;
    case HTTP_FRAMING_UNTIL_CLOSE:
        content = fuzz_take(&rest, SIZE_MAX);
        fuzz_require(reading->verdict == COMPLETE, "the close does not end a body");
        break;
    case HTTP_FRAMING_NONE:
        fuzz_require(reading->verdict == COMPLETE, "no body, but it is not complete");
        break;
    }
    fuzz_require(span_equal(content, fuzz_text(&reading->content)),
                 "the content is another");
    fuzz_require(reading->verdict != COMPLETE || reading->used == whole.len - rest.len,
                 "the body ends elsewhere");
}

/* RFC 9112 6.3, read from the fields' names and values alone. */
static bool decide(const struct http_head *head, bool to_head, enum http_framing *framing,
                   uint64_t *length)
{
    unsigned lengths = 0, codings = 0;
    bool is_sound = true;

    *length = 0;
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span name = http_field_name(head, &head->fields[i]);
        struct span value = http_field_value(head, &head->fields[i]);

        if (span_equal_nocase(name, SPAN("content-length"))) {
            lengths++;
            is_sound = is_sound && span_to_number(value, INT64_MAX, length);
        } else if (span_equal_nocase(name, SPAN("transfer-encoding"))) {
            codings++;
            is_sound =
                is_sound && span_equal_nocase(value, SPAN("chunked")) && head->minor == 1;
        }
    }
    *framing = codings > 0                   ? HTTP_FRAMING_CHUNKED
               : lengths > 0                 ? HTTP_FRAMING_LENGTH
               : head->kind == HTTP_RESPONSE ? HTTP_FRAMING_UNTIL_CLOSE
                                             : HTTP_FRAMING_NONE;
    if (head->kind == HTTP_RESPONSE &&
        (to_head || head->status < 200 || head->status == 204 || head->status == 304))
        *framing = HTTP_FRAMING_NONE;
    return is_sound && lengths + codings < 2;
}

static void read_body(const struct http_head *head, bool to_head, struct span rest,
                      size_t step)
{
    enum http_framing framing, wanted;
    uint64_t length, wanted_length;
    enum http_fault fault;
    struct reading whole, stepped;
    bool is_framed =
        head->kind == HTTP_REQUEST
            ? http_request_framing(head, &framing, &length, &fault)
            : http_response_framing(head, to_head, &framing, &length, &fault);

    fuzz_require(decide(head, to_head, &wanted, &wanted_length) == is_framed,
                 "framing is %s", is_framed ? "taken" : "refused");
    if (!is_framed)
        return;
    fuzz_require(framing == wanted, "framing is %d, not %d", (int)framing, (int)wanted);
    fuzz_require(framing != HTTP_FRAMING_LENGTH || length == wanted_length,
                 "the length is another");
    read_in_steps(rest, framing, length, SIZE_MAX, &whole);
    read_in_steps(rest, framing, length, step, &stepped);
    fuzz_require(whole.verdict == stepped.verdict &&
                     span_equal(fuzz_text(&whole.content), fuzz_text(&stepped.content)) &&
                     (whole.verdict != COMPLETE || whole.used == stepped.used),
                 "whole and in steps of %zu differ", step);
    judge(rest, framing, length, &whole);
    text_fini(&whole.content);
    text_fini(&stepped.content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);
    unsigned choice = fuzz_byte(&input);
    struct fuzz_head head;

    fuzz_head_parse(&head, (choice & 1) != 0 ? HTTP_RESPONSE : HTTP_REQUEST, input);
    if (head.parse == HTTP_PARSE_DONE) {
        (void)fuzz_take(&input, head.head.len);
        read_body(&head.head, (choice & 2) != 0, input, (choice >> 2 & 7) + 1);
    }
    fuzz_head_end(&head);
    return 0;
}
