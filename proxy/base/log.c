#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log_internal.h"
#include "base/log_output.h"
#include "base/text.h"

static _Atomic int configured_level = LOG_INFO;
static _Atomic int current_level = LOG_INFO;
static _Atomic int current_format = LOG_TEXT;

static const char *const level_names[LOG_LEVELS] = {"error", "warn", "info", "debug"};

enum { MOSTLY_ENOUGH = 512 };

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&configured_level, (int)level);
    atomic_store(&current_level, (int)level);
    atomic_store(&current_format, (int)format);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
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

/* Whether it could be taken for more than one value, or for none. */
static bool needs_quotes(struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] == ' ' || value.at[i] == '"' || value.at[i] == '=')
            return true;
    }
    return value.len == 0;
}

/* In quotes where a peer could make up fields of its own otherwise. */
static void add_value(struct text *line, struct span value)
{
    const char *quote;

    if (!needs_quotes(value)) {
        text_add_escaped(line, value);
        return;
    }
    text_add_byte(line, '"');
    while ((quote = memchr(value.at, '"', value.len)) != NULL) {
        size_t len = (size_t)(quote - value.at);

        text_add_escaped(line, span_make(value.at, len));
        text_add(line, SPAN("\\\""));
        value = span_make(quote + 1, value.len - len - 1);
    }
    text_add_escaped(line, value);
    text_add_byte(line, '"');
}

static void add_fields_text(struct text *line, const struct log_field *fields,
                            unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        text_add_byte(line, ' ');
        text_add(line, span_of(fields[i].name));
        text_add_byte(line, '=');
        if (fields[i].value.at != NULL)
            add_value(line, fields[i].value);
        else
            text_add_number(line, fields[i].number);
    }
}

/* The time of day is worked out once a second, by each thread for itself. */
static void add_time(struct text *line, int64_t wall_ms)
{
    static _Thread_local int64_t second = -1;
    static _Thread_local char when[CLOCK_TEXT_BYTES];
    enum { MILLISECONDS_AT = 20 };

    if (wall_ms / 1000 != second) {
        clock_format_utc(wall_ms, when);
        second = wall_ms / 1000;
    }
    when[MILLISECONDS_AT] = (char)('0' + wall_ms % 1000 / 100);
    when[MILLISECONDS_AT + 1] = (char)('0' + wall_ms % 100 / 10);
    when[MILLISECONDS_AT + 2] = (char)('0' + wall_ms % 10);
    text_add(line, span_make(when, CLOCK_TEXT_BYTES - 1));
}

void log_render(struct text *line, enum log_level level, struct span message,
                const struct log_field *fields, unsigned count)
{
    int64_t now_ms = clock_wall_ms();

    (void)text_reserve(line, MOSTLY_ENOUGH);
    if (atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_JSON) {
        text_add(line, SPAN("{\"@timestamp\":\""));
        add_time(line, now_ms);
        text_add_byte(line, '"');
        text_add_member(line, "log.level", span_of(level_names[level]));
        text_add_member(line, "message", message);
        add_fields_json(line, fields, count);
        text_add_byte(line, '}');
    } else {
        add_time(line, now_ms);
        text_add_format(line, " %-5s ", level_names[level]);
        text_add_escaped(line, message);
        add_fields_text(line, fields, count);
    }
    text_add_byte(line, '\n');
}

static void write_line(enum log_level level, struct span message,
                       const struct log_field *fields, unsigned count)
{
    struct text line = {0};

    log_render(&line, level, message, fields, count);
    if (!line.failed)
        log_output_write(level, span_make(line.bytes, line.len));
    text_fini(&line);
}

void log_raise_level(void)
{
    int level = atomic_load(&current_level) + 1;

    if (level == LOG_LEVELS)
        level = atomic_load(&configured_level);
    atomic_store(&current_level, level);
    /* As a line of that level: it is not held back, nor taken for more than it is. */
    log_write((enum log_level)level, "log level: %s from now on", level_names[level]);
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
