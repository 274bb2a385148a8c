#include "http/head.h"

#include <stdlib.h>

#include "http/chars.h"

bool http_head_init(struct http_head *head, uint16_t max_fields)
{
    *head = (struct http_head){.max_fields = max_fields};
    head->fields = calloc(max_fields, sizeof(*head->fields));
    return head->fields != NULL;
}

void http_head_fini(struct http_head *head)
{
    free(head->fields);
    *head = (struct http_head){0};
}

void http_head_reset(struct http_head *head, enum http_head_kind kind)
{
    struct http_field *fields = head->fields;
    uint16_t max_fields = head->max_fields;

    *head = (struct http_head){.kind = kind, .fields = fields, .max_fields = max_fields};
    head->has_start = kind == HTTP_TRAILERS;
}

static bool refuse(struct http_head *head, enum http_fault fault)
{
    head->fault = fault;
    return false;
}

/* "HTTP/1.1": HTTP-name is case-sensitive, one digit each (RFC 9112 2.3). */
static bool read_version(struct http_head *head, struct span text)
{
    if (text.len != 8 || memcmp(text.at, "HTTP/", 5) != 0 || text.at[6] != '.' ||
        text.at[5] < '0' || text.at[5] > '9' || text.at[7] < '0' || text.at[7] > '9')
        return refuse(head, HTTP_FAULT_START_LINE);
    if (text.at[5] != '1')
        return refuse(head, HTTP_FAULT_VERSION);
    head->minor = text.at[7] == '0' ? 0 : 1;
    return true;
}

static bool is_token(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!http_is(text.at[i], HTTP_CHAR_TOKEN))
            return false;
    }
    return text.len > 0;
}

/* Takes what stands before the next space off *line; false when there is no space. */
static bool take_word(struct span *line, struct span *word)
{
    const char *space = memchr(line->at, ' ', line->len);

    if (space == NULL)
        return false;
    *word = span_make(line->at, (size_t)(space - line->at));
    line->at += word->len + 1;
    line->len -= word->len + 1;
    return true;
}

static bool read_request_line(struct http_head *head, struct span line)
{
    if (!take_word(&line, &head->method) || !is_token(head->method) ||
        !take_word(&line, &head->target) || head->target.len == 0)
        return refuse(head, HTTP_FAULT_START_LINE);
    return read_version(head, line);
}

/* The space after the status may be missing with the reason: servers often do that. */
static bool read_status_line(struct http_head *head, struct span line)
{
    struct span version;
    uint64_t status;

    if (!take_word(&line, &version))
        return refuse(head, HTTP_FAULT_START_LINE);
    if (!read_version(head, version))
        return false;
    if (line.len < 3 || !span_to_number(span_make(line.at, 3), 999, &status) ||
        status < 100 || (line.len > 3 && line.at[3] != ' '))
        return refuse(head, HTTP_FAULT_START_LINE);
    head->status = (uint16_t)status;
    head->reason = line.len > 3 ? span_make(line.at + 4, line.len - 4) : SPAN("");
    return true;
}

static enum http_fault name_fault(struct span line, size_t name_len)
{
    if (name_len == line.len)
        return HTTP_FAULT_NO_COLON;
    if (line.at[name_len] == ' ' || line.at[name_len] == '\t')
        return memchr(line.at, ':', line.len) != NULL ? HTTP_FAULT_SPACE_BEFORE_COLON
                                                      : HTTP_FAULT_NO_COLON;
    return HTTP_FAULT_FIELD_NAME;
}

