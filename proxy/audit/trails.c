#include "audit/trails.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/folder.h"

static bool out_of_memory(struct error *error)
{
    return error_set(error, "out of memory");
}

/* One named folder that is looked into. */
struct look {
    struct audit_trails *trails;
    struct error *error;
    bool has_found; /* a trail, be it one that is in the list already */
};

/* path is the arena's. What it leads to may be gone: then it is like no other. */
static bool add(struct look *look, const char *path)
{
    struct audit_trails *trails = look->trails;
    struct stat status = {0};
    bool is_there = stat(path, &status) == 0;
    struct audit_trails_folder *folders;

    look->has_found = true;
    for (size_t i = 0; is_there && i < trails->count; i++) {
        if (trails->folders[i].device == status.st_dev &&
            trails->folders[i].inode == status.st_ino)
            return true;
    }
    folders = realloc(trails->folders, (trails->count + 1) * sizeof(*folders));
    if (folders == NULL)
        return out_of_memory(look->error);
    folders[trails->count++] =
        (struct audit_trails_folder){path, status.st_dev, status.st_ino};
    trails->folders = folders;
    return true;
}

static size_t length_without_slashes(const char *path)
{
    size_t len = strlen(path);

    while (len > 0 && path[len - 1] == '/')
        len--;
    return len;
}

static char *join(struct arena *arena, const char *folder, const char *name)
{
    size_t len = length_without_slashes(folder);
    size_t bytes = len + strlen(name) + 2;
    char *path = arena_alloc(arena, bytes);

    if (path != NULL)
        (void)snprintf(path, bytes, "%.*s/%s", (int)len, folder, name);
    return path;
}

static bool is_folder(int parent_fd, const char *name)
{
    struct stat status;

    return fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

/* What file systems and tools keep for themselves. */
static bool is_left_out(const char *name)
{
    return name[0] == '.' || strcmp(name, "lost+found") == 0;
}

static bool is_trail_file(int folder_fd, const char *name)
{
    struct stat status;

    return audit_folder_is_trail_name(name) &&
           fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode);
}

static bool look_into(struct look *look, const char *path, int depth);

/* Goes over a folder's entries; *has_trail: one is a trail's file, or they are not all.
 */
static bool look_over(struct look *look, DIR *directory, const char *path, int depth,
                      bool *has_trail)
{
    for (;;) {
        const struct dirent *entry;
        const char *below;

        errno = 0;
        /* cppcheck-suppress readdirCalled ; in glibc it is safe on a stream of one's own
         */
        entry = readdir(directory);
        if (entry == NULL) {
            *has_trail = *has_trail || errno != 0;
            return true;
        }
        if (is_trail_file(dirfd(directory), entry->d_name))
            *has_trail = true;
        if (depth == AUDIT_TRAILS_DEPTH || is_left_out(entry->d_name) ||
            !is_folder(dirfd(directory), entry->d_name))
            continue;
        below = join(&look->trails->paths, path, entry->d_name);
        if (below == NULL)
            return out_of_memory(look->error);
        if (!look_into(look, below, depth + 1))
            return false;
    }
}

/* A named folder may be a link. */
static DIR *open_folder(const char *path, int depth)
{
    int fd =
        open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth > 0 ? O_NOFOLLOW : 0));
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;

    if (fd >= 0 && directory == NULL)
        (void)close(fd);
    return directory;
}

/* Adds the folder if it is a trail or cannot be read, and the trails below it. */
static bool look_into(struct look *look, const char *path, int depth)
{
    DIR *directory = open_folder(path, depth);
    bool has_trail = false;
    bool is_good;

    if (directory == NULL)
        return add(look, path);
    is_good = look_over(look, directory, path, depth, &has_trail);
    (void)closedir(directory);
    return is_good && (!has_trail || add(look, path));
}

static int compare_paths(const void *a, const void *b)
{
    const struct audit_trails_folder *left = a, *right = b;

    return strcmp(left->path, right->path);
}

/* One that holds nothing is named by whoever reads it. */
static bool find_in(struct audit_trails *trails, struct span named, struct error *error)
{
    struct look look = {.trails = trails, .error = error};
    size_t before = trails->count;
    const char *path = arena_copy(&trails->paths, named);

    if (path == NULL)
        return out_of_memory(error);
    if (!look_into(&look, path, 0) || (!look.has_found && !add(&look, path)))
        return false;
    if (trails->count > before)
        qsort(trails->folders + before, trails->count - before, sizeof(*trails->folders),
              compare_paths);
    return true;
}

/* How far two paths are the same, up to the end of a name and its slash. */
static size_t shared_length(const char *a, const char *b)
{
    size_t shared = 0, i = 0;

    for (; a[i] != '\0' && a[i] == b[i]; i++) {
        if (a[i] == '/')
            shared = i + 1;
    }
    if ((a[i] == '\0' && b[i] == '/') || (b[i] == '\0' && a[i] == '/'))
        shared = i + 1;
    return shared;
}

static void find_shared(struct audit_trails *trails)
{
    const char *first, *slash;

    if (trails->count == 0)
        return;
    first = trails->folders[0].path;
    slash = strrchr(first, '/');
    trails->shared_bytes = slash != NULL ? (size_t)(slash - first) + 1 : 0;
    if (trails->count > 1)
        trails->shared_bytes = SIZE_MAX;
    for (size_t i = 1; i < trails->count; i++) {
        size_t shared = shared_length(first, trails->folders[i].path);

        if (shared < trails->shared_bytes)
            trails->shared_bytes = shared;
    }
}

bool audit_trails_find(const char *const *named, size_t count,
                       struct audit_trails *trails, struct error *error)
{
    *trails = (struct audit_trails){0};
    for (size_t i = 0; i < count; i++) {
        struct span name = span_of(named[i]);

        if (count > 1 && length_without_slashes(named[i]) > 0)
            name.len = length_without_slashes(named[i]);
        if (!find_in(trails, name, error)) {
            audit_trails_fini(trails);
            return false;
        }
    }
    trails->is_single = count == 1 && trails->count == 1 &&
                        strcmp(trails->folders[0].path, named[0]) == 0;
    find_shared(trails);
    return true;
}

void audit_trails_fini(struct audit_trails *trails)
{
    free(trails->folders);
    arena_fini(&trails->paths);
    *trails = (struct audit_trails){0};
}

const char *audit_trails_name(const struct audit_trails *trails, size_t i)
{
    const char *path = trails->folders[i].path;

    return strlen(path) > trails->shared_bytes ? path + trails->shared_bytes : ".";
}
