/*
 * Preloaded into the gateway by test_hits.py: counts, thread by thread, what a hit must not
 * do. The counts are in the file that $PSGATE_COUNTS names, a slot a thread.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SLOTS = 256 };

struct slot {
    uint64_t allocations; /* and releases */
    uint64_t received;    /* calls of recv and read */
    uint64_t locked;      /* system calls while a mutex is held */
    uint64_t locks;
};

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

static struct slot *slots;
static atomic_uint used;
static __thread struct slot *mine __attribute__((tls_model("initial-exec")));
static __thread int held __attribute__((tls_model("initial-exec")));

static struct slot *slot(void)
{
    static struct slot nobodys;

    if (mine == NULL && slots != NULL) {
        unsigned number = atomic_fetch_add(&used, 1);

        mine = number < SLOTS ? &slots[number] : NULL;
    }
    return mine != NULL ? mine : &nobodys;
}

__attribute__((constructor)) static void map_counts(void)
{
    const char *path = getenv("PSGATE_COUNTS");
    int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *mapped;

    if (fd < 0 || ftruncate(fd, SLOTS * sizeof(struct slot)) != 0)
        abort();
    mapped = mmap(NULL, SLOTS * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED,
                  fd, 0);
    if (mapped == MAP_FAILED)
        abort();
    (void)close(fd);
    slots = mapped;
}

void *malloc(size_t size)
{
    slot()->allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    slot()->allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    slot()->allocations++;
    return __libc_realloc(memory, size);
}

void free(void *memory)
{
    slot()->allocations += memory != NULL;
    __libc_free(memory);
}

/* The one behind us. */
#define BEHIND(name)                                                                     \
    static __typeof__(&name) behind;                                                     \
    if (behind == NULL)                                                                  \
        behind = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    BEHIND(pthread_mutex_lock);
    held++;
    slot()->locks++;
    return behind(mutex);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    BEHIND(pthread_mutex_unlock);
    held--;
    return behind(mutex);
}

static void note_call(void)
{
    slot()->locked += held > 0;
}

ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    BEHIND(recv);
    note_call();
    slot()->received++;
    return behind(fd, bytes, len, flags);
}

ssize_t read(int fd, void *bytes, size_t len)
{
    BEHIND(read);
    note_call();
    slot()->received++;
    return behind(fd, bytes, len);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    BEHIND(send);
    note_call();
    return behind(fd, bytes, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    BEHIND(sendmsg);
    note_call();
    return behind(fd, message, flags);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    BEHIND(write);
    note_call();
    return behind(fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *vectors, int count)
{
    BEHIND(writev);
    note_call();
    return behind(fd, vectors, count);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout_ms)
{
    BEHIND(epoll_wait);
    note_call();
    return behind(epoll, events, most, timeout_ms);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    BEHIND(epoll_ctl);
    note_call();
    return behind(epoll, operation, fd, event);
}
