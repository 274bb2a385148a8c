#include "gateway/source.h"

#include "base/log.h"
#include "http/forwarded.h"

/* Its operator should know, but a line for each request would tell no more. */
static void note_contradiction(struct stations *shared)
{
    if (atomic_exchange(&shared->has_told_contradiction, true))
        return;
    log_warn("a trusted proxy sends Forwarded and X-Forwarded-For that name different "
             "clients: Forwarded is believed (let the proxy set one of them and remove "
             "the other; this is said once)");
}

void source_learn(struct exchange *exchange)
{
    const struct networks *trusted = &exchange->snapshot->config->trusted_proxies;
    struct forwarded forwarded;

    if (networks_are_empty(trusted) || !caller_is_among(&exchange->conn->caller, trusted))
        return;
    forwarded = forwarded_read(&exchange->head, trusted);
    if (forwarded.is_contradicted)
        note_contradiction(exchange->station->shared);
    if (forwarded.has_source)
        ip_format(&forwarded.source, exchange->source);
}

struct span source_ip(const struct exchange *exchange)
{
    if (exchange->source[0] != '\0')
        return span_of(exchange->source);
    return exchange->conn != NULL ? caller_source(&exchange->conn->caller) : SPAN("");
}

struct span source_address(const struct exchange *exchange)
{
    if (exchange->source[0] != '\0')
        return span_of(exchange->source);
    return exchange->conn != NULL ? span_of(exchange->conn->caller.text) : SPAN("");
}
