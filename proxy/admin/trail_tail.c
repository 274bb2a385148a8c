#include "admin/trail_tail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "audit/line.h"
#include "audit/walk.h"
#include "base/analyzer.h"

struct line {
    TAILQ_ENTRY(line) entry;
    uint64_t sequence;
    size_t len;
    char bytes[];
};

TAILQ_HEAD(lines, line);

struct trail_tail {
    char *folder;
    size_t most_bytes, bytes;
    dev_t device; /* of the folder, when the walk was opened */
    ino_t inode;
    struct audit_walk *walk; /* NULL: to be opened */
    struct lines lines;      /* the oldest first */
    uint64_t last;
    unsigned beginnings;
};

struct trail_tail *trail_tail_new(const char *folder, size_t most_bytes)
{
    struct trail_tail *tail = calloc(1, sizeof(*tail));

    if (tail == NULL)
        return NULL;
    TAILQ_INIT(&tail->lines);
    tail->most_bytes = most_bytes;
    tail->folder = strdup(folder);
    if (tail->folder == NULL) {
        trail_tail_free(tail);
        return NULL;
    }
    return tail;
}

static void drop(struct trail_tail *tail, struct line *line)
{
    TAILQ_REMOVE(&tail->lines, line, entry);
    tail->bytes -= sizeof(*line) + line->len;
    free(line);
}

static void forget_all(struct trail_tail *tail)
{
    while (!TAILQ_EMPTY(&tail->lines))
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): drop takes it off the list */
        drop(tail, TAILQ_FIRST(&tail->lines));
    audit_walk_close(tail->walk);
    tail->walk = NULL;
    tail->last = 0;
}

void trail_tail_free(struct trail_tail *tail)
{
    if (tail == NULL)
        return;
    forget_all(tail);
    free(tail->folder);
    free(tail);
}

LEAK_IS_NONE /* the list owns the line */
static bool keep(struct trail_tail *tail, struct span text, uint64_t sequence)
{
    struct line *line = malloc(sizeof(*line) + text.len);

    if (line == NULL)
        return false;
    line->sequence = sequence;
    line->len = text.len;
    memcpy(line->bytes, text.at, text.len);
    TAILQ_INSERT_TAIL(&tail->lines, line, entry);
    tail->bytes += sizeof(*line) + line->len;
    if (sequence > tail->last)
        tail->last = sequence;
    while (tail->bytes > tail->most_bytes)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): drop takes it off the list */
        drop(tail, TAILQ_FIRST(&tail->lines));
    return true;
}
LEAK_LOOK_AGAIN

/*
 * Opens the walk, if need be anew: it goes on in files that have been taken away with
 * their folder, and would never see those of another folder in its place.
 */
static bool open_walk(struct trail_tail *tail, struct error *error)
{
    struct stat folder;
    uint64_t from;

    if (stat(tail->folder, &folder) != 0) {
        int errnum = errno;

        forget_all(tail);
        return error_set_errno(error, errnum, "cannot read the folder %s", tail->folder);
    }
    if (folder.st_dev != tail->device || folder.st_ino != tail->inode)
        forget_all(tail);
    if (tail->walk == NULL) {
        tail->walk = audit_walk_open_last(tail->folder, 1, &from, error);
        tail->beginnings++;
    }
    tail->device = folder.st_dev;
    tail->inode = folder.st_ino;
    return tail->walk != NULL;
}

/* Whether the line is the first of a file that goes on before a failed write. */
static bool is_resumption(struct span text)
{
    struct span action;

    return audit_line_find(text, SPAN("event.action"), &action) &&
           span_equal(action, SPAN("\"trail.resumed\""));
}

/* Lines that were read before they were superseded: their repeats follow. */
static void drop_from(struct trail_tail *tail, uint64_t sequence)
{
    struct line *line;

    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): drop takes it off the list */
    while ((line = TAILQ_LAST(&tail->lines, lines)) != NULL && line->sequence >= sequence)
        drop(tail, line);
    tail->last = sequence - 1;
}

static bool is_kept(const struct trail_tail *tail, struct span text)
{
    const struct line *line;

    TAILQ_FOREACH(line, &tail->lines, entry)
    {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): drop took the freed off the list */
        if (span_equal(span_make(line->bytes, line->len), text))
            return true;
    }
    return false;
}

/* A line of the chain, wherever it says it stands: that is verify's to judge. */
static bool take(struct trail_tail *tail, struct span text, uint64_t sequence)
{
    if (sequence <= tail->last) {
        if (is_resumption(text))
            drop_from(tail, sequence);
        else if (is_kept(tail, text))
            return true;
    }
    return keep(tail, text, sequence);
}

/* A trail that cannot be followed on is read anew at the next call. */
bool trail_tail_catch_up(struct trail_tail *tail, struct error *error)
{
    struct audit_walk_line read;
    struct audit_line cut;
    struct error ignored;

    if (!open_walk(tail, error))
        return false;
    for (;;) {
        switch (audit_walk_next(tail->walk, &read, error)) {
        case AUDIT_WALK_END:
            return true;
        case AUDIT_WALK_FAILED:
            forget_all(tail);
            return false;
        case AUDIT_WALK_LINE:
            break;
        }
        if (!audit_line_cut(read.text, &cut, &ignored))
            continue;
        if (!take(tail, read.text, cut.sequence)) {
            forget_all(tail);
            return error_set(error, "out of memory");
        }
    }
}

unsigned trail_tail_beginnings(const struct trail_tail *tail)
{
    return tail->beginnings;
}

uint64_t trail_tail_last(const struct trail_tail *tail)
{
    return tail->last;
}

bool trail_tail_has(const struct trail_tail *tail, uint64_t sequence)
{
    const struct line *first = TAILQ_FIRST(&tail->lines);

    return first != NULL ? first->sequence <= sequence : sequence > tail->last;
}

bool trail_tail_feed(const struct trail_tail *tail, struct search *search)
{
    const struct line *line;
    struct error error;

    TAILQ_FOREACH(line, &tail->lines, entry)
    {
        if (search_take(search, span_make(line->bytes, line->len), 0, &error) ==
            SEARCH_NO_MEMORY)
            return false;
    }
    return true;
}
