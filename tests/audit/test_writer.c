#include "audit/writer.h"

#include "audit/disk.h"
#include "audit/written.h"
#include "base/log.h"

static struct folder folder;
static struct audit_writer writer;
static struct audit_entry *pending; /* what the trail would keep until it is written */
static struct error error;

static void start(void)
{
    ck_assert(audit_writer_init(&writer, folder.path, &error));
    writer.rotate_bytes = 1 << 30;
}

static void begin(void)
{
    log_configure(LOG_ERROR, LOG_TEXT);
    folder_make(&folder);
    pending = NULL;
    start();
}

static void drop_pending(void)
{
    while (pending != NULL) {
        struct audit_entry *entry = pending;

        pending = entry->next;
        audit_entry_free(entry);
    }
}

static void end(void)
{
    disk_repair();
    drop_pending();
    audit_writer_fini(&writer);
    folder_remove(&folder);
}

/* As after a crash: what was not written is forgotten. */
static void restart(void)
{
    disk_repair();
    drop_pending();
    writer.journal.reserved_to = writer.journal.size; /* nobody trims the file */
    audit_writer_fini(&writer);
    start();
}

static void add(struct audit_entry *entry)
{
    struct audit_entry **link = &pending;

    while (*link != NULL)
        link = &(*link)->next;
    *link = entry;
}

/* Prepares and puts what is pending, as the trail does it. */
static enum audit_put put_with(bool with_checkpoint)
{
    enum audit_put answer;

    if (audit_writer_prepare(&writer, &pending, &error) != AUDIT_READY)
        return AUDIT_BROKEN;
    answer = audit_writer_put(&writer, pending, with_checkpoint, &error);
    if (answer == AUDIT_PUT)
        drop_pending();
    for (struct audit_entry *entry = pending; answer == AUDIT_BROKEN && entry != NULL;
         entry = entry->next)
        entry->was_attempted = true;
    return answer;
}

static enum audit_put put(void)
{
    return put_with(false);
}

static void must_put(void)
{
    ck_assert_msg(put() == AUDIT_PUT, "%s", error.text);
}

static void put_mutation(unsigned number)
{
    add(written_intent(number));
    must_put();
    add(written_result(number));
    must_put();
}

/* What was written */

START_TEST(lines_of_a_batch_are_a_chain)
{
    add(written_intent(1));
    add(written_refusal(1));
    add(written_intent(2));
    add(written_result(1));
    must_put();
    written_must_be(folder.path, 4, 2, 1);
    ck_assert_int_eq(audit_unfinished_count(writer.unfinished), 1);
}
END_TEST

static void note_lines(void *arg, struct span lines)
{
    text_add(arg, lines);
}

START_TEST(what_is_written_is_told_line_for_line)
{
    struct text told = {0};
    char *file;

    writer.on_written = note_lines;
    writer.arg = &told;
    put_mutation(1);
    add(written_intent(2));
    add(written_refusal(1));
    must_put();
    must_put(); /* of nothing */
    file = written_file(&folder, "audit.jsonl");
    ck_assert_str_eq(told.bytes, file);
    text_fini(&told);
    free(file);
}
END_TEST

START_TEST(a_full_file_is_closed_and_the_next_says_what_is_open)
{
    char *file;

    add(written_intent(1));
    must_put();
    put_mutation(2);
    writer.rotate_bytes = 1;
    put_mutation(3);
    written_must_be(folder.path, 5, 3, 1);
    ck_assert(written_has(&folder, "audit-000000000001.jsonl"));
    file = written_file(&folder, "audit-000000000004.jsonl");
    ck_assert_ptr_nonnull(strstr(file, "\"event.sequence\":4,"));
    ck_assert_ptr_nonnull(strstr(file, "\"proxy.trail.oldest_open\":1,"));
    free(file);
}
END_TEST

