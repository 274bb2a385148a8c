/* Whether the trail's writer waits for company. */
#include "audit/pace.h"

#include "support/suite.h"

static struct pace after(size_t records, int64_t took_us)
{
    struct pace pace = {.records = 0};

    pace_note(&pace, records, took_us);
    return pace;
}

START_TEST(the_first_batch_does_not_wait)
{
    const struct pace pace = {.records = 0};

    ck_assert_int_eq(pace_pause_us(&pace, 1), 0);
}
END_TEST

START_TEST(who_is_nearly_alone_does_not_wait)
{
    struct pace pace = after(7, 4000);

    for (size_t waiting = 1; waiting <= 7; waiting++)
        ck_assert_int_eq(pace_pause_us(&pace, waiting), 0);
}
END_TEST

START_TEST(a_crowd_waits_half_a_sync)
{
    struct pace pace = after(8, 200);

    ck_assert_int_eq(pace_pause_us(&pace, 1), 100);
    ck_assert_int_eq(pace_pause_us(&pace, 7), 100);
}
END_TEST

START_TEST(as_many_as_last_time_do_not_wait)
{
    struct pace pace = after(8, 200);

    ck_assert_int_eq(pace_pause_us(&pace, 8), 0);
    ck_assert_int_eq(pace_pause_us(&pace, 100), 0);
}
END_TEST

START_TEST(a_slow_disk_makes_nobody_wait_long)
{
    struct pace pace = after(64, 1000000);

    ck_assert_int_le(pace_pause_us(&pace, 1), 250);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/pace");
    TCase *pauses = suite_case(suite, "pauses");

    tcase_add_test(pauses, the_first_batch_does_not_wait);
    tcase_add_test(pauses, who_is_nearly_alone_does_not_wait);
    tcase_add_test(pauses, a_crowd_waits_half_a_sync);
    tcase_add_test(pauses, as_many_as_last_time_do_not_wait);
    tcase_add_test(pauses, a_slow_disk_makes_nobody_wait_long);
    return run_suite(suite);
}
