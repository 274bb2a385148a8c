/*
 * Random valid heads, the same ones in every run: forwarded, given a key, and parsed
 * again. What must come out is worked out here from the field names alone, by the list in
 * INTERFACES, and not with what the gateway knows of fields.
 */
#include "gateway/forward.h"
#include "support/heads.h"

#define KEY "the-key"
#define AUTHORITY "api.test:8443"

enum { HEADS = 2000, MOST_LINES = 24 };

struct numbers {
    uint64_t state;
};

static size_t below(struct numbers *numbers, size_t limit)
{
    numbers->state ^= numbers->state << 13;
    numbers->state ^= numbers->state >> 7;
    numbers->state ^= numbers->state << 17;
    return (size_t)(numbers->state >> 11) % limit;
}

static const char *pick(struct numbers *numbers, const char *const *list, size_t count)
{
    return list[below(numbers, count)];
}

/* A field line that was made up: what it is called, and the whole of it. */
struct made {
    const char *name;
    struct text line;
};

struct made_head {
    struct made lines[MOST_LINES];
    unsigned count;
    struct text named; /* what Connection names: ",a,b," in lower case */
    bool has_authorization, has_api_key, is_framed;
    const char *version;
};

static const char *const others[] = {
    "Accept",
    "accept",
    "X-A",
    "x-a",
    "X-B",
    "x_b",
    "User-Agent",
    "Via",
    "Cookie",
    "Range",
    "Forwarded",
    "Content-Type",
    "!#$%&'*+.^`|~9",
    "If-None-Match",
    "Trailer",
    "Set-Cookie",
};
static const char *const hop_by_hop[] = {
    "Keep-Alive",
    "keep-ALIVE",
    "TE",
    "te",
    "Upgrade",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Proxy-Authenticate",
};
static const char *const nameable[] = {
    "x-a",
    "X-B",
    "accept",
    "VIA",
    "cookie",
    "close",
    "keep-alive",
    "host",
    "authorization",
    "content-length",
    "transfer-encoding",
    "x-unknown",
    "connection",
    "x-api-key",
};
static const char *const spaces[] = {"", " ", "  ", "\t", " \t "};

/* A line of that name; its value of visible bytes with blanks only inside, if not given.
 */
static void make_line(struct made_head *made, struct numbers *numbers, const char *name,
                      const char *value)
{
    struct made *line = &made->lines[made->count++];
    size_t len = value == NULL ? below(numbers, 30) : 0;

    *line = (struct made){.name = name};
    text_add_format(&line->line, "%s:%s", name, pick(numbers, spaces, ROWS(spaces)));
    for (size_t i = 0; i < len; i++) {
        size_t byte = below(numbers, 256);
        bool is_text = byte > 0x20 && byte != 0x7f;

        text_add_byte(&line->line, is_text ? (char)byte : 'x');
        if (i + 1 < len && below(numbers, 8) == 0)
            text_add_byte(&line->line, below(numbers, 2) == 0 ? ' ' : '\t');
    }
    text_add(&line->line, value != NULL ? span_of(value) : SPAN(""));
    text_add_format(&line->line, "%s\r\n", pick(numbers, spaces, ROWS(spaces)));
}

static void make_connection(struct made_head *made, struct numbers *numbers)
{
    struct text list = {0};

    text_add(&list, SPAN(""));
    for (size_t i = below(numbers, 4); i > 0; i--) {
        const char *name = pick(numbers, nameable, ROWS(nameable));

        text_add_format(&list, "%s%s,", pick(numbers, spaces, ROWS(spaces)), name);
        for (const char *c = name; *c != '\0'; c++)
            text_add_byte(&made->named, ascii_lower(*c));
        text_add_byte(&made->named, ',');
    }
    make_line(made, numbers, "Connection", list.bytes);
    text_fini(&list);
}

