#include "cluster/marks.h"

#include "support/suite.h"

static struct marks marks;

static struct cluster_errand begin(const char *id)
{
    struct cluster_errand errand = {.kind = CLUSTER_BEGIN, .scopes = {5}};

    (void)snprintf(errand.id, sizeof(errand.id), "%s", id);
    return errand;
}

static void add(const char *id)
{
    struct cluster_errand errand = begin(id);

    ck_assert_ptr_nonnull(marks_add(&marks, &errand));
}

static void teardown(void)
{
    marks_clear(&marks);
}

START_TEST(a_new_mark_has_the_changes_scopes_and_is_not_over)
{
    const struct mark *mark;

    add("a");
    mark = marks_find(&marks, "a");
    ck_assert_ptr_nonnull(mark);
    ck_assert_uint_eq(mark->scopes[0], 5);
    ck_assert(!mark->is_over && !mark->is_known);
    ck_assert_int_eq(mark->until_ms, 0); /* Redis does not have it yet */
}
END_TEST

START_TEST(each_mark_is_found_by_its_own_id)
{
    add("a");
    add("b");
    ck_assert_str_eq(marks_find(&marks, "a")->id, "a");
    ck_assert_str_eq(marks_find(&marks, "b")->id, "b");
    ck_assert_ptr_null(marks_find(&marks, "c"));
}
END_TEST

START_TEST(removing_one_leaves_the_others)
{
    static const char *const ids[] = {"a", "b", "c"};

    for (int gone = 0; gone < ROWS(ids); gone++) {
        for (int i = 0; i < ROWS(ids); i++)
            add(ids[i]);
        marks_remove(&marks, ids[gone]);
        for (int i = 0; i < ROWS(ids); i++)
            ck_assert_int_eq(marks_find(&marks, ids[i]) == NULL, i == gone);
        marks_clear(&marks);
    }
}
END_TEST

START_TEST(removing_one_that_is_not_there_does_nothing)
{
    marks_remove(&marks, "a");
    add("b");
    marks_remove(&marks, "a");
    ck_assert_ptr_nonnull(marks_find(&marks, "b"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cluster/marks");
    TCase *rules = suite_case(suite, "rules");

    tcase_add_checked_fixture(rules, NULL, teardown);
    tcase_add_test(rules, a_new_mark_has_the_changes_scopes_and_is_not_over);
    tcase_add_test(rules, each_mark_is_found_by_its_own_id);
    tcase_add_test(rules, removing_one_leaves_the_others);
    tcase_add_test(rules, removing_one_that_is_not_there_does_nothing);
    return run_suite(suite);
}
