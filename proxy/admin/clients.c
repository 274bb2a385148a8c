#include "admin/show.h"

#include <string.h>

#include "base/clock.h"

static void put(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value);
}

static json_t *show_words(const char *const *words, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_string(words[i]));
    return list;
}

static void put_identities(json_t *shown, const struct client *client)
{
    json_t *list = json_array();

    if (client->has_token)
        (void)json_array_append_new(list, json_string("token"));
    if (client->tls_subject != NULL)
        (void)json_array_append_new(list, json_string("certificate"));
    if (client->has_uid || client->has_gid)
        (void)json_array_append_new(list, json_string("uid"));
    if (client->jwt.issuer != NULL)
        (void)json_array_append_new(list, json_string("jwt"));
    put(shown, "identities", list);
}

static json_t *show_rate(const struct units_rate *rate)
{
    const char *period = rate->period_s == 3600 ? "h" : rate->period_s == 60 ? "m" : "s";

    if (rate->count == 0)
        return json_null();
    return json_sprintf("%lld/%s", (long long)rate->count, period);
}

/* The counts are of the clock that only goes forward; people read the other one. */
static json_t *show_last(int64_t last_us)
{
    char text[CLOCK_TEXT_BYTES];

    if (last_us == 0)
        return json_null();
    clock_format_utc(clock_wall_ms() - (clock_monotonic_us() - last_us) / 1000, text);
    return json_string(text);
}

static json_t *show_client(struct metrics *metrics, const struct client *client)
{
    json_t *shown = json_object();
    struct metrics_usage usage;

    metrics_read_client(metrics, client, &usage);
    put(shown, "name", json_string(client->name));
    put_identities(shown, client);
    put(shown, "allow", show_words(client->allow, client->allow_count));
    put(shown, "deny", show_words(client->deny, client->deny_count));
    put(shown, "teams", show_words(client->teams, client->team_count));
    put(shown, "credential", json_string(client->credential));
    put(shown, "expires",
        client->expires != NULL ? json_string(client->expires) : json_null());
    put(shown, "rate", show_rate(&client->limits.rate));
    put(shown, "admin", json_boolean(client->is_admin));
    put(shown, "last_seen", show_last(usage.last_us));
    put(shown, "requests", json_integer((json_int_t)usage.requests));
    put(shown, "refused", json_integer((json_int_t)usage.refused));
    return shown;
}

json_t *show_clients(struct gateway *gateway)
{
    struct snapshot *snapshot = gateway_take_snapshot(gateway);
    struct metrics *metrics = gateway_stations(gateway)->metrics;
    json_t *list = json_array();

    for (size_t i = 0; i < snapshot->clients->count; i++)
        (void)json_array_append_new(list,
                                    show_client(metrics, &snapshot->clients->clients[i]));
    snapshot_unref(snapshot);
    return json_pack("{s:o}", "clients", list);
}
