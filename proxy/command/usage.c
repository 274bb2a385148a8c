#include <getopt.h>
#include <stdio.h>

#include "command/command.h"

int command_misused(const char *command, const char *what)
{
    (void)fprintf(stderr, "psgate %s: %s (psgate %s --help says more)\n", command, what,
                  command);
    return EXIT_USAGE;
}

int command_bad_option(const char *command, char **argv)
{
    char what[256];

    (void)snprintf(what, sizeof(what), "unknown option, or one without its value: %s",
                   argv[optind - 1]);
    return command_misused(command, what);
}
