#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "command/command.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"serve", command_serve, "run the gateway"},
    {"check", command_check, "validate a configuration, print every problem"},
    {"token", command_token, "create, list and revoke the clients' tokens"},
    {"audit", command_audit, "verify the audit trail, make its signing key"},
    {"sandbox", command_sandbox, "run the stand-in for api.paperspace.com"},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *to)
{
    (void)fprintf(to,
                  "Usage: psgate COMMAND [OPTIONS]\n\n"
                  "psgate stands in front of api.paperspace.com: clients call it with "
                  "tokens of their own,\nand it adds the team's API key.\n\n");
    for (int i = 0; i < COMMANDS; i++)
        (void)fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(to,
                  "\npsgate COMMAND --help says more; psgate --version says which.\n");
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of a write */
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return EXIT_FINE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)puts("psgate " PSGATE_VERSION);
        return EXIT_FINE;
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    (void)fprintf(stderr,
                  "psgate: there is no command \"%s\" (psgate --help lists them)\n",
                  argv[1]);
    return EXIT_USAGE;
}
