#include "base/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log_internal.h"
#include "base/log_queue.h"

enum { QUEUE_BYTES = 4 * 1024 * 1024, LAST_FLUSH_SECONDS = 1, NAP_NS = 1000000 };

enum mode {
    DIRECT, /* whoever logs writes */
    QUEUED, /* the thread does */
    SHUT,   /* the thread hangs, and so would whoever writes */
};

static struct {
    _Atomic int mode;
    struct log_queue queue;
    pthread_t thread;

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t has_come_to_an_end;
    bool has_ended;
    int file;     /* -1: standard error */
    int replaced; /* what file was before; the thread closes it. -1: none */
    bool is_new;  /* the thread has not written there yet */
    size_t piece; /* how many bytes are written at once */

    _Atomic uint64_t missing; /* lines since the start: dropped, or not written */

    /* The thread's. */
    bool is_torn;  /* the last line that was written is not whole */
    uint64_t lost; /* lines that could not be written, and why not */
    int errnum;
} output = {.lock = PTHREAD_MUTEX_INITIALIZER, .file = -1, .replaced = -1};

/* Where to */

/* What goes to a pipe in more than PIPE_BUF bytes may mix with what others write. */
static size_t piece_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? QUEUE_BYTES : PIPE_BUF;
}

static int descriptor(void)
{
    return output.file >= 0 ? output.file : STDERR_FILENO;
}

/* A pipe without a reader must not hold us up here, but may later: then it is full. */
bool log_open(const char *path, int *fd, struct error *error)
{
    int flags;

    *fd = -1;
    if (path == NULL)
        return true;
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
               0640);
    if (*fd < 0)
        return error_set_errno(error, errno, "cannot open the log file %s", path);
    flags = fcntl(*fd, F_GETFL);
    if (flags >= 0 && fcntl(*fd, F_SETFL, flags & ~O_NONBLOCK) == 0)
        return true;
    (void)error_set_errno(error, errno, "cannot use the log file %s", path);
    (void)close(*fd);
    *fd = -1;
    return false;
}

void log_switch(int fd)
{
    bool is_queued = atomic_load(&output.mode) == QUEUED;
    int unused = -1;

    (void)pthread_mutex_lock(&output.lock);
    if (!is_queued || output.replaced >= 0)
        unused = output.file; /* nobody has written there since, or does so now */
    else
        output.replaced = output.file;
    output.file = fd;
    output.is_new = true;
    output.piece = piece_of(descriptor());
    (void)pthread_mutex_unlock(&output.lock);
    if (unused >= 0)
        (void)close(unused);
    if (is_queued)
        log_queue_poke(&output.queue);
}

uint64_t log_count_missing(void)
{
    return atomic_load(&output.missing);
}

/* Writing */

/* Somebody else may have made it non-blocking: it is shared. */
static void await_room(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

    (void)poll(&poll_fd, 1, -1);
}

