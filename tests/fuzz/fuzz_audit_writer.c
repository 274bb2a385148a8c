/*
 * The trail's writer on a disk that fails as the input says, with crashes that lose what
 * was not synced, and garbage behind it: whatever was acknowledged is in the trail, the
 * trail is intact, and after a last start each intent has its result.
 *
 * The input is pairs of bytes: what is done, and how.
 */
#include <dirent.h>

#include "audit/disk.h"
#include "audit/key.h"
#include "audit/verify.h"
#include "audit/writer.h"
#include "base/log.h"
#include "fuzz/support.h"

enum { MOST_RECORDS = 256, WALL_MS = 1000, MOST_TRIES = 8, ROTATE_BYTES = 3000 };

static char top[] = "/dev/shm/psgate-fuzz-XXXXXX", folder[64], key_path[128];

static struct audit_writer writer;
static struct audit_entry *pending;
static unsigned made;                      /* intents, by number */
static bool is_acknowledged[MOST_RECORDS]; /* by the intent's number */
static bool is_open[MOST_RECORDS];         /* its result has not been made */

static void remove_top(void)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/" AUDIT_PUBLIC_KEY_NAME, top);
    (void)unlink(path);
    (void)unlink(key_path);
    (void)rmdir(top);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char id[AUDIT_KEY_ID_HEX + 1];
    struct error error;

    (void)argc;
    (void)argv;
    log_configure(LOG_ERROR, LOG_TEXT);
    fuzz_require(mkdtemp(top) != NULL, "no folder in /dev/shm");
    (void)snprintf(folder, sizeof(folder), "%s/audit", top);
    (void)snprintf(key_path, sizeof(key_path), "%s/" AUDIT_PRIVATE_KEY_NAME, top);
    fuzz_require(audit_key_generate(top, id, &error), "%s", error.text);
    (void)atexit(remove_top);
    return 0;
}

/* Lines that say what was wrong with the disk are no finding. */
void __wrap_log_output_write(enum log_level level, struct span line);
void __wrap_log_output_write(enum log_level level, struct span line)
{
    (void)level;
    (void)line;
}

/* Records */

static void add(enum audit_phase phase, unsigned number)
{
    struct audit_entry *entry = audit_entry_new(phase), **link = &pending;
    const struct audit_outcome outcome = {.outcome = "success", .status = 200};
    const struct audit_subject about = {.id = entry->id,
                                        .category = "iam",
                                        .action = SPAN("updateTeamMember"),
                                        .method = SPAN("PUT")};
    struct text subject = {0};

    (void)snprintf(entry->id, sizeof(entry->id), "%032u", number);
    audit_record_subject(&about, &subject);
    if (phase == AUDIT_INTENT)
        audit_record_intent(fuzz_text(&subject), SPAN("PUT"), WALL_MS, &entry->body);
    else
        audit_record_result(fuzz_text(&subject), SPAN("PUT"), WALL_MS, &outcome,
                            &entry->body);
    text_fini(&subject);
    while (*link != NULL)
        link = &(*link)->next;
    *link = entry;
}

static void add_intents(unsigned count)
{
    for (; count > 0 && made < MOST_RECORDS; count--) {
        is_acknowledged[made] = false;
        is_open[made] = true;
        add(AUDIT_INTENT, made++);
    }
}

/* Of the first open change whose intent is in the trail. */
static void add_result(void)
{
    for (unsigned i = 0; i < made; i++) {
        if (!is_open[i] || !is_acknowledged[i])
            continue;
        is_open[i] = false;
        add(AUDIT_RESULT, i);
        return;
    }
}

static void drop_pending(bool were_written)
{
    while (pending != NULL) {
        struct audit_entry *entry = pending;

        pending = entry->next;
        if (were_written && entry->phase == AUDIT_INTENT)
            is_acknowledged[strtoul(entry->id, NULL, 10)] = true;
        audit_entry_free(entry);
    }
}