/* RFC 9112 5: field-line = field-name ":" OWS field-value OWS. */
static bool read_field_line(struct http_head *head, struct span line)
{
    struct http_field *field;
    struct span name, value;
    size_t name_len = 0;

    if (line.at[0] == ' ' || line.at[0] == '\t')
        return refuse(head, HTTP_FAULT_FOLDED_LINE);
    while (name_len < line.len && http_is(line.at[name_len], HTTP_CHAR_TOKEN))
        name_len++;
    if (name_len == 0 || name_len == line.len || line.at[name_len] != ':')
        return refuse(head, name_fault(line, name_len));
    if (name_len > UINT16_MAX)
        return refuse(head, HTTP_FAULT_HEAD_TOO_LARGE);
    if (head->field_count == head->max_fields)
        return refuse(head, HTTP_FAULT_TOO_MANY_FIELDS);
    name = span_make(line.at, name_len);
    if (http_field_is_disguised(name))
        return refuse(head, HTTP_FAULT_UNDERSCORE_NAME);
    value = span_trim(span_make(line.at + name_len + 1, line.len - name_len - 1));
    field = &head->fields[head->field_count++];
    field->line = (uint32_t)(line.at - head->bytes);
    field->line_len = (uint32_t)line.len + 2;
    field->value = (uint32_t)(value.at - head->bytes);
    field->value_len = (uint32_t)value.len;
    field->name_len = (uint16_t)name_len;
    field->id = (uint8_t)http_field_find(name);
    head->present |= UINT32_C(1) << field->id;
    field->is_hop_by_hop =
        (http_field_traits((enum http_field_id)field->id) & HTTP_TRAIT_HOP_BY_HOP) != 0;
    return true;
}

const struct http_field *http_head_find(const struct http_head *head,
                                        enum http_field_id id, unsigned *count)
{
    const struct http_field *first = NULL;
    unsigned found = 0, fields = http_head_has(head, id) ? head->field_count : 0;

    for (unsigned i = 0; i < fields; i++) {
        if (head->fields[i].id != id)
            continue;
        if (found++ == 0)
            first = &head->fields[i];
    }
    if (count != NULL)
        *count = found;
    return first;
}

bool http_list_next(struct span *list, struct span *element)
{
    while (list->len > 0) {
        const char *comma = memchr(list->at, ',', list->len);
        size_t len = comma != NULL ? (size_t)(comma - list->at) : list->len;
        size_t step = comma != NULL ? len + 1 : len;

        *element = span_trim(span_make(list->at, len));
        list->at += step;
        list->len -= step;
        if (element->len > 0)
            return true;
    }
    return false;
}

/*
 * A connection option takes the field of its name along (RFC 9110 7.6.1), but can never
 * strip what routes, frames or authorises the message.
 */
static void mark_named_field(struct http_head *head, struct span option)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct http_field *field = &head->fields[i];

        if (field->id != HTTP_FIELD_AUTHORIZATION && field->id != HTTP_FIELD_HOST &&
            field->id != HTTP_FIELD_CONTENT_LENGTH &&
            span_equal_nocase(http_field_name(head, field), option))
            field->is_hop_by_hop = true;
    }
}

/* Each option is compared with each field: an unbounded list would be a burden. */
enum { MOST_CONNECTION_OPTIONS = 32 };

static bool read_connection(struct http_head *head, struct span list, unsigned *options)
{
    struct span option;

    while (http_list_next(&list, &option)) {
        if (++*options > MOST_CONNECTION_OPTIONS)
            return refuse(head, HTTP_FAULT_CONNECTION_OPTIONS);
        if (span_equal_nocase(option, SPAN("close")))
            head->wants_close = true;
        else if (span_equal_nocase(option, SPAN("keep-alive")))
            head->wants_keep_alive = true;
        else if (span_equal_nocase(option, SPAN("upgrade")))
            head->wants_upgrade = true;
        mark_named_field(head, option);
    }
    return true;
}

static enum http_parse finish(struct http_head *head, size_t len)
{
    unsigned options = 0;

    for (unsigned i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == HTTP_FIELD_CONNECTION &&
            !read_connection(head, http_field_value(head, &head->fields[i]), &options))
            return HTTP_PARSE_BAD;
    }
    head->len = (uint32_t)len;
    return HTTP_PARSE_DONE;
}

static bool read_line(struct http_head *head, struct span line)
{
    if (head->has_start)
        return read_field_line(head, line);
    head->has_start = true;
    return head->kind == HTTP_REQUEST ? read_request_line(head, line)
                                      : read_status_line(head, line);
}

