/* The newest lines of a trail in memory: how they follow the files, and their bound. */
#include "admin/trail_tail.h"

#include "audit/line.h"
#include "audit/sample.h"
#include "support/suite.h"

enum { PLENTY = 1 << 20 };

static struct sample sample;
static struct trail_tail *tail;

static void make(void)
{
    sample_init(&sample);
    sample_begin_file(&sample, "audit.jsonl");
    tail = trail_tail_new(sample.folder.path, PLENTY);
    ck_assert_ptr_nonnull(tail);
}

static void end(void)
{
    trail_tail_free(tail);
    trail_tail_free(NULL);
    sample_fini(&sample);
}

static void catch_up(void)
{
    struct error error;

    sample_flush(&sample);
    ck_assert_msg(trail_tail_catch_up(tail, &error), "%s", error.text);
}

/* Takes the current file's name and begins a new one. */
static void rotate(const char *name)
{
    sample_flush(&sample);
    ck_assert_int_eq(rename(folder_entry(&sample.folder, "audit.jsonl"),
                            folder_entry(&sample.folder, name)),
                     0);
    sample_begin_file(&sample, "audit.jsonl");
}

static uint64_t sequences; /* of the rows found last, added up */

static void count_row(void *context, const struct search_row *row)
{
    struct audit_line cut;
    struct error error;

    ck_assert_msg(audit_line_cut(row->line, &cut, &error), "%s", error.text);
    sequences += cut.sequence;
    ++*(unsigned *)context;
}

/* How many mutations a search for all finds in memory. */
static unsigned count_mutations(void)
{
    unsigned count = 0;
    struct search_filter filter;
    struct search *search;

    sequences = 0;
    search_filter_init(&filter);
    search = search_new(&filter, count_row, &count);
    ck_assert_ptr_nonnull(search);
    ck_assert(trail_tail_feed(tail, search));
    search_finish(search);
    search_free(search);
    return count;
}

START_TEST(an_empty_trail_has_every_line_that_is_to_come)
{
    catch_up();
    ck_assert_uint_eq(trail_tail_last(tail), 0);
    ck_assert(trail_tail_has(tail, 1));
    ck_assert_uint_eq(count_mutations(), 0);
}
END_TEST

START_TEST(lines_are_there_once_they_are_whole)
{
    (void)sample_intent(&sample, 1);
    catch_up();
    ck_assert_uint_eq(trail_tail_last(tail), 1);
    ck_assert_uint_eq(count_mutations(), 1);
    (void)sample_result(&sample, 1);
    sample_add_raw(&sample, "{\"@timestamp\":\"2026");
    catch_up();
    catch_up();
    ck_assert_uint_eq(trail_tail_last(tail), 2);
    ck_assert_uint_eq(count_mutations(), 1);
    ck_assert(trail_tail_has(tail, 1));
    ck_assert(trail_tail_has(tail, 3));
}
END_TEST

START_TEST(rotations_are_followed)
{
    static const char *const names[] = {"audit-000000000001.jsonl",
                                        "audit-000000000003.jsonl",
                                        "audit-000000000005.jsonl"};

    for (unsigned i = 0; i < 3; i++) {
        (void)sample_intent(&sample, i);
        (void)sample_result(&sample, i);
        if (i != 1)
            catch_up();
        rotate(names[i]);
    }
    (void)sample_refused(&sample);
    catch_up();
    ck_assert_uint_eq(trail_tail_last(tail), 7);
    ck_assert_uint_eq(count_mutations(), 4);
    ck_assert_uint_eq(trail_tail_beginnings(tail), 1);
}
END_TEST

START_TEST(it_begins_with_the_last_file_and_knows_what_it_does_not_have)
{
    for (unsigned i = 0; i < 5; i++) {
        (void)sample_intent(&sample, i);
        (void)sample_result(&sample, i);
    }
    rotate("audit-000000000001.jsonl");
    (void)sample_refused(&sample);
    catch_up();
    ck_assert_uint_eq(trail_tail_last(tail), 11);
    ck_assert(trail_tail_has(tail, 11));
    ck_assert(!trail_tail_has(tail, 1));
    ck_assert(!trail_tail_has(tail, 10));
}
END_TEST

START_TEST(the_oldest_go_when_there_are_too_many)
{
    trail_tail_free(tail);
    tail = trail_tail_new(sample.folder.path, 4096);
    for (unsigned i = 0; i < 100; i++) {
        (void)sample_refused(&sample);
        if (i % 7 == 0)
            catch_up();
    }
    catch_up();
    ck_assert_uint_eq(trail_tail_last(tail), 100);
    ck_assert(!trail_tail_has(tail, 1));
    ck_assert(trail_tail_has(tail, 100));
    ck_assert_uint_gt(count_mutations(), 2);
    ck_assert_uint_lt(count_mutations(), 20);
    ck_assert(trail_tail_has(tail, 101 - count_mutations()));
    ck_assert(!trail_tail_has(tail, 100 - count_mutations()));
}
END_TEST

