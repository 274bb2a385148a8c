#include "audit/recover.h"

#include <zlib.h>

#include "audit/line.h"
#include "audit/sample.h"
#include "audit/written.h"
#include "base/text.h"

static struct sample sample;
static struct audit_journal journal;
static struct audit_unfinished *unfinished;
static struct audit_recovered recovered;
static struct error error;

static void begin(void)
{
    sample_init(&sample);
    unfinished = audit_unfinished_new();
    audit_journal_init(&journal, sample.folder.path);
    ck_assert_int_eq(audit_journal_lock(&journal, &error), AUDIT_LOCKED);
}

static void end(void)
{
    audit_unfinished_free(unfinished);
    audit_journal_fini(&journal);
    sample_fini(&sample);
}

static bool recover(void)
{
    if (sample.file != NULL)
        sample_flush(&sample);
    return audit_recover(&journal, sample.hasher, unfinished, &recovered, &error);
}

/* The chain's end, and how many intents are open; a line is added, and all is intact. */
static void must_recover(uint64_t sequence, size_t open)
{
    struct text line = {0};

    ck_assert_msg(recover(), "%s", error.text);
    ck_assert_uint_eq(recovered.chain.sequence, sequence);
    ck_assert_uint_eq(audit_unfinished_count(unfinished), open);
    ck_assert(audit_journal_is_in_place(&journal));
    ck_assert(audit_chain_add(
        &recovered.chain, sample.hasher, SPAN("{\"proxy.phase\":\"refused\""),
        journal.size == 0 ? audit_unfinished_oldest(unfinished) : 0, &line));
    ck_assert(audit_journal_append(&journal, span_make(line.bytes, line.len), &error));
    text_fini(&line);
    written_must_be(sample.folder.path, sequence + 1,
                    written_verify(sample.folder.path).mutations, open);
}

static void rename_to(const char *from, const char *to)
{
    ck_assert_int_eq(
        rename(folder_entry(&sample.folder, from), folder_entry(&sample.folder, to)), 0);
}

static void compress_file(const char *name, bool keeps)
{
    char *bytes = written_file(&sample.folder, name);
    char packed[128];
    gzFile file;

    (void)snprintf(packed, sizeof(packed), "%s.gz", name);
    file = gzopen(folder_entry(&sample.folder, packed), "wb");
    ck_assert_int_gt(gzwrite(file, bytes, (unsigned)strlen(bytes)), 0);
    ck_assert_int_eq(gzclose(file), Z_OK);
    free(bytes);
    if (!keeps)
        ck_assert_int_eq(unlink(folder_entry(&sample.folder, name)), 0);
}

START_TEST(an_empty_folder_begins_a_chain)
{
    must_recover(0, 0);
    ck_assert(audit_is_hex(span_of(recovered.chain.id), 32));
}
END_TEST

START_TEST(an_empty_file_begins_a_chain)
{
    sample_begin_file(&sample, "audit.jsonl");
    must_recover(0, 0);
    ck_assert_uint_eq(journal.first_sequence, 1);
}
END_TEST

START_TEST(a_torn_first_line_is_no_line)
{
    sample_begin_file(&sample, "audit.jsonl");
    sample_add_raw(&sample, "{\"@timestamp\":\"20");
    must_recover(0, 0);
    ck_assert_str_eq(recovered.set_aside, "audit-000000000001.torn");
    ck_assert_uint_eq(recovered.torn_bytes, 17);
}
END_TEST

START_TEST(the_sample_goes_on)
{
    sample_fini(&sample);
    audit_journal_fini(&journal);
    sample_make(&sample);
    audit_journal_init(&journal, sample.folder.path);
    ck_assert_int_eq(audit_journal_lock(&journal, &error), AUDIT_LOCKED);
    must_recover(SAMPLE_RECORDS, SAMPLE_UNFINISHED);
}
END_TEST

START_TEST(a_torn_last_line_is_set_aside)
{
    sample_begin_file(&sample, "audit.jsonl");
    (void)sample_intent(&sample, 1);
    (void)sample_intent(&sample, 2);
    (void)sample_result(&sample, 1);
    sample_add_raw(&sample, "{\"torn");
    must_recover(3, 1);
    ck_assert_str_eq(recovered.set_aside, "audit-000000000004.torn");
    ck_assert_uint_eq(recovered.torn_bytes, 6);
    ck_assert_uint_eq(audit_unfinished_oldest(unfinished), 2);
}
END_TEST

START_TEST(a_file_without_a_current_one_is_followed_by_one)
{
    sample_begin_file(&sample, _i == 0 ? "audit.jsonl.1" : "audit-000000000001.jsonl");
    (void)sample_intent(&sample, 1);
    (void)sample_result(&sample, 1);
    if (_i == 2)
        sample_add_raw(&sample, "{\"torn");
    must_recover(2, 0);
    ck_assert_uint_eq(journal.first_sequence, 3);
}
END_TEST

START_TEST(a_torn_line_begins_the_current_file)
{
    sample_begin_file(&sample, "audit-a.jsonl");
    (void)sample_intent(&sample, 1);
    sample_begin_file(&sample, "audit.jsonl");
    sample_add_raw(&sample, "{\"torn");
    must_recover(1, 1);
    ck_assert_str_eq(recovered.set_aside, "audit-000000000002.torn");
}
END_TEST

