/*
 * Token buckets: against a plain model with random operations, over threads, and over
 * reloads. The clock is an argument: nothing here sleeps.
 */
#include "access/rates.h"

#include <pthread.h>
#include <stdatomic.h>

#include "support/suite.h"

enum { THREADS = 4 };

#define SECOND ((int64_t)1000000)

static struct rates *rates;
static struct rate_bucket *bucket;

static void set_up(void)
{
    rates = rates_new();
    ck_assert_ptr_nonnull(rates);
    bucket = rates_bucket(rates, SPAN("ci"));
    ck_assert_ptr_nonnull(bucket);
}

/* A bucket that is left shows as a leak. */
static void tear_down(void)
{
    rate_bucket_drop(bucket);
    rates_free(rates);
}

static struct rate_limits limits_of(int64_t count, int64_t period_s, int64_t burst)
{
    return (struct rate_limits){.rate = {count, period_s}, .burst = burst};
}

static void limit(int64_t count, int64_t period_s, int64_t burst, int64_t now_us)
{
    struct rate_limits limits = limits_of(count, period_s, burst);

    rate_bucket_limit(bucket, &limits, now_us);
}

/* How many of so many questions at one moment are answered with a token. */
static int admitted_of(int questions, int64_t now_us)
{
    int count = 0;

    for (int i = 0; i < questions; i++)
        count += rate_bucket_ask(bucket, now_us).is_admitted;
    return count;
}

/* Tokens */

START_TEST(without_a_limit_all_is_admitted)
{
    struct rate_answer answer = rate_bucket_ask(bucket, 5);

    ck_assert(answer.is_admitted);
    ck_assert_int_eq(answer.remaining, INT64_MAX);
    ck_assert_int_eq(answer.reset_s, 0);
    ck_assert_int_eq(answer.retry_after_s, 0);
    ck_assert_int_eq(admitted_of(1000, 5), 1000);
    ck_assert(rate_bucket_look(bucket, 5).is_admitted);
}
END_TEST

START_TEST(the_burst_is_there_at_once_and_comes_back_at_the_rate)
{
    limit(2, 1, 5, 0);
    ck_assert_int_eq(admitted_of(10, 100), 5);
    ck_assert_int_eq(admitted_of(10, 100 + SECOND / 2 - 1), 0);
    ck_assert_int_eq(admitted_of(10, 100 + SECOND / 2), 1);
    ck_assert_int_eq(admitted_of(10, 100 + 2 * SECOND), 3);
    ck_assert_int_eq(admitted_of(10, 100 + 1000 * SECOND), 5);
}
END_TEST

START_TEST(the_burst_is_the_rates_count_if_nobody_says)
{
    limit(7, 3600, 0, 0);
    ck_assert_int_eq(admitted_of(100, 0), 7);
}
END_TEST

START_TEST(an_answer_says_what_is_left_and_how_long_it_takes)
{
    struct rate_answer answer;

    limit(1, 3600, 2, 0);
    answer = rate_bucket_look(bucket, SECOND);
    ck_assert(answer.is_admitted);
    ck_assert_int_eq(answer.remaining, 1);
    answer = rate_bucket_ask(bucket, SECOND);
    ck_assert(answer.is_admitted);
    ck_assert_int_eq(answer.remaining, 1);
    ck_assert_int_eq(answer.reset_s, 3600);
    ck_assert_int_eq(answer.retry_after_s, 0);
    answer = rate_bucket_ask(bucket, SECOND);
    ck_assert(answer.is_admitted);
    ck_assert_int_eq(answer.remaining, 0);
    ck_assert_int_eq(answer.reset_s, 7200);
    answer = rate_bucket_ask(bucket, 2 * SECOND + 1);
    ck_assert(!answer.is_admitted);
    ck_assert_int_eq(answer.remaining, 0);
    ck_assert_int_eq(answer.retry_after_s, 3599); /* rounded up */
    ck_assert_int_eq(answer.reset_s, 7199);
    answer = rate_bucket_look(bucket, 3601 * SECOND - 1);
    ck_assert(!answer.is_admitted);
    ck_assert_int_eq(answer.retry_after_s, 1);
    ck_assert(rate_bucket_look(bucket, 3601 * SECOND).is_admitted);
    ck_assert(rate_bucket_look(bucket, 3601 * SECOND).is_admitted); /* it takes none */
}
END_TEST

