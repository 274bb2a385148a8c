#include "http/target.h"

#include <arpa/inet.h>

#include "base/text.h"
#include "http/chars.h"

static bool refuse(enum http_fault *fault, enum http_fault what)
{
    *fault = what;
    return false;
}

static struct span rest_of(struct span text, size_t from)
{
    return span_make(text.at + from, text.len - from);
}

static bool has_only(struct span text, enum http_char class)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!http_is(text.at[i], class))
            return false;
    }
    return true;
}

static void split_query(struct span text, struct http_target *target)
{
    const char *mark = memchr(text.at, '?', text.len);
    size_t len = mark != NULL ? (size_t)(mark - text.at) : text.len;

    target->path = span_make(text.at, len);
    target->query = mark != NULL ? rest_of(text, len + 1) : (struct span){NULL, 0};
}

/* An IPv6 address between brackets (RFC 3986 3.2.2; zones and IPvFuture are not for us).
 */
static bool is_ip_literal(struct span text)
{
    char address[INET6_ADDRSTRLEN];
    unsigned char bytes[16];

    if (text.len < 4 || text.len - 2 >= sizeof(address) || text.at[text.len - 1] != ']')
        return false;
    memcpy(address, text.at + 1, text.len - 2);
    address[text.len - 2] = '\0';
    return inet_pton(AF_INET6, address, bytes) == 1;
}

static bool is_reg_name(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '[' || text.at[i] == ']')
            return false;
        if (text.at[i] == '%' &&
            (text.len - i < 3 || !http_is(text.at[i + 1], HTTP_CHAR_HEX) ||
             !http_is(text.at[i + 2], HTTP_CHAR_HEX)))
            return false;
    }
    return text.len > 0;
}

/* uri-host [":" port]: no user information, nothing empty, a port of digits. */
static bool is_authority(struct span text)
{
    bool is_bracketed = text.len > 0 && text.at[0] == '[';
    const char *bracket = is_bracketed ? memchr(text.at, ']', text.len) : text.at;
    const char *colon;
    struct span host, port;
    uint64_t number;

    if (text.len == 0 || bracket == NULL || !has_only(text, HTTP_CHAR_HOST))
        return false;
    colon = memchr(bracket, ':', text.len - (size_t)(bracket - text.at));
    host = span_make(text.at, colon != NULL ? (size_t)(colon - text.at) : text.len);
    port = rest_of(text, colon != NULL ? host.len + 1 : host.len);
    return (is_bracketed ? is_ip_literal(host) : is_reg_name(host)) &&
           (port.len == 0 || span_to_number(port, 65535, &number));
}

/* RFC 9112 3.2.2: scheme "://" authority path-abempty [ "?" query ]. */
static bool split_absolute(struct span text, bool is_options, struct http_target *target,
                           enum http_fault *fault)
{
    size_t scheme_len = 0, len = 0;
    struct span after;

    if (text.len > 7 && span_equal_nocase(span_make(text.at, 7), SPAN("http://")))
        scheme_len = 7;
    else if (text.len > 8 && span_equal_nocase(span_make(text.at, 8), SPAN("https://")))
        scheme_len = 8;
    else
        return refuse(fault, HTTP_FAULT_TARGET_FORM);
    after = rest_of(text, scheme_len);
    while (len < after.len && after.at[len] != '/' && after.at[len] != '?')
        len++;
    target->authority = span_make(after.at, len);
    if (!is_authority(target->authority))
        return refuse(fault, HTTP_FAULT_TARGET_FORM);
    after = rest_of(after, len);
    split_query(after, target);
    if (target->path.len == 0 && is_options && target->query.at == NULL) {
        target->is_asterisk = true;
        target->path = SPAN("*");
    } else if (target->path.len == 0) {
        target->path = SPAN("/");
    }
    return true;
}

bool http_target_split(struct span text, struct span method, struct http_target *target,
                       enum http_fault *fault)
{
    bool is_options = span_equal(method, SPAN("OPTIONS"));

    *target = (struct http_target){0};
    if (!has_only(text, HTTP_CHAR_TARGET))
        return refuse(fault, HTTP_FAULT_TARGET_BYTE);
    if (text.at[0] == '/') {
        split_query(text, target);
        return true;
    }
    if (text.len == 1 && text.at[0] == '*' && is_options) {
        target->is_asterisk = true;
        target->path = text;
        return true;
    }
    return split_absolute(text, is_options, target, fault);
}

bool http_check_host(const struct http_head *head, const struct http_target *target,
                     enum http_fault *fault)
{
    unsigned count;
    const struct http_field *field = http_head_find(head, HTTP_FIELD_HOST, &count);
    struct span host;

    if (count > 1)
        return refuse(fault, HTTP_FAULT_HOST_REPEATED);
    if (count == 0)
        return head->minor == 0 || refuse(fault, HTTP_FAULT_HOST_MISSING);
    host = http_field_value(head, field);
    if (!is_authority(host))
        return refuse(fault, HTTP_FAULT_HOST_INVALID);
    if (target->authority.at != NULL && !span_equal_nocase(target->authority, host))
        return refuse(fault, HTTP_FAULT_TARGET_AUTHORITY);
    return true;
}

/* Decodes one segment to out; *len is what came out. */
static bool decode_segment(struct span segment, char *out, size_t *len,
                           enum http_fault *fault)
{
    size_t used = 0;

