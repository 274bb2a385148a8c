#include "audit/trail.h"

#include <pthread.h>
#include <time.h>

#include "audit/disk.h"
#include "audit/writer.h"
#include "audit/written.h"
#include "base/clock.h"
#include "base/log.h"

enum { TIMEOUT_MS = 5000, THREADS = 4, EACH = 400, OWNERS = 2 * THREADS * EACH };

static struct folder folder;
static struct audit_settings settings;
static struct audit_trail *trail;
static struct error error;

/* Owners: each mutation's intent and result have one. */
static struct owner {
    _Atomic int told;
    _Atomic int done; /* what it was told last */
} owners[OWNERS];

static bool is_failing; /* intents may fail: those have no result */

static void on_done(struct audit_entry *entry, enum audit_done done)
{
    struct owner *owner = entry->owner;

    atomic_store(&owner->done, (int)done);
    (void)atomic_fetch_add(&owner->told, 1);
    audit_entry_free(entry);
}

static void start(void)
{
    trail = audit_trail_new(&settings, &error);
    ck_assert_msg(trail != NULL, "%s", error.text);
}

static void begin(void)
{
    log_configure(LOG_ERROR, LOG_TEXT);
    folder_make(&folder);
    memset(owners, 0, sizeof(owners));
    is_failing = false;
    settings = (struct audit_settings){.directory = folder_entry(&folder, "trail"),
                                       .rotate_bytes = 1 << 30,
                                       .timeout_ms = TIMEOUT_MS};
    start();
}

static void stop(void)
{
    audit_trail_free(trail);
    trail = NULL;
}

static void end(void)
{
    disk_repair();
    stop();
    folder_remove(&folder);
}

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&pause, NULL);
}

static bool submit(struct audit_entry *entry, struct owner *owner)
{
    if (owner != NULL) {
        entry->owner = owner;
        entry->on_done = on_done;
    }
    if (audit_trail_submit(trail, entry))
        return true;
    if (!entry->is_loose)
        audit_entry_free(entry);
    return false;
}

static bool submit_loose(struct audit_entry *entry)
{
    bool is_taken = audit_trail_submit(trail, entry);

    if (!is_taken)
        audit_entry_free(entry);
    return is_taken;
}

static void await(struct owner *owner)
{
    for (int i = 0; i < 20000 && atomic_load(&owner->told) == 0; i++)
        pause_ms(1);
    ck_assert_int_eq(atomic_load(&owner->told), 1);
}

static enum audit_done intent(unsigned number)
{
    ck_assert(submit(written_intent(number), &owners[number]));
    await(&owners[number]);
    return (enum audit_done)atomic_load(&owners[number].done);
}

static bool is_writable(void)
{
    struct error why;

    return audit_trail_is_writable(trail, &why);
}

static void await_writable(bool wanted)
{
    for (int i = 0; i < 20000 && is_writable() != wanted; i++)
        pause_ms(1);
    ck_assert_int_eq(is_writable(), wanted);
}

static void flush(void)
{
    ck_assert(audit_trail_flush(trail, 60000));
}

static unsigned count(const char *word)
{
    return written_count(written_all(settings.directory), word);
}

/* Submitting */

START_TEST(an_intent_is_durable_when_its_owner_is_told)
{
    ck_assert_int_eq(intent(1), AUDIT_DURABLE);
    ck_assert_uint_eq(count("\"intent\""), 1);
    ck_assert(submit(written_result(1), &owners[2]));
    await(&owners[2]);
    ck_assert_uint_eq(count("\"result\""), 1);
    stop();
    written_must_be(settings.directory, 2, 1, 0);
    ck_assert_int_eq(owners[1].told, 1);
    ck_assert_int_eq(owners[2].told, 1);
}
END_TEST

static bool has_failed(unsigned number)
{
    while (is_failing && atomic_load(&owners[2 * number].told) == 0)
        pause_ms(1);
    return atomic_load(&owners[2 * number].done) == AUDIT_FAILED;
}

