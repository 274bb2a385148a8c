#include "audit/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

enum { CHUNK_BYTES = 32 * 1024, MAGIC_BYTES = 4 };

enum form { PLAIN, GZIP, ZSTD };

struct audit_reader {
    int fd;
    ino_t inode;
    enum form form;
    bool is_file_over;  /* read(2) gave 0 */
    bool is_in_frame;   /* compressed: more of this member or frame must come */
    bool was_room_full; /* the decompressor may hold more than it gave */
    size_t given_bytes; /* how much of an incomplete last line was given already */
    z_stream gzip;
    ZSTD_DStream *zstd;
    uint64_t file_bytes;     /* read(2) gave so many */
    uint64_t number, offset; /* of the line at start */
    uint64_t line;           /* given last */
    char *window;            /* grows to the longest line and a chunk */
    size_t window_bytes;
    size_t start, end;          /* what is unread in window */
    size_t input_at, input_len; /* what is unread in input */
    char input[CHUNK_BYTES];    /* compressed bytes; the magic at first */
};

static ssize_t read_file(struct audit_reader *reader, char *buffer, size_t room)
{
    ssize_t got;

    do {
        got = read(reader->fd, buffer, room);
    } while (got < 0 && errno == EINTR);
    reader->is_file_over = got == 0;
    reader->file_bytes += got > 0 ? (uint64_t)got : 0;
    return got;
}

/* The first bytes tell the form; they stay in input. */
static bool read_magic(struct audit_reader *reader, struct error *error)
{
    static const char gzip[] = {'\x1f', '\x8b'};
    static const char zstd[] = {'\x28', '\xb5', '\x2f', '\xfd'};
    ssize_t got = 1;

    while (got > 0 && reader->input_len < MAGIC_BYTES) {
        got = read_file(reader, reader->input + reader->input_len,
                        MAGIC_BYTES - reader->input_len);
        if (got < 0)
            return error_set_errno(error, errno, "cannot be read");
        reader->input_len += (size_t)got;
    }
    if (reader->input_len >= sizeof(gzip) && memcmp(reader->input, gzip, 2) == 0)
        reader->form = GZIP;
    else if (reader->input_len == MAGIC_BYTES && memcmp(reader->input, zstd, 4) == 0)
        reader->form = ZSTD;
    return true;
}

static bool set_up(struct audit_reader *reader, struct error *error)
{
    enum { GZIP_ONLY = 16 };

    if (!read_magic(reader, error))
        return false;
    if (reader->form == GZIP &&
        inflateInit2(&reader->gzip, MAX_WBITS + GZIP_ONLY) != Z_OK)
        return error_set(error, "cannot set up gzip (out of memory?)");
    if (reader->form == ZSTD) {
        reader->zstd = ZSTD_createDStream();
        if (reader->zstd == NULL)
            return error_set(error, "cannot set up zstd (out of memory?)");
    }
    return true;
}

static bool open_regular(struct audit_reader *reader, const char *path,
                         struct error *error)
{
    struct stat status;

    reader->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (reader->fd < 0 || fstat(reader->fd, &status) != 0)
        return error_set_errno(error, errno, "cannot be opened");
    reader->inode = status.st_ino;
    return S_ISREG(status.st_mode) || error_set(error, "is not a regular file");
}

struct audit_reader *audit_reader_open(const char *path, struct error *error)
{
    struct audit_reader *reader = malloc(sizeof(*reader));
    struct error reason;

    if (reader == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    memset(reader, 0, offsetof(struct audit_reader, input));
    if (open_regular(reader, path, &reason) && set_up(reader, &reason))
        return reader;
    (void)error_set(error, "%s %s", path, reason.text);
    audit_reader_close(reader);
    return NULL;
}

void audit_reader_close(struct audit_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->form == GZIP)
        (void)inflateEnd(&reader->gzip);
    ZSTD_freeDStream(reader->zstd);
    if (reader->fd >= 0)
        (void)close(reader->fd);
    free(reader->window);
    free(reader);
}

static enum audit_read fill_plain(struct audit_reader *reader, struct error *error)
{
    size_t held = reader->input_len; /* the magic, at first */
    ssize_t got = (ssize_t)held;

    if (held > 0) {
        memcpy(reader->window + reader->end, reader->input, held);
        reader->input_len = 0;
    } else {
        got = read_file(reader, reader->window + reader->end, CHUNK_BYTES);
    }
    if (got < 0) {
        (void)error_set_errno(error, errno, "cannot be read");
        return AUDIT_READ_FAILED;
    }
    reader->end += (size_t)got;
    return got > 0 ? AUDIT_READ_LINE : AUDIT_READ_END;
}

/* One step of inflate into room bytes; how many it made, or -1. */
static ssize_t inflate_some(struct audit_reader *reader, char *out, size_t room)
{
    z_stream *gzip = &reader->gzip;
    int result;

    if (!reader->is_in_frame && inflateReset(gzip) != Z_OK)
        return -1;
    reader->is_in_frame = true;
    gzip->next_in = (unsigned char *)reader->input + reader->input_at;
    gzip->avail_in = (unsigned)(reader->input_len - reader->input_at);
    gzip->next_out = (unsigned char *)out;
    gzip->avail_out = (unsigned)room;
    result = inflate(gzip, Z_NO_FLUSH);
    reader->input_at = reader->input_len - gzip->avail_in;
    if (result == Z_STREAM_END)
        reader->is_in_frame = false;
    else if (result != Z_OK && result != Z_BUF_ERROR)
        return -1;
    return (ssize_t)(room - gzip->avail_out);
}

