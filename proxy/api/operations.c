#include "api/operations.h"

#include <stdlib.h>

#include "api/builtin.h"

#define OFFSET(type, field) offsetof(struct type, field)

static const char *const freshness_names[] = {"fixed", "upstream", NULL};

enum { LONGEST_MS = 366 * 24 * 3600 };
#define LONGEST ((int64_t)LONGEST_MS * 1000)

static const struct document_option cache_options[] = {
    {.key = "scope",
     .kind = OPTION_STRING,
     .offset = OFFSET(operation_cache, scope),
     .is_required = true},
    {.key = "freshness",
     .kind = OPTION_CHOICE,
     .offset = OFFSET(operation_cache, freshness),
     .choices = freshness_names},
    {.key = "ttl",
     .kind = OPTION_DURATION,
     .offset = OFFSET(operation_cache, ttl_ms),
     .min = 0,
     .max = LONGEST},
    {.key = "stale_while_revalidate",
     .kind = OPTION_DURATION,
     .offset = OFFSET(operation_cache, stale_while_revalidate_ms),
     .min = 0,
     .max = LONGEST},
    {.key = "stale_if_error",
     .kind = OPTION_DURATION,
     .offset = OFFSET(operation_cache, stale_if_error_ms),
     .min = 0,
     .max = LONGEST},
    {0},
};

static void read_cache(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct operation *operation = target;
    struct operation_cache *cache = arena_alloc(document->arena, sizeof(*cache));

    if (cache == NULL || json_is_null(value))
        return;
    cache->ttl_ms = -1;
    document_read_object(document, place, value, cache_options, cache);
    if (cache->freshness == OPERATION_FRESHNESS_FIXED && cache->ttl_ms < 0 &&
        json_is_object(value) && json_object_get(value, "ttl") == NULL)
        document_problem(document, place, "needs a ttl (how long an answer is fresh)");
    operation->cache = cache;
}

static void read_record(struct document *document, const struct place *place,
                        json_t *value, void *target)
{
    struct operation *operation = target;

    document_read_strings(document, place, value, &operation->record,
                          &operation->record_count);
}

static const struct document_option audit_options[] = {
    {.key = "record", .kind = OPTION_CUSTOM, .read = read_record},
    {0},
};

static void read_audit(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct operation *operation = target;

    if (json_is_null(value))
        return;
    operation->is_audited = true;
    document_read_object(document, place, value, audit_options, operation);
}

static void read_invalidates(struct document *document, const struct place *place,
                             json_t *value, void *target)
{
    struct operation *operation = target;

    document_read_strings(document, place, value, &operation->invalidates,
                          &operation->invalidates_count);
}

/* One row as written, before its names are resolved to segments. */
struct row {
    struct operation operation;
    const char *team, *user;
    const char *resource_name;
};

static const struct document_option resource_options[] = {
    {.key = "type",
     .kind = OPTION_STRING,
     .offset = OFFSET(row, operation.resource_type),
     .is_required = true},
    {.key = "name",
     .kind = OPTION_STRING,
     .offset = OFFSET(row, resource_name),
     .is_required = true},
    {0},
};

static void read_resource(struct document *document, const struct place *place,
                          json_t *value, void *target)
{
    document_read_object(document, place, value, resource_options, target);
}

static const struct document_option row_options[] = {
    {.key = "id",
     .kind = OPTION_STRING,
     .offset = OFFSET(row, operation.id),
     .is_required = true},
    {.key = "method",
     .kind = OPTION_STRING,
     .offset = OFFSET(row, operation.method),
     .is_required = true},
    {.key = "path",
     .kind = OPTION_STRING,
     .offset = OFFSET(row, operation.path),
     .is_required = true},
    {.key = "team", .kind = OPTION_STRING, .offset = OFFSET(row, team)},
    {.key = "user", .kind = OPTION_STRING, .offset = OFFSET(row, user)},
    {.key = "resource", .kind = OPTION_CUSTOM, .read = read_resource},
    {.key = "named_only",
     .kind = OPTION_BOOL,
     .offset = OFFSET(row, operation.is_named_only)},
    {.key = "cache", .kind = OPTION_CUSTOM, .read = read_cache},
    {.key = "audit", .kind = OPTION_CUSTOM, .read = read_audit},
    {.key = "invalidates", .kind = OPTION_CUSTOM, .read = read_invalidates},
    {0},
};

/* Adds one segment of a template; false when it is malformed. */
static bool add_segment(struct arena *arena, struct operation *operation,
                        struct span segment, bool is_last)
{
    int i = operation->segment_count;

