/*
 * The teams' API keys: read from files or variables into secret memory, handed out only
 * as borrowed spans to whoever writes a verified upstream connection.
 */
#ifndef PSGATE_ACCESS_CREDENTIAL_H
#define PSGATE_ACCESS_CREDENTIAL_H

#include "base/secret.h"
#include "config/config.h"

struct credential {
    const char *name; /* borrowed from the configuration */
    struct secret *api_key;
};

struct credential_set {
    struct credential *credentials;
    size_t count;
};

/*
 * Reads every key that the configuration names. previous (may be NULL) is the set before
 * a reload, where a key whose variable was cleansed is found again. NULL when there were
 * problems. The caller frees the set before the configuration.
 */
struct credential_set *credential_set_load(const struct config *config,
                                           const struct config *previous_config,
                                           const struct credential_set *previous,
                                           struct problems *problems);
/*
 * Overwrites, in place, the environment variables that the keys came from: for when
 * everything was loaded. /proc/PID/environ shows them no more.
 */
void credential_cleanse_environment(const struct config *config);

void credential_set_free(struct credential_set *set);

/* The credential of that name, or NULL. */
const struct credential *credential_find(const struct credential_set *set,
                                         const char *name);

/* Reads one key file into a secret: one line of visible ASCII. NULL with error set. */
struct secret *credential_read_file(const char *path, struct error *error) MUST_CHECK;

#endif
