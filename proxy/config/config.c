#include "config/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/address.h"
#include "config/admin.h"
#include "config/cluster.h"
#include "config/networks.h"
#include "config/syslog.h"

#define OFFSET(type, field) offsetof(struct type, field)
#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SECOND ((int64_t)1000)
#define DAY (86400 * SECOND)

static const char *const client_auth_names[] = {"none", "optional", "required", NULL};
static const char *const slash_names[] = {"refuse", "forward", NULL};
static const char *const level_names[] = {"error", "warn", "info", "debug", NULL};
static const char *const format_names[] = {"text", "json", NULL};
static const char *const other_mutation_names[] = {"log", "require", "off", NULL};
static const char *const unreadable_names[] = {"refuse", "forward", NULL};

/* listen[] */

static const struct document_option tls_options[] = {
    {.key = "certificate",
     .kind = OPTION_PATH,
     .offset = OFFSET(config_tls, certificate),
     .is_required = true},
    {.key = "private_key",
     .kind = OPTION_PATH,
     .offset = OFFSET(config_tls, private_key),
     .is_required = true},
    {.key = "client_ca", .kind = OPTION_PATH, .offset = OFFSET(config_tls, client_ca)},
    {.key = "client_crl", .kind = OPTION_PATH, .offset = OFFSET(config_tls, client_crl)},
    {.key = "client_auth",
     .kind = OPTION_CHOICE,
     .offset = OFFSET(config_tls, client_auth),
     .choices = client_auth_names},
    {0},
};

static void read_listen_tls(struct document *document, const struct place *place,
                            json_t *value, void *target)
{
    struct config_listen *listen = target;

    if (json_is_null(value))
        return;
    listen->has_tls = true;
    document_read_object(document, place, value, tls_options, &listen->tls);
    if (listen->tls.client_auth != CONFIG_CLIENT_AUTH_NONE &&
        listen->tls.client_ca == NULL)
        document_problem(document, place,
                         "client_auth needs client_ca (the authority that signs the "
                         "clients' certificates)");
    if (listen->tls.client_crl != NULL &&
        listen->tls.client_auth == CONFIG_CLIENT_AUTH_NONE)
        document_problem(document, place,
                         "client_crl needs client_auth (\"optional\" or \"required\")");
}

static void read_listen_address(struct document *document, const struct place *place,
                                json_t *value, void *target)
{
    struct config_listen *listen = target, parsed = *listen;
    struct error error;

    if (!json_is_string(value))
        document_problem(document, place, "must be a string such as \"127.0.0.1:8080\"");
    else if (!address_parse_listen(document->arena, json_string_value(value), &parsed,
                                   &error))
        document_problem(document, place, "%s", error.text);
    else
        *listen = parsed;
}

static void read_listen_mode(struct document *document, const struct place *place,
                             json_t *value, void *target)
{
    struct config_listen *listen = target;
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    char *end;
    unsigned long mode = strtoul(text, &end, 8);

    if (text[0] < '0' || text[0] > '7' || *end != '\0' || mode > 0777)
        document_problem(document, place, "is not a file mode (such as \"0660\")");
    else
        listen->mode = (unsigned)mode;
}

static void read_proxy_protocol(struct document *document, const struct place *place,
                                json_t *value, void *target)
{
    config_read_networks(document, place, value,
                         &((struct config_listen *)target)->proxy_protocol);
}

static const struct document_option listen_options[] = {
    {.key = "address",
     .kind = OPTION_CUSTOM,
     .read = read_listen_address,
     .is_required = true},
    {.key = "tls", .kind = OPTION_CUSTOM, .read = read_listen_tls},
    {.key = "mode", .kind = OPTION_CUSTOM, .read = read_listen_mode},
    {.key = "allow_plaintext",
     .kind = OPTION_BOOL,
     .offset = OFFSET(config_listen, allow_plaintext)},
    {.key = "proxy_protocol", .kind = OPTION_CUSTOM, .read = read_proxy_protocol},
    {0},
};

/* Who can never be at the other end of this listener's connections. */
static void check_proxies(struct document *document, const struct place *place,
                          const struct config_listen *listen)
{
    const struct place member = {.parent = place, .key = "proxy_protocol"};

    if (listen->host != NULL && listen->proxy_protocol.has_unix)
        document_problem(document, &member,
                         "\"unix:\" is for a unix socket (list the addresses of the "
                         "load balancers)");
    if (listen->path != NULL && listen->proxy_protocol.count > 0)
        document_problem(document, &member,
                         "a unix socket's peers have no addresses (write [\"unix:\"])");
}

