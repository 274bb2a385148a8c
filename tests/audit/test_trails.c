#include "audit/trails.h"

#include "base/text.h"
#include "support/folder.h"

static struct folder folder;

static void make_folder(void)
{
    folder_make(&folder);
}

static void remove_folder(void)
{
    folder_remove(&folder);
}

/* Makes the folders down to the last name, and there an empty file of a trail. */
static void make_trail(const char *path)
{
    char name[256];

    for (const char *slash = strchr(path, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        (void)snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
        (void)mkdir(folder_entry(&folder, name), 0700);
    }
    (void)mkdir(folder_entry(&folder, path), 0700);
    (void)snprintf(name, sizeof(name), "%s/audit.jsonl", path);
    (void)folder_write(&folder, name, SPAN(""), 0600);
}

static void find(const char *const *named, size_t count, struct audit_trails *trails)
{
    struct error error;

    ck_assert_msg(audit_trails_find(named, count, trails, &error), "%s", error.text);
}

/* What is found, by its name, in and under one folder. */
static void must_be(const char *named, const char *wanted)
{
    struct audit_trails trails;
    struct text got = {0};

    find(&named, 1, &trails);
    for (size_t i = 0; i < trails.count; i++)
        text_add_format(&got, "%s%s", i > 0 ? " " : "", audit_trails_name(&trails, i));
    ck_assert_str_eq(got.bytes != NULL ? got.bytes : "", wanted);
    text_fini(&got);
    audit_trails_fini(&trails);
}

START_TEST(a_folder_with_a_trail_is_itself)
{
    struct audit_trails trails;
    const char *named;

    make_trail("gw");
    named = folder_entry(&folder, "gw/");
    find(&named, 1, &trails);
    ck_assert_uint_eq(trails.count, 1);
    ck_assert_str_eq(trails.folders[0].path, named);
    ck_assert(trails.is_single);
    audit_trails_fini(&trails);
}
END_TEST

START_TEST(trails_below_are_found_in_the_order_of_their_paths)
{
    make_trail("b");
    make_trail("a/z");
    make_trail("a/b/c/d");
    must_be(folder.path, "a/b/c/d a/z b");
}
END_TEST

START_TEST(a_fifth_folder_down_is_not_looked_into)
{
    make_trail("1/2/3/4");
    make_trail("5/4/3/2/1");
    must_be(folder.path, "4");
}
END_TEST

START_TEST(a_trail_may_lie_above_others)
{
    make_trail("gw/old");
    make_trail("gw");
    must_be(folder_entry(&folder, "gw"), ". old");
    must_be(folder_entry(&folder, "gw/"), ". old");
}
END_TEST

START_TEST(names_that_begin_alike_are_told_apart)
{
    make_trail("logs/gw-1");
    make_trail("logs/gw-10");
    must_be(folder_entry(&folder, "logs"), "gw-1 gw-10");
}
END_TEST

START_TEST(a_folder_without_a_trail_is_itself_too)
{
    struct audit_trails trails;

    find(&folder.path, 1, &trails);
    ck_assert_uint_eq(trails.count, 1);
    ck_assert(trails.is_single);
    audit_trails_fini(&trails);
}
END_TEST

START_TEST(what_is_not_there_is_in_the_list)
{
    const char *named[] = {folder_entry(&folder, "gone"), folder_entry(&folder, "gw"),
                           folder_entry(&folder, "gone")};
    struct audit_trails trails;

    make_trail("gw");
    find(named, 3, &trails);
    ck_assert_uint_eq(trails.count, 3);
    ck_assert_str_eq(trails.folders[0].path, named[0]);
    ck_assert(!trails.is_single);
    audit_trails_fini(&trails);
}
END_TEST

START_TEST(links_are_not_followed_and_a_folder_is_no_file)
{
    make_trail("gw");
    make_trail("tree/gw/audit.jsonl"); /* a folder of that name is no trail's file */
    ck_assert_int_eq(
        symlink(folder_entry(&folder, "gw"), folder_entry(&folder, "tree/link")), 0);
    ck_assert_int_eq(symlink(folder_entry(&folder, "gw/audit.jsonl"),
                             folder_entry(&folder, "tree/audit.jsonl")),
                     0);
    must_be(folder_entry(&folder, "tree"), "audit.jsonl");
}
END_TEST

START_TEST(a_folder_named_twice_is_one)
{
    const char *named[] = {folder.path, folder_entry(&folder, "gw"),
                           folder_entry(&folder, "gw/../gw")};
    struct audit_trails trails;

    make_trail("gw");
    find(named, 3, &trails);
    ck_assert_uint_eq(trails.count, 1);
    ck_assert_str_eq(audit_trails_name(&trails, 0), "gw");
    ck_assert(!trails.is_single);
    audit_trails_fini(&trails);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/trails");
    TCase *finding = suite_case(suite, "finding");

    tcase_add_checked_fixture(finding, make_folder, remove_folder);
    tcase_add_test(finding, a_folder_with_a_trail_is_itself);
    tcase_add_test(finding, trails_below_are_found_in_the_order_of_their_paths);
    tcase_add_test(finding, a_fifth_folder_down_is_not_looked_into);
    tcase_add_test(finding, a_trail_may_lie_above_others);
    tcase_add_test(finding, names_that_begin_alike_are_told_apart);
    tcase_add_test(finding, a_folder_without_a_trail_is_itself_too);
    tcase_add_test(finding, what_is_not_there_is_in_the_list);
    tcase_add_test(finding, links_are_not_followed_and_a_folder_is_no_file);
    tcase_add_test(finding, a_folder_named_twice_is_one);
    return run_suite_in_folder(suite);
}
