#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void file_identify(const char *path, struct file_identity *identity)
{
    struct stat status;

    *identity = (struct file_identity){.errnum = 0};
    if (stat(path, &status) != 0) {
        identity->errnum = errno;
        return;
    }
    identity->device = status.st_dev;
    identity->inode = status.st_ino;
    identity->mode = status.st_mode;
    identity->owner = status.st_uid;
    identity->size = status.st_size;
    identity->modified = status.st_mtim;
    identity->changed = status.st_ctim;
}

static bool is_same_time(struct timespec one, struct timespec other)
{
    return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

bool file_is_same(const struct file_identity *one, const struct file_identity *other)
{
    return one->errnum == other->errnum && one->device == other->device &&
           one->inode == other->inode && one->mode == other->mode &&
           one->owner == other->owner && one->size == other->size &&
           is_same_time(one->modified, other->modified) &&
           is_same_time(one->changed, other->changed);
}

static bool check_privacy(const char *path, const struct stat *status,
                          struct error *error)
{
    mode_t allowed = status->st_uid == 0 ? 0640 : 0600;
    unsigned mode = status->st_mode & 07777;

    if (status->st_uid != 0 && status->st_uid != geteuid())
        return error_set(error,
                         "%s belongs to another user (it must belong to root or to the "
                         "user that runs psgate)",
                         path);
    if ((mode & ~(unsigned)allowed) != 0)
        return error_set(error, "%s has mode %04o, which others can read (chmod %04o)",
                         path, mode, (unsigned)allowed & (mode | 0600));
    return true;
}

bool file_is_private(const char *path, struct error *error)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return error_set_errno(error, errno, "cannot examine %s", path);
    return check_privacy(path, &status, error);
}

static int open_checked(const char *path, enum file_privacy privacy, struct stat *status,
                        struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        (void)error_set_errno(error, errno, "cannot open %s", path);
        return -1;
    }
    if (fstat(fd, status) != 0) {
        (void)error_set_errno(error, errno, "cannot examine %s", path);
    } else if (!S_ISREG(status->st_mode)) {
        (void)error_set(error, "%s is not a regular file", path);
    } else if ((size_t)status->st_size > FILE_MAX_BYTES) {
        (void)error_set(error, "%s is larger than 64 MiB", path);
    } else if (privacy == FILE_PUBLIC || check_privacy(path, status, error)) {
        return fd;
    }
    (void)close(fd);
    return -1;
}

/* Reads until the end of the file or of the buffer. -1 with errno when it fails. */
static ssize_t read_fully(int fd, char *buffer, size_t capacity)
{
    size_t used = 0;

    while (used < capacity) {
        ssize_t got = read(fd, buffer + used, capacity - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

bool file_read(const char *path, enum file_privacy privacy, struct text *content,
               struct error *error)
{
    struct stat status;
    int fd = open_checked(path, privacy, &status, error);
    char buffer[16384];
    ssize_t got = 1;

    if (fd < 0)
        return false;
    while (got > 0 && content->len <= FILE_MAX_BYTES) {
        got = read_fully(fd, buffer, sizeof(buffer));
        if (got > 0)
            text_add(content, span_make(buffer, (size_t)got));
    }
    if (got < 0)
        (void)error_set_errno(error, errno, "cannot read %s", path);
    else if (content->failed)
        (void)error_set(error, "out of memory while reading %s", path);
    (void)close(fd);
    return got == 0 && !content->failed;
}

bool file_read_private(const char *path, char *buffer, size_t capacity, size_t *len,
                       struct error *error)
{
    struct stat status;
    int fd = open_checked(path, FILE_PRIVATE, &status, error);
    ssize_t got;

    if (fd < 0)
        return false;
    if ((size_t)status.st_size > capacity) {
        (void)close(fd);
        return error_set(error, "%s is larger than %zu bytes", path, capacity);
    }
    got = read_fully(fd, buffer, capacity);
    if (got < 0)
        (void)error_set_errno(error, errno, "cannot read %s", path);
    (void)close(fd);
    if (got < 0)
        return false;
    *len = (size_t)got;
    return true;
}

static bool write_fully(int fd, struct span content)
{
    while (content.len > 0) {
        ssize_t put = write(fd, content.at, content.len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        content.at += put;
        content.len -= (size_t)put;
    }
    return true;
}

/* Makes a rename last over a crash. */
static void sync_folder_of(const char *path)
{
    char *copy = strdup(path);
    int fd;

    if (copy == NULL)
        return;
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    free(copy);
}

/* Fills the new file and gives it the old one's owner, and the group's right to read. */
static bool fill_new_file(int fd, const char *path, struct span content)
{
    struct stat old;

    if (stat(path, &old) == 0) {
        if ((old.st_uid != geteuid() || old.st_gid != getegid()) &&
            fchown(fd, old.st_uid, old.st_gid) != 0)
            return false;
        if (old.st_uid == 0 && (old.st_mode & 07777) == 0640 && fchmod(fd, 0640) != 0)
            return false;
    }
    return write_fully(fd, content) && fsync(fd) == 0;
}

bool file_replace_private(const char *path, struct span content, struct error *error)
{
    char fresh[4096];
    int fd, errnum;

    if (snprintf(fresh, sizeof(fresh), "%s.XXXXXX", path) >= (int)sizeof(fresh))
        return error_set(error, "%s: the name is too long", path);
    fd = mkostemp(fresh, O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot create %s", fresh);
    errno = 0;
    if (fill_new_file(fd, path, content) && rename(fresh, path) == 0) {
        (void)close(fd);
        sync_folder_of(path);
        return true;
    }
    errnum = errno;
    (void)close(fd);
    (void)unlink(fresh);
    return error_set_errno(error, errnum, "cannot write %s", path);
}
