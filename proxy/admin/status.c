#include "admin/show.h"

#include <stdlib.h>

#include "admin/tally.h"
#include "audit/trail.h"
#include "base/clock.h"
#include "cluster/cluster.h"
#include "gateway/health.h"

/* 0: never. */
static json_t *time_or_null(int64_t wall_ms)
{
    char text[CLOCK_TEXT_BYTES];

    if (wall_ms == 0)
        return json_null();
    clock_format_utc(wall_ms, text);
    return json_string(text);
}

static json_t *count(uint64_t number)
{
    return json_integer((json_int_t)number);
}

static void put(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value);
}

json_t *show_reasons(struct gateway *gateway)
{
    struct gateway_state state;
    struct error why;
    json_t *reasons = json_array();

    gateway_read_state(gateway, &state);
    if (state.is_draining)
        (void)json_array_append_new(reasons, json_string("it is stopping"));
    if (!audit_trail_is_writable(gateway_stations(gateway)->trail, &why))
        (void)json_array_append_new(
            reasons, json_sprintf("audited changes get 503: %s", why.text));
    return reasons;
}

/* Requests */

static json_t *seconds_or_null(double seconds)
{
    return seconds < 0 ? json_null() : json_real(seconds);
}

static json_t *show_point(const struct history_point *point)
{
    json_t *shown = json_object();

    put(shown, "requests", count(point->requests));
    put(shown, "errors", count(point->errors));
    put(shown, "refused", count(point->refused));
    put(shown, "hits", count(point->hits));
    put(shown, "p50", seconds_or_null(point->p50));
    put(shown, "p90", seconds_or_null(point->p90));
    put(shown, "p99", seconds_or_null(point->p99));
    put(shown, "upstream_p50", seconds_or_null(point->upstream_p50));
    put(shown, "upstream_p99", seconds_or_null(point->upstream_p99));
    return shown;
}

static json_t *show_history(const struct history *history)
{
    int64_t from_ms;
    size_t points = history_count(history, &from_ms);
    json_t *shown = json_object(), *list = json_array();

    for (size_t i = 0; i < points; i++)
        (void)json_array_append_new(list, show_point(history_at(history, i)));
    put(shown, "step", json_integer(HISTORY_STEP_S));
    put(shown, "from", time_or_null(points > 0 ? from_ms : 0));
    put(shown, "points", list);
    return shown;
}

static json_t *show_operation(const char *id, const struct operation *operation,
                              const struct tally *tally)
{
    const uint64_t *outcomes = tally->outcomes;
    bool is_cached = operation != NULL && operation->cache != NULL;
    json_t *shown = json_object();

    put(shown, "id", json_string(id));
    put(shown, "requests", count(tally->requests));
    put(shown, "errors", count(tally->errors));
    put(shown, "refused", count(tally->refused));
    put(shown, "cached", json_boolean(is_cached));
    put(shown, "scope", is_cached ? json_string(operation->cache->scope) : json_null());
    put(shown, "hits", count(outcomes[CACHE_OUTCOME_HIT]));
    put(shown, "misses",
        count(outcomes[CACHE_OUTCOME_MISS] + outcomes[CACHE_OUTCOME_EXPIRED] +
              outcomes[CACHE_OUTCOME_REVALIDATED] + outcomes[CACHE_OUTCOME_BYPASS]));
    put(shown, "stale", count(outcomes[CACHE_OUTCOME_STALE]));
    put(shown, "collapsed", count(outcomes[CACHE_OUTCOME_COLLAPSED]));
    return shown;
}

/* Every operation of the present table, asked for or not, and "other" last. */
static json_t *show_operations(const struct snapshot *snapshot,
                               const struct tally tallies[METRICS_OPERATIONS])
{
    json_t *list = json_array();

    for (size_t i = 0; i < snapshot->operations->count; i++) {
        const struct operation *operation = &snapshot->operations->operations[i];

        (void)json_array_append_new(
            list, show_operation(operation->id, operation,
                                 &tallies[snapshot->operation_numbers[i]]));
    }
    (void)json_array_append_new(list,
                                show_operation("other", NULL, &tallies[METRICS_OTHER]));
    return list;
}

static bool put_requests(json_t *status, const struct snapshot *snapshot,
                         struct metrics *metrics)
{
    struct tally *tallies = calloc(METRICS_OPERATIONS + 1, sizeof(*tallies));
    size_t series_count;
    struct metrics_series *series = metrics_read_requests(metrics, &series_count);
    bool has_memory = tallies != NULL && series != NULL;

    if (has_memory) {
        struct tally *all = &tallies[METRICS_OPERATIONS];

        for (size_t i = 0; i < series_count; i++) {
            tally_add(&tallies[series[i].operation], &series[i]);
            tally_add(all, &series[i]);
        }
        put(status, "requests",
            json_pack("{s:o, s:o, s:o}", "total", count(all->requests), "errors",
                      count(all->errors), "refused", count(all->refused)));
        put(status, "operations", show_operations(snapshot, tallies));
    }
    free(series);
    free(tallies);
    return has_memory;
}

/* The cache, upstream and the keys */

static json_t *show_cache(const struct snapshot *snapshot, const struct stations *shared)
{
    struct store_sizes sizes = store_sizes(shared->cache->store);
    json_t *shown = json_object(), *scopes = json_object(), *names = json_array();
    const char *name;
    json_t *ignored;

    for (size_t i = 0; i < snapshot->operations->count; i++) {
        const struct operation_cache *rule = snapshot->operations->operations[i].cache;

        if (rule != NULL)
            put(scopes, rule->scope, json_true());
    }
    json_object_foreach (scopes, name, ignored)
        (void)json_array_append_new(names, json_string(name));
    json_decref(scopes);
    put(shown, "bytes", count(sizes.bytes));
    put(shown, "limit", json_integer(snapshot->config->cache.memory_bytes));
    put(shown, "entries", count(sizes.entries));
    put(shown, "scopes", names);
    return shown;
}

