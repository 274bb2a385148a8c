/*
 * The sandbox: a stand-in for api.paperspace.com, so that the gateway can be tried and
 * tested without an account. It answers the nine operations of the API's contract under
 * /v1 from memory, for one small team of made-up people, over plain HTTP.
 *
 * What it leaves out on purpose: values of secrets. They are accepted, cleansed and
 * forgotten. It is a server for tests: libevhtp serves it, on a thread and event base of
 * its own.
 */
#ifndef PSGATE_SANDBOX_SANDBOX_H
#define PSGATE_SANDBOX_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

struct sandbox_options {
    const char *host;            /* literal IPv4 or IPv6 address to listen on */
    uint16_t port;               /* 0: any free one */
    const struct span *api_keys; /* accepted keys, borrowed for the call only; */
    size_t api_key_count;        /* 0: any non-empty key is right */
    int64_t delay_ms;            /* each answer is held back this long */
    double fail_rate;            /* share (0..1) of requests answered 500 on purpose */
};

struct sandbox;

/*
 * Listens and serves until sandbox_stop. Once this returns, connections are accepted.
 * NULL with error set when an option is out of range, the address cannot be had, or
 * memory is out.
 */
struct sandbox *sandbox_start(const struct sandbox_options *options,
                              struct error *error) MUST_CHECK;

/* The port it listens on: the real one when 0 was asked for. */
uint16_t sandbox_port(const struct sandbox *sandbox);

/* Stops at once, cutting answers under way, and frees everything; NULL is fine. */
void sandbox_stop(struct sandbox *sandbox);

#endif
