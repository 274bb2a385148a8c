/* The subcommands: one file each; main.c only picks one. */
#ifndef PSGATE_COMMAND_COMMAND_H
#define PSGATE_COMMAND_COMMAND_H

/* INTERFACES, "Exit status"; 64 and 78 are sysexits' EX_USAGE and EX_CONFIG. */
enum {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 64,
    EXIT_CONFIG = 78,
};

#define DEFAULT_CONFIG "/etc/psgate/psgate.json"

/* Each takes the arguments from its own name on, and returns the exit status. */
int command_serve(int argc, char **argv);
int command_check(int argc, char **argv);
int command_token(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_sandbox(int argc, char **argv);

/* Says on standard error what is wrong with the usage, and where help is. Returns 64. */
int command_misused(const char *command, const char *what);

/* What getopt_long refused, in our words: ready for command_misused. */
int command_bad_option(const char *command, char **argv);

#endif
