/*
 * A small blocking HTTP client for tests of servers on loopback. It sends exactly the
 * bytes it is given and asserts, with Check, that answers are well-formed. Nothing waits
 * longer than some seconds: a test that would hang fails.
 */
#ifndef PSGATE_TESTS_SANDBOX_HTTP_CLIENT_H
#define PSGATE_TESTS_SANDBOX_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct http_client {
    int fd;
    struct text in; /* received, not yet part of an answer that was taken */
};

struct http_answer {
    unsigned status;
    struct text head; /* status line and fields, with the empty line */
    struct text body;
};

/* A connection to 127.0.0.1, until closed; and closed with a reset instead of an end. */
void http_client_open(struct http_client *client, uint16_t port);
void http_client_close(struct http_client *client);
void http_client_reset(struct http_client *client);

void http_client_send(const struct http_client *client, const char *bytes, size_t len);
void http_client_send_text(const struct http_client *client, const char *text);

/*
 * Takes the next answer; one to HEAD has no body whatever its fields say. An answer is
 * all zero at first, may be used again, and is freed with http_answer_fini.
 */
void http_client_take(struct http_client *client, struct http_answer *answer);
void http_client_take_head(struct http_client *client, struct http_answer *answer);
void http_answer_fini(struct http_answer *answer);

/* Whether the server closes without another byte. */
bool http_client_ends(struct http_client *client);

/*
 * Sends a request with Host, "Authorization: Bearer KEY" when key is not NULL, and a body
 * of known length when body is not NULL; takes the answer and returns its status.
 */
unsigned http_client_ask(struct http_client *client, const char *method, const char *path,
                         const char *key, const char *body, struct http_answer *answer);

/* The value of a field, to be freed; NULL when it is not there. */
char *http_answer_field(const struct http_answer *answer, const char *name);

/* How many descriptors this process has open. */
unsigned open_descriptors(void);

#endif
