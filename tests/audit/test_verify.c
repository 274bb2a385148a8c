#include "audit/verify.h"

#include <zlib.h>

#include "base/file.h"
#include "base/text.h"
#include "sample.h"

static struct sample sample;
static struct audit_verdict verdict;
static struct error error;

static void begin(void)
{
    sample_init(&sample);
    sample_begin_file(&sample, "audit.jsonl");
}

static void end(void)
{
    sample_fini(&sample);
}

static bool verify_with(const struct audit_key *key, const struct audit_checkpoint *held)
{
    sample_flush(&sample);
    error.text[0] = '\0';
    return audit_verify(
        &(struct audit_verify_request){
            .folder = sample.folder.path,
            .keys = key,
            .key_count = key != NULL ? 1 : 0,
            .held = held,
            .held_count = held != NULL ? 1 : 0,
        },
        &verdict, &error);
}

static void must_be_intact(uint64_t records)
{
    ck_assert_msg(verify_with(NULL, NULL), "%s: %s", verdict.place, error.text);
    ck_assert_uint_eq(verdict.records, records);
}

/* Broken at NAME:LINE, with that word in the sentence. */
static void must_be_broken(const char *place, const char *word)
{
    ck_assert(!verify_with(NULL, NULL));
    ck_assert_msg(strstr(verdict.place, place) != NULL, "'%s' at %s, not %s", error.text,
                  verdict.place, place);
    ck_assert_msg(strstr(error.text, word) != NULL, "no '%s' in '%s'", word, error.text);
}

START_TEST(an_empty_current_file_is_a_trail_of_no_record)
{
    must_be_intact(0);
}
END_TEST

START_TEST(a_folder_without_a_trail_is_not_intact)
{
    ck_assert_int_eq(unlink(folder_entry(&sample.folder, "audit.jsonl")), 0);
    must_be_broken(sample.folder.path, "no trail");
}
END_TEST

START_TEST(what_is_open_is_counted)
{
    (void)sample_intent(&sample, 1);
    (void)sample_intent(&sample, 2);
    (void)sample_result(&sample, 1);
    must_be_intact(3);
    ck_assert_uint_eq(verdict.mutations, 2);
    ck_assert_uint_eq(verdict.unfinished, 1);
}
END_TEST

START_TEST(a_result_needs_an_intent)
{
    (void)sample_intent(&sample, 1);
    (void)sample_result(&sample, 2);
    must_be_broken("audit.jsonl:2", "without an intent");
}
END_TEST

START_TEST(an_intent_has_one_result)
{
    (void)sample_intent(&sample, 1);
    (void)sample_result(&sample, 1);
    (void)sample_result(&sample, 1);
    must_be_broken("audit.jsonl:3", "second one");
}
END_TEST

START_TEST(an_event_has_one_intent)
{
    (void)sample_intent(&sample, 1);
    (void)sample_intent(&sample, 1);
    must_be_broken("audit.jsonl:2", "second intent");
}
END_TEST

/* Tens of thousands open at once, closed in another order. */
START_TEST(many_may_be_open_at_once)
{
    enum { MANY = 20000, STEP = 7919 };

    for (unsigned id = 0; id < MANY; id++)
        (void)sample_intent(&sample, id);
    for (unsigned i = 0; i < MANY - 1; i++)
        (void)sample_result(&sample, i * STEP % MANY);
    must_be_intact(2 * MANY - 1);
    ck_assert_uint_eq(verdict.unfinished, 1);
    (void)sample_result(&sample, 0);
    must_be_broken(":40000", "second one");
}
END_TEST

static const char *const bad_bodies[] = {
    "{\"proxy.phase\":\"other\"",
    "{\"proxy.phase\":1",
    "{\"a\":1",
    "{\"proxy.phase\":\"intent\"",
    "{\"proxy.phase\":\"intent\",\"event.id\":\"0\"",
    "{\"proxy.phase\":\"checkpoint\"",
    "{\"proxy.phase\":\"refused\",\"proxy.phase\":\"refused\"",
    "{\"proxy.phase\":\"refused\",\"event.sequence\":2",
    "{\"proxy.phase\":\"refused\",\"x\":{}",
    "{\"proxy.phase\":\"refused\",\"x\":\"\xff\"",
    "{\"proxy.phase\":\"trail\",\"event.action\":\"trail.resumed\"",
};

