#include "audit/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/folder.h"

enum { FILE_MODE = 0600, RESERVE_STEP_BYTES = 256 * 1024, COPY_BYTES = 65536 };

void audit_journal_init(struct audit_journal *journal, const char *directory)
{
    *journal =
        (struct audit_journal){.directory = directory, .directory_fd = -1, .fd = -1};
}

/* The folder */

/* What is open cannot become another, so that it is asked for once. */
static struct audit_identity identity_of(int fd)
{
    struct stat status = {.st_ino = 0};

    (void)fstat(fd, &status);
    return (struct audit_identity){status.st_dev, status.st_ino};
}

static bool is_same(const struct stat *named, const struct audit_identity *held)
{
    return named->st_dev == held->device && named->st_ino == held->inode;
}

enum audit_lock audit_journal_lock(struct audit_journal *journal, struct error *error)
{
    int fd;

    if (journal->directory_fd >= 0)
        return AUDIT_LOCKED;
    fd = open(journal->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)error_set_errno(error, errno, "cannot open the folder %s",
                              journal->directory);
        return AUDIT_LOCK_FAILED;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int errnum = errno;

        (void)close(fd);
        if (errnum == EWOULDBLOCK) {
            (void)error_set(error, "another process is writing the trail in %s",
                            journal->directory);
            return AUDIT_LOCK_BUSY;
        }
        (void)error_set_errno(error, errnum, "cannot lock the folder %s",
                              journal->directory);
        return AUDIT_LOCK_FAILED;
    }
    journal->directory_fd = fd;
    journal->directory_identity = identity_of(fd);
    return AUDIT_LOCKED;
}

static bool is_folder_in_place(const struct audit_journal *journal)
{
    struct stat named;

    return journal->directory_fd >= 0 && stat(journal->directory, &named) == 0 &&
           is_same(&named, &journal->directory_identity);
}

bool audit_journal_is_in_place(const struct audit_journal *journal)
{
    struct stat named;

    return journal->fd >= 0 && is_folder_in_place(journal) &&
           fstatat(journal->directory_fd, AUDIT_CURRENT_NAME, &named,
                   AT_SYMLINK_NOFOLLOW) == 0 &&
           is_same(&named, &journal->identity);
}

bool audit_journal_follow(struct audit_journal *journal, struct error *error)
{
    struct audit_journal followed;

    if (is_folder_in_place(journal))
        return true;
    audit_journal_init(&followed, journal->directory);
    if (audit_journal_lock(&followed, error) != AUDIT_LOCKED)
        return false;
    if (journal->directory_fd >= 0)
        (void)close(journal->directory_fd);
    journal->directory_fd = followed.directory_fd;
    journal->directory_identity = followed.directory_identity;
    return true;
}

static bool sync_folder(struct audit_journal *journal, struct error *error)
{
    if (fsync(journal->directory_fd) == 0)
        return true;
    return error_set_errno(error, errno, "cannot sync the folder %s", journal->directory);
}

/* Names that are free: "audit-000000000042.jsonl", then "audit-000000000042.1.jsonl". */
static void format_name(char name[NAME_MAX + 1], uint64_t sequence, unsigned again,
                        const char *ending)
{
    if (again == 0)
        (void)snprintf(name, NAME_MAX + 1, "audit-%012llu%s",
                       (unsigned long long)sequence, ending);
    else
        (void)snprintf(name, NAME_MAX + 1, "audit-%012llu.%u%s",
                       (unsigned long long)sequence, again, ending);
}

static bool rename_current(struct audit_journal *journal, const char *ending,
                           uint64_t sequence, char name[NAME_MAX + 1],
                           struct error *error)
{
    enum { TRIES = 1000 };

    for (unsigned again = 0; again < TRIES; again++) {
        format_name(name, sequence, again, ending);
        if (renameat2(journal->directory_fd, AUDIT_CURRENT_NAME, journal->directory_fd,
                      name, RENAME_NOREPLACE) == 0)
            return true;
        if (errno != EEXIST)
            break;
    }
    return error_set_errno(error, errno, "cannot rename %s/%s", journal->directory,
                           AUDIT_CURRENT_NAME);
}

/* The current file */

bool audit_journal_open(struct audit_journal *journal, uint64_t first_sequence,
                        struct error *error)
{
    struct stat status;
    int fd = openat(journal->directory_fd, AUDIT_CURRENT_NAME,
                    O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) != 0) {
        (void)error_set_errno(error, errno, "cannot open %s/%s", journal->directory,
                              AUDIT_CURRENT_NAME);
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    journal->fd = fd;
    journal->identity = identity_of(fd);
    journal->first_sequence = first_sequence;
    journal->size = journal->reserved_to = (uint64_t)status.st_size;
    return true;
}