static void *mutate(void *arg)
{
    unsigned first = (unsigned)(uintptr_t)arg * EACH;

    for (unsigned i = first; i < first + EACH; i++) {
        while (!submit(written_intent(i), &owners[2 * i]))
            pause_ms(1);
        if (i % 7 == 0)
            (void)submit_loose(written_refusal(i));
        if (i % 50 == 0)
            audit_trail_rotate(trail);
        while (i % 3 == 0 && atomic_load(&owners[2 * i].told) == 0)
            pause_ms(1);
        if (has_failed(i))
            owners[2 * i + 1].told = 1;
        else
            (void)submit(written_result(i), &owners[2 * i + 1]);
        if (i % 5 == 0) {
            struct audit_numbers numbers;

            audit_trail_numbers(trail, &numbers);
            (void)is_writable();
        }
    }
    return NULL;
}

static void mutate_everywhere(void)
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, mutate, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}

START_TEST(threads_submit_and_each_owner_is_told_once)
{
    struct audit_numbers numbers;

    disk_repair();
    disk.syncs = 0;
    mutate_everywhere();
    flush();
    for (int i = 0; i < OWNERS; i++) {
        ck_assert_int_eq(owners[i].told, 1);
        ck_assert_int_eq(owners[i].done, AUDIT_DURABLE);
    }
    audit_trail_numbers(trail, &numbers);
    ck_assert_uint_eq(numbers.records[AUDIT_INTENT], THREADS * EACH);
    ck_assert_uint_eq(numbers.records[AUDIT_RESULT], THREADS * EACH);
    ck_assert_uint_eq(numbers.dropped, 0);
    ck_assert_uint_gt(numbers.sync_times.count, 0);
    ck_assert_uint_eq((unsigned)numbers.sync_times.count, (unsigned)disk.syncs);
    stop();
    written_must_be(settings.directory,
                    2 * THREADS * EACH + numbers.records[AUDIT_REFUSED], THREADS * EACH,
                    0);
}
END_TEST

START_TEST(what_waits_is_written_with_one_sync)
{
    disk.sync_ms = 100;
    ck_assert(submit(written_intent(0), &owners[0]));
    pause_ms(30);
    for (unsigned i = 1; i < 200; i++)
        ck_assert(submit(written_intent(i), &owners[i]));
    flush();
    ck_assert_int_le(disk.syncs, 3);
    for (unsigned i = 0; i < 200; i++)
        ck_assert_int_eq(owners[i].told, 1);
    stop();
    written_must_be(settings.directory, 200, 200, 200);
}
END_TEST

START_TEST(a_withdrawn_intent_is_left_out)
{
    struct audit_entry *withdrawn = written_intent(1);

    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    disk.sync_ms = 200;
    ck_assert(submit(written_result(0), &owners[5]));
    pause_ms(50); /* the thread is at the disk */
    ck_assert(submit(withdrawn, &owners[1]));
    ck_assert(submit(written_intent(2), &owners[2]));
    atomic_store(&withdrawn->is_withdrawn, true);
    await(&owners[1]);
    await(&owners[2]);
    ck_assert_int_eq(owners[1].done, AUDIT_FAILED);
    ck_assert_int_eq(owners[2].done, AUDIT_DURABLE);
    stop();
    written_must_be(settings.directory, 3, 2, 1);
}
END_TEST

START_TEST(loose_entries_are_bounded)
{
    struct audit_numbers numbers;
    unsigned taken = 0;

    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    disk.sync_ms = 1000;
    ck_assert(submit(written_intent(1), &owners[1]));
    pause_ms(50);
    for (unsigned i = 0; i < 10500; i++)
        taken += submit_loose(written_refusal(i));
    ck_assert_uint_eq(taken, 10000);
    audit_trail_numbers(trail, &numbers);
    ck_assert_uint_eq(numbers.dropped, 500);
    disk.sync_ms = 0;
    flush();
    ck_assert(submit_loose(written_refusal(1)));
    stop();
    written_must_be(settings.directory, 10003, 2, 2);
}
END_TEST

