#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

void peer_format(const struct sockaddr *address, char text[PEER_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN];
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;

    if (address->sa_family == AF_INET &&
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host)) != NULL)
        (void)snprintf(text, PEER_TEXT_BYTES, "%s:%u", host, ntohs(four->sin_port));
    else if (address->sa_family == AF_INET6 &&
             inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host)) != NULL)
        (void)snprintf(text, PEER_TEXT_BYTES, "[%s]:%u", host, ntohs(six->sin6_port));
    else
        (void)snprintf(text, PEER_TEXT_BYTES, "%s",
                       address->sa_family == AF_UNIX ? "unix" : "unknown");
}

bool peer_ip(const struct sockaddr *address, struct ip *ip)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;

    if (address->sa_family == AF_INET)
        *ip = ip_of_four((const unsigned char *)&four->sin_addr);
    else if (address->sa_family == AF_INET6)
        memcpy(ip->bytes, &six->sin6_addr, sizeof(ip->bytes));
    return address->sa_family == AF_INET || address->sa_family == AF_INET6;
}

bool peer_is_among(const struct sockaddr *address, const struct networks *networks)
{
    struct ip ip;

    if (address->sa_family == AF_UNIX)
        return networks->has_unix;
    return networks->count > 0 && peer_ip(address, &ip) && networks_have(networks, &ip);
}

bool peer_read_process(int fd, uint32_t *uid, uint32_t *gid)
{
    struct ucred process;
    socklen_t len = sizeof(process);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &process, &len) != 0 ||
        len != sizeof(process) || process.uid == (uid_t)-1)
        return false;
    *uid = process.uid;
    *gid = process.gid;
    return true;
}

static socklen_t fill_ip(struct sockaddr_storage *storage, const char *host,
                         uint16_t port)
{
    struct sockaddr_in *four = (struct sockaddr_in *)storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)storage;

    memset(storage, 0, sizeof(*storage));
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        return sizeof(*four);
    }
    if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        return sizeof(*six);
    }
    return 0;
}

static bool start_listening(int fd, const char *address, struct error *error)
{
    if (listen(fd, BACKLOG) != 0)
        return error_set_errno(error, errno, "cannot listen on %s", address);
    return true;
}

static bool bind_ip(int fd, const struct listener_options *options, struct error *error)
{
    const int on = 1, off = 0;
    struct sockaddr_storage storage;
    socklen_t len = fill_ip(&storage, options->host, options->port);

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    /* "[::]" takes IPv4 as well, as people expect of nginx's and of most servers'
     * default. */
    if (storage.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, (const struct sockaddr *)&storage, len) == 0)
        return start_listening(fd, options->address, error);
    if (errno == EADDRINUSE)
        return error_set(error,
                         "cannot listen on %s: the address is in use (stop the other "
                         "program, or choose another port)",
                         options->address);
    return error_set_errno(error, errno, "cannot listen on %s", options->address);
}

/* Whether somebody may be serving the socket's file: all but a plain refusal says so. */
static bool is_served(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool served = fd < 0 ||
                  connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
                  errno != ECONNREFUSED;

    if (fd >= 0)
        (void)close(fd);
    return served;
}

static bool bind_unix(int fd, const struct listener_options *options, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    mode_t old_mask;
    int result, errnum;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", options->path);
    if (lstat(options->path, &status) == 0) {
        if (!S_ISSOCK(status.st_mode))
            return error_set(error,
                             "cannot listen on %s: a file that is no socket is "
                             "there (remove it)",
                             options->address);
        if (is_served(&address))
            return error_set(error, "cannot listen on %s: another program serves it",
                             options->address);
        (void)unlink(options->path);
    }
    old_mask = umask(0777 & ~options->mode);
    result = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    errnum = errno;
    (void)umask(old_mask);
    if (result != 0)
        return error_set_errno(error, errnum, "cannot listen on %s", options->address);
    return start_listening(fd, options->address, error);
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address = {0};
    socklen_t len = sizeof(address);

    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET ? address.four.sin_port
                                                  : address.six.sin6_port);
}

static bool describe(struct listener *listener, const struct listener_options *options)
{
    bool is_six = options->host != NULL && strchr(options->host, ':') != NULL;
    int put;

    listener->address = strdup(options->address);
    listener->is_unix = options->host == NULL;
    if (listener->is_unix)
        put = asprintf(&listener->url, "%s", options->address);
    else
        put = asprintf(&listener->url, "%s://%s%s%s:%u",
                       options->is_tls ? "https" : "http", is_six ? "[" : "",
                       options->host, is_six ? "]" : "", bound_port(listener->fd));
    return listener->address != NULL && put >= 0;
}

struct listener *listener_take(const struct listener_options *options, int fd,
                               struct error *error)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (listener == NULL) {
        (void)close(fd);
    } else {
        listener->fd = fd;
        if (describe(listener, options))
            return listener;
        listener_close(listener);
    }
    (void)error_set(error, "out of memory");
    return NULL;
}

struct listener *listener_open(const struct listener_options *options,
                               struct error *error)
{
    struct listener *listener;
    struct sockaddr_storage storage;
    int fd, family = AF_UNIX;

    if (options->host != NULL) {
        (void)fill_ip(&storage, options->host, 0);
        family = storage.ss_family;
    }
    fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        (void)error_set_errno(error, errno, "cannot listen on %s", options->address);
        return NULL;
    }
    if (!(options->host != NULL ? bind_ip(fd, options, error)
                                : bind_unix(fd, options, error))) {
        (void)close(fd);
        return NULL;
    }
    listener = listener_take(options, fd, error);
    if (listener != NULL && listener->is_unix) {
        listener->path = strdup(options->path);
        if (listener->path != NULL)
            return listener;
        (void)unlink(options->path);
        listener_close(listener);
        (void)error_set(error, "out of memory");
        return NULL;
    }
    return listener;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    if (listener->path != NULL)
        (void)unlink(listener->path);
    (void)close(listener->fd);
    free(listener->address);
    free(listener->url);
    free(listener->path);
    free(listener);
}
