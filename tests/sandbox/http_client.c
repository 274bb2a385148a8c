#include "http_client.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <check.h>

#define PATIENCE_S 20

void http_client_open(struct http_client *client, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {PATIENCE_S, 0};
    int on = 1;

    *client = (struct http_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ck_assert_int_ge(client->fd, 0);
    ck_assert_int_eq(
        setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    ck_assert_int_eq(
        setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    ck_assert_int_eq(setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)),
                     0);
    ck_assert_int_eq(
        connect(client->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
}

void http_client_close(struct http_client *client)
{
    (void)close(client->fd);
    text_fini(&client->in);
    client->fd = -1;
}

void http_client_reset(struct http_client *client)
{
    struct linger none = {1, 0};

    (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    http_client_close(client);
}

/* The server may close while we send: what matters is then what it answered. */
void http_client_send(const struct http_client *client, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(client->fd, bytes, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        bytes += sent;
        len -= (size_t)sent;
    }
}

void http_client_send_text(const struct http_client *client, const char *text)
{
    http_client_send(client, text, strlen(text));
}

/* Receives more; false at the end. */
static bool receive(struct http_client *client)
{
    char bytes[16384];
    ssize_t got = recv(client->fd, bytes, sizeof(bytes), 0);

    if (got <= 0)
        return false;
    text_add(&client->in, span_make(bytes, (size_t)got));
    return true;
}

/* Moves the first len bytes that came in to a text. */
static void move(struct http_client *client, size_t len, struct text *to)
{
    while (client->in.len < len)
        ck_assert_msg(receive(client), "the answer is cut short");
    text_clear(to);
    text_add(to, span_make(client->in.bytes, len));
    memmove(client->in.bytes, client->in.bytes + len, client->in.len - len + 1);
    client->in.len -= len;
}

void http_client_take_head(struct http_client *client, struct http_answer *answer)
{
    const char *end;

    while (client->in.bytes == NULL ||
           (end = memmem(client->in.bytes, client->in.len, "\r\n\r\n", 4)) == NULL)
        ck_assert_msg(receive(client), "the connection ends without an answer");
    move(client, (size_t)(end - client->in.bytes) + 4, &answer->head);
    text_clear(&answer->body);
    ck_assert_int_eq(strncmp(answer->head.bytes, "HTTP/1.", 7), 0);
    answer->status = (unsigned)strtoul(answer->head.bytes + 9, NULL, 10);
}

void http_client_take(struct http_client *client, struct http_answer *answer)
{
    char *length;

    http_client_take_head(client, answer);
    length = http_answer_field(answer, "Content-Length");
    if (answer->status < 200 || answer->status == 204 || answer->status == 304)
        ck_assert_ptr_null(length); /* RFC 9110 8.6 */
    else
        ck_assert_ptr_nonnull(length);
    if (length != NULL)
        move(client, strtoul(length, NULL, 10), &answer->body);
    free(length);
}

void http_answer_fini(struct http_answer *answer)
{
    text_fini(&answer->head);
    text_fini(&answer->body);
    answer->status = 0;
}

bool http_client_ends(struct http_client *client)
{
    return client->in.len == 0 && !receive(client);
}

unsigned http_client_ask(struct http_client *client, const char *method, const char *path,
                         const char *key, const char *body, struct http_answer *answer)
{
    struct text request = {0};

    text_add_format(&request, "%s %s HTTP/1.1\r\nHost: sandbox\r\n", method, path);
    if (key != NULL)
        text_add_format(&request, "Authorization: Bearer %s\r\n", key);
    if (body != NULL)
        text_add_format(&request, "Content-Length: %zu\r\n", strlen(body));
    text_add_format(&request, "\r\n%s", body != NULL ? body : "");
    http_client_send(client, request.bytes, request.len);
    text_fini(&request);
    if (strcmp(method, "HEAD") == 0)
        http_client_take_head(client, answer);
    else
        http_client_take(client, answer);
    return answer->status;
}

char *http_answer_field(const struct http_answer *answer, const char *name)
{
    size_t len = strlen(name);
    const char *line = answer->head.bytes;

    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return strndup(line + len + 2, strcspn(line + len + 2, "\r"));
    }
    return NULL;
}

unsigned open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    ck_assert_ptr_nonnull(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}