static void make_framing(struct made_head *made, struct numbers *numbers)
{
    made->is_framed = true;
    if (below(numbers, 2) == 0)
        make_line(made, numbers, "content-Length", "120");
    else
        make_line(made, numbers, "Transfer-Encoding", "chunked");
}

/* Each field that may come once comes at most once, at any place; Host always does. */
static void make_head(struct made_head *made, struct numbers *numbers)
{
    size_t count = 1 + below(numbers, MOST_LINES - 4), host = below(numbers, count);

    *made = (struct made_head){.version = "HTTP/1.1"};
    text_add_byte(&made->named, ',');
    for (size_t i = 0; i < count; i++) {
        size_t what = below(numbers, 20);

        if (i == host)
            make_line(made, numbers, below(numbers, 2) == 0 ? "Host" : "hOST", "gw.test");
        else if (what == 0 && !made->has_authorization)
            made->has_authorization = true,
            make_line(made, numbers, "aUthorization", "Bearer secret");
        else if (what == 1 && !made->has_api_key)
            made->has_api_key = true, make_line(made, numbers, "X-Api-Key", "secret");
        else if (what == 2 && !made->is_framed)
            make_framing(made, numbers);
        else if (what < 5)
            make_connection(made, numbers);
        else if (what < 9)
            make_line(made, numbers, pick(numbers, hop_by_hop, ROWS(hop_by_hop)), NULL);
        else
            make_line(made, numbers, pick(numbers, others, ROWS(others)), NULL);
    }
}

static void end_head(struct made_head *made)
{
    for (unsigned i = 0; i < made->count; i++)
        text_fini(&made->lines[i].line);
    text_fini(&made->named);
}

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal_nocase(span_of(name), span_of(list[i])))
            return true;
    }
    return false;
}

static bool is_called(const struct made *made, const char *name)
{
    return is_one_of(made->name, &name, 1);
}

static bool is_named(const struct made_head *made, const char *name)
{
    struct text wanted = {0};
    bool found;

    text_add_byte(&wanted, ',');
    for (; *name != '\0'; name++)
        text_add_byte(&wanted, ascii_lower(*name));
    text_add_byte(&wanted, ',');
    found = strstr(made->named.bytes, wanted.bytes) != NULL;
    text_fini(&wanted);
    return found;
}

/* What becomes of one line, by INTERFACES. */
static void expect_line(const struct made_head *made, const struct made *line,
                        struct text *out)
{
    static const char *const connection[] = {"Connection"};

    if (is_called(line, "Host"))
        text_add_format(out, "%s: " AUTHORITY "\r\n", line->name);
    else if (is_called(line, "Authorization"))
        text_add_format(out, "%s: Bearer " KEY "\r\n", line->name);
    else if (is_called(line, "X-Api-Key"))
        text_add_format(out, "%s",
                        made->has_authorization ? ""
                                                : "Authorization: Bearer " KEY "\r\n");
    else if (is_called(line, "Content-Length"))
        text_add_format(out, "%s: 120\r\n", line->name);
    else if (is_called(line, "Transfer-Encoding"))
        text_add_format(out, "%s: chunked\r\n", line->name);
    else if (!is_one_of(line->name, hop_by_hop, ROWS(hop_by_hop)) &&
             !is_one_of(line->name, connection, 1) && !is_named(made, line->name))
        text_add(out, span_make(line->line.bytes, line->line.len));
}

static void expect(const struct made_head *made, struct text *out)
{
    text_add(out, SPAN("PUT /a?b HTTP/1.1\r\n"));
    for (unsigned i = 0; i < made->count; i++)
        expect_line(made, &made->lines[i], out);
    if (!made->has_authorization && !made->has_api_key)
        text_add(out, SPAN("Authorization: Bearer " KEY "\r\n"));
    text_add(out, SPAN("Via: 1.1 psgate\r\n\r\n"));
}

static void write_out(const struct made_head *made, struct text *out)
{
    text_add(out, SPAN("PUT /a?b HTTP/1.1\r\n"));
    for (unsigned i = 0; i < made->count; i++)
        text_add(out, span_make(made->lines[i].line.bytes, made->lines[i].line.len));
    text_add(out, SPAN("\r\n"));
}

