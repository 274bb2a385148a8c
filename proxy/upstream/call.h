/*
 * A call: one request to the upstream and its answer, on one leased connection. Whoever
 * calls hears of the answer piece by piece, and may be a client's exchange or anything
 * else that fetches.
 *
 * Only a request that may be repeated is sent again, once, and only when a connection
 * that had been idle died before any byte of an answer (RFC 9112 9.3.1).
 */
#ifndef PSGATE_UPSTREAM_CALL_H
#define PSGATE_UPSTREAM_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "http/body.h"
#include "upstream/failure.h"
#include "upstream/pool.h"

/* What is to be sent; borrowed by the call until it is over. */
struct upstream_request {
    struct span head_before; /* the head up to where the key goes */
    struct span api_key; /* in secret memory; written from there, never copied about */
    struct span head_after;
    bool is_head_method; /* its answer has no body */
    bool has_body;
    bool is_chunked;       /* the body: the call adds the coding */
    bool expects_continue; /* upstream's 100 is awaited before the body comes */
    bool may_repeat;       /* GET, HEAD and OPTIONS without a body */
    bool is_upgrade;       /* a WebSocket is asked for */
};

struct upstream_call;

/* Told from the event loop, or from within upstream_call_start. */
struct upstream_call_events {
    /* The connection is verified; a body may be sent from now on. Again after a repeat.
     */
    void (*on_sending)(void *owner);
    /* What was queued of the body has gone out. */
    void (*on_drained)(void *owner);
    /* A 1xx other than 101; head is valid during the call only. */
    void (*on_interim)(void *owner, const struct http_head *head);
    /* The final head, or a 101 that was asked for; head is valid during the call only. */
    void (*on_head)(void *owner, const struct http_head *head, enum http_framing framing,
                    uint64_t length);
    /* A run of the body (after 101: of the tunnel); valid until on_flush. */
    void (*on_content)(void *owner, struct span content);
    /* Everything that came with one read has been told, unless the call ended with it. */
    void (*on_flush)(void *owner);
    /* Complete; trailers is NULL when there were none. The call is over. */
    void (*on_end)(void *owner, const struct http_head *trailers);
    /* The call is over without a complete answer. */
    void (*on_failed)(void *owner, enum upstream_failure failure, const char *detail);
};

/* A call that has not begun, or NULL when memory is out. */
struct upstream_call *upstream_call_new(struct upstream_pool *pool,
                                        const struct upstream_request *request,
                                        const struct upstream_call_events *events,
                                        void *owner);

/* Begins. on_sending, and on_failed if it fails at once, may come before this returns. */
void upstream_call_start(struct upstream_call *call);

/*
 * Sends a run of the body, or of the tunnel after 101; copied if it has to wait. A small
 * one may wait for company when more follows at once, until upstream_call_push.
 */
void upstream_call_send(struct upstream_call *call, struct span content,
                        bool more_follows);
void upstream_call_push(struct upstream_call *call);

/*
 * The body is complete. trailer_lines are field lines, each with its CR LF, and sent only
 * with a chunked body. After 101: our side of the tunnel has ended.
 */
void upstream_call_finish(struct upstream_call *call, struct span trailer_lines);

/* Whether more of the body is welcome; if not, on_drained comes later. */
bool upstream_call_is_drained(const struct upstream_call *call);

/* Stops and goes on with reading the answer, for who cannot pass it on. */
void upstream_call_pause(struct upstream_call *call);
void upstream_call_resume(struct upstream_call *call);

/* Gives the call up: nothing more is told, the connection is closed. NULL is fine. */
void upstream_call_cancel(struct upstream_call *call);

/* Whether the whole request was handed to a verified connection: it may have its effect.
 */
bool upstream_call_is_sent(const struct upstream_call *call);

#endif
