/*
 * Flights: one fetch for all who want the same thing at the same time, over all workers.
 * Who finds none leads; who finds one of the present generation waits. When it lands,
 * everyone who waited is told, on their own thread, once.
 */
#ifndef PSGATE_CACHE_FLIGHTS_H
#define PSGATE_CACHE_FLIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "cache/entry.h"

struct flights;
struct flight;

enum flight_outcome {
    FLIGHT_ANSWERED, /* entry is the answer, stored or to be shared this once */
    FLIGHT_UNSHARED, /* there is an answer, but it is the leader's alone: ask yourself */
    FLIGHT_FAILED,   /* there is none: failure says why */
};

/* Someone who waits. tell is called once, on whatever thread the flight lands. */
struct flight_waiter {
    void (*tell)(struct flight_waiter *waiter);
    enum flight_outcome outcome;
    struct cache_entry *entry; /* ANSWERED: one reference, the waiter's */
    int failure; /* FAILED: the leader's reason, for the waiter to interpret */

    /* The flight's. */
    struct flight *flight;
    struct flight_waiter *next, **link;
};

struct flights *flights_new(void);
void flights_free(struct flights *flights);

/*
 * Joins the flight for key and generation, or becomes its leader: then the result is the
 * flight, which must land. NULL: the waiter waits. is_out_of_memory when neither.
 */
struct flight *flights_join(struct flights *flights, struct span key, uint64_t generation,
                            struct flight_waiter *waiter, bool *is_out_of_memory);

/* The flight is over; it is freed. entry may be NULL but for ANSWERED. */
void flights_land(struct flights *flights, struct flight *flight,
                  enum flight_outcome outcome, struct cache_entry *entry, int failure);

/* Waits no more. False: too late, tell was called or is about to be. */
bool flights_leave(struct flights *flights, struct flight_waiter *waiter);

#endif
