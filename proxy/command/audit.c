#include "command/audit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "command/command.h"
#include "command/terminal.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} verbs[] = {
    {"verify", command_audit_verify, "find whatever was changed in a trail"},
    {"search", command_audit_search, "show the mutations that match"},
    {"tail", command_audit_tail, "show the last mutations, and follow"},
    {"keygen", command_audit_keygen, "make the key pair that signs checkpoints"},
};

enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static void print_help(void)
{
    (void)fputs(
        "Usage: psgate audit VERB DIR [OPTIONS]\n\n"
        "DIR is the trail's folder, audit.directory of the configuration. verify and\n"
        "search take several, and folders under which trails are.\n\n",
        stdout);
    for (int i = 0; i < VERBS; i++)
        (void)printf("  %-8s  %s\n", verbs[i].name, verbs[i].summary);
    (void)fputs("\npsgate audit VERB --help says more.\n", stdout);
}

int command_audit_failed(const char *place, const struct error *error)
{
    enum terminal_color color =
        terminal_has_colors(STDERR_FILENO) ? TERMINAL_RED : TERMINAL_PLAIN;
    struct text line = {0};

    text_add_escaped(&line, span_of(place));
    if (place[0] != '\0')
        text_add(&line, SPAN(": "));
    text_add_escaped(&line, span_of(error->text));
    (void)fprintf(stderr, "%spsgate audit: %s%s\n", terminal_begin(color),
                  line.bytes != NULL && !line.failed ? line.bytes : "out of memory",
                  terminal_end(color));
    text_fini(&line);
    return EXIT_FAILED;
}

int command_audit(int argc, char **argv)
{
    if (argc < 2)
        return command_misused("audit", "needs a verb");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return EXIT_FINE;
    }
    for (int i = 0; i < VERBS; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    }
    return command_misused("audit", "has no such verb");
}
