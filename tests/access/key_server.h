/*
 * A server of key sets, in a thread of its own on a free loopback port, which says the
 * same bytes to everybody until it is told others, or nothing at all.
 */
#ifndef PSGATE_TESTS_ACCESS_KEY_SERVER_H
#define PSGATE_TESTS_ACCESS_KEY_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/text.h"

struct key_server {
    char url[64]; /* of its keys */
    int listener, stop[2];
    pthread_t thread;
    pthread_mutex_t lock; /* over answer and is_silent */
    struct text answer;
    bool is_silent; /* takes requests, and keeps them waiting */
    _Atomic unsigned requests;
};

void key_server_start(struct key_server *server);
void key_server_stop(struct key_server *server);

/* The head of an answer with its Content-Length, and its body. */
void key_server_say(struct key_server *server, const char *status, struct span body);

void key_server_keep_silent(struct key_server *server);

/* Waits until that many requests have come since the start. */
void key_server_await(struct key_server *server, unsigned requests);

#endif
