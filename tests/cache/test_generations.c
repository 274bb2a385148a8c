#include "cache/generations.h"

#include <pthread.h>

#include "support/suite.h"

enum { HOLD_MS = 1000, NOW_MS = 50000 };

static struct generations *generations;
static int members, session;

static void setup(void)
{
    generations = generations_new();
    ck_assert_ptr_nonnull(generations);
    members = generations_scope(generations, SPAN("members"));
    session = generations_scope(generations, SPAN("session"));
}

static void teardown(void)
{
    generations_free(generations);
}

static uint64_t now(int scope)
{
    return generations_now(generations, scope, NOW_MS);
}

static bool may_store(int scope, uint64_t generation, int64_t now_ms)
{
    return generations_may_store(generations, scope, generation, now_ms);
}

START_TEST(a_name_is_one_scope)
{
    ck_assert_int_ne(members, session);
    ck_assert_int_eq(generations_scope(generations, SPAN("members")), members);
    ck_assert_int_eq(generations_count(generations), 2);
}
END_TEST

START_TEST(what_was_fetched_in_the_present_generation_may_be_stored)
{
    ck_assert(may_store(members, now(members), NOW_MS));
    ck_assert(!may_store(members, now(members) - 1, NOW_MS));
}
END_TEST

START_TEST(a_change_raises_at_its_beginning_and_at_its_end)
{
    uint64_t before = now(members), between;

    generations_begin_change(generations, members);
    between = now(members);
    ck_assert_uint_ne(between, before);
    generations_end_change(generations, members, true, NOW_MS, HOLD_MS);
    ck_assert_uint_ne(now(members), between);
    ck_assert(!may_store(members, between, NOW_MS));
    ck_assert(may_store(members, now(members), NOW_MS));
}
END_TEST

START_TEST(nothing_is_stored_while_any_change_is_in_flight)
{
    generations_begin_change(generations, members);
    generations_begin_change(generations, members);
    ck_assert(!may_store(members, now(members), NOW_MS));
    generations_end_change(generations, members, true, NOW_MS, HOLD_MS);
    ck_assert(!may_store(members, now(members), NOW_MS));
    generations_end_change(generations, members, true, NOW_MS, HOLD_MS);
    ck_assert(may_store(members, now(members), NOW_MS));
}
END_TEST

START_TEST(after_an_unknown_end_nothing_is_stored_until_the_hold_is_over)
{
    uint64_t held, after;

    generations_begin_change(generations, members);
    generations_end_change(generations, members, false, NOW_MS, HOLD_MS);
    held = now(members);
    ck_assert(!may_store(members, held, NOW_MS));
    ck_assert(!may_store(members, held, NOW_MS + HOLD_MS - 1));
    ck_assert_uint_eq(generations_now(generations, members, NOW_MS + HOLD_MS - 1), held);
    after = generations_now(generations, members, NOW_MS + HOLD_MS);
    ck_assert_uint_ne(after, held); /* raised once more: the change may have landed */
    ck_assert(!may_store(members, held, NOW_MS + HOLD_MS));
    ck_assert(may_store(members, after, NOW_MS + HOLD_MS));
    ck_assert_uint_eq(generations_now(generations, members, NOW_MS + 9 * HOLD_MS), after);
}
END_TEST

START_TEST(a_known_end_does_not_shorten_the_hold_of_another_change)
{
    generations_begin_change(generations, members);
    generations_begin_change(generations, members);
    generations_end_change(generations, members, false, NOW_MS, HOLD_MS);
    generations_end_change(generations, members, true, NOW_MS + 1, HOLD_MS);
    ck_assert(!may_store(members, now(members), NOW_MS + HOLD_MS - 1));
}
END_TEST

START_TEST(the_longest_of_overlapping_holds_counts)
{
    uint64_t after;

    generations_begin_change(generations, members);
    generations_end_change(generations, members, false, NOW_MS, HOLD_MS);
    generations_begin_change(generations, members);
    generations_end_change(generations, members, false, NOW_MS + 500, HOLD_MS);
    after = generations_now(generations, members, NOW_MS + HOLD_MS);
    ck_assert(!may_store(members, after, NOW_MS + HOLD_MS));
    after = generations_now(generations, members, NOW_MS + HOLD_MS + 500);
    ck_assert(may_store(members, after, NOW_MS + HOLD_MS + 500));
}
END_TEST

/* What was fetched before the first hold's end may miss the change that landed by then.
 */
START_TEST(each_of_overlapping_holds_raises_at_its_own_end)
{
    uint64_t held, between;

    generations_begin_change(generations, members);
    generations_begin_change(generations, members);
    generations_end_change(generations, members, false, NOW_MS, HOLD_MS);
    generations_end_change(generations, members, false, NOW_MS + 500, HOLD_MS);
    held = generations_now(generations, members, NOW_MS + HOLD_MS - 1);
    between = generations_now(generations, members, NOW_MS + HOLD_MS);
    ck_assert_uint_gt(between, held);
    ck_assert_uint_eq(generations_now(generations, members, NOW_MS + HOLD_MS + 499),
                      between);
    ck_assert_uint_gt(generations_now(generations, members, NOW_MS + HOLD_MS + 500),
                      between);
}
END_TEST

