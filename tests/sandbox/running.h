/*
 * A sandbox that runs for the length of a test, and a client connected to it. The
 * fixture's end asserts that no descriptor is left.
 */
#ifndef PSGATE_TESTS_SANDBOX_RUNNING_H
#define PSGATE_TESTS_SANDBOX_RUNNING_H

#include "http_client.h"
#include "sandbox/sandbox.h"

#define KEY "right-key"
#define TEAM "/v1/teams/sandbox"

struct running {
    struct sandbox *sandbox;
    struct http_client client;
    struct http_answer answer; /* the last one that ask or take got */
    unsigned descriptors;      /* open before all this */
};

/* The one of the present test. */
extern struct running running;

/* Starts it, on 127.0.0.1 and a free port whatever the options say; and ends it. */
void running_start(struct sandbox_options options);
void running_stop(void);

/* Asks with KEY, on the connection of running.client, and takes the answer. */
unsigned ask(const char *method, const char *path, const char *body);
unsigned take(void);

/* Asserts that a new connection is served: after every answer that was due before. */
void assert_still_serves(void);

/* Asserts that the last answer's body is, or has in it, a text. */
void assert_body(const char *wanted);
void assert_says(const char *text);

#endif
