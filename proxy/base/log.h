/*
 * The log: one line an event, JSON or readable. Where lines go, and who writes them, is
 * base/log_output.h's; whoever logs does not wait for it.
 *
 * error = an operator must act; warn = degraded; info = life cycle; debug = per request.
 * Messages are lower case without a full stop. Nothing secret may be passed in: see
 * "Never in the trail" in INTERFACES.md. Bytes of peers are escaped here.
 */
#ifndef PSGATE_BASE_LOG_H
#define PSGATE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum { LOG_LEVELS = LOG_DEBUG + 1 };
enum log_format { LOG_TEXT, LOG_JSON };

/* Sets what is written from now on, in all threads. Starts as LOG_INFO, LOG_TEXT. */
void log_configure(enum log_level level, enum log_format format);

/*
 * For an operator who wants to see more now: writes the next level too; behind debug
 * comes the level that was configured. Says so in the log.
 */
void log_raise_level(void);

/* Whether lines of this level are written: ask before preparing an expensive one. */
bool log_is_on(enum log_level level);

void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                   \
    (log_is_on(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)

/* A named value of a structured line: text when value.at is not NULL, else the number. */
struct log_field {
    const char *name;
    struct span value;
    int64_t number;
};

/* Writes message and fields at level info: the access log's way in. */
void log_write_fields(const char *message, const struct log_field *fields,
                      unsigned count);

#endif
