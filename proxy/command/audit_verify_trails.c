#include "command/audit_verify_trails.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/trails.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/text.h"
#include "command/audit.h"
#include "command/command.h"
#include "command/terminal.h"

/* What is remembered of a trail when the next is read. */
struct outcome {
    char chain_id[AUDIT_CHAIN_ID_HEX + 1]; /* empty: it has no record */
    char last_hash[AUDIT_HASH_HEX + 1];
    uint64_t records, mutations, unfinished;
    bool is_intact;
    bool is_readable;
    bool is_copy; /* a trail before it is of this chain */
};

struct job {
    const struct audit_verify_order *order;
    struct audit_trails trails;
    struct outcome *outcomes; /* of the trails, in their order */
    size_t disagreeing;       /* copies that are not what the other is */
    size_t missing;           /* chains of held checkpoints that are in no trail */
};

/* A long trail's progress, on a terminal. */
struct progress {
    struct terminal_status status;
    int64_t begun_us;
};

static bool on_progress(void *owner, const struct audit_progress *now)
{
    struct progress *progress = owner;
    double seconds, percent;

    if (!terminal_status_is_due(&progress->status))
        return true;
    seconds = (double)(clock_monotonic_us() - progress->begun_us) / 1e6;
    percent = now->bytes < now->total_bytes
                  ? 100.0 * (double)now->bytes / (double)now->total_bytes
                  : 100.0;
    terminal_status_show(&progress->status,
                         "%3.0f %% of %.1f MiB, %" PRIu64 " records, %.0f records/s",
                         percent, (double)now->total_bytes / (1 << 20), now->records,
                         (double)now->records / seconds);
    return true;
}

/* Verifies one trail; end is NULL or where a copy of it ends. */
static bool verify(const struct job *job, size_t trail, const struct audit_copy_end *end,
                   struct audit_verdict *verdict, struct error *error)
{
    struct progress progress = {.begun_us = clock_monotonic_us()};
    struct audit_verify_request request = {
        .on_progress = on_progress,
        .owner = &progress,
        .folder = job->trails.folders[trail].path,
        .keys = job->order->keys,
        .key_count = job->order->key_count,
        .held = job->order->held,
        .held_count = job->order->held_count,
        .may_hold_none = !job->trails.is_single,
        .copy_end = end,
    };
    bool is_intact;

    terminal_status_init(&progress.status);
    if (!progress.status.is_on)
        request.on_progress = NULL;
    is_intact = audit_verify(&request, verdict, error);
    terminal_status_erase(&progress.status);
    return is_intact;
}

/* What a line on standard output begins with: nothing, where there is one trail. */
static void print_trail(const struct job *job, size_t trail, const char *end)
{
    struct text name = {0};

    if (job->trails.is_single)
        return;
    text_add_escaped(&name, span_of(job->trails.folders[trail].path));
    (void)printf("%s%s", name.bytes != NULL && !name.failed ? name.bytes : "?", end);
    text_fini(&name);
}

static void print_chain(const struct job *job, size_t trail)
{
    print_trail(job, trail, "");
    if (job->trails.is_single)
        return;
    if (job->outcomes[trail].chain_id[0] != '\0')
        (void)printf(" (chain %s)", job->outcomes[trail].chain_id);
    (void)printf(": ");
}

static void print_signed(const struct job *job, size_t trail,
                         const struct audit_verdict *verdict)
{
    const struct audit_checkpoint *last = &verdict->last_checkpoint;
    char time[CLOCK_TEXT_BYTES];

    clock_format_utc(last->wall_ms, time);
    print_trail(job, trail, ": ");
    if (verdict->checkpoints == 0)
        (void)printf("no checkpoint in the trail: nothing in it is signed\n");
    else if (job->order->key_count > 0)
        (void)printf("records 1 to %" PRIu64 " are signed: %" PRIu64
                     " checkpoints verified, the last of %s by key %s\n",
                     last->sequence, verdict->checkpoints, time, last->key_id);
    else
        (void)printf("%" PRIu64 " checkpoints, the last of record %" PRIu64
                     " and %s: signatures were not checked (--public-key)\n",
                     verdict->checkpoints, last->sequence, time);
}

