#include "config/jwt.h"

#include "config/address.h"

#define OFFSET(field) offsetof(struct config_jwt, field)

#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

static const char shape[] =
    "is not https://HOST[:PORT]/PATH (such as "
    "\"https://token.actions.githubusercontent.com/.well-known/jwks\")";

/* Visible ASCII only, and nothing that two readers of URLs may read in two ways. */
static bool is_plain(struct span url)
{
    for (size_t i = 0; i < url.len; i++) {
        if (url.at[i] <= 0x20 || url.at[i] >= 0x7f || strchr("\\#@\"<>^`{|}", url.at[i]))
            return false;
    }
    return true;
}

static bool parse_url(struct arena *arena, const char *url, struct error *error)
{
    struct span text = span_of(url);
    bool is_tls = span_starts_with(text, SPAN("https://"));
    const char *host, *slash;
    uint16_t port = 0;

    if ((!is_tls && !span_starts_with(text, SPAN("http://"))) || !is_plain(text))
        return error_set(error, "%s", shape);
    text = span_of(url + (is_tls ? 8 : 7));
    slash = memchr(text.at, '/', text.len);
    if (slash == NULL ||
        !address_parse_authority(arena, span_make(text.at, (size_t)(slash - text.at)),
                                 &host, &port, error))
        return error_set(error, "%s", shape);
    if (!is_tls && !config_is_loopback(host))
        return error_set(error, "keys that come over plain HTTP can be exchanged on the "
                                "way (use https://; http:// is for literal loopback "
                                "addresses)");
    return true;
}

static void read_url(struct document *document, const struct place *place, json_t *value,
                     void *target)
{
    struct config_jwt *jwt = target;
    const char *url = json_string_value(value);
    struct error error;

    if (json_is_null(value))
        return;
    if (url == NULL || strlen(url) != json_string_length(value))
        document_problem(document, place, "%s", shape);
    else if (!parse_url(document->arena, url, &error))
        document_problem(document, place, "%s", error.text);
    else
        jwt->jwks_url = arena_copy(document->arena, span_of(url));
}

static void read_audience(struct document *document, const struct place *place,
                          json_t *value, void *target)
{
    struct config_jwt *jwt = target;

    document_read_strings(document, place, value, &jwt->audience, &jwt->audience_count);
    if (json_is_array(value) && json_array_size(value) == 0)
        document_problem(document, place,
                         "must name at least one audience (what the tokens' \"aud\" "
                         "says, such as \"psgate\")");
}

static const struct document_option jwt_options[] = {
    {.key = "issuer",
     .kind = OPTION_STRING,
     .offset = OFFSET(issuer),
     .is_required = true},
    {.key = "audience",
     .kind = OPTION_CUSTOM,
     .read = read_audience,
     .is_required = true},
    {.key = "jwks_url", .kind = OPTION_CUSTOM, .read = read_url},
    {.key = "jwks_file", .kind = OPTION_PATH, .offset = OFFSET(jwks_file)},
    {.key = "ca_file", .kind = OPTION_PATH, .offset = OFFSET(ca_file)},
    {.key = "leeway",
     .kind = OPTION_DURATION,
     .offset = OFFSET(leeway_ms),
     .min = 0,
     .max = 10 * MINUTE},
    {.key = "refresh",
     .kind = OPTION_DURATION,
     .offset = OFFSET(refresh_ms),
     .min = SECOND,
     .max = 168 * HOUR},
    {0},
};

/* null is as good as absent. */
static bool has_member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return value != NULL && !json_is_null(value);
}

/* What no single option's row can say. */
static void check_source(struct document *document, const struct place *place,
                         const json_t *value)
{
    const struct place ca_file = {.parent = place, .key = "ca_file"};
    bool has_url = has_member(value, "jwks_url");

    if (!json_is_object(value))
        return;
    if (has_url == has_member(value, "jwks_file"))
        document_problem(document, place,
                         has_url ? "has both jwks_url and jwks_file (one is enough)"
                                 : "says not where the issuer's keys are (add jwks_url "
                                   "or jwks_file)");
    else if (!has_url && has_member(value, "ca_file"))
        document_problem(document, &ca_file, "is only for jwks_url (remove it)");
}

static void check_unique(struct document *document, const struct place *place,
                         const struct config_jwt *list, size_t count)
{
    const struct place issuer = {.parent = place, .key = "issuer"};

    for (size_t i = 0; list[count].issuer != NULL && i < count; i++) {
        if (list[i].issuer != NULL && strcmp(list[i].issuer, list[count].issuer) == 0)
            document_problem(document, &issuer,
                             "is the issuer of jwt[%zu] too (put both into one)", i);
    }
}

void config_read_jwt(struct document *document, const struct place *place, json_t *value,
                     const struct config_jwt **list, size_t *count)
{
    size_t size = json_array_size(value);
    struct config_jwt *issuers;

    *list = NULL;
    *count = 0;
    if (json_is_null(value))
        return;
    if (!json_is_array(value) || size > CONFIG_MOST_ISSUERS) {
        document_problem(document, place,
                         "must be an array of at most %d objects, one an issuer",
                         CONFIG_MOST_ISSUERS);
        return;
    }
    issuers = arena_alloc(document->arena, (size + 1) * sizeof(*issuers));
    if (issuers == NULL) {
        document_problem(document, place, "out of memory");
        return;
    }
    for (size_t i = 0; i < size; i++) {
        const struct place element = {.parent = place, .index = i};
        json_t *object = json_array_get(value, i);

        issuers[i] =
            (struct config_jwt){.leeway_ms = 60 * SECOND, .refresh_ms = 5 * MINUTE};
        document_read_object(document, &element, object, jwt_options, &issuers[i]);
        check_source(document, &element, object);
        check_unique(document, &element, issuers, i);
    }
    *list = issuers;
    *count = size;
}
