/*
 * What people see on a terminal and programs do not: color, and a line that says how far
 * a long command is. What goes to a file or a pipe is plain.
 */
#ifndef PSGATE_COMMAND_TERMINAL_H
#define PSGATE_COMMAND_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum terminal_color { TERMINAL_PLAIN, TERMINAL_GREEN, TERMINAL_YELLOW, TERMINAL_RED };

/*
 * Whether the descriptor is a terminal that shows colors, and its user wants them:
 * NO_COLOR is not set or empty, and TERM is set and not "dumb".
 */
bool terminal_has_colors(int fd);

/* What to print before and after colored text; "" for TERMINAL_PLAIN. */
const char *terminal_begin(enum terminal_color color);
const char *terminal_end(enum terminal_color color);

/* The columns of a terminal; 80 where that is not known. */
unsigned terminal_width(int fd);

/* A line on standard error that is written anew while a command runs. All-zero: none. */
struct terminal_status {
    bool is_on;
    bool is_shown;    /* the line has text now */
    int64_t shown_us; /* when it was last written, monotonic */
};

/* Turned on only where standard error is a terminal that can erase a line. */
void terminal_status_init(struct terminal_status *status);

/*
 * Whether it is time to write the line: at most ten times a second, and not in the first
 * tenth after it was turned on, so that what is short shows nothing.
 */
bool terminal_status_is_due(struct terminal_status *status);

/* Writes the line, cut to the terminal's width. */
void terminal_status_show(struct terminal_status *status, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* Leaves no trace of the line. To be called before anything else is printed. */
void terminal_status_erase(struct terminal_status *status);

#endif
