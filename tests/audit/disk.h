/*
 * A disk that fails when it is told to. Link with disk.c and wrap the system calls that
 * it names (WRAP ${DISK} in tests/CMakeLists.txt). Only calls about trail files fail:
 * those whose path has "/audit" in it, and folders.
 */
#ifndef PSGATE_TESTS_AUDIT_DISK_H
#define PSGATE_TESTS_AUDIT_DISK_H

#include <stdatomic.h>
#include <stdint.h>

enum disk_call {
    DISK_WRITE,
    DISK_CUT_WRITE, /* half of the bytes, then EIO */
    DISK_SYNC,      /* fdatasync */
    DISK_FSYNC,
    DISK_RENAME,
    DISK_TRUNCATE,
    DISK_CALLS,
};

struct disk {
    _Atomic int failures[DISK_CALLS]; /* so many of the next calls fail; -1: all */
    _Atomic int64_t most_end;         /* no file's blocks go further; 0: no limit */
    _Atomic int sync_ms;              /* each fdatasync takes so long */
    _Atomic int syncs;                /* fdatasyncs that there were */
};

extern struct disk disk;

/* All is well again. */
void disk_repair(void);

#endif
