#include "access/key_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/suite.h"

enum { MOST_WAITING = 64 };

static bool take_request(int fd)
{
    char bytes[4096];
    size_t len = 0;

    while (len < sizeof(bytes)) {
        ssize_t got = recv(fd, bytes + len, sizeof(bytes) - len, 0);

        if (got <= 0)
            return false;
        len += (size_t)got;
        if (memmem(bytes, len, "\r\n\r\n", 4) != NULL)
            return true;
    }
    return false;
}

/* Whether the connection is to be kept open, unanswered. */
static bool serve(struct key_server *server, int fd)
{
    struct span answer;
    bool is_silent;

    if (!take_request(fd))
        return false;
    (void)pthread_mutex_lock(&server->lock);
    is_silent = server->is_silent;
    answer = span_make(server->answer.bytes, server->answer.len);
    while (!is_silent && answer.len > 0) {
        ssize_t sent = send(fd, answer.at, answer.len, MSG_NOSIGNAL);

        if (sent <= 0)
            break;
        answer = span_make(answer.at + sent, answer.len - (size_t)sent);
    }
    (void)pthread_mutex_unlock(&server->lock);
    atomic_fetch_add(&server->requests, 1);
    return is_silent;
}

static void *run(void *argument)
{
    struct key_server *server = argument;
    struct pollfd polled[] = {{.fd = server->listener, .events = POLLIN},
                              {.fd = server->stop[0], .events = POLLIN}};
    int waiting[MOST_WAITING];
    size_t count = 0;

    while (poll(polled, 2, -1) > 0 && polled[1].revents == 0) {
        int fd = accept(server->listener, NULL, NULL);

        if (fd >= 0 && count < MOST_WAITING && serve(server, fd))
            waiting[count++] = fd;
        else if (fd >= 0)
            (void)close(fd);
    }
    while (count > 0)
        (void)close(waiting[--count]);
    return NULL;
}

void key_server_start(struct key_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    *server = (struct key_server){.listener = socket(AF_INET, SOCK_STREAM, 0)};
    ck_assert_int_ge(server->listener, 0);
    ck_assert_int_eq(bind(server->listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(server->listener, 64), 0);
    ck_assert_int_eq(getsockname(server->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u/keys",
                   ntohs(address.sin_port));
    ck_assert_int_eq(pipe(server->stop), 0);
    ck_assert_int_eq(pthread_mutex_init(&server->lock, NULL), 0);
    ck_assert_int_eq(pthread_create(&server->thread, NULL, run, server), 0);
}

void key_server_stop(struct key_server *server)
{
    ck_assert_int_eq(write(server->stop[1], "", 1), 1);
    ck_assert_int_eq(pthread_join(server->thread, NULL), 0);
    (void)close(server->stop[0]);
    (void)close(server->stop[1]);
    (void)close(server->listener);
    (void)pthread_mutex_destroy(&server->lock);
    text_fini(&server->answer);
}

void key_server_say(struct key_server *server, const char *status, struct span body)
{
    (void)pthread_mutex_lock(&server->lock);
    server->is_silent = false;
    text_clear(&server->answer);
    text_add_format(&server->answer, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", status,
                    body.len);
    text_add(&server->answer, body);
    (void)pthread_mutex_unlock(&server->lock);
}

void key_server_keep_silent(struct key_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    server->is_silent = true;
    (void)pthread_mutex_unlock(&server->lock);
}

void key_server_await(struct key_server *server, unsigned requests)
{
    for (unsigned i = 0; i < 20000 && atomic_load(&server->requests) < requests; i++)
        (void)usleep(1000);
    ck_assert_uint_ge(atomic_load(&server->requests), requests);
}
