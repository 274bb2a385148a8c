#include "admin/routes.h"

#include <string.h>

#include "admin/assets.h"
#include "admin/context.h"
#include "admin/params.h"
#include "admin/show.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "cache/validators.h"

/* Answers at once, or returns false and sets *later: see admin_service. */
typedef bool handler(struct admin_context *context, const struct admin_request *request,
                     struct admin_answer *answer, struct admin_later **later);

struct route {
    const char *path;
    bool is_post;     /* else GET and HEAD */
    bool is_data;     /* over TCP for admin clients alone */
    bool has_metrics; /* is on the metrics' own door too */
    handler *perform;
};

static bool give_healthz(struct admin_context *context,
                         const struct admin_request *request, struct admin_answer *answer,
                         struct admin_later **later)
{
    (void)context;
    (void)request;
    (void)later;
    admin_answer_json(answer, 200, json_pack("{s:s}", "status", "ok"));
    return true;
}

static bool give_readyz(struct admin_context *context,
                        const struct admin_request *request, struct admin_answer *answer,
                        struct admin_later **later)
{
    json_t *reasons = show_reasons(context->gateway);
    bool is_ready = json_array_size(reasons) == 0;

    (void)request;
    (void)later;
    admin_answer_json(answer, is_ready ? 200 : 503,
                      json_pack("{s:b, s:o}", "ready", is_ready, "reasons", reasons));
    return true;
}

static bool give_metrics(struct admin_context *context,
                         const struct admin_request *request, struct admin_answer *answer,
                         struct admin_later **later)
{
    (void)request;
    (void)later;
    answer->status = 200;
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    show_metrics(context->gateway, context->started_ms, &answer->body);
    return true;
}

static bool give_status(struct admin_context *context,
                        const struct admin_request *request, struct admin_answer *answer,
                        struct admin_later **later)
{
    (void)request;
    (void)later;
    admin_answer_json(
        answer, 200,
        show_status(context->gateway, context->history, context->started_ms));
    return true;
}

static bool give_clients(struct admin_context *context,
                         const struct admin_request *request, struct admin_answer *answer,
                         struct admin_later **later)
{
    (void)request;
    (void)later;
    admin_answer_json(answer, 200, show_clients(context->gateway));
    return true;
}

static bool ask_trail(struct admin_context *context, const struct admin_request *request,
                      struct admin_answer *answer, struct admin_later **later)
{
    struct snapshot *snapshot;
    struct trail_query query;
    struct error error;

    if (!trail_query_read(request->query, clock_wall_ms(), &query, &error)) {
        admin_answer_problem(answer, 400, error.text);
        trail_query_fini(&query);
        return true;
    }
    snapshot = gateway_take_snapshot(context->gateway);
    *later = trail_reader_ask(context->reader, snapshot->config->audit.directory, &query);
    snapshot_unref(snapshot);
    if (*later != NULL)
        return false;
    trail_query_fini(&query);
    admin_answer_problem(answer, 503, "too many questions to the trail wait already");
    return true;
}

static bool purge(struct admin_context *context, const struct admin_request *request,
                  struct admin_answer *answer, struct admin_later **later)
{
    struct text scope = {0};

    (void)later;
    if (!params_find(request->query, SPAN("scope"), &scope)) {
        admin_answer_problem(answer, 400,
                             "say which scope: /cache/purge?scope=members, or scope=* "
                             "for all");
    } else if (!gateway_purge(context->gateway, span_make(scope.bytes, scope.len))) {
        admin_answer_problem(answer, 404,
                             "no operation has a cache rule with that scope (/api/status "
                             "lists them)");
    } else {
        log_info("admin: the cache was purged: scope %s", scope.bytes);
        admin_answer_json(answer, 200, json_pack("{s:s}", "purged", scope.bytes));
    }
    text_fini(&scope);
    return true;
}

static const struct route routes[] = {
    {"/healthz", false, false, false, give_healthz},
    {"/readyz", false, false, false, give_readyz},
    {"/metrics", false, false, true, give_metrics},
    {"/api/status", false, true, false, give_status},
    {"/api/clients", false, true, false, give_clients},
    {"/api/audit", false, true, false, ask_trail},
    {"/cache/purge", true, true, false, purge},
};

static const struct route *find_route(struct span path, enum admin_door door)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (span_equal(path, span_of(routes[i].path)) &&
            (door != ADMIN_METRICS || routes[i].has_metrics))
            return &routes[i];
    }
    return NULL;
}

/* Over TCP anybody on this machine may come: what is data needs an admin's token. */
static bool may_see_data(struct admin_context *context,
                         const struct admin_request *request, struct admin_answer *answer)
{
    unsigned char digest[TOKEN_DIGEST_BYTES];
    struct snapshot *snapshot;
    const struct client *client = NULL;
    bool is_admin;

    if (request->bearer.at != NULL &&
        token_digest(context->hasher, request->bearer, digest)) {
        snapshot = gateway_take_snapshot(context->gateway);
        client = client_find(snapshot->clients, digest);
        secret_cleanse(digest, sizeof(digest));
        if (client != NULL && client_is_expired(client, clock_wall_ms()))
            client = NULL;
        is_admin = client != NULL && client->is_admin;
        snapshot_unref(snapshot);
        if (is_admin)
            return true;
    }
    if (client != NULL)
        admin_answer_problem(answer, 403,
                             "this client is no admin: use the token of one whose entry "
                             "in the clients file has \"admin\": true");
    else
        admin_answer_problem(answer, 401,
                             "send Authorization: Bearer TOKEN with the token of an "
                             "admin client (psgate token create --admin)");
    return false;
}

static void refuse_method(struct admin_answer *answer, bool takes_post)
{
    admin_answer_problem(answer, 405, takes_post ? "that takes POST" : "that takes GET");
    answer->allow = takes_post ? "POST" : "GET, HEAD";
}

static bool give_asset(const struct admin_request *request, struct admin_answer *answer)
{
    const struct admin_asset *asset = admin_asset_find(request->path);

    if (asset == NULL)
        return false;
    if (request->is_post) {
        refuse_method(answer, false);
        return true;
    }
    answer->etag = asset->etag;
    answer->type = asset->type;
    if (cache_client_has_it(request->head, span_of(asset->etag), (struct span){0}, 0)) {
        answer->status = 304;
        return true;
    }
    answer->status = 200;
    answer->fixed = span_make(asset->bytes, asset->len);
    return true;
}

bool routes_perform(struct admin_service *service, struct admin_client *client,
                    const struct admin_request *request, struct admin_answer *answer,
                    struct admin_later **later)
{
    struct admin_context *context = service->arg;
    const struct route *route = find_route(request->path, service->door);

    (void)client;
    if (route == NULL) {
        if (service->door == ADMIN_METRICS || !give_asset(request, answer))
            admin_answer_problem(answer, 404,
                                 service->door == ADMIN_METRICS
                                     ? "only /metrics is here"
                                     : "there is nothing here; the page is at /");
        return true;
    }
    if (route->is_post != request->is_post) {
        refuse_method(answer, route->is_post);
        return true;
    }
    if (route->is_data && service->door == ADMIN_LOOPBACK &&
        !may_see_data(context, request, answer))
        return true;
    return route->perform(context, request, answer, later);
}