static void check_listen(struct document *document, const struct place *place,
                         const struct config_listen *listen)
{
    if (listen->host != NULL && !listen->has_tls && !listen->allow_plaintext &&
        !config_is_loopback(listen->host))
        document_problem(document, place,
                         "%s is not a loopback address: tokens would cross the network "
                         "readable (add \"tls\", or \"allow_plaintext\": true)",
                         listen->address);
    if (listen->path != NULL && listen->has_tls)
        document_problem(document, place, "a unix socket takes no tls (remove \"tls\")");
}

static void read_listen(struct document *document, const struct place *place,
                        json_t *value, void *target)
{
    struct config *config = target;
    size_t count = json_array_size(value);

    if (count == 0) {
        document_problem(document, place, "must be an array with at least one listener");
        return;
    }
    config->listen = arena_alloc(document->arena, count * sizeof(*config->listen));
    if (config->listen == NULL)
        return;
    config->listen_count = count;
    for (size_t i = 0; i < count; i++) {
        struct place element = {.parent = place, .index = i};
        struct config_listen *listen = &config->listen[i];

        listen->mode = 0660;
        document_read_object(document, &element, json_array_get(value, i), listen_options,
                             listen);
        check_listen(document, &element, listen);
        check_proxies(document, &element, listen);
        for (size_t j = 0; j < i; j++) {
            if (listen->address != NULL && config->listen[j].address != NULL &&
                (listen->path != NULL || listen->port != 0) &&
                strcmp(listen->address, config->listen[j].address) == 0)
                document_problem(document, &element,
                                 "%s is listed twice (remove one of them)",
                                 listen->address);
        }
    }
}

/* upstream */

static void read_upstream_url(struct document *document, const struct place *place,
                              json_t *value, void *target)
{
    struct config_upstream *upstream = target, parsed = *upstream;
    struct error error;

    if (!json_is_string(value))
        document_problem(document, place,
                         "must be a string such as "
                         "\"https://api.paperspace.com\"");
    else if (!address_parse_url(document->arena, json_string_value(value), &parsed,
                                &error))
        document_problem(document, place, "%s", error.text);
    else
        *upstream = parsed;
}

static const struct document_option upstream_options[] = {
    {.key = "url", .kind = OPTION_CUSTOM, .read = read_upstream_url},
    {.key = "ca_file", .kind = OPTION_PATH, .offset = OFFSET(config_upstream, ca_file)},
    {.key = "encoded_slashes",
     .kind = OPTION_CHOICE,
     .offset = OFFSET(config_upstream, encoded_slashes),
     .choices = slash_names},
    {.key = "allow_plaintext",
     .kind = OPTION_BOOL,
     .offset = OFFSET(config_upstream, allow_plaintext)},
    {.key = "connect_timeout",
     .kind = OPTION_DURATION,
     .offset = OFFSET(config_upstream, connect_timeout_ms),
     .min = 1,
     .max = DAY},
    {.key = "response_timeout",
     .kind = OPTION_DURATION,
     .offset = OFFSET(config_upstream, response_timeout_ms),
     .min = 1,
     .max = DAY},
    {.key = "idle_timeout",
     .kind = OPTION_DURATION,
     .offset = OFFSET(config_upstream, idle_timeout_ms),
     .min = 1,
     .max = DAY},
    {.key = "max_connections",
     .kind = OPTION_INTEGER,
     .offset = OFFSET(config_upstream, max_connections),
     .min = 1,
     .max = 65536},
    {0},
};

/* credentials */

static const struct document_option credential_options[] = {
    {.key = "api_key_file",
     .kind = OPTION_PATH,
     .offset = OFFSET(config_credential, api_key_file)},
    {.key = "api_key_env",
     .kind = OPTION_STRING,
     .offset = OFFSET(config_credential, api_key_env)},
    {.key = "next_api_key_file",
     .kind = OPTION_PATH,
     .offset = OFFSET(config_credential, next_api_key_file)},
    {0},
};

