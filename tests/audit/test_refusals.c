/* Refused attempts: ten a minute for each source, then one count, in bounded memory. */
#include "audit/refusals.h"

#include <pthread.h>

#include "support/suite.h"

enum { START_MS = 1000000, MINUTE = REFUSALS_MINUTE_MS };

static struct refusals *refusals;

static void make(void)
{
    refusals = refusals_new();
    ck_assert_ptr_nonnull(refusals);
}

static void end(void)
{
    refusals_free(refusals);
    refusals_free(NULL);
}

/* Refuses so often; how many of those are recorded. */
static int refuse(const char *source, int times, int64_t now_ms)
{
    int recorded = 0;

    for (int i = 0; i < times; i++)
        recorded += refusals_admit(refusals, span_of(source), now_ms);
    return recorded;
}

static void assert_summary(int64_t now_ms, const char *source, uint64_t count)
{
    struct refusals_summary summary;

    ck_assert_int_le(refusals_next_due_ms(refusals), now_ms);
    ck_assert(refusals_next_summary(refusals, now_ms, &summary));
    ck_assert_str_eq(summary.source, source);
    ck_assert_uint_eq(summary.count, count);
}

static void assert_nothing_due(int64_t now_ms)
{
    struct refusals_summary summary;

    ck_assert_int_gt(refusals_next_due_ms(refusals), now_ms);
    ck_assert(!refusals_next_summary(refusals, now_ms, &summary));
}

START_TEST(ten_are_recorded_and_the_rest_is_counted_once)
{
    ck_assert_int_eq(refuse("10.0.0.1", 37, START_MS), 10);
    ck_assert_int_eq(refusals_next_due_ms(refusals), START_MS + MINUTE);
    assert_nothing_due(START_MS + MINUTE - 1);
    assert_summary(START_MS + MINUTE, "10.0.0.1", 27);
    ck_assert_int_eq(refusals_next_due_ms(refusals), REFUSALS_NEVER);
    assert_nothing_due(REFUSALS_NEVER - 1);
}
END_TEST

START_TEST(few_are_all_recorded_and_nothing_is_told)
{
    ck_assert_int_eq(refuse("10.0.0.1", 10, START_MS), 10);
    assert_nothing_due(START_MS + 2 * MINUTE);
    ck_assert_int_eq(refusals_next_due_ms(refusals), REFUSALS_NEVER);
}
END_TEST

START_TEST(a_minute_begins_with_the_first)
{
    ck_assert_int_eq(refuse("a", 5, START_MS), 5);
    ck_assert_int_eq(refuse("a", 7, START_MS + MINUTE - 1), 5);
    ck_assert_int_eq(refuse("a", 3, START_MS + MINUTE), 3);
    assert_summary(START_MS + MINUTE, "a", 2);
    ck_assert_int_eq(refuse("a", 8, START_MS + 2 * MINUTE - 1), 7);
    assert_nothing_due(START_MS + 2 * MINUTE - 1);
    assert_summary(START_MS + 2 * MINUTE, "a", 1);
}
END_TEST

START_TEST(sources_do_not_share)
{
    ck_assert_int_eq(refuse("10.0.0.1", 11, START_MS), 10);
    ck_assert_int_eq(refuse("10.0.0.10", 10, START_MS), 10);
    ck_assert_int_eq(refuse("", 12, START_MS + 1), 10);
    ck_assert_int_eq(refuse("unix uid 1000", 13, START_MS + 2), 10);
    assert_summary(START_MS + MINUTE, "10.0.0.1", 1);
    assert_nothing_due(START_MS + MINUTE);
    assert_summary(START_MS + MINUTE + 1, "", 2);
    assert_summary(START_MS + MINUTE + 2, "unix uid 1000", 3);
}
END_TEST

/* Nobody asked between: what is left of the first minute is told, at once. */
START_TEST(a_count_is_not_put_off_by_new_refusals)
{
    ck_assert_int_eq(refuse("a", 14, START_MS), 10);
    ck_assert_int_eq(refuse("a", 12, START_MS + MINUTE), 10);
    assert_summary(START_MS + MINUTE, "a", 4);
    assert_nothing_due(START_MS + MINUTE);
    assert_summary(START_MS + 2 * MINUTE, "a", 2);

    ck_assert_int_eq(refuse("a", 14, START_MS + 2 * MINUTE), 10);
    ck_assert_int_eq(refuse("a", 12, START_MS + 3 * MINUTE), 10);
    assert_summary(START_MS + 4 * MINUTE, "a", 6);
    assert_nothing_due(START_MS + 4 * MINUTE);
}
END_TEST

