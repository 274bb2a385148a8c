/* The workers' counters: shards that add up, names over reloads, and their bounds. */
#include "gateway/metrics.h"

#include <pthread.h>

#include "support/suite.h"

static struct metrics *metrics;
static struct metrics_shard *shards[3];

static void make(void)
{
    metrics = metrics_new();
    ck_assert_ptr_nonnull(metrics);
    for (int i = 0; i < ROWS(shards); i++) {
        shards[i] = metrics_add_shard(metrics);
        ck_assert_ptr_nonnull(shards[i]);
    }
}

static void end(void)
{
    metrics_free(metrics);
    metrics_free(NULL);
}

static void count(int shard, unsigned operation, unsigned status,
                  enum cache_outcome outcome)
{
    const struct metrics_request request = {.operation = (uint16_t)operation,
                                            .status = (uint16_t)status,
                                            .outcome = outcome,
                                            .total_us = 1000};

    metrics_count(shards[shard], &request);
}

/* What was counted under these labels; -1: there is no such series. */
static int64_t value(unsigned operation, unsigned status, enum cache_outcome outcome)
{
    size_t many;
    struct metrics_series *series = metrics_read_requests(metrics, &many);
    int64_t found = -1;

    ck_assert_ptr_nonnull(series);
    for (size_t i = 0; i < many; i++) {
        if (series[i].operation != operation || series[i].status != status ||
            series[i].outcome != outcome)
            continue;
        ck_assert_int_eq(found, -1);
        found = (int64_t)series[i].count;
    }
    free(series);
    return found;
}

static uint64_t sum(size_t *many)
{
    struct metrics_series *series = metrics_read_requests(metrics, many);
    uint64_t total = 0;

    ck_assert_ptr_nonnull(series);
    for (size_t i = 0; i < *many; i++)
        total += series[i].count;
    free(series);
    return total;
}

/* Counting */

START_TEST(at_first_there_is_nothing)
{
    size_t many;

    ck_assert_uint_eq(sum(&many), 0);
    ck_assert_uint_eq(many, 0);
    ck_assert_uint_eq(metrics_in_flight(metrics), 0);
    for (int i = 0; i < REASON_COUNT; i++)
        ck_assert_uint_eq(metrics_read_reason(metrics, (enum reason)i), 0);
    ck_assert_str_eq(metrics_operation(metrics, METRICS_OTHER), "other");
    ck_assert_ptr_null(metrics_operation(metrics, 1));
}
END_TEST

START_TEST(shards_add_up)
{
    size_t many;

    for (int i = 0; i < 30; i++)
        count(i % 3, 0, i % 2 == 0 ? 200 : 404, CACHE_OUTCOME_HIT);
    ck_assert_int_eq(value(0, 200, CACHE_OUTCOME_HIT), 15);
    ck_assert_int_eq(value(0, 404, CACHE_OUTCOME_HIT), 15);
    ck_assert_int_eq(value(0, 200, CACHE_OUTCOME_NONE), -1);
    ck_assert_uint_eq(sum(&many), 30);
    ck_assert_uint_eq(many, 2);
    for (int i = 0; i < 7; i++)
        metrics_count_reason(shards[i % 3], REASON_TOKEN_UNKNOWN);
    ck_assert_uint_eq(metrics_read_reason(metrics, REASON_TOKEN_UNKNOWN), 7);
    ck_assert_uint_eq(metrics_read_reason(metrics, REASON_MALFORMED), 0);
}
END_TEST

START_TEST(series_come_in_the_order_of_their_labels)
{
    struct metrics_series *series;
    size_t many;

    for (unsigned operation = 5; operation-- > 0;)
        for (unsigned status = 600; status > 100; status -= 100)
            for (int outcome = CACHE_OUTCOMES; outcome-- > 0;)
                count((int)(operation % 3), operation, status,
                      (enum cache_outcome)outcome);
    series = metrics_read_requests(metrics, &many);
    ck_assert_uint_eq(many, 5 * 5 * CACHE_OUTCOMES);
    for (size_t i = 1; i < many; i++) {
        const struct metrics_series *a = &series[i - 1], *b = &series[i];

        ck_assert(a->operation < b->operation ||
                  (a->operation == b->operation && a->status < b->status) ||
                  (a->operation == b->operation && a->status == b->status &&
                   a->outcome < b->outcome));
    }
    free(series);
}
END_TEST

