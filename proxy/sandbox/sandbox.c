#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>
#include <evhtp/evhtp.h>

#include "base/log.h"
#include "sandbox/client.h"

/* Nobody needs more of a stand-in; libevhtp closes the connection beyond. */
#define BODY_BYTES_MAX ((uint64_t)64 * 1024 * 1024)

static const struct timeval read_timeout = {75, 0};
static const struct timeval write_timeout = {30, 0};

/* How long no connection is accepted after descriptors or memory ran out. */
static const struct timeval accept_pause = {0, 100000};

struct sandbox {
    struct sandbox_service service;
    struct event_base *base; /* the thread's, once it runs */
    evhtp_t *htp;
    struct event *stop;          /* goes off when stop_fd is written to */
    struct event *resume_accept; /* goes off when accept_pause is over */
    int stop_fd;
    int listen_fd; /* until libevhtp owns it, then -1 */
    uint16_t port;
    pthread_t thread;
    bool has_thread;
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool check_options(const struct sandbox_options *options, struct error *error)
{
    if (options->delay_ms < 0)
        return error_set(error, "the sandbox's delay cannot be negative");
    if (!(options->fail_rate >= 0 && options->fail_rate <= 1))
        return error_set(error, "the sandbox's fail rate must be between 0 and 1");
    return true;
}

static bool parse_address(const struct sandbox_options *options, union address *address,
                          socklen_t *len, struct error *error)
{
    *address = (union address){0};
    if (inet_pton(AF_INET, options->host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(options->port);
        *len = sizeof(address->v4);
        return true;
    }
    if (inet_pton(AF_INET6, options->host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(options->port);
        *len = sizeof(address->v6);
        return true;
    }
    return error_set(error,
                     "%s is not an IPv4 or IPv6 address (give one such as 127.0.0.1)",
                     options->host);
}

static bool set_option(int fd, int level, int name, struct error *error)
{
    int on = 1;

    if (setsockopt(fd, level, name, &on, sizeof(on)) != 0)
        return error_set_errno(error, errno, "cannot set up a listening socket");
    return true;
}

static bool bind_and_listen(struct sandbox *sandbox,
                            const struct sandbox_options *options,
                            const union address *address, socklen_t len,
                            struct error *error)
{
    int fd = sandbox->listen_fd;

    if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, error) ||
        !set_option(fd, IPPROTO_TCP, TCP_NODELAY, error) || /* accepted ones inherit it */
        (address->any.sa_family == AF_INET6 &&
         !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, error)))
        return false;
    if (bind(fd, &address->any, len) != 0 || listen(fd, SOMAXCONN) != 0)
        return error_set_errno(error, errno, "cannot listen on %s port %u", options->host,
                               (unsigned)options->port);
    return true;
}

/* Not evhtp_bind_socket: it checks no address, and takes a bad one for "any". */
static bool open_listener(struct sandbox *sandbox, const struct sandbox_options *options,
                          struct error *error)
{
    union address address;
    socklen_t len = 0;

    if (!parse_address(options, &address, &len, error))
        return false;
    sandbox->listen_fd =
        socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sandbox->listen_fd < 0)
        return error_set_errno(error, errno, "cannot make a socket");
    if (!bind_and_listen(sandbox, options, &address, len, error))
        return false;
    if (getsockname(sandbox->listen_fd, &address.any, &len) != 0)
        return error_set_errno(error, errno, "cannot read the port of a socket");
    sandbox->port = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port
                                                            : address.v4.sin_port);
    return true;
}

/* Out of descriptors or memory: libevent would try again at once, and for ever. */
static void on_accept_error(struct evconnlistener *listener, void *htp)
{
    int errnum = errno;
    struct sandbox *sandbox = ((evhtp_t *)htp)->arg;

    log_warn("sandbox: cannot accept connections, pausing: %s", error_errno_text(errnum));
    (void)evconnlistener_disable(listener);
    (void)event_add(sandbox->resume_accept, &accept_pause);
}

static void on_resume_accept(evutil_socket_t fd, short what, void *arg)
{
    struct sandbox *sandbox = arg;

    (void)fd;
    (void)what;
    (void)evconnlistener_enable(sandbox->htp->server);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct sandbox *sandbox = arg;

    (void)fd;
    (void)what;
    (void)event_base_loopbreak(sandbox->base);
}