START_TEST(a_thousand_holds_at_once_store_nothing_before_the_last_is_over)
{
    enum { HOLDS = 1000 };

    for (int i = 0; i < HOLDS; i++)
        generations_begin_change(generations, members);
    for (int i = 0; i < HOLDS; i++)
        generations_end_change(generations, members, false, NOW_MS, HOLD_MS + i);
    for (int i = 0; i < HOLDS; i++)
        ck_assert(!may_store(
            members, generations_now(generations, members, NOW_MS + HOLD_MS + i - 1),
            NOW_MS + HOLD_MS + i - 1));
    ck_assert(may_store(members,
                        generations_now(generations, members, NOW_MS + HOLD_MS + HOLDS),
                        NOW_MS + HOLD_MS + HOLDS));
}
END_TEST

START_TEST(scopes_do_not_touch_each_other)
{
    uint64_t before = now(session);

    generations_begin_change(generations, members);
    generations_end_change(generations, members, false, NOW_MS, HOLD_MS);
    ck_assert_uint_eq(now(session), before);
    ck_assert(may_store(session, before, NOW_MS));
}
END_TEST

START_TEST(a_target_has_a_generation_of_its_own)
{
    int one = generations_target(generations, SPAN("/v1/a"));
    int other = generations_target(generations, SPAN("/v1/b"));
    uint64_t before = generations_target_now(generations, one);
    uint64_t other_before = generations_target_now(generations, other);

    ck_assert_int_eq(generations_target(generations, SPAN("/v1/a")), one);
    generations_raise_target(generations, one);
    ck_assert_uint_ne(generations_target_now(generations, one), before);
    if (other != one) /* kept by hash: they may share one, once in a long while */
        ck_assert_uint_eq(generations_target_now(generations, other), other_before);
}
END_TEST

START_TEST(too_many_scopes_are_refused)
{
    char name[16];

    for (int i = generations_count(generations); i < GENERATIONS_SCOPES; i++) {
        (void)snprintf(name, sizeof(name), "s%d", i);
        ck_assert_int_eq(generations_scope(generations, span_of(name)), i);
    }
    ck_assert_int_eq(generations_scope(generations, SPAN("one more")),
                     GENERATIONS_NO_SCOPE);
}
END_TEST

START_TEST(nothing_is_stored_while_another_gateway_has_marked_the_scope)
{
    generations_mark(generations, members, true);
    generations_mark(generations, members, true);
    ck_assert(!may_store(members, now(members), NOW_MS));
    ck_assert(may_store(session, now(session), NOW_MS));
    generations_mark(generations, members, false); /* it says how it is, not how many */
    ck_assert(may_store(members, now(members), NOW_MS));
}
END_TEST

START_TEST(a_mark_and_a_change_of_ones_own_do_not_end_each_other)
{
    generations_mark(generations, members, true);
    generations_begin_change(generations, members);
    generations_end_change(generations, members, true, NOW_MS, HOLD_MS);
    ck_assert(!may_store(members, now(members), NOW_MS));
    generations_begin_change(generations, members);
    generations_mark(generations, members, false);
    ck_assert(!may_store(members, now(members), NOW_MS));
    generations_end_change(generations, members, true, NOW_MS, HOLD_MS);
    ck_assert(may_store(members, now(members), NOW_MS));
}
END_TEST

START_TEST(a_mark_raises_nothing_and_a_raise_marks_nothing)
{
    uint64_t before = now(members);

    generations_mark(generations, members, true);
    generations_mark(generations, members, false);
    ck_assert_uint_eq(now(members), before);
    generations_raise(generations, members);
    ck_assert_uint_eq(now(members), before + 1);
    ck_assert(!may_store(members, before, NOW_MS));
    ck_assert(may_store(members, before + 1, NOW_MS));
}
END_TEST

static void *change_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++) {
        generations_begin_change(generations, members);
        generations_end_change(generations, members, true, NOW_MS, HOLD_MS);
        (void)generations_scope(generations, SPAN("session"));
    }
    return NULL;
}

START_TEST(changes_of_many_threads_all_count)
{
    pthread_t threads[4];
    uint64_t before = now(members);

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, change_often, NULL), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(now(members), before + 2 * 4 * 10000);
    ck_assert(may_store(members, now(members), NOW_MS));
    ck_assert_int_eq(generations_count(generations), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/generations");
    TCase *rules = suite_case(suite, "rules");

    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_add_test(rules, a_name_is_one_scope);
    tcase_add_test(rules, what_was_fetched_in_the_present_generation_may_be_stored);
    tcase_add_test(rules, a_change_raises_at_its_beginning_and_at_its_end);
    tcase_add_test(rules, nothing_is_stored_while_any_change_is_in_flight);
    tcase_add_test(rules, after_an_unknown_end_nothing_is_stored_until_the_hold_is_over);
    tcase_add_test(rules, a_known_end_does_not_shorten_the_hold_of_another_change);
    tcase_add_test(rules, the_longest_of_overlapping_holds_counts);
    tcase_add_test(rules, each_of_overlapping_holds_raises_at_its_own_end);
    tcase_add_test(rules, a_thousand_holds_at_once_store_nothing_before_the_last_is_over);
    tcase_add_test(rules, scopes_do_not_touch_each_other);
    tcase_add_test(rules, a_target_has_a_generation_of_its_own);
    tcase_add_test(rules, nothing_is_stored_while_another_gateway_has_marked_the_scope);
    tcase_add_test(rules, a_mark_and_a_change_of_ones_own_do_not_end_each_other);
    tcase_add_test(rules, a_mark_raises_nothing_and_a_raise_marks_nothing);
    tcase_add_test(rules, too_many_scopes_are_refused);
    tcase_add_test(rules, changes_of_many_threads_all_count);
    return run_suite(suite);
}
