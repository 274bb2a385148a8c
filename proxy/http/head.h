/*
 * The head of a message: start line and field lines, and the trailer section, which has
 * the same lines without a start line. Strict: what is ambiguous is refused, never
 * repaired.
 *
 * The parser is resumable and looks at each byte once, however the head arrives. It keeps
 * offsets, not pointers, so the caller may move the bytes between calls.
 */
#ifndef PSGATE_HTTP_HEAD_H
#define PSGATE_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "http/fault.h"
#include "http/field.h"

enum http_head_kind { HTTP_REQUEST, HTTP_RESPONSE, HTTP_TRAILERS };

enum http_parse { HTTP_PARSE_DONE, HTTP_PARSE_MORE, HTTP_PARSE_BAD };

/* A field line as it stands in the head: "NAME:" OWS VALUE OWS CR LF. */
struct http_field {
    uint32_t line;     /* offset of the name, which begins the line */
    uint32_t line_len; /* with CR LF */
    uint32_t value;    /* offset of the value without white space around it */
    uint32_t value_len;
    uint16_t name_len;
    uint8_t id;         /* enum http_field_id */
    bool is_hop_by_hop; /* by kind or because Connection names it (RFC 9110 7.6.1) */
};

struct http_head {
    enum http_head_kind kind;
    const char
        *bytes;       /* what the offsets count from; as last passed to http_head_parse */
    uint32_t scanned; /* bytes looked at so far */
    uint32_t line;    /* where the unfinished line begins */
    uint32_t len;     /* when done: the whole head with its empty line */
    bool has_start;   /* the start line was read */
    enum http_fault fault;

    struct span method, target; /* requests; valid while bytes is */
    struct span reason;         /* responses */
    uint16_t status;
    uint8_t minor; /* of HTTP/1.minor; 1 for every later minor version (RFC 9110 2.5) */

    /* What Connection said (RFC 9112 9.3, 9.6). */
    bool wants_close, wants_keep_alive, wants_upgrade;

    struct http_field *fields;
    uint16_t field_count, max_fields;
    uint32_t present; /* a bit for each http_field_id that a field has */
};

/* An empty head for up to max_fields field lines. False when memory is out. */
bool http_head_init(struct http_head *head, uint16_t max_fields);
void http_head_fini(struct http_head *head);

/* Makes it ready for the next message; keeps the memory. */
void http_head_reset(struct http_head *head, enum http_head_kind kind);

/*
 * Reads on. bytes is everything received since the head began, len at least what it was
 * at the last call. MORE: call again with more. DONE: head->len bytes were the head. BAD:
 * head->fault says why; a head longer than max_bytes is bad too (RFC 9112 2 to 5).
 */
enum http_parse http_head_parse(struct http_head *head, const char *bytes, size_t len,
                                size_t max_bytes);

static inline struct span http_field_name(const struct http_head *head,
                                          const struct http_field *field)
{
    return span_make(head->bytes + field->line, field->name_len);
}

static inline struct span http_field_value(const struct http_head *head,
                                           const struct http_field *field)
{
    return span_make(head->bytes + field->value, field->value_len);
}

_Static_assert(HTTP_FIELD_COUNT <= 32, "http_head.present has a bit for each");

/* Whether there is a field of that id. */
static inline bool http_head_has(const struct http_head *head, enum http_field_id id)
{
    return (head->present >> id & 1) != 0;
}

/* The first field of that id, or NULL; *count, if not NULL, is how many there are. */
const struct http_field *http_head_find(const struct http_head *head,
                                        enum http_field_id id, unsigned *count);

/*
 * Takes the next element of a comma-separated list (RFC 9110 5.6.1) off *list, trimmed
 * and not empty. False when there is none left. For lists of tokens: quotes are not
 * known.
 */
bool http_list_next(struct span *list, struct span *element);

#endif
