#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

static _Atomic int current_level = LOG_INFO;
static _Atomic int current_format = LOG_TEXT;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, (int)level);
    atomic_store(&current_format, (int)format);
}

bool log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static void add_fields_json(struct text *line, const struct log_field *fields,
                            unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (fields[i].value.at != NULL)
            text_add_member(line, fields[i].name, fields[i].value);
        else
            text_add_member_number(line, fields[i].name, fields[i].number);
    }
}

static void add_fields_text(struct text *line, const struct log_field *fields,
                            unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        text_add_format(line, " %s=", fields[i].name);
        if (fields[i].value.at != NULL)
            text_add_escaped(line, fields[i].value);
        else
            text_add_format(line, "%lld", (long long)fields[i].number);
    }
}

static void write_line(enum log_level level, struct span message,
                       const struct log_field *fields, unsigned count)
{
    struct text line = {0};
    char when[CLOCK_TEXT_BYTES];

    clock_format_utc(clock_wall_ms(), when);
    if (atomic_load(&current_format) == LOG_JSON) {
        text_add_byte(&line, '{');
        text_add_member(&line, "@timestamp", span_of(when));
        text_add_member(&line, "log.level", span_of(level_names[level]));
        text_add_member(&line, "message", message);
        add_fields_json(&line, fields, count);
        text_add_byte(&line, '}');
    } else {
        text_add_format(&line, "%s %-5s ", when, level_names[level]);
        text_add_escaped(&line, message);
        add_fields_text(&line, fields, count);
    }
    text_add_byte(&line, '\n');
    if (!line.failed)
        (void)!write(STDERR_FILENO, line.bytes, line.len);
    text_fini(&line);
}

void log_write(enum log_level level, const char *format, ...)
{
    int saved = errno; /* callers log first and look at errno after */
    char buffer[1024];
    va_list args;
    int len;

    if (!log_is_on(level))
        return;
    va_start(args, format);
    len = vsnprintf(buffer, sizeof(buffer), format, args);
    va_end(args);
    if (len > 0)
        write_line(level, span_of(buffer), NULL, 0);
    errno = saved;
}

void log_write_fields(const char *message, const struct log_field *fields, unsigned count)
{
    if (log_is_on(LOG_INFO))
        write_line(LOG_INFO, span_of(message), fields, count);
}