static void read_credentials(struct document *document, const struct place *place,
                             json_t *value, void *target)
{
    struct config *config = target;
    const char *name;
    json_t *object;

    if (json_object_size(value) == 0) {
        document_problem(document, place,
                         "must be an object with at least one credential (such as "
                         "\"default\": { \"api_key_file\": \"api-key\" })");
        return;
    }
    config->credentials = arena_alloc(document->arena, json_object_size(value) *
                                                           sizeof(*config->credentials));
    if (config->credentials == NULL)
        return;
    json_object_foreach (value, name, object) {
        struct place member = {.parent = place, .key = name};
        struct config_credential *credential =
            &config->credentials[config->credential_count++];

        credential->name = arena_copy(document->arena, span_of(name));
        document_read_object(document, &member, object, credential_options, credential);
        if (json_is_object(object) &&
            (credential->api_key_file == NULL) == (credential->api_key_env == NULL))
            document_problem(document, &member,
                             "needs exactly one of api_key_file and api_key_env");
    }
}

/* cache */

static void read_other_invalidates(struct document *document, const struct place *place,
                                   json_t *value, void *target)
{
    struct config_cache *cache = target;

    document_read_strings(document, place, value, &cache->other_invalidates,
                          &cache->other_invalidates_count);
}

static const struct document_option cache_options[] = {
    {.key = "memory",
     .kind = OPTION_SIZE,
     .offset = OFFSET(config_cache, memory_bytes),
     .min = 0,
     .max = 1024 * GIB},
    {.key = "stale_after",
     .kind = OPTION_DURATION,
     .offset = OFFSET(config_cache, stale_after_ms),
     .min = 0,
     .max = DAY},
    {.key = "unknown_hold",
     .kind = OPTION_DURATION,
     .offset = OFFSET(config_cache, unknown_hold_ms),
     .min = 0,
     .max = DAY},
    {.key = "other_invalidates", .kind = OPTION_CUSTOM, .read = read_other_invalidates},
    {0},
};

static void read_cache(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct config *config = target;

    if (!json_is_null(value))
        document_read_object(document, place, value, cache_options, &config->cache);
}

/* limits and log */

#define TIMEOUT(name, field)                                                             \
    {                                                                                    \
        .key = (name), .kind = OPTION_DURATION, .offset = OFFSET(config_limits, field),  \
        .min = 1, .max = DAY                                                             \
    }

static void read_upstream_burst(struct document *document, const struct place *place,
                                json_t *value, void *target)
{
    struct config_limits *limits = target;

    document_read_burst(document, place, value, &limits->upstream_burst);
}

static const struct document_option limit_options[] = {
    {.key = "header_bytes",
     .kind = OPTION_SIZE,
     .offset = OFFSET(config_limits, header_bytes),
     .min = 1024,
     .max = CONFIG_MOST_HEADER_BYTES},
    {.key = "headers",
     .kind = OPTION_INTEGER,
     .offset = OFFSET(config_limits, headers),
     .min = 8,
     .max = 4096},
    {.key = "audited_body",
     .kind = OPTION_SIZE,
     .offset = OFFSET(config_limits, audited_body_bytes),
     .min = 1,
     .max = GIB},
    {.key = "audited_bodies_total",
     .kind = OPTION_SIZE,
     .offset = OFFSET(config_limits, audited_bodies_total_bytes),
     .min = 1,
     .max = 1024 * GIB},
    {.key = "connections",
     .kind = OPTION_INTEGER,
     .offset = OFFSET(config_limits, connections),
     .min = 1,
     .max = 10000000},
    TIMEOUT("header_timeout", header_timeout_ms),
    TIMEOUT("body_timeout", body_timeout_ms),
    TIMEOUT("send_timeout", send_timeout_ms),
    TIMEOUT("keepalive_timeout", keepalive_timeout_ms),
    TIMEOUT("tunnel_idle_timeout", tunnel_idle_timeout_ms),
    TIMEOUT("drain_timeout", drain_timeout_ms),
    {.key = "upstream_rate",
     .kind = OPTION_RATE,
     .offset = OFFSET(config_limits, upstream_rate)},
    {.key = "upstream_burst", .kind = OPTION_CUSTOM, .read = read_upstream_burst},
    {0},
};

static const struct document_option log_options[] = {
    {.key = "level",
     .kind = OPTION_CHOICE,
     .offset = OFFSET(config_log, level),
     .choices = level_names},
    {.key = "format",
     .kind = OPTION_CHOICE,
     .offset = OFFSET(config_log, format),
     .choices = format_names},
    {.key = "access", .kind = OPTION_BOOL, .offset = OFFSET(config_log, access)},
    {.key = "file", .kind = OPTION_PATH, .offset = OFFSET(config_log, file)},
    {0},
};