START_TEST(rotation_on_demand_leaves_an_empty_file_alone)
{
    writer.must_rotate = true;
    must_put();
    put_mutation(1);
    writer.must_rotate = true;
    must_put();
    must_put();
    ck_assert(written_has(&folder, "audit-000000000001.jsonl"));
    ck_assert(!written_has(&folder, "audit-000000000003.jsonl"));
    written_must_be(folder.path, 2, 1, 0);
}
END_TEST

static void have_key(void)
{
    char id[AUDIT_KEY_ID_HEX + 1];

    ck_assert(audit_key_generate(folder.path, id, &error));
    writer.key = malloc(sizeof(*writer.key));
    ck_assert(audit_key_load_private(folder_entry(&folder, AUDIT_PRIVATE_KEY_NAME),
                                     writer.key, &error));
}

START_TEST(a_checkpoint_is_about_the_line_before)
{
    have_key();
    ck_assert(!audit_writer_owes_checkpoint(&writer));
    put_mutation(1);
    ck_assert(audit_writer_owes_checkpoint(&writer));
    add(written_refusal(1));
    ck_assert_int_eq(put_with(true), AUDIT_PUT);
    ck_assert(!audit_writer_owes_checkpoint(&writer));
    written_must_be(folder.path, 4, 1, 0);
    ck_assert_uint_eq(written_verify(folder.path).last_checkpoint.sequence, 3);
}
END_TEST

START_TEST(a_closed_file_ends_with_a_checkpoint)
{
    char *file;

    have_key();
    put_mutation(1);
    writer.must_rotate = true;
    add(written_refusal(1));
    must_put();
    file = written_file(&folder, "audit-000000000001.jsonl");
    ck_assert_ptr_nonnull(strstr(file, "proxy.checkpoint.statement"));
    free(file);
    written_must_be(folder.path, 4, 1, 0);
}
END_TEST

/* Failures */

static const enum disk_call put_calls[] = {DISK_WRITE, DISK_CUT_WRITE, DISK_SYNC};

START_TEST(lines_of_a_failed_put_are_repeated_in_a_new_file)
{
    char *file;

    put_mutation(1);
    add(written_intent(2));
    add(written_refusal(1));
    disk.failures[put_calls[_i]] = 1;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    add(written_intent(3));
    must_put();
    written_must_be(folder.path, 6, 3, 2);
    file = written_file(&folder, "audit.jsonl");
    ck_assert_ptr_nonnull(
        strstr(file, "\"proxy.trail.suspect_file\":\"audit-000000000001.jsonl\""));
    ck_assert_ptr_nonnull(strstr(file, "\"proxy.trail.repeated\":2,"));
    free(file);
    restart();
    must_put();
    written_must_be(folder.path, 8, 3, 0);
}
END_TEST

START_TEST(a_new_file_may_fail_as_well)
{
    put_mutation(1);
    add(written_intent(2));
    disk.failures[put_calls[_i]] = 3;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    add(written_refusal(1));
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    must_put();
    written_must_be(folder.path, 5, 2, 1);
    put_mutation(3);
    add(written_result(2));
    disk.failures[put_calls[_i]] = 1;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    must_put();
    written_must_be(folder.path, 9, 3, 0);
}
END_TEST

START_TEST(the_first_line_of_all_may_fail)
{
    add(written_intent(1));
    add(written_refusal(1));
    disk.failures[put_calls[_i]] = 1;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    must_put();
    written_must_be(folder.path, 3, 1, 1);
}
END_TEST

START_TEST(a_file_that_cannot_be_renamed_stays_until_it_can)
{
    put_mutation(1);
    add(written_intent(2));
    disk.failures[DISK_SYNC] = 1;
    disk.failures[DISK_RENAME] = 2;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    must_put();
    written_must_be(folder.path, 4, 2, 1);
}
END_TEST

START_TEST(a_folder_that_cannot_be_synced_begins_no_file)
{
    put_mutation(1);
    writer.must_rotate = true;
    disk.failures[DISK_FSYNC] = 1;
    add(written_intent(2));
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    must_put();
    written_must_be(folder.path, 3, 2, 1);
}
END_TEST