/* Any two questions that a thread asks with an older clock are no way round the limit. */
START_TEST(an_older_clock_gives_nothing_away)
{
    limit(1, 1, 3, 0);
    ck_assert_int_eq(admitted_of(10, 10 * SECOND), 3);
    ck_assert_int_eq(admitted_of(10, 10 * SECOND - 1), 0);
    ck_assert_int_eq(admitted_of(10, 9 * SECOND + SECOND / 10), 0);
    ck_assert_int_eq(admitted_of(10, 10 * SECOND), 0);
    ck_assert_int_eq(admitted_of(10, 11 * SECOND), 1);
}
END_TEST

static const struct rate_limits limit_rows[] = {
    {.rate = {1, 1}},
    {.rate = {20, 1}, .burst = 40},
    {.rate = {600, 60}, .burst = 1},
    {.rate = {3, 1}, .burst = 7},
    {.rate = {7, 60}},
    {.rate = {1000, 3600}, .burst = 13},
    {.rate = {1, 3600}, .burst = UNITS_MOST_RATE},
    {.rate = {UNITS_MOST_RATE, 1}},
    {.rate = {UNITS_MOST_RATE, 3600}, .burst = 2},
    {.rate = {999983, 1}, .burst = 1},
};

/* A bucket as everyone draws it: so much credit in it, filled as time goes by. */
struct model {
    int64_t interval_ns, depth_ns, credit_ns, seen_us;
};

static bool model_ask(struct model *model, int64_t now_us)
{
    model->credit_ns += (now_us - model->seen_us) * 1000;
    model->seen_us = now_us;
    if (model->credit_ns > model->depth_ns)
        model->credit_ns = model->depth_ns;
    if (model->credit_ns < model->interval_ns)
        return false;
    model->credit_ns -= model->interval_ns;
    return true;
}

static uint64_t seed = 88172645463325252u;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static int64_t seconds_up(int64_t ns)
{
    return (ns + 999999999) / 1000000000;
}

/* Pauses from nothing to many intervals, mostly around one. */
static int64_t draw_pause_us(int64_t interval_ns)
{
    int64_t interval_us = interval_ns / 1000 + 1;

    switch (draw() % 8) {
    case 0:
        return (int64_t)(draw() % (uint64_t)(20 * interval_us));
    case 1:
    case 2:
        return (int64_t)(draw() % (uint64_t)(2 * interval_us + 1));
    case 3:
        return interval_us;
    default:
        return (int64_t)(draw() % 3);
    }
}

START_TEST(random_questions_are_answered_as_by_the_model)
{
    const struct rate_limits *limits = &limit_rows[_i];
    int64_t count = limits->rate.count, period_ns = limits->rate.period_s * 1000000000;
    int64_t burst = limits->burst != 0 ? limits->burst : count;
    struct model model = {.interval_ns = (period_ns + count - 1) / count};
    int64_t now_us = 1000 * SECOND, admitted = 0;

    model.depth_ns = model.credit_ns = model.interval_ns * burst;
    model.seen_us = now_us;
    rate_bucket_limit(bucket, limits, now_us);
    for (int i = 0; i < 200000; i++) {
        struct rate_answer answer;
        bool wanted;

        now_us += draw_pause_us(model.interval_ns);
        answer = rate_bucket_ask(bucket, now_us);
        wanted = model_ask(&model, now_us);
        admitted += wanted;
        if (answer.is_admitted != wanted || (answer.retry_after_s >= 1) == wanted ||
            answer.remaining != model.credit_ns / model.interval_ns ||
            answer.reset_s != seconds_up(model.depth_ns - model.credit_ns))
            ck_abort_msg("question %d is answered wrongly", i);
    }
    /* Never more than the burst and what the time brought. */
    ck_assert(admitted - burst <=
              (now_us - 1000 * SECOND) / 1000 * (count * 1000000 / period_ns + 1) + 1);
}
END_TEST

