#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/reader.h"
#include "command/audit.h"
#include "command/audit_verify_trails.h"
#include "command/command.h"

static const char help[] =
    "Usage: psgate audit verify DIR... [--public-key FILE] [--checkpoint FILE]\n\n"
    "Reads the whole trail in DIR and finds every line that was changed, removed,\n"
    "inserted, moved or doubled. Prints the counts and exits 0 when there is none, or "
    "the\n"
    "first one's file and line and exits 1.\n\n"
    "DIR may be one under which trails are, at most four folders down, such as a\n"
    "collector's. Of several trails each is read whatever the others are, and copies of\n"
    "one chain are compared; the exit status is 1 if one is not intact.\n\n"
    "What the chain alone cannot show is an end that was cut off and a history that was\n"
    "written anew: these are found by a checkpoint that you kept elsewhere.\n\n"
    "  --public-key FILE  every checkpoint's signature must be by this key (PEM); may "
    "be\n"
    "                     repeated, for a trail that outlived a key\n"
    "  --checkpoint FILE  a checkpoint that must be in the trail: any text file with a\n"
    "                     line of the trail or of the JSON log that holds one; all in "
    "it\n"
    "                     are checked, but for those of other chains; may be repeated\n"
    "                     (with several trails, each must be of one of their chains)\n"
    "  -h, --help         this text\n";

static void forget(struct audit_verify_order *order)
{
    for (size_t i = 0; i < order->key_count; i++)
        audit_key_fini(&order->keys[i]);
    free(order->held);
}

static bool hold(struct audit_verify_order *order,
                 const struct audit_checkpoint *checkpoint, struct error *error)
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

static bool take_line(struct audit_verify_order *order, struct span line,
                      struct error *error)
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

static bool read_checkpoints(struct audit_verify_order *order,
                             struct audit_reader *reader, struct error *error)
{
    struct audit_read_line line;
    enum audit_read answer;

    while ((answer = audit_reader_next(reader, &line, error)) == AUDIT_READ_LINE) {
        if (!take_line(order, line.text, error))
            return false;
    }
    return answer == AUDIT_READ_END;
}

static int load_checkpoints(struct audit_verify_order *order, const char *path)
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

static int load_key(struct audit_verify_order *order, const char *path)
{
    struct error error;

    if (order->key_count == AUDIT_VERIFY_KEYS)
        return command_misused("audit verify", "takes at most 16 public keys");
    if (!audit_key_load_public(path, &order->keys[order->key_count], &error))
        return command_audit_failed("", &error);
    order->key_count++;
    return EXIT_FINE;
}

/* Takes in one option; EXIT_FINE when it could be. */
static int take_option(struct audit_verify_order *order, int option, char **argv)
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
    struct audit_verify_order order = {.key_count = 0};
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
    if (status == EXIT_FINE && argc == optind)
        status = command_misused("audit verify", "needs a folder");
    if (status == EXIT_FINE)
        status = audit_verify_trails(&order, (const char *const *)argv + optind,
                                     (size_t)(argc - optind));
    forget(&order);
    return status;
}