/* After a crash, whatever of a failed put and of its repeat had come to the disk. */
START_TEST(a_crash_after_a_failed_put_leaves_a_chain)
{
    put_mutation(1);
    add(written_intent(2));
    add(written_refusal(1));
    disk.failures[put_calls[_i]] = 1;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    restart();
    must_put();
    (void)written_verify(folder.path);
    put_mutation(3);
    ck_assert_uint_eq(written_verify(folder.path).unfinished, 0);
}
END_TEST

START_TEST(a_crash_in_the_repeat_leaves_a_chain)
{
    put_mutation(1);
    add(written_intent(2));
    add(written_refusal(1));
    add(written_refusal(2));
    disk.failures[DISK_SYNC] = 1;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    disk.failures[put_calls[_i]] = 1;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    restart();
    must_put();
    (void)written_verify(folder.path);
    put_mutation(3);
    ck_assert_uint_eq(written_verify(folder.path).unfinished, 0);
}
END_TEST

/* The power went when so many whole lines of the repeat were there, and some bytes. */
START_TEST(an_incomplete_repeat_is_no_end_of_the_chain)
{
    const char *path = folder_entry(&folder, "audit.jsonl");
    char *file;
    char *cut;

    put_mutation(1);
    add(written_intent(2));
    add(written_refusal(1));
    add(written_intent(3));
    disk.failures[DISK_SYNC] = 2;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    file = written_file(&folder, "audit.jsonl");
    cut = file;
    for (int i = 0; i < _i / 2; i++)
        cut = strchr(cut, '\n') + 1;
    ck_assert_int_eq(truncate(path, cut - file + _i % 2 * 30), 0);
    free(file);
    restart();
    must_put();
    (void)written_verify(folder.path);
    put_mutation(4);
    ck_assert_uint_eq(written_verify(folder.path).unfinished, 0);
}
END_TEST

/* Room */

/* The disk is full to the last byte when the intents are written. */
START_TEST(a_result_has_its_room_on_a_full_disk)
{
    enum { INTENTS = 20 };
    uint64_t most_end = 100000;

    disk.most_end = (int64_t)most_end;
    unsigned written = 0;

    for (;; written++) {
        add(written_intent(written));
        if (put() != AUDIT_PUT)
            break;
    }
    ck_assert_uint_gt(written, INTENTS);
    drop_pending();
    for (unsigned i = 0; i < written; i++) {
        add(written_result(i));
        must_put();
    }
    ck_assert_uint_le(writer.journal.size, most_end);
    written_must_be(folder.path, 2 * written, written, 0);
}
END_TEST

START_TEST(results_of_one_batch_have_their_room)
{
    unsigned written = 0;

    disk.most_end = 100000;
    for (;; written++) {
        add(written_intent(written));
        if (put() != AUDIT_PUT)
            break;
    }
    drop_pending();
    for (unsigned i = 0; i < written; i++)
        add(written_result(i));
    must_put();
    written_must_be(folder.path, 2 * written, written, 0);
}
END_TEST

START_TEST(without_room_not_a_byte_is_written)
{
    uint64_t size;

    put_mutation(1);
    size = writer.journal.size;
    disk.most_end = (int64_t)size + 100;
    writer.journal.reserved_to = size;
    add(written_intent(2));
    ck_assert_int_eq(put(), AUDIT_NO_ROOM);
    ck_assert(!audit_writer_has_room(&writer, false, &error));
    ck_assert_uint_eq(writer.journal.size, size);
    disk_repair();
    must_put();
    written_must_be(folder.path, 3, 2, 1);
}
END_TEST

/* The folder is others' too */

START_TEST(a_lost_file_is_followed_by_a_new_one)
{
    const char *path = folder_entry(&folder, "audit.jsonl");

    put_mutation(1);
    if (_i == 0)
        ck_assert_int_eq(rename(path, folder_entry(&folder, "audit.jsonl.1")), 0);
    else
        ck_assert_int_eq(rename(path, folder_entry(&folder, "audit-kept.jsonl")), 0);
    put_mutation(2);
    written_must_be(folder.path, 4, 2, 0);
    restart();
    put_mutation(3);
    written_must_be(folder.path, 6, 3, 0);
}
END_TEST

