/*
 * The hand-over from libevhtp: its listener accepts and calls us. Not libevhtp first:
 * what it allocates for each connection we would throw away, and it loses the descriptor,
 * and with it a client, when memory is out for that.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/listener.h>
#include <evhtp/evhtp.h>

#include "base/log.h"
#include "net/listener.h"

struct acceptor {
    struct worker *worker;
    evhtp_t *evhtp;
    struct event *retry; /* accepts again after descriptors ran out */
    acceptor_callback *on_accept;
    void *arg;
    bool is_paused;
};

static const struct timeval retry_delay = {.tv_usec = 100000};

static void take_over(struct evconnlistener *listener, evutil_socket_t fd,
                      struct sockaddr *peer, int len, void *arg)
{
    struct acceptor *acceptor = arg;
    const int on = 1;

    (void)listener;
    (void)len;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (peer->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    acceptor->on_accept(acceptor->arg, fd, peer);
}

/* Memory may be out for that too. */
static void enable(struct acceptor *acceptor)
{
    if (evconnlistener_enable(acceptor->evhtp->server) != 0 &&
        event_add(acceptor->retry, &retry_delay) != 0)
        log_error("accepting ends on one of the workers: out of memory");
}

/* Out of descriptors or memory: without a pause the loop would spin on the full queue. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct acceptor *acceptor = arg;

    if (event_add(acceptor->retry, &retry_delay) != 0)
        return; /* to pause without that would be for ever */
    (void)evconnlistener_disable(listener);
    log_warn("accepting pauses: %s (raise the limit of open files, LimitNOFILE)",
             error_errno_text(EVUTIL_SOCKET_ERROR()));
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *acceptor = arg;

    (void)fd;
    (void)what;
    if (!acceptor->is_paused)
        enable(acceptor);
}

static void free_acceptor(struct acceptor *acceptor)
{
    if (acceptor->retry != NULL)
        event_free(acceptor->retry);
    if (acceptor->evhtp != NULL) {
        if (acceptor->evhtp->server != NULL)
            evhtp_unbind_socket(acceptor->evhtp);
        evhtp_free(acceptor->evhtp);
    }
    free(acceptor);
}

static bool bind_acceptor(struct acceptor *acceptor, const struct listener *listener)
{
    int fd = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);

    acceptor->evhtp = evhtp_new(acceptor->worker->base, acceptor);
    acceptor->retry = evtimer_new(acceptor->worker->base, on_retry, acceptor);
    if (fd < 0 || acceptor->evhtp == NULL || acceptor->retry == NULL ||
        evhtp_accept_socket(acceptor->evhtp, fd, 0) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    evconnlistener_set_cb(acceptor->evhtp->server, take_over, acceptor);
    evconnlistener_set_error_cb(acceptor->evhtp->server, on_accept_error);
    return true;
}

struct acceptor *acceptor_new(struct worker *worker, const struct listener *listener,
                              acceptor_callback *on_accept, void *arg,
                              struct error *error)
{
    struct acceptor *acceptor = calloc(1, sizeof(*acceptor));

    if (acceptor != NULL) {
        acceptor->worker = worker;
        acceptor->on_accept = on_accept;
        acceptor->arg = arg;
        if (bind_acceptor(acceptor, listener))
            return acceptor;
        free_acceptor(acceptor);
    }
    (void)error_set(error, "cannot accept on %s", listener->address);
    return NULL;
}

void acceptor_pause(struct acceptor *acceptor)
{
    acceptor->is_paused = true;
    (void)evconnlistener_disable(acceptor->evhtp->server);
}

void acceptor_resume(struct acceptor *acceptor)
{
    if (!acceptor->is_paused)
        return;
    acceptor->is_paused = false;
    enable(acceptor);
}

void acceptor_close(struct acceptor *acceptor)
{
    int fd, accepted = 0;

    if (acceptor == NULL)
        return;
    fd = evconnlistener_get_fd(acceptor->evhtp->server);
    (void)evconnlistener_disable(acceptor->evhtp->server);
    while (accepted >= 0) {
        struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof(peer);

        accepted =
            accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0)
            acceptor->on_accept(acceptor->arg, accepted, (const struct sockaddr *)&peer);
    }
    free_acceptor(acceptor);
}