/* audit */

static void read_audit_syslog(struct document *document, const struct place *place,
                              json_t *value, void *target)
{
    config_read_syslog(document, place, value, &((struct config_audit *)target)->syslog);
}

static const struct document_option audit_options[] = {
    {.key = "directory", .kind = OPTION_PATH, .offset = OFFSET(config_audit, directory)},
    {.key = "other_mutations",
     .kind = OPTION_CHOICE,
     .offset = OFFSET(config_audit, other_mutations),
     .choices = other_mutation_names},
    {.key = "unreadable_body",
     .kind = OPTION_CHOICE,
     .offset = OFFSET(config_audit, unreadable_body),
     .choices = unreadable_names},
    {.key = "timeout",
     .kind = OPTION_DURATION,
     .offset = OFFSET(config_audit, timeout_ms),
     .min = 1,
     .max = DAY},
    {.key = "rotate_size",
     .kind = OPTION_SIZE,
     .offset = OFFSET(config_audit, rotate_bytes),
     .min = KIB,
     .max = 1024 * GIB},
    {.key = "signing_key_file",
     .kind = OPTION_PATH,
     .offset = OFFSET(config_audit, signing_key_file)},
    {.key = "syslog", .kind = OPTION_CUSTOM, .read = read_audit_syslog},
    {0},
};

static void read_cluster(struct document *document, const struct place *place,
                         json_t *value, void *target)
{
    config_read_cluster(document, place, value, &((struct config *)target)->cluster);
}

static void read_jwt(struct document *document, const struct place *place, json_t *value,
                     void *target)
{
    struct config *config = target;

    config_read_jwt(document, place, value, &config->jwt, &config->jwt_count);
}

static void read_admin(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    config_read_admin(document, place, value, &((struct config *)target)->admin);
}

static void read_trusted_proxies(struct document *document, const struct place *place,
                                 json_t *value, void *target)
{
    config_read_networks(document, place, value,
                         &((struct config *)target)->trusted_proxies);
}

/* "$schema" tells editors what the file is; it means nothing to us. */
static void read_schema(struct document *document, const struct place *place,
                        json_t *value, void *target)
{
    (void)target;
    if (!json_is_string(value))
        document_problem(document, place, "must be a string");
}

static const struct document_option config_options[] = {
    {.key = "$schema", .kind = OPTION_CUSTOM, .read = read_schema},
    {.key = "listen", .kind = OPTION_CUSTOM, .read = read_listen},
    {.key = "trusted_proxies", .kind = OPTION_CUSTOM, .read = read_trusted_proxies},
    {.key = "admin", .kind = OPTION_CUSTOM, .read = read_admin},
    {.key = "workers",
     .kind = OPTION_INTEGER,
     .offset = OFFSET(config, workers),
     .min = 0,
     .max = 1024},
    {.key = "upstream",
     .kind = OPTION_OBJECT,
     .offset = OFFSET(config, upstream),
     .nested = upstream_options},
    {.key = "credentials",
     .kind = OPTION_CUSTOM,
     .read = read_credentials,
     .is_required = true},
    {.key = "jwt", .kind = OPTION_CUSTOM, .read = read_jwt},
    {.key = "clients_file",
     .kind = OPTION_PATH,
     .offset = OFFSET(config, clients_file),
     .is_required = true},
    {.key = "operations_file",
     .kind = OPTION_PATH,
     .offset = OFFSET(config, operations_file)},
    {.key = "cache", .kind = OPTION_CUSTOM, .read = read_cache},
    {.key = "audit",
     .kind = OPTION_OBJECT,
     .offset = OFFSET(config, audit),
     .nested = audit_options},
    {.key = "limits",
     .kind = OPTION_OBJECT,
     .offset = OFFSET(config, limits),
     .nested = limit_options},
    {.key = "log",
     .kind = OPTION_OBJECT,
     .offset = OFFSET(config, log),
     .nested = log_options},
    {.key = "cluster", .kind = OPTION_CUSTOM, .read = read_cluster},
    {0},
};

static const char *const every_scope[] = {"*"};

