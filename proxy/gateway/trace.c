#include "gateway/trace.h"

enum { TRACE_AT = 3, TRACE_DIGITS = 32, PARENT_AT = 36, PARENT_DIGITS = 16 };
enum { FLAGS_AT = 53, FLAGS_DIGITS = 2, VERSION_DIGITS = 2, WHOLE = 55 };

static bool is_lower_hex(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

/* An id of zeros alone is none (W3C Trace Context 3.2.2.3 and 3.2.2.4). */
static bool is_id(struct span text)
{
    bool is_zero = true;

    for (size_t i = 0; i < text.len; i++)
        is_zero = is_zero && text.at[i] == '0';
    return !is_zero && is_lower_hex(text);
}

/* 3.2.2.1 and 4: version ff is none; a version to come may have more behind a dash. */
static bool is_version_sound(struct span value)
{
    struct span version = span_make(value.at, VERSION_DIGITS);

    if (!is_lower_hex(version) || span_equal(version, SPAN("ff")))
        return false;
    if (span_equal(version, SPAN("00")))
        return value.len == WHOLE;
    return value.len == WHOLE || value.at[WHOLE] == '-';
}

/* 3.2: version "-" trace id "-" parent id "-" flags. */
struct span trace_id(const struct http_head *head)
{
    unsigned count = 0;
    const struct http_field *field = http_head_find(head, HTTP_FIELD_TRACEPARENT, &count);
    struct span value, id;

    if (field == NULL || count != 1)
        return span_make(NULL, 0);
    value = http_field_value(head, field);
    if (value.len < WHOLE || value.at[TRACE_AT - 1] != '-' ||
        value.at[PARENT_AT - 1] != '-' || value.at[FLAGS_AT - 1] != '-' ||
        !is_version_sound(value) ||
        !is_id(span_make(value.at + PARENT_AT, PARENT_DIGITS)) ||
        !is_lower_hex(span_make(value.at + FLAGS_AT, FLAGS_DIGITS)))
        return span_make(NULL, 0);
    id = span_make(value.at + TRACE_AT, TRACE_DIGITS);
    return is_id(id) ? id : span_make(NULL, 0);
}
