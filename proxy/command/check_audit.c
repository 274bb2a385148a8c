#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "command/check_parts.h"
#include "config/units.h"

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
                     is_there ? "can be written" : "can be made", check_user_name(),
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
        errnum = is_there ? check_folder_write(folder) : check_folder_make(above);
    if (errnum == 0)
        report_room(findings, place, is_there ? folder : above, is_there);
    else if (errnum == ENOENT)
        findings_add(findings, FINDING_WARNING, place,
                     "make it, or let systemd do so (StateDirectory=)",
                     "the folder %s is not there: audited changes would get 503", above);
    else
        findings_add(findings, FINDING_PROBLEM, place, check_folder_advice(errnum),
                     "%s cannot be written by %s: %s: audited changes would get 503",
                     folder, check_user_name(), strerror(errnum));
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
