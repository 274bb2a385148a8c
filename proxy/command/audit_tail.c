#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "audit/fields.h"
#include "audit/search.h"
#include "audit/walk.h"
#include "base/clock.h"
#include "command/audit.h"
#include "command/audit_options.h"
#include "command/audit_output.h"
#include "command/command.h"

/* How long an intent may be open before it is shown as pending. */
enum { PENDING_AFTER_MS = 2000 };

/* How often to look where inotify does not tell (network file systems). */
enum { LOOK_AGAIN_MS = 1000 };

static volatile sig_atomic_t is_told_to_stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    is_told_to_stop = 1;
}

/* A row that may be among the last. */
struct kept {
    struct text line, result;
    enum search_outcome outcome;
};

struct tail {
    const struct audit_options *options;
    struct audit_walk *trail;
    struct search *search;
    struct audit_output output;
    struct kept *kept; /* a ring of options->count rows */
    uint64_t given;    /* rows that were put there */
    uint64_t from;     /* rows that begin before this line are not reckoned with */
    uint64_t reckoned;
    bool is_live;       /* rows are printed, no longer kept */
    bool is_fault_said; /* that a part of the trail is unreadable */
    bool is_out_of_memory;
};

static void complain(const char *what)
{
    (void)fprintf(stderr, "psgate audit tail: %s\n", what);
}

static void keep(struct tail *tail, const struct search_row *row)
{
    struct kept *kept;
    struct fields fields;
    struct error ignored;

    if (fields_read(&fields, row->line, &ignored) &&
        fields_number(&fields, FIELD_SEQUENCE) >= tail->from)
        tail->reckoned++;
    if (tail->options->count == 0)
        return;
    kept = &tail->kept[tail->given++ % tail->options->count];
    text_clear(&kept->line);
    text_clear(&kept->result);
    text_add(&kept->line, row->line);
    text_add(&kept->result, row->result);
    kept->outcome = row->outcome;
    tail->is_out_of_memory =
        tail->is_out_of_memory || kept->line.failed || kept->result.failed;
}

static void on_row(void *context, const struct search_row *row)
{
    struct tail *tail = context;

    if (tail->is_live)
        audit_output_add(&tail->output, row, "pending", NULL);
    else
        keep(tail, row);
}

static void print_kept(struct tail *tail)
{
    uint64_t count = tail->options->count;
    uint64_t first = tail->given > count ? tail->given - count : 0;

    for (uint64_t i = first; i < tail->given; i++) {
        const struct kept *kept = &tail->kept[i % count];
        struct search_row row = {kept->outcome,
                                 span_make(kept->line.bytes, kept->line.len),
                                 span_make(kept->result.bytes, kept->result.len)};

        audit_output_add(&tail->output, &row, search_outcome_name(SEARCH_UNFINISHED),
                         NULL);
    }
}

/* Once: files may be read twice, and psgate audit verify is who judges. */
static void say_fault(struct tail *tail, const char *fault)
{
    if (!tail->is_fault_said)
        (void)fprintf(stderr, "psgate audit tail: %s (psgate audit verify says more)\n",
                      fault);
    tail->is_fault_said = true;
}

/* Takes one line; false when memory is out, which is said. */
static bool take(struct tail *tail, const struct audit_walk_line *line)
{
    struct error error, fault;

    switch (search_take(tail->search, line->text, clock_monotonic_ms(), &error)) {
    case SEARCH_TAKEN:
        break;
    case SEARCH_BAD_LINE:
        (void)error_set(&fault, "%s:%llu: %s", line->file,
                        (unsigned long long)line->number, error.text);
        say_fault(tail, fault.text);
        break;
    case SEARCH_NO_MEMORY:
        tail->is_out_of_memory = true;
        break;
    }
    if (tail->is_out_of_memory)
        complain("out of memory");
    return !tail->is_out_of_memory;
}

/* Takes all there is. False when that failed, which is said. */
static bool drain(struct tail *tail)
{
    struct audit_walk_line line;
    struct error error;
    enum audit_walk_read read;

    while ((read = audit_walk_next(tail->trail, &line, &error)) == AUDIT_WALK_LINE) {
        if (!take(tail, &line))
            return false;
        if (is_told_to_stop)
            return true;
    }
    if (read == AUDIT_WALK_FAILED)
        complain(error.text);
    else if (audit_walk_has_fault(tail->trail, &error))
        say_fault(tail, error.text);
    return read == AUDIT_WALK_END;
}

static bool begin(struct tail *tail, size_t files)
{
    struct error error;

    search_free(tail->search);
    audit_walk_close(tail->trail);
    tail->given = tail->reckoned = 0;
    tail->search = NULL;
    tail->trail =
        audit_walk_open_last(tail->options->folders[0], files, &tail->from, &error);
    if (tail->trail == NULL) {
        complain(error.text);
        return false;
    }
    tail->search = search_new(&tail->options->filter, on_row, tail);
    if (tail->search == NULL)
        complain("out of memory");
    return tail->search != NULL;
}

