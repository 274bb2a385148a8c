/*
 * Operation tables: any text is a table or a list of problems, never both; and what a
 * sound table matches is what its templates say. The input is a table, a NUL, and a path.
 */
#include "fuzz/matching.h"

static void check_rows(const struct operation_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct operation *operation = &table->operations[i];

        fuzz_require(operation->index == i, "operation %zu has number %zu", i,
                     operation->index);
        fuzz_require(operation_find(table, span_of(operation->id)) == operation,
                     "operation '%s' is not found by its id", operation->id);
        fuzz_require(operation->team_segment < operation->segment_count &&
                         operation->user_segment < operation->segment_count &&
                         operation->resource_segment < operation->segment_count,
                     "a name for a segment that is not there");
        fuzz_require(operation->cache == NULL ||
                         operation->cache->freshness == OPERATION_FRESHNESS_UPSTREAM ||
                         operation->cache->ttl_ms >= 0,
                     "a cache rule without a ttl");
    }
}

static void check_path(const struct operation_table *table, struct span text)
{
    struct span path = fuzz_copy(text), scratch = fuzz_copy(text);
    struct text joined = {0};
    struct http_path split;
    enum http_fault fault;

    if (text.len > 0 && text.at[0] == '/' &&
        http_path_split(path, false, (char *)(uintptr_t)scratch.at, &split, &fault) &&
        split.count <= HTTP_PATH_SEGMENTS) {
        matching_join(&split, &joined);
        fuzz_require(operation_match(table, SPAN("GET"), &split) ==
                         matching_find(table, "GET", joined.bytes),
                     "the matcher and the templates differ about %s", joined.bytes);
        text_fini(&joined);
    }
    fuzz_free(path);
    fuzz_free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);
    struct span text = fuzz_take_until(&input, '\0');
    struct problems problems = {0};
    struct operation_table *table = operation_table_load(fuzz_file(text), &problems);

    fuzz_require((table == NULL) == (problems.count > 0), "%u problems, and %s table",
                 problems.count, table != NULL ? "a" : "no");
    if (table != NULL) {
        check_rows(table);
        check_path(table, input);
    }
    operation_table_free(table);
    problems_fini(&problems);
    return 0;
}
