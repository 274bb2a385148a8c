/* What /api/audit is asked for: the search's filter and which of its rows are wanted. */
#ifndef PSGATE_ADMIN_TRAIL_QUERY_H
#define PSGATE_ADMIN_TRAIL_QUERY_H

#include "audit/search.h"
#include "base/error.h"
#include "base/text.h"

enum { TRAIL_QUERY_MOST = 200, TRAIL_QUERY_DEFAULT = 50 };

struct trail_query {
    struct search_filter filter; /* its texts are those below */
    struct text operation, client, resource;
    unsigned limit;
    uint64_t before, after; /* sequences: UINT64_MAX and 0 let all through */
    bool is_following;      /* asks only for what is new */
};

/*
 * Reads the parameters: from, to (as audit_when_parse), operation, client (globs),
 * resource (a part of it, or a glob), outcome, limit, before, after. False with error,
 * which says which is wrong and what would be right. trail_query_fini in either case.
 */
bool trail_query_read(struct span params, int64_t now_ms, struct trail_query *query,
                      struct error *error);
void trail_query_fini(struct trail_query *query);

#endif