static void print_held(const struct job *job, size_t trail,
                       const struct audit_verdict *verdict)
{
    char time[CLOCK_TEXT_BYTES];

    if (verdict->held == 0)
        return;
    clock_format_utc(verdict->last_held.wall_ms, time);
    print_trail(job, trail, ": ");
    (void)printf("records 1 to %" PRIu64 " are those of the held checkpoint of %s\n",
                 verdict->last_held.sequence, time);
}

static void print_intact(const struct job *job, size_t trail,
                         const struct audit_verdict *verdict)
{
    enum terminal_color color =
        terminal_has_colors(STDOUT_FILENO) ? TERMINAL_GREEN : TERMINAL_PLAIN;

    print_chain(job, trail);
    (void)printf("%" PRIu64 " records, %" PRIu64 " mutations, %" PRIu64
                 " unfinished, %schain intact%s\n",
                 verdict->records, verdict->mutations, verdict->unfinished,
                 terminal_begin(color), terminal_end(color));
    print_signed(job, trail, verdict);
    print_held(job, trail, verdict);
    if (verdict->is_incomplete)
        (void)printf("%s: the last line is incomplete: a write under way, or a crash\n",
                     verdict->place);
    if (verdict->is_repeating) {
        print_trail(job, trail, ": ");
        (void)printf(
            "the trail ends before all lines after the last acknowledged one were "
            "repeated: a write under way, or a crash\n");
    }
}

/* On standard error, after what was printed so far. */
static void complain(const char *place, const struct error *error)
{
    (void)fflush(stdout);
    (void)command_audit_failed(place, error);
}

static void print_broken(const struct job *job, size_t trail,
                         const struct audit_verdict *verdict, const struct error *error)
{
    enum terminal_color color =
        terminal_has_colors(STDOUT_FILENO) ? TERMINAL_RED : TERMINAL_PLAIN;

    if (!job->trails.is_single) {
        print_chain(job, trail);
        (void)printf("%s%s%s\n", terminal_begin(color),
                     verdict->place[0] != '\0' ? "broken" : "could not be read",
                     terminal_end(color));
    }
    complain(verdict->place, error);
}

static void remember(struct outcome *outcome, const struct audit_verdict *verdict,
                     bool is_intact)
{
    memcpy(outcome->chain_id, verdict->chain_id, sizeof(outcome->chain_id));
    memcpy(outcome->last_hash, verdict->last_hash, sizeof(outcome->last_hash));
    outcome->records = verdict->records;
    outcome->mutations = verdict->mutations;
    outcome->unfinished = verdict->unfinished;
    outcome->is_intact = is_intact;
    outcome->is_readable = is_intact || verdict->place[0] != '\0';
}

/* The first trail of that chain, or trail itself. */
static size_t find_chain(const struct job *job, size_t trail)
{
    const char *chain_id = job->outcomes[trail].chain_id;

    for (size_t i = 0; i < trail && chain_id[0] != '\0'; i++) {
        if (strcmp(job->outcomes[i].chain_id, chain_id) == 0)
            return i;
    }
    return trail;
}

/* Whether what both trails have of a chain is the same; both are intact. */
static bool agree(const struct job *job, size_t a, size_t b,
                  struct audit_verdict *verdict, struct error *error)
{
    bool is_a_longer = job->outcomes[a].records > job->outcomes[b].records;
    const struct outcome *shorter = &job->outcomes[is_a_longer ? b : a];
    struct audit_copy_end end = {shorter->records, shorter->last_hash};

    return verify(job, is_a_longer ? a : b, &end, verdict, error);
}

/* The earlier trail of that chain to compare it with: an intact one, if there is one. */
static size_t find_original(const struct job *job, size_t trail)
{
    size_t first = find_chain(job, trail);

    for (size_t i = first; i < trail; i++) {
        if (job->outcomes[i].is_intact && find_chain(job, i) == first)
            return i;
    }
    return first;
}

