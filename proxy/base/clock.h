/*
 * The two clocks: one that never jumps, for deadlines, and the calendar, for people.
 * Rules that depend on time take it as an argument; only the edges of the program ask
 * here.
 */
#ifndef PSGATE_BASE_CLOCK_H
#define PSGATE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Milliseconds and microseconds since some fixed moment; never go back. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t clock_wall_ms(void);

/* "2026-11-23T17:04:05.123Z" with its NUL. */
#define CLOCK_TEXT_BYTES 25
void clock_format_utc(int64_t wall_ms, char text[CLOCK_TEXT_BYTES]);

/*
 * Reads an RFC 3339 time in UTC ("2026-11-23T17:04:05Z", fraction optional) into
 * *wall_ms. False when it is anything else.
 */
bool clock_parse_utc(const char *text, size_t len, int64_t *wall_ms);

#endif
