/* /metrics, in Prometheus' text format 0.0.4. */
#include "admin/show.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "audit/trail.h"
#include "base/clock.h"
#include "base/log_output.h"
#include "cluster/cluster.h"
#include "gateway/health.h"
#include "net/tls.h"

/* A family's head; its samples follow. */
static void begin(struct text *out, const char *name, const char *type, const char *help)
{
    text_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value, with what the format escapes. */
static void add_value(struct text *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            text_add_byte(out, '\\');
        if (*value == '\n')
            text_add(out, SPAN("\\n"));
        else
            text_add_byte(out, *value);
    }
}

static void add_number(struct text *out, const char *name, const char *type,
                       const char *help, uint64_t number)
{
    begin(out, name, type, help);
    text_add_format(out, "%s %llu\n", name, (unsigned long long)number);
}

static void add_gauge(struct text *out, const char *name, const char *help,
                      uint64_t number)
{
    add_number(out, name, "gauge", help, number);
}

static void add_counter(struct text *out, const char *name, const char *help,
                        uint64_t number)
{
    add_number(out, name, "counter", help, number);
}

/* Exact, however long the process runs: counters of seconds, and times of day. */
static void add_micros(struct text *out, uint64_t us)
{
    text_add_format(out, "%llu.%06llu\n", (unsigned long long)(us / 1000000),
                    (unsigned long long)(us % 1000000));
}

/* Histograms */

/* Of the bounds that are counted, those that are shown: 1, 2.5 and 5 of each decade. */
static bool is_shown(size_t bucket)
{
    int64_t bound = histogram_bound_us(bucket), leading = bound;

    while (leading >= 100 && leading % 10 == 0)
        leading /= 10;
    return bound >= 100 && bound <= 60000000 &&
           (leading == 10 || leading == 25 || leading == 50 || bound == 60000000);
}

/* label is NULL, or the one label's name. */
static void add_histogram(struct text *out, const char *name, const char *label,
                          const char *value, const struct histogram_counts *counts)
{
    uint64_t below = 0;
    struct text labels = {0};

    if (label != NULL) {
        text_add_format(&labels, "%s=\"", label);
        add_value(&labels, value);
        text_add_byte(&labels, '"');
    }
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        below += counts->buckets[i];
        if (is_shown(i))
            text_add_format(out, "%s_bucket{%s%sle=\"%.9g\"} %llu\n", name,
                            label != NULL ? labels.bytes : "", label != NULL ? "," : "",
                            (double)histogram_bound_us(i) / 1e6,
                            (unsigned long long)below);
    }
    text_add_format(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name,
                    label != NULL ? labels.bytes : "", label != NULL ? "," : "",
                    (unsigned long long)counts->count);
    for (int i = 0; i < 2; i++) {
        text_add_format(out, "%s_%s", name, i == 0 ? "sum" : "count");
        if (label != NULL)
            text_add_format(out, "{%s}", labels.bytes);
        text_add_byte(out, ' ');
        if (i == 0)
            add_micros(out, counts->sum_us);
        else
            text_add_format(out, "%llu\n", (unsigned long long)counts->count);
    }
    out->failed = out->failed || labels.failed;
    text_fini(&labels);
}

/* Requests */

static void add_requests(struct text *out, struct metrics *metrics)
{
    size_t count;
    struct metrics_series *series = metrics_read_requests(metrics, &count);

    begin(out, "psgate_requests_total", "counter",
          "Requests that have ended, by operation, status (0: the client left first) and "
          "what the cache did.");
    for (size_t i = 0; series != NULL && i < count; i++) {
        text_add(out, SPAN("psgate_requests_total{operation=\""));
        add_value(out, metrics_operation(metrics, series[i].operation));
        text_add_format(out, "\",status=\"%u\",cache=\"%s\"} %llu\n", series[i].status,
                        cache_outcome_word(series[i].outcome),
                        (unsigned long long)series[i].count);
    }
    out->failed = out->failed || series == NULL;
    free(series);
    add_gauge(out, "psgate_requests_in_flight", "Requests that have not ended yet.",
              metrics_in_flight(metrics));
}

