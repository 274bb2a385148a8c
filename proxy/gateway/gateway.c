#include "gateway/gateway.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/trail.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_output.h"
#include "cluster/cluster.h"
#include "gateway/crew.h"
#include "gateway/descriptors.h"
#include "gateway/health.h"
#include "gateway/listeners.h"
#include "gateway/metrics.h"
#include "gateway/station.h"
#include "gateway/watch.h"

struct gateway {
    char *path, *sandbox_url;
    struct snapshot *snapshot;
    struct snapshot *first; /* whose cluster section is in force; NULL: there is none */
    struct inherited *inherited;
    struct listeners listeners; /* of the snapshot's configuration */
    struct stations shared;
    struct cache cache;
    struct health health;
    struct mailbox *mailbox; /* the main thread's */
    struct crew *crew;
    struct watch *watch; /* on the clients file; NULL: draining */
    struct text refusal; /* what was last said of it, and for which file */
    struct file_identity refused;
    void (*on_drained)(void *arg);
    void *arg;
    struct gateway_hooks hooks; /* all NULL: none */
    void *hooks_arg;

    pthread_mutex_t lock; /* over the pointer to the snapshot, and state */
    struct gateway_state state;
};

/* How long a stop waits for records that are under way. */
enum { LAST_FLUSH_MS = 5000, KEYS_END_MS = 500 };

/* In force from now on: what the gateway has. Waits until no worker knows the old. */
static bool adopt_everywhere(struct gateway *gateway, struct error *error)
{
    atomic_store(&gateway->shared.max_connections,
                 descriptors_for_clients(gateway->snapshot->config));
    return crew_adopt(gateway->crew, gateway->snapshot, &gateway->listeners, error);
}

static size_t worker_count(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->workers > 0)
        return (size_t)config->workers;
    return cores > 0 ? (size_t)cores : 1;
}

static struct audit_settings audit_settings(const struct config *config)
{
    return (struct audit_settings){
        .directory = config->audit.directory,
        .signing_key_file = config->audit.signing_key_file,
        .rotate_bytes = config->audit.rotate_bytes,
        .timeout_ms = config->audit.timeout_ms,
        .syslog = config->audit.syslog.url != NULL ? &config->audit.syslog : NULL,
    };
}

/* What is in force from now on; buckets of names that stay keep what was taken. */
static void apply_rates(struct gateway *gateway, const struct snapshot *snapshot)
{
    const struct config_limits *limits = &snapshot->config->limits;
    const struct rate_limits upstream = {.rate = limits->upstream_rate,
                                         .burst = limits->upstream_burst};
    int64_t now_us = clock_monotonic_us();

    client_set_apply_rates(snapshot->clients, now_us);
    rate_bucket_limit(rates_upstream(gateway->shared.rates), &upstream, now_us);
}

/*
 * Every cache rule's scope gets its number now, not when it is first asked for: else "*"
 * would leave out, for the whole fleet, what this gateway has never read.
 */
static void name_scopes(struct gateway *gateway, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->operations->count; i++) {
        const struct operation_cache *rule = snapshot->operations->operations[i].cache;

        if (rule != NULL)
            (void)generations_scope(gateway->cache.generations, span_of(rule->scope));
    }
}

/* Ties a snapshot to what outlives it, by names: clients' buckets, and what is counted.
 */
static bool bind_snapshot(struct gateway *gateway, struct snapshot *snapshot)
{
    name_scopes(gateway, snapshot);
    if (!client_set_bind_rates(snapshot->clients, gateway->shared.rates) ||
        !metrics_name_clients(gateway->shared.metrics, snapshot->clients))
        return false;
    if (snapshot->operation_numbers == NULL) /* else borrowed */
        snapshot->operation_numbers =
            metrics_name_operations(gateway->shared.metrics, snapshot->operations);
    return snapshot->operation_numbers != NULL;
}

