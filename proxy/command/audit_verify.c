#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/reader.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "command/audit.h"
#include "command/command.h"
#include "command/terminal.h"

static const char help[] =
    "Usage: psgate audit verify DIR [--public-key FILE] [--checkpoint FILE]\n\n"
    "Reads the whole trail in DIR and finds every line that was changed, removed,\n"
    "inserted, moved or doubled. Prints the counts and exits 0 when there is none, or "
    "the\n"
    "first one's file and line and exits 1.\n\n"
    "What the chain alone cannot show is an end that was cut off and a history that was\n"
    "written anew: these are found by a checkpoint that you kept elsewhere.\n\n"
    "  --public-key FILE  every checkpoint's signature must be by this key (PEM); may "
    "be\n"
    "                     repeated, for a trail that outlived a key\n"
    "  --checkpoint FILE  a checkpoint that must be in the trail: any text file with a\n"
    "                     line of the trail or of the JSON log that holds one; all in "
    "it\n"
    "                     are checked, but for those of other chains; may be repeated\n"
    "  -h, --help         this text\n";

enum { MOST_KEYS = 16 };

struct order {
    struct audit_key keys[MOST_KEYS];
    size_t key_count;
    struct audit_checkpoint *held;
    size_t held_count, held_capacity;
};

static void forget(struct order *order)
{
    for (size_t i = 0; i < order->key_count; i++)
        audit_key_fini(&order->keys[i]);
    free(order->held);
}

static bool hold(struct order *order, const struct audit_checkpoint *checkpoint,
                 struct error *error)
{
    if (order->held_count == order->held_capacity) {
        size_t capacity = order->held_capacity == 0 ? 16 : order->held_capacity * 2;
        struct audit_checkpoint *held = realloc(order->held, capacity * sizeof(*held));

        if (held == NULL)
            return error_set(error, "out of memory");
        order->held = held;
        order->held_capacity = capacity;
    }
    order->held[order->held_count++] = *checkpoint;
    return true;
}

static bool take_line(struct order *order, struct span line, struct error *error)
{
    struct audit_checkpoint checkpoint;

    if (memmem(line.at, line.len, "proxy.checkpoint.", 17) == NULL)
        return true;
    switch (audit_checkpoint_find(line, &checkpoint, error)) {
    case AUDIT_CHECKPOINT_NONE:
        return true;
    case AUDIT_CHECKPOINT_FOUND:
        return hold(order, &checkpoint, error);
    case AUDIT_CHECKPOINT_BAD:
        break;
    }
    return false;
}

static bool read_checkpoints(struct order *order, struct audit_reader *reader,
                             struct error *error)
{
    struct audit_read_line line;
    enum audit_read answer;

    while ((answer = audit_reader_next(reader, &line, error)) == AUDIT_READ_LINE) {
        if (!take_line(order, line.text, error))
            return false;
    }
    return answer == AUDIT_READ_END;
}

static int load_checkpoints(struct order *order, const char *path)
{
    size_t before = order->held_count;
    struct error error;
    struct audit_reader *reader = audit_reader_open(path, &error);
    bool is_read;

    if (reader == NULL)
        return command_audit_failed("", &error);
    is_read = read_checkpoints(order, reader, &error);
    audit_reader_close(reader);
    if (is_read && order->held_count == before)
        is_read =
            error_set(&error, "holds no checkpoint (a line that is a JSON object with "
                              "proxy.checkpoint.statement and its signature)");
    return is_read ? EXIT_FINE : command_audit_failed(path, &error);
}

static int load_key(struct order *order, const char *path)
{
    struct error error;

    if (order->key_count == MOST_KEYS)
        return command_misused("audit verify", "takes at most 16 public keys");
    if (!audit_key_load_public(path, &order->keys[order->key_count], &error))
        return command_audit_failed("", &error);
    order->key_count++;
    return EXIT_FINE;
}

static void print_anchoring(const struct order *order,
                            const struct audit_verdict *verdict)
{
    const struct audit_checkpoint *last = &verdict->last_checkpoint;
    char time[CLOCK_TEXT_BYTES];

    clock_format_utc(last->wall_ms, time);
    if (verdict->checkpoints == 0)
        (void)printf("no checkpoint in the trail: nothing in it is signed\n");
    else if (order->key_count > 0)
        (void)printf("records 1 to %" PRIu64 " are signed: %" PRIu64
                     " checkpoints verified, the last of %s by key %s\n",
                     last->sequence, verdict->checkpoints, time, last->key_id);
    else
        (void)printf("%" PRIu64 " checkpoints, the last of record %" PRIu64
                     " and %s: signatures were not checked (--public-key)\n",
                     verdict->checkpoints, last->sequence, time);
    if (verdict->held == 0)
        return;
    clock_format_utc(verdict->last_held.wall_ms, time);
    (void)printf("records 1 to %" PRIu64 " are those of the held checkpoint of %s\n",
                 verdict->last_held.sequence, time);
}

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

static int report(const struct order *order, const struct audit_verdict *verdict)
{
    enum terminal_color color =
        terminal_has_colors(STDOUT_FILENO) ? TERMINAL_GREEN : TERMINAL_PLAIN;

    (void)printf("%" PRIu64 " records, %" PRIu64 " mutations, %" PRIu64
                 " unfinished, %schain intact%s\n",
                 verdict->records, verdict->mutations, verdict->unfinished,
                 terminal_begin(color), terminal_end(color));
    print_anchoring(order, verdict);
    if (verdict->is_incomplete)
        (void)printf("%s: the last line is incomplete: a write under way, or a crash\n",
                     verdict->place);
    if (verdict->is_repeating)
        (void)printf(
            "the trail ends before all lines after the last acknowledged one were "
            "repeated: a write under way, or a crash\n");
    return EXIT_FINE;
}

static int verify(const struct order *order, const char *folder)
{
    struct progress progress = {.begun_us = clock_monotonic_us()};
    struct audit_verify_request request = {
        .on_progress = on_progress,
        .owner = &progress,
        .folder = folder,
        .keys = order->keys,
        .key_count = order->key_count,
        .held = order->held,
        .held_count = order->held_count,
    };
    struct audit_verdict verdict;
    struct error error;
    bool is_intact;

    terminal_status_init(&progress.status);
    if (!progress.status.is_on)
        request.on_progress = NULL;
    is_intact = audit_verify(&request, &verdict, &error);
    terminal_status_erase(&progress.status);
    return is_intact ? report(order, &verdict)
                     : command_audit_failed(verdict.place, &error);
}

/* Takes in one option; EXIT_FINE when it could be. */
static int take_option(struct order *order, int option, char **argv)
{
    switch (option) {
    case 'k':
        return load_key(order, optarg);
    case 'c':
        return load_checkpoints(order, optarg);
    default:
        return command_bad_option("audit verify", argv);
    }
}

int command_audit_verify(int argc, char **argv)
{
    static const struct option options[] = {
        {"public-key", required_argument, NULL, 'k'},
        {"checkpoint", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct order order = {.key_count = 0};
    int status = EXIT_FINE;
    int option;

    opterr = 0;
    while (status == EXIT_FINE &&
           (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(help, stdout);
            forget(&order);
            return EXIT_FINE;
        }
        status = take_option(&order, option, argv);
    }
    if (status == EXIT_FINE && argc - optind != 1)
        status = command_misused("audit verify", "needs one folder");
    if (status == EXIT_FINE)
        status = verify(&order, argv[optind]);
    forget(&order);
    return status;
}
