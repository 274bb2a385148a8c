#include "audit/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit/folder.h"
#include "audit/reader.h"
#include "base/text.h"

struct audit_walk {
    char *path;
    struct audit_folder folder; /* as it was when the next file was looked for last */
    size_t at; /* the file being read: in folder.files, if reader is set */
    struct audit_reader *reader;   /* NULL: there is no file yet */
    struct text name;              /* the path that it was opened by */
    struct audit_read_line peeked; /* its first line, until it is given */
    bool has_peeked;
    uint64_t first; /* that file's first sequence */
    uint64_t last;  /* the sequence of the last line that was read */
    uint64_t superseded_from;
    bool is_left; /* the file is complete: when it ends, go on with folder.files[next] */
    size_t next;
    bool is_torn;
};

/* Whether the file's lines count; without a first line it has none yet. */
static bool counts(const struct audit_file *file)
{
    return file->first > 0 && !file->is_copy;
}

static bool list_again(struct audit_walk *trail, struct error *error)
{
    enum { TRIES = 5 }; /* a file may be renamed or deleted while the list is made */

    for (int i = 0; i < TRIES; i++) {
        audit_folder_fini(&trail->folder);
        if (audit_folder_list(trail->path, &trail->folder, error))
            return true;
    }
    return false;
}

/* The file that counts and begins with a sequence, or the count of files. */
static size_t find_first(const struct audit_walk *trail, uint64_t first)
{
    size_t i = 0;

    while (i < trail->folder.count &&
           !(counts(&trail->folder.files[i]) && trail->folder.files[i].first == first))
        i++;
    return i;
}

/* The file if its path still leads to it, with its first line peeked at; or NULL. */
static struct audit_reader *open_same(struct audit_walk *trail,
                                      const struct audit_file *file)
{
    struct error ignored;
    struct audit_reader *reader = audit_reader_open(file->path, &ignored);
    struct audit_line cut;

    /* The inode alone does not tell: one that was deleted may be another file's now. */
    if (reader != NULL && audit_reader_inode(reader) == file->inode &&
        audit_reader_next(reader, &trail->peeked, &ignored) == AUDIT_READ_LINE &&
        trail->peeked.is_whole && audit_line_cut(trail->peeked.text, &cut, &ignored) &&
        cut.sequence == file->first)
        return reader;
    audit_reader_close(reader);
    return NULL;
}

/* Opens folder.files[i], or the file with its lines if it was renamed meanwhile. */
static bool open_file(struct audit_walk *trail, size_t i, struct error *error)
{
    enum { TRIES = 5 };
    uint64_t first = trail->folder.files[i].first;

    for (int tries = 0; tries < TRIES && i < trail->folder.count; tries++) {
        const struct audit_file *file = &trail->folder.files[i];
        struct audit_reader *reader = open_same(trail, file);

        if (reader != NULL) {
            audit_reader_close(trail->reader);
            trail->reader = reader;
            trail->has_peeked = true;
            trail->at = i;
            trail->first = first;
            trail->superseded_from = file->superseded_from;
            trail->is_left = false;
            text_clear(&trail->name);
            text_add(&trail->name, span_of(file->path));
            return true;
        }
        if (!list_again(trail, error))
            return false;
        i = find_first(trail, first);
    }
    return error_set(error, "%s: the file that begins with line %llu is gone",
                     trail->path, (unsigned long long)first);
}

/* The next file after i that counts, or the count of files. */
static size_t find_after(const struct audit_walk *trail, size_t i)
{
    do
        i++;
    while (i < trail->folder.count && !counts(&trail->folder.files[i]));
    return i;
}

static struct audit_walk *trail_new(const char *folder, struct error *error)
{
    struct audit_walk *trail = calloc(1, sizeof(*trail));

    if (trail == NULL || (trail->path = strdup(folder)) == NULL) {
        free(trail);
        (void)error_set(error, "out of memory");
        return NULL;
    }
    if (!list_again(trail, error)) {
        audit_walk_close(trail);
        return NULL;
    }
    return trail;
}

void audit_walk_close(struct audit_walk *trail)
{
    if (trail == NULL)
        return;
    audit_reader_close(trail->reader);
    audit_folder_fini(&trail->folder);
    text_fini(&trail->name);
    free(trail->path);
    free(trail);
}

