#include "admin/trail_reader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "admin/trail_rows.h"
#include "admin/trail_tail.h"
#include "audit/search.h"
#include "audit/verify.h"
#include "audit/walk.h"
#include "base/clock.h"

/* A question, on its way to the thread and back. */
struct job {
    struct admin_later later; /* the admin thread's */
    struct letter letter;
    struct job *next;
    char *folder;
    struct trail_query query;
    struct admin_answer answer;
};

#define JOB_OF(letter_)                                                                  \
    ((struct job *)(void *)((char *)(letter_)-offsetof(struct job, letter)))

struct trail_reader {
    struct mailbox *mailbox;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t wakeup;
    /* Under the lock: */
    struct job *first, **last;
    unsigned waiting;
    atomic_bool is_stopping; /* also looked at without it, while files are read */

    /* The thread's own: */
    struct trail_tail *tail;
    char *folder;        /* that the tail and the verdict are about */
    unsigned beginnings; /* of the tail, at the verdict */
    bool has_verdict, is_intact;
    bool is_unreadable; /* the last try to verify gave no verdict: problem says why */
    struct audit_verdict verdict;
    struct error problem;
    int64_t verified_ms;    /* monotonic; 0: never */
    int64_t verified_at_ms; /* wall clock */
};

static void free_job(struct job *job)
{
    admin_answer_fini(&job->answer);
    trail_query_fini(&job->query);
    free(job->folder);
    free(job);
}

/* On the admin thread: the answer has come back. */
static void on_answered(struct letter *letter)
{
    struct job *job = JOB_OF(letter);

    admin_client_answer(&job->later, &job->answer);
    free_job(job);
}

/* Answers, on the reader's thread */

static void put_time(json_t *object, const char *name, int64_t wall_ms)
{
    char text[CLOCK_TEXT_BYTES];

    clock_format_utc(wall_ms, text);
    (void)json_object_set_new(object, name, json_string(text));
}

static void put_checkpoint(json_t *chain, const struct audit_verdict *verdict)
{
    json_t *checkpoint;

    if (verdict->checkpoints == 0)
        return;
    checkpoint = json_object();
    put_time(checkpoint, "time", verdict->last_checkpoint.wall_ms);
    (void)json_object_set_new(
        checkpoint, "sequence",
        json_integer((json_int_t)verdict->last_checkpoint.sequence));
    (void)json_object_set_new(chain, "last_checkpoint", checkpoint);
}

static bool is_verdict_old(const struct trail_reader *reader)
{
    return reader->verified_ms == 0 ||
           clock_monotonic_ms() - reader->verified_ms > TRAIL_READER_VERIFY_MS;
}

static void forget_verdict(struct trail_reader *reader)
{
    reader->has_verdict = reader->is_unreadable = false;
    reader->verified_ms = 0;
}

static json_t *describe_chain(const struct trail_reader *reader)
{
    json_t *chain = json_pack("{s:s, s:n, s:n, s:n, s:n}", "state", "checking", "records",
                              "checked", "problem", "last_checkpoint");

    if (reader->is_unreadable) {
        (void)json_object_set_new(chain, "state", json_string("unknown"));
        (void)json_object_set_new(chain, "problem", json_string(reader->problem.text));
    }
    if (!reader->has_verdict)
        return chain;
    (void)json_object_set_new(chain, "state",
                              json_string(reader->is_intact ? "intact" : "broken"));
    (void)json_object_set_new(chain, "records",
                              json_integer((json_int_t)reader->verdict.records));
    put_time(chain, "checked", reader->verified_at_ms);
    if (!reader->is_intact)
        (void)json_object_set_new(
            chain, "problem",
            json_sprintf("%s: %s", reader->verdict.place, reader->problem.text));
    put_checkpoint(chain, &reader->verdict);
    return chain;
}

static bool search_files(const struct trail_reader *reader, struct search *search,
                         struct error *error)
{
    struct audit_walk *walk = audit_walk_open(reader->folder, error);
    struct audit_walk_line line;
    enum audit_walk_read read = AUDIT_WALK_FAILED;
    struct error ignored;