static bool start_counting(struct gateway *gateway, struct error *error)
{
    gateway->shared.rates = rates_new();
    gateway->shared.metrics = metrics_new();
    gateway->shared.preface_faults = refusals_new();
    if (gateway->shared.rates == NULL || gateway->shared.metrics == NULL ||
        gateway->shared.preface_faults == NULL ||
        !bind_snapshot(gateway, gateway->snapshot))
        return error_set(error, "out of memory");
    apply_rates(gateway, gateway->snapshot);
    return true;
}

static bool on_clients_changed(void *arg);

/* Follows the file that the snapshot was read from. */
static bool watch_clients(struct gateway *gateway, struct error *error)
{
    const struct snapshot *snapshot = gateway->snapshot;

    return watch_follow(gateway->watch, snapshot->config->clients_file,
                        &snapshot->clients_identity) ||
           error_set(error, "cannot watch the clients file: out of memory");
}

static void use_log(const struct config *config, int log)
{
    log_switch(log);
    log_configure((enum log_level)config->log.level, (enum log_format)config->log.format);
}

/* Its section holds for as long as the process: a reload does not touch it. */
static bool start_cluster(struct gateway *gateway, struct error *error)
{
    const struct config *config = gateway->snapshot->config;

    if (config->cluster.redis == NULL)
        return true;
    gateway->first = snapshot_ref(gateway->snapshot);
    gateway->shared.cluster = cluster_start(&config->cluster, gateway->cache.generations,
                                            config->cache.unknown_hold_ms, error);
    return gateway->shared.cluster != NULL;
}

static bool start(struct gateway *gateway, struct event_base *base, struct error *error)
{
    const struct config *config = gateway->snapshot->config;
    struct audit_settings settings;
    int log;

    if (!log_open(config->log.file, &log, error))
        return false;
    use_log(config, log);
    descriptors_raise_limit(config);
    gateway->mailbox = mailbox_new(base, error);
    if (gateway->mailbox == NULL)
        return false;
    if (!cache_init(&gateway->cache, (size_t)config->cache.memory_bytes))
        return error_set(error, "out of memory");
    gateway->shared.cache = &gateway->cache;
    if (!start_counting(gateway, error))
        return false;
    settings = audit_settings(config);
    gateway->shared.trail = audit_trail_new(&settings, error);
    if (gateway->shared.trail == NULL || !start_cluster(gateway, error))
        return false;
    if (!listeners_open(&gateway->listeners, config, &gateway->listeners,
                        gateway->inherited, error))
        return false;
    if (gateway->snapshot->jwks != NULL && !jwks_start(gateway->snapshot->jwks, error))
        return false;
    gateway->crew = crew_new(&gateway->shared, gateway->mailbox, worker_count(config),
                             gateway->on_drained, gateway->arg, error);
    if (gateway->crew == NULL || !adopt_everywhere(gateway, error))
        return false;
    gateway->watch = watch_new(base, on_clients_changed, gateway, error);
    return gateway->watch != NULL && watch_clients(gateway, error);
}

/* Everything that the configuration names, if that fits what was handed over. */
static struct snapshot *load(const struct gateway *gateway,
                             const struct snapshot *previous, struct problems *problems)
{
    struct snapshot *snapshot =
        snapshot_load(gateway->path, previous, gateway->sandbox_url, problems);

    if (snapshot == NULL)
        return NULL;
    listeners_check(snapshot->config, gateway->inherited, problems);
    if (problems->count == 0)
        return snapshot;
    snapshot_unref(snapshot);
    return NULL;
}

struct gateway *gateway_start(const struct gateway_options *options,
                              struct problems *problems, struct error *error)
{
    struct gateway *gateway = calloc(1, sizeof(*gateway));

    (void)error_set(error, "out of memory");
    if (gateway == NULL) {
        inherited_free(options->inherited);
        return NULL;
    }
    health_init(&gateway->health);
    gateway->shared.health = &gateway->health;
    (void)pthread_mutex_init(&gateway->lock, NULL);
    gateway->path = strdup(options->path);
    gateway->sandbox_url =
        options->sandbox_url != NULL ? strdup(options->sandbox_url) : NULL;
    gateway->inherited = options->inherited;
    gateway->on_drained = options->on_drained;
    gateway->arg = options->arg;
    gateway->snapshot = load(gateway, NULL, problems);
    if (gateway->snapshot == NULL || !start(gateway, options->base, error)) {
        gateway_free(gateway);
        return NULL;
    }
    gateway->state = (struct gateway_state){.workers = crew_count(gateway->crew),
                                            .was_reload_good = true,
                                            .loaded_ms = clock_wall_ms()};
    snapshot_warn_stale(gateway->snapshot);
    return gateway;
}

