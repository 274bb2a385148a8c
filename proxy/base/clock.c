#include "base/clock.h"

#include <string.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;

    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

static void put_digits(char *to, int count, int value)
{
    while (count-- > 0) {
        to[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_format_utc(int64_t wall_ms, char text[CLOCK_TEXT_BYTES])
{
    int milliseconds = (int)((wall_ms % 1000 + 1000) % 1000);
    time_t seconds = (time_t)(wall_ms / 1000 - (wall_ms % 1000 < 0));
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    memcpy(text, "0000-00-00T00:00:00.000Z", CLOCK_TEXT_BYTES);
    put_digits(text, 4, (tm.tm_year + 1900) % 10000);
    put_digits(text + 5, 2, tm.tm_mon + 1);
    put_digits(text + 8, 2, tm.tm_mday);
    put_digits(text + 11, 2, tm.tm_hour);
    put_digits(text + 14, 2, tm.tm_min);
    put_digits(text + 17, 2, tm.tm_sec);
    put_digits(text + 20, 3, milliseconds);
}

/* Reads exactly count digits at *at and moves past them. */
static bool take_digits(const char **at, const char *end, int count, int *value)
{
    *value = 0;
    for (; count > 0; count--, (*at)++) {
        if (*at == end || **at < '0' || **at > '9')
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return true;
}

static bool take_byte(const char **at, const char *end, char wanted)
{
    if (*at == end || **at != wanted)
        return false;
    (*at)++;
    return true;
}

static bool take_fraction(const char **at, const char *end, int *milliseconds)
{
    int scale = 100;

    *milliseconds = 0;
    if (*at == end || **at != '.')
        return true;
    (*at)++;
    if (*at == end || **at < '0' || **at > '9')
        return false;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++, scale /= 10)
        *milliseconds += (**at - '0') * scale;
    return true;
}

bool clock_parse_utc(const char *text, size_t len, int64_t *wall_ms)
{
    const char *at = text, *end = text + len;
    struct tm tm = {0};
    struct tm read_back;
    int milliseconds;
    time_t seconds;

    if (!take_digits(&at, end, 4, &tm.tm_year) || !take_byte(&at, end, '-') ||
        !take_digits(&at, end, 2, &tm.tm_mon) || !take_byte(&at, end, '-') ||
        !take_digits(&at, end, 2, &tm.tm_mday) || !take_byte(&at, end, 'T') ||
        !take_digits(&at, end, 2, &tm.tm_hour) || !take_byte(&at, end, ':') ||
        !take_digits(&at, end, 2, &tm.tm_min) || !take_byte(&at, end, ':') ||
        !take_digits(&at, end, 2, &tm.tm_sec) ||
        !take_fraction(&at, end, &milliseconds) || !take_byte(&at, end, 'Z') || at != end)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    read_back = tm;
    seconds = timegm(&read_back);
    /* timegm() normalises the 31st of June; such a date is a mistake, not July. */
    if (read_back.tm_mday != tm.tm_mday || read_back.tm_mon != tm.tm_mon ||
        read_back.tm_hour != tm.tm_hour || read_back.tm_min != tm.tm_min)
        return false;
    *wall_ms = (int64_t)seconds * 1000 + milliseconds;
    return true;
}
