/* What the files of the log share; everybody else uses log.h and log_output.h. */
#ifndef PSGATE_BASE_LOG_INTERNAL_H
#define PSGATE_BASE_LOG_INTERNAL_H

#include "base/log.h"
#include "base/text.h"

/* Appends a line with its line feed, in the format in force. Failure shows in line. */
void log_render(struct text *line, enum log_level level, struct span message,
                const struct log_field *fields, unsigned count);

/* "error", "warn", "info" or "debug". */
const char *log_level_name(enum log_level level);

#endif
