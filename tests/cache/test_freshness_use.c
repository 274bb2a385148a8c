/* May what is stored be used: RFC 9111 4, 4.2.4, 5.2.1, 5.2.2; RFC 5861. */
#include "cache/cases.h"
#include "cache/freshness.h"

/* EITHER: the rules leave it open. */
enum { EITHER = 2 };
enum { NO = CACHE_USE_AFTER_ASKING, BG = CACHE_USE_AND_REVALIDATE, OK = CACHE_USE_NOW };

struct use_row {
    const char *answer; /* its Cache-Control */
    int64_t age_ms;
    const char *request; /* its Cache-Control, if any */
    int use;             /* enum cache_use */
    int on_error;        /* may it serve when upstream fails: true, false, EITHER */
};

static const struct operation_cache plain = {
    .scope = "s", .freshness = OPERATION_FRESHNESS_UPSTREAM, .ttl_ms = -1};

static void check_use(const struct use_row *row)
{
    const struct cache_times times = {0, 0};
    struct cache_directives request;
    struct cache_policy policy;
    struct made_head made;
    char fields[256];
    bool on_error;
    int use;

    ask(&request, "");
    (void)snprintf(fields, sizeof(fields), "ETag: \"a\"\nCache-Control: %s", row->answer);
    make_response(&made, 200, fields);
    ck_assert(cache_may_store(&plain, &request, &made.head, &times, &policy));
    ask(&request, row->request);
    use = (int)cache_judge_use(&policy, row->age_ms, &request);
    on_error = cache_may_serve_on_error(&policy, row->age_ms, &request);
    ck_assert_msg(use == row->use, "'%s' aged %lld asked with '%s': use %d, not %d",
                  row->answer, (long long)row->age_ms, row->request, use, row->use);
    ck_assert_msg(row->on_error == EITHER || on_error == (row->on_error == true),
                  "'%s' aged %lld asked with '%s': on error %d", row->answer,
                  (long long)row->age_ms, row->request, on_error);
    end_head(&made);
}

static const struct use_row uses[] = {
    /* Fresh while the lifetime is greater than the age (4.2). */
    {"max-age=60", 0, "", OK, true},
    {"max-age=60", 59999, "", OK, true},
    {"max-age=60", 60000, "", NO, false},
    {"max-age=60", 60001, "", NO, false},
    {"max-age=0", 0, "", NO, false},
    {"max-age=2147483648", INT64_C(2147483647999), "", OK, true},
    {"max-age=2147483648", INT64_C(2147483648001), "", NO, false},
    {"s-maxage=60, max-age=1", 59999, "", OK, true},
    {"s-maxage=1, max-age=60", 2000, "", NO, false},
    {"max-age=60", INT64_MAX / 4, "", NO, false},

    /* no-cache of the answer: never without asking, whatever the client allows. */
    {"no-cache, max-age=60", 0, "", NO, false},
    {"no-cache, max-age=60", 1, "max-stale", NO, false},
    {"no-cache, max-age=60, stale-while-revalidate=99", 61000, "", NO, false},
    {"no-cache, max-age=60, stale-if-error=99", 61000, "", NO, false},
    {"no-cache=\"X\", max-age=60", 0, "", OK, true},

    /* stale-while-revalidate (RFC 5861 3). */
    {"max-age=60, stale-while-revalidate=30", 59999, "", OK, true},
    {"max-age=60, stale-while-revalidate=30", 60000, "", BG, EITHER},
    {"max-age=60, stale-while-revalidate=30", 89999, "", BG, EITHER},
    {"max-age=60, stale-while-revalidate=30", 90001, "", NO, false},
    {"max-age=60, stale-while-revalidate=0", 60001, "", NO, false},
    {"max-age=60, stale-while-revalidate=x", 60001, "", NO, false},
    {"max-age=0, stale-while-revalidate=30", 1, "", BG, EITHER},

    /* stale-if-error (RFC 5861 4). */
    {"max-age=60, stale-if-error=30", 59999, "", OK, true},
    {"max-age=60, stale-if-error=30", 60001, "", NO, true},
    {"max-age=60, stale-if-error=30", 89999, "", NO, true},
    {"max-age=60, stale-if-error=30", 90001, "", NO, false},
    {"max-age=60, stale-if-error=0", 60001, "", NO, false},
    {"max-age=60, stale-while-revalidate=9, stale-if-error=30", 65000, "", BG, true},
    {"max-age=60, stale-while-revalidate=9, stale-if-error=30", 75000, "", NO, true},
    {"max-age=60, stale-if-error=30", 61000, "no-cache", NO, false},
    {"max-age=60, stale-if-error=2147483648", INT64_C(9999999999), "", NO, true},

    /* The answer forbids stale use (4.2.4, 5.2.2.2, 5.2.2.8, 5.2.2.10). */
    {"max-age=60, must-revalidate", 59999, "", OK, true},
    {"max-age=60, must-revalidate", 60001, "", NO, false},
    {"max-age=60, must-revalidate", 60001, "max-stale", NO, false},
    {"max-age=60, must-revalidate", 60001, "max-stale=99", NO, false},
    {"max-age=60, must-revalidate, stale-while-revalidate=99", 60001, "", NO, false},
    {"max-age=60, must-revalidate, stale-if-error=99", 60001, "", NO, false},
    {"max-age=60, proxy-revalidate", 60001, "max-stale", NO, false},
    {"max-age=60, proxy-revalidate, stale-while-revalidate=99", 60001, "", NO, false},
    {"max-age=60, proxy-revalidate, stale-if-error=99", 60001, "", NO, false},
    {"s-maxage=60", 60001, "max-stale", NO, false},
    {"s-maxage=60, stale-while-revalidate=99", 60001, "", NO, false},
    {"s-maxage=60, stale-if-error=99", 60001, "", NO, false},
    {"s-maxage=60, proxy-revalidate", 59999, "max-stale", OK, true},

    /* The client's no-cache (5.2.1.4), and what it says that is not about use. */
    {"max-age=60", 0, "no-cache", NO, EITHER},
    {"max-age=60", 0, "no-cache, max-stale", NO, EITHER},
    {"max-age=60", 0, "NO-CACHE", NO, EITHER},
    {"max-age=60", 1000, "no-store", OK, true},
    {"max-age=60", 1000, "only-if-cached", OK, true},
    {"max-age=60", 1000, "no-transform", OK, true},
    {"max-age=60", 1000, "unknown=5", OK, true},
    {"max-age=60", 60001, "only-if-cached", NO, false},

    /* The client's max-age (5.2.1.1). */
    {"max-age=60", 10000, "max-age=10", OK, true},
    {"max-age=60", 11000, "max-age=10", NO, EITHER},
    {"max-age=60", 59000, "max-age=99", OK, true},
    {"max-age=60", 61000, "max-age=99", NO, false},
    {"max-age=60", 1000, "max-age=0", NO, EITHER},
    {"max-age=60", 1000, "max-age=x", NO, EITHER},
    {"max-age=60", 1000, "max-age=99999999999999999999", OK, true},
    {"max-age=60, stale-while-revalidate=99", 61000, "max-age=10", NO, false},
    {"max-age=60", 1000, "s-maxage=0", OK, true},

    /* The client's min-fresh (5.2.1.3). */
    {"max-age=60", 50000, "min-fresh=10", OK, true},
    {"max-age=60", 51000, "min-fresh=10", NO, EITHER},
    {"max-age=60", 0, "min-fresh=61", NO, EITHER},
    {"max-age=60", 0, "min-fresh=99999999999999999999", NO, EITHER},
    {"max-age=60, stale-while-revalidate=99", 61000, "min-fresh=1", NO, false},
    {"max-age=60", 61000, "min-fresh=10", NO, false},

    /* The client's max-stale (5.2.1.2). */
    {"max-age=60", 61000, "max-stale", OK, EITHER},
    {"max-age=60", INT64_C(99999999), "max-stale", OK, EITHER},
    {"max-age=60", 61000, "max-stale=5", OK, EITHER},
    {"max-age=60", 65000, "max-stale=5", OK, EITHER},
    {"max-age=60", 65001, "max-stale=5", NO, false},
    {"max-age=60", 61000, "max-stale=0", NO, false},
    {"max-age=60", 61000, "max-stale=x", NO, false},
    {"max-age=60", 59000, "max-stale=0", OK, true},
    {"max-age=60", 61000, "max-stale=5, max-age=70", OK, EITHER},
    {"max-age=60", 71000, "max-stale=50, max-age=70", NO, false},
    {"max-age=60, stale-while-revalidate=99", 61000, "max-stale=5", OK, EITHER},
    {"max-age=60, stale-if-error=99", 61000, "max-stale=5", OK, true},
};