START_TEST(a_record_that_no_reader_takes_is_refused)
{
    struct audit_entry *entry = written_intent(1);

    while (entry->body.len < 600 * 1024)
        text_add(&entry->body, SPAN("                                                "));
    ck_assert(!submit(entry, &owners[1]));
    ck_assert_int_eq(intent(2), AUDIT_DURABLE);
    stop();
    written_must_be(settings.directory, 1, 1, 1);
}
END_TEST

static void refuse_often(int times)
{
    for (int i = 0; i < times; i++) {
        if (audit_trail_admits_refusal(trail, SPAN("192.0.2.7")))
            (void)submit_loose(written_refusal((unsigned)i));
    }
}

START_TEST(suppressed_refusals_are_summed_up_at_the_stop)
{
    refuse_often(35);
    stop();
    ck_assert_uint_eq(count("\"proxy.suppressed\":25"), 1);
    written_must_be(settings.directory, 11, 0, 0);
}
END_TEST

/* Failures */

START_TEST(one_failure_is_not_noticed_by_anybody)
{
    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    disk.failures[_i] = 1;
    ck_assert_int_eq(intent(1), AUDIT_DURABLE);
    ck_assert_int_eq(intent(2), AUDIT_DURABLE);
    ck_assert(is_writable());
    ck_assert_uint_eq(count("trail.resumed"), 1);
    stop();
    written_must_be(settings.directory, 4, 3, 3);
}
END_TEST

START_TEST(intents_fail_while_results_wait_for_the_disk)
{
    struct error why = {""};

    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    ck_assert_int_eq(intent(1), AUDIT_DURABLE);
    disk.failures[_i] = -1;
    ck_assert_int_eq(intent(2), AUDIT_FAILED_LATER);
    ck_assert(!audit_trail_is_writable(trail, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "trail"));
    ck_assert(!submit(written_intent(3), &owners[3]));
    ck_assert(submit(written_result(0), &owners[10]));
    ck_assert(submit(written_result(1), NULL));
    ck_assert(submit(written_result(2), &owners[12])); /* of the one that failed */
    pause_ms(500);
    ck_assert_int_eq(owners[10].told, 0);
    disk_repair();
    await(&owners[10]);
    await(&owners[12]);
    await_writable(true);
    ck_assert_int_eq(intent(4), AUDIT_DURABLE);
    stop();
    ck_assert_int_eq(owners[2].told, 1);
    written_must_be(settings.directory, 8, 4, 1);
}
END_TEST

START_TEST(intents_that_were_never_tried_are_not_in_the_trail)
{
    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    ck_assert_int_eq(rename(settings.directory, folder_entry(&folder, "away")), 0);
    ck_assert_int_eq(intent(1), AUDIT_FAILED);
    ck_assert(!is_writable());
    ck_assert(submit(written_result(0), &owners[10]));
    ck_assert_int_eq(rename(folder_entry(&folder, "away"), settings.directory), 0);
    await(&owners[10]);
    await_writable(true);
    ck_assert_int_eq(intent(2), AUDIT_DURABLE);
    stop();
    written_must_be(settings.directory, 3, 2, 1);
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_is_waited_for)
{
    stop();
    settings.directory = folder_entry(&folder, "none/trail");
    start();
    await_writable(false);
    ck_assert(!submit(written_intent(0), &owners[0]));
    ck_assert_int_eq(mkdir(folder_entry(&folder, "none"), 0700), 0);
    ck_assert_int_eq(mkdir(settings.directory, 0700), 0);
    await_writable(true);
    ck_assert_int_eq(intent(1), AUDIT_DURABLE);
    stop();
    written_must_be(settings.directory, 1, 1, 1);
}
END_TEST

START_TEST(a_full_disk_takes_results_and_no_intents)
{
    unsigned taken = 0;

    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    disk.most_end = 400000; /* more than is reserved at once */
    for (unsigned i = 1; i < OWNERS / 2 && is_writable(); i++) {
        if (submit(written_intent(i), &owners[i])) {
            await(&owners[i]);
            taken = owners[i].done == AUDIT_DURABLE ? i : taken;
        }
    }
    ck_assert(!is_writable());
    ck_assert_uint_gt(taken, 10);
    for (unsigned i = 0; i <= taken; i++)
        ck_assert(submit(written_result(i), &owners[OWNERS / 2 + i]));
    for (unsigned i = 0; i <= taken; i++)
        await(&owners[OWNERS / 2 + i]);
    disk_repair();
    await_writable(true);
    stop();
    written_must_be(settings.directory, 2 * (taken + 1), taken + 1, 0);
}
END_TEST

