/*
 * The files of a trail: every regular file of the folder whose name begins with "audit"
 * and holds ".jsonl", in the order of the chain, which is that of the sequences in their
 * first lines and not that of their names.
 *
 * Which lines count is settled here too, by the first lines alone: a file that begins
 * with trail.resumed supersedes the end of the one that it names as suspect, and of a
 * file that lies beside its own compressed copy only one counts. Whether all that is true
 * is for audit/verify.h to say.
 */
#ifndef PSGATE_AUDIT_FOLDER_H
#define PSGATE_AUDIT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"

/* The name of the file that is being written. */
#define AUDIT_CURRENT_NAME "audit.jsonl"

struct audit_file {
    const char *path;
    const char *name; /* the path's last part */
    uint64_t first;   /* its first line's event.sequence; 0: it has no such line */
    bool is_current;  /* is named AUDIT_CURRENT_NAME */
    bool is_empty;    /* holds no byte */
    bool is_copy;     /* the file before it in the list counts in its place */
    uint64_t superseded_from; /* lines of this sequence and on do not count; 0: all do */
    const char *suspect;      /* what its first line (trail.resumed) names, or NULL */
    const char *fault;        /* why its first whole line is no record, or NULL */
    ino_t inode;
};

struct audit_folder {
    struct audit_file *files; /* those with first 0 stand last */
    size_t count;
    struct arena names;
};

/*
 * Reads the folder and each file's first line. False with error when the folder or a file
 * cannot be read, or memory is out; *folder is then empty. Free with audit_folder_fini.
 */
bool audit_folder_list(const char *path, struct audit_folder *folder,
                       struct error *error) MUST_CHECK;

/* An all-zero folder is fine. */
void audit_folder_fini(struct audit_folder *folder);

/* Whether a file of that name is one of a trail. */
bool audit_folder_is_trail_name(const char *name);

/* Whether two names are the same but for ".gz" or ".zst" at the end. */
bool audit_folder_is_same_name(const char *a, const char *b);

/*
 * Whether this file of the folder is the one that was closed as suspect under that name:
 * it may have been compressed since, or renamed by logrotate if no other has the name.
 */
bool audit_folder_is_suspect(const struct audit_folder *folder,
                             const struct audit_file *file, const char *name);

#endif