START_TEST(what_is_stored_is_used_as_the_rfc_says)
{
    check_use(&uses[_i]);
}
END_TEST

/*
 * A client that bounds how stale its answer may be is not given a staler one because the
 * answer itself would allow it: with max-age and no max-stale it wants none that is stale
 * (5.2.1.1), with max-stale=N none that is stale for longer (5.2.1.2).
 */
static const struct use_row bounded[] = {
    {"max-age=60, stale-while-revalidate=99", 61000, "max-age=70", NO, EITHER},
    {"max-age=60, stale-while-revalidate=99", 66000, "max-stale=5", NO, EITHER},
    {"max-age=60, stale-while-revalidate=99", 61000, "max-stale=0", NO, EITHER},
};

START_TEST(a_client_that_bounds_staleness_is_not_given_more)
{
    check_use(&bounded[_i]);
}
END_TEST

/* In either mode the bounds may come from the rule, in milliseconds. */
START_TEST(the_bounds_of_a_fixed_rule_are_kept_to_the_millisecond)
{
    const struct cache_policy policy = {
        .lifetime_ms = 250, .stale_while_revalidate_ms = 100, .stale_if_error_ms = 500};
    struct cache_directives request;

    cache_directives_clear(&request);
    ck_assert_int_eq(cache_judge_use(&policy, 249, &request), OK);
    ck_assert_int_eq(cache_judge_use(&policy, 250, &request), BG);
    ck_assert_int_eq(cache_judge_use(&policy, 349, &request), BG);
    ck_assert_int_eq(cache_judge_use(&policy, 351, &request), NO);
    ck_assert(cache_may_serve_on_error(&policy, 749, &request));
    ck_assert(!cache_may_serve_on_error(&policy, 751, &request));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/freshness_use");
    TCase *using = suite_case(suite, "using");

    tcase_add_loop_test(using, what_is_stored_is_used_as_the_rfc_says, 0, ROWS(uses));
    tcase_add_loop_test(using, a_client_that_bounds_staleness_is_not_given_more, 0,
                        ROWS(bounded));
    tcase_add_test(using, the_bounds_of_a_fixed_rule_are_kept_to_the_millisecond);
    return run_suite(suite);
}
