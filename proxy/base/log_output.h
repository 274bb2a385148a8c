/*
 * Where lines go: to standard error or a file. Until log_start they are written by
 * whoever logs. From then on they are queued and a thread of their own writes them, so
 * that no reader who is slow, stopped or gone, and no disk, holds up anybody but that
 * thread.
 *
 * The thread writes at once, and after that what has gathered within a millisecond each:
 * a crash loses no more. Lines reach their destination whole and in order, and to a pipe
 * in pieces that do not mix with those of other processes. What was dropped or could not
 * be written is counted, and told in one line as soon as lines flow again.
 */
#ifndef PSGATE_BASE_LOG_OUTPUT_H
#define PSGATE_BASE_LOG_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/span.h"

/* Starts the thread; before any other thread that logs. */
bool log_start(struct error *error) MUST_CHECK;

/*
 * Lets the thread write what waits, for a second at most, and ends it. One that hangs is
 * left behind, and whatever is logged after that is dropped. Once, at the very end: there
 * is no new start.
 */
void log_stop(void);

/*
 * Opens a file for log_switch: it is appended to, or made with mode 0640. A NULL path is
 * standard error: *fd is -1 then.
 */
bool log_open(const char *path, int *fd, struct error *error) MUST_CHECK;

/* Lines go there from now on. The descriptor is taken over. Calls must not overlap. */
void log_switch(int fd);

/* Lines since the start that were dropped or could not be written. From any thread. */
uint64_t log_count_missing(void);

/* For log.c: passes on a line with its line feed. */
void log_output_write(enum log_level level, struct span line);

#endif
