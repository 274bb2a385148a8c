#include "admin/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/listener.h>

#include "base/log.h"

/* Nobody waits longer for a byte; client.c has shorter times for heads. */
static const struct timeval patience = {80, 0};

/* How long no connection is accepted after descriptors or memory ran out. */
static const struct timeval accept_pause = {0, 100000};

struct admin_server {
    struct admin_service service;
    struct event_base *base;
    evhtp_t *htp;
    struct event *resume_accept; /* goes off when accept_pause is over */
};

/* Out of descriptors or memory: libevent would try again at once, and for ever. */
static void on_accept_error(struct evconnlistener *listener, void *htp)
{
    int errnum = errno;
    struct admin_server *server = ((evhtp_t *)htp)->arg;

    log_warn("admin: cannot accept connections, pausing: %s", error_errno_text(errnum));
    (void)evconnlistener_disable(listener);
    (void)event_add(server->resume_accept, &accept_pause);
}

static void on_resume_accept(evutil_socket_t fd, short what, void *arg)
{
    struct admin_server *server = arg;

    (void)fd;
    (void)what;
    (void)evconnlistener_enable(server->htp->server);
}

static bool take_socket(struct admin_server *server, const struct listener *listener,
                        struct error *error)
{
    int fd = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return error_set_errno(error, errno, "cannot listen on %s", listener->address);
    if (evhtp_accept_socket(server->htp, fd, 0) != 0) {
        (void)close(fd);
        return error_set(error, "libevhtp does not take the socket of %s",
                         listener->address);
    }
    evconnlistener_set_error_cb(server->htp->server, on_accept_error);
    return true;
}

struct admin_server *admin_server_new(struct event_base *base,
                                      const struct listener *listener,
                                      const struct admin_service *model,
                                      struct error *error)
{
    struct admin_server *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    server->base = base;
    server->service = *model;
    LIST_INIT(&server->service.clients);
    server->resume_accept = evtimer_new(base, on_resume_accept, server);
    server->htp = evhtp_new(base, server);
    if (server->htp == NULL || server->resume_accept == NULL) {
        (void)error_set(error, "out of memory");
        admin_server_free(server);
        return NULL;
    }
    evhtp_set_timeouts(server->htp, &patience, &patience);
    evhtp_set_post_accept_cb(server->htp, admin_client_accept, &server->service);
    if (!take_socket(server, listener, error)) {
        admin_server_free(server);
        return NULL;
    }
    return server;
}

/*
 * What the ends of connections leave to do is done in turns of the loop: bufferevents
 * with a callback outstanding are never freed without one.
 */
void admin_server_free(struct admin_server *server)
{
    if (server == NULL)
        return;
    if (server->htp != NULL && server->htp->server != NULL)
        evhtp_unbind_socket(server->htp);
    admin_client_close_all(&server->service);
    while (server->service.count > 0)
        (void)event_base_loop(server->base, EVLOOP_NONBLOCK);
    if (server->resume_accept != NULL)
        event_free(server->resume_accept);
    if (server->htp != NULL)
        evhtp_free(server->htp);
    free(server);
}
