/* The section "cluster": the Redis server that several gateways share. */
#ifndef PSGATE_CONFIG_CLUSTER_H
#define PSGATE_CONFIG_CLUSTER_H

#include "config/config.h"
#include "config/document.h"

/* Fills cluster from an object, or leaves its redis NULL for a null. */
void config_read_cluster(struct document *document, const struct place *place,
                         json_t *value, struct config_cluster *cluster);

#endif
