#include "base/stopwatch.h"
#include "support/suite.h"

START_TEST(it_adds_up_the_spans_during_which_it_runs)
{
    struct stopwatch watch = {0};

    ck_assert_int_eq(stopwatch_read(&watch, 1000), 0);
    stopwatch_start(&watch, 1000);
    ck_assert_int_eq(stopwatch_read(&watch, 1010), 10);
    stopwatch_stop(&watch, 1020);
    ck_assert_int_eq(stopwatch_read(&watch, 5000), 20);
    stopwatch_start(&watch, 6000);
    ck_assert_int_eq(stopwatch_read(&watch, 6001), 21);
    stopwatch_stop(&watch, 6005);
    ck_assert_int_eq(stopwatch_read(&watch, 9000), 25);
}
END_TEST

START_TEST(starting_or_stopping_twice_changes_nothing)
{
    struct stopwatch watch = {0};

    stopwatch_stop(&watch, 10);
    ck_assert_int_eq(stopwatch_read(&watch, 20), 0);
    stopwatch_start(&watch, 100);
    stopwatch_start(&watch, 150);
    stopwatch_stop(&watch, 200);
    stopwatch_stop(&watch, 300);
    ck_assert_int_eq(stopwatch_read(&watch, 400), 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/stopwatch");
    TCase *spans = suite_case(suite, "spans");

    tcase_add_test(spans, it_adds_up_the_spans_during_which_it_runs);
    tcase_add_test(spans, starting_or_stopping_twice_changes_nothing);
    return run_suite(suite);
}
