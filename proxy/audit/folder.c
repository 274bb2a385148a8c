#include "audit/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/line.h"
#include "audit/reader.h"

enum { MOST_TRIES = 5 };

/* MOVED: a file went while the folder was read (rotation, compression): look again. */
enum outcome { LISTED, MOVED, FAILED };

static enum outcome fail(struct error *error, const char *what)
{
    (void)error_set(error, "%s", what);
    return FAILED;
}

bool audit_folder_is_trail_name(const char *name)
{
    return strncmp(name, "audit", 5) == 0 && strstr(name, ".jsonl") != NULL;
}

/* The length of the name without a compressor's ending. */
static size_t stem_length(const char *name)
{
    size_t len = strlen(name);

    if (len > 3 && strcmp(name + len - 3, ".gz") == 0)
        return len - 3;
    if (len > 4 && strcmp(name + len - 4, ".zst") == 0)
        return len - 4;
    return len;
}

bool audit_folder_is_same_name(const char *a, const char *b)
{
    return span_equal(span_make(a, stem_length(a)), span_make(b, stem_length(b)));
}

/* What logrotate adds to a name: ".1", "-20260131", and the compressor's ending. */
static bool is_renamed(const char *name, const char *from)
{
    size_t len = strlen(from);

    return strncmp(name, from, len) == 0 && (name[len] == '.' || name[len] == '-');
}

static bool has_name(const struct audit_folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (audit_folder_is_same_name(folder->files[i].name, name))
            return true;
    }
    return false;
}

bool audit_folder_is_suspect(const struct audit_folder *folder,
                             const struct audit_file *file, const char *name)
{
    return audit_folder_is_same_name(file->name, name) ||
           (is_renamed(file->name, name) && !has_name(folder, name));
}

/* What the first whole line says: the sequence, and the suspect file if it names one. */
static void take_first_line(struct audit_folder *folder, struct audit_file *file,
                            struct span line)
{
    struct audit_line cut;
    struct span action, suspect;
    struct error error;

    if (!audit_line_cut(line, &cut, &error)) {
        file->fault = arena_copy(&folder->names, span_of(error.text));
        return;
    }
    file->first = cut.sequence;
    if (audit_line_find_string(line, SPAN("event.action"), &action) &&
        span_equal(action, SPAN("trail.resumed")) &&
        audit_line_find_string(line, SPAN("proxy.trail.suspect_file"), &suspect))
        file->suspect = arena_copy(&folder->names, suspect);
}

static enum outcome read_first_line(struct audit_folder *folder, struct audit_file *file,
                                    struct error *error)
{
    struct audit_reader *reader = audit_reader_open(file->path, error);
    struct audit_read_line line;
    struct error reason;

    if (reader == NULL)
        return access(file->path, F_OK) != 0 && errno == ENOENT ? MOVED : FAILED;
    file->inode = audit_reader_inode(reader);
    switch (audit_reader_next(reader, &line, &reason)) {
    case AUDIT_READ_LINE:
        if (line.is_whole)
            take_first_line(folder, file, line.text);
        break;
    case AUDIT_READ_END:
        file->is_empty = true;
        break;
    case AUDIT_READ_SHORT:
    case AUDIT_READ_FAILED:
        file->fault = arena_copy(&folder->names, span_of(reason.text));
        break;
    }
    audit_reader_close(reader);
    return LISTED;
}

static struct audit_file *add_file(struct audit_folder *folder, const char *directory,
                                   const char *name)
{
    size_t bytes = (folder->count + 1) * sizeof(*folder->files);
    struct audit_file *files = realloc(folder->files, bytes);
    size_t len = strlen(directory) + strlen(name) + 2;
    char *path = arena_alloc(&folder->names, len);
    struct audit_file *file;

    if (files != NULL)
        folder->files = files;
    if (files == NULL || path == NULL)
        return NULL;
    (void)snprintf(path, len, "%s/%s", directory, name);
    file = &files[folder->count++];
    *file = (struct audit_file){
        .path = path,
        .name = strrchr(path, '/') + 1,
        .is_current = strcmp(name, AUDIT_CURRENT_NAME) == 0,
    };
    return file;
}

static enum outcome take_entry(struct audit_folder *folder, const char *directory,
                               int directory_fd, const char *name, struct error *error)
{
    struct audit_file *file;
    struct stat status;

    if (!audit_folder_is_trail_name(name))
        return LISTED;
    if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return MOVED;
    if (!S_ISREG(status.st_mode))
        return LISTED;
    file = add_file(folder, directory, name);
    return file != NULL ? read_first_line(folder, file, error)
                        : fail(error, "out of memory");
}

static enum outcome read_entries(const char *path, struct audit_folder *folder,
                                 struct error *error)
{
    DIR *directory = opendir(path);
    enum outcome outcome = LISTED;

