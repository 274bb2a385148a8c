#include "gateway/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/cluster.h"
#include "gateway/exchange.h"

enum announcement_state {
    ANNOUNCEMENT_BEGINNING,
    ANNOUNCEMENT_STANDING,
    ANNOUNCEMENT_ENDING,
    ANNOUNCEMENT_OVER,
};

struct announcement {
    struct cluster_errand errand; /* first: what comes back is this */
    struct exchange *exchange;    /* NULL: it has left */
    struct cluster *cluster;
    enum announcement_state state;
};

struct token_question {
    struct cluster_errand errand; /* first */
    struct exchange *exchange;    /* NULL: it has left */
    enum fleet_bucket which;
};

static struct cluster *cluster_of(const struct exchange *exchange)
{
    return exchange->station->shared->cluster;
}

/* Not before there is where to send it. */
static void stop_body(struct exchange *exchange)
{
    if (exchange->conn != NULL && !exchange->body.is_done)
        conn_want_body(exchange->conn, false);
}

/* Changes */

static void end(struct announcement *announcement, bool is_known)
{
    announcement->state = ANNOUNCEMENT_ENDING;
    announcement->errand.kind = CLUSTER_END;
    announcement->errand.is_known = is_known;
    cluster_ask(announcement->cluster, &announcement->errand);
}

/* Nothing of the change was sent. */
static void come_back_to_nobody(struct announcement *announcement)
{
    if (announcement->state == ANNOUNCEMENT_BEGINNING &&
        announcement->errand.result == CLUSTER_DONE)
        end(announcement, true);
    else
        free(announcement);
}

static void on_announcement_back(struct cluster_errand *errand)
{
    struct announcement *announcement = (struct announcement *)(void *)errand;
    struct exchange *exchange = announcement->exchange;
    bool has_begun = announcement->state == ANNOUNCEMENT_BEGINNING;

    if (exchange == NULL) {
        come_back_to_nobody(announcement);
        return;
    }
    announcement->state = has_begun && errand->result == CLUSTER_DONE
                              ? ANNOUNCEMENT_STANDING
                              : ANNOUNCEMENT_OVER;
    if (has_begun)
        exchange_on_announced(exchange, errand->result == CLUSTER_DONE);
    else
        exchange_on_end_announced(exchange, errand->result != CLUSTER_FAILED);
}

static bool has_scopes(const uint64_t *scopes)
{
    for (int i = 0; i < CLUSTER_SCOPE_WORDS; i++) {
        if (scopes[i] != 0)
            return true;
    }
    return false;
}

static void drop(struct exchange *exchange)
{
    struct announcement *announcement = exchange->announcement;

    exchange->announcement = NULL;
    if (announcement == NULL)
        return;
    announcement->exchange = NULL;
    if (announcement->state == ANNOUNCEMENT_STANDING)
        end(announcement, true);
    else if (announcement->state == ANNOUNCEMENT_OVER)
        free(announcement);
}

static void add_scope_of(const struct exchange *exchange, const struct http_path *path,
                         uint64_t *scopes)
{
    const struct operation *read =
        operation_match(exchange->snapshot->operations, SPAN("GET"), path);
    int scope = read == NULL || read->cache == NULL
                    ? GENERATIONS_NO_SCOPE
                    : generations_scope(exchange->station->shared->cache->generations,
                                        span_of(read->cache->scope));

    if (scope != GENERATIONS_NO_SCOPE)
        scopes[scope / 64] |= (uint64_t)1 << (scope % 64);
}

/*
 * A change makes old what its own target names (RFC 9111 4.4). Here that is kept for each
 * target; the fleet knows scopes alone, so there it is the whole of the target's.
 */
static void add_own_target(const struct exchange *exchange, uint64_t *scopes)
{
    const struct config_upstream *upstream = &exchange->snapshot->config->upstream;
    struct http_path path, again;
    enum http_fault fault;

    if (exchange->admission.target.is_asterisk ||
        !http_path_split(exchange->admission.target.path,
                         upstream->encoded_slashes == CONFIG_SLASHES_FORWARD,
                         exchange->station->path_scratch, &path, &fault))
        return;
    add_scope_of(exchange, &path, scopes);
    if (path.has_encoded_slash) {
        http_path_split_again(&path, &again);
        add_scope_of(exchange, &again, scopes);
    }
}