size_t gateway_listener_count(const struct gateway *gateway)
{
    return gateway->listeners.count;
}

const char *gateway_listener_url(const struct gateway *gateway, size_t index)
{
    return gateway->listeners.list[index]->url;
}

unsigned gateway_generation(const struct gateway *gateway)
{
    return gateway->snapshot->generation;
}

bool gateway_ask_workers(struct gateway *gateway, void (*on_alive)(void *arg), void *arg,
                         size_t *silent)
{
    return crew_ask(gateway->crew, on_alive, arg, silent);
}

/* Reload */

static void log_problems(const struct problems *problems)
{
    const char *line = problems->lines.bytes;

    while (line != NULL && *line != '\0') {
        const char *end = strchr(line, '\n');
        int len = end != NULL ? (int)(end - line) : (int)strlen(line);

        log_error("%.*s", len, line);
        line = end != NULL ? end + 1 : NULL;
    }
}

/* Puts it in force beside the listeners there are. */
static void adopt_snapshot(struct gateway *gateway, struct snapshot *fresh)
{
    struct snapshot *old = gateway->snapshot;
    struct error error;

    (void)pthread_mutex_lock(&gateway->lock);
    gateway->snapshot = fresh;
    gateway->state.loaded_ms = clock_wall_ms();
    (void)pthread_mutex_unlock(&gateway->lock);
    if (!adopt_everywhere(gateway, &error))
        log_error("a worker does not accept on every listener: %s (reload again)",
                  error.text);
    snapshot_unref(old);
}

/* A bad file is said once for each change, and again when it is bad in another way. */
static void refuse_clients(struct gateway *gateway, const struct problems *problems)
{
    struct span lines = span_make(problems->lines.bytes, problems->lines.len);
    const struct file_identity *file = watch_seen(gateway->watch);

    if (file_is_same(file, &gateway->refused) &&
        span_equal(lines, span_make(gateway->refusal.bytes, gateway->refusal.len)))
        return;
    gateway->refused = *file;
    text_clear(&gateway->refusal);
    text_add(&gateway->refusal, lines);
    log_problems(problems);
    log_error("the changed clients file has %u problem%s: the clients before stay in "
              "force, also those that it revokes (mend it; what needs a changed "
              "configuration needs SIGHUP)",
              problems->count, problems->count == 1 ? "" : "s");
}

/*
 * False: try again. What was wrong may be no fault of the file (no descriptor was free),
 * and nobody would tell when it is over.
 */
static bool on_clients_changed(void *arg)
{
    struct gateway *gateway = arg;
    struct problems problems = {0};
    struct snapshot *fresh = snapshot_reload_clients(gateway->snapshot, &problems);

    if (fresh != NULL && !bind_snapshot(gateway, fresh)) {
        problems_add(&problems, fresh->config->clients_file, "out of memory");
        snapshot_unref(fresh);
        fresh = NULL;
    }
    if (fresh == NULL) {
        refuse_clients(gateway, &problems);
    } else {
        text_clear(&gateway->refusal);
        apply_rates(gateway, fresh);
        adopt_snapshot(gateway, fresh);
        log_info("clients reloaded: generation %u, %zu clients", fresh->generation,
                 fresh->clients->count);
    }
    problems_fini(&problems);
    return fresh != NULL;
}

