/* Heads from tables: parsed whole and in pieces, and described in words to compare. */
#ifndef PSGATE_TESTS_SUPPORT_HEADS_H
#define PSGATE_TESTS_SUPPORT_HEADS_H

#include "base/text.h"
#include "http/head.h"
#include "support/suite.h"

enum { HEAD_MAX_FIELDS = 128, HEAD_MAX_BYTES = 32768 };

struct head_row {
    struct span bytes;
    const char *parsed;    /* the description of a good head; NULL: it is refused */
    enum http_fault fault; /* why; NONE without a description: more must come */
    size_t rest;           /* how many of the bytes come after the head */
};

/*
 * The start line, then a line a field:
 *     GET /x 1.1 close
 *     Host: a
 *     -Connection: close
 * A '-' marks what is hop-by-hop; what Connection wants stands behind the version.
 */
static inline void head_describe(const struct http_head *head, struct text *out)
{
    if (head->kind == HTTP_REQUEST)
        text_add_format(out, "%.*s %.*s 1.%u", (int)head->method.len, head->method.at,
                        (int)head->target.len, head->target.at, head->minor);
    else if (head->kind == HTTP_RESPONSE)
        text_add_format(out, "1.%u %u '%.*s'", head->minor, head->status,
                        (int)head->reason.len, head->reason.at);
    text_add_format(out, "%s%s%s\n", head->wants_close ? " close" : "",
                    head->wants_keep_alive ? " keep-alive" : "",
                    head->wants_upgrade ? " upgrade" : "");
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        struct span name = http_field_name(head, field);
        struct span value = http_field_value(head, field);

        text_add_format(out, "%s%.*s: %.*s\n", field->is_hop_by_hop ? "-" : "",
                        (int)name.len, name.at, (int)value.len, value.at);
    }
}

/* Field lines lie one behind the other, end with CR LF, and begin with their name. */
static inline void assert_lines_are_whole(const struct http_head *head)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        size_t end = (size_t)field->line + field->line_len;
        size_t next =
            i + 1 < head->field_count ? head->fields[i + 1].line : head->len - 2;

        ck_assert_uint_eq(end, next);
        ck_assert_int_eq(memcmp(head->bytes + end - 2, "\r\n", 2), 0);
        ck_assert_int_eq(head->bytes[field->line + field->name_len], ':');
        ck_assert_uint_gt(field->value, (size_t)field->line + field->name_len);
        ck_assert_uint_le((size_t)field->value + field->value_len, end - 2);
        ck_assert_uint_eq(field->id, http_field_find(http_field_name(head, field)));
    }
}

static inline void assert_head_is(const struct http_head *head,
                                  const struct head_row *row)
{
    struct text text = {0};

    ck_assert_uint_eq(head->len, row->bytes.len - row->rest);
    head_describe(head, &text);
    ck_assert_str_eq(text.bytes, row->parsed);
    text_fini(&text);
    assert_lines_are_whole(head);
}

/*
 * Feeds the row in steps of that many bytes. A good head is done with its last byte, not
 * one earlier; a bad one may be refused as soon as that can be known.
 */
static inline void check_head_in_steps(const struct head_row *row,
                                       enum http_head_kind kind, size_t step)
{
    struct feed feed = {.whole = row->bytes};
    enum http_parse parse = HTTP_PARSE_MORE;
    struct http_head head;

    ck_assert(http_head_init(&head, HEAD_MAX_FIELDS));
    http_head_reset(&head, kind);
    while (parse == HTTP_PARSE_MORE && feed.arrived.len < row->bytes.len) {
        struct span arrived = feed_step(&feed, step);

        parse = http_head_parse(&head, arrived.at, arrived.len, HEAD_MAX_BYTES);
        if (row->parsed != NULL && parse == HTTP_PARSE_MORE)
            ck_assert_uint_lt(arrived.len, row->bytes.len - row->rest);
    }
    if (row->parsed != NULL) {
        ck_assert_msg(parse == HTTP_PARSE_DONE, "'%s' is not done: %s", shown(row->bytes),
                      http_fault_text(head.fault));
        assert_head_is(&head, row);
    } else if (row->fault != HTTP_FAULT_NONE) {
        ck_assert_msg(parse == HTTP_PARSE_BAD, "'%s' is not refused", shown(row->bytes));
        ck_assert_msg(head.fault == row->fault, "'%s': '%s' is not '%s'",
                      shown(row->bytes), http_fault_text(head.fault),
                      http_fault_text(row->fault));
    } else {
        ck_assert_msg(parse == HTTP_PARSE_MORE, "'%s' waits not", shown(row->bytes));
    }
    http_head_fini(&head);
    feed_end(&feed);
}

/* Whole, byte by byte, and in pieces between. */
static inline void check_head(const struct head_row *row, enum http_head_kind kind)
{
    static const size_t steps[] = {SIZE_MAX, 1, 2, 3, 7};

    for (int i = 0; i < ROWS(steps); i++)
        check_head_in_steps(row, kind, steps[i]);
}

/* Parses a good head at once; bytes and head live until both are ended by the caller. */
static inline void must_parse(struct http_head *head, enum http_head_kind kind,
                              struct span bytes)
{
    ck_assert(http_head_init(head, HEAD_MAX_FIELDS));
    http_head_reset(head, kind);
    ck_assert_msg(http_head_parse(head, bytes.at, bytes.len, HEAD_MAX_BYTES) ==
                      HTTP_PARSE_DONE,
                  "'%s': %s", shown(bytes), http_fault_text(head->fault));
}

#endif
