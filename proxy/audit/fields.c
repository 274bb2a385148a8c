#include "audit/fields.h"

#include "audit/line.h"

static const struct span keys[FIELD_COUNT] = {
    [FIELD_TIME] = SPAN("@timestamp"),
    [FIELD_SEQUENCE] = SPAN("event.sequence"),
    [FIELD_PHASE] = SPAN("proxy.phase"),
    [FIELD_ID] = SPAN("event.id"),
    [FIELD_ACTION] = SPAN("event.action"),
    [FIELD_USER] = SPAN("user.name"),
    [FIELD_RESOURCE] = SPAN("proxy.resource.name"),
    [FIELD_TARGET] = SPAN("user.target.id"),
    [FIELD_PATH] = SPAN("url.path"),
    [FIELD_TEAM] = SPAN("organization.id"),
    [FIELD_OUTCOME] = SPAN("event.outcome"),
    [FIELD_STATUS] = SPAN("http.response.status_code"),
    [FIELD_REASON] = SPAN("event.reason"),
    [FIELD_SOURCE] = SPAN("source.ip"),
    [FIELD_SUPPRESSED] = SPAN("proxy.suppressed"),
    [FIELD_REPEATED] = SPAN("proxy.trail.repeated"),
};

bool fields_read(struct fields *fields, struct span line, struct error *error)
{
    return audit_line_pick(line, keys, FIELD_COUNT, fields->values, error);
}

void fields_merge(struct fields *fields, const struct fields *later)
{
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (later->values[i].at != NULL)
            fields->values[i] = later->values[i];
    }
}

/* Four hexadecimal digits, or -1. */
static int32_t read_hex4(struct span text)
{
    int32_t value = 0;

    if (text.len < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char digit = ascii_lower(text.at[i]);

        if (digit >= '0' && digit <= '9')
            value = value * 16 + (digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            value = value * 16 + (digit - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static void add_utf8(struct text *into, uint32_t point)
{
    if (point < 0x80) {
        text_add_byte(into, (char)point);
    } else if (point < 0x800) {
        text_add_byte(into, (char)(0xc0 | point >> 6));
        text_add_byte(into, (char)(0x80 | (point & 0x3f)));
    } else if (point < 0x10000) {
        text_add_byte(into, (char)(0xe0 | point >> 12));
        text_add_byte(into, (char)(0x80 | (point >> 6 & 0x3f)));
        text_add_byte(into, (char)(0x80 | (point & 0x3f)));
    } else {
        text_add_byte(into, (char)(0xf0 | point >> 18));
        text_add_byte(into, (char)(0x80 | (point >> 12 & 0x3f)));
        text_add_byte(into, (char)(0x80 | (point >> 6 & 0x3f)));
        text_add_byte(into, (char)(0x80 | (point & 0x3f)));
    }
}

/* Decodes \uXXXX, or two for a pair of surrogates, at text; how many bytes that was. */
static size_t decode_point(struct span text, struct text *into)
{
    int32_t high = read_hex4(span_make(text.at + 2, text.len - 2));
    int32_t low = -1;

    if (high < 0) {
        add_utf8(into, 0xfffd);
        return 2;
    }
    if (high < 0xd800 || high > 0xdfff) {
        add_utf8(into, (uint32_t)high);
        return 6;
    }
    if (high < 0xdc00 && text.len >= 12 && text.at[6] == '\\' && text.at[7] == 'u')
        low = read_hex4(span_make(text.at + 8, 4));
    if (low < 0xdc00 || low > 0xdfff) {
        add_utf8(into, 0xfffd);
        return 6;
    }
    add_utf8(into, 0x10000 + (((uint32_t)high & 0x3ff) << 10 | ((uint32_t)low & 0x3ff)));
    return 12;
}

/* Decodes the escape at the start of text; how many bytes it was. */
static size_t decode_escape(struct span text, struct text *into)
{
    static const char letters[] = "bfnrt";
    static const char meanings[] = "\b\f\n\r\t";
    const char *letter;

    if (text.len < 2)
        return 1;
    if (text.at[1] == 'u')
        return decode_point(text, into);
    letter = memchr(letters, text.at[1], sizeof(letters) - 1);
    text_add_byte(into, letter != NULL ? meanings[letter - letters] : text.at[1]);
    return 2;
}

void fields_decode(struct span value, struct text *into)
{
    if (value.len < 2 || value.at[0] != '"') {
        text_add(into, value);
        return;
    }
    value = span_make(value.at + 1, value.len - 2);
    while (value.len > 0) {
        const char *escape = memchr(value.at, '\\', value.len);
        size_t len = escape != NULL ? (size_t)(escape - value.at) : value.len;

        text_add(into, span_make(value.at, len));
        if (escape != NULL)
            len += decode_escape(span_make(escape, value.len - len), into);
        value = span_make(value.at + len, value.len - len);
    }
}

uint64_t fields_number(const struct fields *fields, enum field field)
{
    uint64_t number;

    return audit_value_number(fields->values[field], &number) ? number : 0;
}

bool fields_is(const struct fields *fields, enum field field, struct span text)
{
    struct span value;

    return audit_value_string(fields->values[field], &value) && span_equal(value, text);
}

struct span fields_resource(const struct fields *fields)
{
    static const enum field candidates[] = {FIELD_RESOURCE, FIELD_TARGET, FIELD_PATH};

    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        if (fields->values[candidates[i]].at != NULL)
            return fields->values[candidates[i]];
    }
    return (struct span){0};
}

static void add_member(struct text *into, struct span key, struct span value)
{
    text_add(into, into->bytes[into->len - 1] == '{' ? SPAN("\"") : SPAN(",\""));
    text_add(into, key);
    text_add(into, SPAN("\":"));
    text_add(into, value);
}

void fields_merge_lines(struct span line, struct span later, struct text *into)
{
    struct span rest = line, key, value, other;

    text_add_byte(into, '{');
    while (!into->failed && audit_line_next(&rest, &key, &value))
        add_member(into, key, audit_line_find(later, key, &other) ? other : value);
    rest = later;
    while (!into->failed && audit_line_next(&rest, &key, &value)) {
        if (!audit_line_find(line, key, &other))
            add_member(into, key, value);
    }
    text_add_byte(into, '}');
}