START_TEST(open_intents_are_found_in_earlier_files)
{
    uint64_t oldest;

    sample_begin_file(&sample, "audit-a.jsonl");
    (void)sample_intent(&sample, 1);
    (void)sample_result(&sample, 1);
    sample_begin_file(&sample, "audit-b.jsonl");
    (void)sample_intent(&sample, 2);
    oldest = sample_intent(&sample, 3);
    (void)sample_result(&sample, 2);
    sample.oldest_open = oldest;
    sample_begin_file(&sample, "audit-c.jsonl");
    (void)sample_intent(&sample, 4);
    sample.oldest_open = oldest;
    sample_begin_file(&sample, "audit.jsonl");
    (void)sample_result(&sample, 4);
    sample_flush(&sample);
    if (_i == 1) {
        compress_file("audit-b.jsonl", false);
        compress_file("audit-c.jsonl", true);
    }
    must_recover(7, 1);
    ck_assert_uint_eq(audit_unfinished_oldest(unfinished), oldest);
}
END_TEST

/* So far back, and no further: an older file may be damaged, or gone. */
START_TEST(what_is_finished_is_not_read)
{
    sample_begin_file(&sample, "audit-a.jsonl");
    (void)sample_intent(&sample, 1);
    (void)sample_result(&sample, 1);
    sample_add_raw(&sample, "damaged\n");
    sample_begin_file(&sample, "audit.jsonl");
    (void)sample_intent(&sample, 2);
    ck_assert(recover());
    ck_assert_uint_eq(recovered.chain.sequence, 3);
    ck_assert_uint_eq(audit_unfinished_count(unfinished), 1);
}
END_TEST

static void fail_and_resume(unsigned repeated)
{
    struct sample_mark mark;

    sample_begin_file(&sample, "audit-a.jsonl");
    (void)sample_intent(&sample, 1);
    mark = sample_mark(&sample);
    (void)sample_result(&sample, 1);
    (void)sample_intent(&sample, 2);
    sample.wall_ms -= 2000;
    sample.oldest_open = 1;
    sample_resume(&sample, "audit.jsonl", &mark, repeated);
}

START_TEST(a_resumed_file_goes_on)
{
    fail_and_resume(2);
    (void)sample_result(&sample, 1);
    (void)sample_intent(&sample, 2);
    must_recover(4, 1);
    ck_assert_str_eq(recovered.set_aside, "");
}
END_TEST

START_TEST(a_resumed_file_that_repeated_too_little_is_set_aside)
{
    fail_and_resume(2);
    if (_i > 0)
        (void)sample_result(&sample, 1);
    if (_i > 1)
        sample_add_raw(&sample, "{\"torn");
    must_recover(3, 1);
    ck_assert_str_eq(recovered.set_aside, "audit-000000000002.torn");
}
END_TEST

START_TEST(a_copy_does_not_stand_for_the_current_file)
{
    static const char *const names[] = {"audit-backup.jsonl", "audit.jsonl.bak",
                                        "audit-1.jsonl"};
    char *bytes;

    sample_begin_file(&sample, "audit.jsonl");
    (void)sample_intent(&sample, 1);
    sample_flush(&sample);
    bytes = written_file(&sample.folder, "audit.jsonl");
    (void)folder_write(&sample.folder, names[_i], span_of(bytes), 0600);
    free(bytes);
    (void)sample_result(&sample, 1);
    (void)sample_intent(&sample, 2);
    must_recover(3, 1);
}
END_TEST

static const char *const corrupt[] = {
    "damaged\n", "{\"a\":1}\n", "\n",
    "{\"a\":1,\"event.sequence\":9,\"proxy.chain_id\":\"x\"}\n"};

START_TEST(a_corrupt_file_is_left_as_it_is)
{
    char *before, *after;

    sample_begin_file(&sample, "audit-a.jsonl");
    (void)sample_intent(&sample, 1);
    sample_begin_file(&sample, "audit.jsonl");
    if (_i % 2 == 0)
        (void)sample_result(&sample, 1);
    sample_add_raw(&sample, corrupt[_i / 2]);
    sample_add_raw(&sample, "{\"torn");
    sample_flush(&sample);
    before = written_all(sample.folder.path);
    ck_assert(!recover());
    ck_assert_ptr_nonnull(strstr(error.text, "audit.jsonl:"));
    after = written_all(sample.folder.path);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

START_TEST(a_renamed_current_file_is_found)
{
    sample_begin_file(&sample, "audit.jsonl");
    (void)sample_intent(&sample, 1);
    sample_flush(&sample);
    rename_to("audit.jsonl", "audit.jsonl.1");
    compress_file("audit.jsonl.1", false);
    must_recover(1, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/recover");
    TCase *tcase = suite_case(suite, "states");

    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, an_empty_folder_begins_a_chain);
    tcase_add_test(tcase, an_empty_file_begins_a_chain);
    tcase_add_test(tcase, a_torn_first_line_is_no_line);
    tcase_add_test(tcase, the_sample_goes_on);
    tcase_add_test(tcase, a_torn_last_line_is_set_aside);
    tcase_add_loop_test(tcase, a_file_without_a_current_one_is_followed_by_one, 0, 3);
    tcase_add_test(tcase, a_torn_line_begins_the_current_file);
    tcase_add_loop_test(tcase, open_intents_are_found_in_earlier_files, 0, 2);
    tcase_add_test(tcase, what_is_finished_is_not_read);
    tcase_add_test(tcase, a_resumed_file_goes_on);
    tcase_add_loop_test(tcase, a_resumed_file_that_repeated_too_little_is_set_aside, 0,
                        3);
    tcase_add_loop_test(tcase, a_copy_does_not_stand_for_the_current_file, 0, 3);
    tcase_add_loop_test(tcase, a_corrupt_file_is_left_as_it_is, 0, 2 * ROWS(corrupt));
    tcase_add_test(tcase, a_renamed_current_file_is_found);
    return run_suite_in_folder(suite);
}