static bool make_loop(struct sandbox *sandbox, struct error *error)
{
    sandbox->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (sandbox->stop_fd < 0)
        return error_set_errno(error, errno, "cannot make an eventfd");
    sandbox->base = event_base_new();
    if (sandbox->base == NULL)
        return error_set(error, "cannot make an event base");
    sandbox->stop = event_new(sandbox->base, sandbox->stop_fd, EV_READ, on_stop, sandbox);
    sandbox->resume_accept = evtimer_new(sandbox->base, on_resume_accept, sandbox);
    if (sandbox->stop == NULL || sandbox->resume_accept == NULL ||
        event_add(sandbox->stop, NULL) != 0)
        return error_set(error, "cannot make an event");
    return true;
}

static bool make_server(struct sandbox *sandbox, struct error *error)
{
    sandbox->htp = evhtp_new(sandbox->base, sandbox);
    if (sandbox->htp == NULL)
        return error_set(error, "out of memory");
    evhtp_set_timeouts(sandbox->htp, &read_timeout, &write_timeout);
    evhtp_set_max_body_size(sandbox->htp, BODY_BYTES_MAX);
    evhtp_set_post_accept_cb(sandbox->htp, sandbox_client_accept, &sandbox->service);
    if (evhtp_accept_socket(sandbox->htp, sandbox->listen_fd, 0) != 0)
        return error_set(error, "libevhtp does not take a listening socket");
    sandbox->listen_fd = -1;
    evconnlistener_set_error_cb(sandbox->htp->server, on_accept_error);
    return true;
}

static void *serve(void *arg)
{
    struct sandbox *sandbox = arg;

    (void)event_base_dispatch(sandbox->base);
    return NULL;
}

/* The thread takes no signals: they are the program's, and SIGPIPE is nobody's. */
static bool start_thread(struct sandbox *sandbox, struct error *error)
{
    sigset_t all, before;
    int errnum;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    errnum = pthread_create(&sandbox->thread, NULL, serve, sandbox);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum != 0)
        return error_set_errno(error, errnum, "cannot start a thread");
    sandbox->has_thread = true;
    return true;
}

static bool make_service(struct sandbox *sandbox, const struct sandbox_options *options,
                         struct error *error)
{
    struct sandbox_service *service = &sandbox->service;

    LIST_INIT(&service->clients);
    service->delay_ms = options->delay_ms;
    service->fail_rate = options->fail_rate;
    service->state = sandbox_state_new();
    if (service->state == NULL ||
        !sandbox_keys_init(&service->keys, options->api_keys, options->api_key_count))
        return error_set(error, "out of memory");
    return true;
}

struct sandbox *sandbox_start(const struct sandbox_options *options, struct error *error)
{
    struct sandbox *sandbox;

    if (!check_options(options, error))
        return NULL;
    sandbox = calloc(1, sizeof(*sandbox));
    if (sandbox == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    sandbox->stop_fd = -1;
    sandbox->listen_fd = -1;
    if (!make_service(sandbox, options, error) ||
        !open_listener(sandbox, options, error) || !make_loop(sandbox, error) ||
        !make_server(sandbox, error) || !start_thread(sandbox, error)) {
        sandbox_stop(sandbox);
        return NULL;
    }
    return sandbox;
}

uint16_t sandbox_port(const struct sandbox *sandbox)
{
    return sandbox->port;
}

static void join_thread(struct sandbox *sandbox)
{
    const uint64_t one = 1;

    if (!sandbox->has_thread)
        return;
    (void)!write(sandbox->stop_fd, &one, sizeof(one));
    (void)pthread_join(sandbox->thread, NULL);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

/*
 * Ends the connections. What their ends leave to do is done in turns of the loop:
 * bufferevents with a callback outstanding are never freed without one, not even by
 * event_base_free.
 */
static void close_server(struct sandbox *sandbox)
{
    if (sandbox->htp == NULL)
        return;
    evhtp_unbind_socket(sandbox->htp);
    (void)event_del(sandbox->resume_accept);
    sandbox_client_close_all(&sandbox->service);
    (void)event_base_loop(sandbox->base, EVLOOP_NONBLOCK);
    evhtp_free(sandbox->htp);
}

void sandbox_stop(struct sandbox *sandbox)
{
    if (sandbox == NULL)
        return;
    join_thread(sandbox);
    close_server(sandbox);
    if (sandbox->resume_accept != NULL)
        event_free(sandbox->resume_accept);
    if (sandbox->stop != NULL)
        event_free(sandbox->stop);
    if (sandbox->base != NULL)
        event_base_free(sandbox->base);
    close_fd(sandbox->stop_fd);
    close_fd(sandbox->listen_fd);
    sandbox_keys_fini(&sandbox->service.keys);
    sandbox_state_free(sandbox->service.state);
    free(sandbox);
}