    if (span_equal(segment, SPAN("**"))) {
        operation->has_rest = true;
        return is_last;
    }
    if (i == OPERATION_SEGMENTS || segment.len == 0 ||
        memchr(segment.at, '*', segment.len) != NULL)
        return false;
    operation->segment_count++;
    if (segment.at[0] != '{') {
        operation->segments[i] = arena_copy(arena, segment);
        return memchr(segment.at, '{', segment.len) == NULL &&
               memchr(segment.at, '}', segment.len) == NULL &&
               memchr(segment.at, '%', segment.len) == NULL;
    }
    if (segment.len < 3 ||
        memchr(segment.at, '}', segment.len) != segment.at + segment.len - 1 ||
        memchr(segment.at + 1, '{', segment.len - 1) != NULL)
        return false;
    operation->parameters[i] =
        arena_copy(arena, span_make(segment.at + 1, segment.len - 2));
    return true;
}

static bool split_template(struct arena *arena, struct operation *operation)
{
    struct span rest = span_of(operation->path);

    if (rest.at[0] != '/')
        return false;
    while (rest.len > 1) {
        const char *start = rest.at + 1;
        const char *slash = memchr(start, '/', rest.len - 1);
        size_t len = slash != NULL ? (size_t)(slash - start) : rest.len - 1;

        if (!add_segment(arena, operation, span_make(start, len), slash == NULL))
            return false;
        rest = span_make(start + len, rest.len - 1 - len);
    }
    return rest.len == 0;
}

static int find_parameter(const struct operation *operation, const char *name)
{
    for (int i = 0; i < operation->segment_count; i++) {
        if (operation->parameters[i] != NULL &&
            strcmp(operation->parameters[i], name) == 0)
            return i;
    }
    return OPERATION_NO_SEGMENT;
}

static int resolve(struct document *document, const struct place *place, const char *key,
                   const struct operation *operation, const char *name)
{
    struct place member = {.parent = place, .key = key};
    int segment = OPERATION_NO_SEGMENT;

    if (name == NULL)
        return segment;
    segment = find_parameter(operation, name);
    if (segment == OPERATION_NO_SEGMENT)
        document_problem(document, &member,
                         "names \"%s\", which is not a {parameter} of the path", name);
    return segment;
}

static void resolve_resource(struct document *document, const struct place *place,
                             struct row *row)
{
    struct operation *operation = &row->operation;

    operation->resource_segment = OPERATION_NO_SEGMENT;
    if (row->resource_name == NULL)
        return;
    if (strncmp(row->resource_name, "body.", 5) == 0 && row->resource_name[5] != '\0')
        operation->resource_member = row->resource_name + 5;
    else
        operation->resource_segment =
            resolve(document, place, "resource", operation, row->resource_name);
}

static bool is_method(const char *method)
{
    if (strcmp(method, "*") == 0)
        return true;
    for (const char *c = method; *c != '\0'; c++) {
        if ((*c < 'A' || *c > 'Z') && *c != '-')
            return false;
    }
    return true;
}

static bool is_id(const char *id)
{
    return strcmp(id, "other") != 0 &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                      "_-.") == strlen(id);
}

/* What one option's row cannot say; and the template taken apart. */
static void complete(struct document *document, const struct place *place,
                     struct row *row, const struct operation_table *table)
{
    struct operation *operation = &row->operation;
    const struct place id = {.parent = place, .key = "id"};
    const struct place method = {.parent = place, .key = "method"};
    const struct place path = {.parent = place, .key = "path"};

    if (operation->id == NULL || operation->method == NULL || operation->path == NULL)
        return;
    if (!is_id(operation->id))
        document_problem(document, &id,
                         "is not an operation id (letters, digits, _ - . and not "
                         "\"other\")");
    if (operation_find(table, span_of(operation->id)) != NULL)
        document_problem(document, &id, "\"%s\" is listed twice (ids are unique)",
                         operation->id);
    if (!is_method(operation->method))
        document_problem(document, &method,
                         "is not a method in capitals (or \"*\" for any)");
    if (!split_template(document->arena, operation)) {
        document_problem(document, &path,
                         "is not a path template (such as \"/v1/teams/{id}/secrets\", "
                         "with ** at most as its last segment)");
        return;
    }
    operation->team_segment = resolve(document, place, "team", operation, row->team);
    operation->user_segment = resolve(document, place, "user", operation, row->user);
    resolve_resource(document, place, row);
}

