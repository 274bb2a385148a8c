#include "audit/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct disk disk;

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to,
                     unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
                     unsigned flags);

void disk_repair(void)
{
    for (int i = 0; i < DISK_CALLS; i++)
        atomic_store(&disk.failures[i], 0);
    atomic_store(&disk.most_end, 0);
    atomic_store(&disk.sync_ms, 0);
}

static bool is_of_trail(int fd)
{
    char link[64], path[512];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    return strstr(path, "/audit") != NULL;
}

/* Whether this call is one that fails. */
static bool fails(enum disk_call call)
{
    int left = atomic_load(&disk.failures[call]);

    while (left > 0) {
        if (atomic_compare_exchange_weak(&disk.failures[call], &left, left - 1))
            break;
    }
    return left != 0;
}

static int refuse(int errnum)
{
    errno = errnum;
    return -1;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    bool is_quiet = atomic_load(&disk.failures[DISK_WRITE]) == 0 &&
                    atomic_load(&disk.failures[DISK_CUT_WRITE]) == 0;

    if (is_quiet || !is_of_trail(fd))
        return __real_write(fd, bytes, len);
    if (fails(DISK_WRITE))
        return refuse(EIO);
    if (!fails(DISK_CUT_WRITE))
        return __real_write(fd, bytes, len);
    (void)!__real_write(fd, bytes, len - len / 2 - 1);
    return refuse(EIO);
}

int __wrap_fdatasync(int fd)
{
    const struct timespec delay = {.tv_sec = disk.sync_ms / 1000,
                                   .tv_nsec = disk.sync_ms % 1000 * 1000000L};

    (void)atomic_fetch_add(&disk.syncs, 1);
    if (delay.tv_sec > 0 || delay.tv_nsec > 0)
        (void)nanosleep(&delay, NULL);
    return fails(DISK_SYNC) ? refuse(EIO) : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    return fails(DISK_FSYNC) ? refuse(EIO) : __real_fsync(fd);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
    int64_t most_end = atomic_load(&disk.most_end);

    if (most_end != 0 && offset + len > most_end)
        return refuse(ENOSPC);
    return __real_fallocate(fd, mode, offset, len);
}

int __wrap_ftruncate(int fd, off_t len)
{
    return fails(DISK_TRUNCATE) ? refuse(EIO) : __real_ftruncate(fd, len);
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
                     unsigned flags)
{
    return fails(DISK_RENAME) ? refuse(EIO)
                              : __real_renameat2(from_fd, from, to_fd, to, flags);
}
