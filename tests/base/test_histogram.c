#include "base/histogram.h"
#include "support/suite.h"

static struct histogram_counts counts_of(const struct histogram *histogram)
{
    struct histogram_counts counts = {.count = 0};

    histogram_read(histogram, &counts);
    return counts;
}

START_TEST(bounds_rise_from_ten_microseconds_to_a_hundred_seconds)
{
    ck_assert_int_eq(histogram_bound_us(0), 10);
    ck_assert_int_eq(histogram_bound_us(1), 15);
    ck_assert_int_eq(histogram_bound_us(HISTOGRAM_BOUNDS - 1), 100000000);
    for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++)
        ck_assert_int_gt(histogram_bound_us(i), histogram_bound_us(i - 1));
}
END_TEST

START_TEST(a_duration_counts_in_the_bucket_whose_bound_it_does_not_exceed)
{
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        struct histogram histogram = {0};
        struct histogram_counts counts;

        histogram_add(&histogram, histogram_bound_us(i));
        histogram_add(&histogram, histogram_bound_us(i) + 1);
        counts = counts_of(&histogram);
        ck_assert_uint_eq(counts.buckets[i], 1);
        ck_assert_uint_eq(counts.buckets[i + 1], 1);
        ck_assert_uint_eq(counts.count, 2);
    }
}
END_TEST

START_TEST(a_clock_that_went_back_counts_as_no_time)
{
    struct histogram histogram = {0};
    struct histogram_counts counts;

    histogram_add(&histogram, -5);
    counts = counts_of(&histogram);
    ck_assert_uint_eq(counts.buckets[0], 1);
    ck_assert_uint_eq(counts.sum_us, 0);
}
END_TEST

START_TEST(several_are_read_as_one)
{
    struct histogram one = {0}, other = {0};
    struct histogram_counts counts = {.count = 0};

    histogram_add(&one, 100);
    histogram_add(&other, 200);
    histogram_add(&other, 300);
    histogram_read(&one, &counts);
    histogram_read(&other, &counts);
    ck_assert_uint_eq(counts.count, 3);
    ck_assert_uint_eq(counts.sum_us, 600);
}
END_TEST

START_TEST(what_came_since_is_the_difference)
{
    struct histogram histogram = {0};
    struct histogram_counts earlier, now;

    histogram_add(&histogram, 100);
    earlier = counts_of(&histogram);
    histogram_add(&histogram, 100);
    histogram_add(&histogram, 7000);
    now = counts_of(&histogram);
    histogram_subtract(&now, &earlier);
    ck_assert_uint_eq(now.count, 2);
    ck_assert_uint_eq(now.sum_us, 7100);
}
END_TEST

START_TEST(a_quantile_lies_within_its_bucket)
{
    struct histogram histogram = {0};
    struct histogram_counts counts;
    double median, last;

    for (int i = 0; i < 99; i++)
        histogram_add(&histogram, 1000);
    histogram_add(&histogram, 50000);
    counts = counts_of(&histogram);
    median = histogram_quantile(&counts, 0.5);
    last = histogram_quantile(&counts, 1.0);
    ck_assert(median > 800 && median <= 1000);
    ck_assert(last > 40000 && last <= 50000);
}
END_TEST

START_TEST(no_durations_have_no_quantile)
{
    struct histogram_counts counts = {.count = 0};

    ck_assert(histogram_quantile(&counts, 0.5) < 0);
}
END_TEST

START_TEST(beyond_the_last_bound_a_quantile_is_that_bound)
{
    struct histogram histogram = {0};
    struct histogram_counts counts;

    histogram_add(&histogram, INT64_C(900000000));
    counts = counts_of(&histogram);
    ck_assert(histogram_quantile(&counts, 0.99) == 100000000.0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/histogram");
    TCase *counting = suite_case(suite, "counting");
    TCase *reading = suite_case(suite, "reading");

    tcase_add_test(counting, bounds_rise_from_ten_microseconds_to_a_hundred_seconds);
    tcase_add_test(counting,
                   a_duration_counts_in_the_bucket_whose_bound_it_does_not_exceed);
    tcase_add_test(counting, a_clock_that_went_back_counts_as_no_time);
    tcase_add_test(reading, several_are_read_as_one);
    tcase_add_test(reading, what_came_since_is_the_difference);
    tcase_add_test(reading, a_quantile_lies_within_its_bucket);
    tcase_add_test(reading, no_durations_have_no_quantile);
    tcase_add_test(reading, beyond_the_last_bound_a_quantile_is_that_bound);
    return run_suite(suite);
}
