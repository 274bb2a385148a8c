#include "upstream/target.h"

#include <stdlib.h>

#include "base/file.h"

enum { RESOLVE_AGAIN_MS = 30000 };

/* Everything that makes a target what it is, as one text to compare. */
static bool describe(const struct config_upstream *upstream,
                     const struct config_limits *limits, struct text *identity,
                     struct error *error)
{
    text_add_format(
        identity, "%d %s %u %lld %lld %lld %lld %lld %lld %lld\n", upstream->is_tls,
        upstream->host, upstream->port, (long long)upstream->connect_timeout_ms,
        (long long)upstream->response_timeout_ms, (long long)upstream->idle_timeout_ms,
        (long long)upstream->max_connections, (long long)limits->send_timeout_ms,
        (long long)limits->header_bytes, (long long)limits->headers);
    if (upstream->ca_file != NULL &&
        !file_read(upstream->ca_file, FILE_PUBLIC, identity, error))
        return false;
    return !identity->failed || error_set(error, "out of memory");
}

static void destroy(struct upstream_target *target)
{
    text_fini(&target->identity);
    resolver_free(target->resolver);
    tls_client_free(target->tls);
    (void)pthread_mutex_destroy(&target->lock);
    free(target);
}

struct upstream_target *upstream_target_new(const struct config_upstream *upstream,
                                            const struct config_limits *limits,
                                            struct error *error)
{
    struct upstream_target *target = calloc(1, sizeof(*target));

    if (target == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    atomic_init(&target->references, 1);
    (void)pthread_mutex_init(&target->lock, NULL);
    target->connect_timeout_ms = upstream->connect_timeout_ms;
    target->response_timeout_ms = upstream->response_timeout_ms;
    target->idle_timeout_ms = upstream->idle_timeout_ms;
    target->max_connections = (unsigned)upstream->max_connections;
    target->send_timeout_ms = limits->send_timeout_ms;
    target->max_head_bytes = (uint32_t)limits->header_bytes;
    target->max_fields = (uint16_t)limits->headers;
    if (!describe(upstream, limits, &target->identity, error)) {
        destroy(target);
        return NULL;
    }
    if (upstream->is_tls) {
        target->tls = tls_client_new(upstream->host, upstream->ca_file, error);
        if (target->tls == NULL) {
            destroy(target);
            return NULL;
        }
    }
    target->resolver =
        resolver_new(upstream->host, upstream->port, RESOLVE_AGAIN_MS, error);
    if (target->resolver == NULL) {
        destroy(target);
        return NULL;
    }
    return target;
}

bool upstream_target_is(const struct upstream_target *target,
                        const struct config_upstream *upstream,
                        const struct config_limits *limits)
{
    struct text identity = {0};
    struct error error;
    bool is_same = describe(upstream, limits, &identity, &error) &&
                   span_equal(span_make(identity.bytes, identity.len),
                              span_make(target->identity.bytes, target->identity.len));

    text_fini(&identity);
    return is_same;
}

void upstream_target_start(struct upstream_target *target)
{
    resolver_start(target->resolver);
}

struct upstream_target *upstream_target_ref(struct upstream_target *target)
{
    (void)atomic_fetch_add(&target->references, 1);
    return target;
}

void upstream_target_unref(struct upstream_target *target)
{
    if (target != NULL && atomic_fetch_sub(&target->references, 1) == 1)
        destroy(target);
}
