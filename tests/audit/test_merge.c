#include "audit/merge.h"

#include "audit/line.h"
#include "base/clock.h"
#include "base/text.h"
#include "support/folder.h"

enum { TRAILS = 3 };

static struct folder folder;
static const char *folders[TRAILS];
static unsigned sequences[TRAILS];
static struct search_filter filter;
static struct text problems;

static void begin(void)
{
    static const char *const names[] = {"0", "1", "2"};

    folder_make(&folder);
    for (size_t i = 0; i < TRAILS; i++) {
        folders[i] = folder_entry(&folder, names[i]);
        ck_assert_int_eq(mkdir(folders[i], 0700), 0);
        sequences[i] = 0;
    }
    search_filter_init(&filter);
}

static void end(void)
{
    text_fini(&problems);
    folder_remove(&folder);
}

static void append(size_t trail, const char *bytes)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/audit.jsonl", folders[trail]);
    file = fopen(path, "a");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(bytes, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* A line of a mutation, at that second; the chain is the trail's number. */
static void add(size_t trail, const char *phase, const char *id, int second)
{
    struct text line = {0};
    char time[CLOCK_TEXT_BYTES];

    clock_format_utc(INT64_C(1795453200000) + second * 1000, time);
    text_add_format(&line,
                    "{\"@timestamp\":\"%s\",\"event.id\":\"%s\",\"proxy.phase\":\"%s\","
                    "\"event.outcome\":\"success\",\"event.sequence\":%u,"
                    "\"proxy.chain_id\":\"%032zu\",\"proxy.prev_hash\":\"%064d\"}\n",
                    time, id, phase, ++sequences[trail], trail, 0);
    append(trail, line.bytes);
    text_fini(&line);
}

static void add_whole(size_t trail, const char *id, int second)
{
    add(trail, "intent", id, second);
    add(trail, "result", id, second);
}

static void on_problem(void *context, size_t trail, const struct error *problem)
{
    (void)context;
    text_add_format(&problems, "%zu: %s\n", trail, problem->text);
}

static struct audit_merge *open_merge(void)
{
    struct audit_merge *merge =
        audit_merge_new(folders, TRAILS, &filter, on_problem, NULL);

    ck_assert_ptr_nonnull(merge);
    return merge;
}

/* The rows as "trail:id" with "?" behind those without a result. */
static void must_give(const char *wanted)
{
    struct audit_merge *merge = open_merge();
    struct text got = {0};
    struct search_row row;
    enum audit_merge_read read;
    size_t trail;

    while ((read = audit_merge_next(merge, &row, &trail)) == AUDIT_MERGE_ROW) {
        struct span id;

        ck_assert(audit_line_find_string(row.line, SPAN("event.id"), &id));
        text_add_format(&got, "%s%zu:%.*s%s", got.len > 0 ? " " : "", trail, (int)id.len,
                        id.at, row.outcome == SEARCH_UNFINISHED ? "?" : "");
    }
    ck_assert_int_eq(read, AUDIT_MERGE_END);
    ck_assert_int_eq(audit_merge_next(merge, &row, &trail), AUDIT_MERGE_END);
    ck_assert_str_eq(got.bytes != NULL ? got.bytes : "", wanted);
    text_fini(&got);
    audit_merge_free(merge);
}

static void must_have_problem(const char *wanted)
{
    text_add(&problems, SPAN(""));
    ck_assert_msg(problems.bytes != NULL && strstr(problems.bytes, wanted) != NULL,
                  "no '%s' in '%s'", wanted, problems.bytes);
}

START_TEST(rows_come_by_the_time_of_their_intents)
{
    add_whole(2, "a", 1);
    add_whole(0, "b", 2);
    add_whole(2, "c", 3);
    add_whole(1, "d", 4);
    must_give("2:a 0:b 2:c 1:d");
}
END_TEST

START_TEST(at_one_time_the_first_trail_comes_first)
{
    add_whole(1, "a", 1);
    add_whole(1, "b", 1);
    add_whole(0, "c", 1);
    add_whole(2, "d", 1);
    must_give("0:c 1:a 1:b 2:d");
}
END_TEST

START_TEST(a_chain_keeps_its_order_whatever_its_clock_did)
{
    add_whole(0, "a", 9);
    add_whole(0, "b", 1);
    add_whole(1, "c", 5);
    must_give("1:c 0:a 0:b");
}
END_TEST

START_TEST(one_id_in_two_trails_is_two_mutations)
{
    add(0, "intent", "a", 1);
    add(1, "intent", "a", 2);
    add(1, "result", "a", 3);
    must_give("0:a? 1:a");
}
END_TEST

START_TEST(rows_that_wait_for_an_earlier_one_come_after_it)
{
    add(0, "intent", "a", 1);
    add_whole(0, "b", 3);
    add(0, "intent", "c", 5);
    add_whole(1, "d", 2);
    add_whole(1, "e", 4);
    add(0, "result", "a", 6);
    must_give("0:a 1:d 0:b 1:e 0:c?");
}
END_TEST

START_TEST(a_filter_goes_for_all_trails)
{
    add(0, "intent", "a", 1);
    add_whole(1, "a", 2);
    add_whole(2, "b", 3);
    filter.event_id = "a";
    filter.outcomes = 1u << SEARCH_SUCCESS;
    must_give("1:a");
}
END_TEST

START_TEST(a_trail_that_is_not_there_is_told_and_the_others_are_read)
{
    struct audit_merge *merge;

    add_whole(2, "a", 1);
    ck_assert_int_eq(rmdir(folders[1]), 0);
    merge = open_merge();
    ck_assert_uint_eq(audit_merge_opened(merge), 2);
    audit_merge_free(merge);
    must_have_problem("1: cannot read the folder ");
    must_give("2:a");
}
END_TEST

START_TEST(a_line_that_is_none_is_told_with_its_place)
{
    add_whole(0, "a", 1);
    append(0, "nothing\n");
    add_whole(0, "b", 2);
    must_give("0:a 0:b");
    must_have_problem("/0/audit.jsonl:3: ");
}
END_TEST

START_TEST(copies_and_torn_ends_are_known_at_the_end)
{
    struct search_row row;
    struct audit_merge *merge;
    size_t trail;

    add_whole(0, "a", 1);
    add_whole(2, "b", 2);
    append(2, "{\"torn");
    merge = open_merge();
    while (audit_merge_next(merge, &row, &trail) == AUDIT_MERGE_ROW)
        continue;
    ck_assert(!audit_merge_has_torn_end(merge, 0));
    ck_assert(audit_merge_has_torn_end(merge, 2));
    for (size_t i = 0; i < TRAILS; i++)
        ck_assert_uint_eq(audit_merge_copy_of(merge, i), i);
    audit_merge_free(merge);
    ck_assert_int_eq(rmdir(folders[1]), 0);
    folders[1] = folders[0];
    merge = open_merge();
    while (audit_merge_next(merge, &row, &trail) == AUDIT_MERGE_ROW)
        continue;
    ck_assert_uint_eq(audit_merge_copy_of(merge, 1), 0);
    audit_merge_free(merge);
}
END_TEST

START_TEST(what_nobody_took_is_freed)
{
    struct search_row row;
    struct audit_merge *merge;
    size_t trail;

    add(0, "intent", "a", 1);
    add_whole(0, "b", 2);
    add_whole(0, "c", 3);
    add(0, "result", "a", 4);
    merge = open_merge();
    ck_assert_int_eq(audit_merge_next(merge, &row, &trail), AUDIT_MERGE_ROW);
    audit_merge_free(merge);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/merge");
    TCase *order = suite_case(suite, "order");
    TCase *rest = suite_case(suite, "rest");

    tcase_add_checked_fixture(order, begin, end);
    tcase_add_test(order, rows_come_by_the_time_of_their_intents);
    tcase_add_test(order, at_one_time_the_first_trail_comes_first);
    tcase_add_test(order, a_chain_keeps_its_order_whatever_its_clock_did);
    tcase_add_test(order, one_id_in_two_trails_is_two_mutations);
    tcase_add_test(order, rows_that_wait_for_an_earlier_one_come_after_it);
    tcase_add_checked_fixture(rest, begin, end);
    tcase_add_test(rest, a_filter_goes_for_all_trails);
    tcase_add_test(rest, a_trail_that_is_not_there_is_told_and_the_others_are_read);
    tcase_add_test(rest, a_line_that_is_none_is_told_with_its_place);
    tcase_add_test(rest, copies_and_torn_ends_are_known_at_the_end);
    tcase_add_test(rest, what_nobody_took_is_freed);
    return run_suite_in_folder(suite);
}
