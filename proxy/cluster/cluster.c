#include "cluster/cluster.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/cluster_internal.h"

/* What is told to others */

bool cluster_is_current(const struct cluster *cluster, int64_t now_ms)
{
    return cluster == NULL || now_ms <= atomic_load(&cluster->current_until_ms);
}

struct cluster_state cluster_state(const struct cluster *cluster, int64_t now_ms)
{
    int64_t heard_ms = atomic_load(&cluster->heard_ms);

    return (struct cluster_state){
        .is_current = cluster_is_current(cluster, now_ms),
        .heard_ms_ago = heard_ms != 0 ? now_ms - heard_ms : -1,
        .raised = atomic_load(&cluster->raised),
        .raise_failed = atomic_load(&cluster->raise_failed),
        .taken = atomic_load(&cluster->taken),
        .take_failed = atomic_load(&cluster->take_failed),
        .connected = atomic_load(&cluster->connected),
    };
}

void cluster_begin_script(struct words *words, struct span script,
                          const struct cluster *cluster)
{
    *words = (struct words){.count = 0};
    words_add(words, SPAN("EVAL"));
    words_add(words, script);
    words_add(words, SPAN("2"));
    words_add(words, span_of(cluster->generations_key));
    words_add(words, span_of(cluster->changes_key));
    words_add(words, span_of(cluster->channel));
    words_add(words, span_of(cluster->gateway));
}

/* Life */

static void *run(void *argument)
{
    struct cluster *cluster = argument;

    link_start(cluster->commands);
    link_start(cluster->events);
    deadline_set(&cluster->next_sync, 0);
    worker_run(cluster->worker);
    return NULL;
}

static void name_keys(struct cluster *cluster)
{
    const char *prefix = cluster->config->prefix;

    (void)snprintf(cluster->generations_key, KEY_BYTES, "%sgenerations", prefix);
    (void)snprintf(cluster->changes_key, KEY_BYTES, "%schanges", prefix);
    (void)snprintf(cluster->channel, KEY_BYTES, "%sraised", prefix);
}

/* A command waits no longer than answers may be stale. */
static bool prepare(struct cluster *cluster, struct error *error)
{
    int64_t patience_ms = cluster->config->max_staleness_ms;

    if (!words_make_hex(cluster->gateway, GATEWAY_HEX) ||
        !link_target_init(&cluster->target, cluster->config, error))
        return false;
    name_keys(cluster);
    cluster->worker = worker_new(0, error);
    if (cluster->worker == NULL)
        return false;
    deadline_init(&cluster->next_sync, cluster->worker, cluster_sync_now, cluster);
    cluster->commands = link_new(cluster->worker, &cluster->target, patience_ms,
                                 &cluster_commands_events, cluster);
    cluster->events = link_new(cluster->worker, &cluster->target, patience_ms,
                               &cluster_events_events, cluster);
    return (cluster->commands != NULL && cluster->events != NULL) ||
           error_set(error, "out of memory");
}

/* Signals are the main thread's. */
static bool start_thread(struct cluster *cluster, struct error *error)
{
    sigset_t all, before;
    int problem;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    problem = pthread_create(&cluster->thread, NULL, run, cluster);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    cluster->has_thread = problem == 0;
    return cluster->has_thread ||
           error_set_errno(error, problem, "cannot start the cluster's thread");
}

struct cluster *cluster_start(const struct config_cluster *config,
                              struct generations *generations, int64_t hold_ms,
                              struct error *error)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));
    int64_t least_ms = MARK_STALENESSES * config->max_staleness_ms;

    if (cluster == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    cluster->config = config;
    cluster->generations = generations;
    cluster->hold_ms = hold_ms;
    cluster->doubt_ms = DOUBT_STALENESSES * config->max_staleness_ms;
    cluster->mark_ms = hold_ms > least_ms ? hold_ms : least_ms;
    if (prepare(cluster, error) && start_thread(cluster, error))
        return cluster;
    cluster_free(cluster);
    return NULL;
}

static void on_stop(struct letter *letter)
{
    struct cluster *cluster =
        (struct cluster *)(void *)((char *)letter - offsetof(struct cluster, stop));

    worker_stop(cluster->worker);
}

void cluster_stop(struct cluster *cluster)
{
    if (cluster == NULL || !cluster->has_thread)
        return;
    atomic_store(&cluster->is_stopping, true);
    cluster->stop.open = on_stop;
    mailbox_send(cluster->worker->mailbox, &cluster->stop);
    (void)pthread_join(cluster->thread, NULL);
    cluster->has_thread = false;
    link_stop(cluster->commands);
    link_stop(cluster->events);
}

void cluster_free(struct cluster *cluster)
{
    if (cluster == NULL)
        return;
    cluster_stop(cluster);
    link_stop(cluster->commands); /* where no thread was started */
    link_stop(cluster->events);
    if (cluster->worker != NULL)
        deadline_fini(&cluster->next_sync);
    worker_free(cluster->worker);
    link_free(cluster->commands);
    link_free(cluster->events);
    marks_clear(&cluster->marks);
    link_target_fini(&cluster->target);
    free(cluster);
}
