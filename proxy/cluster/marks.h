/*
 * The marks of a gateway's own changes: which stand in Redis, until when, and which are
 * still to be taken away there. On the cluster's thread.
 */
#ifndef PSGATE_CLUSTER_MARKS_H
#define PSGATE_CLUSTER_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/cluster.h"

struct mark {
    struct mark *next;
    char id[CLUSTER_ID_HEX + 1];
    uint64_t scopes[CLUSTER_SCOPE_WORDS];
    int64_t until_ms; /* it stands in Redis until then, or all know that marks may be
                       * missing there; monotonic */
    bool is_renewed;  /* by the sync that is under way */
    bool is_over;     /* the change has ended, but Redis could not be told */
    bool is_known;    /* and how */
};

struct marks {
    struct mark *first;
};

/* A change that is under way. NULL: out of memory. */
struct mark *marks_add(struct marks *marks, const struct cluster_errand *begin);

/* The mark of that change, or NULL. */
struct mark *marks_find(const struct marks *marks, const char *id);
void marks_remove(struct marks *marks, const char *id);
void marks_clear(struct marks *marks);

#endif