START_TEST(a_slow_disk_counts_as_gone_for_intents)
{
    settings.timeout_ms = 100;
    ck_assert(audit_trail_configure(trail, &settings, &error));
    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    disk.sync_ms = 1500;
    ck_assert(submit(written_intent(1), &owners[1]));
    pause_ms(500);
    ck_assert(!is_writable());
    ck_assert(!submit(written_intent(2), &owners[2]));
    ck_assert(submit(written_result(0), &owners[3]));
    disk.sync_ms = 0;
    await(&owners[3]);
    await_writable(true);
    stop();
    written_must_be(settings.directory, 3, 2, 1);
}
END_TEST

/* Faults come and go while threads submit: nothing is lost, doubled or told twice. */
static void *break_things(void *arg)
{
    _Atomic bool *is_over = arg;
    unsigned turn = 1;

    while (!atomic_load(is_over)) {
        turn = turn * 1103515245u + 12345u;
        disk.failures[turn / 65536 % 3] = (int)(turn / 262144 % 5);
        pause_ms((long)(turn / 1048576 % 20));
    }
    disk_repair();
    return NULL;
}

START_TEST(failures_at_any_time_lose_nothing)
{
    _Atomic bool is_over = false;
    unsigned durable = 0, later = 0;
    struct audit_verdict verdict;
    pthread_t breaker;

    is_failing = true;
    ck_assert_int_eq(pthread_create(&breaker, NULL, break_things, &is_over), 0);
    mutate_everywhere();
    atomic_store(&is_over, true);
    ck_assert_int_eq(pthread_join(breaker, NULL), 0);
    flush();
    for (int i = 0; i < OWNERS; i += 2) {
        ck_assert_int_eq(owners[i].told, 1);
        ck_assert_int_eq(owners[i + 1].told, 1);
        durable += owners[i].done == AUDIT_DURABLE;
        later += owners[i].done == AUDIT_FAILED_LATER;
    }
    stop();
    verdict = written_verify(settings.directory);
    ck_assert_uint_eq(verdict.mutations, durable + later);
    ck_assert_uint_eq(verdict.unfinished, 0);
}
END_TEST

/* Beginning and end */

START_TEST(a_flush_that_is_given_up_tells_nobody_any_more)
{
    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    disk.failures[DISK_SYNC] = -1;
    ck_assert(submit(written_result(0), &owners[1]));
    ck_assert(!audit_trail_flush(trail, 200));
    disk_repair();
    pause_ms(400);
    ck_assert_int_eq(owners[1].told, 0);
    stop();
    written_must_be(settings.directory, 3, 1, 0);
}
END_TEST

START_TEST(the_end_writes_what_waits_unless_the_disk_does_not_take_it)
{
    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    disk.failures[_i] = -1;
    ck_assert(submit(written_result(0), NULL));
    (void)submit_loose(written_refusal(1));
    stop();
    disk_repair();
    (void)written_verify(settings.directory);
    start();
    ck_assert_int_eq(intent(1), AUDIT_DURABLE);
    stop();
    ck_assert_uint_eq(written_verify(settings.directory).unfinished, 1);
}
END_TEST

START_TEST(entries_wait_for_a_lock_that_another_holds)
{
    struct audit_entry *withdrawn = written_intent(3);
    struct audit_writer other;
    struct audit_entry *none = NULL;

    stop();
    ck_assert(audit_writer_init(&other, settings.directory, &error));
    ck_assert_int_eq(audit_writer_prepare(&other, &none, &error), AUDIT_READY);
    start();
    ck_assert(submit(written_intent(1), &owners[1]));
    ck_assert(submit(withdrawn, &owners[3]));
    pause_ms(100);
    ck_assert_int_eq(owners[1].told, 0);
    ck_assert(is_writable());
    atomic_store(&withdrawn->is_withdrawn, true);
    await(&owners[3]);
    ck_assert_int_eq(owners[3].done, AUDIT_FAILED);
    audit_writer_fini(&other);
    await(&owners[1]);
    ck_assert_int_eq(owners[1].done, AUDIT_DURABLE);
    stop();
    written_must_be(settings.directory, 1, 1, 1);
}
END_TEST

