/*
 * The rows of a search as /api/audit gives them: the newest of those that are wanted, as
 * JSON. Pure.
 */
#ifndef PSGATE_ADMIN_TRAIL_ROWS_H
#define PSGATE_ADMIN_TRAIL_ROWS_H

#include <jansson.h>

#include "admin/trail_query.h"
#include "audit/search.h"

/* A copy of a row: both lines, one behind the other. */
struct trail_row {
    char *lines;
    size_t len, result_len; /* of the first line; of the second, or 0 */
    enum search_outcome outcome;
};

struct trail_rows {
    const struct trail_query *query;
    struct trail_row kept[TRAIL_QUERY_MOST]; /* a ring: the newest ones */
    size_t count, next;
    bool has_more; /* older ones matched too */
    bool has_lone; /* one is a result without its intent: that may stand further back */
    bool has_failed;
};

void trail_rows_init(struct trail_rows *rows, const struct trail_query *query);

/* A search's callback; context is the rows. */
void trail_rows_add(void *context, const struct search_row *row);

void trail_rows_fini(struct trail_rows *rows);

/* The rows, newest first; the caller's. NULL when memory was out. */
json_t *trail_rows_list(const struct trail_rows *rows);

#endif