struct patience {
    uint64_t records; /* that may be read */
    unsigned reports;
};

static bool is_patient(void *owner, const struct audit_progress *progress)
{
    struct patience *patience = owner;

    patience->reports++;
    return progress->records < patience->records;
}

START_TEST(who_is_told_how_far_it_is_may_give_it_up)
{
    struct patience patience = {.records = 600};
    const struct audit_verify_request request = {
        .folder = sample.folder.path, .on_progress = is_patient, .owner = &patience};

    for (unsigned i = 0; i < 2000; i++)
        (void)sample_refused(&sample);
    sample_flush(&sample);
    ck_assert(!audit_verify(&request, &verdict, &error));
    ck_assert_str_eq(verdict.place, ""); /* nothing is wrong with the trail */
    ck_assert_str_eq(error.text, "was given up");
    ck_assert_uint_gt(verdict.records, 599);
    ck_assert_uint_lt(verdict.records, 1500);
    patience = (struct patience){.records = 10000};
    ck_assert(audit_verify(&request, &verdict, &error));
    ck_assert_uint_eq(verdict.records, 2000);
    ck_assert_uint_gt(patience.reports, 2);
}
END_TEST

START_TEST(a_line_that_is_no_record_is_found)
{
    (void)sample_refused(&sample);
    (void)sample_add(&sample, bad_bodies[_i]);
    (void)sample_refused(&sample);
    must_be_broken("audit.jsonl:2", "");
}
END_TEST

START_TEST(oldest_open_may_not_hide_an_open_intent)
{
    (void)sample_refused(&sample);
    (void)sample_intent(&sample, 1);
    (void)sample_refused(&sample);
    sample.oldest_open = 2;
    sample_begin_file(&sample, "audit.jsonl.1");
    (void)sample_refused(&sample);
    must_be_intact(4);
    sample.oldest_open = 3;
    sample_begin_file(&sample, "audit.jsonl.2");
    (void)sample_refused(&sample);
    must_be_broken("audit.jsonl.2:1", "record 2");
}
END_TEST

START_TEST(the_beginning_must_be_there)
{
    sample.next = 12;
    memset(sample.hash, 'a', AUDIT_HASH_HEX);
    (void)sample_refused(&sample);
    must_be_broken("audit.jsonl:1", "1 to 11");
}
END_TEST

START_TEST(an_incomplete_last_line_is_said)
{
    (void)sample_refused(&sample);
    sample_add_raw(&sample, "{\"@timestamp\"");
    must_be_intact(1);
    ck_assert(verdict.is_incomplete);
    ck_assert_ptr_nonnull(strstr(verdict.place, "audit.jsonl:2"));
}
END_TEST

START_TEST(signatures_are_verified_by_the_public_key)
{
    char id[AUDIT_KEY_ID_HEX + 1];
    struct audit_key other;
    struct folder folder;

    (void)sample_refused(&sample);
    (void)sample_checkpoint(&sample);
    ck_assert(verify_with(NULL, NULL));
    ck_assert_uint_eq(verdict.checkpoints, 1);
    ck_assert_uint_eq(verdict.last_checkpoint.sequence, 1);
    ck_assert(verify_with(&sample.key, NULL));
    folder_make(&folder);
    ck_assert(audit_key_generate(folder.path, id, &error));
    ck_assert(audit_key_load_public(folder_entry(&folder, AUDIT_PUBLIC_KEY_NAME), &other,
                                    &error));
    ck_assert(!verify_with(&other, NULL));
    ck_assert_ptr_nonnull(strstr(verdict.place, "audit.jsonl:2"));
    audit_key_fini(&other);
    folder_remove(&folder);
}
END_TEST

