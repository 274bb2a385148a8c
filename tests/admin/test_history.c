#include "admin/history.h"

#include "support/suite.h"

/* 2026-11-23T17:00:00Z */
#define START_MS INT64_C(1795453200000)

static struct metrics *metrics;
static struct metrics_shard *shards[2];
static struct history *history;
static int64_t now_ms;

static void make(void)
{
    metrics = metrics_new();
    history = history_new();
    ck_assert(metrics != NULL && history != NULL);
    for (int i = 0; i < 2; i++)
        shards[i] = metrics_add_shard(metrics);
    now_ms = START_MS;
}

static void end(void)
{
    history_free(history);
    history_free(NULL);
    metrics_free(metrics);
}

static void count(int shard, uint16_t status, enum cache_outcome outcome,
                  int64_t total_us, int64_t upstream_us)
{
    metrics_count(shards[shard], &(struct metrics_request){.status = status,
                                                           .outcome = outcome,
                                                           .total_us = total_us,
                                                           .upstream_us = upstream_us});
}

static const struct history_point *step(void)
{
    int64_t ignored;

    now_ms += HISTORY_STEP_S * 1000;
    history_sample(history, metrics, now_ms);
    return history_at(history, history_count(history, &ignored) - 1);
}

static void must_be(const struct history_point *point, unsigned requests, unsigned errors,
                    unsigned refused, unsigned hits)
{
    ck_assert_uint_eq(point->requests, requests);
    ck_assert_uint_eq(point->errors, errors);
    ck_assert_uint_eq(point->refused, refused);
    ck_assert_uint_eq(point->hits, hits);
}

START_TEST(it_begins_without_a_point)
{
    int64_t from_ms;

    ck_assert_uint_eq(history_count(history, &from_ms), 0);
}
END_TEST

START_TEST(a_point_is_what_came_since_the_last)
{
    count(0, 200, CACHE_OUTCOME_HIT, 100, 0);
    count(1, 200, CACHE_OUTCOME_MISS, 100, 90);
    count(1, 503, CACHE_OUTCOME_NONE, 100, 0);
    must_be(step(), 3, 1, 0, 1);
    must_be(step(), 0, 0, 0, 0);
    count(0, 401, CACHE_OUTCOME_NONE, 100, 0);
    count(0, 403, CACHE_OUTCOME_NONE, 100, 0);
    count(1, 429, CACHE_OUTCOME_NONE, 100, 0);
    count(1, 404, CACHE_OUTCOME_NONE, 100, 0);
    count(1, 0, CACHE_OUTCOME_NONE, 100, 0);
    count(1, 200, CACHE_OUTCOME_STALE, 100, 0);
    must_be(step(), 6, 0, 3, 0);
}
END_TEST

START_TEST(durations_are_of_the_step_alone)
{
    const struct history_point *point;

    for (int i = 0; i < 100; i++)
        count(i % 2, 200, CACHE_OUTCOME_MISS, 5000000, 4000000);
    (void)step();
    for (int i = 0; i < 98; i++)
        count(i % 2, 200, CACHE_OUTCOME_HIT, 1000, 0);
    count(0, 200, CACHE_OUTCOME_MISS, 90000, 80000);
    count(1, 200, CACHE_OUTCOME_MISS, 90000, 80000);
    point = step();
    ck_assert(point->p50 > 0.0005 && point->p50 <= 0.001);
    ck_assert(point->p90 > 0.0005 && point->p90 <= 0.001);
    ck_assert(point->p99 > 0.08 && point->p99 <= 0.1);
    ck_assert(point->upstream_p50 > 0.06 && point->upstream_p50 <= 0.08);
    ck_assert(point->upstream_p99 > 0.06 && point->upstream_p99 <= 0.08);
    point = step();
    ck_assert(point->p50 < 0 && point->p90 < 0 && point->p99 < 0);
    ck_assert(point->upstream_p50 < 0 && point->upstream_p99 < 0);
}
END_TEST

START_TEST(an_hour_is_kept_the_oldest_first)
{
    int64_t from_ms;

    for (unsigned i = 0; i < HISTORY_POINTS + 10; i++) {
        count(0, 200, CACHE_OUTCOME_NONE, 1, 0);
        for (unsigned j = 0; j < i; j++)
            metrics_count(shards[1], &(struct metrics_request){.status = 200});
        must_be(step(), i + 1, 0, 0, 0);
        ck_assert_uint_eq(history_count(history, &from_ms),
                          i < HISTORY_POINTS ? i + 1 : HISTORY_POINTS);
        if (i < HISTORY_POINTS)
            ck_assert_int_eq(from_ms, START_MS);
    }
    ck_assert_int_eq(from_ms, START_MS + 10 * HISTORY_STEP_S * 1000);
    for (unsigned i = 0; i < HISTORY_POINTS; i++)
        ck_assert_uint_eq(history_at(history, i)->requests, i + 11);
}
END_TEST

START_TEST(a_worker_that_comes_later_counts_from_then)
{
    struct metrics_shard *late;

    count(0, 200, CACHE_OUTCOME_NONE, 1, 0);
    must_be(step(), 1, 0, 0, 0);
    late = metrics_add_shard(metrics);
    metrics_count(late, &(struct metrics_request){.status = 500});
    must_be(step(), 1, 1, 0, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admin/history");
    TCase *tcase = suite_case(suite, "history");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_test(tcase, it_begins_without_a_point);
    tcase_add_test(tcase, a_point_is_what_came_since_the_last);
    tcase_add_test(tcase, durations_are_of_the_step_alone);
    tcase_add_test(tcase, an_hour_is_kept_the_oldest_first);
    tcase_add_test(tcase, a_worker_that_comes_later_counts_from_then);
    return run_suite(suite);
}
