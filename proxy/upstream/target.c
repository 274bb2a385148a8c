#include "upstream/target.h"

#include <stdlib.h>

enum { RESOLVE_AGAIN_MS = 30000 };

static void destroy(struct upstream_target *target)
{
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
