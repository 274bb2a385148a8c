#include "audit/syslog_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/clock.h"

enum { CONNECT_MS = 10000, WRITE_MS = 30000 };

/* Trust */

static bool fail_tls(struct error *error, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return error_set(error, "%s: %s", what, reason != NULL ? reason : "TLS failed");
}

static bool load_trust(SSL_CTX *context, const char *ca_file, struct error *error)
{
    char what[300];

    if (ca_file == NULL)
        return SSL_CTX_set_default_verify_paths(context) == 1 ||
               fail_tls(error, "cannot load the system's certificate authorities");
    (void)snprintf(what, sizeof(what), "cannot load the certificate authorities in %s",
                   ca_file);
    return SSL_CTX_load_verify_file(context, ca_file) == 1 || fail_tls(error, what);
}

bool syslog_link_init(struct syslog_link *link, const struct config_syslog *server,
                      struct syslog_stop *stop, struct error *error)
{
    *link = (struct syslog_link){.server = server, .stop = stop, .fd = -1};
    if (server->transport != CONFIG_SYSLOG_TLS)
        return true;
    link->context = SSL_CTX_new(TLS_client_method());
    if (link->context == NULL ||
        SSL_CTX_set_min_proto_version(link->context, TLS1_2_VERSION) != 1)
        return fail_tls(error, "cannot make a TLS context");
    (void)SSL_CTX_set_options(link->context,
                              SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(link->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(link->context, SSL_VERIFY_PEER, NULL);
    return load_trust(link->context, server->ca_file, error);
}

void syslog_link_fini(struct syslog_link *link)
{
    syslog_link_close(link);
    SSL_CTX_free(link->context);
    link->context = NULL;
}

/* Waiting */

/* Until the socket is ready; false when the time is up or the owner stops. */
static bool wait_for(const struct syslog_link *link, short events, int64_t deadline_ms)
{
    for (;;) {
        int64_t stop_ms = atomic_load(&link->stop->at_ms);
        int64_t left_ms =
            (deadline_ms < stop_ms ? deadline_ms : stop_ms) - clock_monotonic_ms();
        struct pollfd fds[] = {{.fd = link->fd, .events = events},
                               {.fd = link->stop->fd, .events = POLLIN}};

        if (left_ms <= 0)
            return false;
        /* Once it is known that there is a stop its event says nothing more. */
        (void)poll(fds, stop_ms == INT64_MAX ? 2 : 1, (int)left_ms);
        if (fds[0].revents != 0)
            return true;
    }
}

/* Connecting */

static bool connect_to(struct syslog_link *link, const struct sockaddr *address,
                       socklen_t len, int type, struct error *error)
{
    int problem = 0;
    socklen_t problem_len = sizeof(problem);

    link->fd = socket(address->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return error_set_errno(error, errno, "cannot make a socket");
    if (connect(link->fd, address, len) == 0)
        return true;
    if (errno != EINPROGRESS)
        return error_set_errno(error, errno, "cannot connect");
    if (!wait_for(link, POLLOUT, clock_monotonic_ms() + CONNECT_MS))
        return error_set(error, "connecting took too long");
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &problem, &problem_len) != 0)
        problem = errno;
    return problem == 0 || error_set_errno(error, problem, "cannot connect");
}

/* A server that is gone without a word is noticed, idle or not. */
static void watch_the_peer(int fd)
{
    const int on = 1, idle_s = 60, unacknowledged_ms = WRITE_MS;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
                     sizeof(unacknowledged_ms));
}

/* Tries all addresses in turn; error is the last one's. */
static bool connect_network(struct syslog_link *link, struct error *error)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *answer = NULL;
    bool is_connected = false;
    char port[8];
    int code;

    (void)snprintf(port, sizeof(port), "%u", link->server->port);
    code = getaddrinfo(link->server->host, port, &hints, &answer);
    if (code != 0)
        return error_set(error, "cannot resolve the name: %s", gai_strerror(code));
    for (struct addrinfo *entry = answer; entry != NULL && !is_connected;
         entry = entry->ai_next) {
        syslog_link_close(link);
        is_connected =
            connect_to(link, entry->ai_addr, entry->ai_addrlen, SOCK_STREAM, error);
    }
    freeaddrinfo(answer);
    if (is_connected)
        watch_the_peer(link->fd);
    return is_connected;
}

static bool connect_local(struct syslog_link *link, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", link->server->path);
    return connect_to(link, (const struct sockaddr *)&address, sizeof(address),
                      SOCK_DGRAM, error);
}

static bool is_literal(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* RFC 5425 5.2: the name that was configured, not one that was resolved. */
static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (is_literal(host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    return host[0] != '\0' && SSL_set1_host(ssl, host) == 1 &&
           SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)host) == 1;
}

static bool describe_tls(const SSL *ssl, const char *what, struct error *error)
{
    long verdict = SSL_get_verify_result(ssl);

    if (verdict == X509_V_OK)
        return fail_tls(error, what);
    ERR_clear_error();
    return error_set(error, "the server's certificate is refused: %s",
                     X509_verify_cert_error_string(verdict));
}

/* What the socket must be ready for before the call that gave result is made again; or 0.
 */
