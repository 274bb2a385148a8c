#include "command/terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

enum { USUAL_WIDTH = 80, WIDEST = 512, INTERVAL_US = 100000 };

/* Whether the terminal understands more than lines of text. */
static bool is_capable(int fd)
{
    const char *kind = getenv("TERM");

    return isatty(fd) == 1 && kind != NULL && *kind != '\0' && strcmp(kind, "dumb") != 0;
}

bool terminal_has_colors(int fd)
{
    const char *no_color = getenv("NO_COLOR");

    return is_capable(fd) && (no_color == NULL || *no_color == '\0');
}

const char *terminal_begin(enum terminal_color color)
{
    static const char *const codes[] = {"", "\x1b[32m", "\x1b[33m", "\x1b[31m"};

    return codes[color];
}

const char *terminal_end(enum terminal_color color)
{
    return color == TERMINAL_PLAIN ? "" : "\x1b[0m";
}

unsigned terminal_width(int fd)
{
    struct winsize size;

    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                : USUAL_WIDTH;
}

void terminal_status_init(struct terminal_status *status)
{
    *status = (struct terminal_status){.is_on = is_capable(STDERR_FILENO),
                                       .shown_us = clock_monotonic_us()};
}

bool terminal_status_is_due(struct terminal_status *status)
{
    return status->is_on && clock_monotonic_us() - status->shown_us >= INTERVAL_US;
}

void terminal_status_show(struct terminal_status *status, const char *format, ...)
{
    unsigned width = terminal_width(STDERR_FILENO);
    char line[WIDEST + 1];
    va_list args;

    if (!status->is_on)
        return;
    va_start(args, format);
    (void)vsnprintf(line, width < WIDEST ? width : WIDEST, format, args);
    va_end(args);
    (void)fprintf(stderr, "\r%s\x1b[K", line);
    (void)fflush(stderr);
    status->is_shown = true;
    status->shown_us = clock_monotonic_us();
}

void terminal_status_erase(struct terminal_status *status)
{
    if (!status->is_shown)
        return;
    (void)fputs("\r\x1b[K", stderr);
    (void)fflush(stderr);
    status->is_shown = false;
}
