/* The writer on a disk that fails at random, with crashes: whatever was acknowledged is
 * in the trail, once and in order, and the trail is intact. */
#include "audit/disk.h"
#include "audit/writer.h"
#include "audit/written.h"
#include "base/log.h"

enum { STEPS = 400, MOST = 4 * STEPS };

static struct folder folder;
static struct audit_writer writer;
static struct audit_entry *pending;
static struct error error;
static uint64_t state;

/* What was acknowledged: refusals, whose numbers must be found in this order. */
static unsigned acknowledged[MOST];
static unsigned submitted, intents;

static unsigned below(unsigned limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 11) % limit;
}

static void add(struct audit_entry *entry)
{
    struct audit_entry **link = &pending;

    while (*link != NULL)
        link = &(*link)->next;
    *link = entry;
}

static void add_some(void)
{
    for (unsigned i = below(4); i > 0; i--) {
        struct audit_entry *entry = written_refusal(submitted);

        entry->owner = &acknowledged[submitted];
        acknowledged[submitted++] = 0;
        add(entry);
    }
    if (below(2) == 0)
        add(written_intent(intents++));
}

static void drop_pending(bool is_acknowledged)
{
    while (pending != NULL) {
        struct audit_entry *entry = pending;
        unsigned *mark = entry->owner;

        pending = entry->next;
        if (is_acknowledged && mark != NULL)
            *mark = 1;
        audit_entry_free(entry);
    }
}

static void put(void)
{
    enum audit_put answer;

    if (audit_writer_prepare(&writer, &pending, &error) != AUDIT_READY)
        return;
    answer = audit_writer_put(&writer, pending, false, &error);
    if (answer == AUDIT_PUT)
        drop_pending(true);
    for (struct audit_entry *entry = pending; answer == AUDIT_BROKEN && entry != NULL;
         entry = entry->next)
        entry->was_attempted = true;
}

/* Cuts the file that is being written somewhere behind what was acknowledged. */
static void lose_unsynced(void)
{
    const char *path = folder_entry(&folder, "audit.jsonl");
    struct stat status;

    if (writer.journal.fd < 0 || stat(path, &status) != 0 ||
        (uint64_t)status.st_size <= writer.journal.size)
        return;
    ck_assert_int_eq(
        truncate(path,
                 status.st_size -
                     below((unsigned)(status.st_size - (off_t)writer.journal.size + 1))),
        0);
}

static void crash(void)
{
    writer.journal.reserved_to = writer.journal.size;
    if (writer.journal.fd >= 0 && below(2) == 0)
        lose_unsynced();
    disk_repair();
    drop_pending(false);
    audit_writer_fini(&writer);
    ck_assert(audit_writer_init(&writer, folder.path, &error));
    writer.rotate_bytes = 4000;
}

static void begin(void)
{
    log_configure(LOG_ERROR, LOG_TEXT);
    folder_make(&folder);
    pending = NULL;
    submitted = intents = 0;
    ck_assert(audit_writer_init(&writer, folder.path, &error));
    writer.rotate_bytes = 4000;
}

static void end(void)
{
    disk_repair();
    drop_pending(false);
    audit_writer_fini(&writer);
    folder_remove(&folder);
}

/* Every acknowledged refusal is there. */
static void compare(void)
{
    char *all = written_all(folder.path);

    for (unsigned i = 0; i < submitted; i++) {
        char word[40];

        (void)snprintf(word, sizeof(word), "\"refusal %u\"", i);
        ck_assert_msg(!acknowledged[i] || strstr(all, word) != NULL, "no %s", word);
    }
    free(all);
}

START_TEST(whatever_fails_the_chain_is_whole)
{
    state = (uint64_t)_i * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int step = 0; step < STEPS; step++) {
        if (below(4) == 0)
            disk.failures[below(DISK_CALLS)] = (int)below(4);
        if (below(10) == 0)
            disk_repair();
        add_some();
        put();
        if (below(12) == 0)
            writer.must_rotate = true;
        if (below(15) == 0)
            crash();
        if (step % 20 == 0 && pending == NULL) {
            (void)written_verify(folder.path);
            compare();
        }
    }
    crash();
    put();
    ck_assert_ptr_null(pending);
    ck_assert_uint_eq(written_verify(folder.path).unfinished, 0);
    compare();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/writer_random");
    TCase *random = suite_case(suite, "random");

    tcase_add_checked_fixture(random, begin, end);
    tcase_add_loop_test(random, whatever_fails_the_chain_is_whole, 1, 13);
    return run_suite_in_folder(suite);
}
