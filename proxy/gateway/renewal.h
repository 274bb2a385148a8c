/*
 * Going on with the next API key: when upstream refuses the one that serves, or at a
 * reload, the next is tried with GET /v1/auth/session and takes over if it answers with a
 * session of the same team. On the worker's thread; one try a worker and credential, for
 * all exchanges that wait for it.
 */
#ifndef PSGATE_GATEWAY_RENEWAL_H
#define PSGATE_GATEWAY_RENEWAL_H

#include <stdbool.h>

#include "base/span.h"

struct exchange;
struct station;

/*
 * Upstream has refused the key of the exchange. True: exchange_on_key follows, once, or
 * has come already. False: there is no other key to try, or it has failed just now.
 */
bool renewal_await(struct exchange *exchange);

/* The exchange has ended: it waits no more. */
void renewal_forget(struct exchange *exchange);

/*
 * Looks after every credential that has a next key: learns whose the first is, and tries
 * the next if that is refused or wants_next. For a new snapshot, on one worker.
 */
void renewal_look(struct station *station, bool wants_next);

/* Gives up what is under way: the worker stops. */
void renewal_stop(struct station *station);

/*
 * The team's id in a session's body, a NUL-terminated copy. False: it is no session of
 * any team (null, not JSON, without the id, or one too long).
 */
bool renewal_read_team(struct span session, char *team, size_t team_bytes);

#endif
