/*
 * The crew: the workers' threads, each with its station, and the letters that the main
 * thread sends them. All calls are made on the main thread.
 */
#ifndef PSGATE_GATEWAY_CREW_H
#define PSGATE_GATEWAY_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "gateway/listeners.h"
#include "gateway/snapshot.h"
#include "gateway/station.h"
#include "net/mailbox.h"

struct crew;

/*
 * Starts count workers over what they share. Letters back come to home; on_drained is
 * called from there when all have drained. NULL with error set; home and shared must
 * outlive it.
 */
struct crew *crew_new(struct stations *shared, struct mailbox *home, size_t count,
                      void (*on_drained)(void *arg), void *arg,
                      struct error *error) MUST_CHECK;

size_t crew_count(const struct crew *crew);

/*
 * Puts a snapshot and listeners in force everywhere. Waits: when it returns no worker
 * knows the old ones, so that they can be freed. False with error set: a worker does not
 * accept on every listener.
 */
bool crew_adopt(struct crew *crew, struct snapshot *snapshot,
                const struct listeners *listeners, struct error *error);

/* As pulse_feel: on_alive is called once every worker has answered. */
bool crew_ask(struct crew *crew, void (*on_alive)(void *arg), void *arg, size_t *silent);

/* Stops accepting; on_drained follows when the last connection is gone. */
void crew_drain(struct crew *crew);

/*
 * The end, in three steps, between which others may still tell the workers: ends the
 * threads and what they serve; opens their last letters and frees what they had; and,
 * once home is freed, the rest. NULL is fine.
 */
void crew_stop(struct crew *crew);
void crew_clear(struct crew *crew);
void crew_free(struct crew *crew);

#endif