static void read_operations(struct document *document, const struct place *place,
                            json_t *value, void *target)
{
    struct operation_table *table = target;
    size_t count = json_array_size(value);

    if (!json_is_array(value)) {
        document_problem(document, place, "must be an array of operations");
        return;
    }
    table->operations =
        arena_alloc(document->arena, (count + 1) * sizeof(*table->operations));
    for (size_t i = 0; i < count && table->operations != NULL; i++) {
        struct place element = {.parent = place, .index = i};
        struct row row = {.operation = {.index = i}};

        document_read_object(document, &element, json_array_get(value, i), row_options,
                             &row);
        complete(document, &element, &row, table);
        if (row.operation.id == NULL || row.operation.method == NULL)
            continue; /* a problem; the table is not going to be used */
        row.operation.index = table->count;
        table->operations[table->count++] = row.operation;
    }
}

static void read_comment(struct document *document, const struct place *place,
                         json_t *value, void *target)
{
    (void)target;
    if (!json_is_string(value))
        document_problem(document, place, "must be a string");
}

static const struct document_option table_options[] = {
    {.key = "$schema", .kind = OPTION_CUSTOM, .read = read_comment},
    {.key = "operations",
     .kind = OPTION_CUSTOM,
     .read = read_operations,
     .is_required = true},
    {0},
};

static bool load_document(struct document *document, const char *path,
                          struct arena *arena, struct problems *problems)
{
    if (path != NULL)
        return document_load(document, path, FILE_PUBLIC, arena, problems);
    return document_parse(document, "built-in operations",
                          span_make(builtin_operations, builtin_operations_len), arena,
                          problems);
}

struct operation_table *operation_table_load(const char *path, struct problems *problems)
{
    struct operation_table *table = calloc(1, sizeof(*table));
    const struct place root = {0};
    struct document document;
    unsigned before = problems->count;

    if (table == NULL) {
        problems_add(problems, path != NULL ? path : "operations", "out of memory");
        return NULL;
    }
    if (load_document(&document, path, &table->arena, problems)) {
        table->text = span_make(
            arena_copy(&table->arena, span_make(document.text.bytes, document.text.len)),
            document.text.len);
        document_read_object(&document, &root, document.root, table_options, table);
    }
    document_fini(&document);
    if (problems->count == before)
        return table;
    operation_table_free(table);
    return NULL;
}

void operation_table_free(struct operation_table *table)
{
    if (table == NULL)
        return;
    arena_fini(&table->arena);
    free(table);
}

static bool method_matches(const char *wanted, struct span method)
{
    return strcmp(wanted, "*") == 0 || span_equal_nocase(span_of(wanted), method) ||
           (strcmp(wanted, "GET") == 0 && span_equal_nocase(method, SPAN("HEAD")));
}

static bool path_matches(const struct operation *operation, const struct http_path *path)
{
    unsigned count = (unsigned)operation->segment_count;

    if (operation->has_rest ? path->count < count : path->count != count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (operation->segments[i] != NULL &&
            !span_equal_nocase(span_of(operation->segments[i]), path->segments[i]))
            return false;
    }
    return true;
}

const struct operation *operation_match(const struct operation_table *table,
                                        struct span method, const struct http_path *path)
{
    for (size_t i = 0; i < table->count; i++) {
        if (path_matches(&table->operations[i], path) &&
            method_matches(table->operations[i].method, method))
            return &table->operations[i];
    }
    return NULL;
}

bool operation_is_exact(const struct operation *operation, struct span path)
{
    struct span rest = path;

    for (int i = 0; i < operation->segment_count; i++) {
        const char *slash;
        size_t len;

        if (rest.len < 2 || rest.at[0] != '/')
            return false;
        slash = memchr(rest.at + 1, '/', rest.len - 1);
        len = slash != NULL ? (size_t)(slash - rest.at) - 1 : rest.len - 1;
        if (operation->segments[i] != NULL &&
            !span_equal(span_of(operation->segments[i]), span_make(rest.at + 1, len)))
            return false;
        rest = span_make(rest.at + 1 + len, rest.len - 1 - len);
    }
    return operation->has_rest || rest.len == 0;
}

const struct operation *operation_find(const struct operation_table *table,
                                       struct span id)
{
    for (size_t i = 0; i < table->count; i++) {
        if (span_equal(span_of(table->operations[i].id), id))
            return &table->operations[i];
    }
    return NULL;
}

bool operation_method_is_mutating(struct span method)
{
    return !span_equal(method, SPAN("GET")) && !span_equal(method, SPAN("HEAD")) &&
           !span_equal(method, SPAN("OPTIONS"));
}
