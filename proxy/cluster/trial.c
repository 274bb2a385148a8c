#include "cluster/trial.h"

#include "cluster/link.h"

struct trial {
    struct worker *worker;
    struct link_target target;
    struct link *link;
    enum cluster_trial result;
    struct error *error;
};

static void conclude(struct trial *trial, enum cluster_trial result, const char *why)
{
    trial->result = result;
    if (why != NULL)
        (void)error_set(trial->error, "%s", why);
    worker_stop(trial->worker);
}

static void on_answered(void *owner, const redisReply *reply, const char *why)
{
    if (reply != NULL)
        conclude(owner, CLUSTER_TRIAL_GOOD, NULL);
    else
        conclude(owner, CLUSTER_TRIAL_REFUSED, why);
}

static void on_up(void *owner)
{
    struct trial *trial = owner;
    const struct span words[] = {SPAN("EVAL"), SPAN("return 1"), SPAN("0")};

    if (!link_send(trial->link, words, 3, on_answered, trial))
        conclude(trial, CLUSTER_TRIAL_UNREACHABLE, "out of memory");
}

static void on_down(void *owner, const char *why)
{
    struct trial *trial = owner;

    conclude(trial,
             link_was_answered(trial->link) ? CLUSTER_TRIAL_REFUSED
                                            : CLUSTER_TRIAL_UNREACHABLE,
             why);
}

static const struct link_events events = {on_up, on_down, NULL};

static bool prepare(struct trial *trial, const struct config_cluster *config)
{
    if (!link_target_init(&trial->target, config, trial->error))
        return false;
    trial->worker = worker_new(0, trial->error);
    if (trial->worker == NULL)
        return false;
    trial->link =
        link_new(trial->worker, &trial->target, config->max_staleness_ms, &events, trial);
    return trial->link != NULL || error_set(trial->error, "out of memory");
}

/* Its end answers what waits: that is no result. */
static void clean_up(struct trial *trial)
{
    struct error unasked;

    /* cppcheck-suppress autoVariables ; nobody reads it after the link's end, below */
    trial->error = &unasked;
    link_stop(trial->link);
    worker_free(trial->worker);
    link_free(trial->link);
    link_target_fini(&trial->target);
}

enum cluster_trial cluster_try(const struct config_cluster *config, struct error *error)
{
    struct trial trial = {.result = CLUSTER_TRIAL_REFUSED, .error = error};
    enum cluster_trial result;

    if (prepare(&trial, config)) {
        link_start(trial.link);
        worker_run(trial.worker);
    }
    result = trial.result;
    clean_up(&trial);
    return result;
}
