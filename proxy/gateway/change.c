/*
 * Requests that change things: the scopes whose answers they make old are in flight from
 * just before the first byte until the answer's head, and raised at both ends (DESIGN,
 * "Generations").
 */
#include "gateway/caching.h"

#include "base/clock.h"
#include "gateway/effect.h"
#include "gateway/exchange.h"
#include "gateway/fleet.h"
#include "http/reference.h"

static struct generations *generations_of(const struct exchange *exchange)
{
    return exchange->station->shared->cache->generations;
}

static void raise_target(struct exchange *exchange, struct span target)
{
    struct generations *generations = generations_of(exchange);

    if (target.len > 0)
        generations_raise_target(generations, generations_target(generations, target));
}

/* What an unsafe request names itself, as a key spells it (RFC 9111 4.4). */
static void raise_own_target(struct exchange *exchange)
{
    struct text target = {0};

    forward_add_target(&exchange->admission, &target);
    raise_target(exchange, span_make(target.bytes, target.len));
    text_fini(&target);
}

static void include(uint64_t *scopes, int scope)
{
    if (scope >= 0)
        scopes[scope / 64] |= (uint64_t)1 << (scope % 64);
}

static bool is_included(const struct change *change, int scope)
{
    return (change->scopes[scope / 64] >> (scope % 64) & 1) != 0;
}

void change_scopes(const struct exchange *exchange, uint64_t scopes[CHANGE_SCOPE_WORDS])
{
    struct generations *generations = generations_of(exchange);
    const char *const *names;
    size_t count;

    names = effect_invalidates(exchange->snapshot->config, exchange->admission.operation,
                               &count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], "*") != 0) {
            include(scopes, generations_scope(generations, span_of(names[i])));
            continue;
        }
        for (int scope = 0; scope < generations_count(generations); scope++)
            include(scopes, scope);
    }
}

void change_begin(struct exchange *exchange)
{
    struct change *change = &exchange->change;

    if (!exchange->is_mutating || change->has_begun)
        return;
    change_scopes(exchange, change->scopes);
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

    fleet_end_change(exchange, is_known || !change->has_begun);
    if (!change->has_begun)
        return;
    hold_ms = exchange->snapshot->config->cache.unknown_hold_ms;
    change->has_begun = false;
    if (!is_known)
        raise_own_target(exchange);
    for (int scope = 0; scope < GENERATIONS_SCOPES; scope++) {
        if (is_included(change, scope))
            generations_end_change(generations_of(exchange), scope, is_known,
                                   clock_monotonic_ms(), hold_ms);
    }
}

/* Makes old what a reference in the answer names, if that is on this host. */
static void raise_reference(struct exchange *exchange, struct span reference)
{
    const struct config_upstream *upstream = &exchange->snapshot->config->upstream;
    struct text target = {0};

    if (http_resolve_reference(reference, exchange->admission.target.path,
                               upstream->is_tls ? SPAN("https") : SPAN("http"),
                               span_of(upstream->authority), &target))
        raise_target(exchange, span_make(target.bytes, target.len));
    text_fini(&target);
}

/* RFC 9111 4.4: a change that succeeded may name other things that it made old. */
static void raise_named(struct exchange *exchange, const struct http_head *head)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span name = http_field_name(head, &head->fields[i]);

        if (span_equal_nocase(name, SPAN("location")) ||
            span_equal_nocase(name, SPAN("content-location")))
            raise_reference(exchange, http_field_value(head, &head->fields[i]));
    }
}

/* The key is no good, or may not do this: what it could read before is not to be had. */
static void drop_credential(struct exchange *exchange)
{
    int scope = generations_scope(generations_of(exchange),
                                  span_of(exchange->admission.client->credential_scope));

    if (scope != GENERATIONS_NO_SCOPE)
        generations_raise(generations_of(exchange), scope);
}

void change_note_answer(struct exchange *exchange, const struct http_head *head)
{
    if (head->status == 401 || head->status == 403)
        drop_credential(exchange);
    if (caching_is_outdated_by(exchange, head))
        raise_own_target(exchange);
    if (!exchange->is_mutating || head->status < 200 || head->status >= 400)
        return;
    raise_own_target(exchange);
    raise_named(exchange, head);
}
