/*
 * An exchange: one request and its answer. Two halves with a state each; one function
 * moves each half, one function ends the exchange (DESIGN, "One request's way").
 *
 * It belongs to its client's connection, but may outlive it: a change that was sent whole
 * is never cancelled, its answer is read to the end.
 */
#ifndef PSGATE_GATEWAY_EXCHANGE_H
#define PSGATE_GATEWAY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "access/rates.h"
#include "base/span.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "gateway/admission.h"
#include "gateway/caching.h"
#include "gateway/conn.h"
#include "gateway/fleet.h"
#include "gateway/forward.h"
#include "gateway/recording.h"
#include "gateway/tripwire.h"
#include "upstream/call.h"

enum exchange_request {
    REQUEST_RECEIVING,  /* the head, its judgement, and a token where rates are shared */
    REQUEST_HOLDING,    /* the body is kept back until the intent is durable */
    REQUEST_INTENT,     /* and that is awaited */
    REQUEST_ANNOUNCING, /* the fleet is to know of the change first */
    REQUEST_CONNECTING, /* a verified connection is awaited */
    REQUEST_SENDING,    /* the body goes through */
    REQUEST_SENT,
};

enum exchange_response {
    RESPONSE_WAITING,
    RESPONSE_WITHHELD, /* it is here; its result is to be durable, or announced, first */
    RESPONSE_RELAYING,
    RESPONSE_DONE,
};

enum { EXCHANGE_VECTORS = 32, EXCHANGE_SIZE_LINES = 8, EXCHANGE_SIZE_LINE_BYTES = 20 };

enum exchange_token { TOKEN_NONE, TOKEN_TAKEN, TOKEN_REFUSED };

/* The answer while it is withheld. */
struct withheld {
    struct text body;
    bool has_reply; /* an answer of our own waits */
    enum reason reply;
    char reply_detail[160];
    bool has_ended, has_failed; /* upstream's answer, meanwhile */
    enum reason failure;
};

struct exchange {
    struct station *station;
    struct conn *conn; /* NULL once the client has left */
    struct snapshot *snapshot;
    struct exchange *next_spare;
    struct exchange *next_orphan, **orphan_link; /* in the station's list */

    enum exchange_request request_state;
    enum exchange_response response_state;
    struct http_head head; /* the client's request; lies in the connection's input */
    struct admission admission;
    char *kept_input; /* that memory, once the client has left */
    struct http_body body;
    struct text request_head; /* as forwarded */
    struct upstream_request request;
    struct upstream_call *call;
    bool is_mutating, is_upgrade, keep_alive, is_logged;
    char source[IP_TEXT_BYTES]; /* whom a trusted proxy forwards it for, or empty */
    bool is_background;         /* a fetch of the gateway's own, behind a stale answer */

    enum forward_body response_body;
    uint16_t status;
    const char *error; /* the Proxy-Status error of an answer of our own, or NULL */
    struct text response_head;
    struct text trailers; /* of the request, then of the answer, filtered */
    struct iovec vectors[EXCHANGE_VECTORS]; /* gathered for the next write */
    int vector_count;
    char size_lines[EXCHANGE_SIZE_LINES][EXCHANGE_SIZE_LINE_BYTES];
    int size_line_count;
    char record_id[AUDIT_ID_HEX + 1]; /* its records' event.id; empty: none was made */

    struct caching caching;
    struct change change;
    const struct credential *credential; /* whose key goes with the request */
    int key_slot;                        /* and which of its keys */
    bool has_other_key;                  /* it was sent again with the next one */
    struct renewal *renewal;             /* what it waits for, among these */
    struct exchange *next_waiter;
    struct recording *recording;           /* NULL: nothing of it is recorded */
    struct announcement *announcement;     /* to the fleet, or NULL */
    struct token_question *token_question; /* to the fleet, or NULL */
    struct withheld withheld;
    struct rate_slot slot;              /* among the client's requests at once */
    enum exchange_token upstream_token; /* of limits.upstream_rate */
    const struct tripwire *tripwire;    /* the snapshot's; NULL until there is a call */
    struct tripwire_scan scan;
    bool is_watched;    /* the body, until something of it is released */
    struct text packed; /* what was gathered and must not go yet, while it is watched */

