#include "access/credential.h"

#include <stdlib.h>

#include "base/file.h"

enum { LONGEST_KEY = 4096 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Trims white space around the key and checks what is left. */
static bool settle(struct secret *secret, size_t len, struct error *error)
{
    char *bytes = secret_bytes(secret);
    size_t start = 0;

    while (len > 0 && is_space(bytes[len - 1]))
        len--;
    while (start < len && is_space(bytes[start]))
        start++;
    len -= start;
    memmove(bytes, bytes + start, len);
    secret_truncate(secret, len);
    if (len == 0)
        return error_set(error, "holds no key (put the API key in it, one line)");
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] <= 0x20 || bytes[i] >= 0x7f)
            return error_set(error, "is not one line of visible ASCII (put only the API "
                                    "key in it)");
    }
    return true;
}

struct secret *credential_read_file(const char *path, struct error *error)
{
    struct secret *secret = secret_new(LONGEST_KEY, error);
    struct error reason;
    size_t len;

    if (secret == NULL)
        return NULL;
    if (file_read_private(path, secret_bytes(secret), LONGEST_KEY, &len, error)) {
        if (settle(secret, len, &reason))
            return secret;
        (void)error_set(error, "%s %s", path, reason.text);
    }
    secret_free(secret);
    return NULL;
}

static struct secret *copy_secret(struct span bytes, struct error *error)
{
    struct secret *secret = secret_new(bytes.len, error);

    if (secret != NULL)
        memcpy(secret_bytes(secret), bytes.at, bytes.len);
    return secret;
}

/* The key that an earlier load took out of this variable, or NULL. */
static const struct secret *find_taken(const struct config *config,
                                       const struct credential_set *set, const char *name)
{
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        const char *env = config->credentials[i].api_key_env;

        if (env != NULL && strcmp(env, name) == 0)
            return set->credentials[i].api_keys[0];
    }
    return NULL;
}

static struct secret *take_variable(const char *name, struct error *error)
{
    char *value = getenv(name);
    size_t len = value != NULL ? strlen(value) : 0;
    struct secret *secret;
    struct error reason;

    if (len == 0 || len > LONGEST_KEY) {
        (void)error_set(error, "the variable %s is %s (set it to the API key)", name,
                        len == 0 ? "not set" : "too long");
        return NULL;
    }
    secret = copy_secret(span_make(value, len), error);
    if (secret == NULL)
        return NULL;
    if (!settle(secret, len, &reason)) {
        (void)error_set(error, "the variable %s %s", name, reason.text);
        secret_free(secret);
        return NULL;
    }
    return secret;
}

static struct secret *load_key(const struct config_credential *wanted,
                               const struct config *previous_config,
                               const struct credential_set *previous, struct error *error)
{
    const struct secret *taken;

    if (wanted->api_key_file != NULL)
        return credential_read_file(wanted->api_key_file, error);
    taken = find_taken(previous_config, previous, wanted->api_key_env);
    if (taken != NULL)
        return copy_secret(secret_span(taken), error);
    return take_variable(wanted->api_key_env, error);
}

static void report(const struct config *config, const struct config_credential *wanted,
                   bool is_next, const char *what, struct problems *problems)
{
    const struct place root = {0};
    const struct place credentials = {.parent = &root, .key = "credentials"};
    const struct place credential = {.parent = &credentials, .key = wanted->name};
    const struct place source = {.parent = &credential,
                                 .key = is_next ? "next_api_key_file"
                                        : wanted->api_key_file != NULL ? "api_key_file"
                                                                       : "api_key_env"};

    config_problem(config, problems, &source, "%s", what);
}

static struct credential_state *make_state(const char *name,
                                           const struct credential_set *previous)
{
    const struct credential *before =
        previous != NULL ? credential_find(previous, name) : NULL;
    struct credential_state *state = calloc(1, sizeof(*state));

    if (state == NULL)
        return NULL;
    (void)pthread_mutex_init(&state->lock, NULL);
    if (before != NULL) {
        (void)pthread_mutex_lock(&before->state->lock);
        memcpy(state->team, before->state->team, sizeof(state->team));
        (void)pthread_mutex_unlock(&before->state->lock);
    }
    return state;
}

bool credential_claim_team(const struct credential *credential, const char *team)
{
    struct credential_state *state = credential->state;
    bool is_same;

    (void)pthread_mutex_lock(&state->lock);
    if (state->team[0] == '\0' && strlen(team) < sizeof(state->team))
        memcpy(state->team, team, strlen(team) + 1);
    is_same = strcmp(state->team, team) == 0;
    (void)pthread_mutex_unlock(&state->lock);
    return is_same;
}

static bool load_keys(struct credential *credential,
                      const struct config_credential *wanted, const struct config *config,
                      const struct config *previous_config,
                      const struct credential_set *previous, struct problems *problems)
{
    struct error error;

    credential->name = wanted->name;
    credential->state = make_state(wanted->name, previous);
    if (credential->state == NULL) {
        problems_add(problems, config->path, "out of memory");
        return false;
    }
    credential->api_keys[0] = load_key(wanted, previous_config, previous, &error);
    if (credential->api_keys[0] == NULL)
        report(config, wanted, false, error.text, problems);
    if (wanted->next_api_key_file == NULL)
        return true;
    credential->api_keys[1] = credential_read_file(wanted->next_api_key_file, &error);
    if (credential->api_keys[1] == NULL)
        report(config, wanted, true, error.text, problems);
    return true;
}

struct credential_set *credential_set_load(const struct config *config,
                                           const struct config *previous_config,
                                           const struct credential_set *previous,
                                           struct problems *problems)
{
    struct credential_set *set = calloc(1, sizeof(*set));
    unsigned before = problems->count;

    if (set != NULL)
        set->credentials = calloc(config->credential_count, sizeof(*set->credentials));
    if (set == NULL || set->credentials == NULL) {
        problems_add(problems, config->path, "out of memory");
        free(set);
        return NULL;
    }
    for (size_t i = 0; i < config->credential_count; i++) {
        if (!load_keys(&set->credentials[set->count++], &config->credentials[i], config,
                       previous_config, previous, problems))
            break;
    }
    if (problems->count == before)
        return set;
    credential_set_free(set);
    return NULL;
}

void credential_cleanse_environment(const struct config *config)
{
    for (size_t i = 0; i < config->credential_count; i++) {
        const char *name = config->credentials[i].api_key_env;
        char *value = name != NULL ? getenv(name) : NULL;

        if (value != NULL)
            secret_cleanse(value, strlen(value));
    }
}

static void free_credential(struct credential *credential)
{
    for (int slot = 0; slot < CREDENTIAL_KEYS; slot++)
        secret_free(credential->api_keys[slot]);
    if (credential->state != NULL)
        (void)pthread_mutex_destroy(&credential->state->lock);
    free(credential->state);
}

void credential_set_free(struct credential_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        free_credential(&set->credentials[i]);
    free(set->credentials);
    free(set);
}

const struct credential *credential_find(const struct credential_set *set,
                                         const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->credentials[i].name, name) == 0)
            return &set->credentials[i];
    }
    return NULL;
}

static struct span key_of(const struct credential *credential, int slot)
{
    return credential->api_keys[slot] != NULL ? secret_span(credential->api_keys[slot])
                                              : span_make(NULL, 0);
}

bool credential_has_same_keys(const struct credential *one,
                              const struct credential *other)
{
    return span_equal(key_of(one, 0), key_of(other, 0)) &&
           span_equal(key_of(one, 1), key_of(other, 1));
}