/* Whatever else has our name there. An empty file (logrotate's create) says nothing. */
static bool clear_place(struct audit_journal *journal, struct error *error)
{
    char name[NAME_MAX + 1];
    struct stat status;

    if (fstatat(journal->directory_fd, AUDIT_CURRENT_NAME, &status,
                AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || error_set_errno(error, errno, "cannot look at %s/%s",
                                                  journal->directory, AUDIT_CURRENT_NAME);
    if (S_ISREG(status.st_mode) && status.st_size == 0 &&
        unlinkat(journal->directory_fd, AUDIT_CURRENT_NAME, 0) == 0)
        return true;
    return rename_current(journal, ".foreign", journal->first_sequence, name, error);
}

bool audit_journal_begin(struct audit_journal *journal, uint64_t first_sequence,
                         struct error *error)
{
    int fd;

    if (!audit_journal_follow(journal, error) || !clear_place(journal, error))
        return false;
    fd = openat(journal->directory_fd, AUDIT_CURRENT_NAME,
                O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                FILE_MODE);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot create %s/%s", journal->directory,
                               AUDIT_CURRENT_NAME);
    if (!sync_folder(journal, error)) {
        (void)close(fd);
        (void)unlinkat(journal->directory_fd, AUDIT_CURRENT_NAME, 0);
        return false;
    }
    audit_journal_let_go(journal);
    journal->fd = fd;
    journal->identity = identity_of(fd);
    journal->first_sequence = first_sequence;
    journal->size = journal->reserved_to = 0;
    return true;
}

/* More than is needed, so that it is rarely asked for; or just that, on a full disk. */
bool audit_journal_reserve(struct audit_journal *journal, uint64_t bytes,
                           struct error *error)
{
    uint64_t end = journal->size + bytes;
    uint64_t ample = (end / RESERVE_STEP_BYTES + 1) * RESERVE_STEP_BYTES;

    if (end <= journal->reserved_to)
        return true;
    if (fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, (off_t)journal->size,
                  (off_t)(ample - journal->size)) == 0) {
        journal->reserved_to = ample;
        return true;
    }
    if (errno == EOPNOTSUPP)
        return true;
    if (fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, (off_t)journal->size, (off_t)bytes) ==
        0) {
        journal->reserved_to = end;
        return true;
    }
    return error_set_errno(error, errno, "cannot write %s/%s", journal->directory,
                           AUDIT_CURRENT_NAME);
}

static bool write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.at, bytes.len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes = span_make(bytes.at + written, bytes.len - (size_t)written);
    }
    return true;
}

bool audit_journal_append(struct audit_journal *journal, struct span bytes,
                          struct error *error)
{
    if (!write_all(journal->fd, bytes))
        return error_set_errno(error, errno, "cannot write %s/%s", journal->directory,
                               AUDIT_CURRENT_NAME);
    if (fdatasync(journal->fd) != 0)
        return error_set_errno(error, errno, "cannot sync %s/%s", journal->directory,
                               AUDIT_CURRENT_NAME);
    journal->size += bytes.len;
    return true;
}

bool audit_journal_retire(struct audit_journal *journal, bool is_suspect,
                          struct error *error)
{
    char name[NAME_MAX + 1];

    if (!rename_current(journal, ".jsonl", journal->first_sequence, name, error))
        return false;
    if (is_suspect) {
        memcpy(journal->suspect_name, name, sizeof(name));
        journal->reserved_to = journal->size; /* what is behind the end stays as it is */
    }
    audit_journal_let_go(journal);
    return true;
}

bool audit_journal_discard(struct audit_journal *journal, struct error *error)
{
    if (audit_journal_is_in_place(journal) &&
        unlinkat(journal->directory_fd, AUDIT_CURRENT_NAME, 0) != 0 && errno != ENOENT)
        return error_set_errno(error, errno, "cannot remove %s/%s", journal->directory,
                               AUDIT_CURRENT_NAME);
    audit_journal_let_go(journal);
    return true;
}

void audit_journal_let_go(struct audit_journal *journal)
{
    if (journal->fd < 0)
        return;
    /* Blocks that were reserved beyond the end go back. */
    if (journal->reserved_to > journal->size)
        (void)!ftruncate(journal->fd, (off_t)journal->size);
    (void)close(journal->fd);
    journal->fd = -1;
}

/* Torn lines */

static bool copy_from(int from, uint64_t offset, int to)
{
    char bytes[COPY_BYTES];

    for (;;) {
        ssize_t got = pread(from, bytes, sizeof(bytes), (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        if (!write_all(to, span_make(bytes, (size_t)got)))
            return false;
        offset += (uint64_t)got;
    }
}

static int create_torn(struct audit_journal *journal, uint64_t sequence,
                       char name[NAME_MAX + 1])
{
    enum { TRIES = 1000 };
    int fd = -1;

    for (unsigned again = 0; fd < 0 && again < TRIES; again++) {
        format_name(name, sequence, again, ".torn");
        fd = openat(journal->directory_fd, name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    return fd;
}

bool audit_journal_set_aside(struct audit_journal *journal, const char *name,
                             uint64_t offset, uint64_t sequence,
                             char set_aside[NAME_MAX + 1], struct error *error)
{
    int to = create_torn(journal, sequence, set_aside);
    int from = openat(journal->directory_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    bool is_cut = to >= 0 && from >= 0 && copy_from(from, offset, to) && fsync(to) == 0 &&
                  fsync(journal->directory_fd) == 0 &&
                  ftruncate(from, (off_t)offset) == 0;
    bool is_done = is_cut && fsync(from) == 0;

    if (!is_done)
        (void)error_set_errno(error, errno,
                              "cannot set the torn last line of %s/%s aside",
                              journal->directory, name);
    /* It is tried again and again: no copy of each time is wanted. */
    if (to >= 0 && !is_cut)
        (void)unlinkat(journal->directory_fd, set_aside, 0);
    if (to >= 0)
        (void)close(to);
    if (from >= 0)
        (void)close(from);
    return is_done;
}

void audit_journal_fini(struct audit_journal *journal)
{
    audit_journal_let_go(journal);
    if (journal->directory_fd >= 0)
        (void)close(journal->directory_fd);
    journal->directory_fd = -1;
}