START_TEST(a_status_of_more_than_three_digits_is_none)
{
    count(0, 0, 999, CACHE_OUTCOME_NONE);
    count(0, 0, 1000, CACHE_OUTCOME_NONE);
    count(0, 0, 65535, CACHE_OUTCOME_NONE);
    count(0, 0, 0, CACHE_OUTCOME_NONE);
    ck_assert_int_eq(value(0, 999, CACHE_OUTCOME_NONE), 1);
    ck_assert_int_eq(value(0, 0, CACHE_OUTCOME_NONE), 3);
}
END_TEST

START_TEST(a_full_table_loses_no_request)
{
    uint64_t made = 0;
    size_t many, before;

    for (unsigned operation = 1; operation < METRICS_OPERATIONS; operation++)
        for (unsigned status = 200; status < 206; status++, made++)
            count(0, operation, status, CACHE_OUTCOME_NONE);
    ck_assert_uint_eq(sum(&before), made);
    ck_assert_uint_lt(before, METRICS_SERIES);
    ck_assert_int_gt(value(METRICS_OTHER, 200, CACHE_OUTCOME_NONE), 0);
    ck_assert_int_gt(value(METRICS_OTHER, 203, CACHE_OUTCOME_NONE), 0); /* exact so far */
    for (int round = 0; round < 2; round++) { /* other's statuses run out of room too */
        for (unsigned status = 0; status < 1000; status++)
            for (int outcome = 0; outcome < CACHE_OUTCOMES; outcome++, made++)
                count(0, 500, status, (enum cache_outcome)outcome);
        ck_assert_uint_eq(sum(&many), made);
        ck_assert_uint_lt(many, METRICS_SERIES);
    }
    for (unsigned status = 0; status < 1000; status += 100)
        for (int outcome = 0; outcome < CACHE_OUTCOMES; outcome++)
            ck_assert_int_gt(value(METRICS_OTHER, status, (enum cache_outcome)outcome),
                             0);
    before = (size_t)value(1, 200, CACHE_OUTCOME_NONE);
    count(0, 1, 200, CACHE_OUTCOME_NONE); /* what has a place keeps it */
    ck_assert_int_eq(value(1, 200, CACHE_OUTCOME_NONE), (int64_t)before + 1);
    count(1, 999, 299, CACHE_OUTCOME_STALE); /* and the other workers have room */
    ck_assert_int_eq(value(999, 299, CACHE_OUTCOME_STALE), 1);
}
END_TEST

START_TEST(requests_in_flight_are_those_that_have_not_ended)
{
    for (int i = 0; i < 5; i++)
        metrics_begin(shards[i % 3]);
    ck_assert_uint_eq(metrics_in_flight(metrics), 5);
    metrics_end(shards[0]);
    metrics_end(shards[1]);
    ck_assert_uint_eq(metrics_in_flight(metrics), 3);
}
END_TEST

START_TEST(durations_are_by_operation)
{
    struct metrics_request request = {
        .operation = 3, .total_us = 2000, .upstream_us = 1500};
    struct metrics_times times = {.total = {.count = 0}};

    metrics_count(shards[0], &request);
    metrics_count(shards[2], &request);
    request.upstream_us = 0; /* from the cache */
    metrics_count(shards[2], &request);
    metrics_read_times(metrics, 3, &times);
    ck_assert_uint_eq(times.total.count, 3);
    ck_assert_uint_eq(times.total.sum_us, 6000);
    ck_assert_uint_eq(times.upstream.count, 2);
    ck_assert_uint_eq(times.upstream.sum_us, 3000);
    metrics_read_times(metrics, 4, &times); /* adds nothing */
    ck_assert_uint_eq(times.total.count, 3);
}
END_TEST

/* Names */

