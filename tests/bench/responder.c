/*
 * The bench's upstream, and its ceiling: answers each request that carries the right key
 * with the same 173 bytes of JSON, and anything else with 401, as fast as one core can.
 * Reads heads only to their end, and passes over the body of a POST with a
 * Content-Length; serves the bench, not the world. GET /count says how many requests have
 * come.
 *
 *   responder KEY    prints "listening on http://127.0.0.1:PORT"
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 4096, EVENTS = 64, BACKLOG = 1024 };

struct conn {
    int fd;
    size_t used;
    size_t to_skip; /* of a body that is still to come */
    char bytes[HEAD_MAX];
};

static const char body[] =
    "{\"user\":{\"id\":\"ubench0001\",\"email\":\"someone.or.other@example.com\","
    "\"firstName\":\"Someone\",\"lastName\":\"One\"},\"team\":{\"id\":\"tbench0001\","
    "\"name\":\"Bench Team\",\"namespace\":\"bench\"}}";
_Static_assert(sizeof(body) - 1 == 173, "the answer that the figures are for");

static char good[512], bad[256], credential[256];
static unsigned long long served;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void prepare(const char *key)
{
    (void)snprintf(credential, sizeof(credential), "\r\nAuthorization: Bearer %s\r\n",
                   key);
    (void)snprintf(good, sizeof(good),
                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   sizeof(body) - 1, body);
    (void)snprintf(bad, sizeof(bad),
                   "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
        listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    (void)printf("listening on http://127.0.0.1:%u\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    return fd;
}

static void accept_all(int epoll, int listener)
{
    const int on = 1;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *conn = calloc(1, sizeof(*conn));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};

        if (conn == NULL)
            die("calloc");
        conn->fd = fd;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            die("epoll_ctl");
    }
}

static void drop(struct conn *conn)
{
    (void)close(conn->fd);
    free(conn);
}

static const char *answer_to(const char *head, size_t len)
{
    static char count[128];

    served++;
    if (memmem(head, len, credential, strlen(credential)) != NULL)
        return good;
    if (strncmp(head, "GET /count ", 11) != 0)
        return bad;
    (void)snprintf(count, sizeof(count),
                   "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n%20llu", served);
    return count;
}

/* Of what is behind a head; only a POST has any here. */
static size_t body_len(const char *head, size_t len)
{
    static const char name[] = "\r\nContent-Length:";
    const char *field = *head == 'P' ? memmem(head, len, name, sizeof(name) - 1) : NULL;

    return field != NULL ? strtoul(field + sizeof(name) - 1, NULL, 10) : 0;
}

/* Passes over what is there of a body; the new start. */
static char *skip_body(struct conn *conn, char *start)
{
    size_t skipped = conn->to_skip < conn->used ? conn->to_skip : conn->used;

    conn->to_skip -= skipped;
    conn->used -= skipped;
    return start + skipped;
}

/* Answers the heads that are whole; false when the connection is of no more use. */
static bool answer_heads(struct conn *conn)
{
    char *start = skip_body(conn, conn->bytes), *end;

    while ((end = memmem(start, conn->used, "\r\n\r\n", 4)) != NULL) {
        size_t len = (size_t)(end - start) + 4;
        const char *answer = answer_to(start, len);

        if (send(conn->fd, answer, strlen(answer), MSG_NOSIGNAL) !=
            (ssize_t)strlen(answer))
            return false;
        conn->to_skip = body_len(start, len);
        conn->used -= len;
        start = skip_body(conn, start + len);
    }
    memmove(conn->bytes, start, conn->used);
    return conn->used < sizeof(conn->bytes);
}

static void serve(struct conn *conn)
{
    ssize_t got =
        recv(conn->fd, conn->bytes + conn->used, sizeof(conn->bytes) - conn->used, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0)
        conn->used += (size_t)got;
    if (got <= 0 || !answer_heads(conn))
        drop(conn);
}

static void on_stop(int number)
{
    (void)number;
    _exit(0);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    struct epoll_event accepting = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener;

    if (argc != 2 || epoll < 0) {
        (void)fprintf(stderr, "usage: responder KEY\n");
        return 64;
    }
    prepare(argv[1]);
    (void)signal(SIGTERM, on_stop);
    listener = listen_on_loopback();
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &accepting) != 0)
        die("epoll_ctl");
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(epoll, listener);
            else
                serve(events[i].data.ptr);
        }
    }
}
