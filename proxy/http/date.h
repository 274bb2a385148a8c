/* Dates of fields (RFC 9110 5.6.7): written as IMF-fixdate, read in all three forms. */
#ifndef PSGATE_HTTP_DATE_H
#define PSGATE_HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT" with its NUL. */
enum { HTTP_DATE_BYTES = 30 };
void http_date_format(int64_t wall_ms, char text[HTTP_DATE_BYTES]);

/*
 * Reads IMF-fixdate, RFC 850 and asctime dates into milliseconds since 1970. A year of
 * two digits that seems over 50 years ahead of now_wall_ms is of the century before.
 * False for anything else.
 */
bool http_date_parse(struct span text, int64_t now_wall_ms, int64_t *wall_ms);

#endif