static void add_durations(struct text *out, struct metrics *metrics, bool of_upstream)
{
    const char *name = of_upstream ? "psgate_upstream_duration_seconds"
                                   : "psgate_request_duration_seconds";
    const char *operation;

    begin(out, name, "histogram",
          of_upstream
              ? "From asking upstream to its answer's head, by operation."
              : "From a request's first byte to its answer's last, by operation.");
    for (unsigned i = 0; (operation = metrics_operation(metrics, i)) != NULL; i++) {
        struct metrics_times times = {.total = {.count = 0}};

        metrics_read_times(metrics, i, &times);
        if (times.total.count > 0)
            add_histogram(out, name, "operation", operation,
                          of_upstream ? &times.upstream : &times.total);
    }
}

/* What the gateway itself answered: the client's fault, or its own and upstream's. */
static void add_reasons(struct text *out, struct metrics *metrics, bool of_clients)
{
    const char *name =
        of_clients ? "psgate_clients_rejected_total" : "psgate_errors_total";

    begin(out, name, "counter",
          of_clients ? "Requests that the gateway refused (4xx), by reason."
                     : "Requests that the gateway could not serve (5xx), by reason.");
    for (int i = 0; i < REASON_COUNT; i++) {
        if ((reason_row((enum reason)i)->status < 500) != of_clients)
            continue;
        text_add_format(out, "%s{reason=\"%s\"} %llu\n", name,
                        reason_word((enum reason)i),
                        (unsigned long long)metrics_read_reason(metrics, (enum reason)i));
    }
}

/* Upstream and keys */

static void add_upstream(struct text *out, const struct snapshot *snapshot,
                         struct health *health)
{
    const struct upstream_target *target = snapshot->target;
    unsigned all = atomic_load(&target->connections), idle = atomic_load(&target->idle);
    int64_t success_ms = atomic_load(&health->success_ms);

    begin(out, "psgate_upstream_connections", "gauge",
          "Connections to upstream, by whether a request has them.");
    text_add_format(out,
                    "psgate_upstream_connections{state=\"active\"} %u\n"
                    "psgate_upstream_connections{state=\"idle\"} %u\n",
                    all > idle ? all - idle : 0, idle);
    add_gauge(out, "psgate_upstream_connections_limit", "upstream.max_connections.",
              target->max_connections);
    add_gauge(out, "psgate_upstream_waiting", "Requests that wait for a connection.",
              atomic_load(&target->waiting));
    add_gauge(out, "psgate_upstream_up",
              "1: upstream could be reached when it was last tried, or was not tried.",
              !atomic_load(&target->is_unreachable));
    begin(out, "psgate_upstream_last_success_timestamp_seconds", "gauge",
          "When upstream last answered with less than 500; 0: never.");
    text_add(out, SPAN("psgate_upstream_last_success_timestamp_seconds "));
    add_micros(out, (uint64_t)success_ms * 1000);
}

static void add_credentials(struct text *out, const struct snapshot *snapshot)
{
    static const char *const words[] = {"unknown", "accepted", "refused"};
    static const char *const slots[] = {"api_key_file", "next_api_key_file"};

    begin(out, "psgate_credential_state", "gauge",
          "1 for what upstream last said of the key that serves a credential.");
    for (size_t i = 0; i < snapshot->credentials->count; i++) {
        const struct credential *credential = &snapshot->credentials->credentials[i];
        int slot = credential_slot(credential);
        int verdict = atomic_load(&credential->state->keys[slot].verdict);

        for (int j = 0; j < 3; j++) {
            text_add(out, SPAN("psgate_credential_state{credential=\""));
            add_value(out, credential->name);
            text_add_format(out, "\",slot=\"%s\",state=\"%s\"} %d\n", slots[slot],
                            words[j], j == verdict);
        }
    }
}

/* The trail */