/* Threads */

static _Atomic int64_t shared_clock_us;

static void *ask_often(void *arg)
{
    int64_t *admitted = arg;

    for (int i = 0; i < 50000; i++) {
        int64_t now_us = atomic_fetch_add(&shared_clock_us, 1 + i % 3);

        *admitted += rate_bucket_ask(bucket, now_us).is_admitted;
    }
    return NULL;
}

static void run_threads(void *(*run)(void *), int64_t admitted[THREADS])
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run, &admitted[i]), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}

START_TEST(threads_together_get_never_more_than_allowed)
{
    static const int64_t bursts[] = {1, 5, 100000};
    int64_t admitted[THREADS] = {0}, sum = 0, elapsed_us, allowed;

    atomic_store(&shared_clock_us, SECOND);
    limit(5000, 1, bursts[_i], SECOND);
    run_threads(ask_often, admitted);
    for (int i = 0; i < THREADS; i++)
        sum += admitted[i];
    elapsed_us = atomic_load(&shared_clock_us) - SECOND;
    allowed = bursts[_i] + elapsed_us * 5000 / SECOND;
    ck_assert_int_le(sum, allowed);
    ck_assert_int_ge(sum, bursts[_i]);
}
END_TEST

static _Atomic int holders, most_holders;

static void *hold_often(void *arg)
{
    int64_t *held = arg;

    for (int i = 0; i < 50000; i++) {
        struct rate_slot slot = {0};
        int now, most;

        if (!rate_slot_acquire(&slot, bucket))
            continue;
        now = atomic_fetch_add(&holders, 1) + 1;
        most = atomic_load(&most_holders);
        while (now > most && !atomic_compare_exchange_weak(&most_holders, &most, now))
            continue;
        (void)atomic_fetch_sub(&holders, 1);
        rate_slot_release(&slot);
        ++*held;
    }
    return NULL;
}

START_TEST(threads_never_hold_more_places_than_there_are)
{
    const struct rate_limits limits = {.concurrency = 2};
    int64_t held[THREADS] = {0};
    struct rate_slot slots[3] = {{0}};

    rate_bucket_limit(bucket, &limits, 0);
    run_threads(hold_often, held);
    ck_assert_int_le(atomic_load(&most_holders), 2);
    for (int i = 0; i < 2; i++)
        ck_assert(rate_slot_acquire(&slots[i], bucket)); /* none has leaked */
    ck_assert(!rate_slot_acquire(&slots[2], bucket));
    for (int i = 0; i < 2; i++)
        rate_slot_release(&slots[i]);
}
END_TEST

static atomic_bool is_over;

static void *ask_on(void *arg)
{
    int64_t *admitted = arg;

    while (!atomic_load(&is_over)) {
        *admitted += rate_bucket_ask(bucket, 10 * SECOND).is_admitted;
        (void)rate_bucket_look(bucket, 10 * SECOND);
    }
    return NULL;
}

/* A question that is asked while limits change must leave no debt of the old kind. */
START_TEST(limits_may_change_while_threads_ask)
{
    pthread_t threads[THREADS];
    int64_t admitted[THREADS] = {0};

    limit(1, 3600, 100, 10 * SECOND);
    atomic_store(&is_over, false);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_on, &admitted[i]), 0);
    for (int i = 0; i < 300; i++) {
        struct rate_answer answer;

        limit(20, 1, 3, 10 * SECOND);
        answer = rate_bucket_look(bucket, 10 * SECOND);
        ck_assert_int_le(answer.reset_s, 1);
        limit(1, 3600, 100, 10 * SECOND);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    limit(20, 1, 3, 10 * SECOND);
    (void)admitted_of(10, 10 * SECOND);
    ck_assert_int_eq(admitted_of(10, 11 * SECOND + 1), 3);
}
END_TEST

