/* What the files of the exchange share; everybody else uses exchange.h. */
#ifndef PSGATE_GATEWAY_EXCHANGE_INTERNAL_H
#define PSGATE_GATEWAY_EXCHANGE_INTERNAL_H

#include "gateway/exchange.h"

/* exchange.c */

/* The one end of an exchange: logged, freed, and its connection told. */
void exchange_end(struct exchange *exchange);

/* Ends it where the answer cannot be finished: what the client has must not look
 * complete. */
void exchange_cut_short(struct exchange *exchange);

/* Answers with an error; the connection goes on if keep_alive says so. */
void exchange_reply_error(struct exchange *exchange, enum reason reason,
                          const char *detail);

/* What the answer's head says of the connection. */
enum forward_connection exchange_connection(const struct exchange *exchange);

/* Sends what was withheld, and goes on. */
void exchange_release_answer(struct exchange *exchange);

/* exchange_record.c */

/* Sends an admitted request upstream, recorded first if it is to be. */
void exchange_record_request(struct exchange *exchange);

/* The gateway itself lets a body come. False: the connection broke and was closed. */
bool exchange_answer_expectation(struct exchange *exchange);

/* Takes body bytes that are held back off *input. */
void exchange_hold_body(struct exchange *exchange, struct span *input);

/* The request is whole: its intent goes to the trail. */
void exchange_record_intent(struct exchange *exchange);

/* Whether an answer must wait: for its result to be durable, or to be announced. */
bool exchange_must_withhold(const struct exchange *exchange);

/* Keeps an answer of our own for as long as that. False: it may go now. */
bool exchange_withhold_reply(struct exchange *exchange, enum reason reason,
                             const char *detail);

/* Upstream is done with the request, but its answer waits: no more of the body is read.
 */
void exchange_stop_body(struct exchange *exchange);

/* No final head came from upstream: the result says so. */
void exchange_note_failure(struct exchange *exchange, enum reason reason);

/* The result for an exchange that ends without any. */
struct recording_end exchange_last_end(const struct exchange *exchange);

/* exchange_watch.c: true where the key was found; the exchange may then have ended. */

/* The answers to come are watched for the key of this credential. */
void exchange_watch(struct exchange *exchange);
bool exchange_watch_interim(struct exchange *exchange, const struct http_head *head);
bool exchange_watch_head(struct exchange *exchange, const struct http_head *head);
bool exchange_watch_content(struct exchange *exchange, struct span content);
bool exchange_watch_trailers(struct exchange *exchange, const struct http_head *trailers);

/*
 * Forgets all that was gathered of upstream's answer, of which nothing has gone out, and
 * gives the gateway's own instead. The exchange may then have ended.
 */
void exchange_stop_answer(struct exchange *exchange, enum reason reason);

/* exchange_request.c and exchange_response.c: what a call tells (upstream/call.h). */

void exchange_on_sending(void *owner);
void exchange_on_upstream_drained(void *owner);
void exchange_on_interim(void *owner, const struct http_head *head);
void exchange_on_head(void *owner, const struct http_head *head,
                      enum http_framing framing, uint64_t length);
void exchange_on_content(void *owner, struct span content);
void exchange_on_flush(void *owner);
void exchange_on_end(void *owner, const struct http_head *trailers);
void exchange_on_failed(void *owner, enum upstream_failure failure, const char *detail);

#endif
