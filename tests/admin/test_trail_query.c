#include "admin/trail_query.h"

#include "support/suite.h"

/* 2026-11-23T17:00:00Z */
#define NOW_MS INT64_C(1795453200000)

static struct trail_query query;

static void end(void)
{
    trail_query_fini(&query);
}

static bool is_read(const char *params)
{
    struct span bytes = exact_span(span_of(params));
    struct error error;
    bool is_good;

    trail_query_fini(&query);
    is_good = trail_query_read(bytes, NOW_MS, &query, &error);
    free((char *)(uintptr_t)bytes.at); /* nothing of it is kept */
    return is_good;
}

START_TEST(nothing_asks_for_the_newest_of_all)
{
    ck_assert(is_read(""));
    ck_assert_uint_eq(query.limit, TRAIL_QUERY_DEFAULT);
    ck_assert_uint_eq(query.before, UINT64_MAX);
    ck_assert_uint_eq(query.after, 0);
    ck_assert(!query.is_following);
    ck_assert_int_eq(query.filter.since_ms, INT64_MIN);
    ck_assert_int_eq(query.filter.until_ms, INT64_MAX);
    ck_assert_uint_eq(query.filter.outcomes, SEARCH_ANY_OUTCOME);
    ck_assert_ptr_null(query.filter.action);
    ck_assert_ptr_null(query.filter.user);
    ck_assert_ptr_null(query.filter.resource);
    ck_assert_ptr_null(query.filter.source);
    ck_assert_ptr_null(query.filter.event_id);
}
END_TEST

START_TEST(every_parameter_is_read)
{
    ck_assert(
        is_read("from=24h&to=2026-11-23T16:30:00%2B01:00&operation=create*&client=a+b&"
                "resource=DB&outcome=unknown&limit=7&before=100&after=3"));
    ck_assert_int_eq(query.filter.since_ms, NOW_MS - INT64_C(86400000));
    ck_assert_int_eq(query.filter.until_ms, NOW_MS - INT64_C(90) * 60 * 1000);
    ck_assert_str_eq(query.filter.action, "create*");
    ck_assert_str_eq(query.filter.user, "a b");
    ck_assert_str_eq(query.filter.resource, "*DB*");
    ck_assert_uint_eq(query.filter.outcomes, 1u << SEARCH_UNKNOWN);
    ck_assert_uint_eq(query.limit, 7);
    ck_assert_uint_eq(query.before, 100);
    ck_assert_uint_eq(query.after, 3);
    ck_assert(query.is_following);
}
END_TEST

START_TEST(a_resource_with_a_star_is_a_glob_by_itself)
{
    ck_assert(is_read("resource=DB*"));
    ck_assert_str_eq(query.filter.resource, "DB*");
    ck_assert(is_read("resource=%2a"));
    ck_assert_str_eq(query.filter.resource, "*");
    ck_assert(is_read("resource=%25s%25n"));
    ck_assert_str_eq(query.filter.resource, "*%s%n*");
}
END_TEST

static const struct {
    const char *word;
    unsigned outcomes;
} words[] = {
    {"success", 1u << SEARCH_SUCCESS},
    {"failure", 1u << SEARCH_FAILURE | 1u << SEARCH_REFUSED},
    {"unknown", 1u << SEARCH_UNKNOWN},
    {"refused", 1u << SEARCH_REFUSED},
    {"open", 1u << SEARCH_UNFINISHED},
    {"unfinished", 1u << SEARCH_UNFINISHED}, /* as the command says it */
};

START_TEST(outcomes_are_words)
{
    char params[64];

    snprintf(params, sizeof(params), "outcome=%s", words[_i].word);
    ck_assert(is_read(params));
    ck_assert_uint_eq(query.filter.outcomes, words[_i].outcomes);
}
END_TEST

static const struct {
    const char *params;
    unsigned limit;
} limits[] = {
    {"limit=1", 1}, {"limit=200", 200}, {"limit=0", 1}, {"limit=007", 7}, {"limit=", 50},
};

START_TEST(a_limit_is_from_1_to_200)
{
    ck_assert(is_read(limits[_i].params));
    ck_assert_uint_eq(query.limit, limits[_i].limit);
}
END_TEST

static const struct {
    const char *params, *name;
} bad[] = {
    {"from=x", "from"},
    {"from=-1h", "from"},
    {"from=2026-02-30", "from"},
    {"from=24", "from"},
    {"from=+1h", "from"},
    {"to=x", "to"},
    {"to=2026", "to"},
    {"to=1h1h", "to"},
    {"limit=201", "limit"},
    {"limit=x", "limit"},
    {"limit=-1", "limit"},
    {"limit=+1", "limit"},
    {"limit=1.0", "limit"},
    {"limit=0x1", "limit"},
    {"limit=%201", "limit"},
    {"before=x", "before"},
    {"before=-1", "before"},
    {"before=9223372036854775808", "before"},
    {"after=x", "after"},
    {"after=1e3", "after"},
    {"after=18446744073709551616", "after"},
    {"outcome=x", "outcome"},
    {"outcome=Open", "outcome"},
    {"outcome=success+", "outcome"},
};

START_TEST(what_is_wrong_is_named)
{
    struct error error = {{0}};
    char begin[32];

    ck_assert_msg(!trail_query_read(span_of(bad[_i].params), NOW_MS, &query, &error),
                  "%s is accepted", bad[_i].params);
    snprintf(begin, sizeof(begin), "%s takes ", bad[_i].name);
    ck_assert_msg(strncmp(error.text, begin, strlen(begin)) == 0, "%s", error.text);
}
END_TEST

START_TEST(the_largest_numbers_are_fine)
{
    ck_assert(is_read("before=9223372036854775807&after=9223372036854775807"));
    ck_assert_uint_eq(query.before, INT64_MAX);
    ck_assert(is_read("after=0&before=0"));
    ck_assert(!query.is_following);
    ck_assert_uint_eq(query.before, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admin/trail_query");
    TCase *tcase = suite_case(suite, "trail_query");

    tcase_add_checked_fixture(tcase, NULL, end);
    tcase_add_test(tcase, nothing_asks_for_the_newest_of_all);
    tcase_add_test(tcase, every_parameter_is_read);
    tcase_add_test(tcase, a_resource_with_a_star_is_a_glob_by_itself);
    tcase_add_loop_test(tcase, outcomes_are_words, 0, ROWS(words));
    tcase_add_loop_test(tcase, a_limit_is_from_1_to_200, 0, ROWS(limits));
    tcase_add_loop_test(tcase, what_is_wrong_is_named, 0, ROWS(bad));
    tcase_add_test(tcase, the_largest_numbers_are_fine);
    return run_suite(suite);
}
