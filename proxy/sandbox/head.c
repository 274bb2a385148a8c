#include "sandbox/head.h"

#define FIELDS_MAX 128

enum sandbox_head_end sandbox_head_find_end(struct span bytes, size_t *len)
{
    size_t line = 0; /* where the present one starts */

    for (size_t i = 0; i < bytes.len && i < SANDBOX_HEAD_MAX; i++) {
        if (bytes.at[i] != '\n')
            continue;
        if (i == line || bytes.at[i - 1] != '\r')
            return SANDBOX_HEAD_BAD;
        if (i == line + 1) {
            *len = i + 1;
            return SANDBOX_HEAD_WHOLE;
        }
        line = i + 1;
    }
    return bytes.len < SANDBOX_HEAD_MAX ? SANDBOX_HEAD_MORE : SANDBOX_HEAD_BAD;
}

struct fields {
    unsigned count;
    unsigned hosts;
    unsigned lengths;
    unsigned encodings;
    uint64_t length;
};

/* Cuts the bytes up to the next CRLF off the front; false when there is none. */
static bool take_line(struct span *bytes, struct span *line)
{
    const char *end = memmem(bytes->at, bytes->len, "\r\n", 2);

    if (end == NULL)
        return false;
    *line = span_make(bytes->at, (size_t)(end - bytes->at));
    bytes->at = end + 2;
    bytes->len -= line->len + 2;
    return true;
}

/* Cuts what precedes a byte off the front, and the byte; false when it is not there. */
static bool take_until(struct span *text, char byte, struct span *part)
{
    const char *end = text->len == 0 ? NULL : memchr(text->at, byte, text->len);

    if (end == NULL)
        return false;
    *part = span_make(text->at, (size_t)(end - text->at));
    text->at = end + 1;
    text->len -= part->len + 1;
    return true;
}

/* RFC 9110 5.6.2 */
static bool is_token(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.at[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

/*
 * Visible ASCII without a fragment, in origin-form or absolute-form. libevhtp closes on
 * asterisk-form and authority-form by itself, and takes 8-bit and control bytes.
 */
static bool is_target(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f || text.at[i] == '#')
            return false;
    }
    return span_starts_with(text, SPAN("/")) || span_starts_with(text, SPAN("http://")) ||
           span_starts_with(text, SPAN("https://"));
}

static bool check_request_line(struct span line, bool *is_http_1_0)
{
    struct span method, target;

    if (!take_until(&line, ' ', &method) || !take_until(&line, ' ', &target))
        return false;
    *is_http_1_0 = span_equal(line, SPAN("HTTP/1.0"));
    return is_token(method) && is_target(target) &&
           (*is_http_1_0 || span_equal(line, SPAN("HTTP/1.1")));
}

static bool is_field_value(struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Without the spaces that libevhtp skips: not tabs, which it takes for the value. */
static struct span skip_spaces(struct span value)
{
    while (value.len > 0 && value.at[0] == ' ')
        value = span_make(value.at + 1, value.len - 1);
    return value;
}

static bool check_field(struct span line, struct fields *fields)
{
    struct span name;

    if (!take_until(&line, ':', &name) || !is_token(name) || !is_field_value(line))
        return false;
    line = skip_spaces(line);
    fields->count++;
    if (span_equal_nocase(name, SPAN("Host")))
        fields->hosts++;
    if (span_equal_nocase(name, SPAN("Content-Length"))) {
        fields->lengths++;
        return line.len > 0 && line.at[0] != '\t' &&
               span_to_number(span_trim(line), INT64_MAX, &fields->length);
    }
    if (span_equal_nocase(name, SPAN("Transfer-Encoding"))) {
        fields->encodings++; /* in any other spelling libevhtp sees no body at all */
        return span_equal(line, SPAN("chunked")) || span_equal(line, SPAN("Chunked"));
    }
    return true;
}

bool sandbox_head_check(struct span bytes, struct sandbox_head *head)
{
    struct fields fields = {0};
    struct span line;
    bool is_http_1_0;

    if (!take_line(&bytes, &line) || !check_request_line(line, &is_http_1_0))
        return false;
    while (take_line(&bytes, &line) && line.len > 0) {
        if (!check_field(line, &fields))
            return false;
    }
    if (bytes.len != 0 || line.len != 0 || fields.count > FIELDS_MAX ||
        fields.hosts > 1 || (fields.hosts == 0 && !is_http_1_0))
        return false;
    if (fields.lengths + fields.encodings > 1 || (fields.encodings > 0 && is_http_1_0))
        return false; /* RFC 9112 6.1, 6.3: smuggling */
    head->length = fields.length;
    head->framing = fields.encodings > 0 ? SANDBOX_CHUNKED
                    : fields.length > 0  ? SANDBOX_LENGTH
                                         : SANDBOX_NO_BODY;
    return true;
}