/* Places */

START_TEST(a_place_is_given_back_once)
{
    const struct rate_limits limits = {.concurrency = 2};
    struct rate_slot one = {0}, two = {0}, three = {0};

    rate_bucket_limit(bucket, &limits, 0);
    ck_assert(rate_slot_acquire(&one, bucket));
    ck_assert(rate_slot_acquire(&two, bucket));
    ck_assert(!rate_slot_acquire(&three, bucket));
    rate_slot_release(&three); /* holds none */
    rate_slot_release(&one);
    rate_slot_release(&one);
    ck_assert(rate_slot_acquire(&three, bucket));
    ck_assert(!rate_slot_acquire(&one, bucket));
    rate_slot_release(&two);
    rate_slot_release(&three);
}
END_TEST

/* What began before there was a limit is not counted, and not given back either. */
START_TEST(a_limit_that_comes_or_goes_leaves_the_count_right)
{
    const struct rate_limits none = {0}, one = {.concurrency = 1};
    struct rate_slot early = {0}, slot = {0}, late = {0};

    ck_assert(rate_slot_acquire(&early, bucket));
    rate_bucket_limit(bucket, &one, 0);
    rate_slot_release(&early);
    ck_assert(rate_slot_acquire(&slot, bucket));
    rate_bucket_limit(bucket, &none, 0);
    ck_assert(rate_slot_acquire(&late, bucket));
    rate_slot_release(&late);
    rate_bucket_limit(bucket, &one, 0);
    ck_assert(!rate_slot_acquire(&late, bucket));
    rate_slot_release(&slot);
    ck_assert(rate_slot_acquire(&late, bucket));
    rate_slot_release(&late);
}
END_TEST

/* Reloads */

START_TEST(a_bucket_is_found_again_by_its_name)
{
    struct rate_bucket *again, *other;

    limit(1, 3600, 3, 0);
    ck_assert_int_eq(admitted_of(2, 0), 2);
    again = rates_bucket(rates, SPAN("ci"));
    other = rates_bucket(rates, SPAN("ci2"));
    ck_assert_ptr_eq(again, bucket);
    ck_assert_ptr_ne(other, bucket);
    rate_bucket_drop(bucket);  /* the old set goes */
    limit(1, 3600, 3, SECOND); /* the same limits again */
    ck_assert_int_eq(admitted_of(10, SECOND), 1);
    rate_bucket_drop(other);
}
END_TEST

START_TEST(a_bucket_that_no_set_names_is_gone)
{
    struct rate_bucket *gone = rates_bucket(rates, SPAN("gone"));
    struct rate_limits limits = limits_of(1, 3600, 1);

    rate_bucket_limit(gone, &limits, 0);
    ck_assert(rate_bucket_ask(gone, 0).is_admitted);
    rate_bucket_drop(gone);
    gone = rates_bucket(rates, SPAN("gone"));
    ck_assert_int_eq(rate_bucket_ask(gone, 0).remaining, INT64_MAX);
    rate_bucket_drop(gone);
    rate_bucket_drop(NULL);
}
END_TEST

START_TEST(many_names_have_a_bucket_each)
{
    enum { MANY = 2000 };
    struct rate_bucket *many[MANY];
    char name[16];

    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "client-%d", i);
        many[i] = rates_bucket(rates, span_of(name));
        ck_assert_ptr_nonnull(many[i]);
    }
    for (int i = 0; i < MANY; i++) {
        struct rate_bucket *again;

        (void)snprintf(name, sizeof(name), "client-%d", i);
        again = rates_bucket(rates, span_of(name));
        ck_assert_ptr_eq(again, many[i]);
        rate_bucket_drop(again);
        rate_bucket_drop(many[i]);
    }
}
END_TEST

