#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

enum { MOST_FRAMES = 24 };

static struct fault_page *page;

__attribute__((constructor)) static void map_page(void)
{
    const char *path = getenv("PSGATE_FAULTS");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *frames[1];
    void *mapped;

    if (fd < 0)
        return; /* a program that is started by the test, but not tested */
    mapped = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        abort();
    (void)close(fd);
    (void)backtrace(frames,
                    1); /* the first call loads a library, the later ones nothing */
    page = mapped;
}

/* Frames of the C library and of this one are passed over by nobody: a few more lines. */
static void note_site(void)
{
    void *frames[MOST_FRAMES];
    int count = backtrace(frames, MOST_FRAMES);
    size_t used = 0;

    for (int i = 0; i < count; i++) {
        Dl_info where;
        int len;

        if (dladdr(frames[i], &where) == 0)
            continue;
        len = snprintf(page->site + used, sizeof(page->site) - used, "%s+0x%lx\n",
                       where.dli_fname,
                       (unsigned long)((char *)frames[i] - (char *)where.dli_fbase));
        if (len < 0 || used + (size_t)len >= sizeof(page->site))
            break;
        used += (size_t)len;
    }
}

bool fault_strikes(enum fault_kind kind)
{
    uint64_t number;

    if (page == NULL || atomic_load(&page->kind) != kind)
        return false;
    number = atomic_fetch_add(&page->seen, 1) + 1;
    if (page->nth == 0 || number < page->nth ||
        (number > page->nth && page->is_lasting == 0))
        return false;
    if (atomic_fetch_add(&page->failed, 1) == 0)
        note_site();
    errno = page->errnum;
    return true;
}

bool fault_strikes_fd(int fd, enum fault_kind socket_kind, enum fault_kind file_kind)
{
    struct stat status;
    uint32_t kind;

    if (page == NULL || fd == STDERR_FILENO)
        return false;
    kind = atomic_load(&page->kind);
    if ((kind != socket_kind && kind != file_kind) || fstat(fd, &status) != 0)
        return false;
    return (S_ISSOCK(status.st_mode) && fault_strikes(socket_kind)) ||
           (S_ISREG(status.st_mode) && fault_strikes(file_kind));
}

void fault_note_blocks(int count)
{
    if (page != NULL)
        (void)atomic_fetch_add(&page->blocks, count);
}
