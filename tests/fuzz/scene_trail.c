/*
 * A scene's trail: records that wait until they are acknowledged, or the program's own
 * with its thread and its files in memory. That thread goes on only while the scene waits
 * for it, so that a script plays the same way each time.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "audit/trail.h"
#include "audit/verify.h"
#include "base/file.h"
#include "fuzz/scene_internal.h"

enum { MOST_AWAITED = 64, MOST_TURNS = 64 };

static char folder[] = "/dev/shm/psgate-fuzz-XXXXXX";
static struct scene *playing;

/* Entries of the program's trail whose owners wait, and what tells them. */
static struct {
    struct audit_entry *entry;
    void (*on_done)(struct audit_entry *entry, enum audit_done done);
} awaited[MOST_AWAITED];
static unsigned awaited_count;
static uint64_t durable_intents;
static unsigned failing_syncs; /* the next so many */

/* The thread, which waits for the scene where it would wait for work */

static pthread_t player;
static pthread_mutex_t step = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_parked = PTHREAD_COND_INITIALIZER,
                      may_go = PTHREAD_COND_INITIALIZER;
static bool is_parked, is_free;

int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock);

static void park(pthread_mutex_t *held)
{
    (void)pthread_mutex_unlock(held);
    (void)pthread_mutex_lock(&step);
    is_parked = true;
    (void)pthread_cond_signal(&has_parked);
    while (is_parked && !is_free)
        (void)__real_pthread_cond_wait(&may_go, &step);
    (void)pthread_mutex_unlock(&step);
    (void)pthread_mutex_lock(held);
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
    if (playing == NULL || pthread_equal(player, pthread_self()))
        return __real_pthread_cond_wait(cond, lock);
    park(lock);
    return 0;
}

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
                                  const struct timespec *until)
{
    if (playing == NULL || pthread_equal(player, pthread_self()))
        return __real_pthread_cond_timedwait(cond, lock, until);
    park(lock);
    return 0;
}

static void wait_until_parked(void)
{
    (void)pthread_mutex_lock(&step);
    while (!is_parked)
        (void)__real_pthread_cond_wait(&has_parked, &step);
    (void)pthread_mutex_unlock(&step);
}

static void let_go(bool for_good)
{
    (void)pthread_mutex_lock(&step);
    is_free = for_good;
    is_parked = false;
    (void)pthread_cond_signal(&may_go);
    (void)pthread_mutex_unlock(&step);
}

/* The disk */

/* What the last sync has kept, of which file. */
static struct stat kept;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    struct stat now;

    fuzz_require(fstat(fd, &now) == 0, "no file is synced");
    if (failing_syncs == 0) {
        kept = now;
        return __real_fdatasync(fd);
    }
    failing_syncs--; /* and what was written since the last one is lost */
    (void)ftruncate(fd, kept.st_ino == now.st_ino ? kept.st_size : 0);
    errno = EIO;
    return -1;
}

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (playing == NULL || !playing->is_unwritable)
        return __real_fallocate(fd, mode, offset, len);
    errno = ENOSPC;
    return -1;
}

/* What the gateway calls */

static unsigned find_awaited(const struct audit_entry *entry)
{
    unsigned i = 0;

    while (i < awaited_count && awaited[i].entry != entry)
        i++;
    return i;
}

static void tell(struct audit_entry *entry, enum audit_done done)
{
    unsigned i = find_awaited(entry);
    void (*on_done)(struct audit_entry *, enum audit_done) = awaited[i].on_done;

    fuzz_require(i < awaited_count, "an owner is told twice");
    awaited[i] = awaited[--awaited_count];
    durable_intents += entry->phase == AUDIT_INTENT && done == AUDIT_DURABLE;
    playing->on_record(playing, entry, done);
    on_done(entry, done);
}

bool __real_audit_trail_queue(struct audit_trail *trail, struct audit_entry *entry);

static bool queue_for_thread(struct audit_trail *trail, struct audit_entry *entry)
{
    void (*on_done)(struct audit_entry *, enum audit_done) = entry->on_done;

    if (on_done == NULL)
        return __real_audit_trail_queue(trail, entry);
    fuzz_require(awaited_count < MOST_AWAITED, "too many wait for their records");
    entry->on_done = tell;
    if (!__real_audit_trail_queue(trail, entry)) {
        entry->on_done = on_done;
        return false;
    }
    awaited[awaited_count].entry = entry;
    awaited[awaited_count++].on_done = on_done;
    return true;
}

bool __wrap_audit_trail_queue(struct audit_trail *trail, struct audit_entry *entry);
bool __wrap_audit_trail_queue(struct audit_trail *trail, struct audit_entry *entry)
{
    scene_require_no_secret(fuzz_text(&entry->body), "a record");
    if (trail != NULL)
        return queue_for_thread(trail, entry);
    if (entry->phase == AUDIT_INTENT && playing->is_unwritable)
        return false;
    entry->next = NULL;
    *playing->last_entry = entry;
    playing->last_entry = &entry->next;
    return true;
}

/* The thread goes on when the script says so. */
void __wrap_audit_trail_wake(struct audit_trail *trail);
void __wrap_audit_trail_wake(struct audit_trail *trail)
{
    (void)trail;
}