    if (directory == NULL) {
        (void)error_set_errno(error, errno, "cannot read the folder %s", path);
        return FAILED;
    }
    while (outcome == LISTED) {
        const struct dirent *entry;

        errno = 0;
        /* cppcheck-suppress readdirCalled ; in glibc it is safe on a stream of one's own
         */
        entry = readdir(directory);
        if (entry == NULL && errno != 0) {
            (void)error_set_errno(error, errno, "cannot read the folder %s", path);
            outcome = FAILED;
        }
        if (entry == NULL)
            break;
        outcome = take_entry(folder, path, dirfd(directory), entry->d_name, error);
    }
    (void)closedir(directory);
    return outcome;
}

/* What a compressed file was made from: the first of that name that is another. */
static const struct audit_file *find_original(const struct audit_folder *folder,
                                              const struct audit_file *copy)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (&folder->files[i] != copy &&
            audit_folder_is_same_name(folder->files[i].name, copy->name))
            return &folder->files[i];
    }
    return NULL;
}

/* The file that this one names as suspect, or NULL. */
static const struct audit_file *find_suspect(const struct audit_folder *folder,
                                             const struct audit_file *file)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (&folder->files[i] != file &&
            audit_folder_is_suspect(folder, &folder->files[i], file->suspect))
            return &folder->files[i];
    }
    return NULL;
}

/* A compressed file without a whole line yet is a copy in the making: it goes beside. */
static void place_unfinished_copies(struct audit_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        struct audit_file *file = &folder->files[i];
        const struct audit_file *original;

        if (file->first != 0 || stem_length(file->name) == strlen(file->name))
            continue;
        original = find_original(folder, file);
        if (original != NULL && original->first != 0) {
            file->first = original->first;
            file->suspect = original->suspect;
        }
    }
}

/*
 * Of files that begin with the same sequence, one that names another as suspect comes
 * after it; this is how many come before. (Names that lead round in a circle are nobody's
 * but a forger's: the count then ends somewhere.)
 */
static size_t depth_of(const struct audit_folder *folder, const struct audit_file *file)
{
    size_t depth = 0;

    while (file != NULL && file->suspect != NULL && depth < folder->count) {
        const struct audit_file *next = find_suspect(folder, file);

        if (next == NULL || next->first != file->first)
            break;
        file = next;
        depth++;
    }
    return depth;
}

struct place {
    struct audit_file file;
    size_t depth;
};

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/*
 * first - 1 makes 0 the greatest. A plain file stands before its compressed copy, and the
 * one that is being written before whatever copy was made of it.
 */
static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    int order = compare_numbers(left->file.first - 1, right->file.first - 1);

    if (order == 0)
        order = compare_numbers(left->depth, right->depth);
    if (order == 0)
        order = right->file.is_current - left->file.is_current;
    return order != 0 ? order : strcmp(left->file.name, right->file.name);
}

static bool sort_files(struct audit_folder *folder)
{
    struct place *places = calloc(folder->count + 1, sizeof(*places));

    if (places == NULL)
        return false;
    for (size_t i = 0; i < folder->count; i++)
        places[i] = (struct place){folder->files[i], depth_of(folder, &folder->files[i])};
    qsort(places, folder->count, sizeof(*places), compare_places);
    for (size_t i = 0; i < folder->count; i++) {
        folder->files[i] = places[i].file;
        folder->files[i].is_copy = i > 0 && places[i].file.first != 0 &&
                                   places[i].file.first == places[i - 1].file.first &&
                                   places[i].depth == places[i - 1].depth;
    }
    free(places);
    return true;
}

static void mark_superseded(struct audit_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        const struct audit_file *file = &folder->files[i];

        for (size_t j = 0; j < folder->count && file->suspect != NULL; j++) {
            struct audit_file *other = &folder->files[j];

            if (other->first <= file->first &&
                !span_equal(span_of(other->name), span_of(file->name)) &&
                audit_folder_is_suspect(folder, other, file->suspect) &&
                (other->superseded_from == 0 || other->superseded_from > file->first))
                other->superseded_from = file->first;
        }
    }
}

bool audit_folder_list(const char *path, struct audit_folder *folder, struct error *error)
{
    enum outcome outcome = MOVED;

    *folder = (struct audit_folder){0};
    for (int i = 0; i < MOST_TRIES && outcome == MOVED; i++) {
        audit_folder_fini(folder);
        outcome = read_entries(path, folder, error);
    }
    if (outcome == MOVED)
        (void)error_set(error, "%s changes all the time: try again", path);
    if (outcome == LISTED) {
        place_unfinished_copies(folder);
        if (!sort_files(folder))
            outcome = fail(error, "out of memory");
        else
            mark_superseded(folder);
    }
    if (outcome != LISTED)
        audit_folder_fini(folder);
    return outcome == LISTED;
}

void audit_folder_fini(struct audit_folder *folder)
{
    free(folder->files);
    arena_fini(&folder->names);
    *folder = (struct audit_folder){0};
}
