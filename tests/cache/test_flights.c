#include "cache/flights.h"

#include <pthread.h>

#include "cache/cases.h"

struct passenger {
    struct flight_waiter waiter; /* first: tell() gets this one's address */
    _Atomic int told;
};

static void tell(struct flight_waiter *waiter)
{
    struct passenger *passenger = (struct passenger *)(void *)waiter;

    (void)atomic_fetch_add(&passenger->told, 1);
}

static struct flights *flights;

static void setup(void)
{
    flights = flights_new();
    ck_assert_ptr_nonnull(flights);
}

static void teardown(void)
{
    flights_free(flights);
}

static struct flight *join(struct span key, uint64_t generation,
                           struct passenger *passenger)
{
    bool is_out_of_memory;
    struct flight *flight;

    *passenger = (struct passenger){.waiter = {.tell = tell}};
    flight =
        flights_join(flights, key, generation, &passenger->waiter, &is_out_of_memory);
    ck_assert(!is_out_of_memory);
    return flight;
}

static struct cache_entry *new_answer(void)
{
    const struct cache_policy policy = {0};
    const struct cache_entry_parts parts = {.key = SPAN("k"), .policy = &policy};

    return cache_entry_new(&parts);
}

START_TEST(the_first_leads_and_the_others_wait)
{
    struct passenger leader, waiters[3];
    struct flight *flight = join(SPAN("k"), 1, &leader);
    struct cache_entry *answer = new_answer();

    ck_assert_ptr_nonnull(flight);
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_null(join(SPAN("k"), 1, &waiters[i]));
    flights_land(flights, flight, FLIGHT_ANSWERED, answer, 0);
    ck_assert_int_eq(leader.told, 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(waiters[i].told, 1);
        ck_assert_int_eq(waiters[i].waiter.outcome, FLIGHT_ANSWERED);
        ck_assert_ptr_eq(waiters[i].waiter.entry, answer);
        cache_entry_unref(waiters[i].waiter.entry);
    }
    cache_entry_unref(answer);
}
END_TEST

START_TEST(another_key_and_another_generation_are_other_flights)
{
    struct passenger passengers[3];
    struct flight *a = join(SPAN("k"), 1, &passengers[0]);
    struct flight *b = join(SPAN("l"), 1, &passengers[1]);
    struct flight *c = join(SPAN("k"), 2, &passengers[2]); /* a takes no new waiter */

    ck_assert(a != NULL && b != NULL && c != NULL);
    flights_land(flights, a, FLIGHT_UNSHARED, NULL, 0);
    flights_land(flights, b, FLIGHT_UNSHARED, NULL, 0);
    flights_land(flights, c, FLIGHT_UNSHARED, NULL, 0);
}
END_TEST

START_TEST(an_old_flight_still_answers_those_who_joined_it)
{
    struct passenger leader, early, late;
    struct flight *old = join(SPAN("k"), 1, &leader), *fresh;

    ck_assert_ptr_null(join(SPAN("k"), 1, &early));
    fresh = join(SPAN("k"), 2, &late);
    ck_assert_ptr_nonnull(fresh);
    flights_land(flights, old, FLIGHT_FAILED, NULL, 7);
    ck_assert_int_eq(early.told, 1);
    ck_assert_int_eq(early.waiter.failure, 7);
    ck_assert_int_eq(early.waiter.outcome, FLIGHT_FAILED);
    flights_land(flights, fresh, FLIGHT_UNSHARED, NULL, 0);
}
END_TEST

START_TEST(after_the_landing_a_new_flight_begins)
{
    struct passenger first, second;

    flights_land(flights, join(SPAN("k"), 1, &first), FLIGHT_UNSHARED, NULL, 0);
    flights_land(flights, join(SPAN("k"), 1, &second), FLIGHT_UNSHARED, NULL, 0);
}
END_TEST

START_TEST(who_leaves_is_not_told_and_who_leaves_too_late_is)
{
    struct passenger leader, waiters[3];
    struct flight *flight = join(SPAN("k"), 1, &leader);

    for (int i = 0; i < 3; i++)
        ck_assert_ptr_null(join(SPAN("k"), 1, &waiters[i]));
    ck_assert(flights_leave(flights, &waiters[2].waiter));
    ck_assert(flights_leave(flights, &waiters[0].waiter));
    ck_assert(!flights_leave(flights, &waiters[0].waiter));
    flights_land(flights, flight, FLIGHT_UNSHARED, NULL, 0);
    ck_assert_int_eq(waiters[0].told, 0);
    ck_assert_int_eq(waiters[1].told, 1);
    ck_assert_int_eq(waiters[2].told, 0);
    ck_assert(!flights_leave(flights, &waiters[1].waiter));
}
END_TEST

enum { ROUNDS = 2000, THREADS = 4 };

static _Atomic int led, joined, told_in_all;

static void tell_and_count(struct flight_waiter *waiter)
{
    (void)atomic_fetch_add(&told_in_all, 1);
    free(waiter);
}

static void *fly(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct flight_waiter *waiter = calloc(1, sizeof(*waiter));
        bool is_out_of_memory;
        struct flight *flight;

        waiter->tell = tell_and_count;
        flight = flights_join(flights, SPAN("k"), 1, waiter, &is_out_of_memory);
        if (flight == NULL) {
            (void)atomic_fetch_add(&joined, 1);
            continue;
        }
        free(waiter);
        (void)atomic_fetch_add(&led, 1);
        flights_land(flights, flight, FLIGHT_UNSHARED, NULL, 0);
    }
    return NULL;
}

START_TEST(over_threads_everyone_leads_or_is_told_once)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, fly, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(led + joined, THREADS * ROUNDS);
    ck_assert_int_eq(told_in_all, joined);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/flights");
    TCase *rules = suite_case(suite, "rules");

    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_add_test(rules, the_first_leads_and_the_others_wait);
    tcase_add_test(rules, another_key_and_another_generation_are_other_flights);
    tcase_add_test(rules, an_old_flight_still_answers_those_who_joined_it);
    tcase_add_test(rules, after_the_landing_a_new_flight_begins);
    tcase_add_test(rules, who_leaves_is_not_told_and_who_leaves_too_late_is);
    tcase_add_test(rules, over_threads_everyone_leads_or_is_told_once);
    return run_suite(suite);
}
