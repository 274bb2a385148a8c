#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/check_parts.h"

/* As base/log_output.c opens it, but that nothing is made. An errno, or 0. */
static int try_there(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return errno;
    (void)close(fd);
    return 0;
}

void check_log(struct findings *findings, const struct snapshot *snapshot)
{
    const struct place root = {0};
    const struct place log = {.parent = &root, .key = "log"};
    const struct place place = {.parent = &log, .key = "file"};
    const char *file = snapshot->config->log.file;
    char *copy = file != NULL ? strdup(file) : NULL;
    int errnum;

    if (copy == NULL)
        return;
    errnum = try_there(file);
    if (errnum == ENOENT)
        errnum = check_folder_write(dirname(copy));
    if (errnum == 0)
        findings_add(findings, FINDING_OK, &place, NULL, "can be written by %s",
                     check_user_name());
    else if (errnum == ENOENT)
        findings_add(findings, FINDING_WARNING, &place,
                     "make it, or let systemd do so (LogsDirectory=)",
                     "the folder of %s is not there: the gateway would not start", file);
    else
        findings_add(findings, FINDING_PROBLEM, &place, check_folder_advice(errnum),
                     "%s cannot be written by %s: %s: the gateway would not start", file,
                     check_user_name(), strerror(errnum));
    free(copy);
}