/* The forwarded head with the key put in, as upstream gets it. */
static void forward(struct span request, struct text *out)
{
    const struct forward_options options = {.authority = AUTHORITY};
    struct admission admission = {.token = SPAN("secret")};
    struct http_head head;
    struct text before = {0};
    enum http_fault fault;
    size_t key_at = SIZE_MAX;

    must_parse(&head, HTTP_REQUEST, request);
    ck_assert(http_target_split(head.target, head.method, &admission.target, &fault));
    ck_assert(http_request_framing(&head, &admission.framing, &admission.length, &fault));
    ck_assert(forward_request_head(&head, &admission, &options, &before, &key_at));
    ck_assert_uint_le(key_at, before.len);
    text_add(out, span_make(before.bytes, key_at));
    text_add(out, SPAN(KEY));
    text_add(out, span_make(before.bytes + key_at, before.len - key_at));
    text_fini(&before);
    http_head_fini(&head);
}

/* Upstream's view: the same fields in the same order as in what was expected, and no
 * more. */
static void assert_same_fields(struct span got, struct span expected)
{
    struct http_head head, wanted;
    enum http_framing framing;
    enum http_fault fault;
    uint64_t length;
    unsigned hosts, keys;

    must_parse(&head, HTTP_REQUEST, got);
    must_parse(&wanted, HTTP_REQUEST, expected);
    ck_assert_uint_eq(head.len, got.len);
    ck_assert_uint_eq(head.field_count, wanted.field_count);
    for (unsigned i = 0; i < head.field_count; i++) {
        assert_span_is(http_field_name(&head, &head.fields[i]),
                       http_field_name(&wanted, &wanted.fields[i]), "a name");
        assert_span_is(http_field_value(&head, &head.fields[i]),
                       http_field_value(&wanted, &wanted.fields[i]), "a value");
    }
    (void)http_head_find(&head, HTTP_FIELD_HOST, &hosts);
    (void)http_head_find(&head, HTTP_FIELD_AUTHORIZATION, &keys);
    ck_assert_uint_eq(hosts, 1);
    ck_assert_uint_eq(keys, 1);
    ck_assert_ptr_null(http_head_find(&head, HTTP_FIELD_X_API_KEY, NULL));
    ck_assert(http_request_framing(&head, &framing, &length, &fault));
    http_head_fini(&head);
    http_head_fini(&wanted);
}

static void check_one(struct numbers *numbers)
{
    struct made_head made;
    struct text request = {0}, got = {0}, expected = {0};
    struct span exact;

    make_head(&made, numbers);
    write_out(&made, &request);
    exact = exact_span(span_make(request.bytes, request.len));
    forward(exact, &got);
    expect(&made, &expected);
    assert_same_fields(span_make(got.bytes, got.len),
                       span_make(expected.bytes, expected.len));
    ck_assert_msg(span_equal(span_make(got.bytes, got.len),
                             span_make(expected.bytes, expected.len)),
                  "not byte for byte: '%s'", shown(exact));
    ck_assert_ptr_null(strstr(got.bytes, "secret"));
    free((char *)(uintptr_t)exact.at);
    text_fini(&request);
    text_fini(&got);
    text_fini(&expected);
    end_head(&made);
}

static const uint64_t seeds[] = {1, 20260701, 0x9e3779b97f4a7c15, 42};

START_TEST(a_random_head_arrives_with_the_fields_it_may_keep_and_no_others)
{
    struct numbers numbers = {seeds[_i]};

    for (int i = 0; i < HEADS; i++)
        check_one(&numbers);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/forward, round trip");
    TCase *random = suite_case(suite, "random");

    tcase_add_loop_test(random,
                        a_random_head_arrives_with_the_fields_it_may_keep_and_no_others,
                        0, ROWS(seeds));
    return run_suite(suite);
}
