/* What the cache's suites share: heads out of field lines, and random numbers. */
#ifndef PSGATE_TESTS_CACHE_CASES_H
#define PSGATE_TESTS_CACHE_CASES_H

#include "base/text.h"
#include "cache/directives.h"
#include "cache/entry.h"
#include "http/head.h"
#include "support/suite.h"

/* A head and its bytes, in a block of exactly their size. */
struct made_head {
    struct http_head head;
    struct span bytes;
};

static inline void make_head(struct made_head *made, enum http_head_kind kind,
                             const char *start, const char *fields)
{
    struct text text = {0};

    text_add(&text, span_of(start));
    text_add(&text, SPAN("\r\n"));
    for (; *fields != '\0'; fields++) {
        if (*fields == '\n')
            text_add_byte(&text, '\r');
        text_add_byte(&text, *fields);
    }
    text_add(&text, text.bytes[text.len - 1] != '\n' ? SPAN("\r\n\r\n") : SPAN("\r\n"));
    made->bytes = exact_span(span_make(text.bytes, text.len));
    text_fini(&text);
    ck_assert(http_head_init(&made->head, 128));
    http_head_reset(&made->head, kind);
    ck_assert_msg(http_head_parse(&made->head, made->bytes.at, made->bytes.len, 32768) ==
                      HTTP_PARSE_DONE,
                  "'%s': %s", shown(made->bytes), http_fault_text(made->head.fault));
}

/* Fields are lines "Name: value" with \n between; those every head needs are there. */
static inline void make_request(struct made_head *made, const char *fields)
{
    struct text all = {0};

    text_add_format(&all, "Host: api.example\n%s", fields);
    make_head(made, HTTP_REQUEST, "GET /v1/x HTTP/1.1", all.bytes);
    text_fini(&all);
}

static inline void make_response(struct made_head *made, unsigned status,
                                 const char *fields)
{
    char start[32];

    (void)snprintf(start, sizeof(start), "HTTP/1.1 %u Said", status);
    make_head(made, HTTP_RESPONSE, start, fields);
}

static inline void end_head(struct made_head *made)
{
    http_head_fini(&made->head);
    free((char *)(uintptr_t)made->bytes.at);
}

/* The directives of a request with that Cache-Control; without the field when empty. */
static inline void ask(struct cache_directives *directives, const char *control)
{
    struct made_head made;
    char field[256] = "";

    if (control[0] != '\0')
        (void)snprintf(field, sizeof(field), "Cache-Control: %s", control);
    make_request(&made, field);
    cache_directives_read(&made.head, directives);
    end_head(&made);
}

/* xorshift: the same numbers everywhere. */
struct numbers {
    uint64_t state;
};

static inline size_t below(struct numbers *numbers, size_t limit)
{
    numbers->state ^= numbers->state << 13;
    numbers->state ^= numbers->state >> 7;
    numbers->state ^= numbers->state << 17;
    return (size_t)(numbers->state >> 11) % limit;
}

/* An entry with nothing but a key and a body of so many bytes, all the same. */
static inline struct cache_entry *make_entry(struct span key, size_t body_len, char byte)
{
    static const struct cache_policy policy = {.lifetime_ms = 1000};
    char *body = malloc(body_len + 1);
    struct cache_entry *entry;

    ck_assert_ptr_nonnull(body);
    memset(body, byte, body_len);
    entry = cache_entry_new(&(struct cache_entry_parts){
        .key = key,
        .head = SPAN("HTTP/1.1 200 OK\r\n"),
        .body = span_make(body, body_len),
        .status = 200,
        .policy = &policy,
    });
    ck_assert_ptr_nonnull(entry);
    free(body);
    return entry;
}

#endif