static void add_audit(struct text *out, struct audit_trail *trail)
{
    static const char *const phases[AUDIT_PHASES] = {
        [AUDIT_INTENT] = "intent",
        [AUDIT_RESULT] = "result",
        [AUDIT_REFUSED] = "refused",
        [AUDIT_TRAIL] = "trail",
    };
    struct audit_numbers numbers;
    struct error why;

    audit_trail_numbers(trail, &numbers);
    begin(out, "psgate_audit_records_total", "counter",
          "Records that are durable in the audit trail, by phase.");
    for (size_t i = 0; i < AUDIT_PHASES; i++)
        text_add_format(out, "psgate_audit_records_total{phase=\"%s\"} %llu\n", phases[i],
                        (unsigned long long)numbers.records[i]);
    begin(out, "psgate_audit_sync_seconds", "histogram",
          "How long the disk took for each sync of the audit trail.");
    add_histogram(out, "psgate_audit_sync_seconds", NULL, NULL, &numbers.sync_times);
    add_gauge(out, "psgate_audit_writable",
              "1: audited changes can be recorded; 0: they get 503.",
              audit_trail_is_writable(trail, &why));
    add_gauge(out, "psgate_audit_waiting", "Records that wait for the disk.",
              numbers.waiting);
    add_gauge(out, "psgate_audit_sequence", "The number of the trail's last record.",
              numbers.sequence);
    add_counter(out, "psgate_audit_dropped_total",
                "Records of refusals and logged changes that found no room.",
                numbers.dropped);
    if (!numbers.has_syslog)
        return;
    add_gauge(out, "psgate_audit_syslog_up", "1: the syslog server is connected.",
              numbers.syslog.is_up);
    add_counter(out, "psgate_audit_syslog_sent_total", "Records sent to syslog.",
                numbers.syslog.sent);
    add_counter(out, "psgate_audit_syslog_dropped_total",
                "Records that syslog could not be given.", numbers.syslog.dropped);
}

/* The fleet */

static void add_results(struct text *out, const char *name, const char *help,
                        uint64_t done, uint64_t failed)
{
    begin(out, name, "counter", help);
    text_add_format(out, "%s{result=\"done\"} %llu\n%s{result=\"failed\"} %llu\n", name,
                    (unsigned long long)done, name, (unsigned long long)failed);
}

static void add_cluster(struct text *out, const struct cluster *cluster)
{
    struct cluster_state state;
    int64_t heard_ms = 0;

    if (cluster == NULL)
        return;
    state = cluster_state(cluster, clock_monotonic_ms());
    if (state.heard_ms_ago >= 0)
        heard_ms = clock_wall_ms() - state.heard_ms_ago;
    add_gauge(
        out, "psgate_cluster_current",
        "0: Redis was not heard within max_staleness, stored answers are asked about "
        "before each use.",
        state.is_current);
    begin(out, "psgate_cluster_heard_timestamp_seconds", "gauge",
          "When all was last known that other gateways had raised; 0: never.");
    text_add(out, SPAN("psgate_cluster_heard_timestamp_seconds "));
    add_micros(out, (uint64_t)heard_ms * 1000);
    add_results(out, "psgate_cluster_raises_total",
                "Beginnings and ends of changes that Redis was told, or could not be.",
                state.raised, state.raise_failed);
    add_results(out, "psgate_cluster_tokens_total",
                "Tokens asked of Redis; failed: counted by this gateway alone.",
                state.taken, state.take_failed);
    add_counter(out, "psgate_cluster_connections_total",
                "Connections to Redis for commands.", state.connected);
}

/* The process */

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    if (folder == NULL)
        return 0;
    /* cppcheck-suppress readdirCalled ; in glibc it is safe on a stream of one's own */
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder's own */
}