bool fleet_announce(struct exchange *exchange)
{
    struct announcement *announcement = exchange->announcement;

    if (cluster_of(exchange) == NULL || !exchange->is_mutating ||
        (announcement != NULL && announcement->state == ANNOUNCEMENT_STANDING))
        return false;
    drop(exchange); /* of an attempt that upstream has refused */
    announcement = calloc(1, sizeof(*announcement));
    if (announcement == NULL) {
        exchange_on_announced(exchange, false);
        return true;
    }
    change_scopes(exchange, announcement->errand.scopes);
    add_own_target(exchange, announcement->errand.scopes);
    if (!has_scopes(announcement->errand.scopes)) {
        free(announcement);
        return false;
    }
    announcement->exchange = exchange;
    announcement->cluster = cluster_of(exchange);
    announcement->errand.kind = CLUSTER_BEGIN;
    announcement->errand.home = exchange->station->worker->mailbox;
    announcement->errand.on_done = on_announcement_back;
    station_make_record_id(exchange->station, announcement->errand.id);
    exchange->announcement = announcement;
    stop_body(exchange);
    cluster_ask(announcement->cluster, &announcement->errand);
    return true;
}

void fleet_end_change(struct exchange *exchange, bool is_known)
{
    struct announcement *announcement = exchange->announcement;

    if (announcement != NULL && announcement->state == ANNOUNCEMENT_STANDING)
        end(announcement, is_known);
}

bool fleet_awaits_end(const struct exchange *exchange)
{
    return exchange->announcement != NULL &&
           exchange->announcement->state == ANNOUNCEMENT_ENDING;
}

/* Rates */

static struct rate_bucket *bucket_of(const struct exchange *exchange,
                                     enum fleet_bucket which)
{
    return which == FLEET_CLIENT ? exchange->admission.client->bucket
                                 : rates_upstream(exchange->station->shared->rates);
}

static struct rate_limits limits_of(const struct exchange *exchange,
                                    enum fleet_bucket which)
{
    const struct config_limits *limits = &exchange->snapshot->config->limits;

    if (which == FLEET_CLIENT)
        return exchange->admission.client->limits;
    return (struct rate_limits){.rate = limits->upstream_rate,
                                .burst = limits->upstream_burst};
}

/* Redis's word counts; without it, the gateway's own bucket, which knows it by then. */
static void on_token_back(struct cluster_errand *errand)
{
    struct token_question *question = (struct token_question *)(void *)errand;
    struct exchange *exchange = question->exchange;
    enum fleet_bucket which = question->which;
    int64_t now_us = clock_monotonic_us();
    bool is_admitted = errand->is_admitted;

    if (exchange == NULL) {
        free(question);
        return;
    }
    exchange->token_question = NULL;
    if (errand->result == CLUSTER_DONE)
        rate_bucket_adopt(bucket_of(exchange, which), errand->full_in_us, now_us);
    else
        is_admitted = rate_bucket_ask(bucket_of(exchange, which), now_us).is_admitted;
    free(question);
    exchange_on_token(exchange, which, is_admitted);
}

bool fleet_ask_token(struct exchange *exchange, enum fleet_bucket which)
{
    struct cluster *cluster = cluster_of(exchange);
    struct rate_limits limits;
    struct token_question *question;

    if (cluster == NULL || !cluster_is_current(cluster, clock_monotonic_ms()))
        return false;
    question = calloc(1, sizeof(*question));
    if (question == NULL)
        return false;
    limits = limits_of(exchange, which);
    question->exchange = exchange;
    question->which = which;
    question->errand.kind = CLUSTER_TAKE;
    question->errand.home = exchange->station->worker->mailbox;
    question->errand.on_done = on_token_back;
    question->errand.interval_us =
        (limits.rate.period_s * 1000000 + limits.rate.count - 1) / limits.rate.count;
    question->errand.burst = limits.burst != 0 ? limits.burst : limits.rate.count;
    (void)snprintf(question->errand.bucket, sizeof(question->errand.bucket), "%s%s",
                   which == FLEET_CLIENT ? "client:" : "upstream",
                   which == FLEET_CLIENT ? exchange->admission.client->name : "");
    exchange->token_question = question;
    stop_body(exchange);
    cluster_ask(cluster, &question->errand);
    return true;
}

void fleet_leave(struct exchange *exchange)
{
    drop(exchange);
    if (exchange->token_question != NULL)
        exchange->token_question->exchange = NULL;
    exchange->token_question = NULL;
}