/* So many tokens taken of one kind are so many taken of the other. */
START_TEST(other_limits_keep_what_was_taken)
{
    limit(1, 3600, 10, 0);
    ck_assert_int_eq(admitted_of(4, 0), 4);
    limit(20, 1, 10, 0);
    ck_assert_int_eq(rate_bucket_look(bucket, 0).remaining, 5);
    ck_assert_int_eq(rate_bucket_look(bucket, SECOND).remaining, 9);
    limit(1, 3600, 10, 0);
    ck_assert_int_eq(admitted_of(20, 0), 6);
    limit(20, 1, 3, 0); /* no more than all can be missing */
    ck_assert_int_eq(admitted_of(20, 0), 0);
    ck_assert_int_eq(rate_bucket_look(bucket, 0).retry_after_s, 1);
    ck_assert_int_eq(admitted_of(20, SECOND), 3);
    limit(0, 0, 0, SECOND);
    ck_assert_int_eq(admitted_of(20, SECOND), 20);
    limit(1, 3600, 2, SECOND); /* nothing was counted meanwhile */
    ck_assert_int_eq(admitted_of(20, SECOND), 2);
}
END_TEST

START_TEST(upstream_has_a_bucket_of_its_own)
{
    struct rate_limits limits = limits_of(2, 3600, 0);

    ck_assert(rate_bucket_ask(rates_upstream(rates), 0).is_admitted);
    rate_bucket_limit(rates_upstream(rates), &limits, 0);
    ck_assert_int_eq(rate_bucket_ask(rates_upstream(rates), 0).remaining, 1);
    ck_assert(rate_bucket_ask(rates_upstream(rates), 0).is_admitted);
    ck_assert(!rate_bucket_ask(rates_upstream(rates), 0).is_admitted);
    ck_assert_int_eq(admitted_of(10, 0), 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/rates");
    TCase *tokens = suite_case(suite, "tokens");
    TCase *threads = suite_case(suite, "threads");
    TCase *places = suite_case(suite, "places");
    TCase *reloads = suite_case(suite, "reloads");

    tcase_add_checked_fixture(tokens, set_up, tear_down);
    tcase_add_checked_fixture(threads, set_up, tear_down);
    tcase_add_checked_fixture(places, set_up, tear_down);
    tcase_add_checked_fixture(reloads, set_up, tear_down);
    tcase_add_test(tokens, without_a_limit_all_is_admitted);
    tcase_add_test(tokens, the_burst_is_there_at_once_and_comes_back_at_the_rate);
    tcase_add_test(tokens, the_burst_is_the_rates_count_if_nobody_says);
    tcase_add_test(tokens, an_answer_says_what_is_left_and_how_long_it_takes);
    tcase_add_test(tokens, an_older_clock_gives_nothing_away);
    tcase_add_loop_test(tokens, random_questions_are_answered_as_by_the_model, 0,
                        ROWS(limit_rows));
    tcase_add_loop_test(threads, threads_together_get_never_more_than_allowed, 0, 3);
    tcase_add_test(threads, threads_never_hold_more_places_than_there_are);
    tcase_add_test(threads, limits_may_change_while_threads_ask);
    tcase_add_test(places, a_place_is_given_back_once);
    tcase_add_test(places, a_limit_that_comes_or_goes_leaves_the_count_right);
    tcase_add_test(reloads, a_bucket_is_found_again_by_its_name);
    tcase_add_test(reloads, a_bucket_that_no_set_names_is_gone);
    tcase_add_test(reloads, many_names_have_a_bucket_each);
    tcase_add_test(reloads, other_limits_keep_what_was_taken);
    tcase_add_test(reloads, upstream_has_a_bucket_of_its_own);
    return run_suite(suite);
}