static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char line[128]; /* its second number */
    const char *pages = NULL;

    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) != NULL)
        pages = strchr(line, ' ');
    (void)fclose(file);
    return pages == NULL ? 0
                         : strtoull(pages, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_process(struct text *out, int64_t started_ms)
{
    struct rusage usage;
    struct rlimit limit;

    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        begin(out, "process_cpu_seconds_total", "counter",
              "User and system CPU time spent.");
        text_add(out, SPAN("process_cpu_seconds_total "));
        add_micros(out,
                   (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
    }
    add_gauge(out, "process_open_fds", "Open file descriptors.", count_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        add_gauge(out, "process_max_fds", "The most file descriptors.", limit.rlim_cur);
    add_gauge(out, "process_resident_memory_bytes", "Resident memory.", resident_bytes());
    begin(out, "process_start_time_seconds", "gauge", "When the process started.");
    text_add(out, SPAN("process_start_time_seconds "));
    add_micros(out, (uint64_t)started_ms * 1000);
}

static void add_certificates(struct text *out, const struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;

    begin(out, "psgate_certificate_expiry_timestamp_seconds", "gauge",
          "When a listener's certificate ends.");
    for (size_t i = 0; i < config->listen_count; i++) {
        int64_t until_ms;

        if (snapshot->tls[i] == NULL ||
            !tls_certificate_until(snapshot->tls[i], &until_ms))
            continue;
        text_add(out, SPAN("psgate_certificate_expiry_timestamp_seconds{listener=\""));
        add_value(out, config->listen[i].address);
        text_add_format(out, "\"} %lld\n", (long long)(until_ms / 1000));
    }
}

static void add_configuration(struct text *out, struct gateway *gateway,
                              const struct snapshot *snapshot)
{
    struct gateway_state state;

    gateway_read_state(gateway, &state);
    begin(out, "psgate_build_info", "gauge", "1, with the version.");
    text_add(out, SPAN("psgate_build_info{version=\"" PSGATE_VERSION "\"} 1\n"));
    add_gauge(out, "psgate_workers", "Worker threads.", state.workers);
    add_gauge(out, "psgate_config_generation", "How often it was loaded.",
              snapshot->generation);
    add_gauge(out, "psgate_config_last_reload_successful",
              "0: the last reload was refused, an older configuration is in force.",
              state.was_reload_good);
    begin(out, "psgate_config_loaded_timestamp_seconds", "gauge",
          "When the configuration in force was loaded.");
    text_add(out, SPAN("psgate_config_loaded_timestamp_seconds "));
    add_micros(out, (uint64_t)state.loaded_ms * 1000);
    add_counter(out, "psgate_log_dropped_total",
                "Log lines that were dropped, or could not be written.",
                log_count_missing());
    add_certificates(out, snapshot);
}

void show_metrics(struct gateway *gateway, int64_t started_ms, struct text *out)
{
    struct snapshot *snapshot = gateway_take_snapshot(gateway);
    struct stations *shared = gateway_stations(gateway);
    struct store_sizes sizes = store_sizes(shared->cache->store);

    add_requests(out, shared->metrics);
    add_durations(out, shared->metrics, false);
    add_durations(out, shared->metrics, true);
    add_reasons(out, shared->metrics, true);
    add_reasons(out, shared->metrics, false);
    add_gauge(out, "psgate_connections", "Clients' connections.",
              atomic_load(&shared->connections));
    add_gauge(out, "psgate_connections_limit",
              "limits.connections, or as many as open files allow.",
              atomic_load(&shared->max_connections));
    add_gauge(out, "psgate_held_bytes", "Audited bodies that wait for their intent.",
              atomic_load(&shared->held_bytes));
    add_upstream(out, snapshot, shared->health);
    add_credentials(out, snapshot);
    add_gauge(out, "psgate_cache_bytes", "Memory that cached answers take.", sizes.bytes);
    add_gauge(out, "psgate_cache_entries", "Cached answers.", sizes.entries);
    add_gauge(out, "psgate_cache_memory_bytes", "cache.memory: the most they may take.",
              (uint64_t)snapshot->config->cache.memory_bytes);
    add_audit(out, shared->trail);
    add_cluster(out, shared->cluster);
    add_configuration(out, gateway, snapshot);
    add_process(out, started_ms);
    snapshot_unref(snapshot);
}