/* What was not acknowledged is cut off it, and written to the new file. */
START_TEST(a_suspect_file_that_was_renamed_ends_where_it_is_certain)
{
    put_mutation(1);
    add(written_intent(2));
    disk.failures[DISK_SYNC] = 1;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    ck_assert_int_eq(rename(folder_entry(&folder, "audit.jsonl"),
                            folder_entry(&folder, "audit.jsonl.1")),
                     0);
    must_put();
    written_must_be(folder.path, 3, 2, 1);
}
END_TEST

START_TEST(a_stranger_in_the_files_place_is_not_removed)
{
    put_mutation(1);
    ck_assert_int_eq(rename(folder_entry(&folder, "audit.jsonl"),
                            folder_entry(&folder, "audit.jsonl.1")),
                     0);
    (void)folder_write(&folder, "audit.jsonl", SPAN("mine\n"), 0600);
    put_mutation(2);
    ck_assert(written_has(&folder, "audit-000000000001.foreign"));
    written_must_be(folder.path, 4, 2, 0);
}
END_TEST

START_TEST(a_discarded_file_that_was_renamed_is_not_anothers)
{
    put_mutation(1);
    add(written_intent(2));
    disk.failures[DISK_SYNC] = 2;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    ck_assert_int_eq(unlink(folder_entry(&folder, "audit.jsonl")), 0);
    (void)folder_write(&folder, "audit.jsonl", SPAN("mine\n"), 0600);
    must_put();
    ck_assert(written_has(&folder, "audit-000000000003.foreign"));
    written_must_be(folder.path, 4, 2, 1);
}
END_TEST

START_TEST(a_folder_that_is_gone_is_not_written)
{
    char moved[512];

    put_mutation(1);
    add(written_refusal(1));
    disk.failures[DISK_SYNC] = _i;
    ck_assert_int_eq(put(), _i == 0 ? AUDIT_PUT : AUDIT_BROKEN);
    (void)snprintf(moved, sizeof(moved), "%s-moved", folder.path);
    ck_assert_int_eq(rename(folder.path, moved), 0);
    add(written_intent(2));
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    ck_assert_int_eq(rename(moved, folder.path), 0);
    must_put();
    written_must_be(folder.path, 4 + (uint64_t)_i, 2, 1);
}
END_TEST

START_TEST(another_writer_is_waited_for)
{
    struct audit_writer other;
    struct audit_entry *none = NULL;

    put_mutation(1);
    ck_assert(audit_writer_init(&other, folder.path, &error));
    other.rotate_bytes = 1 << 30;
    ck_assert_int_eq(audit_writer_prepare(&other, &none, &error), AUDIT_BUSY);
    ck_assert_int_eq(audit_writer_prepare(&other, &none, &error), AUDIT_BUSY);
    put_mutation(2);
    audit_writer_fini(&writer);
    ck_assert_int_eq(audit_writer_prepare(&other, &none, &error), AUDIT_READY);
    ck_assert_uint_eq(other.chain.sequence, 4);
    writer = other;
    put_mutation(3);
    written_must_be(folder.path, 6, 3, 0);
}
END_TEST

/* Restarts */

START_TEST(open_intents_are_closed_as_unknown)
{
    add(written_intent(1));
    add(written_intent(2));
    add(written_result(1));
    add(written_intent(3));
    must_put();
    restart();
    must_put();
    written_must_be(folder.path, 6, 3, 0);
    ck_assert_uint_eq(written_count(written_all(folder.path), "gateway_stopped"), 2);
    restart();
    must_put();
    written_must_be(folder.path, 6, 3, 0);
}
END_TEST

