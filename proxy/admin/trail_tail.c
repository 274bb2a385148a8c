#include "admin/trail_tail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "audit/line.h"
#include "audit/walk.h"

struct line {
    STAILQ_ENTRY(line) entry;
    uint64_t sequence;
    size_t len;
    char bytes[];
};

STAILQ_HEAD(lines, line);

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
    STAILQ_INIT(&tail->lines);
    tail->most_bytes = most_bytes;
    tail->folder = strdup(folder);
    if (tail->folder == NULL) {
        trail_tail_free(tail);
        return NULL;
    }
    return tail;
}

static void drop_first(struct trail_tail *tail)
{
    struct line *line = STAILQ_FIRST(&tail->lines);

    STAILQ_REMOVE_HEAD(&tail->lines, entry);
    tail->bytes -= sizeof(*line) + line->len;
    free(line);
}

static void forget_all(struct trail_tail *tail)
{
    while (!STAILQ_EMPTY(&tail->lines))
        drop_first(tail);
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

static bool keep(struct trail_tail *tail, struct span text, uint64_t sequence)
{
    struct line *line = malloc(sizeof(*line) + text.len);

    if (line == NULL)
        return false;
    line->sequence = sequence;
    line->len = text.len;
    memcpy(line->bytes, text.at, text.len);
    STAILQ_INSERT_TAIL(&tail->lines, line, entry);
    tail->bytes += sizeof(*line) + line->len;
    tail->last = sequence;
    while (tail->bytes > tail->most_bytes)
        drop_first(tail);
    return true;
}

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
        if (!audit_line_cut(read.text, &cut, &ignored) || cut.sequence <= tail->last)
            continue; /* a bad line is verify's to tell; a repeated one is there */
        if (!keep(tail, read.text, cut.sequence)) {
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
    const struct line *first = STAILQ_FIRST(&tail->lines);

    return first != NULL ? first->sequence <= sequence : sequence > tail->last;
}

bool trail_tail_feed(const struct trail_tail *tail, struct search *search)
{
    const struct line *line;
    struct error error;

    STAILQ_FOREACH(line, &tail->lines, entry)
    {
        if (search_take(search, span_make(line->bytes, line->len), 0, &error) ==
            SEARCH_NO_MEMORY)
            return false;
    }
    return true;
}