/*
 * Reads the last file, and if it has too few rows the last two, four and so on: twice
 * the reading of the whole trail at most, and mostly the last file's alone.
 */
static bool read_last(struct tail *tail)
{
    for (size_t files = 1;; files *= 2) {
        if (!begin(tail, files) || !drain(tail))
            return false;
        if (!tail->options->is_following)
            search_finish(tail->search);
        else
            search_go_live(tail->search);
        if (tail->reckoned >= tail->options->count || tail->from == 1 || is_told_to_stop)
            return true;
    }
}

/* Prints what is due; false when standard output cannot be written. */
static bool show_due(struct tail *tail)
{
    search_give_pending(tail->search, clock_monotonic_ms() - PENDING_AFTER_MS);
    return audit_output_flush(&tail->output);
}

static int wait_ms(const struct tail *tail)
{
    int64_t seen_ms, left_ms;

    if (!search_earliest_pending(tail->search, &seen_ms))
        return LOOK_AGAIN_MS;
    left_ms = seen_ms + PENDING_AFTER_MS - clock_monotonic_ms();
    return left_ms < 0 ? 0 : left_ms < LOOK_AGAIN_MS ? (int)left_ms : LOOK_AGAIN_MS;
}

static void stop_signals(sigset_t *signals)
{
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGINT);
    (void)sigaddset(signals, SIGTERM);
}

/* Waits until there may be more to do. False when nobody reads any more. */
static bool wait_for_more(const struct tail *tail, int watch)
{
    struct pollfd fds[] = {{.fd = STDOUT_FILENO}, {.fd = watch, .events = POLLIN}};
    int ms = wait_ms(tail);
    struct timespec timeout = {ms / 1000, ms % 1000 * 1000000L};
    sigset_t stopping, before;
    char events[4096];
    int ready = 0;

    /* A signal between the look at the flag and the wait must end the wait. */
    stop_signals(&stopping);
    (void)sigprocmask(SIG_BLOCK, &stopping, &before);
    if (!is_told_to_stop)
        ready = ppoll(fds, 2, &timeout, &before);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    while (watch >= 0 && read(watch, events, sizeof(events)) > 0)
        continue;
    return ready <= 0 || (fds[0].revents & (POLLERR | POLLHUP)) == 0;
}

/* The end when standard output could not be written. */
static int stop_unwritten(void)
{
    return is_told_to_stop ? EXIT_FINE : audit_output_failed("audit tail");
}

static int follow(struct tail *tail, int watch)
{
    while (!is_told_to_stop) {
        if (!drain(tail))
            return EXIT_FAILED;
        if (!show_due(tail))
            return stop_unwritten();
        if (!wait_for_more(tail, watch))
            break;
    }
    return EXIT_FINE;
}

/* -1 where there is no inotify: then it looks once a second. */
static int watch_folder(const char *folder)
{
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (watch >= 0 &&
        inotify_add_watch(watch, folder, IN_MODIFY | IN_CREATE | IN_MOVE | IN_DELETE) <
            0) {
        (void)close(watch);
        watch = -1;
    }
    return watch;
}

/* SIGINT and SIGTERM set the flag, and interrupt a write that nobody takes. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* Shows the last rows, at once. */
static int show_last(struct tail *tail)
{
    if (!read_last(tail))
        return EXIT_FAILED;
    print_kept(tail);
    tail->is_live = true;
    if (!audit_output_flush(&tail->output))
        return stop_unwritten();
    if (tail->options->is_following)
        return EXIT_FINE;
    if (audit_walk_has_torn_end(tail->trail))
        complain("the last line is incomplete: a write under way, or a crash");
    return tail->is_fault_said ? EXIT_FAILED : EXIT_FINE;
}

static int run(struct tail *tail)
{
    int watch, status;

    if (!tail->options->is_following)
        return show_last(tail);
    catch_signals();
    watch =
        watch_folder(tail->options->folders[0]); /* first, so that nothing is missed */
    status = show_last(tail);
    if (status == EXIT_FINE && ferror(stdout) == 0)
        status = follow(tail, watch);
    if (watch >= 0)
        (void)close(watch);
    return status;
}

static void tail_fini(struct tail *tail)
{
    for (uint64_t i = 0; tail->kept != NULL && i < tail->options->count; i++) {
        text_fini(&tail->kept[i].line);
        text_fini(&tail->kept[i].result);
    }
    free(tail->kept);
    audit_output_fini(&tail->output);
    search_free(tail->search);
    audit_walk_close(tail->trail);
}

int command_audit_tail(int argc, char **argv)
{
    struct audit_options options;
    struct tail tail = {.options = &options};
    int status;

    if (!audit_options_read(&options, AUDIT_VERB_TAIL, argc, argv, &status))
        return status;
    tail.kept = calloc(options.count > 0 ? options.count : 1, sizeof(*tail.kept));
    if (tail.kept == NULL) {
        complain("out of memory");
        return EXIT_FAILED;
    }
    audit_output_init(&tail.output, options.is_json, true, false);
    status = run(&tail);
    tail_fini(&tail);
    return status;
}
