/* Durations, sizes and rates as people write them: 250ms 30s 5m 2h 7d, 512 64KiB 1GiB,
 * 20/s 600/m 1000/h. */
#ifndef PSGATE_CONFIG_UNITS_H
#define PSGATE_CONFIG_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* A whole number and one of ms, s, m, h, d; into milliseconds. False for anything else.
 */
bool units_parse_duration(struct span text, int64_t *ms);

/* A whole number and nothing, B, KiB, MiB or GiB; into bytes. False for anything else. */
bool units_parse_size(struct span text, int64_t *bytes);

/* So many in each period; a count of 0 stands for no limit. */
struct units_rate {
    int64_t count;
    int64_t period_s;
};

/* The most that a rate's count, and a burst, may be. */
enum { UNITS_MOST_RATE = 1000000 };

/* A number from 1 to UNITS_MOST_RATE, a slash and one of s, m, h. False for anything
 * else.
 */
bool units_parse_rate(struct span text, struct units_rate *rate);

/* The shortest exact spelling: "90s", "2m", "64KiB". The buffers take any value. */
#define UNITS_TEXT_BYTES 24
void units_format_duration(int64_t ms, char text[UNITS_TEXT_BYTES]);
void units_format_size(int64_t bytes, char text[UNITS_TEXT_BYTES]);

#endif
