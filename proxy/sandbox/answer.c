#include "sandbox/answer.h"

#include <stdio.h>

#include <openssl/sha.h>

static const struct {
    unsigned status;
    const char *code;
} problems[] = {
    [SANDBOX_PARSE_ERROR] = {400, "PARSE_ERROR"},
    [SANDBOX_BAD_REQUEST] = {400, "BAD_REQUEST"},
    [SANDBOX_UNAUTHORIZED] = {401, "UNAUTHORIZED"},
    [SANDBOX_NOT_FOUND] = {404, "NOT_FOUND"},
    [SANDBOX_METHOD_NOT_SUPPORTED] = {405, "METHOD_NOT_SUPPORTED"},
    [SANDBOX_CONFLICT] = {409, "CONFLICT"},
    [SANDBOX_PAYLOAD_TOO_LARGE] = {413, "PAYLOAD_TOO_LARGE"},
    [SANDBOX_INTERNAL_SERVER_ERROR] = {500, "INTERNAL_SERVER_ERROR"},
};

/*
 * How an error with issues ends, which is where the next one goes. An error without ends
 * in its message's quote and a brace, so the two cannot be taken for each other.
 */
#define ISSUES_END "]}"

void sandbox_answer_fini(struct sandbox_answer *answer)
{
    text_fini(&answer->body);
    *answer = (struct sandbox_answer){0};
}

/* The message of an error or an issue; cut when it is too long. */
static void add_message(struct text *body, const char *format, va_list args)
    PRINTF_LIKE(2, 0);

static void add_message(struct text *body, const char *format, va_list args)
{
    char message[512];

    (void)vsnprintf(message, sizeof(message), format, args);
    text_add_member(body, "message", span_of(message));
    text_add_byte(body, '}');
}

void sandbox_answer_problem(struct sandbox_answer *answer, enum sandbox_problem problem,
                            const char *format, ...)
{
    va_list args;

    answer->status = problems[problem].status;
    text_clear(&answer->body);
    text_add_byte(&answer->body, '{');
    text_add_member(&answer->body, "code", span_of(problems[problem].code));
    va_start(args, format);
    add_message(&answer->body, format, args);
    va_end(args);
}

void sandbox_answer_add_issue(struct sandbox_answer *answer, const char *format, ...)
{
    struct text *body = &answer->body;
    struct span end = SPAN(ISSUES_END);
    bool is_first;
    va_list args;

    if (body->failed || body->len < end.len)
        return;
    is_first = !span_equal(span_make(body->bytes + body->len - end.len, end.len), end);
    body->len -= is_first ? 1 : end.len;
    text_add(body, is_first ? SPAN(",\"issues\":[{") : SPAN(",{"));
    va_start(args, format);
    add_message(body, format, args);
    va_end(args);
    text_add(body, end);
}

static void make_etag(struct sandbox_answer *answer)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char *at = answer->etag;

    (void)SHA256((const unsigned char *)answer->body.bytes, answer->body.len, digest);
    *at++ = '"';
    for (size_t i = 0; i < 16; i++, at += 2)
        (void)snprintf(at, 3, "%02x", digest[i]);
    *at++ = '"';
    *at = '\0';
}

/* Whether a list of entity tags, or "*", has this one, be it weak (RFC 9110 13.1.2). */
static bool has_etag(struct span list, struct span etag)
{
    while (list.len > 0) {
        const char *comma = memchr(list.at, ',', list.len);
        size_t len = comma == NULL ? list.len : (size_t)(comma - list.at);
        struct span one = span_trim(span_make(list.at, len));

        if (span_starts_with(one, SPAN("W/")))
            one = span_make(one.at + 2, one.len - 2);
        if (span_equal(one, etag) || span_equal(one, SPAN("*")))
            return true;
        len += comma != NULL;
        list = span_make(list.at + len, list.len - len);
    }
    return false;
}

void sandbox_answer_validate(struct sandbox_answer *answer, struct span if_none_match)
{
    if (answer->status != 200 || answer->body.failed || answer->body.len == 0)
        return;
    make_etag(answer);
    if (has_etag(if_none_match, span_of(answer->etag))) {
        answer->status = 304;
        text_clear(&answer->body);
    }
}
