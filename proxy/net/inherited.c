#include "net/inherited.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

/* "unix:" and the longest path. */
enum { ADDRESS_TEXT_BYTES = 128 };

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_un local;
    struct sockaddr_storage storage;
};

struct socket {
    int fd;
    union address address;
    const char *path;              /* of a unix socket with a file, within address */
    char text[ADDRESS_TEXT_BYTES]; /* as the configuration would name it */
};

struct inherited {
    struct socket *sockets;
    size_t count;
};

/* An abstract unix socket, whose name begins with a NUL, is shown as systemd spells it.
 */
static void describe(struct socket *given, socklen_t len)
{
    struct sockaddr_un *local = &given->address.local;
    size_t path_len = len - offsetof(struct sockaddr_un, sun_path);

    if (given->address.any.sa_family != AF_UNIX) {
        peer_format(&given->address.any, given->text);
    } else if (len > offsetof(struct sockaddr_un, sun_path) &&
               local->sun_path[0] == '\0') {
        (void)snprintf(given->text, sizeof(given->text), "unix:@%.*s", (int)path_len - 1,
                       local->sun_path + 1);
    } else {
        given->path = local->sun_path; /* the storage behind it is zero */
        (void)snprintf(given->text, sizeof(given->text), "unix:%s", given->path);
    }
}

/* What is wrong with a descriptor as a listener, or NULL. */
static const char *find_fault(int fd, union address *address, socklen_t *len)
{
    int type = 0, is_listening = 0;
    socklen_t type_len = sizeof(type), listening_len = sizeof(is_listening);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0)
        return "is no socket";
    if (getsockname(fd, &address->any, len) != 0 ||
        (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6 &&
         address->any.sa_family != AF_UNIX))
        return "is neither an IPv4, an IPv6 nor a unix socket";
    if (type != SOCK_STREAM)
        return "is no stream socket (ListenStream= makes those)";
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &listening_len) != 0 ||
        is_listening == 0)
        return "is not listening (with systemd, Accept=no is needed)";
    return NULL;
}

/*
 * Whether a socket blocks is shared with all who hold it: systemd makes it blocking again
 * when it starts another process with it, unless that unit has NonBlocking=yes. With a
 * limit on the socket itself a worker that meets this waits for a moment, not for ever.
 */
static bool make_non_blocking(int fd)
{
    const struct timeval moment = {.tv_usec = 1000};
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment)) == 0;
}

static bool take_socket(struct socket *given, int fd, const char *name,
                        struct error *error)
{
    socklen_t len = sizeof(given->address);
    const char *fault = find_fault(fd, &given->address, &len);

    if (fault != NULL)
        return error_set(
            error, "descriptor %d (%s), which was handed over to be listened on, %s", fd,
            name, fault);
    if (!make_non_blocking(fd))
        return error_set_errno(error, errno, "cannot make descriptor %d non-blocking",
                               fd);
    given->fd = fd;
    describe(given, len);
    return true;
}

static bool take_all(struct inherited *inherited, char **names, int count,
                     struct error *error)
{
    inherited->sockets = calloc((size_t)count, sizeof(*inherited->sockets));
    if (inherited->sockets == NULL)
        return error_set(error, "out of memory");
    for (int i = 0; i < count; i++) {
        if (!take_socket(&inherited->sockets[i], SD_LISTEN_FDS_START + i, names[i],
                         error))
            return false;
        inherited->count++;
    }
    return true;
}

struct inherited *inherited_take(struct error *error)
{
    struct inherited *inherited = calloc(1, sizeof(*inherited));
    char **names = NULL;
    int count = sd_listen_fds_with_names(1, &names);
    bool is_taken = inherited != NULL;

    if (inherited == NULL)
        (void)error_set(error, "out of memory");
    else if (count < 0)
        is_taken = error_set_errno(
            error, -count, "cannot take over the sockets that LISTEN_FDS announces");
    else if (count > 0)
        is_taken = take_all(inherited, names, count, error);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    if (is_taken)
        return inherited;
    inherited_free(inherited);
    return NULL;
}

size_t inherited_count(const struct inherited *inherited)
{
    return inherited->count;
}

static bool is_bound_to(const struct socket *given, const struct listener_options *wanted)
{
    const union address *address = &given->address;
    struct in_addr four;
    struct in6_addr six;

    if (wanted->host == NULL)
        return given->path != NULL && strcmp(given->path, wanted->path) == 0;
    if (inet_pton(AF_INET, wanted->host, &four) == 1)
        return address->any.sa_family == AF_INET &&
               address->four.sin_addr.s_addr == four.s_addr &&
               ntohs(address->four.sin_port) == wanted->port;
    return inet_pton(AF_INET6, wanted->host, &six) == 1 &&
           address->any.sa_family == AF_INET6 &&
           memcmp(&address->six.sin6_addr, &six, sizeof(six)) == 0 &&
           ntohs(address->six.sin6_port) == wanted->port;
}

static const struct socket *find_socket(const struct inherited *inherited,
                                        const struct listener_options *wanted)
{
    for (size_t i = 0; i < inherited->count; i++) {
        if (is_bound_to(&inherited->sockets[i], wanted))
            return &inherited->sockets[i];
    }
    return NULL;
}

bool inherited_is_wanted(const struct inherited *inherited, size_t index,
                         const struct listener_options *addresses, size_t count,
                         struct error *error)
{
    const struct socket *given = &inherited->sockets[index];

    for (size_t i = 0; i < count; i++) {
        const struct socket *first;

        if (!is_bound_to(given, &addresses[i]))
            continue;
        first = find_socket(inherited, &addresses[i]);
        if (first == NULL || first == given)
            return true;
        return error_set(error,
                         "descriptors %d and %d, which were handed over to be listened "
                         "on, are both bound to %s (hand over one)",
                         first->fd, given->fd, given->text);
    }
    return error_set(error,
                     "a socket bound to %s was handed over, but no listener has this "
                     "address (add { \"address\": \"%s\" }, or take it out of the socket "
                     "unit)",
                     given->text, given->text);
}

bool inherited_open(const struct inherited *inherited,
                    const struct listener_options *address, int *fd, struct error *error)
{
    const struct socket *given = find_socket(inherited, address);

    *fd = -1;
    if (given == NULL)
        return true;
    *fd = fcntl(given->fd, F_DUPFD_CLOEXEC, 0);
    return *fd >= 0 || error_set_errno(error, errno, "cannot listen on %s", given->text);
}

void inherited_free(struct inherited *inherited)
{
    if (inherited == NULL)
        return;
    for (size_t i = 0; i < inherited->count; i++)
        (void)close(inherited->sockets[i].fd);
    free(inherited->sockets);
    free(inherited);
}