static void name_operations(const char *const *ids, size_t many, uint16_t *numbers)
{
    struct operation operations[8] = {{0}};
    const struct operation_table table = {.operations = operations, .count = many};
    uint16_t *named;

    for (size_t i = 0; i < many; i++)
        operations[i].id = ids[i];
    named = metrics_name_operations(metrics, &table);
    ck_assert_ptr_nonnull(named);
    ck_assert_uint_eq(named[many], METRICS_OTHER);
    memcpy(numbers, named, many * sizeof(*named));
    free(named);
}

START_TEST(operations_keep_their_numbers_over_reloads)
{
    const char *const first[] = {"a", "b"}, *const second[] = {"c", "b", "a", "b"};
    uint16_t one[2], two[4];

    name_operations(first, 2, one);
    name_operations(second, 4, two);
    ck_assert_uint_ne(one[0], METRICS_OTHER);
    ck_assert_uint_ne(one[0], one[1]);
    ck_assert_uint_eq(two[2], one[0]);
    ck_assert_uint_eq(two[1], one[1]);
    ck_assert_uint_eq(two[3], one[1]); /* one id in two rows is one operation */
    ck_assert_str_eq(metrics_operation(metrics, two[0]), "c");
    ck_assert_ptr_null(metrics_operation(metrics, 4));
}
END_TEST

START_TEST(an_operation_called_other_is_that)
{
    const char *const ids[] = {"other"};
    uint16_t number;

    name_operations(ids, 1, &number);
    ck_assert_uint_eq(number, METRICS_OTHER);
}
END_TEST

START_TEST(operations_beyond_the_bound_are_other)
{
    char id[32];
    const char *const ids[] = {id};
    uint16_t number = 0;

    for (unsigned i = 1; i < METRICS_OPERATIONS; i++) {
        snprintf(id, sizeof(id), "operation%u", i);
        name_operations(ids, 1, &number);
        ck_assert_uint_eq(number, i);
    }
    snprintf(id, sizeof(id), "one more");
    name_operations(ids, 1, &number);
    ck_assert_uint_eq(number, METRICS_OTHER);
    snprintf(id, sizeof(id), "operation7");
    name_operations(ids, 1, &number);
    ck_assert_uint_eq(number, 7);
    ck_assert_ptr_null(metrics_operation(metrics, METRICS_OPERATIONS));
}
END_TEST

static uint32_t name_client(const char *name)
{
    struct client client = {.name = name};
    struct client_set set = {.clients = &client, .count = 1};

    ck_assert(metrics_name_clients(metrics, &set));
    return client.number;
}

static struct metrics_usage usage_of(uint32_t number)
{
    const struct client client = {.number = number};
    struct metrics_usage usage;

    metrics_read_client(metrics, &client, &usage);
    return usage;
}

static void count_client(int shard, uint32_t number, bool is_refused, int64_t now_us)
{
    const struct client client = {.number = number};

    metrics_count(shards[shard], &(struct metrics_request){.status = 200,
                                                           .client = &client,
                                                           .is_refused = is_refused,
                                                           .now_us = now_us});
}

START_TEST(clients_are_counted_by_their_names)
{
    char name[] = "alice";
    uint32_t alice = name_client(name), bob = name_client("bob");

    name[0] = 'x'; /* the name is kept as it was */
    ck_assert_uint_eq(name_client("alice"), alice);
    ck_assert_uint_ne(alice, bob);
    ck_assert_uint_eq(usage_of(alice).requests, 0);
    ck_assert_int_eq(usage_of(alice).last_us, 0);
    count_client(0, alice, false, 100);
    count_client(1, alice, true, 300);
    count_client(2, alice, false, 200);
    count_client(2, bob, false, 400);
    ck_assert_uint_eq(usage_of(alice).requests, 3);
    ck_assert_uint_eq(usage_of(alice).refused, 1);
    ck_assert_int_eq(usage_of(alice).last_us, 300);
    ck_assert_uint_eq(usage_of(bob).requests, 1);
    ck_assert_uint_eq(usage_of(bob).refused, 0);
}
END_TEST

