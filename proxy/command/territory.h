/*
 * What `psgate serve` keeps of the machine once its configuration is known: the files
 * that it reads and writes, and the system calls of a network server.
 */
#ifndef PSGATE_COMMAND_TERRITORY_H
#define PSGATE_COMMAND_TERRITORY_H

#include "base/error.h"
#include "config/config.h"

/*
 * Gives everything else up, for ever; before there is a second thread. What the kernel
 * cannot do is logged. Folders are kept rather than files, so that files may be replaced;
 * a later configuration must stay within them. False with error set: do not go on.
 */
bool territory_confine(const struct config *config, struct error *error) MUST_CHECK;

#endif
