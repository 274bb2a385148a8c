/*
 * The limit of open files, and how many clients fit below it: they must not take what
 * upstream's connections, the trail and the admin endpoint need.
 */
#ifndef PSGATE_GATEWAY_DESCRIPTORS_H
#define PSGATE_GATEWAY_DESCRIPTORS_H

#include "config/config.h"

/* Asks for as many as the configuration needs; warns if the hard limit is below that. */
void descriptors_raise_limit(const struct config *config);

/*
 * limits.connections, or as many of them as there is room for: at least half of the limit
 * of open files is theirs.
 */
unsigned descriptors_for_clients(const struct config *config);

#endif
