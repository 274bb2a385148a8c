#include "config/cluster.h"

#include <sys/un.h>

#include "config/address.h"

#define OFFSET(type, field) offsetof(struct type, field)

enum {
    REDIS_PORT = 6379,
    MOST_DATABASE = 9999,
    MOST_PREFIX_BYTES = 64,
    LEAST_STALENESS_MS = 100,
    MOST_STALENESS_MS = 60000,
};

static const char shape[] =
    "is none of redis://HOST[:PORT][/DB], rediss://HOST[:PORT][/DB] and unix:/PATH (such "
    "as \"rediss://redis.example:6379\" or \"unix:/run/redis/redis.sock\")";

static bool parse_path(struct arena *arena, const char *path,
                       struct config_cluster *cluster, struct error *error)
{
    if (path[0] != '/' || path[1] == '\0')
        return error_set(error, "%s", shape);
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return error_set(error, "is longer than a unix socket's path may be (107 bytes)");
    cluster->path = arena_copy(arena, span_of(path));
    return cluster->path != NULL || error_set(error, "out of memory");
}

/* "/3", or nothing. */
static bool parse_database(struct span text, struct config_cluster *cluster)
{
    uint64_t number;

    if (text.len == 0 || (text.len == 1 && text.at[0] == '/'))
        return true;
    if (!span_to_number(span_make(text.at + 1, text.len - 1), MOST_DATABASE, &number))
        return false;
    cluster->database = (int)number;
    return true;
}

static bool parse_url(struct arena *arena, const char *url,
                      struct config_cluster *cluster, struct error *error)
{
    struct span text = span_of(url), authority;
    const char *slash;

    if (span_starts_with(text, SPAN("unix:")))
        return parse_path(arena, url + 5, cluster, error);
    cluster->is_tls = span_starts_with(text, SPAN("rediss://"));
    if (!cluster->is_tls && !span_starts_with(text, SPAN("redis://")))
        return error_set(error, "%s", shape);
    authority = span_of(strstr(url, "//") + 2);
    if (memchr(authority.at, '@', authority.len) != NULL)
        return error_set(error, "has a name or a password in it: put the password into a "
                                "file of its own and name that in password_file");
    slash = memchr(authority.at, '/', authority.len);
    if (slash != NULL) {
        size_t len = (size_t)(slash - authority.at);

        if (!parse_database(span_make(slash, authority.len - len), cluster))
            return error_set(error, "%s", shape);
        authority.len = len;
    }
    cluster->port = REDIS_PORT;
    return address_parse_authority(arena, authority, &cluster->host, &cluster->port,
                                   error) ||
           error_set(error, "%s", shape);
}

static void read_redis(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct config_cluster *cluster = target;
    struct error error;

    if (!json_is_string(value))
        document_problem(document, place,
                         "must be a string such as \"rediss://redis.example:6379\"");
    else if (!parse_url(document->arena, json_string_value(value), cluster, &error))
        document_problem(document, place, "%s", error.text);
    else
        cluster->redis = arena_copy(document->arena, span_of(json_string_value(value)));
}

static void read_prefix(struct document *document, const struct place *place,
                        json_t *value, void *target)
{
    struct config_cluster *cluster = target;
    const char *prefix = json_string_value(value);
    size_t len = prefix != NULL ? strlen(prefix) : 0;
    bool is_good = len > 0 && len <= MOST_PREFIX_BYTES;

    for (size_t i = 0; i < len; i++)
        is_good = is_good && prefix[i] > ' ' && prefix[i] < 0x7f;
    if (is_good)
        cluster->prefix = arena_copy(document->arena, span_of(prefix));
    else
        document_problem(document, place,
                         "must be 1 to %d printable ASCII characters without spaces "
                         "(such as \"psgate:\")",
                         MOST_PREFIX_BYTES);
}

static const struct document_option options[] = {
    {.key = "redis", .kind = OPTION_CUSTOM, .read = read_redis, .is_required = true},
    {.key = "ca_file", .kind = OPTION_PATH, .offset = OFFSET(config_cluster, ca_file)},
    {.key = "password_file",
     .kind = OPTION_PATH,
     .offset = OFFSET(config_cluster, password_file)},
    {.key = "prefix", .kind = OPTION_CUSTOM, .read = read_prefix},
    {.key = "max_staleness",
     .kind = OPTION_DURATION,
     .offset = OFFSET(config_cluster, max_staleness_ms),
     .min = LEAST_STALENESS_MS,
     .max = MOST_STALENESS_MS},
    {0},
};

void config_read_cluster(struct document *document, const struct place *place,
                         json_t *value, struct config_cluster *cluster)
{
    const struct place ca_file = {.parent = place, .key = "ca_file"};

    if (json_is_null(value))
        return;
    *cluster = (struct config_cluster){.prefix = "psgate:", .max_staleness_ms = 2000};
    document_read_object(document, place, value, options, cluster);
    if (cluster->redis != NULL && cluster->ca_file != NULL && !cluster->is_tls)
        document_problem(document, &ca_file,
                         "is only for rediss:// (use that, or remove it)");
}

static bool is_same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

bool config_is_same_cluster(const struct config_cluster *one,
                            const struct config_cluster *other)
{
    return is_same_text(one->redis, other->redis) &&
           is_same_text(one->ca_file, other->ca_file) &&
           is_same_text(one->password_file, other->password_file) &&
           is_same_text(one->prefix, other->prefix) &&
           one->max_staleness_ms == other->max_staleness_ms;
}
