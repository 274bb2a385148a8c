#include "audit/journal.h"

#include <sys/file.h>

#include "audit/disk.h"
#include "audit/written.h"

static struct folder folder;
static struct audit_journal journal;
static struct error error;

static void begin(void)
{
    folder_make(&folder);
    audit_journal_init(&journal, folder.path);
    ck_assert_int_eq(audit_journal_lock(&journal, &error), AUDIT_LOCKED);
}

static void end(void)
{
    disk_repair();
    audit_journal_fini(&journal);
    folder_remove(&folder);
}

static void must_begin(uint64_t first)
{
    ck_assert_msg(audit_journal_begin(&journal, first, &error), "%s", error.text);
}

static void must_append(const char *bytes)
{
    ck_assert_msg(audit_journal_append(&journal, span_of(bytes), &error), "%s",
                  error.text);
}

static void file_must_be(const char *name, const char *content)
{
    char *file = written_file(&folder, name);

    ck_assert_str_eq(file, content);
    free(file);
}

static off_t blocks_of(const char *name)
{
    struct stat status;

    ck_assert_int_eq(stat(folder_entry(&folder, name), &status), 0);
    return status.st_blocks * 512;
}

START_TEST(what_is_appended_is_there)
{
    struct stat status;

    must_begin(1);
    ck_assert(audit_journal_is_in_place(&journal));
    must_append("a\n");
    must_append("bc\n");
    ck_assert_uint_eq(journal.size, 5);
    file_must_be("audit.jsonl", "a\nbc\n");
    ck_assert_int_eq(fstat(journal.fd, &status), 0);
    ck_assert_int_eq(status.st_mode & 0777, 0600);
}
END_TEST

START_TEST(an_old_file_goes_on_behind_its_end)
{
    (void)folder_write(&folder, "audit.jsonl", SPAN("a\n"), 0600);
    ck_assert(audit_journal_open(&journal, 7, &error));
    ck_assert_uint_eq(journal.size, 2);
    must_append("b\n");
    file_must_be("audit.jsonl", "a\nb\n");
    ck_assert(audit_journal_retire(&journal, false, &error));
    file_must_be("audit-000000000007.jsonl", "a\nb\n");
}
END_TEST

START_TEST(a_link_is_not_followed)
{
    (void)folder_write(&folder, "else", SPAN("a\n"), 0600);
    ck_assert_int_eq(symlink("else", folder_entry(&folder, "audit.jsonl")), 0);
    ck_assert(!audit_journal_open(&journal, 1, &error));
    must_begin(1);
    must_append("b\n");
    file_must_be("else", "a\n");
    ck_assert(written_has(&folder, "audit-000000000000.foreign"));
}
END_TEST

START_TEST(what_is_reserved_is_given_back)
{
    must_begin(1);
    must_append("a\n");
    ck_assert(audit_journal_reserve(&journal, 100000, &error));
    ck_assert_uint_ge(journal.reserved_to, 100002);
    ck_assert_int_ge(blocks_of("audit.jsonl"), 100002);
    file_must_be("audit.jsonl", "a\n");
    ck_assert(audit_journal_retire(&journal, false, &error));
    ck_assert_int_lt(blocks_of("audit-000000000001.jsonl"), 100000);
    ck_assert_int_eq(journal.fd, -1);
}
END_TEST

START_TEST(a_full_disk_gives_what_it_has_and_no_more)
{
    must_begin(1);
    disk.most_end = 5000;
    ck_assert(audit_journal_reserve(&journal, 5000, &error));
    ck_assert_uint_eq(journal.reserved_to, 5000);
    ck_assert(!audit_journal_reserve(&journal, 5001, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "audit.jsonl"));
    must_append("a\n");
    ck_assert(audit_journal_reserve(&journal, 4998, &error));
    ck_assert(!audit_journal_reserve(&journal, 4999, &error));
}
END_TEST

START_TEST(a_retired_file_has_a_name_of_its_own)
{
    for (int i = 0; i < 3; i++) {
        must_begin(42);
        must_append("a\n");
        ck_assert(audit_journal_retire(&journal, i == 2, &error));
    }
    ck_assert(written_has(&folder, "audit-000000000042.jsonl"));
    ck_assert(written_has(&folder, "audit-000000000042.1.jsonl"));
    ck_assert_str_eq(journal.suspect_name, "audit-000000000042.2.jsonl");
    file_must_be("audit-000000000042.2.jsonl", "a\n");
}
END_TEST

START_TEST(a_file_that_cannot_be_renamed_stays_open)
{
    must_begin(1);
    disk.failures[DISK_RENAME] = 1;
    ck_assert(!audit_journal_retire(&journal, true, &error));
    ck_assert(audit_journal_is_in_place(&journal));
    ck_assert_str_eq(journal.suspect_name, "");
}
END_TEST

START_TEST(another_file_in_its_place_is_noticed)
{
    const char *path = folder_entry(&folder, "audit.jsonl");

    must_begin(5);
    must_append("a\n");
    if (_i < 2)
        ck_assert_int_eq(rename(path, folder_entry(&folder, "audit.jsonl.1")), 0);
    if (_i == 1)
        (void)folder_write(&folder, "audit.jsonl", SPAN("x"), 0600);
    if (_i == 2)
        ck_assert_int_eq(unlink(path), 0);
    ck_assert(!audit_journal_is_in_place(&journal));
    must_begin(6);
    ck_assert(audit_journal_is_in_place(&journal));
    must_append("b\n");
    file_must_be("audit.jsonl", "b\n");
    ck_assert_int_eq(written_has(&folder, "audit-000000000005.foreign"), _i == 1);
}
END_TEST

