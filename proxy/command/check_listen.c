#include <arpa/inet.h>
#include <errno.h>
#include <libgen.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "command/check_parts.h"

static const char in_use[] =
    "nothing, if it is this gateway that runs or systemd that listens for it; else stop "
    "the other program, or choose another address";

static int bind_once(const struct config_listen *listen)
{
    const int on = 1, off = 0;
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(listen->port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(listen->port)};
    bool is_four = inet_pton(AF_INET, listen->host, &four.sin_addr) == 1;
    int fd, errnum;

    if (!is_four)
        (void)inet_pton(AF_INET6, listen->host, &six.sin6_addr);
    fd = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    /* As net/listener.c does. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!is_four)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    errnum =
        bind(fd, is_four ? (const struct sockaddr *)&four : (const struct sockaddr *)&six,
             is_four ? sizeof(four) : sizeof(six)) == 0
            ? 0
            : errno;
    (void)close(fd);
    return errnum;
}

static void check_ip(struct findings *findings, const struct place *place,
                     const struct config_listen *listen)
{
    int errnum = bind_once(listen);

    switch (errnum) {
    case 0:
        findings_add(findings, FINDING_OK, place, NULL, "%s is free", listen->address);
        break;
    case EADDRINUSE:
        findings_add(findings, FINDING_WARNING, place, in_use, "%s is in use",
                     listen->address);
        break;
    case EACCES:
        findings_add(findings, FINDING_WARNING, place,
                     "choose a port above 1023, let systemd listen, or give the service "
                     "CAP_NET_BIND_SERVICE",
                     "%s is not for this user to listen on", listen->address);
        break;
    case EADDRNOTAVAIL:
        findings_add(findings, FINDING_WARNING, place,
                     "nothing, if the gateway runs elsewhere; else write one of this "
                     "machine's addresses",
                     "%s is no address of this machine", listen->address);
        break;
    default:
        findings_add(findings, FINDING_WARNING, place, "see what the message is about",
                     "%s cannot be had: %s", listen->address, strerror(errnum));
        break;
    }
}

static bool is_served(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_served;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    is_served =
        fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        (void)close(fd);
    return is_served;
}

static void check_folder_of(struct findings *findings, const struct place *place,
                            const char *path)
{
    char *copy = strdup(path);
    const char *folder = copy != NULL ? dirname(copy) : "/";

    if (access(folder, W_OK | X_OK) == 0)
        findings_add(findings, FINDING_OK, place, NULL, "unix:%s is free", path);
    else if (errno == ENOENT)
        findings_add(findings, FINDING_WARNING, place,
                     "make it, or let systemd do so (RuntimeDirectory=)",
                     "the folder %s is not there", folder);
    else
        findings_add(findings, FINDING_WARNING, place,
                     "let the user that the gateway runs as write there, and run the "
                     "check as that user",
                     "no socket can be made in %s: %s", folder, strerror(errno));
    free(copy);
}

static void check_unix(struct findings *findings, const struct place *place,
                       const struct config_listen *listen)
{
    struct stat status;

    if (lstat(listen->path, &status) != 0)
        check_folder_of(findings, place, listen->path);
    else if (!S_ISSOCK(status.st_mode))
        findings_add(findings, FINDING_PROBLEM, place,
                     "remove it, or choose another path", "%s is there, and no socket",
                     listen->path);
    else if (is_served(listen->path))
        findings_add(findings, FINDING_WARNING, place, in_use, "%s is in use",
                     listen->address);
    else
        findings_add(findings, FINDING_OK, place, NULL,
                     "%s is left over, and will be replaced", listen->address);
}

static void check_address(struct findings *findings, const struct place *place,
                          const struct config_listen *listen)
{
    if (listen->path != NULL)
        check_unix(findings, place, listen);
    else if (listen->port == 0)
        findings_add(findings, FINDING_OK, place, NULL, "%s: any free port",
                     listen->address);
    else
        check_ip(findings, place, listen);
}

void check_listeners(struct findings *findings, const struct snapshot *snapshot)
{
    const struct place root = {0};
    const struct place list = {.parent = &root, .key = "listen"};
    const struct place admin = {.parent = &root, .key = "admin"};
    const struct place endpoint = {.parent = &admin, .key = "address"};
    const struct place metrics = {.parent = &admin, .key = "metrics_address"};
    const struct config *config = snapshot->config;

    for (size_t i = 0; i < config->listen_count; i++) {
        const struct place element = {.parent = &list, .index = i};
        const struct place address = {.parent = &element, .key = "address"};

        check_address(findings, &address, &config->listen[i]);
    }
    if (config->admin.endpoint.address != NULL)
        check_address(findings, &endpoint, &config->admin.endpoint);
    if (config->admin.metrics.address != NULL)
        check_address(findings, &metrics, &config->admin.metrics);
}
