/* Small files: read whole, judged by owner and mode where they hold secrets. */
#ifndef PSGATE_BASE_FILE_H
#define PSGATE_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"

enum file_privacy {
    FILE_PUBLIC,
    FILE_PRIVATE, /* 0600 or stricter if the running user owns it, 0640 at most if root
                     does */
};

/* Which file a path leads to and in which state: to see whether that has changed. */
struct file_identity {
    int errnum; /* why it cannot be examined, or 0 */
    dev_t device;
    ino_t inode;
    mode_t mode;
    uid_t owner;
    off_t size;
    struct timespec modified, changed;
};

/* Follows symbolic links. A path that leads nowhere has an identity too. */
void file_identify(const char *path, struct file_identity *identity);
bool file_is_same(const struct file_identity *one, const struct file_identity *other);

/*
 * Whether FILE_PRIVATE would accept the file as it is, without opening it. False with
 * why, which names the file, also when it cannot be examined.
 */
bool file_is_private(const char *path, struct error *error) MUST_CHECK;

/* Larger files are refused: nothing that psgate reads whole comes near this. */
#define FILE_MAX_BYTES ((size_t)64 * 1024 * 1024)

/* Appends the file's content to *content. */
bool file_read(const char *path, enum file_privacy privacy, struct text *content,
               struct error *error) MUST_CHECK;

/*
 * Reads at most capacity bytes into buffer, for content that must not be copied about; a
 * longer file is an error. *len is what was read.
 */
bool file_read_private(const char *path, char *buffer, size_t capacity, size_t *len,
                       struct error *error) MUST_CHECK;

/*
 * Replaces the file atomically: readers see the old content or the new, also after a
 * crash. The new file has mode 0600 and, where it replaces one, the old one's owner;
 * where that is root, its group may read if it could before.
 */
bool file_replace_private(const char *path, struct span content,
                          struct error *error) MUST_CHECK;

#endif