/* Says that a trail is a copy of an earlier one, and compares the two. */
static void compare_copy(struct job *job, size_t trail, struct audit_verdict *verdict)
{
    size_t first = find_original(job, trail);
    struct error error;
    bool is_same;

    if (first == trail)
        return;
    job->outcomes[trail].is_copy = true;
    is_same = !job->outcomes[first].is_intact || !job->outcomes[trail].is_intact ||
              agree(job, first, trail, verdict, &error);
    print_trail(job, trail, ": ");
    (void)printf("a copy of ");
    print_trail(job, first, is_same ? "\n" : ", and not the same\n");
    if (is_same)
        return;
    job->disagreeing++;
    complain(verdict->place, &error);
}

static void verify_trail(struct job *job, size_t trail, struct audit_verdict *verdict)
{
    struct error error;
    bool is_intact = verify(job, trail, NULL, verdict, &error);

    remember(&job->outcomes[trail], verdict, is_intact);
    if (is_intact)
        print_intact(job, trail, verdict);
    else
        print_broken(job, trail, verdict, &error);
    compare_copy(job, trail, verdict);
}

/* Whether a trail is of that chain; or an earlier held checkpoint was, which was said. */
static bool is_known_chain(const struct job *job, size_t held)
{
    const struct audit_checkpoint *all = job->order->held;

    for (size_t i = 0; i < job->trails.count; i++) {
        if (strcmp(job->outcomes[i].chain_id, all[held].chain_id) == 0)
            return true;
    }
    for (size_t i = 0; i < held; i++) {
        if (strcmp(all[i].chain_id, all[held].chain_id) == 0)
            return true;
    }
    return false;
}

static void look_for_missing(struct job *job)
{
    for (size_t i = 0; i < job->order->held_count; i++) {
        struct error error;

        if (is_known_chain(job, i))
            continue;
        job->missing++;
        (void)error_set(&error,
                        "no trail here is of chain %s, which a held checkpoint is about: "
                        "it was removed, or is somewhere else",
                        job->order->held[i].chain_id);
        complain("", &error);
    }
}

/* The sum; of a chain's copies the one with most records counts. */
static void print_sum(const struct job *job)
{
    uint64_t records = 0, mutations = 0, unfinished = 0;
    size_t chains = 0, intact = 0, unreadable = 0;

    for (size_t i = 0; i < job->trails.count; i++) {
        const struct outcome *outcome = &job->outcomes[i], *fullest = outcome;

        intact += outcome->is_intact;
        unreadable += !outcome->is_readable;
        if (outcome->is_copy)
            continue;
        for (size_t j = i + 1; j < job->trails.count; j++) {
            if (job->outcomes[j].is_copy && find_chain(job, j) == i &&
                job->outcomes[j].records > fullest->records)
                fullest = &job->outcomes[j];
        }
        chains += outcome->chain_id[0] != '\0';
        records += fullest->records;
        mutations += fullest->mutations;
        unfinished += fullest->unfinished;
    }
    (void)printf("%zu trails of %zu chains: %zu intact, %zu broken, %zu unreadable; "
                 "%" PRIu64 " records, %" PRIu64 " mutations, %" PRIu64 " unfinished\n",
                 job->trails.count, chains, intact,
                 job->trails.count - intact - unreadable, unreadable, records, mutations,
                 unfinished);
}

static int conclude(struct job *job)
{
    bool is_good = true;

    if (!job->trails.is_single) {
        look_for_missing(job);
        print_sum(job);
    }
    for (size_t i = 0; i < job->trails.count; i++)
        is_good = is_good && job->outcomes[i].is_intact;
    return is_good && job->disagreeing == 0 && job->missing == 0 ? EXIT_FINE
                                                                 : EXIT_FAILED;
}

int audit_verify_trails(const struct audit_verify_order *order, const char *const *named,
                        size_t count)
{
    struct job job = {.order = order};
    struct audit_verdict verdict;
    struct error error;
    int status;

    if (!audit_trails_find(named, count, &job.trails, &error))
        return command_audit_failed("", &error);
    job.outcomes = calloc(job.trails.count, sizeof(*job.outcomes));
    if (job.outcomes == NULL) {
        (void)error_set(&error, "out of memory");
        status = command_audit_failed("", &error);
    } else {
        for (size_t i = 0; i < job.trails.count; i++)
            verify_trail(&job, i, &verdict);
        status = conclude(&job);
    }
    free(job.outcomes);
    audit_trails_fini(&job.trails);
    return status;
}
