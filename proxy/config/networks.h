/* Lists of addresses and networks: listen[].proxy_protocol and trusted_proxies. */
#ifndef PSGATE_CONFIG_NETWORKS_H
#define PSGATE_CONFIG_NETWORKS_H

#include "base/network.h"
#include "config/document.h"

/*
 * Reads an array of addresses, networks and "unix:" into the arena; null leaves *networks
 * as it is. Every element that is none of these is a problem.
 */
void config_read_networks(struct document *document, const struct place *place,
                          json_t *value, struct networks *networks);

#endif
