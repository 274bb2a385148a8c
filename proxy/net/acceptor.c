/*
 * The hand-over from libevhtp: it accepts, we take its bufferevent in the post-accept
 * callback, keep the descriptor, and let it forget the connection.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/bufferevent.h>
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

/* Any return but EVHTP_RES_OK makes libevhtp drop its half, which is empty by then. */
static evhtp_res take_over(evhtp_connection_t *connection, void *arg)
{
    struct acceptor *acceptor = arg;
    struct bufferevent *bufferevent = evhtp_connection_take_ownership(connection);
    int fd = bufferevent_getfd(bufferevent);
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(peer);
    const int on = 1;

    (void)bufferevent_disable(bufferevent, EV_READ | EV_WRITE);
    (void)bufferevent_setfd(bufferevent, -1); /* so that freeing it leaves ours open */
    bufferevent_free(bufferevent);
    (void)getpeername(fd, (struct sockaddr *)&peer, &len);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (peer.ss_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    acceptor->on_accept(acceptor->arg, fd, (const struct sockaddr *)&peer);
    return EVHTP_RES_ERROR;
}

/*
 * Out of descriptors or memory: without a pause the loop would spin on the full queue.
 * The listener's argument is libevhtp's, and ours is in there.
 */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    const evhtp_t *evhtp = arg;
    struct acceptor *acceptor = evhtp->arg;

    (void)evconnlistener_disable(listener);
    (void)event_add(acceptor->retry, &retry_delay);
    log_warn("accepting pauses: %s (raise the limit of open files, LimitNOFILE)",
             error_errno_text(EVUTIL_SOCKET_ERROR()));
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *acceptor = arg;

    (void)fd;
    (void)what;
    if (!acceptor->is_paused)
        (void)evconnlistener_enable(acceptor->evhtp->server);
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
    evhtp_set_post_accept_cb(acceptor->evhtp, take_over, acceptor);
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
    (void)evconnlistener_enable(acceptor->evhtp->server);
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