/* The forger's chain is whole; only the statement that was held tells. */
START_TEST(a_rewritten_history_is_found_by_a_held_checkpoint)
{
    struct audit_checkpoint held;
    struct sample_mark mark;

    (void)sample_refused(&sample);
    mark = sample_mark(&sample);
    (void)sample_refused(&sample);
    sample_hold(&sample, &held);
    ck_assert(verify_with(&sample.key, &held));
    ck_assert_uint_eq(verdict.held, 1);
    sample_begin_file(&sample, "audit.jsonl");
    sample.next = 1;
    sample.wall_ms -= 5000;
    memcpy(sample.hash, AUDIT_HASH_NONE, AUDIT_HASH_HEX);
    (void)sample_refused(&sample);
    ck_assert(memcmp(sample.hash, mark.hash, AUDIT_HASH_HEX) != 0);
    (void)sample_refused(&sample);
    (void)sample_refused(&sample);
    must_be_intact(3);
    ck_assert(!verify_with(NULL, &held));
    ck_assert_ptr_nonnull(strstr(verdict.place, "audit.jsonl:2"));
    ck_assert_ptr_nonnull(strstr(error.text, "rewritten"));
}
END_TEST

START_TEST(a_held_checkpoint_must_be_of_this_chain_and_this_key)
{
    struct audit_checkpoint held;

    (void)sample_refused(&sample);
    sample_hold(&sample, &held);
    held.signature[0] ^= 1;
    ck_assert(verify_with(NULL, &held));
    ck_assert(!verify_with(&sample.key, &held));
    held.chain_id[0] = 'f';
    ck_assert(!verify_with(NULL, &held));
    ck_assert_ptr_nonnull(strstr(error.text, "another chain"));
}
END_TEST

START_TEST(a_trail_that_was_removed_is_found_by_a_held_checkpoint)
{
    struct audit_checkpoint held;

    (void)sample_refused(&sample);
    sample_hold(&sample, &held);
    sample_begin_file(&sample, "audit.jsonl");
    ck_assert(!verify_with(NULL, &held));
    ck_assert_ptr_nonnull(strstr(error.text, "removed"));
}
END_TEST

enum { BAD_STATEMENTS = 3 }; /* sequence, hash, chain */

START_TEST(a_checkpoint_is_about_the_line_before)
{
    static const char chain[] = "ffffffffffffffffffffffffffffffff";
    char statement[AUDIT_STATEMENT_BYTES], signature[AUDIT_SIGNATURE_TEXT], body[1024];
    uint64_t sequence = sample_refused(&sample);
    struct span hash = span_make(sample.hash, AUDIT_HASH_HEX);

    (void)audit_checkpoint_state(
        _i == 2 ? SPAN(chain) : SPAN(SAMPLE_CHAIN), sequence + (_i == 0),
        _i == 1 ? SPAN(AUDIT_HASH_NONE) : hash, sample.wall_ms, statement);
    ck_assert(audit_checkpoint_sign(&sample.key, span_of(statement), signature, &error));
    (void)snprintf(
        body, sizeof(body),
        "{\"proxy.phase\":\"checkpoint\",\"proxy.checkpoint.statement\":\"%s\","
        "\"proxy.checkpoint.signature\":\"%s\",\"proxy.checkpoint.key\":\"%s\"",
        statement, signature, sample.key.id);
    (void)sample_add(&sample, body);
    must_be_broken("audit.jsonl:2", "line before");
}
END_TEST

/* Two intents are superseded; what is repeated of them is the test's. */
static void fail_after_one(unsigned repeated)
{
    struct sample_mark mark;

    (void)sample_refused(&sample);
    mark = sample_mark(&sample);
    (void)sample_intent(&sample, 1);
    (void)sample_intent(&sample, 2);
    sample.wall_ms -= 2000;
    sample_resume(&sample, "audit.jsonl.1", &mark, repeated);
}

START_TEST(superseded_lines_are_repeated_and_counted_once)
{
    fail_after_one(4);
    (void)sample_intent(&sample, 1);
    (void)sample_intent(&sample, 2);
    (void)sample_refused(&sample); /* was not written the first time */
    (void)sample_refused(&sample);
    (void)sample_result(&sample, 1);
    must_be_intact(7);
    ck_assert_uint_eq(verdict.mutations, 2);
    ck_assert(!verdict.is_repeating);
}
END_TEST

START_TEST(a_superseded_line_that_is_not_repeated_is_found)
{
    fail_after_one(2);
    sample.wall_ms += 1000;
    (void)sample_intent(&sample, 2);
    (void)sample_refused(&sample);
    must_be_broken("audit.jsonl:2", "not repeated");
}
END_TEST