START_TEST(at_the_stop_everything_is_due)
{
    ck_assert_int_eq(refuse("a", 14, START_MS), 10);
    ck_assert_int_eq(refuse("b", 10, START_MS), 10);
    ck_assert_int_eq(refuse("c", 11, START_MS), 10);
    assert_summary(REFUSALS_NEVER, "a", 4);
    assert_summary(REFUSALS_NEVER, "c", 1);
    ck_assert_int_eq(refusals_next_due_ms(refusals), REFUSALS_NEVER);
}
END_TEST

static void name_number(char name[32], int number)
{
    (void)snprintf(name, 32, "192.0.2.%d", number);
}

START_TEST(what_does_not_fit_is_one_source)
{
    char name[32];

    for (int i = 0; i < REFUSALS_SOURCES; i++) {
        name_number(name, i);
        ck_assert_int_eq(refuse(name, 1, START_MS), 1);
    }
    for (int i = 0; i < 25; i++) {
        name_number(name, REFUSALS_SOURCES + i);
        ck_assert_int_eq(refuse(name, 1, START_MS + 5), i < 10 ? 1 : 0);
    }
    ck_assert_int_eq(refuse("192.0.2.0", 9, START_MS + 5), 9);
    assert_nothing_due(START_MS + MINUTE);
    assert_summary(START_MS + MINUTE + 5, REFUSALS_OTHERS, 15);
    assert_nothing_due(START_MS + MINUTE + 5);
}
END_TEST

START_TEST(a_place_is_free_again_after_its_minute)
{
    const int64_t later_ms = START_MS + MINUTE;
    char name[32];

    for (int i = 0; i < REFUSALS_SOURCES; i++) {
        name_number(name, i);
        (void)refuse(name, i == 7 ? 12 : 1, START_MS);
    }
    /* One has a count and keeps its place until that is told. */
    for (int i = 0; i < REFUSALS_SOURCES - 1; i++) {
        name_number(name, REFUSALS_SOURCES + i);
        ck_assert_int_eq(refuse(name, 10, later_ms), 10);
    }
    ck_assert_int_eq(refuse("shares", 11, later_ms), 10);
    assert_summary(later_ms, "192.0.2.7", 2);
    ck_assert_int_eq(refuse("has its own", 11, later_ms), 10);
    ck_assert_int_eq(refuse("shares", 1, later_ms), 0);
    assert_summary(later_ms + MINUTE, "has its own", 1);
    assert_summary(later_ms + MINUTE, REFUSALS_OTHERS, 2);
    assert_nothing_due(later_ms + MINUTE);
}
END_TEST

START_TEST(a_long_source_is_cut)
{
    char name[REFUSALS_SOURCE_BYTES + 11], cut[REFUSALS_SOURCE_BYTES + 1];

    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    memset(cut, 'x', sizeof(cut));
    cut[sizeof(cut) - 1] = '\0';
    ck_assert_int_eq(refuse(name, 6, START_MS), 6);
    ck_assert_int_eq(refuse(cut, 6, START_MS), 4);
    assert_summary(START_MS + MINUTE, cut, 2);
}
END_TEST

/* The model: the same rules with no bound and no thought of cost. */

enum { SOURCES = 40, STEPS = 60000 };

struct model {
    int64_t begun_ms;
    int recorded;
    uint64_t counted, due;
};

struct numbers {
    uint64_t state;
};

static size_t below(struct numbers *numbers, size_t limit)
{
    numbers->state ^= numbers->state << 13;
    numbers->state ^= numbers->state >> 7;
    numbers->state ^= numbers->state << 17;
    return (size_t)(numbers->state >> 11) % limit;
}

static bool model_admit(struct model *model, int64_t now_ms)
{
    if (model->begun_ms + MINUTE <= now_ms) {
        model->due += model->counted;
        *model = (struct model){.begun_ms = now_ms, .due = model->due};
    }
    if (model->recorded < 10) {
        model->recorded++;
        return true;
    }
    model->counted++;
    return false;
}

static uint64_t model_due(const struct model *model, int64_t now_ms)
{
    return model->due + (model->begun_ms + MINUTE <= now_ms ? model->counted : 0);
}

static int64_t model_next_due_ms(const struct model *models)
{
    int64_t earliest = REFUSALS_NEVER;

    for (int i = 0; i < SOURCES; i++) {
        int64_t due = models[i].due > 0       ? models[i].begun_ms
                      : models[i].counted > 0 ? models[i].begun_ms + MINUTE
                                              : REFUSALS_NEVER;

        earliest = due < earliest ? due : earliest;
    }
    return earliest;
}