/* Opens the file at i, if there is one; closes the trail when that fails. */
static struct audit_walk *begin_at(struct audit_walk *trail, size_t i,
                                   struct error *error)
{
    if (i >= trail->folder.count || open_file(trail, i, error))
        return trail;
    audit_walk_close(trail);
    return NULL;
}

struct audit_walk *audit_walk_open(const char *folder, struct error *error)
{
    struct audit_walk *trail = trail_new(folder, error);

    return trail != NULL ? begin_at(trail, find_after(trail, SIZE_MAX), error) : NULL;
}

/* Where the oldest intent is that was open when folder.files[i] was begun. */
static uint64_t oldest_open(const struct audit_walk *trail, size_t i)
{
    const struct audit_file *file = &trail->folder.files[i];
    struct error ignored;
    struct audit_reader *reader = audit_reader_open(file->path, &ignored);
    struct audit_read_line line;
    struct audit_line cut;
    uint64_t oldest = file->first;

    if (reader != NULL && audit_reader_next(reader, &line, &ignored) == AUDIT_READ_LINE &&
        audit_line_cut(line.text, &cut, &ignored) && cut.oldest_open > 0 &&
        cut.oldest_open < oldest)
        oldest = cut.oldest_open;
    audit_reader_close(reader);
    return oldest;
}

/* The last file but i that counts, or i itself when it is the first. */
static size_t find_before(const struct audit_walk *trail, size_t i)
{
    for (size_t before = i; before-- > 0;) {
        if (counts(&trail->folder.files[before]))
            return before;
    }
    return i;
}

struct audit_walk *audit_walk_open_last(const char *folder, size_t files, uint64_t *from,
                                        struct error *error)
{
    struct audit_walk *trail = trail_new(folder, error);
    uint64_t oldest;
    size_t i;

    *from = 1;
    if (trail == NULL)
        return NULL;
    i = find_before(trail, trail->folder.count);
    if (i == trail->folder.count)
        return trail;
    for (; files > 1 && find_before(trail, i) != i; files--)
        i = find_before(trail, i);
    if (find_before(trail, i) != i)
        *from = trail->folder.files[i].first;
    oldest = oldest_open(trail, i);
    while (trail->folder.files[i].first > oldest && find_before(trail, i) != i)
        i = find_before(trail, i);
    return begin_at(trail, i, error);
}

/* Whether the name of the current file means another file than the one being read. */
static bool is_replaced(const struct audit_walk *trail)
{
    char path[4096];
    struct stat named;

    (void)snprintf(path, sizeof(path), "%s/%s", trail->path, AUDIT_CURRENT_NAME);
    return stat(path, &named) == 0 &&
           (trail->reader == NULL || named.st_ino != audit_reader_inode(trail->reader));
}

/*
 * The file to go on with, in a list that was made just now. The file being read may have
 * another name, be compressed or be gone; a file that resumes may begin with the sequence
 * that this one begins with; and if nothing follows, the trail was begun anew.
 */
static size_t find_next(const struct audit_walk *trail)
{
    size_t i, current = trail->folder.count;

    for (i = 0; trail->reader != NULL && i < trail->folder.count; i++) {
        if (trail->folder.files[i].inode == audit_reader_inode(trail->reader))
            return find_after(trail, i);
    }
    for (i = 0; i < trail->folder.count; i++) {
        const struct audit_file *file = &trail->folder.files[i];

        if (!counts(file))
            continue;
        if (file->first > trail->first)
            return i;
        if (file->is_current)
            current = i;
    }
    return current;
}

/*
 * A folder's list is not made in one moment: files that were rotated meanwhile may be
 * missing. So a gap in the sequence is believed only when it stays.
 */
static bool open_next(struct audit_walk *trail, struct error *error)
{
    enum { TRIES = 3 };

    for (int i = 0; i < TRIES && trail->next < trail->folder.count &&
                    trail->folder.files[trail->next].first > trail->last + 1;
         i++) {
        if (!list_again(trail, error))
            return false;
        trail->next = find_next(trail);
    }
    if (trail->next >= trail->folder.count)
        return error_set(error, "%s: a file is gone before it was read", trail->path);
    return open_file(trail, trail->next, error);
}

enum step { STEP_ON, STEP_END, STEP_FAILED };