static const char *state_of(const struct upstream_target *target,
                            const struct health *health)
{
    int64_t success_ms = atomic_load(&health->success_ms);
    int64_t failure_ms = atomic_load(&health->failure_ms);

    if (atomic_load(&target->is_unreachable))
        return "down";
    if (success_ms == 0 && failure_ms == 0)
        return "unknown";
    return success_ms >= failure_ms ? "up" : "down";
}

static json_t *show_upstream(const struct snapshot *snapshot, struct health *health)
{
    const struct upstream_target *target = snapshot->target;
    unsigned all = atomic_load(&target->connections), idle = atomic_load(&target->idle);
    bool is_open = atomic_load(&target->is_unreachable);
    char error[HEALTH_ERROR_BYTES];
    json_t *shown = json_object();

    health_read_error(health, error);
    put(shown, "url", json_string(snapshot->config->upstream.url));
    put(shown, "state", json_string(state_of(target, health)));
    put(shown, "circuit", json_string(is_open ? "open" : "closed"));
    put(shown, "connections",
        json_pack("{s:i, s:i, s:i}", "active", (int)(all > idle ? all - idle : 0), "idle",
                  (int)idle, "limit", (int)target->max_connections));
    put(shown, "last_success", time_or_null(atomic_load(&health->success_ms)));
    put(shown, "last_failure", time_or_null(atomic_load(&health->failure_ms)));
    put(shown, "last_error", error[0] != '\0' ? json_string(error) : json_null());
    return shown;
}

static json_t *show_credentials(const struct snapshot *snapshot)
{
    static const char *const words[] = {"unknown", "accepted", "refused"};
    static const char *const slots[] = {"api_key_file", "next_api_key_file"};
    json_t *list = json_array();

    for (size_t i = 0; i < snapshot->credentials->count; i++) {
        const struct credential *credential = &snapshot->credentials->credentials[i];
        int slot = credential_slot(credential);
        struct credential_key_state *key = &credential->state->keys[slot];
        json_t *shown = json_object();

        put(shown, "name", json_string(credential->name));
        put(shown, "slot", json_string(slots[slot]));
        put(shown, "has_next",
            json_boolean(slot == 0 && credential->api_keys[1] != NULL));
        put(shown, "state", json_string(words[atomic_load(&key->verdict)]));
        put(shown, "last_success", time_or_null(atomic_load(&key->success_ms)));
        put(shown, "last_failure", time_or_null(atomic_load(&key->failure_ms)));
        (void)json_array_append_new(list, shown);
    }
    return list;
}

/* The trail */

static json_t *show_audit(struct audit_trail *trail)
{
    struct audit_numbers numbers;
    struct error why;
    json_t *shown = json_object(), *checkpoint = json_null();
    uint64_t records = 0;

    audit_trail_numbers(trail, &numbers);
    for (size_t i = 0; i < AUDIT_PHASES; i++)
        records += numbers.records[i];
    if (numbers.checkpoint_ms != 0)
        checkpoint = json_pack("{s:o, s:o}", "time", time_or_null(numbers.checkpoint_ms),
                               "sequence", count(numbers.checkpoint_sequence));
    put(shown, "writable", json_boolean(audit_trail_is_writable(trail, &why)));
    put(shown, "chain_id", json_string(numbers.chain_id));
    put(shown, "records", count(records));
    put(shown, "sequence", count(numbers.sequence));
    put(shown, "waiting", count(numbers.waiting));
    put(shown, "last_checkpoint", checkpoint);
    return shown;
}

/* The fleet; null: a gateway alone. */
static json_t *show_cluster(const struct cluster *cluster)
{
    struct cluster_state state;
    int64_t heard_ms = 0;
    json_t *shown;

    if (cluster == NULL)
        return json_null();
    state = cluster_state(cluster, clock_monotonic_ms());
    if (state.heard_ms_ago >= 0)
        heard_ms = clock_wall_ms() - state.heard_ms_ago;
    shown = json_object();
    put(shown, "state", json_string(state.is_current ? "ok" : "away"));
    put(shown, "last_heard", time_or_null(heard_ms));
    return shown;
}

json_t *show_status(struct gateway *gateway, const struct history *history,
                    int64_t started_ms)
{
    struct snapshot *snapshot = gateway_take_snapshot(gateway);
    struct stations *shared = gateway_stations(gateway);
    json_t *status = json_object(), *reasons = show_reasons(gateway);
    struct gateway_state state;
    bool is_whole;

    gateway_read_state(gateway, &state);
    put(status, "version", json_string(PSGATE_VERSION));
    put(status, "now", time_or_null(clock_wall_ms()));
    put(status, "started", time_or_null(started_ms));
    put(status, "workers", count(state.workers));
    put(status, "config_generation", count(snapshot->generation));
    put(status, "ready", json_boolean(json_array_size(reasons) == 0));
    put(status, "reasons", reasons);
    put(status, "connections", count(atomic_load(&shared->connections)));
    put(status, "requests_in_flight", count(metrics_in_flight(shared->metrics)));
    is_whole = put_requests(status, snapshot, shared->metrics);
    put(status, "history", show_history(history));
    put(status, "cache", show_cache(snapshot, shared));
    put(status, "upstream", show_upstream(snapshot, shared->health));
    put(status, "credentials", show_credentials(snapshot));
    put(status, "audit", show_audit(shared->trail));
    put(status, "cluster", show_cluster(shared->cluster));
    snapshot_unref(snapshot);
    if (is_whole)
        return status;
    json_decref(status);
    return NULL;
}