START_TEST(a_line_longer_than_the_bound_is_not_kept)
{
    trail_tail_free(tail);
    tail = trail_tail_new(sample.folder.path, 64);
    (void)sample_refused(&sample);
    catch_up();
    ck_assert_uint_eq(count_mutations(), 0);
    ck_assert_uint_eq(trail_tail_last(tail), 1);
    ck_assert(!trail_tail_has(tail, 1));
    ck_assert(trail_tail_has(tail, 2));
}
END_TEST

START_TEST(lines_that_are_none_of_the_chains_are_left_out)
{
    (void)sample_refused(&sample);
    sample_add_raw(&sample, "rubbish\n{}\n\xff\n\n{\"event.sequence\":99}\n");
    (void)sample_refused(&sample);
    catch_up();
    ck_assert_uint_eq(trail_tail_last(tail), 2);
    ck_assert_uint_eq(count_mutations(), 2);
}
END_TEST

START_TEST(lines_that_are_repeated_count_once)
{
    struct sample_mark mark;

    (void)sample_intent(&sample, 1);
    mark = sample_mark(&sample);
    (void)sample_result(&sample, 1);
    (void)sample_refused(&sample);
    catch_up();
    ck_assert_uint_eq(count_mutations(), 2);
    sample_flush(&sample);
    ck_assert_int_eq(rename(folder_entry(&sample.folder, "audit.jsonl"),
                            folder_entry(&sample.folder, "audit-000000000001.jsonl")),
                     0);
    sample.name = "audit-000000000001.jsonl";
    sample_resume(&sample, "audit.jsonl", &mark, 2);
    (void)sample_result(&sample, 1);
    (void)sample_refused(&sample);
    (void)sample_refused(&sample);
    catch_up();
    ck_assert_uint_eq(trail_tail_last(tail), 5);
    ck_assert_uint_eq(count_mutations(), 3);
    ck_assert_uint_eq(sequences, 1 + 4 + 5); /* where they count, not where they were */
}
END_TEST

START_TEST(a_line_that_says_a_wrong_sequence_hides_no_other)
{
    (void)sample_refused(&sample);
    sample.next = UINT64_C(900000000000000000);
    (void)sample_refused(&sample);
    sample.next = 2;
    (void)sample_refused(&sample);
    catch_up();
    (void)sample_refused(&sample);
    sample.next = 1;
    (void)sample_refused(&sample);
    catch_up();
    ck_assert_uint_eq(count_mutations(), 5);
}
END_TEST

START_TEST(without_its_folder_nothing_is_known)
{
    char moved[512];
    struct error error;

    (void)sample_refused(&sample);
    catch_up();
    snprintf(moved, sizeof(moved), "%s-away", sample.folder.path);
    ck_assert_int_eq(rename(sample.folder.path, moved), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert(!trail_tail_catch_up(tail, &error));
        ck_assert_ptr_nonnull(strstr(error.text, sample.folder.path));
        ck_assert_uint_eq(count_mutations(), 0);
    }
    ck_assert_int_eq(rename(moved, sample.folder.path), 0);
    catch_up();
    ck_assert_uint_eq(count_mutations(), 1);
    ck_assert_uint_eq(trail_tail_beginnings(tail), 2);
}
END_TEST

START_TEST(another_folder_in_its_place_is_read_from_its_beginning)
{
    char moved[512];

    (void)sample_refused(&sample);
    catch_up();
    snprintf(moved, sizeof(moved), "%s-away", sample.folder.path);
    ck_assert_int_eq(rename(sample.folder.path, moved), 0);
    ck_assert_int_eq(mkdir(sample.folder.path, 0700), 0);
    catch_up();
    ck_assert_uint_eq(trail_tail_last(tail), 0);
    ck_assert_uint_eq(count_mutations(), 0);
    ck_assert_int_eq(rmdir(sample.folder.path), 0);
    ck_assert_int_eq(rename(moved, sample.folder.path), 0);
    catch_up();
    ck_assert_uint_eq(count_mutations(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admin/trail_tail");
    TCase *tcase = suite_case(suite, "trail_tail");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_test(tcase, an_empty_trail_has_every_line_that_is_to_come);
    tcase_add_test(tcase, lines_are_there_once_they_are_whole);
    tcase_add_test(tcase, rotations_are_followed);
    tcase_add_test(tcase, it_begins_with_the_last_file_and_knows_what_it_does_not_have);
    tcase_add_test(tcase, the_oldest_go_when_there_are_too_many);
    tcase_add_test(tcase, a_line_longer_than_the_bound_is_not_kept);
    tcase_add_test(tcase, lines_that_are_none_of_the_chains_are_left_out);
    tcase_add_test(tcase, lines_that_are_repeated_count_once);
    tcase_add_test(tcase, a_line_that_says_a_wrong_sequence_hides_no_other);
    tcase_add_test(tcase, without_its_folder_nothing_is_known);
    tcase_add_test(tcase, another_folder_in_its_place_is_read_from_its_beginning);
    return run_suite(suite);
}