static void replace_snapshot(struct gateway *gateway, struct snapshot *fresh,
                             const struct listeners *listeners, int log)
{
    struct listeners old = gateway->listeners;
    struct error error;

    if (worker_count(fresh->config) != crew_count(gateway->crew))
        log_warn("the number of workers changes only at the next start");
    if (!config_is_same_cluster(&gateway->snapshot->config->cluster,
                                &fresh->config->cluster))
        log_warn("cluster: the section changes only at the next start");
    use_log(fresh->config, log);
    if (fresh->jwks != NULL && !jwks_start(fresh->jwks, &error))
        log_error("jwt: issuers' keys are not fetched: %s (reload again)", error.text);
    jwks_stop(gateway->snapshot->jwks, 0); /* whoever has it still may use its keys */
    gateway->listeners = *listeners;
    apply_rates(gateway, fresh);
    adopt_snapshot(gateway, fresh);
    store_resize(gateway->cache.store, (size_t)fresh->config->cache.memory_bytes);
    if (!watch_clients(gateway, &error))
        log_error("%s: send SIGHUP after each change", error.text);
    listeners_close(&old, listeners);
    snapshot_warn_stale(fresh);
}

/* Says why, and that nothing has changed. */
static bool refuse_reload(struct gateway *gateway, struct snapshot *fresh,
                          const struct error *error)
{
    log_error("reload refused: %s; the old configuration stays in force", error->text);
    snapshot_unref(fresh);
    (void)pthread_mutex_lock(&gateway->lock);
    gateway->state.was_reload_good = false;
    (void)pthread_mutex_unlock(&gateway->lock);
    return false;
}

/* What others than the gateway itself must agree to. */
static bool prepare_others(struct gateway *gateway, struct snapshot *fresh,
                           struct error *error)
{
    const struct audit_settings settings = audit_settings(fresh->config);

    if (gateway->hooks.prepare != NULL &&
        !gateway->hooks.prepare(gateway->hooks_arg, fresh->config, error))
        return false;
    if (audit_trail_configure(gateway->shared.trail, &settings, error))
        return true;
    if (gateway->hooks.abandon != NULL)
        gateway->hooks.abandon(gateway->hooks_arg);
    return false;
}

/*
 * Everything that a reload needs besides its snapshot and its listeners. *log is the
 * log's descriptor to go on with.
 */
static bool prepare_reload(struct gateway *gateway, struct snapshot *fresh, int *log,
                           struct error *error)
{
    if (!bind_snapshot(gateway, fresh))
        return error_set(error, "out of memory");
    if (!log_open(fresh->config->log.file, log, error))
        return false;
    if (prepare_others(gateway, fresh, error))
        return true;
    if (*log >= 0)
        (void)close(*log);
    return false;
}

static struct snapshot *load_again(struct gateway *gateway, struct error *error)
{
    struct problems problems = {0};
    struct snapshot *fresh = load(gateway, gateway->snapshot, &problems);

    if (fresh == NULL) {
        log_problems(&problems);
        (void)error_set(error, "the configuration has %u problem%s", problems.count,
                        problems.count == 1 ? "" : "s");
    }
    problems_fini(&problems);
    return fresh;
}

bool gateway_reload(struct gateway *gateway, struct error *error)
{
    struct snapshot *fresh = load_again(gateway, error);
    struct listeners listeners;
    int log = -1;

    if (fresh == NULL || !listeners_open(&listeners, fresh->config, &gateway->listeners,
                                         gateway->inherited, error))
        return refuse_reload(gateway, fresh, error);
    if (!prepare_reload(gateway, fresh, &log, error)) {
        listeners_close(&listeners, &gateway->listeners);
        return refuse_reload(gateway, fresh, error);
    }
    replace_snapshot(gateway, fresh, &listeners, log);
    if (gateway->hooks.commit != NULL)
        gateway->hooks.commit(gateway->hooks_arg);
    (void)pthread_mutex_lock(&gateway->lock);
    gateway->state.was_reload_good = true;
    (void)pthread_mutex_unlock(&gateway->lock);
    log_info("configuration reloaded: generation %u, %zu clients", fresh->generation,
             fresh->clients->count);
    return true;
}

static void reopen_log(const struct gateway *gateway)
{
    const char *path = gateway->snapshot->config->log.file;
    struct error error;
    int log;

    if (path == NULL)
        return;
    if (log_open(path, &log, &error))
        log_switch(log);
    else
        log_error("%s: the log stays in the old file (send SIGUSR1 again)", error.text);
}