    int64_t started_us, sent_us;
    struct stopwatch upstream_wait; /* for upstream's final head: asked by this exchange,
                                       or by the one whose fetch it waits for */
    struct stopwatch audit_wait;    /* for the intent and the result to be durable */
    uint64_t request_body_bytes, response_body_bytes;
};

/* Where the time went, in microseconds; 0: it did not wait for that. */
struct exchange_times {
    int64_t total, upstream, audit;
};

/* The times up to now, which is of clock_monotonic_us. */
struct exchange_times exchange_times(const struct exchange *exchange, int64_t now_us);

/* For a connection on which a request begins. NULL when memory is out. */
struct exchange *exchange_new(struct conn *conn);

/* The head is complete: judge and go on. May end the exchange before it returns. */
void exchange_begin(struct exchange *exchange);

/* The head is not sound HTTP, or came too slowly: answer and end. */
void exchange_refuse(struct exchange *exchange, enum reason reason, const char *detail);

/* Takes body bytes (in a tunnel: any) off *input. May end the exchange. */
void exchange_take_body(struct exchange *exchange, struct span *input);

/* Whether the whole request body was taken. */
bool exchange_has_body(const struct exchange *exchange);

/* The client's side: FIN came; it left for good; its queue has drained; its body is slow.
 */
void exchange_on_client_end(struct exchange *exchange);
void exchange_on_client_left(struct exchange *exchange);
void exchange_on_client_drained(struct exchange *exchange);
void exchange_on_body_timeout(struct exchange *exchange);

/* For recording.c: the intent came back; the result did; either is late. Each may end the
 * exchange before it returns. */
void exchange_on_intent(struct exchange *exchange, bool is_durable);
void exchange_on_result(struct exchange *exchange);
void exchange_on_record_timeout(struct exchange *exchange);

/* For fleet.c: the fleet knows of the change, or cannot be told; the same of its end; a
 * token was given, or there is none. Each may end the exchange before it returns. */
void exchange_on_announced(struct exchange *exchange, bool is_announced);
void exchange_on_end_announced(struct exchange *exchange, bool is_safe);
void exchange_on_token(struct exchange *exchange, enum fleet_bucket which,
                       bool is_admitted);

/* For renewal.c: the next key has taken over, or cannot. May end the exchange. */
void exchange_on_key(struct exchange *exchange, bool is_renewed);

/* For caching.c and fetch.c. Each may end the exchange before it returns. */

/* Sends the admitted request upstream. */
void exchange_call_upstream(struct exchange *exchange);

/* Answers with an error of the gateway's own. */
void exchange_answer_error(struct exchange *exchange, enum reason reason,
                           const char *detail);

/* Sends a whole answer and ends. is_made false: memory was out, the connection closes. */
void exchange_send_whole(struct exchange *exchange, const struct iovec *vectors,
                         int count, bool is_made);

/*
 * Begins to stream an answer that is also collected: its head (without the empty line)
 * and what came of its body. The rest follows by on_content, the end by
 * exchange_end_stream.
 */
void exchange_start_stream(struct exchange *exchange, struct span head, struct span body,
                           bool is_length_known, uint16_t status);
void exchange_end_stream(struct exchange *exchange);

/* Fetches for the cache without a client, at the head of the flight. */
void exchange_fetch_behind(struct exchange *source, struct flight *flight);

/* Ends an exchange whose client has left and for which nothing is under way any more. */
void exchange_end_orphan(struct exchange *exchange);

/* Ends an orphan at once, whatever it waits for: the worker stops. */
void exchange_give_up(struct exchange *exchange);

/* Gives the exchange's memory back without an answer: its connection is closing. */
void exchange_free(struct exchange *exchange);

/* Frees what the station kept for reuse. */
void exchange_free_spares(struct station *station);

#endif
