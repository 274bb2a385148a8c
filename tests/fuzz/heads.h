/* Heads parsed whole and byte by byte, which must come to the same. */
#ifndef PSGATE_TESTS_FUZZ_HEADS_H
#define PSGATE_TESTS_FUZZ_HEADS_H

#include "fuzz/support.h"
#include "http/head.h"

enum { FUZZ_FIELDS = 32, FUZZ_HEAD_BYTES = 4096 };

/* What a parser made of some bytes. */
struct fuzz_head {
    struct span bytes; /* in a block of exactly their size */
    struct http_head head;
    enum http_parse parse;
};

/* Gives a parser that much of whole, in a fresh block of exactly that size. */
static inline void fuzz_head_feed(struct fuzz_head *fed, struct span whole, size_t len)
{
    struct span before = fed->bytes;

    fed->bytes = fuzz_copy(span_make(whole.at, len));
    fed->parse =
        http_head_parse(&fed->head, fed->bytes.at, fed->bytes.len, FUZZ_HEAD_BYTES);
    fuzz_free(before);
}

static inline void fuzz_head_start(struct fuzz_head *fed, enum http_head_kind kind)
{
    *fed = (struct fuzz_head){.parse = HTTP_PARSE_MORE};
    fuzz_require(http_head_init(&fed->head, FUZZ_FIELDS), "out of memory");
    http_head_reset(&fed->head, kind);
}

static inline void fuzz_head_end(struct fuzz_head *fed)
{
    http_head_fini(&fed->head);
    fuzz_free(fed->bytes);
}

static inline void fuzz_head_parse(struct fuzz_head *fed, enum http_head_kind kind,
                                   struct span whole)
{
    fuzz_head_start(fed, kind);
    fuzz_head_feed(fed, whole, whole.len);
}

/* Whether both are the same field: name, value, and what follows from them. */
static inline bool fuzz_same_field(const struct http_head *one, unsigned i,
                                   const struct http_head *other, unsigned j)
{
    const struct http_field *a = &one->fields[i], *b = &other->fields[j];

    return span_equal(http_field_name(one, a), http_field_name(other, b)) &&
           span_equal(http_field_value(one, a), http_field_value(other, b)) &&
           a->id == b->id && a->is_hop_by_hop == b->is_hop_by_hop;
}

static inline void fuzz_require_same_head(const struct http_head *one,
                                          const struct http_head *other)
{
    fuzz_require(one->len == other->len && one->status == other->status &&
                     one->minor == other->minor && one->present == other->present &&
                     one->wants_close == other->wants_close &&
                     one->wants_keep_alive == other->wants_keep_alive &&
                     one->wants_upgrade == other->wants_upgrade &&
                     span_equal(one->method, other->method) &&
                     span_equal(one->target, other->target) &&
                     span_equal(one->reason, other->reason),
                 "whole and byte by byte differ in the start line or in Connection");
    fuzz_require(one->field_count == other->field_count,
                 "whole and byte by byte differ in the number of fields");
    for (unsigned i = 0; i < one->field_count; i++)
        fuzz_require(fuzz_same_field(one, i, other, i),
                     "whole and byte by byte differ in field %u", i);
}

/* Parses in steps of that many bytes, and requires what parsing the whole gave. */
static inline void fuzz_head_again(const struct fuzz_head *wanted, struct span whole,
                                   size_t step)
{
    struct fuzz_head fed;
    size_t len = 0;

    fuzz_head_start(&fed, wanted->head.kind);
    while (fed.parse == HTTP_PARSE_MORE && len < whole.len) {
        len = whole.len - len < step ? whole.len : len + step;
        fuzz_head_feed(&fed, whole, len);
    }
    fuzz_require(fed.parse == wanted->parse || whole.len == 0,
                 "whole gives %d, in steps of %zu %d", (int)wanted->parse, step,
                 (int)fed.parse);
    fuzz_require(fed.head.fault == wanted->head.fault, "whole says '%s', in steps '%s'",
                 http_fault_text(wanted->head.fault), http_fault_text(fed.head.fault));
    if (fed.parse == HTTP_PARSE_DONE)
        fuzz_require_same_head(&wanted->head, &fed.head);
    fuzz_head_end(&fed);
}

#endif
