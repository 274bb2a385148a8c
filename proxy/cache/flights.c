#include "cache/flights.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKETS = 256 };

struct flight {
    struct flight *next;
    uint64_t hash, generation;
    struct flight_waiter *waiters, **last;
    size_t key_len;
    char key[];
};

struct flights {
    pthread_mutex_t lock;
    struct flight *buckets[BUCKETS];
};

struct flights *flights_new(void)
{
    struct flights *flights = calloc(1, sizeof(*flights));

    if (flights != NULL)
        (void)pthread_mutex_init(&flights->lock, NULL);
    return flights;
}

void flights_free(struct flights *flights)
{
    if (flights == NULL)
        return;
    (void)pthread_mutex_destroy(&flights->lock);
    free(flights);
}

/* FNV-1a; a flight is short-lived and there are few, so collisions cost nothing. */
static uint64_t hash_of(struct span key)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (unsigned char)key.at[i]) * 0x100000001b3u;
    return hash;
}

static struct flight *new_flight(struct span key, uint64_t hash, uint64_t generation)
{
    struct flight *flight = malloc(sizeof(*flight) + key.len);

    if (flight == NULL)
        return NULL;
    *flight = (struct flight){.hash = hash, .generation = generation, .key_len = key.len};
    flight->last = &flight->waiters;
    memcpy(flight->key, key.at, key.len);
    return flight;
}

static void wait_for(struct flight *flight, struct flight_waiter *waiter)
{
    waiter->flight = flight;
    waiter->next = NULL;
    waiter->link = flight->last;
    *flight->last = waiter;
    flight->last = &waiter->next;
}

struct flight *flights_join(struct flights *flights, struct span key, uint64_t generation,
                            struct flight_waiter *waiter, bool *is_out_of_memory)
{
    uint64_t hash = hash_of(key);
    struct flight **bucket = &flights->buckets[hash % BUCKETS];
    struct flight *flight;

    *is_out_of_memory = false;
    (void)pthread_mutex_lock(&flights->lock);
    for (flight = *bucket; flight != NULL; flight = flight->next) {
        if (flight->hash == hash && flight->generation == generation &&
            span_equal(span_make(flight->key, flight->key_len), key))
            break;
    }
    if (flight != NULL) {
        wait_for(flight, waiter);
        flight = NULL;
    } else {
        flight = new_flight(key, hash, generation);
        *is_out_of_memory = flight == NULL;
        if (flight != NULL) {
            flight->next = *bucket;
            *bucket = flight;
        }
    }
    (void)pthread_mutex_unlock(&flights->lock);
    return flight;
}

static void tell_all(struct flight_waiter *waiter, enum flight_outcome outcome,
                     struct cache_entry *entry, int failure)
{
    while (waiter != NULL) {
        struct flight_waiter *next = waiter->next;

        waiter->outcome = outcome;
        waiter->failure = failure;
        waiter->entry = outcome == FLIGHT_ANSWERED ? cache_entry_ref(entry) : NULL;
        waiter->tell(waiter);
        waiter = next;
    }
}

void flights_land(struct flights *flights, struct flight *flight,
                  enum flight_outcome outcome, struct cache_entry *entry, int failure)
{
    struct flight **link = &flights->buckets[flight->hash % BUCKETS];

    (void)pthread_mutex_lock(&flights->lock);
    while (*link != flight)
        link = &(*link)->next;
    *link = flight->next;
    for (struct flight_waiter *waiter = flight->waiters; waiter != NULL;
         waiter = waiter->next)
        waiter->flight = NULL; /* too late to leave */
    (void)pthread_mutex_unlock(&flights->lock);
    tell_all(flight->waiters, outcome, entry, failure);
    free(flight);
}

bool flights_leave(struct flights *flights, struct flight_waiter *waiter)
{
    bool is_waiting;

    (void)pthread_mutex_lock(&flights->lock);
    is_waiting = waiter->flight != NULL;
    if (is_waiting) {
        *waiter->link = waiter->next;
        if (waiter->next != NULL)
            waiter->next->link = waiter->link;
        else
            waiter->flight->last = waiter->link;
        waiter->flight = NULL;
    }
    (void)pthread_mutex_unlock(&flights->lock);
    return is_waiting;
}
