/*
 * What an exchange asks of the fleet's Redis: that its change is announced there before
 * it is sent and again before its answer is released, and a token where a rate is the
 * fleet's. Without a cluster nothing is asked and nobody waits.
 *
 * Each question belongs to the exchange, but lives until it is back: an exchange that
 * ends before leaves it alone, and a change's mark is taken away all the same.
 */
#ifndef PSGATE_GATEWAY_FLEET_H
#define PSGATE_GATEWAY_FLEET_H

#include <stdbool.h>
#include <stdint.h>

struct exchange;
struct announcement;
struct token_question;

/*
 * Announces the change that is about to be sent. True: exchange_on_announced follows;
 * false: nobody is to be told.
 */
bool fleet_announce(struct exchange *exchange);

/* The change is over, and what became of it is known or not: says so, once. */
void fleet_end_change(struct exchange *exchange, bool is_known);

/* Whether the answer must wait until that has been said. */
bool fleet_awaits_end(const struct exchange *exchange);

enum fleet_bucket { FLEET_CLIENT, FLEET_UPSTREAM };

/*
 * Asks for a token. True: exchange_on_token follows; false: the rates are this gateway's
 * own.
 */
bool fleet_ask_token(struct exchange *exchange, enum fleet_bucket which);

/* The exchange is over: what is under way comes back to nobody. */
void fleet_leave(struct exchange *exchange);

#endif