/* Every summary is what the model says, and afterwards the model has none left. */
static void check_summaries(struct model *models, int64_t now_ms)
{
    struct refusals_summary summary;

    while (refusals_next_summary(refusals, now_ms, &summary)) {
        struct model *model = &models[strtol(strrchr(summary.source, '.') + 1, NULL, 10)];

        ck_assert_uint_gt(summary.count, 0);
        ck_assert_uint_eq(summary.count, model_due(model, now_ms));
        if (model->begun_ms + MINUTE <= now_ms)
            model->counted = 0;
        model->due = 0;
    }
    for (int i = 0; i < SOURCES; i++)
        ck_assert_uint_eq(model_due(&models[i], now_ms), 0);
}

static const uint64_t seeds[] = {1, 77, 20261123, 0x9e3779b97f4a7c15};

START_TEST(it_does_what_a_plain_model_does)
{
    struct numbers numbers = {seeds[_i]};
    struct model models[SOURCES];
    int64_t now_ms = START_MS;
    char name[32];

    for (int i = 0; i < SOURCES; i++)
        models[i] = (struct model){.begun_ms = -MINUTE};
    for (int i = 0; i < STEPS; i++) {
        size_t which = below(&numbers, below(&numbers, SOURCES) + 1);

        name_number(name, (int)which);
        ck_assert_int_eq(refusals_admit(refusals, span_of(name), now_ms),
                         model_admit(&models[which], now_ms));
        ck_assert_int_eq(refusals_next_due_ms(refusals), model_next_due_ms(models));
        if (below(&numbers, 4) == 0)
            now_ms += (int64_t)below(&numbers, below(&numbers, 50) == 0 ? 70000 : 900);
        if (below(&numbers, 20) == 0)
            check_summaries(models, now_ms);
    }
    check_summaries(models, now_ms + MINUTE);
    ck_assert_int_eq(refusals_next_due_ms(refusals), REFUSALS_NEVER);
}
END_TEST

/* With more sources than fit, still none is lost: recorded and counted make the whole. */
START_TEST(every_refusal_is_recorded_or_counted)
{
    struct numbers numbers = {seeds[_i]};
    struct refusals_summary summary;
    int64_t now_ms = START_MS;
    uint64_t recorded = 0, counted = 0;
    char name[32];

    for (int i = 0; i < STEPS; i++) {
        name_number(name, (int)below(&numbers, below(&numbers, 8) == 0 ? 3000 : 5));
        recorded += refusals_admit(refusals, span_of(name), now_ms);
        now_ms += below(&numbers, 10) == 0 ? 40 : 0;
        while (below(&numbers, 500) == 0 &&
               refusals_next_summary(refusals, now_ms, &summary))
            counted += summary.count;
    }
    while (refusals_next_summary(refusals, REFUSALS_NEVER, &summary))
        counted += summary.count;
    ck_assert_uint_eq(recorded + counted, STEPS);
}
END_TEST

enum { THREADS = 4, ROUNDS = 20000 };

static void *refuse_often(void *recorded)
{
    *(int *)recorded = refuse("10.0.0.1", ROUNDS, START_MS);
    return NULL;
}

START_TEST(threads_share_the_limit)
{
    pthread_t threads[THREADS];
    int recorded[THREADS], sum = 0;

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, refuse_often, &recorded[i]),
                         0);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        sum += recorded[i];
    }
    ck_assert_int_eq(sum, REFUSALS_RECORDED);
    assert_summary(START_MS + MINUTE, "10.0.0.1", THREADS * ROUNDS - REFUSALS_RECORDED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/refusals");
    TCase *limit = suite_case(suite, "limit");
    TCase *bound = suite_case(suite, "bound");
    TCase *random = suite_case(suite, "random");
    TCase *cases[] = {limit, bound, random};

    for (int i = 0; i < ROWS(cases); i++)
        tcase_add_checked_fixture(cases[i], make, end);
    tcase_add_test(limit, ten_are_recorded_and_the_rest_is_counted_once);
    tcase_add_test(limit, few_are_all_recorded_and_nothing_is_told);
    tcase_add_test(limit, a_minute_begins_with_the_first);
    tcase_add_test(limit, sources_do_not_share);
    tcase_add_test(limit, a_count_is_not_put_off_by_new_refusals);
    tcase_add_test(limit, at_the_stop_everything_is_due);
    tcase_add_test(limit, threads_share_the_limit);
    tcase_add_test(bound, what_does_not_fit_is_one_source);
    tcase_add_test(bound, a_place_is_free_again_after_its_minute);
    tcase_add_test(bound, a_long_source_is_cut);
    tcase_add_loop_test(random, it_does_what_a_plain_model_does, 0, ROWS(seeds));
    tcase_add_loop_test(random, every_refusal_is_recorded_or_counted, 0, ROWS(seeds));
    return run_suite(suite);
}