START_TEST(repeats_in_another_order_are_found)
{
    fail_after_one(2);
    sample.wall_ms += 1000;
    (void)sample_intent(&sample, 2);
    sample.wall_ms -= 2000;
    (void)sample_intent(&sample, 1);
    must_be_broken("audit.jsonl:3", "not repeated");
}
END_TEST

START_TEST(a_repeat_that_comes_too_late_is_found)
{
    fail_after_one(1);
    (void)sample_intent(&sample, 1);
    (void)sample_intent(&sample, 2);
    must_be_broken("audit.jsonl:3", "not repeated");
}
END_TEST

START_TEST(a_trail_that_ends_while_it_repeats_says_so)
{
    fail_after_one(2);
    (void)sample_intent(&sample, 1);
    must_be_intact(3);
    ck_assert(verdict.is_repeating);
}
END_TEST

START_TEST(a_suspect_file_must_be_there)
{
    fail_after_one(2);
    (void)sample_intent(&sample, 1);
    (void)sample_intent(&sample, 2);
    sample.name = "gone.jsonl";
    sample_resume(&sample, "audit.jsonl.2",
                  &(struct sample_mark){.next = sample.next, .hash = {0}}, 0);
    ck_assert(!verify_with(NULL, NULL));
}
END_TEST

/*
 * A second failure, with nothing of the first resumed file acknowledged (cut 0), or its
 * first line (1), or its first repeat (2): what is left is repeated by the third.
 */
START_TEST(a_resumed_file_may_fail_itself)
{
    struct sample_mark marks[3];
    int64_t times[3];

    (void)sample_refused(&sample);
    marks[0] = sample_mark(&sample);
    (void)sample_intent(&sample, 1);
    (void)sample_intent(&sample, 2);
    sample.wall_ms -= 2000;
    sample_resume(&sample, "audit-r.jsonl", &marks[0], 3);
    times[0] = times[1] = sample.wall_ms;
    marks[1] = sample_mark(&sample);
    (void)sample_intent(&sample, 1);
    times[2] = sample.wall_ms;
    marks[2] = sample_mark(&sample);
    (void)sample_intent(&sample, 2);
    (void)sample_refused(&sample);
    sample.wall_ms = times[_i];
    sample.oldest_open = _i == 2 ? 3 : 0;
    sample_resume(&sample, "audit-q.jsonl", &marks[_i], _i == 2 ? 2 : 3);
    if (_i < 2)
        (void)sample_intent(&sample, 1);
    (void)sample_intent(&sample, 2);
    (void)sample_refused(&sample);
    (void)sample_result(&sample, 1);
    must_be_intact(_i == 0 ? 6 : 7);
    ck_assert_uint_eq(verdict.mutations, 2);
    ck_assert(!verdict.is_repeating);
}
END_TEST

static void pack(const char *name, size_t cut_off)
{
    const char *path = folder_entry(&sample.folder, name);
    char packed[512];
    struct text content = {0}, bytes = {0};
    gzFile out;

    (void)snprintf(packed, sizeof(packed), "%s.gz", path);
    sample_flush(&sample);
    ck_assert(file_read(path, FILE_PUBLIC, &content, &error));
    out = gzopen(packed, "wb");
    ck_assert_int_eq(gzwrite(out, content.bytes, (unsigned)content.len),
                     (int)content.len);
    ck_assert_int_eq(gzclose(out), Z_OK);
    ck_assert(file_read(packed, FILE_PUBLIC, &bytes, &error));
    ck_assert_int_eq(truncate(packed, (off_t)(bytes.len - cut_off)), 0);
    text_fini(&content);
    text_fini(&bytes);
}

static void add_two_files(void)
{
    (void)sample_refused(&sample);
    (void)sample_intent(&sample, 1);
    (void)sample_refused(&sample);
    sample_begin_file(&sample, "audit.jsonl.1");
    sample.oldest_open = 2;
    (void)sample_refused(&sample);
}

static const size_t cuts[] = {0, 1, 9, 40, 100};

