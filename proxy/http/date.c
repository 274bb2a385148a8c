#include "http/date.h"

#include <stdio.h>
#include <time.h>

/* Not strftime() and strptime(): their names depend on the locale. */
static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void http_date_format(int64_t wall_ms, char text[HTTP_DATE_BYTES])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char wide[96];

    (void)gmtime_r(&seconds, &tm);
    (void)snprintf(wide, sizeof(wide), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                   days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                   (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
    (void)snprintf(text, HTTP_DATE_BYTES, "%.*s", HTTP_DATE_BYTES - 1, wide);
}

/* Steps over a literal; false when it is not there. */
static bool take(struct span *text, const char *literal)
{
    struct span wanted = span_of(literal);

    if (text->len < wanted.len ||
        !span_equal_nocase(span_make(text->at, wanted.len), wanted))
        return false;
    text->at += wanted.len;
    text->len -= wanted.len;
    return true;
}

static bool take_number(struct span *text, size_t digits, int *number)
{
    uint64_t value;

    if (text->len < digits || !span_to_number(span_make(text->at, digits), 9999, &value))
        return false;
    *number = (int)value;
    text->at += digits;
    text->len -= digits;
    return true;
}

static bool take_name(struct span *text, const char *const *names, int count, int *index)
{
    for (int i = 0; i < count; i++) {
        if (take(text, names[i])) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool take_clock(struct span *text, struct tm *tm)
{
    return take_number(text, 2, &tm->tm_hour) && take(text, ":") &&
           take_number(text, 2, &tm->tm_min) && take(text, ":") &&
           take_number(text, 2, &tm->tm_sec);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool parse_imf(struct span text, struct tm *tm)
{
    int day;

    if (!take_name(&text, days, 7, &day) || !take(&text, ", ") ||
        !take_number(&text, 2, &tm->tm_mday) || !take(&text, " ") ||
        !take_name(&text, months, 12, &tm->tm_mon) || !take(&text, " ") ||
        !take_number(&text, 4, &tm->tm_year) || !take(&text, " ") ||
        !take_clock(&text, tm) || !take(&text, " GMT") || text.len > 0)
        return false;
    tm->tm_year -= 1900;
    return true;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool parse_rfc850(struct span text, int64_t now_wall_ms, struct tm *tm)
{
    time_t now = (time_t)(now_wall_ms / 1000);
    struct tm today, limit, read;
    int day, year;

    if (!take_name(&text, long_days, 7, &day) || !take(&text, ", ") ||
        !take_number(&text, 2, &tm->tm_mday) || !take(&text, "-") ||
        !take_name(&text, months, 12, &tm->tm_mon) || !take(&text, "-") ||
        !take_number(&text, 2, &year) || !take(&text, " ") || !take_clock(&text, tm) ||
        !take(&text, " GMT") || text.len > 0)
        return false;
    (void)gmtime_r(&now, &today);
    limit = today;
    limit.tm_year += 50;
    tm->tm_year = today.tm_year / 100 * 100 + year;
    read = *tm;
    if (timegm(&read) > timegm(&limit))
        tm->tm_year -= 100;
    return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool parse_asctime(struct span text, struct tm *tm)
{
    int day;

    if (!take_name(&text, days, 7, &day) || !take(&text, " ") ||
        !take_name(&text, months, 12, &tm->tm_mon) || !take(&text, " "))
        return false;
    if (!take_number(&text, 2, &tm->tm_mday) &&
        !(take(&text, " ") && take_number(&text, 1, &tm->tm_mday)))
        return false;
    if (!take(&text, " ") || !take_clock(&text, tm) || !take(&text, " ") ||
        !take_number(&text, 4, &tm->tm_year) || text.len > 0)
        return false;
    tm->tm_year -= 1900;
    return true;
}

bool http_date_parse(struct span text, int64_t now_wall_ms, int64_t *wall_ms)
{
    struct tm tm = {0}, midnight;
    time_t seconds;

    if (!parse_imf(text, &tm)) {
        tm = (struct tm){0};
        if (!parse_rfc850(text, now_wall_ms, &tm)) {
            tm = (struct tm){0};
            if (!parse_asctime(text, &tm))
                return false;
        }
    }
    if (tm.tm_sec > 60 || tm.tm_min > 59 || tm.tm_hour > 23)
        return false;
    midnight =
        (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
    (void)timegm(&midnight);
    if (midnight.tm_mday != tm.tm_mday)
        return false;      /* the 31st of June */
    seconds = timegm(&tm); /* a leap second is the next minute's first */
    *wall_ms = (int64_t)seconds * 1000;
    return true;
}
