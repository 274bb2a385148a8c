/* The system calls. Behind each is the next of its name: a sanitizer's or the C
 * library's. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "faults.h"

#define BEHIND(name)                                                                     \
    static __typeof__(&name) behind;                                                     \
    if (behind == NULL)                                                                  \
    behind = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t read(int fd, void *bytes, size_t len)
{
    BEHIND(read);
    return fault_strikes_fd(fd, FAULT_RECEIVE, FAULT_READ) ? -1 : behind(fd, bytes, len);
}

ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
    BEHIND(pread);
    return fault_strikes_fd(fd, FAULT_RECEIVE, FAULT_READ)
               ? -1
               : behind(fd, bytes, len, offset);
}

ssize_t readv(int fd, const struct iovec *vectors, int count)
{
    BEHIND(readv);
    return fault_strikes_fd(fd, FAULT_RECEIVE, FAULT_READ) ? -1
                                                           : behind(fd, vectors, count);
}

ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    BEHIND(recv);
    return fault_strikes(FAULT_RECEIVE) ? -1 : behind(fd, bytes, len, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    BEHIND(recvmsg);
    return fault_strikes(FAULT_RECEIVE) ? -1 : behind(fd, message, flags);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    BEHIND(write);
    return fault_strikes_fd(fd, FAULT_SEND, FAULT_WRITE) ? -1 : behind(fd, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    BEHIND(pwrite);
    return fault_strikes_fd(fd, FAULT_SEND, FAULT_WRITE) ? -1
                                                         : behind(fd, bytes, len, offset);
}

ssize_t writev(int fd, const struct iovec *vectors, int count)
{
    BEHIND(writev);
    return fault_strikes_fd(fd, FAULT_SEND, FAULT_WRITE) ? -1
                                                         : behind(fd, vectors, count);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    BEHIND(send);
    return fault_strikes(FAULT_SEND) ? -1 : behind(fd, bytes, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    BEHIND(sendmsg);
    return fault_strikes(FAULT_SEND) ? -1 : behind(fd, message, flags);
}

int fsync(int fd)
{
    BEHIND(fsync);
    return fault_strikes(FAULT_SYNC) ? -1 : behind(fd);
}

int fdatasync(int fd)
{
    BEHIND(fdatasync);
    return fault_strikes(FAULT_SYNC) ? -1 : behind(fd);
}

static mode_t mode_of(int flags, va_list rest)
{
    return (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    BEHIND(open);
    va_list rest;
    mode_t mode;

    va_start(rest, flags);
    mode = mode_of(flags, rest);
    va_end(rest);
    return fault_strikes(FAULT_OPEN) ? -1 : behind(path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    BEHIND(openat);
    va_list rest;
    mode_t mode;

    va_start(rest, flags);
    mode = mode_of(flags, rest);
    va_end(rest);
    return fault_strikes(FAULT_OPEN) ? -1 : behind(at, path, flags, mode);
}

int socket(int domain, int type, int protocol)
{
    BEHIND(socket);
    return fault_strikes(FAULT_SOCKET) ? -1 : behind(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    BEHIND(connect);
    return fault_strikes(FAULT_CONNECT) ? -1 : behind(fd, address, len);
}

int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
    BEHIND(accept);
    return fault_strikes(FAULT_ACCEPT) ? -1 : behind(fd, address, len);
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict len, int flags)
{
    BEHIND(accept4);
    return fault_strikes(FAULT_ACCEPT) ? -1 : behind(fd, address, len, flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    BEHIND(epoll_ctl);
    return operation == EPOLL_CTL_ADD && fault_strikes(FAULT_WATCH)
               ? -1
               : behind(epoll, operation, fd, event);
}

ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
    BEHIND(getrandom);
    return fault_strikes(FAULT_RANDOM) ? -1 : behind(bytes, len, flags);
}

int getentropy(void *bytes, size_t len)
{
    BEHIND(getentropy);
    return fault_strikes(FAULT_RANDOM) ? -1 : behind(bytes, len);
}
