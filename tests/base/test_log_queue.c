#include "base/log_queue.h"
#include "support/suite.h"

enum { ROOM = 100, THREADS = 4, LINES = 20000 };

static struct log_queue queue;

static void set_up(void)
{
    ck_assert(log_queue_init(&queue, ROOM));
}

static void tear_down(void)
{
    log_queue_fini(&queue);
}

/* A line of so many bytes. */
static bool add(enum log_level level, size_t len)
{
    char line[2 * ROOM];

    memset(line, 'x', len);
    line[len - 1] = '\n';
    return log_queue_add(&queue, level, span_make(line, len));
}

static struct log_batch take(void)
{
    struct log_batch batch;

    ck_assert(log_queue_take(&queue, &batch));
    return batch;
}

START_TEST(lines_are_taken_together_in_their_order)
{
    struct log_batch batch;

    ck_assert(log_queue_add(&queue, LOG_INFO, SPAN("one\n")));
    ck_assert(log_queue_add(&queue, LOG_ERROR, SPAN("two\n")));
    batch = take();
    ck_assert(span_equal(batch.lines, SPAN("one\ntwo\n")));
    ck_assert(log_queue_add(&queue, LOG_DEBUG, SPAN("three\n")));
    ck_assert(span_equal(batch.lines, SPAN("one\ntwo\n"))); /* until the next is taken */
    ck_assert(span_equal(take().lines, SPAN("three\n")));
}
END_TEST

START_TEST(what_does_not_fit_is_dropped_whole_and_counted)
{
    struct log_batch batch;

    ck_assert(add(LOG_WARN, 60));
    ck_assert(!add(LOG_WARN, 41));
    ck_assert(!add(LOG_ERROR, 41));
    ck_assert(!add(LOG_ERROR, 2 * ROOM));
    ck_assert(add(LOG_ERROR, 40));
    batch = take();
    ck_assert_uint_eq(batch.lines.len, 100);
    ck_assert_uint_eq(batch.dropped[LOG_ERROR], 2);
    ck_assert_uint_eq(batch.dropped[LOG_WARN], 1);
    ck_assert_uint_eq(batch.dropped[LOG_INFO], 0);
}
END_TEST

START_TEST(requests_leave_a_quarter_to_warnings_and_errors)
{
    struct log_batch batch;

    ck_assert(add(LOG_INFO, 75));
    ck_assert(!add(LOG_INFO, 1));
    ck_assert(!add(LOG_DEBUG, 1));
    ck_assert(add(LOG_WARN, 10));
    ck_assert(!add(LOG_INFO, 1));
    ck_assert(add(LOG_ERROR, 15));
    ck_assert(!add(LOG_ERROR, 1));
    batch = take();
    ck_assert_uint_eq(batch.lines.len, 100);
    ck_assert_uint_eq(batch.dropped[LOG_INFO], 2);
    ck_assert_uint_eq(batch.dropped[LOG_DEBUG], 1);
    ck_assert_uint_eq(batch.dropped[LOG_ERROR], 1);
}
END_TEST

START_TEST(what_was_taken_makes_room_and_is_counted_once)
{
    ck_assert(add(LOG_WARN, 100));
    ck_assert(!add(LOG_WARN, 1));
    ck_assert_uint_eq(take().dropped[LOG_WARN], 1);
    ck_assert(add(LOG_WARN, 100));
    ck_assert_uint_eq(take().dropped[LOG_WARN], 0);
}
END_TEST

START_TEST(a_poke_ends_a_wait_with_nothing_once)
{
    log_queue_poke(&queue);
    log_queue_poke(&queue);
    ck_assert_uint_eq(take().lines.len, 0);
    ck_assert(add(LOG_INFO, 5));
    ck_assert_uint_eq(take().lines.len, 5);
}
END_TEST

START_TEST(a_closed_queue_takes_nothing_more_and_ends_when_it_is_empty)
{
    struct log_batch batch;

    ck_assert(add(LOG_INFO, 5));
    log_queue_close(&queue);
    ck_assert(!add(LOG_ERROR, 5));
    ck_assert_uint_eq(take().lines.len, 5);
    ck_assert(!log_queue_take(&queue, &batch));
}
END_TEST

/* Threads: each line is one thread's letter, 7 times; as many as are taken and dropped.
 */

static void *add_many(void *letter)
{
    char line[] = {0, 0, 0, 0, 0, 0, 0, '\n'};
    uintptr_t added = 0;

    memset(line, *(const char *)letter, 7);
    for (int i = 0; i < LINES; i++)
        added += log_queue_add(&queue, LOG_INFO, span_make(line, sizeof(line)));
    return (void *)added;
}

static void *take_all(void *counts)
{
    uint64_t *dropped = counts;
    struct log_batch batch;
    uintptr_t taken = 0;

    *dropped = 0;
    while (log_queue_take(&queue, &batch)) {
        ck_assert_uint_eq(batch.lines.len % 8, 0);
        for (size_t at = 0; at < batch.lines.len; at += 8, taken++) {
            const char *line = batch.lines.at + at;

            ck_assert_int_eq(line[7], '\n');
            ck_assert_int_eq(memcmp(line, line + 1, 6), 0);
        }
        *dropped += batch.dropped[LOG_INFO];
    }
    return (void *)taken;
}

START_TEST(lines_of_many_threads_stay_whole_and_none_is_lost_uncounted)
{
    static const char letters[THREADS] = {'a', 'b', 'c', 'd'};
    pthread_t adders[THREADS], taker;
    uint64_t dropped;
    void *result, *taken;
    uintptr_t added = 0;

    ck_assert_int_eq(pthread_create(&taker, NULL, take_all, &dropped), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(
            pthread_create(&adders[i], NULL, add_many, (void *)(uintptr_t)&letters[i]),
            0);
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(adders[i], &result);
        added += (uintptr_t)result;
    }
    log_queue_close(&queue);
    (void)pthread_join(taker, &taken);
    ck_assert_uint_eq((uintptr_t)taken, added);
    ck_assert_uint_le(dropped, (uint64_t)THREADS * LINES - added);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/log_queue");
    TCase *lines = suite_case(suite, "lines");

    tcase_add_checked_fixture(lines, set_up, tear_down);
    tcase_add_test(lines, lines_are_taken_together_in_their_order);
    tcase_add_test(lines, what_does_not_fit_is_dropped_whole_and_counted);
    tcase_add_test(lines, requests_leave_a_quarter_to_warnings_and_errors);
    tcase_add_test(lines, what_was_taken_makes_room_and_is_counted_once);
    tcase_add_test(lines, a_poke_ends_a_wait_with_nothing_once);
    tcase_add_test(lines, a_closed_queue_takes_nothing_more_and_ends_when_it_is_empty);
    tcase_add_test(lines, lines_of_many_threads_stay_whole_and_none_is_lost_uncounted);
    return run_suite(suite);
}