START_TEST(a_torn_line_is_set_aside_and_said)
{
    add(written_intent(1));
    must_put();
    add(written_refusal(1));
    disk.failures[DISK_CUT_WRITE] = 1;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    restart();
    must_put();
    written_must_be(folder.path, 3, 1, 0);
    ck_assert(written_has(&folder, "audit-000000000002.torn"));
    ck_assert_uint_eq(written_count(written_all(folder.path), "trail.repaired"), 1);
}
END_TEST

/* On a disk that fails for long a start tries often: it must not litter the folder. */
START_TEST(a_torn_line_waits_for_a_disk_that_can_keep_it)
{
    put_mutation(1);
    add(written_refusal(1));
    disk.failures[DISK_CUT_WRITE] = 1;
    ck_assert_int_eq(put(), AUDIT_BROKEN);
    restart();
    disk.failures[_i == 0 ? DISK_WRITE : DISK_FSYNC] = -1;
    for (int i = 0; i < 1100; i++)
        ck_assert_int_eq(put(), AUDIT_BROKEN);
    ck_assert(!written_has(&folder, "audit-000000000003.1.torn"));
    disk_repair();
    must_put();
    written_must_be(folder.path, 3, 1, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/writer");
    TCase *lines = suite_case(suite, "lines");
    TCase *failures = suite_case(suite, "failures");
    TCase *room = suite_case(suite, "room");
    TCase *others = suite_case(suite, "others");
    TCase *restarts = suite_case(suite, "restarts");
    TCase *cases[] = {lines, failures, room, others, restarts};

    for (int i = 0; i < ROWS(cases); i++)
        tcase_add_checked_fixture(cases[i], begin, end);
    tcase_add_test(lines, lines_of_a_batch_are_a_chain);
    tcase_add_test(lines, what_is_written_is_told_line_for_line);
    tcase_add_test(lines, a_full_file_is_closed_and_the_next_says_what_is_open);
    tcase_add_test(lines, rotation_on_demand_leaves_an_empty_file_alone);
    tcase_add_test(lines, a_checkpoint_is_about_the_line_before);
    tcase_add_test(lines, a_closed_file_ends_with_a_checkpoint);
    tcase_add_loop_test(failures, lines_of_a_failed_put_are_repeated_in_a_new_file, 0,
                        ROWS(put_calls));
    tcase_add_loop_test(failures, a_new_file_may_fail_as_well, 0, ROWS(put_calls));
    tcase_add_loop_test(failures, the_first_line_of_all_may_fail, 0, ROWS(put_calls));
    tcase_add_test(failures, a_file_that_cannot_be_renamed_stays_until_it_can);
    tcase_add_test(failures, a_folder_that_cannot_be_synced_begins_no_file);
    tcase_add_loop_test(failures, a_crash_after_a_failed_put_leaves_a_chain, 0,
                        ROWS(put_calls));
    tcase_add_loop_test(failures, a_crash_in_the_repeat_leaves_a_chain, 0,
                        ROWS(put_calls));
    tcase_add_loop_test(failures, an_incomplete_repeat_is_no_end_of_the_chain, 0, 8);
    tcase_add_test(room, a_result_has_its_room_on_a_full_disk);
    tcase_add_test(room, results_of_one_batch_have_their_room);
    tcase_add_test(room, without_room_not_a_byte_is_written);
    tcase_add_loop_test(others, a_lost_file_is_followed_by_a_new_one, 0, 2);
    tcase_add_test(others, a_suspect_file_that_was_renamed_ends_where_it_is_certain);
    tcase_add_test(others, a_stranger_in_the_files_place_is_not_removed);
    tcase_add_test(others, a_discarded_file_that_was_renamed_is_not_anothers);
    tcase_add_loop_test(others, a_folder_that_is_gone_is_not_written, 0, 2);
    tcase_add_test(others, another_writer_is_waited_for);
    tcase_add_test(restarts, open_intents_are_closed_as_unknown);
    tcase_add_test(restarts, a_torn_line_is_set_aside_and_said);
    tcase_add_loop_test(restarts, a_torn_line_waits_for_a_disk_that_can_keep_it, 0, 2);
    return run_suite_in_folder(suite);
}