START_TEST(a_trail_that_nobody_used_ends)
{
    stop();
    written_must_be(settings.directory, 0, 0, 0);
    audit_trail_free(NULL);
}
END_TEST

START_TEST(checkpoints_are_written_at_rotation_and_stop)
{
    char id[AUDIT_KEY_ID_HEX + 1];

    ck_assert(audit_key_generate(folder.path, id, &error));
    settings.signing_key_file = folder_entry(&folder, AUDIT_PRIVATE_KEY_NAME);
    ck_assert(audit_trail_configure(trail, &settings, &error));
    ck_assert_int_eq(intent(0), AUDIT_DURABLE);
    audit_trail_rotate(trail);
    ck_assert_int_eq(intent(1), AUDIT_DURABLE);
    flush();
    stop();
    ck_assert_uint_eq(count("\"proxy.phase\":\"checkpoint\""), 2);
    written_must_be(settings.directory, 4, 2, 2);
}
END_TEST

START_TEST(another_folder_is_for_the_next_start)
{
    settings.directory = folder.path;
    ck_assert(!audit_trail_configure(trail, &settings, &error));
    settings.directory = folder_entry(&folder, "trail");
    settings.signing_key_file = "/nonexistent";
    ck_assert(!audit_trail_configure(trail, &settings, &error));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/trail");
    TCase *submitting = suite_case(suite, "submitting");
    TCase *failures = suite_case(suite, "failures");
    TCase *ends = suite_case(suite, "ends");
    TCase *cases[] = {submitting, failures, ends};

    for (int i = 0; i < ROWS(cases); i++)
        tcase_add_checked_fixture(cases[i], begin, end);
    tcase_add_test(submitting, an_intent_is_durable_when_its_owner_is_told);
    tcase_add_test(submitting, threads_submit_and_each_owner_is_told_once);
    tcase_add_test(submitting, what_waits_is_written_with_one_sync);
    tcase_add_test(submitting, a_withdrawn_intent_is_left_out);
    tcase_add_test(submitting, loose_entries_are_bounded);
    tcase_add_test(submitting, a_record_that_no_reader_takes_is_refused);
    tcase_add_test(submitting, suppressed_refusals_are_summed_up_at_the_stop);
    tcase_add_loop_test(failures, one_failure_is_not_noticed_by_anybody, DISK_WRITE,
                        DISK_SYNC + 1);
    tcase_add_loop_test(failures, intents_fail_while_results_wait_for_the_disk,
                        DISK_WRITE, DISK_SYNC + 1);
    tcase_add_test(failures, intents_that_were_never_tried_are_not_in_the_trail);
    tcase_add_test(failures, a_folder_that_cannot_be_made_is_waited_for);
    tcase_add_test(failures, a_full_disk_takes_results_and_no_intents);
    tcase_add_test(failures, a_slow_disk_counts_as_gone_for_intents);
    tcase_add_test(failures, failures_at_any_time_lose_nothing);
    tcase_add_test(ends, a_flush_that_is_given_up_tells_nobody_any_more);
    tcase_add_loop_test(ends, the_end_writes_what_waits_unless_the_disk_does_not_take_it,
                        DISK_WRITE, DISK_SYNC + 1);
    tcase_add_test(ends, entries_wait_for_a_lock_that_another_holds);
    tcase_add_test(ends, a_trail_that_nobody_used_ends);
    tcase_add_test(ends, checkpoints_are_written_at_rotation_and_stop);
    tcase_add_test(ends, another_folder_is_for_the_next_start);
    return run_suite_in_folder(suite);
}
