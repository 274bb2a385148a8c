#include "config/units.h"

#include <stdio.h>

struct unit {
    struct span name;
    int64_t factor;
};

/* Largest first: formatting takes the first that divides. */
static const struct unit durations[] = {
    {SPAN("d"), 86400000}, {SPAN("h"), 3600000}, {SPAN("m"), 60000},
    {SPAN("s"), 1000},     {SPAN("ms"), 1},
};

static const struct unit sizes[] = {
    {SPAN("GiB"), (int64_t)1 << 30},
    {SPAN("MiB"), 1 << 20},
    {SPAN("KiB"), 1 << 10},
    {SPAN(""), 1},
    {SPAN("B"), 1},
};

/* In seconds. */
static const struct unit periods[] = {
    {SPAN("/s"), 1},
    {SPAN("/m"), 60},
    {SPAN("/h"), 3600},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool parse(struct span text, const struct unit *units, size_t count,
                  int64_t *value)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    for (size_t i = 0; i < count; i++) {
        struct span suffix = span_make(text.at + digits, text.len - digits);

        if (!span_equal(suffix, units[i].name))
            continue;
        if (!span_to_number(span_make(text.at, digits),
                            (uint64_t)(INT64_MAX / units[i].factor), &number))
            return false;
        *value = (int64_t)number * units[i].factor;
        return true;
    }
    return false;
}

bool units_parse_duration(struct span text, int64_t *ms)
{
    return parse(text, durations, COUNT(durations), ms);
}

bool units_parse_size(struct span text, int64_t *bytes)
{
    return parse(text, sizes, COUNT(sizes), bytes);
}

bool units_parse_rate(struct span text, struct units_rate *rate)
{
    const char *slash = memchr(text.at, '/', text.len);
    size_t digits = slash != NULL ? (size_t)(slash - text.at) : text.len;
    uint64_t count;

    for (size_t i = 0; i < COUNT(periods); i++) {
        struct span suffix = span_make(text.at + digits, text.len - digits);

        if (!span_equal(suffix, periods[i].name))
            continue;
        if (!span_to_number(span_make(text.at, digits), UNITS_MOST_RATE, &count) ||
            count == 0)
            return false;
        *rate = (struct units_rate){(int64_t)count, periods[i].factor};
        return true;
    }
    return false;
}

static void format(int64_t value, const struct unit *units, char text[UNITS_TEXT_BYTES])
{
    while (value % units->factor != 0 ||
           (value == 0 && units->factor != 1000 && units->factor != 1))
        units++;
    (void)snprintf(text, UNITS_TEXT_BYTES, "%lld%s", (long long)(value / units->factor),
                   units->name.at);
}

void units_format_duration(int64_t ms, char text[UNITS_TEXT_BYTES])
{
    format(ms, durations, text);
}

void units_format_size(int64_t bytes, char text[UNITS_TEXT_BYTES])
{
    format(bytes, sizes, text);
}
