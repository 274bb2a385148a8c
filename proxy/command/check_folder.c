#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "command/check_parts.h"

/* No name of a trail's begins with a dot: neither gateway nor verify looks at these. */
#define PROBE_NAME ".psgate-check-XXXXXX"

int check_folder_write(const char *folder)
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
        errno = 0;
        if (write(fd, PROBE_NAME, sizeof(PROBE_NAME)) != sizeof(PROBE_NAME) ||
            fsync(fd) != 0)
            errnum = errno != 0 ? errno : ENOSPC; /* a short write */
        (void)close(fd);
        (void)unlink(path.bytes);
    }
    text_fini(&path);
    return errnum;
}

int check_folder_make(const char *within)
{
    struct text path = {0};
    int errnum;

    text_add_format(&path, "%s/" PROBE_NAME, within);
    if (path.failed)
        return ENOMEM;
    if (mkdtemp(path.bytes) == NULL) {
        errnum = errno;
    } else {
        errnum = check_folder_write(path.bytes);
        (void)rmdir(path.bytes);
    }
    text_fini(&path);
    return errnum;
}

const char *check_folder_advice(int errnum)
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

const char *check_user_name(void)
{
    /* cppcheck-suppress getpwuidCalled ; there is one thread */
    const struct passwd *entry = getpwuid(geteuid());

    return entry != NULL ? entry->pw_name : "this user";
}
