/* The watch on one file: which changes it reports, once each, and when it asks again. */
#include "gateway/watch.h"

#include "base/clock.h"
#include "support/folder.h"

static struct folder folder;
static struct event_base *base;
static struct watch *watch;
static unsigned changes, failures_left;

/* Longer than a change may stay unseen and a file take to settle. */
enum { LONG_MS = WATCH_LOOK_MS + 4 * WATCH_SETTLE_MS };

static bool on_change(void *arg)
{
    (void)arg;
    changes++;
    if (failures_left == 0)
        return true;
    failures_left--;
    return false;
}

static void follow(const char *path)
{
    struct file_identity known;

    file_identify(path, &known);
    ck_assert(watch_follow(watch, path, &known));
}

static void set_up(void)
{
    struct error error;

    folder_make(&folder);
    base = event_base_new();
    ck_assert_ptr_nonnull(base);
    changes = failures_left = 0;
    watch = watch_new(base, on_change, NULL, &error);
    ck_assert_msg(watch != NULL, "%s", error.text);
}

static void tear_down(void)
{
    watch_free(watch);
    watch_free(NULL);
    event_base_free(base);
    folder_remove(&folder);
}

/* Runs the loop for so long, or until so many changes have been reported. */
static void run(unsigned until, int ms)
{
    int64_t end = clock_monotonic_ms() + ms;

    while (changes < until && clock_monotonic_ms() < end) {
        const struct timeval step = {.tv_usec = 5000};

        ck_assert_int_eq(event_base_loopexit(base, &step), 0);
        ck_assert_int_ge(event_base_dispatch(base), 0);
    }
}

/* It is reported within a second, and only once. */
static void must_report_once(void)
{
    changes = 0;
    run(1, 1000);
    ck_assert_uint_eq(changes, 1);
    run(2, LONG_MS);
    ck_assert_uint_eq(changes, 1);
}

static const char *write_file(const char *name, const char *content)
{
    return folder_write(&folder, name, span_of(content), 0600);
}

START_TEST(what_is_known_is_not_reported)
{
    follow(write_file("c", "one"));
    run(1, LONG_MS);
    ck_assert_uint_eq(changes, 0);
}
END_TEST

START_TEST(a_change_between_reading_and_watching_is_reported)
{
    struct file_identity known;
    const char *path = write_file("c", "one");

    file_identify(path, &known);
    (void)write_file("c", "three");
    ck_assert(watch_follow(watch, path, &known));
    must_report_once();
}
END_TEST

START_TEST(a_file_written_anew_in_place_is_reported)
{
    follow(write_file("c", "one"));
    (void)write_file("c", "two");
    must_report_once();
}
END_TEST

START_TEST(a_file_replaced_by_rename_is_reported)
{
    const char *path = write_file("c", "one");

    follow(path);
    ck_assert_int_eq(rename(write_file("new", "two"), path), 0);
    must_report_once();
}
END_TEST

START_TEST(another_mode_is_a_change)
{
    const char *path = write_file("c", "one");

    follow(path);
    ck_assert_int_eq(chmod(path, 0644), 0);
    must_report_once();
}
END_TEST

START_TEST(a_file_that_goes_and_one_that_comes_are_changes)
{
    const char *path = write_file("c", "one");

    follow(path);
    ck_assert_int_eq(unlink(path), 0);
    must_report_once();
    (void)write_file("c", "one");
    must_report_once();
}
END_TEST

START_TEST(other_files_of_the_folder_are_no_change)
{
    follow(write_file("c", "one"));
    (void)write_file("d", "one");
    ck_assert_int_eq(rename(folder_entry(&folder, "d"), folder_entry(&folder, "e")), 0);
    run(1, LONG_MS);
    ck_assert_uint_eq(changes, 0);
}
END_TEST

/* kubelet: c -> ..data/c, ..data -> ..1, swapped by a rename of the link. */
START_TEST(a_swapped_link_to_a_folder_is_a_change)
{
    ck_assert_int_eq(mkdir(folder_entry(&folder, "..1"), 0700), 0);
    ck_assert_int_eq(mkdir(folder_entry(&folder, "..2"), 0700), 0);
    (void)write_file("..1/c", "one");
    (void)write_file("..2/c", "two");
    ck_assert_int_eq(symlink("..1", folder_entry(&folder, "..data")), 0);
    ck_assert_int_eq(symlink("..data/c", folder_entry(&folder, "c")), 0);
    follow(folder_entry(&folder, "c"));
    ck_assert_int_eq(symlink("..2", folder_entry(&folder, "..tmp")), 0);
    ck_assert_int_eq(
        rename(folder_entry(&folder, "..tmp"), folder_entry(&folder, "..data")), 0);
    must_report_once();
}
END_TEST