bool __real_audit_trail_is_writable(struct audit_trail *trail, struct error *why);
bool __wrap_audit_trail_is_writable(struct audit_trail *trail, struct error *why);
bool __wrap_audit_trail_is_writable(struct audit_trail *trail, struct error *why)
{
    if (trail != NULL)
        return __real_audit_trail_is_writable(trail, why);
    if (playing->is_unwritable)
        (void)error_set(why, "the scene says so");
    return !playing->is_unwritable;
}

bool __real_audit_trail_admits_refusal(struct audit_trail *trail, struct span source);
bool __wrap_audit_trail_admits_refusal(struct audit_trail *trail, struct span source);
bool __wrap_audit_trail_admits_refusal(struct audit_trail *trail, struct span source)
{
    return trail == NULL || __real_audit_trail_admits_refusal(trail, source);
}

/* Telling how records went */

static void acknowledge(struct scene *scene, enum audit_done done)
{
    struct audit_entry *entry = scene->entries;

    if (entry == NULL)
        return;
    if (entry->phase != AUDIT_INTENT)
        done = AUDIT_DURABLE;
    scene->entries = entry->next;
    if (scene->entries == NULL)
        scene->last_entry = &scene->entries;
    scene->on_record(scene, entry, done);
    if (entry->on_done == NULL)
        audit_entry_free(entry);
    else
        entry->on_done(entry, done);
}

void scene_record(struct scene *scene, enum audit_done done)
{
    if (scene->shared.trail == NULL) {
        acknowledge(scene, done);
        return;
    }
    failing_syncs = done == AUDIT_DURABLE ? 0 : done == AUDIT_FAILED ? 1 : 2;
    let_go(false);
    wait_until_parked();
    failing_syncs = 0;
}

bool scene_has_records(const struct scene *scene)
{
    struct audit_numbers numbers;

    if (scene->shared.trail == NULL)
        return scene->entries != NULL;
    audit_trail_numbers(scene->shared.trail, &numbers);
    return numbers.waiting > 0 || awaited_count > 0;
}

bool scene_has_awaited_records(const struct scene *scene)
{
    const struct audit_entry *entry = scene->entries;

    while (entry != NULL && entry->on_done == NULL)
        entry = entry->next;
    return entry != NULL || awaited_count > 0;
}

/* Life */

void scene_trail_begin(struct scene *scene)
{
    const struct audit_settings settings = {
        .directory = folder, .rotate_bytes = 8192, .timeout_ms = 5000};
    struct error error;

    playing = scene;
    player = pthread_self();
    awaited_count = failing_syncs = 0;
    kept = (struct stat){.st_ino = 0};
    durable_intents = 0;
    is_parked = is_free = false;
    scene->last_entry = &scene->entries;
    if (!scene_kind.has_trail)
        return;
    scene->shared.trail = audit_trail_new(&settings, &error);
    fuzz_require(scene->shared.trail != NULL, "%s", error.text);
    wait_until_parked();
}

void scene_trail_flush(struct scene *scene)
{
    for (int i = 0; i < MOST_TURNS && scene_has_records(scene); i++) {
        scene_record(scene, AUDIT_DURABLE);
        scene_advance(scene, scene->shared.trail != NULL ? 200 : 0);
    }
    fuzz_require(!scene_has_records(scene), "a record is left");
}

static void remove_files(void)
{
    DIR *listing = opendir(folder);
    const struct dirent *entry;

    fuzz_require(listing != NULL, "no folder of the trail");
    while ((entry = readdir(listing)) != NULL)
        (void)unlinkat(dirfd(listing), entry->d_name, 0);
    (void)closedir(listing);
}

static void require_no_secret_in(const char *name)
{
    struct text content = {0}, path = {0};
    struct error error;

    text_add_format(&path, "%s/%s", folder, name);
    if (file_read(path.bytes, FILE_PUBLIC, &content, &error))
        scene_require_no_secret(fuzz_text(&content), "the trail");
    text_fini(&content);
    text_fini(&path);
}

/* The files are a trail, in which everything is that somebody was told of. */
static void judge_files(bool is_whole)
{
    const struct audit_verify_request request = {.folder = folder};
    struct dirent **names;
    struct audit_verdict verdict;
    struct error error;
    int count = scandir(folder, &names, NULL, alphasort);

    while (count-- > 0) {
        require_no_secret_in(names[count]->d_name);
        free(names[count]);
    }
    free(names);
    fuzz_require(audit_verify(&request, &verdict, &error), "the trail is broken: %s: %s",
                 verdict.place, error.text);
    fuzz_require(verdict.mutations >= durable_intents,
                 "%llu intents were durable, and %llu are in the trail",
                 (unsigned long long)durable_intents,
                 (unsigned long long)verdict.mutations);
    fuzz_require(!is_whole || verdict.unfinished == 0, "%llu changes have no result",
                 (unsigned long long)verdict.unfinished);
}

void scene_trail_end(struct scene *scene)
{
    scene_trail_flush(scene); /* what the last letters brought */
    if (scene->shared.trail != NULL) {
        scene->is_unwritable = false;
        let_go(true);
        audit_trail_free(scene->shared.trail);
        judge_files(scene->came_to_rest);
        remove_files();
    }
    playing = NULL;
}

static void remove_folder(void)
{
    (void)rmdir(folder);
}

void scene_trail_prepare(void)
{
    if (!scene_kind.has_trail)
        return;
    fuzz_require(mkdtemp(folder) != NULL, "no folder in /dev/shm");
    (void)atexit(remove_folder);
}