static ssize_t unzstd_some(struct audit_reader *reader, char *out, size_t room)
{
    ZSTD_inBuffer in = {reader->input, reader->input_len, reader->input_at};
    ZSTD_outBuffer made = {out, room, 0};
    size_t result = ZSTD_decompressStream(reader->zstd, &made, &in);

    if (ZSTD_isError(result))
        return -1;
    reader->input_at = in.pos;
    reader->is_in_frame = result != 0;
    return (ssize_t)made.pos;
}

/* Has input, unless the file is over. */
static bool have_input(struct audit_reader *reader, struct error *error)
{
    ssize_t got;

    if (reader->input_at < reader->input_len || reader->is_file_over)
        return true;
    got = read_file(reader, reader->input, CHUNK_BYTES);
    if (got < 0)
        return error_set_errno(error, errno, "cannot be read");
    reader->input_at = 0;
    reader->input_len = (size_t)got;
    return true;
}

static enum audit_read fill_unpacked(struct audit_reader *reader, struct error *error)
{
    for (;;) {
        char *out = reader->window + reader->end;
        ssize_t made;

        if (!reader->was_room_full && !have_input(reader, error))
            return AUDIT_READ_FAILED;
        if (!reader->was_room_full && reader->input_at == reader->input_len)
            break;
        made = reader->form == GZIP ? inflate_some(reader, out, CHUNK_BYTES)
                                    : unzstd_some(reader, out, CHUNK_BYTES);
        if (made < 0) {
            (void)error_set(error, "has damaged compressed data here");
            return AUDIT_READ_FAILED;
        }
        reader->was_room_full = made == CHUNK_BYTES && reader->is_in_frame;
        reader->end += (size_t)made;
        if (made > 0)
            return AUDIT_READ_LINE;
    }
    if (!reader->is_in_frame)
        return AUDIT_READ_END;
    (void)error_set(error, "has compressed data that stops in its midst");
    return AUDIT_READ_SHORT;
}

/* Room for a chunk behind what is unread, which moves to the front. */
static bool make_room(struct audit_reader *reader)
{
    size_t held = reader->end - reader->start;
    size_t wanted =
        reader->window_bytes > 0 ? reader->window_bytes : (size_t)2 * CHUNK_BYTES;
    char *window = reader->window;

    if (held > 0)
        memmove(window, window + reader->start, held);
    reader->start = 0;
    reader->end = held;
    while (wanted < held + CHUNK_BYTES)
        wanted *= 2;
    if (wanted == reader->window_bytes)
        return true;
    window = realloc(window, wanted);
    if (window == NULL)
        return false;
    reader->window = window;
    reader->window_bytes = wanted;
    return true;
}

/* Brings more bytes behind those in the window. LINE here means: there are some. */
static enum audit_read fill(struct audit_reader *reader, struct error *error)
{
    if (reader->end - reader->start > AUDIT_LINE_MAX_BYTES) {
        (void)error_set(error, "is longer than 1 MiB");
        return AUDIT_READ_FAILED;
    }
    if (!make_room(reader)) {
        (void)error_set(error, "cannot be read: out of memory");
        return AUDIT_READ_FAILED;
    }
    return reader->form == PLAIN ? fill_plain(reader, error)
                                 : fill_unpacked(reader, error);
}

static void describe(struct audit_reader *reader, size_t len, bool is_whole,
                     struct audit_read_line *line)
{
    *line = (struct audit_read_line){
        .text = span_make(reader->window + reader->start, len),
        .is_whole = is_whole,
        .number = reader->line,
        .offset = reader->offset,
    };
}

static enum audit_read give_whole(struct audit_reader *reader, size_t len,
                                  struct audit_read_line *line, struct error *error)
{
    if (len > AUDIT_LINE_MAX_BYTES) {
        (void)error_set(error, "is longer than 1 MiB");
        return AUDIT_READ_FAILED;
    }
    describe(reader, len, true, line);
    reader->start += len + 1;
    reader->offset += len + 1;
    reader->number++;
    reader->given_bytes = 0;
    return AUDIT_READ_LINE;
}

static enum audit_read give_incomplete(struct audit_reader *reader,
                                       struct audit_read_line *line)
{
    size_t len = reader->end - reader->start;

    if (len == reader->given_bytes)
        return AUDIT_READ_END;
    reader->given_bytes = len;
    describe(reader, len, false, line);
    return AUDIT_READ_LINE;
}

enum audit_read audit_reader_next(struct audit_reader *reader,
                                  struct audit_read_line *line, struct error *error)
{
    size_t searched = 0; /* from start on, in vain */

    reader->line = reader->number + 1;
    for (;;) {
        size_t at = reader->start + searched;
        size_t len = reader->end - at;
        const char *newline = len > 0 ? memchr(reader->window + at, '\n', len) : NULL;
        enum audit_read filled;

        if (newline != NULL)
            return give_whole(reader, (size_t)(newline - reader->window) - reader->start,
                              line, error);
        searched += len;
        filled = fill(reader, error);
        if (filled == AUDIT_READ_END)
            return give_incomplete(reader, line);
        if (filled != AUDIT_READ_LINE)
            return filled;
    }
}

bool audit_reader_is_compressed(const struct audit_reader *reader)
{
    return reader->form != PLAIN;
}

uint64_t audit_reader_line(const struct audit_reader *reader)
{
    return reader->line;
}

uint64_t audit_reader_bytes(const struct audit_reader *reader)
{
    return reader->file_bytes;
}

ino_t audit_reader_inode(const struct audit_reader *reader)
{
    return reader->inode;
}
