#include "access/client_members.h"

#include "access/certificate.h"
#include "base/clock.h"

#define OFFSET(field) offsetof(struct client, field)

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_digest(const char *text, unsigned char digest[TOKEN_DIGEST_BYTES])
{
    if (strlen(text) != (size_t)TOKEN_DIGEST_BYTES * 2)
        return false;
    for (size_t i = 0; i < TOKEN_DIGEST_BYTES; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static void read_digest(struct document *document, const struct place *place,
                        json_t *value, void *target)
{
    struct client *client = target;

    if (!json_is_string(value) || !parse_digest(json_string_value(value), client->digest))
        document_problem(document, place,
                         "must be the token's SHA-256 in 64 hexadecimal digits (psgate "
                         "token create writes it)");
    else
        client->has_token = true;
}

static void read_expires(struct document *document, const struct place *place,
                         json_t *value, void *target)
{
    struct client *client = target;
    const char *text = json_string_value(value);

    if (json_is_null(value))
        return;
    if (text == NULL || !clock_parse_utc(text, strlen(text), &client->expires_ms))
        document_problem(document, place,
                         "must be a time in UTC (such as \"2027-01-31T00:00:00Z\")");
    else
        client->expires = arena_copy(document->arena, span_of(text));
}

static void read_created(struct document *document, const struct place *place,
                         json_t *value, void *target)
{
    int64_t when;
    const char *text = json_string_value(value);

    (void)target;
    if (text == NULL || !clock_parse_utc(text, strlen(text), &when))
        document_problem(document, place,
                         "must be a time in UTC (such as \"2026-11-23T12:00:00Z\")");
}

static void read_allow(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct client *client = target;

    client->has_default_allow = false;
    document_read_strings(document, place, value, &client->allow, &client->allow_count);
}

static void read_deny(struct document *document, const struct place *place, json_t *value,
                      void *target)
{
    struct client *client = target;

    document_read_strings(document, place, value, &client->deny, &client->deny_count);
}

static void read_teams(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct client *client = target;

    document_read_strings(document, place, value, &client->teams, &client->team_count);
}

static void read_jwt(struct document *document, const struct place *place, json_t *value,
                     void *target)
{
    client_jwt_read(document, place, value, &((struct client *)target)->jwt);
}

static void read_burst(struct document *document, const struct place *place,
                       json_t *value, void *target)
{
    struct client *client = target;

    document_read_burst(document, place, value, &client->limits.burst);
}

static void read_concurrency(struct document *document, const struct place *place,
                             json_t *value, void *target)
{
    struct client *client = target;

    document_read_burst(document, place, value, &client->limits.concurrency);
}

static void read_subject(struct document *document, const struct place *place,
                         json_t *value, void *target)
{
    struct client *client = target;
    const char *text = json_string_value(value);
    struct span subject = span_make(text, text != NULL ? json_string_length(value) : 0);
    struct text names = {0};
    struct error error;

    if (json_is_null(value))
        return;
    if (text == NULL) {
        document_problem(document, place, "must be a string (a subject or SAN)");
    } else if (!certificate_parse_subject(subject, &names, &error)) {
        document_problem(document, place, "%s", error.text);
    } else {
        client->tls_subject = arena_copy(document->arena, subject);
        client->certificate_names = span_make(
            arena_copy(document->arena, span_make(names.bytes, names.len)), names.len);
        if (client->tls_subject == NULL || client->certificate_names.at == NULL)
            document_problem(document, place, "out of memory");
    }
    text_fini(&names);
}

/* The highest number is no id: the kernel's calls take it for "unchanged". */
static bool read_id(struct document *document, const struct place *place, json_t *value,
                    uint32_t *id)
{
    if (json_is_null(value))
        return false;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >= UINT32_MAX) {
        document_problem(document, place,
                         "must be a whole number (id -u and id -g print them)");
        return false;
    }
    *id = (uint32_t)json_integer_value(value);
    return true;
}

static void read_uid(struct document *document, const struct place *place, json_t *value,
                     void *target)
{
    struct client *client = target;

    client->has_uid = read_id(document, place, value, &client->uid);
}

static void read_gid(struct document *document, const struct place *place, json_t *value,
                     void *target)
{
    struct client *client = target;

    client->has_gid = read_id(document, place, value, &client->gid);
}

static const struct document_option client_options[] = {
    {.key = "name", .kind = OPTION_STRING, .offset = OFFSET(name), .is_required = true},
    {.key = "token_sha256", .kind = OPTION_CUSTOM, .read = read_digest},
    {.key = "jwt", .kind = OPTION_CUSTOM, .read = read_jwt},
    {.key = "created", .kind = OPTION_CUSTOM, .read = read_created},
    {.key = "expires", .kind = OPTION_CUSTOM, .read = read_expires},
    {.key = "credential", .kind = OPTION_STRING, .offset = OFFSET(credential)},
    {.key = "allow", .kind = OPTION_CUSTOM, .read = read_allow},
    {.key = "deny", .kind = OPTION_CUSTOM, .read = read_deny},
    {.key = "teams", .kind = OPTION_CUSTOM, .read = read_teams},
    {.key = "rate", .kind = OPTION_RATE, .offset = OFFSET(limits.rate)},
    {.key = "burst", .kind = OPTION_CUSTOM, .read = read_burst},
    {.key = "concurrency", .kind = OPTION_CUSTOM, .read = read_concurrency},
    {.key = "tls_subject", .kind = OPTION_CUSTOM, .read = read_subject},
    {.key = "uid", .kind = OPTION_CUSTOM, .read = read_uid},
    {.key = "gid", .kind = OPTION_CUSTOM, .read = read_gid},
    {.key = "admin", .kind = OPTION_BOOL, .offset = OFFSET(is_admin)},
    {0},
};

void client_read_members(struct document *document, const struct place *place,
                         json_t *value, struct client *client)
{
    document_read_object(document, place, value, client_options, client);
}
