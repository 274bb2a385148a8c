/*
 * Cache-Control and the other fields that caching looks at: a slow reader comes to the
 * same directives; the same elements in another order, one a field, in capitals mean the
 * same; an answer never becomes better with age; dates and entity-tags mean the same when
 * written again. The input is field lines, behind two bytes of choices.
 */
#include <ctype.h>

#include "cache/freshness.h"
#include "cache/validators.h"
#include "cache/vary.h"
#include "fuzz/slow_directives.h"
#include "gateway/trace.h"
#include "http/date.h"

enum { MOST_ELEMENTS = 64 };
#define NOW_MS INT64_C(1767225600000) /* 2026-01-01 */

/* The elements of all Cache-Control fields. */
struct elements {
    struct span list[MOST_ELEMENTS];
    size_t count;
};

/* Whether what stands before a quote is NAME=, so that a quoted string begins there. */
static bool is_name_and_equals(struct span text)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (!isalnum((unsigned char)text.at[i]) && text.at[i] != '-')
            return false;
    }
    return text.len > 1 && text.at[text.len - 1] == '=';
}

/* False: quotes stand where none belong, or have no end; or there are too many. */
static bool split(struct span value, struct elements *elements)
{
    while (value.len > 0) {
        bool is_quoted = false;
        size_t len = 0;

        for (; len < value.len && (is_quoted || value.at[len] != ','); len++) {
            if (value.at[len] == '"') {
                if (!is_quoted &&
                    !is_name_and_equals(span_trim(span_make(value.at, len))))
                    return false;
                is_quoted = !is_quoted;
            } else if (is_quoted && value.at[len] == '\\')
                return false; /* what that escapes is not split here */
        }
        if (is_quoted || elements->count == MOST_ELEMENTS)
            return false;
        elements->list[elements->count++] = fuzz_take(&value, len);
        (void)fuzz_take(&value, 1);
    }
    return true;
}

static bool collect(const struct http_head *head, struct elements *elements)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == HTTP_FIELD_CACHE_CONTROL &&
            !split(http_field_value(head, &head->fields[i]), elements))
            return false;
    }
    return true;
}

/* The same elements the other way round: a field each, or all in one; in capitals. */
static void rewrite(const struct elements *elements, enum http_head_kind kind, bool one,
                    struct text *out)
{
    text_add(out, kind == HTTP_REQUEST ? SPAN("GET / HTTP/1.1\r\n")
                                       : SPAN("HTTP/1.1 200 OK\r\n"));
    if (one)
        text_add(out, SPAN("Cache-Control:"));
    for (size_t i = elements->count; i-- > 0;) {
        text_add(out, one ? SPAN(" ,\t") : SPAN("CACHE-control:"));
        for (size_t k = 0; k < elements->list[i].len; k++)
            text_add_byte(out, (char)toupper((unsigned char)elements->list[i].at[k]));
        if (!one)
            text_add(out, SPAN("\r\n"));
    }
    text_add(out, one ? SPAN("\r\n\r\n") : SPAN("\r\n"));
}

static bool are_same(const struct cache_directives *a, const struct cache_directives *b)
{
    return a->is_present == b->is_present && a->no_store == b->no_store &&
           a->no_cache == b->no_cache && a->only_if_cached == b->only_if_cached &&
           a->is_private == b->is_private && a->is_public == b->is_public &&
           a->must_revalidate == b->must_revalidate &&
           a->proxy_revalidate == b->proxy_revalidate &&
           a->must_understand == b->must_understand &&
           a->names_fields == b->names_fields && a->max_age == b->max_age &&
           a->s_maxage == b->s_maxage && a->min_fresh == b->min_fresh &&
           a->max_stale == b->max_stale &&
           a->stale_while_revalidate == b->stale_while_revalidate &&
           a->stale_if_error == b->stale_if_error;
}

/* The slow reader's opinion; what it has no room for is left out. */
static void check_meaning(const struct elements *elements,
                          const struct cache_directives *directives)
{
    struct cache_directives wanted;

    cache_directives_clear(&wanted);
    wanted.is_present = true;
    for (size_t i = 0; i < elements->count; i++) {
        struct slow_directive read = slow_directive_read(elements->list[i]);

        if (elements->list[i].len >= sizeof(read.name))
            return;
        slow_directive_add(&read, &wanted);
    }
    fuzz_require(are_same(directives, &wanted), "the slow reader means something else");
}

static void check_directives(const struct http_head *head,
                             const struct cache_directives *directives)
{
    struct elements elements = {.count = 0};

    if (!collect(head, &elements) || elements.count == 0)
        return;
    check_meaning(&elements, directives);
    for (int one = 0; one < 2; one++) {
        struct cache_directives again;
        struct text text = {0};
        struct http_head other;

        rewrite(&elements, head->kind, one == 1, &text);
        fuzz_require(http_head_init(&other, MOST_ELEMENTS), "out of memory");
        http_head_reset(&other, head->kind);
        if (http_head_parse(&other, text.bytes, text.len, 65536) == HTTP_PARSE_DONE) {
            cache_directives_read(&other, &again);
            fuzz_require(are_same(directives, &again),
                         "another order means something else: %s",
                         fuzz_shown(fuzz_text(&text)));
        }
        http_head_fini(&other);
        text_fini(&text);
    }
}