/* Writes it all, or says why not; *done is how much. */
static int write_all(int fd, struct span bytes, size_t *done)
{
    for (*done = 0; *done < bytes.len;) {
        ssize_t len = write(fd, bytes.at + *done, bytes.len - *done);

        if (len >= 0)
            *done += (size_t)len;
        else if (errno == EAGAIN)
            await_room(fd);
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

static uint64_t count_lines(struct span lines)
{
    uint64_t count = 0;

    for (const char *at = lines.at;
         (at = memchr(at, '\n', (size_t)(lines.at + lines.len - at))) != NULL; at++)
        count++;
    return count;
}

/* As many whole lines as may go at once; at least one. */
static struct span first_piece(struct span lines, size_t most)
{
    const char *cut;

    if (lines.len <= most)
        return lines;
    cut = memrchr(lines.at, '\n', most);
    if (cut == NULL)
        cut = memchr(lines.at, '\n', lines.len);
    return span_make(lines.at, (size_t)(cut - lines.at) + 1);
}

/* The descriptor for the next piece; closes the one before, if there is another now. */
static int next_descriptor(size_t *piece)
{
    int fd, unused;

    (void)pthread_mutex_lock(&output.lock);
    fd = descriptor();
    *piece = output.piece;
    unused = output.replaced;
    output.replaced = -1;
    if (output.is_new)
        output.is_torn = false;
    output.is_new = false;
    (void)pthread_mutex_unlock(&output.lock);
    if (unused >= 0)
        (void)close(unused);
    return fd;
}

static bool write_piece(int fd, struct span piece)
{
    size_t done;
    int errnum = 0;

    if (output.is_torn)
        errnum = write_all(fd, SPAN("\n"), &done);
    if (errnum == 0) {
        output.is_torn = false;
        errnum = write_all(fd, piece, &done);
        output.is_torn = errnum != 0 && done > 0 && piece.at[done - 1] != '\n';
    } else {
        done = 0;
    }
    if (errnum == 0)
        return true;
    output.errnum = errnum;
    output.lost += count_lines(span_make(piece.at + done, piece.len - done));
    return false;
}

static void write_lines(struct span lines)
{
    while (lines.len > 0) {
        size_t most;
        int fd = next_descriptor(&most);
        struct span piece = first_piece(lines, most);
        uint64_t lost = output.lost;

        if (!write_piece(fd, piece))
            (void)atomic_fetch_add(&output.missing, output.lost - lost);
        lines = span_make(lines.at + piece.len, lines.len - piece.len);
    }
}

/* Telling what was lost */

static bool write_notice(const char *text)
{
    struct text line = {0};
    uint64_t lost = output.lost;
    size_t piece;
    bool is_written = false;

    log_render(&line, LOG_WARN, span_of(text), NULL, 0);
    if (!line.failed)
        is_written =
            write_piece(next_descriptor(&piece), span_make(line.bytes, line.len));
    text_fini(&line);
    output.lost = lost; /* the notice itself is none of them */
    return is_written;
}

static void tell_dropped(uint64_t dropped[LOG_LEVELS])
{
    struct text levels = {0}, text = {0};
    uint64_t count = 0;

    for (int level = 0; level < LOG_LEVELS; level++) {
        if (dropped[level] == 0)
            continue;
        text_add_format(&levels, "%s%s %llu", count > 0 ? ", " : "",
                        log_level_name((enum log_level)level),
                        (unsigned long long)dropped[level]);
        count += dropped[level];
    }
    if (count == 0)
        return;
    text_add_format(
        &text, "log: %llu lines were dropped, they came faster than they were taken (%s)",
        (unsigned long long)count, levels.bytes);
    if (!levels.failed && !text.failed && write_notice(text.bytes))
        memset(dropped, 0, LOG_LEVELS * sizeof(*dropped));
    text_fini(&levels);
    text_fini(&text);
}

static void tell_lost(void)
{
    struct text text = {0};

    if (output.lost == 0)
        return;
    text_add_format(&text, "log: %llu lines could not be written: %s",
                    (unsigned long long)output.lost, error_errno_text(output.errnum));
    if (!text.failed && write_notice(text.bytes))
        output.lost = 0;
    text_fini(&text);
}

/* The thread */

static void nap(void)
{
    const struct timespec time = {.tv_nsec = NAP_NS};

    (void)nanosleep(&time, NULL);
}

static void *run(void *unused)
{
    uint64_t dropped[LOG_LEVELS] = {0};
    struct log_batch batch;

    (void)unused;
    while (log_queue_take(&output.queue, &batch)) {
        size_t piece;

        write_lines(batch.lines);
        for (int level = 0; level < LOG_LEVELS; level++)
            dropped[level] += batch.dropped[level];
        tell_dropped(dropped);
        tell_lost();
        (void)next_descriptor(
            &piece); /* what was replaced is closed also in quiet times */
        nap();
    }
    (void)pthread_mutex_lock(&output.lock);
    output.has_ended = true;
    (void)pthread_cond_signal(&output.has_come_to_an_end);
    (void)pthread_mutex_unlock(&output.lock);
    return NULL;
}

/* The thread takes no signals: they are the program's. */
static int start_thread(void)
{
    sigset_t all, before;
    int errnum;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    errnum = pthread_create(&output.thread, NULL, run, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return errnum;
}

bool log_start(struct error *error)
{
    pthread_condattr_t attributes;
    int errnum;

    if (!log_queue_init(&output.queue, QUEUE_BYTES))
        return error_set(error, "out of memory");
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&output.has_come_to_an_end, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    output.piece = piece_of(descriptor());
    output.has_ended = false;
    errnum = start_thread();
    if (errnum != 0) {
        (void)pthread_cond_destroy(&output.has_come_to_an_end);
        log_queue_fini(&output.queue);
        return error_set_errno(error, errnum, "cannot start the log's thread");
    }
    atomic_store(&output.mode, QUEUED);
    return true;
}

static bool await_end(void)
{
    struct timespec due;
    bool has_ended;
    int errnum = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += LAST_FLUSH_SECONDS;
    (void)pthread_mutex_lock(&output.lock);
    while (!output.has_ended && errnum == 0)
        errnum = pthread_cond_timedwait(&output.has_come_to_an_end, &output.lock, &due);
    has_ended = output.has_ended;
    (void)pthread_mutex_unlock(&output.lock);
    return has_ended;
}

void log_stop(void)
{
    if (atomic_load(&output.mode) != QUEUED)
        return;
    log_queue_close(&output.queue);
    if (!await_end()) {
        atomic_store(&output.mode, SHUT);
        (void)pthread_detach(output.thread);
        return;
    }
    (void)pthread_join(output.thread, NULL);
    atomic_store(&output.mode, DIRECT);
    /* The queue stays: a thread that is left behind elsewhere may just be logging. */
}

/* Who logs */

void log_output_write(enum log_level level, struct span line)
{
    switch ((enum mode)atomic_load_explicit(&output.mode, memory_order_acquire)) {
    case QUEUED:
        if (!log_queue_add(&output.queue, level, line))
            (void)atomic_fetch_add(&output.missing, 1);
        break;
    case DIRECT:
        (void)!write(descriptor(), line.at, line.len);
        break;
    case SHUT:
        break;
    }
}
