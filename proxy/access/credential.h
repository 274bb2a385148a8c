/*
 * The teams' API keys: read from files or variables into secret memory, handed out only
 * as borrowed spans to whoever writes a verified upstream connection.
 */
#ifndef PSGATE_ACCESS_CREDENTIAL_H
#define PSGATE_ACCESS_CREDENTIAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "config/config.h"

/* What the cache's scope of a credential begins with; its name follows. */
#define CREDENTIAL_SCOPE "credential "

enum { CREDENTIAL_TEAM_BYTES = 128, CREDENTIAL_KEYS = 2 };

/* What upstream last said of a key. Times are of the wall clock, in ms; 0: never. */
enum credential_verdict { CREDENTIAL_UNKNOWN, CREDENTIAL_ACCEPTED, CREDENTIAL_REFUSED };

struct credential_key_state {
    _Atomic int verdict; /* enum credential_verdict */
    _Atomic int64_t success_ms, failure_ms;
};

/*
 * What is learnt of a credential while it is used, by all workers. Its team outlives a
 * reload; which key serves begins with the first again.
 */
struct credential_state {
    _Atomic int slot;                /* the key that serves: 0, or 1: the next one */
    _Atomic int64_t probed_until_ms; /* the next key has failed: not again before */
    struct credential_key_state keys[CREDENTIAL_KEYS];
    pthread_mutex_t lock;             /* over team */
    char team[CREDENTIAL_TEAM_BYTES]; /* whose the keys are; "": not known yet */
};

struct credential {
    const char *name;                         /* borrowed from the configuration */
    struct secret *api_keys[CREDENTIAL_KEYS]; /* the first; the next, or NULL */
    struct credential_state *state;
};

/* The key that serves now. */
static inline int credential_slot(const struct credential *credential)
{
    return atomic_load_explicit(&credential->state->slot, memory_order_acquire);
}

/* Whether both would go on with the same keys. */
bool credential_has_same_keys(const struct credential *one,
                              const struct credential *other);

/*
 * Whether a session of this team may be the credential's: it is the known one, or none is
 * known yet, and this one is from now on.
 */
bool credential_claim_team(const struct credential *credential, const char *team);

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
