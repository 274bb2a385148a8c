/*
 * Which folders hold trails, in and under those that were named: a gateway's own folder,
 * or a collector's tree with a folder for each gateway.
 */
#ifndef PSGATE_AUDIT_TRAILS_H
#define PSGATE_AUDIT_TRAILS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"

/* How far below a named folder trails are looked for. */
enum { AUDIT_TRAILS_DEPTH = 4 };

struct audit_trails_folder {
    const char *path; /* begins with a named one as it was spelled */
    dev_t device;     /* with inode: which folder it is, by whatever path */
    ino_t inode;
};

struct audit_trails {
    struct audit_trails_folder *folders; /* as they were named, those below by path */
    size_t count;
    bool is_single;      /* one folder was named, and it is the one trail */
    size_t shared_bytes; /* that all paths begin with, whole names only */
    struct arena paths;
};

/*
 * Finds the trails. No link below a named folder is followed; folders whose names begin
 * with a dot, and lost+found, are left out. A folder that cannot be read stands in the
 * list, for whoever reads it says why; so does a named one without any trail. One that is
 * come to by two ways stands there once. False with error when memory is out. Free with
 * audit_trails_fini.
 */
bool audit_trails_find(const char *const *named, size_t count,
                       struct audit_trails *trails, struct error *error) MUST_CHECK;

/* An all-zero one is fine. */
void audit_trails_fini(struct audit_trails *trails);

/* The path without what all have in common; "." when that is all of it. */
const char *audit_trails_name(const struct audit_trails *trails, size_t i);

#endif
