/* Landlock, by its three system calls: Debian 12 has no library for them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"

/* Newer than Debian 12's header; the kernel says by its ABI whether it knows them. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (UINT64_C(1) << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif

#define FILE_READ LANDLOCK_ACCESS_FS_READ_FILE
#define READ (FILE_READ | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILE_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define CHANGE                                                                           \
    (FILE_WRITE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |       \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                         \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER)

#define SOCKETS                                                                          \
    (LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK |                        \
     LANDLOCK_ACCESS_FS_REMOVE_FILE)

/* All that there is of these kinds, so that what no rule allows is denied. */
#define HANDLED                                                                          \
    (READ | CHANGE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |         \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                      \
     LANDLOCK_ACCESS_FS_MAKE_SYM)

/* What this kernel knows of them. */
static uint64_t known_rights(long abi)
{
    uint64_t rights = HANDLED;

    if (abi < 2)
        rights &= ~LANDLOCK_ACCESS_FS_REFER;
    if (abi < 3)
        rights &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
    return rights;
}

static uint64_t rights_of(enum confine_access access)
{
    switch (access) {
    case CONFINE_READ:
        return READ;
    case CONFINE_SOCKETS:
        return SOCKETS;
    case CONFINE_WRITE:
        break;
    }
    return READ | CHANGE;
}

static bool add_rule(int ruleset, const struct confine_path *path, uint64_t known)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights_of(path->access),
        .parent_fd = open(path->path, O_PATH | O_CLOEXEC),
    };
    struct stat status;
    bool is_added;

    if (rule.parent_fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES;
    if (fstat(rule.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode))
        rule.allowed_access &= FILE_READ | FILE_WRITE;
    rule.allowed_access &= known;
    is_added = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
                       0) == 0;
    (void)close(rule.parent_fd);
    return is_added;
}

enum confine_result confine_files(const struct confine_path *paths, size_t count,
                                  struct error *error)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    const struct landlock_ruleset_attr attr = {.handled_access_fs = known_rights(abi)};
    bool is_done = true;
    int ruleset;

    if (abi < 1)
        return CONFINE_NOT_THERE;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (ruleset < 0) {
        (void)error_set_errno(error, errno, "cannot make a Landlock ruleset");
        return CONFINE_FAILED;
    }
    for (size_t i = 0; is_done && i < count; i++) {
        is_done =
            add_rule(ruleset, &paths[i], attr.handled_access_fs) ||
            error_set_errno(error, errno, "Landlock does not take %s", paths[i].path);
    }
    if (is_done && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        is_done = error_set_errno(error, errno, "Landlock cannot be put in force");
    (void)close(ruleset);
    return is_done ? CONFINE_DONE : CONFINE_FAILED;
}