/* inotify is on the link's folder: only a look finds these. */
START_TEST(a_change_behind_a_link_to_elsewhere_is_found)
{
    ck_assert_int_eq(mkdir(folder_entry(&folder, "there"), 0700), 0);
    (void)write_file("there/c", "one");
    ck_assert_int_eq(symlink("there/c", folder_entry(&folder, "c")), 0);
    follow(folder_entry(&folder, "c"));
    (void)write_file("there/c", "two");
    must_report_once();
}
END_TEST

START_TEST(a_folder_that_was_replaced_is_watched_again)
{
    const char *inner = folder_entry(&folder, "f");

    ck_assert_int_eq(mkdir(inner, 0700), 0);
    follow(write_file("f/c", "one"));
    ck_assert_int_eq(rename(inner, folder_entry(&folder, "old")), 0);
    ck_assert_int_eq(mkdir(inner, 0700), 0);
    (void)write_file("f/c", "two");
    must_report_once();
    ck_assert_int_eq(rename(write_file("f/new", "three"), folder_entry(&folder, "f/c")),
                     0);
    must_report_once();
}
END_TEST

START_TEST(what_was_not_taken_is_offered_again_until_it_is)
{
    follow(write_file("c", "one"));
    failures_left = 2;
    (void)write_file("c", "two");
    run(3, 3 * LONG_MS);
    ck_assert_uint_eq(changes, 3);
    run(4, LONG_MS);
    ck_assert_uint_eq(changes, 3);
}
END_TEST

START_TEST(a_file_that_never_keeps_still_is_reported_all_the_same)
{
    int64_t end = clock_monotonic_ms() + 1000;
    unsigned seen;

    follow(write_file("c", "one"));
    while (clock_monotonic_ms() < end) {
        (void)write_file("c", "again");
        run(UINT32_MAX, 10);
    }
    ck_assert_uint_ge(changes, 1);
    seen = changes;
    run(seen + 1, LONG_MS); /* its last state is */
    ck_assert_uint_ge(changes, seen + 1);
}
END_TEST

START_TEST(another_path_may_be_followed)
{
    const char *first = write_file("c", "one");

    follow(first);
    follow(write_file("d", "one"));
    (void)write_file("c", "two");
    run(1, LONG_MS);
    ck_assert_uint_eq(changes, 0);
    (void)write_file("d", "two");
    must_report_once();
}
END_TEST

START_TEST(a_file_without_a_folder_in_its_path_is_watched)
{
    ck_assert_int_eq(chdir(folder.path), 0);
    (void)write_file("c", "one");
    follow("c");
    (void)write_file("c", "two");
    must_report_once();
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/watch");
    TCase *tcase = suite_case(suite, "changes");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, what_is_known_is_not_reported);
    tcase_add_test(tcase, a_change_between_reading_and_watching_is_reported);
    tcase_add_test(tcase, a_file_written_anew_in_place_is_reported);
    tcase_add_test(tcase, a_file_replaced_by_rename_is_reported);
    tcase_add_test(tcase, another_mode_is_a_change);
    tcase_add_test(tcase, a_file_that_goes_and_one_that_comes_are_changes);
    tcase_add_test(tcase, other_files_of_the_folder_are_no_change);
    tcase_add_test(tcase, a_swapped_link_to_a_folder_is_a_change);
    tcase_add_test(tcase, a_change_behind_a_link_to_elsewhere_is_found);
    tcase_add_test(tcase, a_folder_that_was_replaced_is_watched_again);
    tcase_add_test(tcase, what_was_not_taken_is_offered_again_until_it_is);
    tcase_add_test(tcase, a_file_that_never_keeps_still_is_reported_all_the_same);
    tcase_add_test(tcase, another_path_may_be_followed);
    tcase_add_test(tcase, a_file_without_a_folder_in_its_path_is_watched);
    return run_suite_in_folder(suite);
}
