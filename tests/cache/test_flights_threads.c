/* Flights with many waiters on four threads: each is told once, or has left in time. */
#include "cache/flights.h"

#include <pthread.h>
#include <stdatomic.h>

#include "cache/cases.h"

enum { THREADS = 4, WAITERS = 500, ROUNDS = 20, FAILURE = 17 };

struct passenger {
    struct flight_waiter waiter; /* first: tell() gets this one's address */
    atomic_int told;
    bool has_left, is_leader;
};

static void tell(struct flight_waiter *waiter)
{
    struct passenger *passenger = (struct passenger *)(void *)waiter;

    (void)atomic_fetch_add(&passenger->told, 1);
}

struct crew {
    pthread_t thread;
    struct flights *flights;
    pthread_barrier_t *all_joined;
    struct passenger passengers[WAITERS];
    int generation, leave_every; /* 0: nobody leaves */
};

/* Joins all, waits for the others to have joined, then leaves while the flight lands. */
static void *wait_and_leave(void *argument)
{
    struct crew *crew = argument;

    for (int i = 0; i < WAITERS; i++) {
        struct passenger *passenger = &crew->passengers[i];
        bool is_out_of_memory;

        passenger->waiter.tell = tell;
        passenger->is_leader =
            flights_join(crew->flights, SPAN("k"), (uint64_t)crew->generation,
                         &passenger->waiter, &is_out_of_memory) != NULL ||
            is_out_of_memory;
    }
    (void)pthread_barrier_wait(crew->all_joined);
    for (int i = 0; crew->leave_every > 0 && i < WAITERS; i += crew->leave_every)
        crew->passengers[i].has_left =
            flights_leave(crew->flights, &crew->passengers[i].waiter);
    return NULL;
}

/* Takes the waiter's reference. */
static bool was_told_right(struct passenger *passenger, enum flight_outcome outcome,
                           struct cache_entry *entry)
{
    struct flight_waiter *waiter = &passenger->waiter;
    int told = atomic_load(&passenger->told);

    if (passenger->is_leader || passenger->has_left)
        return !passenger->is_leader && told == 0;
    cache_entry_unref(waiter->entry);
    return told == 1 && waiter->outcome == outcome && waiter->entry == entry &&
           (outcome != FLIGHT_FAILED || waiter->failure == FAILURE);
}

/* One flight: the main thread leads, four threads wait, some of them not to the end. */
static void fly(enum flight_outcome outcome, int leave_every)
{
    struct crew *crews = calloc(THREADS, sizeof(*crews));
    struct flights *flights = flights_new();
    struct flight_waiter leader = {.tell = tell};
    struct cache_entry *entry =
        outcome == FLIGHT_ANSWERED ? make_entry(SPAN("k"), 10, 'a') : NULL;
    pthread_barrier_t all_joined;
    struct flight *flight;
    bool is_out_of_memory;
    int wrong = 0;

    ck_assert(crews != NULL && flights != NULL);
    ck_assert_int_eq(pthread_barrier_init(&all_joined, NULL, THREADS + 1), 0);
    flight = flights_join(flights, SPAN("k"), 1, &leader, &is_out_of_memory);
    ck_assert_ptr_nonnull(flight);
    for (int i = 0; i < THREADS; i++) {
        crews[i].flights = flights;
        crews[i].all_joined = &all_joined;
        crews[i].generation = 1;
        crews[i].leave_every = leave_every;
        ck_assert_int_eq(
            pthread_create(&crews[i].thread, NULL, wait_and_leave, &crews[i]), 0);
    }
    (void)pthread_barrier_wait(&all_joined);
    flights_land(flights, flight, outcome, entry, FAILURE);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(crews[i].thread, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < WAITERS; j++)
            wrong += !was_told_right(&crews[i].passengers[j], outcome, entry);
    }
    ck_assert_int_eq(wrong, 0);
    if (entry != NULL) /* every waiter's reference is gone again */
        ck_assert_uint_eq(atomic_load(&entry->references), 1);
    cache_entry_unref(entry);
    (void)pthread_barrier_destroy(&all_joined);
    flights_free(flights);
    free(crews);
}

static const struct {
    enum flight_outcome outcome;
    int leave_every;
} kinds[] = {
    {FLIGHT_ANSWERED, 0}, {FLIGHT_ANSWERED, 1}, {FLIGHT_ANSWERED, 3},
    {FLIGHT_UNSHARED, 0}, {FLIGHT_UNSHARED, 2}, {FLIGHT_FAILED, 0},
    {FLIGHT_FAILED, 1},
};

START_TEST(each_is_told_once_or_has_left)
{
    for (int i = 0; i < ROUNDS; i++)
        fly(kinds[_i].outcome, kinds[_i].leave_every);
}
END_TEST

/* Over generations: only those of the flight's own are told, each flight by its leader.
 */
START_TEST(flights_of_many_keys_and_generations_do_not_mix)
{
    enum { KEYS = 600 };
    struct flights *flights = flights_new();
    struct flight *all[KEYS];
    struct passenger *waiting = calloc(KEYS, sizeof(*waiting));
    struct flight_waiter leader = {.tell = tell};
    bool is_out_of_memory;
    char key[32];

    ck_assert(flights != NULL && waiting != NULL);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof(key), "key %d", i / 2);
        all[i] = flights_join(flights, span_of(key), (uint64_t)(i % 2), &leader,
                              &is_out_of_memory);
        ck_assert_ptr_nonnull(all[i]);
        waiting[i].waiter.tell = tell;
        ck_assert_ptr_null(flights_join(flights, span_of(key), (uint64_t)(i % 2),
                                        &waiting[i].waiter, &is_out_of_memory));
    }
    for (int i = 0; i < KEYS; i += 2) /* the older ones land in one order */
        flights_land(flights, all[i], FLIGHT_FAILED, NULL, i);
    for (int i = 0; i < KEYS; i++)
        ck_assert_int_eq(atomic_load(&waiting[i].told), i % 2 == 0);
    for (int i = KEYS - 1; i > 0; i -= 2) /* and the newer in the other */
        flights_land(flights, all[i], FLIGHT_FAILED, NULL, i);
    for (int i = 0; i < KEYS; i++) {
        ck_assert_int_eq(atomic_load(&waiting[i].told), 1);
        ck_assert_int_eq(waiting[i].waiter.failure, i);
    }
    free(waiting);
    flights_free(flights);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/flights_threads");
    TCase *telling = suite_case(suite, "telling");

    tcase_add_loop_test(telling, each_is_told_once_or_has_left, 0, ROWS(kinds));
    tcase_add_test(telling, flights_of_many_keys_and_generations_do_not_mix);
    return run_suite(suite);
}