void gateway_reopen(struct gateway *gateway)
{
    reopen_log(gateway);
    audit_trail_rotate(gateway->shared.trail);
}

int64_t gateway_drain_timeout_ms(const struct gateway *gateway)
{
    return gateway->snapshot->config->limits.drain_timeout_ms;
}

/* What was handed over too: who has no more to do with it must not let it look open. */
static void close_listeners(struct gateway *gateway)
{
    listeners_close(&gateway->listeners, NULL);
    inherited_free(gateway->inherited);
    gateway->inherited = NULL;
}

void gateway_set_hooks(struct gateway *gateway, const struct gateway_hooks *hooks,
                       void *arg)
{
    gateway->hooks = hooks != NULL ? *hooks : (struct gateway_hooks){0};
    gateway->hooks_arg = arg;
}

const struct inherited *gateway_inherited(const struct gateway *gateway)
{
    return gateway->inherited;
}

/* For those who look at it from their own threads */

struct snapshot *gateway_take_snapshot(struct gateway *gateway)
{
    struct snapshot *snapshot;

    (void)pthread_mutex_lock(&gateway->lock);
    snapshot = snapshot_ref(gateway->snapshot);
    (void)pthread_mutex_unlock(&gateway->lock);
    return snapshot;
}

struct stations *gateway_stations(struct gateway *gateway)
{
    return &gateway->shared;
}

void gateway_read_state(struct gateway *gateway, struct gateway_state *state)
{
    (void)pthread_mutex_lock(&gateway->lock);
    *state = gateway->state;
    (void)pthread_mutex_unlock(&gateway->lock);
}

bool gateway_purge(struct gateway *gateway, struct span scope)
{
    struct snapshot *snapshot = gateway_take_snapshot(gateway);
    struct generations *generations = gateway->cache.generations;
    bool is_known = span_equal(scope, SPAN("*"));

    for (int i = 0; is_known && i < generations_count(generations); i++)
        generations_raise(generations, i);
    for (size_t i = 0; !is_known && i < snapshot->operations->count; i++) {
        const struct operation_cache *rule = snapshot->operations->operations[i].cache;

        if (rule == NULL || !span_equal(span_of(rule->scope), scope))
            continue;
        generations_raise(generations, generations_scope(generations, scope));
        is_known = true;
    }
    snapshot_unref(snapshot);
    return is_known;
}

/* The workers' descriptors keep the sockets open until each has emptied the queue. */
void gateway_drain(struct gateway *gateway)
{
    (void)pthread_mutex_lock(&gateway->lock);
    gateway->state.is_draining = true;
    (void)pthread_mutex_unlock(&gateway->lock);
    close_listeners(gateway);
    watch_free(gateway->watch);
    gateway->watch = NULL;
    crew_drain(gateway->crew);
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    watch_free(gateway->watch);
    crew_stop(gateway->crew);
    /* Letters about records come in before anything that they are about is freed. */
    if (gateway->shared.trail != NULL &&
        !audit_trail_flush(gateway->shared.trail, LAST_FLUSH_MS))
        log_error("audit: the disk does not take the last records");
    crew_clear(gateway->crew);
    cluster_stop(gateway->shared.cluster); /* which the crew's last letters may ask */
    audit_trail_free(gateway->shared.trail);
    mailbox_free(gateway->mailbox); /* may still hold letters from the crew */
    crew_free(gateway->crew);
    cluster_free(gateway->shared.cluster);
    snapshot_unref(gateway->first);
    cache_fini(&gateway->cache);
    if (gateway->snapshot != NULL)
        jwks_stop(gateway->snapshot->jwks, KEYS_END_MS);
    snapshot_unref(gateway->snapshot);
    rates_free(gateway->shared.rates);
    metrics_free(gateway->shared.metrics);
    refusals_free(gateway->shared.preface_faults);
    close_listeners(gateway);
    (void)pthread_mutex_destroy(&gateway->lock);
    health_fini(&gateway->health);
    free(gateway->path);
    free(gateway->sandbox_url);
    text_fini(&gateway->refusal);
    free(gateway);
}
