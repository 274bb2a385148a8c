/*
 * The lines of one trail file, one after another, in constant memory: plain, or
 * compressed by gzip or zstd (known by their first bytes, whatever the name; several
 * members or frames in a row are one content).
 */
#ifndef PSGATE_AUDIT_READER_H
#define PSGATE_AUDIT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/span.h"

/* A longer line is an error: nothing that psgate writes comes near this. */
#define AUDIT_LINE_MAX_BYTES ((size_t)1024 * 1024)

struct audit_reader;

enum audit_read {
    AUDIT_READ_LINE,
    AUDIT_READ_END,
    AUDIT_READ_SHORT,  /* the compressed data stops in its midst: still being written? */
    AUDIT_READ_FAILED, /* a line too long, damaged compressed data, an error of read(2) */
};

struct audit_read_line {
    struct span text; /* without its "\n"; borrowed until the next call */
    bool is_whole;    /* false: the last line, which has no "\n" (yet) */
    uint64_t number;  /* 1 is the file's first */
    uint64_t offset;  /* of its first byte; in a compressed file, of the plain content */
};

/* Opens a regular file (no link is followed). NULL with error when it cannot be. */
struct audit_reader *audit_reader_open(const char *path, struct error *error) MUST_CHECK;

/* NULL is fine. */
void audit_reader_close(struct audit_reader *reader);

/*
 * Gives the next line. Fills error, which does not name the file, for SHORT and FAILED;
 * after these two only audit_reader_close may be called.
 *
 * A plain file may be asked again after END or an incomplete line: an incomplete line is
 * given once more, from its start, when there is more of it, and END goes on when the
 * file has grown.
 */
enum audit_read audit_reader_next(struct audit_reader *reader,
                                  struct audit_read_line *line,
                                  struct error *error) MUST_CHECK;

bool audit_reader_is_compressed(const struct audit_reader *reader);

/* The number of the line that was given last, or that could not be: where an error is. */
uint64_t audit_reader_line(const struct audit_reader *reader);

/* How much of the file was read, in its own bytes: compressed ones, if it is. */
uint64_t audit_reader_bytes(const struct audit_reader *reader);

/* The inode of the open file, to see whether a name still means it. */
ino_t audit_reader_inode(const struct audit_reader *reader);

#endif
