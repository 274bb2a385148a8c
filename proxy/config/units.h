/* Durations and sizes as people write them: 250ms 30s 5m 2h 7d, 512 64KiB 1GiB. */
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

/* The shortest exact spelling: "90s", "2m", "64KiB". The buffers take any value. */
#define UNITS_TEXT_BYTES 24
void units_format_duration(int64_t ms, char text[UNITS_TEXT_BYTES]);
void units_format_size(int64_t bytes, char text[UNITS_TEXT_BYTES]);

#endif