/* What comes after the end of the file being read. */
static enum step go_on(struct audit_walk *trail, struct error *error)
{
    if (trail->is_left)
        return open_next(trail, error) ? STEP_ON : STEP_FAILED;
    trail->next = trail->reader != NULL ? find_after(trail, trail->at) : SIZE_MAX;
    if (trail->next >= trail->folder.count) {
        if (!is_replaced(trail))
            return STEP_END;
        if (!list_again(trail, error))
            return STEP_FAILED;
        trail->next = find_next(trail);
    }
    if (trail->next >= trail->folder.count) {
        trail->at = trail->folder.count; /* not in this list */
        return STEP_END;
    }
    /* What was written before the file was left may be unread still. */
    trail->is_left = true;
    return STEP_ON;
}

static const char *name_of(const struct audit_walk *trail)
{
    return trail->name.failed ? trail->path : trail->name.bytes;
}

/* Notes a line's sequence; false when the line is superseded. */
static bool counts_here(struct audit_walk *trail, struct span text)
{
    struct audit_line cut;
    struct error ignored;

    if (!audit_line_cut(text, &cut, &ignored))
        return true; /* whoever wants it will say what it lacks */
    trail->last = cut.sequence;
    return trail->superseded_from == 0 || cut.sequence < trail->superseded_from;
}

static enum audit_read read_line(struct audit_walk *trail, struct audit_read_line *read,
                                 struct error *reason)
{
    if (!trail->has_peeked)
        return audit_reader_next(trail->reader, read, reason);
    trail->has_peeked = false;
    *read = trail->peeked;
    return AUDIT_READ_LINE;
}

/* Reads on in the file; AUDIT_WALK_END is the file's. */
static enum audit_walk_read read_file(struct audit_walk *trail,
                                      struct audit_walk_line *line, struct error *error)
{
    struct audit_read_line read;
    struct error reason;
    enum audit_read status;

    trail->is_torn = false;
    do
        status = read_line(trail, &read, &reason);
    while (status == AUDIT_READ_LINE && read.is_whole && !counts_here(trail, read.text));
    if (status == AUDIT_READ_LINE && read.is_whole) {
        *line = (struct audit_walk_line){read.text, name_of(trail), read.number};
        return AUDIT_WALK_LINE;
    }
    if (status == AUDIT_READ_LINE || status == AUDIT_READ_END) {
        trail->is_torn = status == AUDIT_READ_LINE;
        return AUDIT_WALK_END;
    }
    (void)error_set(error, "%s:%llu: %s", name_of(trail),
                    (unsigned long long)audit_reader_line(trail->reader), reason.text);
    return AUDIT_WALK_FAILED;
}

enum audit_walk_read audit_walk_next(struct audit_walk *trail,
                                     struct audit_walk_line *line, struct error *error)
{
    enum audit_walk_read read = AUDIT_WALK_END;
    enum step step;

    for (;;) {
        if (trail->reader != NULL)
            read = read_file(trail, line, error);
        if (read != AUDIT_WALK_END)
            return read;
        step = go_on(trail, error);
        if (step != STEP_ON)
            return step == STEP_END ? AUDIT_WALK_END : AUDIT_WALK_FAILED;
    }
}

bool audit_walk_has_torn_end(const struct audit_walk *trail)
{
    bool is_torn = trail->is_torn;

    for (size_t i = 0; i < trail->folder.count; i++) {
        const struct audit_file *file = &trail->folder.files[i];

        is_torn = is_torn || (file->first == 0 && !file->is_empty && file->fault == NULL);
    }
    return is_torn;
}

/* Whether the same file is there compressed or plain, and can be read in that form. */
static bool has_twin(const struct audit_walk *trail, const struct audit_file *file)
{
    for (size_t i = 0; i < trail->folder.count; i++) {
        const struct audit_file *other = &trail->folder.files[i];

        if (other != file && other->first > 0 &&
            audit_folder_is_same_name(other->name, file->name))
            return true;
    }
    return false;
}

bool audit_walk_has_fault(const struct audit_walk *trail, struct error *error)
{
    for (size_t i = 0; i < trail->folder.count; i++) {
        const struct audit_file *file = &trail->folder.files[i];

        /* Beside its original it is being compressed just now. */
        if (file->fault != NULL && !has_twin(trail, file)) {
            (void)error_set(error, "%s:1: %s", file->path, file->fault);
            return true;
        }
    }
    return false;
}
