/*
 * Gives up what the process does not need: capabilities, files and system calls. Each is
 * for ever, and for the calling thread and those that it starts: call them before any
 * other thread is there. They know nothing of what the process is for.
 */
#ifndef PSGATE_CONFINE_CONFINE_H
#define PSGATE_CONFINE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * No new privileges, and no capability any more, not even for programs that would be
 * started; keep_low_ports leaves the one that binds ports below 1024, if it is there.
 */
bool confine_capabilities(bool keep_low_ports, struct error *error) MUST_CHECK;

enum confine_access {
    CONFINE_READ,    /* files, and what folders hold */
    CONFINE_SOCKETS, /* making and removing sockets in a folder */
    CONFINE_WRITE,   /* all of that, and writing, making and renaming files */
};

struct confine_path {
    const char
        *path; /* a folder with all below it, or a file; one not there is left out */
    enum confine_access access;
};

enum confine_result {
    CONFINE_DONE,
    CONFINE_NOT_THERE, /* the kernel cannot: nothing was given up */
    CONFINE_FAILED,    /* error says why */
};

/* No file but these, from now on (Landlock); those that are open stay so. */
enum confine_result confine_files(const struct confine_path *paths, size_t count,
                                  struct error *error);

/*
 * No system call but those of a network server (seccomp): starting programs, tracing and
 * changing the machine end the process, others fail with ENOSYS.
 */
enum confine_result confine_calls(struct error *error);

#endif
