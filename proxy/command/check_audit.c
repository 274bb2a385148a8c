#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/text.h"
#include "command/check_parts.h"
#include "config/units.h"

/* No name of a trail's begins with a dot: neither gateway nor verify looks at these. */
#define PROBE_NAME ".psgate-check-XXXXXX"

/* Makes a file in the folder, writes it out to the disk, and removes it. An errno, or 0.
 */
static int try_file(const char *folder)
{
    struct text path = {0};
    int fd, errnum = 0;

    text_add_format(&path, "%s/" PROBE_NAME, folder);
    if (path.failed)
        return ENOMEM;
    fd = mkostemp(path.bytes, O_CLOEXEC);
    if (fd < 0) {
        errnum = errno;
    } else {
        if (write(fd, PROBE_NAME, sizeof(PROBE_NAME)) != sizeof(PROBE_NAME) ||
            fsync(fd) != 0)
            errnum = errno != 0 ? errno : ENOSPC;
        (void)close(fd);
        (void)unlink(path.bytes);
    }
    text_fini(&path);
    return errnum;
}

/* The same in a folder of its own beside the one that is missing. */
static int try_folder(const char *beside)
{
    struct text path = {0};
    int errnum;

    text_add_format(&path, "%s/" PROBE_NAME, beside);
    if (path.failed)
        return ENOMEM;
    if (mkdtemp(path.bytes) == NULL) {
        errnum = errno;
    } else {
        errnum = try_file(path.bytes);
        (void)rmdir(path.bytes);
    }
    text_fini(&path);
    return errnum;
}

static const char *advice_for(int errnum)
{
    switch (errnum) {
    case EACCES:
    case EPERM:
        return "let the user that the gateway runs as own the folder, and run the check "
               "as "
               "that user";
    case ENOENT:
        return "make the folder above it, or write another path";
    case ENOSPC:
    case EDQUOT:
        return "make room on that disk";
    case EROFS:
        return "mount that disk for writing, or write another path";
    default:
        return "write the path of a folder that the gateway can write to";
    }
}

static const char *user_name(void)
{
    const struct passwd *entry = getpwuid(geteuid());

    return entry != NULL ? entry->pw_name : "this user";
}

static void report_room(struct findings *findings, const struct place *place,
                        const char *folder, bool is_there)
{
    int64_t wanted = findings->config->audit.rotate_bytes;
    char wanted_text[UNITS_TEXT_BYTES];
    struct statvfs disk;
    double room;

    if (statvfs(folder, &disk) != 0)
        return;
    room = (double)disk.f_bavail * (double)disk.f_frsize;
    units_format_size(wanted, wanted_text);
    if (room < (double)wanted)
        findings_add(findings, FINDING_WARNING, place,
                     "make room on that disk, or give the trail one of its own",
                     "%.1f MiB are free, less than one file of the trail takes "
                     "(audit.rotate_size, %s)",
                     room / (1 << 20), wanted_text);
    else
        findings_add(findings, FINDING_OK, place, NULL, "%s by %s, %.1f GiB free",
                     is_there ? "can be written" : "can be made", user_name(),
                     room / (1 << 30));
}

static void check_directory(struct findings *findings, const struct place *place,
                            const char *folder)
{
    char *copy = strdup(folder);
    const char *above = copy != NULL ? dirname(copy) : ".";
    struct stat status;
    bool is_there = stat(folder, &status) == 0;
    int errnum;

    if (is_there && !S_ISDIR(status.st_mode))
        errnum = ENOTDIR;
    else
        errnum = is_there ? try_file(folder) : try_folder(above);
    if (errnum != 0)
        findings_add(findings, FINDING_PROBLEM, place, advice_for(errnum),
                     "%s cannot be written by %s: %s: audited changes would get 503",
                     folder, user_name(), strerror(errnum));
    else
        report_room(findings, place, is_there ? folder : above, is_there);
    free(copy);
}

void check_audit(struct findings *findings, const struct snapshot *snapshot)
{
    const struct place root = {0};
    const struct place audit = {.parent = &root, .key = "audit"};
    const struct place directory = {.parent = &audit, .key = "directory"};
    const struct place signing_key = {.parent = &audit, .key = "signing_key_file"};

    check_directory(findings, &directory, snapshot->config->audit.directory);
    if (snapshot->config->audit.signing_key_file != NULL)
        findings_add(findings, FINDING_OK, &signing_key, NULL, "read, and private");
}