    if (walk == NULL)
        return false;
    (void)error_set(error, "it is stopping");
    while (!reader->is_stopping &&
           (read = audit_walk_next(walk, &line, error)) == AUDIT_WALK_LINE) {
        if (search_take(search, line.text, 0, &ignored) == SEARCH_NO_MEMORY) {
            (void)error_set(error, "out of memory");
            break;
        }
    }
    audit_walk_close(walk);
    return read == AUDIT_WALK_END;
}

/* One search, in what is in memory or in all the files. */
static bool run_search(struct trail_reader *reader, const struct trail_query *query,
                       bool in_files, struct trail_rows *rows, struct error *error)
{
    struct search *search = search_new(&query->filter, trail_rows_add, rows);
    bool is_done;

    if (search == NULL)
        return error_set(error, "out of memory");
    is_done = in_files ? search_files(reader, search, error)
                       : trail_tail_feed(reader->tail, search) ||
                             error_set(error, "out of memory");
    if (is_done)
        search_finish(search);
    search_free(search);
    return is_done;
}

/* Whether what is in memory has all that could be asked for. */
static bool is_in_memory(const struct trail_reader *reader,
                         const struct trail_query *query, const struct trail_rows *rows)
{
    if (trail_tail_has(reader->tail, 1))
        return true;
    if (rows->has_lone)
        return false;
    if (query->is_following)
        return trail_tail_has(reader->tail, query->after + 1);
    return rows->count == query->limit && rows->has_more;
}

static bool find_rows(struct trail_reader *reader, const struct trail_query *query,
                      json_t **mutations, bool *has_more, struct error *error)
{
    struct trail_rows rows;
    bool is_found;

    trail_rows_init(&rows, query);
    is_found = run_search(reader, query, false, &rows, error);
    if (is_found && !is_in_memory(reader, query, &rows)) {
        trail_rows_fini(&rows);
        trail_rows_init(&rows, query);
        is_found = run_search(reader, query, true, &rows, error);
    }
    *has_more = rows.has_more;
    *mutations = trail_rows_list(&rows);
    trail_rows_fini(&rows);
    if (is_found && *mutations == NULL)
        is_found = error_set(error, "out of memory");
    return is_found;
}

static bool use_folder(struct trail_reader *reader, const char *folder,
                       struct error *error)
{
    if (reader->folder != NULL && strcmp(reader->folder, folder) == 0)
        return true;
    trail_tail_free(reader->tail);
    free(reader->folder);
    forget_verdict(reader);
    reader->folder = strdup(folder);
    reader->tail = trail_tail_new(folder, TRAIL_READER_LINES_BYTES);
    if (reader->folder != NULL && reader->tail != NULL)
        return true;
    free(reader->folder);
    reader->folder = NULL;
    return error_set(error, "out of memory");
}

/* False: the trail could not be read, which the answer says. */
static bool answer(struct trail_reader *reader, struct job *job)
{
    json_t *mutations = NULL, *whole;
    struct error error;
    bool has_more = false;

    if (!use_folder(reader, job->folder, &error) ||
        !trail_tail_catch_up(reader->tail, &error) ||
        !find_rows(reader, &job->query, &mutations, &has_more, &error)) {
        json_decref(mutations);
        admin_answer_problem(&job->answer, 503, error.text);
        return false;
    }
    if (reader->beginnings != trail_tail_beginnings(reader->tail))
        forget_verdict(reader);
    whole = json_object();
    (void)json_object_set_new(whole, "mutations", mutations);
    (void)json_object_set_new(whole, "more", json_boolean(has_more));
    (void)json_object_set_new(whole, "sequence",
                              json_integer((json_int_t)trail_tail_last(reader->tail)));
    (void)json_object_set_new(whole, "chain", describe_chain(reader));
    admin_answer_json(&job->answer, 200, whole);
    return true;
}

static bool goes_on(void *reader, const struct audit_progress *progress)
{
    (void)progress;
    return !((const struct trail_reader *)reader)->is_stopping;
}

/*
 * After the answers: whoever asks again gets the verdict. Not of a trail that could not
 * be read just now: it may be whole.
 */
