/*
 * One connection to the sandbox: its bytes in, libevhtp's parser behind a gate, its
 * answers out, one at a time and each after the delay.
 *
 * The gate stands between the socket and libevhtp because of how libevhtp reads: it
 * garbles a target that comes in two parts, takes heads that mean two things, and loses
 * requests that come before the last one was answered. So it is given one whole, checked
 * head at a time, and of a body only the bytes that belong to it. Anything else closes
 * the connection.
 */
#ifndef PSGATE_SANDBOX_CLIENT_H
#define PSGATE_SANDBOX_CLIENT_H

#include <stdint.h>
#include <sys/queue.h>

#include <evhtp/evhtp.h>

#include "sandbox/keys.h"
#include "sandbox/state.h"

struct sandbox_client;

LIST_HEAD(sandbox_clients, sandbox_client);

/* What all connections share; they run on one thread. */
struct sandbox_service {
    struct sandbox_state *state;
    struct sandbox_keys keys;
    int64_t delay_ms;
    double fail_rate;
    struct sandbox_clients clients; /* all that are not freed yet */
    unsigned clients_seen;
};

/*
 * For evhtp_set_post_accept_cb, with the service as its argument: takes the connection
 * in, or refuses it when memory is out.
 */
evhtp_res sandbox_client_accept(evhtp_connection_t *conn, void *service);

/* Closes every connection. Each is freed in the loop's next turn, as it always is. */
void sandbox_client_close_all(struct sandbox_service *service);

#endif
