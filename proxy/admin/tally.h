/* The workers' counts, added up in the ways that the endpoint shows them. */
#ifndef PSGATE_ADMIN_TALLY_H
#define PSGATE_ADMIN_TALLY_H

#include <stdint.h>

#include "gateway/metrics.h"

struct tally {
    uint64_t requests;
    uint64_t errors;  /* answered 5xx, by whomever */
    uint64_t refused; /* answered 401, 403 or 429 */
    uint64_t outcomes[CACHE_OUTCOMES];
};

void tally_add(struct tally *tally, const struct metrics_series *series);

#endif
