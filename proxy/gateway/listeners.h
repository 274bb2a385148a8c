/*
 * The listeners that a configuration asks for: those that are open stay, what was handed
 * over is taken, the rest is bound. On the main thread.
 */
#ifndef PSGATE_GATEWAY_LISTENERS_H
#define PSGATE_GATEWAY_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "net/inherited.h"
#include "net/listener.h"

/* In the order of the configuration; each may be in several lists. */
struct listeners {
    struct listener **list;
    size_t count;
};

/* Opens those of config that open does not have. False with error set: as before. */
bool listeners_open(struct listeners *listeners, const struct config *config,
                    const struct listeners *open, const struct inherited *inherited,
                    struct error *error) MUST_CHECK;

/* Opens one: an inherited socket of that address, or a new one. NULL with error set. */
struct listener *listeners_open_one(const struct config_listen *listen,
                                    const struct inherited *inherited,
                                    struct error *error) MUST_CHECK;

/* Closes those that others (NULL: there are none) does not have, and empties the list. */
void listeners_close(struct listeners *listeners, const struct listeners *others);

/* Every inherited socket that config has no listener for, nor an endpoint of admin, is a
 * problem. */
void listeners_check(const struct config *config, const struct inherited *inherited,
                     struct problems *problems);

#endif
