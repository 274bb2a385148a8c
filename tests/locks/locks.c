/*
 * Preloaded into the program by tests/e2e/test_locks.py: finds system calls that a thread
 * makes while it holds a mutex of the program's own. Counts, while the test says so, into
 * a page that the test shares.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* As tests/e2e/test_locks.py has it. */
struct page {
    _Atomic uint32_t is_armed;
    _Atomic uint32_t
        locked;             /* mutexes that were locked: that there is something to see */
    _Atomic uint32_t calls; /* system calls that were seen */
    _Atomic uint32_t found;
    char first[256]; /* "CALL LOCK-OFFSET CALL-OFFSET" of the first that was found */
};

static struct page *page;
static uintptr_t program_start, program_end;

static __thread int held;
static __thread uintptr_t last_lock; /* where it was locked */
static __thread int is_inside;       /* one wrapped call calls another */

#define BEHIND(name)                                                                     \
    static __typeof__(&name) behind;                                                     \
    if (behind == NULL)                                                                  \
    behind = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int note_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    program_start = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD)
            program_end =
                info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
    }
    return 1; /* the program comes first */
}

__attribute__((constructor)) static void map_page(void)
{
    const char *path = getenv("PSGATE_LOCKS");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped;

    if (fd < 0)
        return;
    (void)dl_iterate_phdr(note_program, NULL);
    mapped = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        abort();
    (void)close(fd);
    page = mapped;
}

/* A library's own locks are its own business. */
static int is_of_program(uintptr_t caller)
{
    return caller >= program_start && caller < program_end;
}

static void note_locked(uintptr_t caller)
{
    if (page == NULL || !is_of_program(caller))
        return;
    held++;
    last_lock = caller;
    if (atomic_load(&page->is_armed) != 0)
        (void)atomic_fetch_add(&page->locked, 1);
}

static void note_unlocked(uintptr_t caller)
{
    if (page != NULL && is_of_program(caller) && held > 0)
        held--;
}

static void note_call(const char *name, uintptr_t caller)
{
    if (page == NULL || is_inside || atomic_load(&page->is_armed) == 0)
        return;
    (void)atomic_fetch_add(&page->calls, 1);
    if (held > 0 && atomic_fetch_add(&page->found, 1) == 0)
        (void)snprintf(page->first, sizeof(page->first), "%s 0x%lx 0x%lx", name,
                       (unsigned long)(last_lock - program_start),
                       (unsigned long)(caller - program_start));
}

#define CALLER ((uintptr_t)__builtin_return_address(0))

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    BEHIND(pthread_mutex_lock);
    int result = behind(mutex);

    if (result == 0)
        note_locked(CALLER);
    return result;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    BEHIND(pthread_mutex_unlock);
    note_unlocked(CALLER);
    return behind(mutex);
}

/* The wait itself gives the mutex up. */
int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    int before = held;
    BEHIND(pthread_cond_wait);
    held = 0;
    int result = behind(condition, mutex);

    held = before;
    return result;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    int before = held;
    BEHIND(pthread_cond_timedwait);
    held = 0;
    int result = behind(condition, mutex, until);

    held = before;
    return result;
}

/* The system calls of the program's own work. */
#define SYSTEM_CALL(type, name, parameters, arguments)                                   \
    type name parameters                                                                 \
    {                                                                                    \
        type result;                                                                     \
        BEHIND(name);                                                                    \
        note_call(#name, CALLER);                                                        \
        is_inside++;                                                                     \
        result = behind arguments;                                                       \
        is_inside--;                                                                     \
        return result;                                                                   \
    }

SYSTEM_CALL(ssize_t, read, (int fd, void *bytes, size_t len), (fd, bytes, len))
SYSTEM_CALL(ssize_t, write, (int fd, const void *bytes, size_t len), (fd, bytes, len))
SYSTEM_CALL(ssize_t, readv, (int fd, const struct iovec *vectors, int count),
            (fd, vectors, count))
SYSTEM_CALL(ssize_t, writev, (int fd, const struct iovec *vectors, int count),
            (fd, vectors, count))
SYSTEM_CALL(ssize_t, recv, (int fd, void *bytes, size_t len, int flags),
            (fd, bytes, len, flags))
SYSTEM_CALL(ssize_t, send, (int fd, const void *bytes, size_t len, int flags),
            (fd, bytes, len, flags))
SYSTEM_CALL(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags),
            (fd, message, flags))
SYSTEM_CALL(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
            (fd, message, flags))
SYSTEM_CALL(int, connect, (int fd, const struct sockaddr *address, socklen_t len),
            (fd, address, len))
SYSTEM_CALL(int, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags),
            (fd, address, len, flags))
SYSTEM_CALL(int, close, (int fd), (fd))
SYSTEM_CALL(int, fsync, (int fd), (fd))
SYSTEM_CALL(int, fdatasync, (int fd), (fd))
SYSTEM_CALL(int, epoll_wait, (int fd, struct epoll_event *events, int count, int timeout),
            (fd, events, count, timeout))
SYSTEM_CALL(int, epoll_ctl, (int fd, int what, int on, struct epoll_event *event),
            (fd, what, on, event))
SYSTEM_CALL(int, poll, (struct pollfd * fds, nfds_t count, int timeout),
            (fds, count, timeout))
SYSTEM_CALL(int, nanosleep, (const struct timespec *pause, struct timespec *left),
            (pause, left))