START_TEST(an_empty_file_in_its_place_says_nothing)
{
    (void)folder_write(&folder, "audit.jsonl", SPAN(""), 0644);
    must_begin(1);
    ck_assert(!written_has(&folder, "audit-000000000000.foreign"));
    must_append("b\n");
    file_must_be("audit.jsonl", "b\n");
}
END_TEST

START_TEST(a_file_is_not_begun_in_a_folder_that_cannot_be_synced)
{
    disk.failures[DISK_FSYNC] = 1;
    ck_assert(!audit_journal_begin(&journal, 1, &error));
    ck_assert(!written_has(&folder, "audit.jsonl"));
    must_begin(1);
}
END_TEST

static const enum disk_call append_calls[] = {DISK_WRITE, DISK_CUT_WRITE, DISK_SYNC};

START_TEST(an_append_that_fails_is_told)
{
    must_begin(1);
    must_append("a\n");
    disk.failures[append_calls[_i]] = 1;
    ck_assert(!audit_journal_append(&journal, SPAN("bcd\n"), &error));
    ck_assert_ptr_nonnull(strstr(error.text, "audit.jsonl"));
    ck_assert_uint_eq(journal.size, 2);
    ck_assert(audit_journal_discard(&journal, &error));
    ck_assert(!written_has(&folder, "audit.jsonl"));
}
END_TEST

START_TEST(the_folder_is_locked_once)
{
    struct audit_journal other;
    int fd;

    ck_assert_int_eq(audit_journal_lock(&journal, &error), AUDIT_LOCKED);
    audit_journal_init(&other, folder.path);
    ck_assert_int_eq(audit_journal_lock(&other, &error), AUDIT_LOCK_BUSY);
    ck_assert_ptr_nonnull(strstr(error.text, "another process"));
    audit_journal_fini(&journal);
    ck_assert_int_eq(audit_journal_lock(&other, &error), AUDIT_LOCKED);
    fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ne(flock(fd, LOCK_EX | LOCK_NB), 0);
    audit_journal_fini(&other);
    ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
    (void)close(fd);
    audit_journal_init(&other, "/nonexistent");
    ck_assert_int_eq(audit_journal_lock(&other, &error), AUDIT_LOCK_FAILED);
}
END_TEST

START_TEST(another_folder_of_that_name_is_followed)
{
    char moved[512];

    must_begin(1);
    must_append("a\n");
    (void)snprintf(moved, sizeof(moved), "%s-moved", folder.path);
    ck_assert_int_eq(rename(folder.path, moved), 0);
    ck_assert(!audit_journal_is_in_place(&journal));
    ck_assert(!audit_journal_follow(&journal, &error));
    ck_assert_int_eq(mkdir(folder.path, 0700), 0);
    ck_assert(audit_journal_follow(&journal, &error));
    ck_assert(!audit_journal_is_in_place(&journal));
    must_begin(2);
    must_append("b\n");
    file_must_be("audit.jsonl", "b\n");
}
END_TEST

START_TEST(a_torn_line_is_moved)
{
    char name[NAME_MAX + 1];

    for (int i = 0; i < 2; i++) {
        (void)folder_write(&folder, "audit-x.jsonl", SPAN("a\ntorn"), 0600);
        ck_assert(audit_journal_set_aside(&journal, "audit-x.jsonl", 2, 9, name, &error));
        file_must_be("audit-x.jsonl", "a\n");
        file_must_be(name, "torn");
    }
    ck_assert_str_eq(name, "audit-000000000009.1.torn");
}
END_TEST

static const enum disk_call aside_calls[] = {DISK_WRITE, DISK_CUT_WRITE, DISK_FSYNC,
                                             DISK_TRUNCATE};

START_TEST(a_torn_line_that_cannot_be_moved_stays)
{
    char name[NAME_MAX + 1];

    (void)folder_write(&folder, "audit.jsonl", SPAN("a\ntorn"), 0600);
    disk.failures[aside_calls[_i]] = 1;
    ck_assert(!audit_journal_set_aside(&journal, "audit.jsonl", 2, 9, name, &error));
    file_must_be("audit.jsonl", "a\ntorn");
    ck_assert(!written_has(&folder, "audit-000000000009.torn"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/journal");
    TCase *tcase = suite_case(suite, "journal");

    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, what_is_appended_is_there);
    tcase_add_test(tcase, an_old_file_goes_on_behind_its_end);
    tcase_add_test(tcase, a_link_is_not_followed);
    tcase_add_test(tcase, what_is_reserved_is_given_back);
    tcase_add_test(tcase, a_full_disk_gives_what_it_has_and_no_more);
    tcase_add_test(tcase, a_retired_file_has_a_name_of_its_own);
    tcase_add_test(tcase, a_file_that_cannot_be_renamed_stays_open);
    tcase_add_loop_test(tcase, another_file_in_its_place_is_noticed, 0, 3);
    tcase_add_test(tcase, an_empty_file_in_its_place_says_nothing);
    tcase_add_test(tcase, a_file_is_not_begun_in_a_folder_that_cannot_be_synced);
    tcase_add_loop_test(tcase, an_append_that_fails_is_told, 0, ROWS(append_calls));
    tcase_add_test(tcase, the_folder_is_locked_once);
    tcase_add_test(tcase, another_folder_of_that_name_is_followed);
    tcase_add_test(tcase, a_torn_line_is_moved);
    tcase_add_loop_test(tcase, a_torn_line_that_cannot_be_moved_stays, 0,
                        ROWS(aside_calls));
    return run_suite_in_folder(suite);
}
