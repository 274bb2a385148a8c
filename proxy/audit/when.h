/* Times as people give them who ask for a part of the trail. */
#ifndef PSGATE_AUDIT_WHEN_H
#define PSGATE_AUDIT_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A duration before now_ms ("7d"), an RFC 3339 time with any offset, or a date, which is
 * its midnight in UTC. False for anything else.
 */
bool audit_when_parse(const char *text, int64_t now_ms, int64_t *time_ms);

#endif