static short wanted_events(SSL *ssl, int result)
{
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return POLLIN;
    case SSL_ERROR_WANT_WRITE:
        return POLLOUT;
    default:
        return 0;
    }
}

static bool shake_hands(struct syslog_link *link, struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + CONNECT_MS;

    link->ssl = SSL_new(link->context);
    if (link->ssl == NULL || !expect_host(link->ssl, link->server->host) ||
        SSL_set_fd(link->ssl, link->fd) != 1)
        return fail_tls(error, "cannot set up TLS");
    for (;;) {
        int result = SSL_connect(link->ssl);
        short events;

        if (result == 1)
            return true;
        events = wanted_events(link->ssl, result);
        if (events == 0)
            return describe_tls(link->ssl, "the TLS handshake failed", error);
        if (!wait_for(link, events, deadline_ms))
            return error_set(error, "the TLS handshake took too long");
    }
}

static bool connect_server(struct syslog_link *link, struct error *error)
{
    if (link->server->transport == CONFIG_SYSLOG_UNIX)
        return connect_local(link, error);
    return connect_network(link, error) &&
           (link->context == NULL || shake_hands(link, error));
}

bool syslog_link_open(struct syslog_link *link, struct error *error)
{
    if (connect_server(link, error))
        return true;
    syslog_link_close(link);
    return false;
}

void syslog_link_close(struct syslog_link *link)
{
    if (link->ssl != NULL && SSL_is_init_finished(link->ssl))
        (void)SSL_shutdown(link->ssl); /* RFC 5425 4.4: close_notify */
    ERR_clear_error();
    SSL_free(link->ssl);
    link->ssl = NULL;
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
}

/* Reading and writing */

/* How many bytes came; 0: none now, -1: the connection is over. */
static int read_some(struct syslog_link *link, char *bytes, int capacity,
                     struct error *error)
{
    ssize_t got;

    if (link->ssl != NULL) {
        int result = SSL_read(link->ssl, bytes, capacity);

        if (result > 0 || wanted_events(link->ssl, result) != 0)
            return result > 0 ? result : 0;
        ERR_clear_error();
        (void)error_set(error, "the server closed the connection");
        return -1;
    }
    got = recv(link->fd, bytes, (size_t)capacity, 0);
    if (got > 0)
        return (int)got;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got < 0)
        (void)error_set_errno(error, errno, "the connection is lost");
    else
        (void)error_set(error, "the server closed the connection");
    return -1;
}

bool syslog_link_is_alive(struct syslog_link *link, struct error *error)
{
    char dropped[512];
    int got;

    if (link->server->transport == CONFIG_SYSLOG_UNIX)
        return true; /* nothing comes from there, and a send tells at once */
    do
        got = read_some(link, dropped, sizeof(dropped), error);
    while (got > 0);
    return got == 0;
}

/* How many bytes went; 0: wait for *events first, -1: failed. */
static ssize_t write_some(struct syslog_link *link, struct span bytes, short *events,
                          struct error *error)
{
    ssize_t put;

    *events = POLLOUT;
    if (link->ssl != NULL) {
        int most = bytes.len < 16384 ? (int)bytes.len : 16384;
        int result = SSL_write(link->ssl, bytes.at, most);

        if (result > 0)
            return result;
        *events = wanted_events(link->ssl, result);
        if (*events != 0)
            return 0;
        (void)fail_tls(error, "cannot write");
        return -1;
    }
    put = send(link->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
    if (put >= 0)
        return put;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    (void)error_set_errno(error, errno, "cannot write");
    return -1;
}

static enum syslog_sent send_stream(struct syslog_link *link, struct span rest,
                                    struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + WRITE_MS;

    while (rest.len > 0) {
        short events;
        ssize_t put = write_some(link, rest, &events, error);

        if (put < 0)
            return SYSLOG_FAILED;
        if (put == 0 && !wait_for(link, events, deadline_ms)) {
            (void)error_set(error, "the server takes nothing more");
            return SYSLOG_FAILED;
        }
        if (put > 0)
            deadline_ms = clock_monotonic_ms() + WRITE_MS;
        rest.at += put;
        rest.len -= (size_t)put;
    }
    return SYSLOG_SENT;
}

static enum syslog_sent send_datagram(struct syslog_link *link, struct span message,
                                      struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + WRITE_MS;

    while (send(link->fd, message.at, message.len, MSG_NOSIGNAL) < 0) {
        if (errno == EMSGSIZE)
            return SYSLOG_TOO_LONG;
        if (errno != EAGAIN && errno != EINTR) {
            (void)error_set_errno(error, errno, "cannot write");
            return SYSLOG_FAILED;
        }
        if (!wait_for(link, POLLOUT, deadline_ms)) {
            (void)error_set(error, "the server takes nothing more");
            return SYSLOG_FAILED;
        }
    }
    return SYSLOG_SENT;
}

enum syslog_sent syslog_link_send(struct syslog_link *link, struct span message,
                                  struct error *error)
{
    if (link->server->transport == CONFIG_SYSLOG_UNIX)
        return send_datagram(link, message, error);
    return syslog_link_is_alive(link, error) ? send_stream(link, message, error)
                                             : SYSLOG_FAILED;
}
