/*
 * Request heads: parsed whole, in steps and by a slow reader, forwarded with a key, and
 * parsed again. What arrives must be what was sent, apart from what INTERFACES lists.
 */
#include "fuzz/slow_head.h"
#include "gateway/forward.h"
#include "http/body.h"
#include "http/target.h"

#define AUTHORITY "api.test:8443"

/* What goes on as it came: not the gateway's to replace, and not of this hop. */
static bool is_passed_on(const struct http_head *head, unsigned i)
{
    const struct http_field *field = &head->fields[i];

    switch (field->id) {
    case HTTP_FIELD_HOST:
    case HTTP_FIELD_AUTHORIZATION:
    case HTTP_FIELD_X_API_KEY:
    case HTTP_FIELD_TRANSFER_ENCODING:
    case HTTP_FIELD_CONTENT_LENGTH:
        return false;
    case HTTP_FIELD_EXPECT:
        return head->minor == 1 && !field->is_hop_by_hop;
    default:
        return !field->is_hop_by_hop;
    }
}

/* The forwarded head's last field is the gateway's Via; those before are compared. */
static void require_same_fields(const struct http_head *sent, const struct http_head *got)
{
    unsigned j = 0;

    for (unsigned i = 0; i < sent->field_count; i++) {
        if (!is_passed_on(sent, i))
            continue;
        while (j + 1 < got->field_count && !is_passed_on(got, j))
            j++;
        fuzz_require(j + 1 < got->field_count, "a field is not forwarded: '%s'",
                     fuzz_shown(http_field_name(sent, &sent->fields[i])));
        fuzz_require(fuzz_same_field(sent, i, got, j), "field '%s' arrives changed",
                     fuzz_shown(http_field_name(sent, &sent->fields[i])));
        j++;
    }
    while (j + 1 < got->field_count && !is_passed_on(got, j))
        j++;
    fuzz_require(j + 1 == got->field_count, "a field arrives that nobody sent: '%s'",
                 fuzz_shown(http_field_name(got, &got->fields[j])));
}

static void require_one_of_each(const struct http_head *got)
{
    static const enum http_field_id once[] = {HTTP_FIELD_HOST, HTTP_FIELD_AUTHORIZATION};
    unsigned count;

    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        (void)http_head_find(got, once[i], &count);
        fuzz_require(count == 1, "field %d is there %u times", (int)once[i], count);
    }
    fuzz_require(!http_head_has(got, HTTP_FIELD_X_API_KEY), "X-Api-Key is forwarded");
    fuzz_require(!http_head_has(got, HTTP_FIELD_CONNECTION), "Connection is forwarded");
}

static void require_same_request(const struct http_head *sent,
                                 const struct admission *admission, struct span forwarded)
{
    struct fuzz_head got;
    struct http_target target;
    enum http_framing framing;
    enum http_fault fault;
    uint64_t length;

    fuzz_head_start(&got, HTTP_REQUEST);
    http_head_fini(&got.head);
    fuzz_require(http_head_init(&got.head, FUZZ_FIELDS + 4), "out of memory");
    http_head_reset(&got.head, HTTP_REQUEST);
    got.bytes = fuzz_copy(forwarded);
    got.parse = http_head_parse(&got.head, got.bytes.at, got.bytes.len, SIZE_MAX);
    fuzz_require(got.parse == HTTP_PARSE_DONE && got.head.len == forwarded.len,
                 "what is forwarded is no head: %s", http_fault_text(got.head.fault));
    fuzz_require(span_equal(got.head.method, sent->method), "the method is changed");
    fuzz_require(http_target_split(got.head.target, got.head.method, &target, &fault) &&
                     span_equal(target.path, admission->target.path) &&
                     span_equal(target.query, admission->target.query),
                 "the target is changed");
    fuzz_require(http_request_framing(&got.head, &framing, &length, &fault) &&
                     framing == admission->framing && length == admission->length,
                 "the framing is changed");
    require_same_fields(sent, &got.head);
    require_one_of_each(&got.head);
    fuzz_head_end(&got);
}

/* A credential that is repeated is refused before anything is forwarded. */
static bool has_repeated_credential(const struct http_head *head)
{
    unsigned authorizations, keys;

    (void)http_head_find(head, HTTP_FIELD_AUTHORIZATION, &authorizations);
    (void)http_head_find(head, HTTP_FIELD_X_API_KEY, &keys);
    return authorizations > 1 || keys > 1;
}

static void forward(const struct http_head *head)
{
    const struct forward_options options = {.authority = AUTHORITY};
    struct admission admission = {.token = SPAN("")};
    struct text out = {0}, whole = {0};
    enum http_fault fault;
    size_t key_at = SIZE_MAX;

    if (has_repeated_credential(head) ||
        !http_target_split(head->target, head->method, &admission.target, &fault) ||
        !http_check_host(head, &admission.target, &fault) ||
        !http_request_framing(head, &admission.framing, &admission.length, &fault))
        return;
    fuzz_require(forward_request_head(head, &admission, &options, &out, &key_at) &&
                     key_at <= out.len,
                 "no place for the key");
    text_add(&whole, span_make(out.bytes, key_at));
    text_add(&whole, SPAN("the-key"));
    text_add(&whole, span_make(out.bytes + key_at, out.len - key_at));
    require_same_request(head, &admission, fuzz_text(&whole));
    text_fini(&out);
    text_fini(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);
    struct fuzz_head whole;

    fuzz_head_parse(&whole, HTTP_REQUEST, input);
    fuzz_head_again(&whole, input, 1);
    fuzz_head_again(&whole, input, 7);
    slow_head_judge(&whole, input);
    if (whole.parse == HTTP_PARSE_DONE)
        forward(&whole.head);
    fuzz_head_end(&whole);
    return 0;
}
