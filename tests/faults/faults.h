#ifndef PSGATE_TESTS_FAULTS_H
#define PSGATE_TESTS_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The page through which a test orders failures (tests/e2e/support/faults.py has the same
 * layout). It is a file, named by $PSGATE_FAULTS and mapped before the program starts, so
 * it can be written and read once the program may open nothing any more.
 *
 * The test fills in `order`, and `kind` last of all. From then on calls of that kind are
 * counted in `seen`, and the `nth` fails (with `is_lasting`: and all after it).
 */
enum fault_kind {
    FAULT_NONE,
    FAULT_MEMORY,  /* malloc and its relatives */
    FAULT_RECEIVE, /* from a socket, by whatever name */
    FAULT_SEND,    /* to a socket */
    FAULT_READ,    /* of a file */
    FAULT_WRITE,   /* of a file; standard error is none */
    FAULT_SYNC,    /* fsync, fdatasync */
    FAULT_OPEN,    /* open, openat */
    FAULT_SOCKET,
    FAULT_CONNECT,
    FAULT_ACCEPT,
    FAULT_WATCH,  /* epoll_ctl that adds a descriptor: nothing else of it can fail */
    FAULT_RANDOM, /* getrandom, getentropy */
};

enum { FAULT_SITE_BYTES = 2048 };

struct fault_page {
    _Atomic uint32_t kind;
    int32_t errnum; /* what fails, fails with this */
    uint32_t nth;   /* from 1; 0 only counts */
    uint32_t is_lasting;
    _Atomic uint64_t seen;
    _Atomic uint64_t failed;
    _Atomic int64_t blocks;      /* allocated and not freed since the program began */
    char site[FAULT_SITE_BYTES]; /* who called, for the first that failed: as addr2line
                                    takes it, "FILE+OFFSET" a line, innermost first */
};

/* Whether this call, of that kind, has to fail; errno is set then. Counts it. */
bool fault_strikes(enum fault_kind kind);

/* The same for a call on fd: socket_kind if it is a socket, file_kind if it is a file. */
bool fault_strikes_fd(int fd, enum fault_kind socket_kind, enum fault_kind file_kind);

/* Notes blocks of memory that were allocated, or freed if count is below zero. */
void fault_note_blocks(int count);

#endif
