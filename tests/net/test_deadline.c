/*
 * Deadlines on a real event base. Each test runs the loop until nothing is left to wait
 * for, so what has not happened by then never will; only lower bounds of time are
 * asserted.
 */
#include "base/clock.h"
#include "net/deadline.h"
#include "support/suite.h"

/* Far enough away that a test which waits for it is a test that fails. */
enum { FAR_MS = 3600000 };

struct fixture {
    struct worker worker; /* only its base is used */
    struct deadline deadline;
    int64_t began_ms, missed_ms; /* missed_ms: how long after the beginning, at last */
    int missed;
    int64_t again_ms; /* what on_missed sets it to, while misses are wanted */
    int wanted;
};

static struct fixture fixture;
static bool memory_is_out; /* for timers */

int __real_event_add(struct event *event, const struct timeval *delay);
int __wrap_event_add(struct event *event, const struct timeval *delay);

int __wrap_event_add(struct event *event, const struct timeval *delay)
{
    return memory_is_out ? -1 : __real_event_add(event, delay);
}

static void on_missed(void *owner)
{
    struct fixture *own = owner;

    own->missed++;
    own->missed_ms = clock_monotonic_ms() - own->began_ms;
    ck_assert(!deadline_is_set(&own->deadline));
    if (own->missed < own->wanted)
        deadline_set(&own->deadline, own->again_ms);
}

static void set_up(void)
{
    fixture = (struct fixture){.began_ms = clock_monotonic_ms()};
    fixture.worker.base = event_base_new();
    ck_assert_ptr_nonnull(fixture.worker.base);
    deadline_init(&fixture.deadline, &fixture.worker, on_missed, &fixture);
}

static void tear_down(void)
{
    deadline_fini(&fixture.deadline);
    event_base_free(fixture.worker.base);
}

/* 1: it returned because there was no event left. */
static void run_out(void)
{
    ck_assert_int_eq(event_base_loop(fixture.worker.base, 0), 1);
}

static void assert_missed_once_after(int64_t delay_ms)
{
    ck_assert_int_eq(fixture.missed, 1);
    ck_assert_int_ge(fixture.missed_ms, delay_ms);
    ck_assert(!deadline_is_set(&fixture.deadline));
}

START_TEST(a_deadline_is_missed_once)
{
    deadline_set(&fixture.deadline, 20);
    ck_assert(deadline_is_set(&fixture.deadline));
    run_out();
    assert_missed_once_after(20);
}
END_TEST

START_TEST(a_deadline_without_memory_for_its_timer_is_missed_on_the_loop)
{
    memory_is_out = true;
    deadline_set(&fixture.deadline, FAR_MS);
    ck_assert_int_eq(fixture.missed, 0);
    run_out();
    assert_missed_once_after(0);
    memory_is_out = false;
    deadline_set(&fixture.deadline, 10);
    run_out();
    ck_assert_int_eq(fixture.missed, 2);
}
END_TEST

START_TEST(a_lifted_deadline_without_memory_for_its_timer_is_not_missed)
{
    memory_is_out = true;
    deadline_set(&fixture.deadline, FAR_MS);
    deadline_lift(&fixture.deadline);
    run_out();
    ck_assert_int_eq(fixture.missed, 0);
    memory_is_out = false;
}
END_TEST

START_TEST(a_new_deadline_is_not_set)
{
    ck_assert(!deadline_is_set(&fixture.deadline));
    run_out();
    ck_assert_int_eq(fixture.missed, 0);
}
END_TEST

START_TEST(a_deadline_that_is_already_due_is_missed_on_the_loop)
{
    deadline_set(&fixture.deadline, 0);
    ck_assert_int_eq(fixture.missed, 0);
    run_out();
    assert_missed_once_after(0);
}
END_TEST

START_TEST(a_deadline_moved_later_is_missed_later)
{
    deadline_set(&fixture.deadline, 10);
    deadline_set(&fixture.deadline, 60);
    run_out();
    assert_missed_once_after(60);
}
END_TEST

START_TEST(a_deadline_moved_later_each_time_the_old_one_passes_is_missed_at_last)
{
    deadline_set(&fixture.deadline, 5);
    for (int i = 0; i < 5; i++) {
        deadline_set(&fixture.deadline, 15);
        (void)event_base_loop(fixture.worker.base, EVLOOP_NONBLOCK);
    }
    run_out();
    assert_missed_once_after(15);
}
END_TEST

