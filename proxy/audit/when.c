#include "audit/when.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/span.h"
#include "config/units.h"

/* Takes "+02:00" or "-0530" spelled with a colon off the end; how many ms that is. */
static bool take_offset(struct span *text, int64_t *offset_ms)
{
    const char *at;
    uint64_t hours, minutes;

    if (text->len < 6)
        return false;
    at = text->at + text->len - 6;
    if ((at[0] != '+' && at[0] != '-') || at[3] != ':' ||
        !span_to_number(span_make(at + 1, 2), 23, &hours) ||
        !span_to_number(span_make(at + 4, 2), 59, &minutes))
        return false;
    *offset_ms = ((int64_t)hours * 60 + (int64_t)minutes) * 60000;
    if (at[0] == '-')
        *offset_ms = -*offset_ms;
    text->len -= 6;
    return true;
}

bool audit_when_parse(const char *text, int64_t now_ms, int64_t *time_ms)
{
    enum { DATE_LENGTH = 10 };
    struct span rest = span_of(text);
    char utc[64];
    int64_t ms, offset_ms = 0;

    if (units_parse_duration(rest, &ms)) {
        *time_ms = ms <= now_ms ? now_ms - ms : 0;
        return true;
    }
    if (rest.len > 40)
        return false;
    if (rest.len > DATE_LENGTH && ascii_lower(text[rest.len - 1]) == 'z')
        rest.len--;
    else if (rest.len != DATE_LENGTH && !take_offset(&rest, &offset_ms))
        return false;
    (void)snprintf(utc, sizeof(utc), "%.*s%s", (int)rest.len, text,
                   rest.len == DATE_LENGTH ? "T00:00:00Z" : "Z");
    if (utc[DATE_LENGTH] == 't' || utc[DATE_LENGTH] == ' ')
        utc[DATE_LENGTH] = 'T';
    if (!clock_parse_utc(utc, strlen(utc), &ms))
        return false;
    *time_ms = ms - offset_ms;
    return true;
}
