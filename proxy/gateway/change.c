/*
 * Requests that change things: the scopes whose answers they make old are in flight from
 * just before the first byte until the answer's head, and raised at both ends (DESIGN,
 * "Generations").
 */
#include "gateway/caching.h"

#include "base/clock.h"
#include "gateway/exchange.h"

static struct generations *generations_of(const struct exchange *exchange)
{
    return exchange->station->shared->cache->generations;
}

static void include(struct change *change, int scope)
{
    if (scope >= 0)
        change->scopes[scope / 64] |= (uint64_t)1 << (scope % 64);
}

static bool is_included(const struct change *change, int scope)
{
    return (change->scopes[scope / 64] >> (scope % 64) & 1) != 0;
}

static void include_names(struct exchange *exchange, const char *const *names,
                          size_t count)
{
    struct generations *generations = generations_of(exchange);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], "*") != 0) {
            include(&exchange->change, generations_scope(generations, span_of(names[i])));
            continue;
        }
        for (int scope = 0; scope < generations_count(generations); scope++)
            include(&exchange->change, scope);
    }
}

/* The cached operation that reads a path, or NULL: what an unsafe request there outdates. */
static const struct operation *find_read(struct exchange *exchange, struct span path)
{
    struct http_path split;
    enum http_fault fault;

    if (path.len == 0 || path.at[0] != '/' ||
        path.len > CONFIG_MOST_HEADER_BYTES ||
        !http_path_split(path, true, exchange->station->path_scratch, &split, &fault))
        return NULL;
    return operation_match(exchange->snapshot->operations, SPAN("GET"), &split);
}

static int read_scope(struct exchange *exchange, struct span path)
{
    const struct operation *read = find_read(exchange, path);

    if (read == NULL || read->cache == NULL)
        return GENERATIONS_NO_SCOPE;
    return generations_scope(generations_of(exchange), span_of(read->cache->scope));
}

void change_begin(struct exchange *exchange)
{
    const struct operation *operation = exchange->admission.operation;
    const struct config_cache *cache = &exchange->snapshot->config->cache;
    struct change *change = &exchange->change;

    if (!exchange->is_mutating || change->has_begun)
        return;
    if (operation != NULL)
        include_names(exchange, operation->invalidates, operation->invalidates_count);
    else
        include_names(exchange, cache->other_invalidates, cache->other_invalidates_count);
    include(change, read_scope(exchange, exchange->admission.target.path));
    change->has_begun = true;
    for (int scope = 0; scope < GENERATIONS_SCOPES; scope++) {
        if (is_included(change, scope))
            generations_begin_change(generations_of(exchange), scope);
    }
}

void change_end(struct exchange *exchange, bool is_known)
{
    struct change *change = &exchange->change;
    int64_t hold_ms;

    if (!change->has_begun)
        return;
    hold_ms = exchange->snapshot->config->cache.unknown_hold_ms;
    change->has_begun = false;
    for (int scope = 0; scope < GENERATIONS_SCOPES; scope++) {
        if (is_included(change, scope))
            generations_end_change(generations_of(exchange), scope, is_known,
                                   clock_monotonic_ms(), hold_ms);
    }
}

/* The path of a URI on this host: a path, or what follows the authority that we call. */
static struct span local_path(const struct exchange *exchange, struct span uri)
{
    struct span authority = span_of(exchange->snapshot->config->upstream.authority);
    const char *slashes = memmem(uri.at, uri.len, "://", 3);
    struct span path = uri;
    const char *end;

    if (uri.len > 0 && uri.at[0] != '/') {
        size_t skip = slashes != NULL ? (size_t)(slashes - uri.at) + 3 : uri.len;

        path = span_make(uri.at + skip, uri.len - skip);
        if (path.len < authority.len ||
            !span_equal_nocase(span_make(path.at, authority.len), authority))
            return SPAN("");
        path = span_make(path.at + authority.len, path.len - authority.len);
    }
    end = memchr(path.at, '?', path.len);
    return span_make(path.at, end != NULL ? (size_t)(end - path.at) : path.len);
}

/* RFC 9111 4.4: a change that succeeded may name other things that it made old. */
static void raise_named(struct exchange *exchange, const struct http_head *head)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span name = http_field_name(head, &head->fields[i]);
        int scope;

        if (!span_equal_nocase(name, SPAN("location")) &&
            !span_equal_nocase(name, SPAN("content-location")))
            continue;
        scope = read_scope(exchange, local_path(exchange, http_field_value(
                                                              head, &head->fields[i])));
        if (scope != GENERATIONS_NO_SCOPE)
            generations_raise(generations_of(exchange), scope);
    }
}

/* The key is no good, or may not do this: what it could read before is not to be had. */
static void drop_credential(struct exchange *exchange)
{
    struct text name = {0};
    int scope;

    text_add_format(&name, "credential %s", exchange->admission.client->credential);
    scope = name.failed ? GENERATIONS_NO_SCOPE
                        : generations_scope(generations_of(exchange),
                                            span_make(name.bytes, name.len));
    text_fini(&name);
    if (scope != GENERATIONS_NO_SCOPE)
        generations_raise(generations_of(exchange), scope);
}

void change_note_answer(struct exchange *exchange, const struct http_head *head)
{
    if (head->status == 401 || head->status == 403)
        drop_credential(exchange);
    if (exchange->is_mutating && head->status >= 200 && head->status < 400)
        raise_named(exchange, head);
}