START_TEST(moving_it_later_leaves_the_timer_alone)
{
    int64_t armed_ms;

    deadline_set(&fixture.deadline, FAR_MS);
    armed_ms = fixture.deadline.armed_ms;
    for (int i = 1; i < 1000; i++)
        deadline_set(&fixture.deadline, FAR_MS + i);
    ck_assert_int_eq(fixture.deadline.armed_ms, armed_ms);
    ck_assert_int_ge(fixture.deadline.due_ms, armed_ms + 999);
}
END_TEST

START_TEST(a_deadline_moved_earlier_is_missed_earlier)
{
    deadline_set(&fixture.deadline, FAR_MS);
    deadline_set(&fixture.deadline, 20);
    run_out();
    assert_missed_once_after(20);
}
END_TEST

START_TEST(a_lifted_deadline_is_never_missed)
{
    deadline_set(&fixture.deadline, 10);
    deadline_lift(&fixture.deadline);
    ck_assert(!deadline_is_set(&fixture.deadline));
    run_out();
    ck_assert_int_eq(fixture.missed, 0);
}
END_TEST

START_TEST(a_deadline_set_again_after_it_was_lifted_counts_from_then)
{
    deadline_set(&fixture.deadline, 10);
    deadline_lift(&fixture.deadline);
    deadline_set(&fixture.deadline, 50);
    run_out();
    assert_missed_once_after(50);
}
END_TEST

START_TEST(a_deadline_set_again_after_a_lifted_far_one_is_missed)
{
    deadline_set(&fixture.deadline, FAR_MS);
    deadline_lift(&fixture.deadline);
    deadline_set(&fixture.deadline, 20);
    run_out();
    assert_missed_once_after(20);
}
END_TEST

START_TEST(a_deadline_may_be_set_again_when_it_is_missed)
{
    fixture.wanted = 3;
    fixture.again_ms = 10;
    deadline_set(&fixture.deadline, 10);
    run_out();
    ck_assert_int_eq(fixture.missed, 3);
    ck_assert_int_ge(fixture.missed_ms, 30);
}
END_TEST

START_TEST(nothing_is_left_to_wait_for_after_the_end)
{
    deadline_set(&fixture.deadline, FAR_MS);
    deadline_fini(&fixture.deadline);
    deadline_fini(&fixture.deadline);
    ck_assert(!deadline_is_set(&fixture.deadline));
    run_out();
    ck_assert_int_eq(fixture.missed, 0);
}
END_TEST

START_TEST(a_deadline_that_was_never_made_may_be_ended)
{
    struct deadline deadline = {0};

    deadline_fini(&deadline);
    ck_assert(!deadline_is_set(&deadline));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net/deadline");
    TCase *plain = suite_case(suite, "plain");
    TCase *moved = suite_case(suite, "moved");

    tcase_add_checked_fixture(plain, set_up, tear_down);
    tcase_add_checked_fixture(moved, set_up, tear_down);
    tcase_add_test(plain, a_deadline_is_missed_once);
    tcase_add_test(plain, a_new_deadline_is_not_set);
    tcase_add_test(plain, a_deadline_without_memory_for_its_timer_is_missed_on_the_loop);
    tcase_add_test(plain, a_lifted_deadline_without_memory_for_its_timer_is_not_missed);
    tcase_add_test(plain, a_deadline_that_is_already_due_is_missed_on_the_loop);
    tcase_add_test(plain, nothing_is_left_to_wait_for_after_the_end);
    tcase_add_test(plain, a_deadline_that_was_never_made_may_be_ended);
    tcase_add_test(moved, a_deadline_moved_later_is_missed_later);
    tcase_add_test(moved,
                   a_deadline_moved_later_each_time_the_old_one_passes_is_missed_at_last);
    tcase_add_test(moved, moving_it_later_leaves_the_timer_alone);
    tcase_add_test(moved, a_deadline_moved_earlier_is_missed_earlier);
    tcase_add_test(moved, a_lifted_deadline_is_never_missed);
    tcase_add_test(moved, a_deadline_set_again_after_it_was_lifted_counts_from_then);
    tcase_add_test(moved, a_deadline_set_again_after_a_lifted_far_one_is_missed);
    tcase_add_test(moved, a_deadline_may_be_set_again_when_it_is_missed);
    return run_suite(suite);
}