START_TEST(clients_beyond_the_bound_share_a_number)
{
    char name[32];
    uint32_t last = 0;

    for (unsigned i = 1; i < METRICS_CLIENTS; i++) {
        snprintf(name, sizeof(name), "client%u", i);
        last = name_client(name);
        ck_assert_uint_eq(last, i);
    }
    ck_assert_uint_eq(name_client("one more"), 0);
    ck_assert_uint_eq(name_client("and another"), 0);
    ck_assert_uint_eq(name_client("client1"), 1);
    count_client(0, last, true, 5);
    count_client(0, 0, false, 6);
    ck_assert_uint_eq(usage_of(last).requests, 1);
    ck_assert_uint_eq(usage_of(0).requests, 1);
    ck_assert_uint_eq(usage_of(last - 1).requests, 0);
}
END_TEST

/* Threads */

enum { WORKERS = 3, ROUNDS = 4000 };

static void *work(void *arg)
{
    struct metrics_shard *shard = *(struct metrics_shard **)arg;
    struct client client = {.number = 0};

    for (unsigned i = 0; i < ROUNDS; i++) {
        client.number = i % 200;
        metrics_begin(shard);
        metrics_count(shard,
                      &(struct metrics_request){.operation = (uint16_t)(i % 50),
                                                .status = (uint16_t)(200 + i % 9),
                                                .outcome = (enum cache_outcome)(i % 8),
                                                .client = &client,
                                                .now_us = i + 1,
                                                .total_us = i,
                                                .upstream_us = i});
        metrics_count_reason(shard, REASON_MALFORMED);
        metrics_end(shard);
    }
    return NULL;
}

/* Under ThreadSanitizer this says that nothing is read without care. */
START_TEST(a_reader_beside_the_workers_sees_numbers_that_only_rise)
{
    pthread_t workers[WORKERS];
    uint64_t before = 0, now = 0;
    size_t many;

    for (int i = 0; i < WORKERS; i++)
        ck_assert_int_eq(pthread_create(&workers[i], NULL, work, &shards[i]), 0);
    for (unsigned i = 0; now < WORKERS * ROUNDS; i++) {
        struct metrics_times times = {.total = {.count = 0}};

        now = sum(&many);
        ck_assert_uint_ge(now, before);
        before = now;
        metrics_read_times(metrics, i % 50, &times);
        (void)usage_of(i % 200);
        ck_assert_uint_le(metrics_in_flight(metrics), WORKERS);
        (void)metrics_read_reason(metrics, REASON_MALFORMED);
        (void)name_client(i % 2 == 0 ? "a" : "b");
        (void)metrics_operation(metrics, i % 3);
    }
    for (int i = 0; i < WORKERS; i++)
        ck_assert_int_eq(pthread_join(workers[i], NULL), 0);
    ck_assert_uint_eq(sum(&many), WORKERS * ROUNDS);
    ck_assert_uint_eq(metrics_read_reason(metrics, REASON_MALFORMED), WORKERS * ROUNDS);
    ck_assert_uint_eq(metrics_in_flight(metrics), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/metrics");
    TCase *tcase = suite_case(suite, "metrics");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_test(tcase, at_first_there_is_nothing);
    tcase_add_test(tcase, shards_add_up);
    tcase_add_test(tcase, series_come_in_the_order_of_their_labels);
    tcase_add_test(tcase, a_status_of_more_than_three_digits_is_none);
    tcase_add_test(tcase, a_full_table_loses_no_request);
    tcase_add_test(tcase, requests_in_flight_are_those_that_have_not_ended);
    tcase_add_test(tcase, durations_are_by_operation);
    tcase_add_test(tcase, operations_keep_their_numbers_over_reloads);
    tcase_add_test(tcase, an_operation_called_other_is_that);
    tcase_add_test(tcase, operations_beyond_the_bound_are_other);
    tcase_add_test(tcase, clients_are_counted_by_their_names);
    tcase_add_test(tcase, clients_beyond_the_bound_share_a_number);
    tcase_add_test(tcase, a_reader_beside_the_workers_sees_numbers_that_only_rise);
    return run_suite(suite);
}
