#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

struct secret {
    char *page;
    size_t page_bytes;
    size_t len;
};

static size_t whole_pages(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (len + page - 1) / page * page;
}

struct secret *secret_new(size_t len, struct error *error)
{
    struct secret *secret = calloc(1, sizeof(*secret));
    size_t bytes = whole_pages(len);

    if (secret == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    secret->page =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret->page == MAP_FAILED) {
        (void)error_set_errno(error, errno, "cannot map memory for a secret");
        free(secret);
        return NULL;
    }
    secret->page_bytes = bytes;
    secret->len = len;
    if (mlock(secret->page, bytes) != 0) {
        (void)error_set_errno(
            error, errno,
            "cannot lock memory for a secret (raise the limit of locked "
            "memory, LimitMEMLOCK in systemd)");
        secret_free(secret);
        return NULL;
    }
    if (madvise(secret->page, bytes, MADV_DONTDUMP) != 0 ||
        madvise(secret->page, bytes, MADV_WIPEONFORK) != 0) {
        (void)error_set_errno(error, errno, "cannot keep a secret out of core files");
        secret_free(secret);
        return NULL;
    }
    return secret;
}

void secret_free(struct secret *secret)
{
    if (secret == NULL)
        return;
    secret_cleanse(secret->page, secret->page_bytes);
    (void)munmap(secret->page, secret->page_bytes);
    free(secret);
}

char *secret_bytes(struct secret *secret)
{
    return secret->page;
}

struct span secret_span(const struct secret *secret)
{
    return span_make(secret->page, secret->len);
}

void secret_truncate(struct secret *secret, size_t len)
{
    secret_cleanse(secret->page + len, secret->len - len);
    secret->len = len;
}

bool secret_equal(const void *one, const void *other, size_t len)
{
    const unsigned char *a = one, *b = other;
    uint64_t difference = 0;
    volatile uint64_t verdict; /* its value needs every byte: no way out before the end */

    for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t)) {
        uint64_t words[2];

        memcpy(&words[0], a, sizeof(words[0]));
        memcpy(&words[1], b, sizeof(words[1]));
        difference |= words[0] ^ words[1];
        a += sizeof(uint64_t);
        b += sizeof(uint64_t);
    }
    for (size_t i = 0; i < len; i++)
        difference |= a[i] ^ b[i];
    verdict = difference;
    return verdict == 0;
}

void secret_cleanse(void *bytes, size_t len)
{
    explicit_bzero(bytes, len);
}

/* Asks that even a core file taken on purpose holds none of our memory (core(5)). */
static void empty_the_core_filter(void)
{
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return; /* no /proc: the other two locks hold */
    (void)!write(fd, "0", 1);
    (void)close(fd);
}

bool secret_protect_process(struct error *error)
{
    struct rlimit none = {0, 0};

    empty_the_core_filter();
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return error_set_errno(error, errno, "cannot turn core files off");
    if (prctl(PR_SET_DUMPABLE, 0) != 0)
        return error_set_errno(error, errno, "cannot make the process undumpable");
    return true;
}