static void verify(struct trail_reader *reader)
{
    const struct audit_verify_request request = {
        .folder = reader->folder, .on_progress = goes_on, .owner = reader};

    if (!is_verdict_old(reader))
        return;
    forget_verdict(reader);
    reader->beginnings = trail_tail_beginnings(reader->tail);
    reader->is_intact = audit_verify(&request, &reader->verdict, &reader->problem);
    reader->is_unreadable = !reader->is_intact && reader->verdict.place[0] == '\0';
    if (reader->is_unreadable)
        return; /* the next question has it tried again */
    reader->has_verdict = true;
    reader->verified_ms = clock_monotonic_ms();
    reader->verified_at_ms = clock_wall_ms();
}

/* The thread */

/* The next question, or NULL at the end. */
static struct job *take(struct trail_reader *reader)
{
    struct job *job;

    (void)pthread_mutex_lock(&reader->lock);
    while (reader->first == NULL && !reader->is_stopping)
        (void)pthread_cond_wait(&reader->wakeup, &reader->lock);
    job = reader->is_stopping ? NULL : reader->first;
    if (job != NULL) {
        reader->first = job->next;
        if (reader->first == NULL)
            reader->last = &reader->first;
        reader->waiting--;
    }
    (void)pthread_mutex_unlock(&reader->lock);
    return job;
}

static bool is_idle(struct trail_reader *reader)
{
    bool is_empty;

    (void)pthread_mutex_lock(&reader->lock);
    is_empty = reader->first == NULL && !reader->is_stopping;
    (void)pthread_mutex_unlock(&reader->lock);
    return is_empty;
}

static void *run(void *arg)
{
    struct trail_reader *reader = arg;
    struct job *job;
    bool is_readable;

    while ((job = take(reader)) != NULL) {
        is_readable = answer(reader, job);
        mailbox_send(reader->mailbox, &job->letter);
        if (is_readable && is_idle(reader))
            verify(reader);
    }
    return NULL;
}

struct trail_reader *trail_reader_new(struct mailbox *mailbox, struct error *error)
{
    struct trail_reader *reader = calloc(1, sizeof(*reader));
    sigset_t all, before;
    int errnum;

    if (reader == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    reader->mailbox = mailbox;
    reader->last = &reader->first;
    (void)pthread_mutex_init(&reader->lock, NULL);
    (void)pthread_cond_init(&reader->wakeup, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    errnum = pthread_create(&reader->thread, NULL, run, reader);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    reader->has_thread = errnum == 0;
    if (errnum != 0) {
        (void)error_set_errno(error, errnum, "cannot start a thread");
        trail_reader_free(reader);
        return NULL;
    }
    return reader;
}

void trail_reader_free(struct trail_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->has_thread) {
        (void)pthread_mutex_lock(&reader->lock);
        reader->is_stopping = true;
        (void)pthread_mutex_unlock(&reader->lock);
        (void)pthread_cond_signal(&reader->wakeup);
        (void)pthread_join(reader->thread, NULL);
    }
    while (reader->first != NULL) {
        struct job *job = reader->first;

        reader->first = job->next;
        free_job(job);
    }
    trail_tail_free(reader->tail);
    free(reader->folder);
    (void)pthread_cond_destroy(&reader->wakeup);
    (void)pthread_mutex_destroy(&reader->lock);
    free(reader);
}

struct admin_later *trail_reader_ask(struct trail_reader *reader, const char *folder,
                                     const struct trail_query *query)
{
    struct job *job = calloc(1, sizeof(*job));
    bool is_taken;

    if (job == NULL)
        return NULL;
    job->letter.open = on_answered;
    job->folder = strdup(folder);
    (void)pthread_mutex_lock(&reader->lock);
    is_taken = job->folder != NULL && reader->waiting < TRAIL_READER_MOST_JOBS;
    if (is_taken) {
        job->query = *query;
        *reader->last = job;
        reader->last = &job->next;
        reader->waiting++;
    }
    (void)pthread_mutex_unlock(&reader->lock);
    if (!is_taken) {
        free_job(job);
        return NULL;
    }
    (void)pthread_cond_signal(&reader->wakeup);
    return &job->later;
}
