/*
 * A client's connection: its bytes in, its bytes out, its time limits. It reads heads,
 * starts an exchange for each, one at a time (pipelined requests wait), and has one way
 * out: conn_close.
 */
#ifndef PSGATE_GATEWAY_CONN_H
#define PSGATE_GATEWAY_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "gateway/caller.h"
#include "gateway/station.h"
#include "net/deadline.h"
#include "net/stream.h"

enum conn_state {
    CONN_PREFACE,  /* a load balancer's PROXY header is arriving, before anything else */
    CONN_IDLE,     /* between requests, or before the first; no byte of the next yet */
    CONN_HEAD,     /* a head is arriving */
    CONN_EXCHANGE, /* a request is being answered; its body may still arrive */
    CONN_TUNNEL,   /* after 101: bytes both ways */
    CONN_LINGER,   /* answered and done; what still comes is thrown away until the end */
    CONN_CLOSED,
};

enum conn_close_reason {
    CONN_CLOSE_DONE,
    CONN_CLOSE_PREFACE,
    CONN_CLOSE_CLIENT_LEFT,
    CONN_CLOSE_IDLE,
    CONN_CLOSE_SLOW_CLIENT,
    CONN_CLOSE_ANSWER_CUT,
    CONN_CLOSE_DRAINED,
    CONN_CLOSE_NO_MEMORY,
};

struct conn {
    struct station *station;
    struct stream stream;
    enum conn_state state;
    struct exchange *exchange; /* non-NULL in HEAD, EXCHANGE and TUNNEL */

    /* What was received and not used yet; the present head stays until its exchange ends.
     */
    char *input;
    size_t input_bytes, input_start, input_end;
    size_t input_used;      /* how far it was ever filled: what is cleansed with it */
    size_t most_head_bytes; /* limits.header_bytes when the input was made */

    struct deadline deadline;
    uint64_t progress_before; /* bytes moved when the rate was last looked at */
    int64_t progress_since_ms;
    bool was_queued; /* which way was looked at then */
    bool wants_body; /* the exchange takes body bytes now */
    int64_t opened_ms;
    bool peer_has_ended; /* FIN came: what was asked is answered, then that is all */
    bool is_advancing;   /* conn_advance is on the stack */
    bool is_cut;         /* the answer must not look complete */
    struct caller caller;

    struct conn *next, **link; /* in the station's list */
    struct retired retired;
};

/*
 * Takes over an accepted descriptor, with the listener's TLS. A peer among the proxies
 * (borrowed for the call) begins with a PROXY header.
 */
void conn_accept(struct station *station, int fd, const struct sockaddr *peer,
                 struct trust *trust, const struct networks *proxies);

/* The one way out. May be called twice. */
void conn_close(struct conn *conn, enum conn_close_reason reason);

/* Sends to the client. False: the connection broke and was closed. */
bool conn_write(struct conn *conn, const struct iovec *vectors, int count);

/* Whether the client takes more; if not, exchange_on_client_drained comes later. */
bool conn_is_drained(const struct conn *conn);

/* For the exchange: whether it takes body bytes now. */
void conn_want_body(struct conn *conn, bool wants);

/* For the exchange: the client waits for 100 (Continue), so its body may take its time.
 */
void conn_await_continue(struct conn *conn);

/* For the exchange: its 101 went out; or it has ended, and whether the connection lives
 * on. */
void conn_begin_tunnel(struct conn *conn);
void conn_end_exchange(struct conn *conn, bool keep_alive);

/* For the exchange: there was traffic in the tunnel. */
void conn_note_tunnel_traffic(struct conn *conn);

/* For the exchange that outlives its client: takes the memory that its head lies in. */
char *conn_take_input(struct conn *conn);

/* For the drain: close if idle, soon. */
void conn_drain(struct conn *conn);

#endif
