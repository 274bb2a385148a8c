/*
 * Heads once more, slow and obvious: lines are cut out as strings first, and judged by
 * what may stand in them (RFC 9112 2 to 5, and what the gateway refuses beyond it).
 */
#ifndef PSGATE_TESTS_FUZZ_SLOW_HEAD_H
#define PSGATE_TESTS_FUZZ_SLOW_HEAD_H

#include <ctype.h>

#include "fuzz/heads.h"

#define SLOW_TOKEN                                                                       \
    "!#$%&'*+-.^_`|~0123456789"                                                          \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum { SLOW_LINES = 128 };

/* The lines of a head as strings, the start line first. */
struct slow_head {
    struct span text; /* a copy, cut into strings */
    char *lines[SLOW_LINES];
    unsigned count;
    size_t len; /* of the head in the input */
};

static inline void slow_head_free(struct slow_head *slow)
{
    fuzz_free(slow->text);
}

/* Cuts lines off up to the empty one. False: there is none, or there are too many. */
static inline bool slow_head_cut(struct span input, bool may_be_empty_first,
                                 struct slow_head *slow)
{
    char *at, *end;

    *slow = (struct slow_head){.text = fuzz_copy(input)};
    at = (char *)(uintptr_t)slow->text.at;
    for (end = at + input.len; at < end && slow->count < SLOW_LINES;) {
        char *line = at, *cr = memmem(at, (size_t)(end - at), "\r\n", 2);

        if (cr == NULL)
            return false;
        *cr = '\0';
        at = cr + 2;
        if (line != cr)
            slow->lines[slow->count++] = line;
        else if (slow->count > 0 || !may_be_empty_first)
            break;
        else
            may_be_empty_first = false;
    }
    slow->len = input.len - (size_t)(end - at);
    return slow->count < SLOW_LINES && slow->len >= 2 &&
           (slow->len == 2 || input.at[slow->len - 3] == '\n');
}

/* Nothing but text and tabs, and no NUL that would have ended a string early. */
static inline bool slow_is_text(const struct slow_head *slow, struct span input)
{
    for (size_t i = 0; i < slow->len; i++) {
        unsigned char byte = (unsigned char)input.at[i];
        bool is_end = (byte == '\r' && i + 1 < slow->len && input.at[i + 1] == '\n') ||
                      (byte == '\n' && i > 0 && input.at[i - 1] == '\r');

        if ((byte < 0x20 || byte == 0x7f) && byte != '\t' && !is_end)
            return false;
    }
    return true;
}

static inline bool slow_is_version(const char *text)
{
    return strncmp(text, "HTTP/1.", 7) == 0 && isdigit((unsigned char)text[7]) &&
           (text[8] == '\0' || text[8] == ' ');
}

static inline bool slow_is_request_line(const char *line)
{
    size_t method = strspn(line, SLOW_TOKEN);
    const char *target = line + method + 1;
    size_t len = method > 0 && line[method] == ' ' ? strcspn(target, " ") : 0;

    return len > 0 && target[len] == ' ' && slow_is_version(target + len + 1) &&
           target[len + 9] == '\0';
}

static inline bool slow_is_status_line(const char *line)
{
    return slow_is_version(line) && line[8] == ' ' && line[9] >= '1' && line[9] <= '9' &&
           isdigit((unsigned char)line[10]) && isdigit((unsigned char)line[11]) &&
           (line[12] == '\0' || line[12] == ' ');
}

/* A name that some server would take for one of those, were '_' the same as '-'. */
static inline bool slow_is_disguised(const char *name, size_t len)
{
    static const char *const names[] = {"authorization",       "x-api-key",
                                        "content-length",      "cookie",
                                        "set-cookie",          "transfer-encoding",
                                        "proxy-authorization", "x-http-method",
                                        "x-rewrite-url",       "x-http-method-override",
                                        "x-original-url",      "x-method-override"};

    for (size_t i = 0;
         memchr(name, '_', len) != NULL && i < sizeof(names) / sizeof(char *); i++) {
        size_t k = 0;

        while (k < len && k < strlen(names[i]) &&
               (ascii_lower(name[k]) == names[i][k] ||
                (name[k] == '_' && names[i][k] == '-')))
            k++;
        if (k == len && k == strlen(names[i]))
            return true;
    }
    return false;
}

static inline bool slow_is_field(const char *line)
{
    size_t len = strspn(line, SLOW_TOKEN);

    return len > 0 && line[len] == ':' && !slow_is_disguised(line, len);
}

static inline bool slow_takes(const struct slow_head *slow, struct span input,
                              enum http_head_kind kind)
{
    bool is_sound = slow->count > 0 && slow_is_text(slow, input) &&
                    (kind == HTTP_REQUEST ? slow_is_request_line(slow->lines[0])
                                          : slow_is_status_line(slow->lines[0]));

    for (unsigned i = 1; is_sound && i < slow->count; i++)
        is_sound = slow_is_field(slow->lines[i]);
    return is_sound;
}

/* What the gateway refuses though each line is sound: there is too much of something. */
static inline bool slow_is_excess(enum http_fault fault)
{
    return fault == HTTP_FAULT_TOO_MANY_FIELDS || fault == HTTP_FAULT_HEAD_TOO_LARGE ||
           fault == HTTP_FAULT_START_LINE_TOO_LONG ||
           fault == HTTP_FAULT_CONNECTION_OPTIONS;
}

static inline void slow_require_field(const struct http_head *head, unsigned i,
                                      const char *line)
{
    size_t len = strspn(line, SLOW_TOKEN);

    fuzz_require(
        span_equal(http_field_name(head, &head->fields[i]), span_make(line, len)) &&
            span_equal(http_field_value(head, &head->fields[i]),
                       span_trim(span_of(line + len + 1))),
        "field %u is '%s'", i, line);
}

/* What the parser made of the whole input is what the lines say. */
static inline void slow_head_judge(const struct fuzz_head *whole, struct span input)
{
    const struct http_head *head = &whole->head;
    struct slow_head slow;
    bool is_whole = slow_head_cut(input, head->kind == HTTP_REQUEST, &slow);
    bool is_sound = is_whole && slow_takes(&slow, input, head->kind);

    fuzz_require(is_sound == (whole->parse == HTTP_PARSE_DONE) ||
                     (is_sound && slow_is_excess(head->fault)),
                 "a head is %s: %s", is_sound ? "refused" : "taken",
                 http_fault_text(head->fault));
    if (is_sound && whole->parse == HTTP_PARSE_DONE) {
        fuzz_require(head->len == slow.len && head->field_count == slow.count - 1,
                     "the head has %u fields in %u bytes", head->field_count, head->len);
        for (unsigned i = 1; i < slow.count; i++)
            slow_require_field(head, i - 1, slow.lines[i]);
    }
    slow_head_free(&slow);
}

#endif
