/*
 * What of a request may reach libevhtp's parser, judged on its head as our own strict
 * parser has read it: GET, HEAD and the one POST, no line that is too long for libevhtp,
 * no body, a Host that is no stranger's name (DNS rebinding), no page of another origin
 * behind it. Pure.
 */
#ifndef PSGATE_ADMIN_GUARD_H
#define PSGATE_ADMIN_GUARD_H

#include <stdbool.h>

#include "http/head.h"

/* Who may be at the other end. */
enum admin_door {
    ADMIN_UNIX,     /* whoever may open the socket's file, and whom a tunnel lets to it */
    ADMIN_LOOPBACK, /* any process, and any page in a browser, of this machine */
    ADMIN_METRICS,  /* anybody: metrics alone */
};

/* All spans point into the head. */
struct admin_request {
    bool is_head, is_post;
    struct span path, query; /* query.at is NULL when there is none */
    struct span bearer;      /* the token shown; at is NULL: none */
    const struct http_head *head; /* for the conditions it sets */
};

struct admin_refusal {
    unsigned status;
    const char *message; /* what is wrong, and what to do next */
};

/* True: the request is sound, and read into *request. False: why not, in *refusal. */
bool admin_guard(const struct http_head *head, enum admin_door door,
                 struct admin_request *request, struct admin_refusal *refusal);

#endif