START_TEST(a_file_and_its_compressed_copy_count_once)
{
    add_two_files();
    pack("audit.jsonl", cuts[_i]);
    must_be_intact(4);
    ck_assert_int_eq(unlink(folder_entry(&sample.folder, "audit.jsonl")), 0);
    ck_assert(verify_with(NULL, NULL) == (cuts[_i] == 0));
}
END_TEST

START_TEST(a_copy_that_differs_is_found)
{
    add_two_files();
    pack("audit.jsonl", 0);
    ck_assert_int_eq(rename(folder_entry(&sample.folder, "audit.jsonl.gz"),
                            folder_entry(&sample.folder, "audit-copy.jsonl.gz")),
                     0);
    must_be_intact(4);
    sample_begin_file(&sample, "audit.jsonl");
    sample.next = 1;
    sample.oldest_open = 0;
    memcpy(sample.hash, AUDIT_HASH_NONE, AUDIT_HASH_HEX);
    (void)sample_refused(&sample);
    (void)sample_refused(&sample);
    ck_assert(!verify_with(NULL, NULL));
    ck_assert_ptr_nonnull(strstr(error.text, "other file"));
}
END_TEST

/* Cut at its end, the original is made good by its copy. */
START_TEST(of_a_file_and_its_copy_the_fuller_counts)
{
    add_two_files();
    pack("audit.jsonl", 0);
    ck_assert_int_eq(truncate(folder_entry(&sample.folder, "audit.jsonl"), 700), 0);
    must_be_intact(4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/verify");
    TCase *records = suite_case(suite, "records");
    TCase *checkpoints = suite_case(suite, "checkpoints");
    TCase *resumed = suite_case(suite, "resumed");
    TCase *files = suite_case(suite, "copies");
    TCase *cases[] = {records, checkpoints, resumed, files};

    for (int i = 0; i < ROWS(cases); i++)
        tcase_add_checked_fixture(cases[i], begin, end);
    tcase_add_test(records, an_empty_current_file_is_a_trail_of_no_record);
    tcase_add_test(records, a_folder_without_a_trail_is_not_intact);
    tcase_add_test(records, what_is_open_is_counted);
    tcase_add_test(records, a_result_needs_an_intent);
    tcase_add_test(records, an_intent_has_one_result);
    tcase_add_test(records, an_event_has_one_intent);
    tcase_add_test(records, many_may_be_open_at_once);
    tcase_add_test(records, who_is_told_how_far_it_is_may_give_it_up);
    tcase_add_loop_test(records, a_line_that_is_no_record_is_found, 0, ROWS(bad_bodies));
    tcase_add_test(records, oldest_open_may_not_hide_an_open_intent);
    tcase_add_test(records, the_beginning_must_be_there);
    tcase_add_test(records, an_incomplete_last_line_is_said);
    tcase_add_test(checkpoints, signatures_are_verified_by_the_public_key);
    tcase_add_test(checkpoints, a_rewritten_history_is_found_by_a_held_checkpoint);
    tcase_add_test(checkpoints, a_held_checkpoint_must_be_of_this_chain_and_this_key);
    tcase_add_test(checkpoints, a_trail_that_was_removed_is_found_by_a_held_checkpoint);
    tcase_add_loop_test(checkpoints, a_checkpoint_is_about_the_line_before, 0,
                        BAD_STATEMENTS);
    tcase_add_test(resumed, superseded_lines_are_repeated_and_counted_once);
    tcase_add_test(resumed, a_superseded_line_that_is_not_repeated_is_found);
    tcase_add_test(resumed, repeats_in_another_order_are_found);
    tcase_add_test(resumed, a_repeat_that_comes_too_late_is_found);
    tcase_add_test(resumed, a_trail_that_ends_while_it_repeats_says_so);
    tcase_add_test(resumed, a_suspect_file_must_be_there);
    tcase_add_loop_test(resumed, a_resumed_file_may_fail_itself, 0, 3);
    tcase_add_loop_test(files, a_file_and_its_compressed_copy_count_once, 0, ROWS(cuts));
    tcase_add_test(files, a_copy_that_differs_is_found);
    tcase_add_test(files, of_a_file_and_its_copy_the_fuller_counts);
    return run_suite_in_folder(suite);
}
