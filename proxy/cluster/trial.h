/* Whether a cluster's Redis server takes us in, and runs scripts for us. */
#ifndef PSGATE_CLUSTER_TRIAL_H
#define PSGATE_CLUSTER_TRIAL_H

#include "base/error.h"
#include "config/config.h"

enum cluster_trial {
    CLUSTER_TRIAL_GOOD,
    CLUSTER_TRIAL_REFUSED,     /* a server is there, but not one for us */
    CLUSTER_TRIAL_UNREACHABLE, /* the network, its name, or nobody there */
};

/*
 * Connects and asks it for nothing; leaves nothing there. Blocks for a few times
 * max_staleness at most. error says what is wrong.
 */
enum cluster_trial cluster_try(const struct config_cluster *config, struct error *error);

#endif
