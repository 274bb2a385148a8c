#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "command/check_parts.h"

#define DAY_MS INT64_C(86400000)

/* A name may have several entries: it goes on as long as one of them does. */
static int64_t ends_at(const struct client_set *set, const char *name)
{
    int64_t end_ms = INT64_MIN;

    for (size_t i = 0; i < set->count; i++) {
        const struct client *client = &set->clients[i];

        if (strcmp(client->name, name) == 0 && client->expires_ms > end_ms)
            end_ms = client->expires_ms;
    }
    return end_ms;
}

static bool is_first_of_name(const struct client_set *set, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(set->clients[i].name, set->clients[index].name) == 0)
            return false;
    }
    return true;
}

static void report_end(struct findings *findings, const struct place *place,
                       const struct client *client, int64_t end_ms, int64_t now_ms)
{
    static const char renew[] =
        "make a new token (psgate token create), or remove the client (psgate token "
        "revoke)";
    char time[CLOCK_TEXT_BYTES];

    clock_format_utc(end_ms, time);
    if (end_ms <= now_ms)
        findings_add(findings, FINDING_WARNING, place, renew,
                     "the client \"%s\" has expired on %.10s", client->name, time);
    else
        findings_add(findings, FINDING_WARNING, place, renew,
                     "the client \"%s\" expires on %.10s, in %" PRId64 " days",
                     client->name, time, (end_ms - now_ms) / DAY_MS);
}

static void check_clients(struct findings *findings, const struct place *place,
                          const struct client_set *set)
{
    int64_t now_ms = clock_wall_ms();
    size_t ending = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct client *client = &set->clients[i];
        int64_t end_ms = ends_at(set, client->name);

        if (!is_first_of_name(set, i) || end_ms - CHECK_NOTICE_DAYS * DAY_MS > now_ms)
            continue;
        report_end(findings, place, client, end_ms, now_ms);
        ending++;
    }
    if (set->count == 0)
        findings_add(findings, FINDING_WARNING, place,
                     "make a token for one (psgate token create)",
                     "names no client: nobody can use the gateway");
    else if (ending == 0)
        findings_add(findings, FINDING_OK, place, NULL, "%zu client%s, none expired",
                     set->count, set->count == 1 ? "" : "s");
}

void check_access(struct findings *findings, const struct snapshot *snapshot)
{
    const struct place root = {0};
    const struct place clients = {.parent = &root, .key = "clients_file"};
    const struct place operations = {.parent = &root, .key = "operations_file"};
    const char *file = snapshot->config->operations_file;

    check_clients(findings, &clients, snapshot->clients);
    findings_add(findings, FINDING_OK, &operations, NULL, "%zu operations%s",
                 snapshot->operations->count, file == NULL ? ", built in" : "");
}
