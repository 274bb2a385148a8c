/* What psgate audit can do: a file each; audit.c only picks one. */
#ifndef PSGATE_COMMAND_AUDIT_H
#define PSGATE_COMMAND_AUDIT_H

#include "base/error.h"

/* Each takes the arguments from its own name on, and returns the exit status. */
int command_audit_verify(int argc, char **argv);
int command_audit_search(int argc, char **argv);
int command_audit_tail(int argc, char **argv);
int command_audit_keygen(int argc, char **argv);

/*
 * Prints "psgate audit: [PLACE: ]what is wrong" on standard error, bytes that are not
 * printable escaped, red on a terminal; place may be empty. Returns EXIT_FAILED.
 */
int command_audit_failed(const char *place, const struct error *error);

#endif
