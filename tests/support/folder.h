/* A folder for one test's files, gone with everything in it when the test is over. */
#ifndef PSGATE_TESTS_SUPPORT_FOLDER_H
#define PSGATE_TESTS_SUPPORT_FOLDER_H

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "support/suite.h"

struct folder {
    struct arena names;
    const char *path;
};

/* A user that is neither root nor anybody who runs tests. */
enum { FOLDER_STRANGER = 54321 };

static inline bool folder_create(struct folder *folder)
{
    const char *base = getenv("TMPDIR");
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/psgate-unit-XXXXXX",
                   base != NULL ? base : P_tmpdir);
    *folder = (struct folder){0};
    if (mkdtemp(path) != NULL)
        folder->path = arena_copy(&folder->names, span_of(path));
    return folder->path != NULL;
}

static inline void folder_make(struct folder *folder)
{
    ck_assert(folder_create(folder));
}

static inline int folder_remove_entry(const char *path, const struct stat *status,
                                      int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline void folder_remove(struct folder *folder)
{
    (void)nftw(folder->path, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    arena_fini(&folder->names);
    folder->path = NULL;
}

/*
 * Runs a suite whose tests make folders: they all lie in one, which goes at the end with
 * what failed tests left in it.
 */
static inline int run_suite_in_folder(Suite *suite)
{
    struct folder all;
    int status;

    if (!folder_create(&all) || chmod(all.path, 0711) != 0 ||
        setenv("TMPDIR", all.path, 1) != 0)
        return EXIT_FAILURE;
    status = run_suite(suite);
    folder_remove(&all);
    return status;
}

/* The path of an entry; lives as long as the folder. */
static inline const char *folder_entry(struct folder *folder, const char *name)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    return arena_copy(&folder->names, span_of(path));
}

/* Writes a file with exactly that mode, whatever the umask; its path. */
static inline const char *folder_write(struct folder *folder, const char *name,
                                       struct span content, mode_t mode)
{
    const char *path = folder_entry(folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content.at, content.len), (ssize_t)content.len);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    ck_assert_int_eq(close(fd), 0);
    return path;
}

#endif