static bool put(bool with_checkpoint)
{
    struct error error;
    enum audit_put answer;

    if (audit_writer_prepare(&writer, &pending, &error) != AUDIT_READY)
        return false;
    if (pending == NULL && !audit_writer_owes_checkpoint(&writer))
        with_checkpoint = false; /* there is nothing that it could be about */
    answer = audit_writer_put(&writer, pending, with_checkpoint, &error);
    if (answer == AUDIT_PUT)
        drop_pending(true);
    for (struct audit_entry *entry = pending; answer == AUDIT_BROKEN && entry != NULL;
         entry = entry->next)
        entry->was_attempted = true;
    return answer == AUDIT_PUT;
}

/* Starts and crashes */

static void start(void)
{
    struct error error;

    fuzz_require(audit_writer_init(&writer, folder, &error), "%s", error.text);
    writer.rotate_bytes = ROTATE_BYTES;
    writer.key = calloc(1, sizeof(*writer.key));
    fuzz_require(writer.key != NULL &&
                     audit_key_load_private(key_path, writer.key, &error),
                 "%s", error.text);
}

/* Cuts off some of what is behind the last sync, and puts zeros or half a line there. */
static void lose(unsigned how)
{
    static const char *const rests[] = {"", "{\"@timest", "\0\0\0\0\0\0\0", "}"};
    static const size_t lens[] = {0, 9, 7, 1};
    int fd = writer.journal.fd;
    off_t synced = (off_t)writer.journal.size,
          size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;

    if (fd < 0)
        return;
    if (size > synced) {
        size = synced + (size - synced) * (how & 15) / 16;
        fuzz_require(ftruncate(fd, size) == 0, "nothing can be lost");
    }
    fuzz_require(pwrite(fd, rests[how >> 4 & 3], lens[how >> 4 & 3], size) >= 0,
                 "nothing can be torn");
}

static void crash(unsigned how)
{
    disk_repair();
    writer.journal.reserved_to = writer.journal.size; /* nobody trims the file */
    lose(how);
    drop_pending(false);
    for (unsigned i = 0; i < made; i++)
        is_open[i] = false; /* recovery gives those that are in the trail a result */
    audit_writer_fini(&writer);
    start();
}

static void play(unsigned what, unsigned how)
{
    switch (what % 7) {
    case 0:
        add_intents(how & 3);
        (void)put((how & 4) != 0);
        break;
    case 1:
        add_result();
        (void)put(false);
        break;
    case 2:
        disk.failures[how % DISK_CALLS] = 1 + (int)(how / DISK_CALLS & 3);
        break;
    case 3:
        disk_repair();
        break;
    case 4:
        writer.must_rotate = true;
        break;
    case 5:
        crash(how);
        break;
    default:
        disk.most_end = how * 64; /* 0: there is room again */
    }
}

/* The end */

static unsigned count_acknowledged(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < made; i++)
        count += is_acknowledged[i];
    return count;
}

static void judge(void)
{
    const struct audit_verify_request request = {
        .folder = folder, .keys = writer.key, .key_count = 1};
    struct audit_verdict verdict;
    struct error error;

    fuzz_require(audit_verify(&request, &verdict, &error), "%s: %s", verdict.place,
                 error.text);
    fuzz_require(verdict.unfinished == 0, "%llu intents have no result",
                 (unsigned long long)verdict.unfinished);
    fuzz_require(verdict.mutations >= count_acknowledged(),
                 "%u intents were acknowledged, %llu are there", count_acknowledged(),
                 (unsigned long long)verdict.mutations);
}

static void remove_files(void)
{
    DIR *listing = opendir(folder);
    const struct dirent *entry;

    while (listing != NULL && (entry = readdir(listing)) != NULL)
        (void)unlinkat(dirfd(listing), entry->d_name, 0);
    if (listing != NULL)
        (void)closedir(listing);
    (void)rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span script = fuzz_span(data, size);
    bool is_written = false;

    made = 0;
    fuzz_require(mkdir(folder, 0700) == 0, "no folder");
    disk_repair();
    start();
    while (script.len > 1) {
        unsigned what = fuzz_byte(&script);

        play(what, fuzz_byte(&script));
    }
    crash(0);
    for (int i = 0; i < MOST_TRIES && !is_written; i++)
        is_written = put(false);
    fuzz_require(is_written, "a sound disk takes nothing");
    judge();
    audit_writer_fini(&writer);
    remove_files();
    return 0;
}
