/*
 * The operation table: what the API can do, by method and path, and what the gateway has
 * to know of each (INTERFACES: "The operation table"). Immutable once loaded.
 */
#ifndef PSGATE_API_OPERATIONS_H
#define PSGATE_API_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"
#include "config/document.h"
#include "http/target.h"

enum { OPERATION_SEGMENTS = HTTP_PATH_SEGMENTS, OPERATION_NO_SEGMENT = -1 };

enum operation_freshness { OPERATION_FRESHNESS_FIXED, OPERATION_FRESHNESS_UPSTREAM };

struct operation_cache {
    const char *scope;
    int freshness;  /* enum operation_freshness */
    int64_t ttl_ms; /* -1: not given */
    int64_t stale_while_revalidate_ms, stale_if_error_ms;
};

struct operation {
    const char *id;
    const char *method; /* "*": any */
    const char *path;   /* the template, as written */
    size_t index;       /* in the table */

    const char *segments[OPERATION_SEGMENTS];   /* a literal; or NULL: a parameter */
    const char *parameters[OPERATION_SEGMENTS]; /* the parameter's name, or NULL */
    int segment_count;
    bool has_rest; /* the template ends with ** */

    int team_segment, user_segment; /* which segment names them, or NO_SEGMENT */
    const char *resource_type;      /* NULL: none */
    int resource_segment;           /* which segment names it, or NO_SEGMENT */
    const char *resource_member;    /* which member of the body does, or NULL */

    bool is_named_only;
    const struct operation_cache *cache; /* NULL: never answered from the cache */
    bool is_audited;
    const char *const *record; /* body members that may be copied to the trail */
    size_t record_count;
    const char *const *invalidates; /* scopes */
    size_t invalidates_count;
};

struct operation_table {
    struct arena arena;
    struct span text; /* the file's, to see whether a reload changes anything */
    struct operation *operations;
    size_t count;
};

/*
 * Loads a table from a file, or the built-in one when path is NULL. NULL when there were
 * problems, which are then in *problems. The caller frees it.
 */
struct operation_table *operation_table_load(const char *path, struct problems *problems);
void operation_table_free(struct operation_table *table);

/*
 * The first operation that the request matches, or NULL. Lenient, so that no spelling
 * slips past policy: methods and literals without regard to case, on decoded segments,
 * trailing slash ignored. HEAD matches what GET does.
 */
const struct operation *operation_match(const struct operation_table *table,
                                        struct span method, const struct http_path *path);

/*
 * Whether a path that matches is spelled just as the template: literals in its case and
 * without escapes, no trailing slash. Only such a path may share cached answers.
 */
bool operation_is_exact(const struct operation *operation, struct span path);

/* The operation of that id, or NULL. */
const struct operation *operation_find(const struct operation_table *table,
                                       struct span id);

/* Whether the method changes things: every one but GET, HEAD and OPTIONS. */
bool operation_method_is_mutating(struct span method);

#endif