static void check_use(const struct http_head *answer,
                      const struct cache_directives *asked, unsigned choice)
{
    const struct operation_cache rule = {
        .freshness =
            (choice & 1) != 0 ? OPERATION_FRESHNESS_FIXED : OPERATION_FRESHNESS_UPSTREAM,
        .ttl_ms = (choice & 2) != 0 || (choice & 1) != 0 ? 5000 : -1,
        .stale_while_revalidate_ms = 3000,
        .stale_if_error_ms = 9000,
    };
    const struct cache_times times = {NOW_MS - 200, NOW_MS};
    enum cache_use before = CACHE_USE_NOW;
    bool served_on_error = true;
    struct cache_policy policy;

    if (!cache_may_store(&rule, asked, answer, &times, &policy))
        return;
    fuzz_require(!asked->no_store && !http_head_has(answer, HTTP_FIELD_SET_COOKIE),
                 "it is stored, and must not be");
    fuzz_require(policy.initial_age_ms >= 0 && policy.lifetime_ms >= 0,
                 "an age or a lifetime below 0");
    for (int64_t age = policy.initial_age_ms; age < INT64_C(1) << 50;
         age += age / 3 + 1) {
        enum cache_use use = cache_judge_use(&policy, age, asked);
        bool on_error = cache_may_serve_on_error(&policy, age, asked);

        fuzz_require(use >= before && on_error <= served_on_error,
                     "with age %lld an answer is better than before", (long long)age);
        before = use;
        served_on_error = on_error;
    }
    fuzz_require(before == CACHE_USE_AFTER_ASKING || asked->max_stale > 0,
                 "an answer that never grows old");
}

static void check_vary(const struct http_head *answer, const struct http_head *request)
{
    struct text names = {0}, key = {0};
    struct span rest, name, before = {0};

    if (cache_vary_names(answer, &names)) {
        for (size_t i = 0; i < names.len; i++)
            fuzz_require(!isupper((unsigned char)names.bytes[i]), "a name in capitals");
        rest = fuzz_text(&names);
        if (memchr(rest.len > 0 ? rest.at : "", '"', rest.len) == NULL) {
            while (http_list_next(&rest, &name)) {
                fuzz_require(!span_equal(name, before), "a name twice");
                before = name;
            }
        }
        cache_vary_values(fuzz_text(&names), request, &key);
    }
    text_fini(&names);
    text_fini(&key);
}

static void check_value(struct span value, struct span other)
{
    char text[HTTP_DATE_BYTES];
    int64_t ms, again;

    fuzz_require(cache_tags_match(value, other) == cache_tags_match(other, value) &&
                     cache_tags_match(value, value),
                 "whether tags match depends on their order");
    if (!http_date_parse(value, NOW_MS, &ms))
        return;
    http_date_format(ms, text);
    fuzz_require(http_date_parse(span_of(text), NOW_MS, &again) && again == ms,
                 "'%s' is written as %s", fuzz_shown(value), text);
}

static void check(const struct http_head *head, const struct http_head *other,
                  unsigned choice)
{
    struct cache_directives directives;
    struct span trace = trace_id(head);

    cache_directives_read(head, &directives);
    check_directives(head, &directives);
    for (unsigned i = 0; i < head->field_count; i++)
        check_value(http_field_value(head, &head->fields[i]),
                    http_field_value(head, &head->fields[head->field_count - 1 - i]));
    fuzz_require(trace.len == 0 || trace.len == 32, "a trace id of %zu digits",
                 trace.len);
    if (head->kind == HTTP_REQUEST) {
        (void)cache_client_has_it(head, SPAN("\"e\""),
                                  SPAN("Thu, 01 Jan 2026 00:00:00 GMT"), NOW_MS);
        check_vary(other, head);
        check_use(other, &directives, choice);
    } else {
        (void)cache_names_field(head, SPAN("etag"));
    }
}

/* A head of that kind with the lines. */
static void make(enum http_head_kind kind, struct span lines, struct fuzz_head *head)
{
    struct text text = {0};

    text_add(&text, kind == HTTP_REQUEST ? SPAN("GET / HTTP/1.1\r\n")
                                         : SPAN("HTTP/1.1 200 OK\r\n"));
    text_add(&text, lines);
    text_add(&text, SPAN("\r\n\r\n"));
    fuzz_head_parse(head, kind, fuzz_text(&text));
    text_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);
    unsigned choice = fuzz_byte(&input);
    struct span first = fuzz_take(&input, fuzz_byte(&input) * 4);
    struct fuzz_head request, answer;

    make(HTTP_REQUEST, first, &request);
    make(HTTP_RESPONSE, input, &answer);
    if (request.parse == HTTP_PARSE_DONE && answer.parse == HTTP_PARSE_DONE) {
        check(&request.head, &answer.head, choice);
        check(&answer.head, &request.head, choice);
    }
    fuzz_head_end(&request);
    fuzz_head_end(&answer);
    return 0;
}
