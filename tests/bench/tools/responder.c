/*
 * The bench's upstream, and its ceiling: answers each request that carries the right key
 * with the same 173 bytes of JSON (GET /v1/big: 1 MiB), and anything else with 401, as
 * fast as one core can. Reads heads only to their end, and passes over the body of a POST
 * with a Content-Length; serves the bench, not the world. GET /count says how many
 * requests have come.
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

enum { HEAD_MAX = 8192, EVENTS = 64, BACKLOG = 1024, BIG_BYTES = 1 << 20 };

struct answer {
    const char *at;
    size_t len;
};

struct conn {
    int fd;
    size_t used;
    size_t to_skip;     /* of a body that is still to come */
    struct answer next; /* to a body, when it is all there */
    struct answer rest; /* what the socket did not take */
    char bytes[HEAD_MAX];
};

static const char body[] =
    "{\"user\":{\"id\":\"ubench0001\",\"email\":\"someone.or.other@example.com\","
    "\"firstName\":\"Someone\",\"lastName\":\"One\"},\"team\":{\"id\":\"tbench0001\","
    "\"name\":\"Bench Team\",\"namespace\":\"bench\"}}";
_Static_assert(sizeof(body) - 1 == 173, "the answer that the figures are for");

static char good[512], bad[256], big[BIG_BYTES + 512], credential[256];
static struct answer good_answer, bad_answer, big_answer;
static char scrap[256 * 1024]; /* bodies end here */
static unsigned long long served;
static int epoll;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* An answer in a buffer with room for it; a body of more than is given is filled up. */
static struct answer make_answer(char *buffer, size_t room, const char *status,
                                 const char *content, size_t len)
{
    int head = snprintf(buffer, room,
                        "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                        "ETag: \"bench\"\r\nContent-Length: %zu\r\n\r\n%s",
                        status, len, content);

    return (struct answer){buffer, (size_t)head - strlen(content) + len};
}

static void prepare(const char *key)
{
    (void)snprintf(credential, sizeof(credential), "\r\nAuthorization: Bearer %s\r\n",
                   key);
    memset(big, 'x', sizeof(big));
    good_answer = make_answer(good, sizeof(good), "200 OK", body, sizeof(body) - 1);
    bad_answer = make_answer(bad, sizeof(bad), "401 Unauthorized", "", 0);
    big_answer = make_answer(big, sizeof(big), "200 OK", "", BIG_BYTES);
    big[strlen(big)] = 'x';
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

static void accept_all(int listener)
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

static struct answer answer_to(const char *head, size_t len)
{
    static char count[128];

    served++;
    if (memmem(head, len, credential, strlen(credential)) != NULL)
        return strncmp(head, "GET /v1/big ", 12) == 0 ? big_answer : good_answer;
    if (strncmp(head, "GET /count ", 11) != 0)
        return bad_answer;
    (void)snprintf(count, sizeof(count),
                   "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n%20llu", served);
    return (struct answer){count, strlen(count)};
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

static void watch(struct conn *conn, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};

    if (epoll_ctl(epoll, EPOLL_CTL_MOD, conn->fd, &event) != 0)
        die("epoll_ctl");
}

/* What the socket does not take waits, and the next request with it. */
static bool send_answer(struct conn *conn, struct answer answer)
{
    ssize_t sent = send(conn->fd, answer.at, answer.len, MSG_NOSIGNAL);
    bool waited = conn->rest.len > 0;

    if (sent < 0 && errno != EAGAIN)
        return false;
    sent = sent < 0 ? 0 : sent;
    conn->rest = (struct answer){answer.at + sent, answer.len - (size_t)sent};
    if (waited != (conn->rest.len > 0))
        watch(conn, waited ? EPOLLIN : EPOLLOUT);
    return true;
}

/* Answers what has come whole; false when the connection is of no more use. */
static bool answer_all(struct conn *conn)
{
    char *start = skip_body(conn, conn->bytes), *end;

    while (conn->rest.len == 0 && conn->to_skip == 0) {
        if (conn->next.len > 0) {
            if (!send_answer(conn, conn->next))
                return false;
            conn->next.len = 0;
            continue;
        }
        end = memmem(start, conn->used, "\r\n\r\n", 4);
        if (end == NULL)
            break;
        end += 4;
        conn->next = answer_to(start, (size_t)(end - start));
        conn->to_skip = body_len(start, (size_t)(end - start));
        conn->used -= (size_t)(end - start);
        start = skip_body(conn, end);
    }
    memmove(conn->bytes, start, conn->used);
    return conn->used < sizeof(conn->bytes);
}

/* False: the connection has ended. */
static bool read_more(struct conn *conn)
{
    bool is_body = conn->to_skip > sizeof(conn->bytes);
    size_t room = sizeof(conn->bytes) - conn->used;
    ssize_t got;

    if (is_body)
        room = conn->to_skip < sizeof(scrap) ? conn->to_skip : sizeof(scrap);
    got = recv(conn->fd, is_body ? scrap : conn->bytes + conn->used, room, 0);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    if (is_body)
        conn->to_skip -= (size_t)got;
    else
        conn->used += (size_t)got;
    return true;
}

static void serve(struct conn *conn, uint32_t events)
{
    bool is_sound =
        (events & EPOLLOUT) == 0 ? read_more(conn) : send_answer(conn, conn->rest);

    if (!is_sound || !answer_all(conn))
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
    int listener;

    epoll = epoll_create1(EPOLL_CLOEXEC);
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
                accept_all(listener);
            else
                serve(events[i].data.ptr, events[i].events);
        }
    }
}