static enum http_fault control_fault(char byte)
{
    return byte == '\n' ? HTTP_FAULT_BARE_LF : HTTP_FAULT_CONTROL_BYTE;
}

/*
 * How many bytes at the start are printable ASCII, eight at a time: 0, or a multiple of
 * that, and at most what there is. Nearly all of a head is that.
 */
static size_t printable_length(const char *bytes, size_t len)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    size_t at = 0;

    while (len - at >= sizeof(uint64_t)) {
        uint64_t word, del, odd;

        memcpy(&word, bytes + at, sizeof(word));
        del = word ^ 0x7f * ones;
        /* A top bit for a byte that has one, is below a space, or is DEL; a borrow may
         * blame its neighbour too, which is then looked at by itself. */
        odd = (word | (word - 0x20 * ones) | ((del - ones) & ~del)) & tops;
        if (odd != 0)
            break;
        at += sizeof(word);
    }
    return at;
}

/*
 * Moves to the next CR. MORE: there is none yet. BAD: another control byte came first, so
 * a line that will never end is refused as soon as it shows.
 */
static enum http_parse find_line_end(struct http_head *head, size_t len)
{
    const char *bytes = head->bytes;
    size_t at = head->scanned;

    at += printable_length(bytes + at, len - at);
    while (at < len && http_is(bytes[at], HTTP_CHAR_TEXT))
        at++;
    head->scanned = (uint32_t)at;
    if (at >= len)
        return HTTP_PARSE_MORE;
    if (bytes[at] != '\r') {
        head->fault = control_fault(bytes[at]);
        return HTTP_PARSE_BAD;
    }
    if (at + 1 == len)
        return HTTP_PARSE_MORE;
    if (bytes[at + 1] != '\n') {
        head->fault = HTTP_FAULT_BARE_CR;
        return HTTP_PARSE_BAD;
    }
    return HTTP_PARSE_DONE;
}

/* One empty line before a request line is let pass (RFC 9112 2.2). */
static bool is_leading_empty_line(const struct http_head *head)
{
    return head->kind == HTTP_REQUEST && !head->has_start && head->line == 0;
}

/* The bytes may have moved since the start line was read. */
static void rebase(struct http_head *head, const char *bytes)
{
    if (head->bytes != NULL && head->bytes != bytes && head->has_start) {
        ptrdiff_t by = bytes - head->bytes;

        if (head->method.at != NULL)
            head->method.at += by;
        if (head->target.at != NULL)
            head->target.at += by;
        if (head->reason.len > 0)
            head->reason.at += by;
    }
    head->bytes = bytes;
}

static enum http_parse parse_lines(struct http_head *head, size_t len)
{
    for (;;) {
        enum http_parse parse = find_line_end(head, len);
        size_t end = head->scanned;
        struct span line;

        if (parse != HTTP_PARSE_DONE)
            return parse;
        line = span_make(head->bytes + head->line, end - head->line);
        head->scanned = (uint32_t)end + 2;
        if (line.len == 0) {
            if (head->has_start)
                return finish(head, end + 2);
            if (!is_leading_empty_line(head)) {
                head->fault = HTTP_FAULT_START_LINE;
                return HTTP_PARSE_BAD;
            }
        } else if (!read_line(head, line)) {
            return HTTP_PARSE_BAD;
        }
        head->line = head->scanned;
    }
}

enum http_parse http_head_parse(struct http_head *head, const char *bytes, size_t len,
                                size_t max_bytes)
{
    size_t visible = len < max_bytes ? len : max_bytes;
    enum http_parse parse;

    rebase(head, bytes);
    parse = parse_lines(head, visible);
    if (parse == HTTP_PARSE_MORE && len >= max_bytes) {
        head->fault =
            head->has_start ? HTTP_FAULT_HEAD_TOO_LARGE : HTTP_FAULT_START_LINE_TOO_LONG;
        return HTTP_PARSE_BAD;
    }
    return parse;
}