    for (size_t i = 0; i < segment.len; i++) {
        char byte = segment.at[i];

        if (byte == '%') {
            if (segment.len - i < 3 || !http_is(segment.at[i + 1], HTTP_CHAR_HEX) ||
                !http_is(segment.at[i + 2], HTTP_CHAR_HEX))
                return refuse(fault, HTTP_FAULT_PATH_PERCENT);
            byte = (char)(http_hex_value(segment.at[i + 1]) << 4 |
                          http_hex_value(segment.at[i + 2]));
            i += 2;
        }
        out[used++] = byte;
    }
    *len = used;
    return true;
}

static enum http_fault judge_bytes(struct span segment)
{
    for (size_t i = 0; i < segment.len;) {
        size_t len = text_utf8_length(rest_of(segment, i));

        if (len == 0)
            return HTTP_FAULT_PATH_UTF8;
        if (segment.at[i] == '\\')
            return HTTP_FAULT_PATH_BACKSLASH;
        if ((unsigned char)segment.at[i] < 0x20 || segment.at[i] == 0x7f)
            return HTTP_FAULT_PATH_CONTROL_BYTE;
        i += len;
    }
    return HTTP_FAULT_NONE;
}

/* What stands between two slashes, spelled in whatever way. */
static enum http_fault judge_part(struct span part)
{
    if (span_equal(part, SPAN(".")) || span_equal(part, SPAN("..")))
        return HTTP_FAULT_PATH_DOT_SEGMENT;
    return HTTP_FAULT_NONE;
}

/* A decoded segment that holds slashes is judged as the segments that it could become. */
static enum http_fault judge_slashes(struct span segment, bool forward, bool *has_slash)
{
    enum http_fault fault = HTTP_FAULT_NONE;

    if (segment.len == 0)
        return HTTP_FAULT_PATH_EMPTY_SEGMENT;
    while (fault == HTTP_FAULT_NONE) {
        const char *slash = memchr(segment.at, '/', segment.len);

        if (slash == NULL)
            return judge_part(segment);
        *has_slash = true;
        if (!forward)
            return HTTP_FAULT_PATH_ENCODED_SLASH;
        fault = judge_part(span_make(segment.at, (size_t)(slash - segment.at)));
        segment = rest_of(segment, (size_t)(slash - segment.at) + 1);
    }
    return fault;
}

/* Adds one segment; decoded into scratch only if it has escapes. */
static bool add_segment(struct span raw, bool forward, char **scratch,
                        struct http_path *out, enum http_fault *fault)
{
    struct span segment = raw;

    if (raw.len > 0 && memchr(raw.at, '%', raw.len) != NULL) {
        size_t len;

        if (!decode_segment(raw, *scratch, &len, fault))
            return false;
        segment = span_make(*scratch, len);
        *scratch += len;
    }
    *fault = judge_bytes(segment);
    if (*fault == HTTP_FAULT_NONE)
        *fault = judge_slashes(segment, forward, &out->has_encoded_slash);
    if (*fault != HTTP_FAULT_NONE)
        return false;
    if (out->count < HTTP_PATH_SEGMENTS)
        out->segments[out->count] = segment;
    out->count++;
    return true;
}

bool http_path_split(struct span path, bool forward_encoded_slashes, char *scratch,
                     struct http_path *out, enum http_fault *fault)
{
    struct span rest = rest_of(path, 1); /* an origin-form path begins with '/' */

    out->count = 0;
    out->has_encoded_slash = false;
    *fault = HTTP_FAULT_NONE;
    while (rest.len > 0) {
        const char *slash = memchr(rest.at, '/', rest.len);
        size_t len = slash != NULL ? (size_t)(slash - rest.at) : rest.len;

        if (!add_segment(span_make(rest.at, len), forward_encoded_slashes, &scratch, out,
                         fault))
            return false;
        rest = rest_of(rest, slash != NULL ? len + 1 : len);
    }
    if (out->has_encoded_slash && out->count > HTTP_PATH_SEGMENTS)
        return refuse(fault, HTTP_FAULT_PATH_SLASHES_TOO_FAR);
    return true;
}

void http_path_split_again(const struct http_path *path, struct http_path *out)
{
    *out = (struct http_path){.count = 0};
    for (unsigned i = 0; i < path->count; i++) {
        struct span rest = path->segments[i];
        const char *slash;

        do {
            size_t len;

            slash = memchr(rest.at, '/', rest.len);
            len = slash != NULL ? (size_t)(slash - rest.at) : rest.len;
            if (len > 0 && out->count < HTTP_PATH_SEGMENTS)
                out->segments[out->count] = span_make(rest.at, len);
            out->count += len > 0;
            rest = rest_of(rest, slash != NULL ? len + 1 : len);
        } while (slash != NULL);
    }
}

size_t http_percent_decode(struct span text, char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '%' && text.len - i >= 3 &&
            http_is(text.at[i + 1], HTTP_CHAR_HEX) &&
            http_is(text.at[i + 2], HTTP_CHAR_HEX)) {
            out[used++] = (char)(http_hex_value(text.at[i + 1]) << 4 |
                                 http_hex_value(text.at[i + 2]));
            i += 2;
        } else {
            out[used++] = text.at[i];
        }
    }
    return used;
}
