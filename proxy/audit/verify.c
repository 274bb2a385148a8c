#include "audit/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/copies.h"
#include "audit/reader.h"
#include "audit/verify_internal.h"

enum { MOST_TRIES = 5 };

/* A report takes longer than a record, so not every one gets one. False: give it up. */
static bool tell_progress(struct verify_walk *walk, const struct audit_reader *reader)
{
    enum { RECORDS_A_REPORT = 256 };

    if (walk->request->on_progress == NULL || walk->line % RECORDS_A_REPORT != 0)
        return true;
    walk->progress.records = walk->verdict->records;
    walk->progress.bytes = walk->bytes_before + audit_reader_bytes(reader);
    return walk->request->on_progress(walk->request->owner, &walk->progress) ||
           error_set(walk->error, "was given up");
}

static bool read_lines(struct verify_walk *walk, struct audit_reader *reader)
{
    for (;;) {
        struct audit_read_line line;
        enum audit_read answer = audit_reader_next(reader, &line, walk->error);

        walk->line = audit_reader_line(reader);
        if (answer == AUDIT_READ_END)
            break;
        if (answer != AUDIT_READ_LINE)
            return verify_blame(walk);
        if (!verify_take_line(walk, &line))
            return false;
        if (!tell_progress(walk, reader))
            return false;
        if (!line.is_whole)
            break;
    }
    return !walk->doubt.is_raised || walk->file->superseded_from == 0 ||
           verify_settle_doubt(walk, NULL);
}

static bool read_file(struct verify_walk *walk, const struct audit_file *file)
{
    struct audit_reader *reader = audit_reader_open(file->path, walk->error);
    bool is_good;

    walk->file = file;
    walk->line = 0;
    if (reader == NULL) {
        walk->is_moved = access(file->path, F_OK) != 0 && errno == ENOENT;
        return false;
    }
    audit_repeats_begin_file(&walk->repeats);
    walk->branch = walk->head;
    walk->is_moved = audit_reader_inode(reader) != file->inode;
    is_good = !walk->is_moved && read_lines(walk, reader);
    walk->bytes_before += audit_reader_bytes(reader);
    audit_reader_close(reader);
    return is_good;
}

/* The fullest of a file and its copies that follow it, or NULL with error. */
static const struct audit_file *choose_copy(struct verify_walk *walk, size_t index)
{
    const struct audit_folder *folder = &walk->folder;
    const struct audit_file *best = &folder->files[index];

    for (size_t i = index + 1; i < folder->count && folder->files[i].is_copy; i++) {
        walk->file = &folder->files[i];
        switch (audit_copies_compare(best->path, walk->file->path, &walk->line,
                                     walk->error)) {
        case AUDIT_COPIES_FIRST:
            break;
        case AUDIT_COPIES_SECOND:
            best = walk->file;
            break;
        case AUDIT_COPIES_DIFFER:
            (void)verify_blame(walk);
            return NULL;
        case AUDIT_COPIES_FAILED:
            walk->is_moved =
                access(best->path, F_OK) != 0 || access(walk->file->path, F_OK) != 0;
            return NULL;
        }
    }
    return best;
}

/* A first line that is no record is said before its absence confuses the others. */
static bool check_first_lines(struct verify_walk *walk)
{
    if (walk->folder.count == 0) {
        verify_set_place(walk->verdict->place, walk->request->folder, 0);
        return error_set(walk->error, "holds no trail (no file audit*.jsonl*)");
    }
    for (size_t i = 0; i < walk->folder.count; i++) {
        walk->file = &walk->folder.files[i];
        walk->line = 1;
        if (walk->file->fault != NULL && !walk->file->is_copy)
            return verify_broken(walk, "%s", walk->file->fault);
    }
    return true;
}

/* What only the end of the trail can show. */
static bool check_end(struct verify_walk *walk)
{
    if (walk->doubt.is_raised)
        return verify_settle_doubt(walk, NULL);
    if (walk->head.next == 1 && walk->request->held_count > 0 &&
        !walk->request->may_hold_none) {
        verify_set_place(walk->verdict->place, walk->request->folder, 0);
        return error_set(walk->error, "holds no record, but there are held checkpoints: "
                                      "the trail was removed");
    }
    if (walk->held_next < walk->held_count) {
        verify_set_place(walk->verdict->place, walk->head.path, walk->head.line);
        return error_set(
            walk->error,
            "is the last record, %llu, but a held checkpoint is about record "
            "%llu: the end of the trail was cut off",
            verify_shown(walk->head.next - 1),
            verify_shown(walk->held[walk->held_count - 1]->sequence));
    }
    walk->verdict->unfinished = walk->open.count;
    walk->verdict->is_repeating = audit_repeats_missing(&walk->repeats) != NULL;
    return true;
}

/* An incomplete first line of a suspect file is superseded with all that it has. */
static bool may_count(const struct audit_file *file)
{
    return !file->is_copy && !file->is_empty &&
           (file->first != 0 || file->superseded_from == 0);
}

/* What there is to read; a file that grows, or of which a copy is read, changes it. */
static void count_bytes(struct verify_walk *walk)
{
    struct stat status;

    for (size_t i = 0; i < walk->folder.count; i++) {
        if (may_count(&walk->folder.files[i]) &&
            stat(walk->folder.files[i].path, &status) == 0)
            walk->progress.total_bytes += (uint64_t)status.st_size;
    }
}

static bool read_folder(struct verify_walk *walk)
{
    if (!check_first_lines(walk))
        return false;
    if (walk->request->on_progress != NULL)
        count_bytes(walk);
    for (size_t i = 0; i < walk->folder.count; i++) {
        const struct audit_file *file;

        if (!may_count(&walk->folder.files[i]))
            continue;
        file = choose_copy(walk, i);
        if (file == NULL || !read_file(walk, file))
            return false;
    }
    return check_end(walk);
}

/* One try; *is_moved says that the files changed names under it. */
static bool try_verify(const struct audit_verify_request *request,
                       struct audit_verdict *verdict, bool *is_moved, struct error *error)
{
    struct verify_walk walk = {.request = request, .verdict = verdict, .error = error};
    bool is_good = false;

    *verdict = (struct audit_verdict){0};
    walk.head.next = 1;
    memcpy(walk.head.hash, AUDIT_HASH_NONE, AUDIT_HASH_HEX);
    walk.hasher = audit_hasher_new(error);
    if (walk.hasher != NULL && audit_folder_list(request->folder, &walk.folder, error))
        is_good = read_folder(&walk);
    *is_moved = walk.is_moved;
    audit_hasher_free(walk.hasher);
    audit_open_set_fini(&walk.open);
    audit_repeats_fini(&walk.repeats);
    audit_folder_fini(&walk.folder);
    free(walk.held);
    return is_good;
}

bool audit_verify(const struct audit_verify_request *request,
                  struct audit_verdict *verdict, struct error *error)
{
    bool is_moved = true;
    bool is_good = false;

    for (int i = 0; i < MOST_TRIES && is_moved; i++)
        is_good = try_verify(request, verdict, &is_moved, error);
    if (is_moved)
        (void)error_set(error, "%s: files are renamed all the time: try again",
                        request->folder);
    return is_good;
}
