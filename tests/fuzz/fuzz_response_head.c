/*
 * Response heads: parsed whole, in steps and by a slow reader, passed on to the client,
 * and parsed again. The first byte says what the gateway was asked and how it frames the
 * body.
 */
#include "fuzz/slow_head.h"
#include "gateway/forward.h"
#include "http/body.h"

static bool is_passed_on(const struct http_head *head, unsigned i)
{
    const struct http_field *field = &head->fields[i];

    switch (field->id) {
    case HTTP_FIELD_TRANSFER_ENCODING:
    case HTTP_FIELD_CONNECTION:
    case HTTP_FIELD_UPGRADE:
        return false;
    case HTTP_FIELD_CONTENT_LENGTH:
        return head->status >= 200 && head->status != 204;
    default:
        return !field->is_hop_by_hop;
    }
}

static void require_same_fields(const struct http_head *sent, const struct http_head *got)
{
    unsigned j = 0;

    for (unsigned i = 0; i < sent->field_count; i++) {
        if (!is_passed_on(sent, i))
            continue;
        while (j < got->field_count && !is_passed_on(got, j))
            j++;
        fuzz_require(j < got->field_count && fuzz_same_field(sent, i, got, j),
                     "field '%s' does not arrive as it was sent",
                     fuzz_shown(http_field_name(sent, &sent->fields[i])));
        j++;
    }
    while (j < got->field_count && !is_passed_on(got, j))
        j++;
    fuzz_require(j == got->field_count, "a field arrives that nobody sent");
}

/* How the gateway frames what upstream framed so, for a client of HTTP/1.1. */
static enum forward_body body_of(enum http_framing framing)
{
    switch (framing) {
    case HTTP_FRAMING_NONE:
        break;
    case HTTP_FRAMING_LENGTH:
        return FORWARD_LENGTH;
    case HTTP_FRAMING_CHUNKED:
    case HTTP_FRAMING_UNTIL_CLOSE:
        return FORWARD_CHUNKED;
    }
    return FORWARD_NONE;
}

static void pass_on(const struct http_head *head, bool to_head)
{
    struct text out = {0};
    struct fuzz_head got;
    enum http_framing framing, framing_got;
    uint64_t length, length_got;
    enum http_fault fault;

    if (!http_response_framing(head, to_head, &framing, &length, &fault))
        return;
    fuzz_require(
        forward_response_head(head, body_of(framing), FORWARD_KEEP, SPAN(""), &out),
        "out of memory");
    fuzz_head_start(&got, HTTP_RESPONSE);
    http_head_fini(&got.head);
    fuzz_require(http_head_init(&got.head, FUZZ_FIELDS + 1), "out of memory");
    http_head_reset(&got.head, HTTP_RESPONSE);
    got.bytes = fuzz_copy(fuzz_text(&out));
    got.parse = http_head_parse(&got.head, got.bytes.at, got.bytes.len, SIZE_MAX);
    fuzz_require(got.parse == HTTP_PARSE_DONE && got.head.len == out.len,
                 "what the client gets is no head: %s", http_fault_text(got.head.fault));
    fuzz_require(got.head.status == head->status, "the status is changed");
    fuzz_require(span_equal(got.head.reason, head->reason), "the reason is changed");
    require_same_fields(head, &got.head);
    fuzz_require(
        http_response_framing(&got.head, to_head, &framing_got, &length_got, &fault) &&
            body_of(framing_got) == body_of(framing) &&
            (framing != HTTP_FRAMING_LENGTH || length_got == length),
        "the framing is changed");
    fuzz_head_end(&got);
    text_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);
    bool to_head = (fuzz_byte(&input) & 1) != 0;
    struct fuzz_head whole;

    fuzz_head_parse(&whole, HTTP_RESPONSE, input);
    fuzz_head_again(&whole, input, 1);
    fuzz_head_again(&whole, input, 5);
    slow_head_judge(&whole, input);
    if (whole.parse == HTTP_PARSE_DONE)
        pass_on(&whole.head, to_head);
    fuzz_head_end(&whole);
    return 0;
}
