#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

bool random_fill(void *bytes, size_t len, struct error *error)
{
    unsigned char *at = bytes;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, errno, "cannot get random bytes");
        at += got;
        len -= (size_t)got;
    }
    return true;
}