static const struct config defaults = {
    .upstream = {.url = "https://api.paperspace.com",
                 .is_tls = true,
                 .host = "api.paperspace.com",
                 .authority = "api.paperspace.com",
                 .port = 443,
                 .connect_timeout_ms = 5 * SECOND,
                 .response_timeout_ms = 60 * SECOND,
                 .idle_timeout_ms = 50 * SECOND,
                 .max_connections = 256},
    .cache = {.memory_bytes = 64 * MIB,
              .stale_after_ms = SECOND,
              .unknown_hold_ms = 60 * SECOND,
              .other_invalidates = every_scope,
              .other_invalidates_count = 1},
    .audit = {.timeout_ms = 5 * SECOND, .rotate_bytes = 100 * MIB},
    .limits = {.header_bytes = 32 * KIB,
               .headers = 128,
               .connections = 10000,
               .audited_body_bytes = MIB,
               .audited_bodies_total_bytes = 64 * MIB,
               .header_timeout_ms = 10 * SECOND,
               .body_timeout_ms = 30 * SECOND,
               .send_timeout_ms = 30 * SECOND,
               .keepalive_timeout_ms = 75 * SECOND,
               .tunnel_idle_timeout_ms = 600 * SECOND,
               .drain_timeout_ms = 30 * SECOND},
    .log = {.level = LOG_INFO, .format = LOG_JSON, .access = true},
};

static struct config_listen default_listen = {
    .address = "127.0.0.1:8080", .host = "127.0.0.1", .port = 8080, .mode = 0660};

bool config_is_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;

    if (inet_pton(AF_INET, host, &four) == 1)
        return (ntohl(four.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* What no single option's row can say. */
static void check_upstream(struct document *document, const struct config *config)
{
    const struct place root = {0};
    const struct place upstream = {.parent = &root, .key = "upstream"};
    const struct place url = {.parent = &upstream, .key = "url"};

    if (!config->upstream.is_tls && !config->upstream.allow_plaintext &&
        !config_is_loopback(config->upstream.host))
        document_problem(document, &url,
                         "the API key would cross the network readable (use https://, or "
                         "add \"allow_plaintext\": true beside the url)");
}

static void check_limits(struct document *document, const struct config_limits *limits)
{
    const struct place root = {0};
    const struct place section = {.parent = &root, .key = "limits"};
    const struct place burst = {.parent = &section, .key = "upstream_burst"};

    if (limits->upstream_burst != 0 && limits->upstream_rate.count == 0)
        document_problem(document, &burst,
                         "is without effect (add \"upstream_rate\" beside it)");
}

/* The trail's folder is "audit" beside the file where nothing else is said. */
static void default_audit_directory(struct config *config)
{
    const char *slash = strrchr(config->path, '/');
    struct text path = {0};

    if (config->audit.directory != NULL)
        return;
    if (slash != NULL)
        text_add(&path, span_make(config->path, (size_t)(slash - config->path) + 1));
    text_add(&path, SPAN("audit"));
    config->audit.directory = arena_copy(&config->arena, span_make(path.bytes, path.len));
    text_fini(&path);
}

struct config *config_load(const char *path, struct problems *problems)
{
    struct config *config = calloc(1, sizeof(*config));
    const struct place root = {0};
    struct document document;
    unsigned before = problems->count;

    if (config == NULL) {
        problems_add(problems, path, "out of memory");
        return NULL;
    }
    *config = defaults;
    config->listen = &default_listen;
    config->listen_count = 1;
    config->path = arena_copy(&config->arena, span_of(path));
    if (document_load(&document, path, FILE_PUBLIC, &config->arena, problems)) {
        config->text = span_make(
            arena_copy(&config->arena, span_make(document.text.bytes, document.text.len)),
            document.text.len);
        document_read_object(&document, &root, document.root, config_options, config);
        if (json_is_object(document.root)) {
            check_upstream(&document, config);
            check_limits(&document, &config->limits);
        }
        default_audit_directory(config);
    }
    document_fini(&document);
    if (problems->count == before)
        return config;
    config_free(config);
    return NULL;
}

void config_problem(const struct config *config, struct problems *problems,
                    const struct place *place, const char *format, ...)
{
    struct document document = {.path = config->path, .problems = problems};
    char message[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    text_add(&document.text, config->text);
    document_problem(&document, place, "%s", message);
    document_fini(&document);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    arena_fini(&config->arena);
    free(config);
}

const struct config_credential *config_find_credential(const struct config *config,
                                                       const char *name)
{
    for (size_t i = 0; i < config->credential_count; i++) {
        if (strcmp(config->credentials[i].name, name) == 0)
            return &config->credentials[i];
    }
    return NULL;
}
