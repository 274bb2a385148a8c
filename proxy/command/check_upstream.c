#include <stdio.h>

#include "command/check_parts.h"
#include "command/probe.h"
#include "command/terminal.h"

/* What one after another of the keys has shown about the upstream. */
struct upstream {
    struct findings *findings;
    const struct snapshot *snapshot;
    bool is_reached;
    enum probe_result worst;
    char detail[256]; /* of the worst */
};

static void check_key(struct upstream *upstream, const struct place *place,
                      const struct credential *credential, int slot)
{
    /* A next key may be one that is not in force yet. */
    enum finding_mark mark = slot == 0 ? FINDING_PROBLEM : FINDING_WARNING;
    char detail[256];
    enum probe_result result =
        probe_credential(upstream->snapshot, credential, slot, detail, sizeof(detail));

    switch (result) {
    case PROBE_ACCEPTED:
        findings_add(upstream->findings, FINDING_OK, place, NULL, "%s", detail);
        break;
    case PROBE_REFUSED:
        findings_add(upstream->findings, mark, place, "put a valid API key in its place",
                     "%s", detail);
        break;
    case PROBE_UNVERIFIED:
    case PROBE_UNREACHABLE:
        if (upstream->worst != PROBE_UNVERIFIED) {
            upstream->worst = result;
            (void)snprintf(upstream->detail, sizeof(upstream->detail), "%s", detail);
        }
        findings_add(upstream->findings, FINDING_OK, place, NULL,
                     "read; upstream could not be asked");
        return;
    }
    upstream->is_reached = true;
}

static void check_keys(struct upstream *upstream)
{
    const struct credential_set *set = upstream->snapshot->credentials;
    const struct place root = {0};
    const struct place section = {.parent = &root, .key = "credentials"};
    struct terminal_status status;

    terminal_status_init(&status);
    for (size_t i = 0; i < set->count; i++) {
        const struct credential *credential = &set->credentials[i];
        const struct place place = {.parent = &section, .key = credential->name};
        const struct place next = {.parent = &place, .key = "next_api_key_file"};

        terminal_status_show(&status, "asking %s about the API key \"%s\"",
                             upstream->snapshot->config->upstream.url, credential->name);
        check_key(upstream, &place, credential, 0);
        if (credential->api_keys[1] != NULL)
            check_key(upstream, &next, credential, 1);
    }
    terminal_status_erase(&status);
}

/*
 * A certificate that is not accepted is a fault. A network that does not answer just now
 * is none of the configuration's.
 */
static void report_upstream(const struct upstream *upstream)
{
    const struct config_upstream *config = &upstream->snapshot->config->upstream;
    const struct place root = {0};
    const struct place section = {.parent = &root, .key = "upstream"};
    const struct place url = {.parent = &section, .key = "url"};

    if (upstream->worst == PROBE_UNVERIFIED)
        findings_add(upstream->findings, FINDING_PROBLEM, &url, "check upstream.ca_file",
                     "the certificate is not accepted: %s", upstream->detail);
    else if (upstream->worst == PROBE_UNREACHABLE)
        findings_add(upstream->findings, FINDING_WARNING, &url,
                     "check the network, or use --offline", "not checked: %s",
                     upstream->detail);
    else if (upstream->is_reached)
        findings_add(upstream->findings, FINDING_OK, &url, NULL, "%s is reached%s",
                     config->url, config->is_tls ? ", and its certificate verified" : "");
}

static void report_unasked(struct findings *findings, const struct snapshot *snapshot)
{
    const struct place root = {0};
    const struct place section = {.parent = &root, .key = "credentials"};

    for (size_t i = 0; i < snapshot->credentials->count; i++) {
        const struct credential *credential = &snapshot->credentials->credentials[i];
        const struct place place = {.parent = &section, .key = credential->name};

        findings_add(findings, FINDING_OK, &place, NULL, "%s; not tried (--offline)",
                     credential->api_keys[1] != NULL ? "two keys, read" : "a key, read");
    }
}

void check_upstream(struct findings *findings, const struct snapshot *snapshot,
                    bool is_offline)
{
    struct upstream upstream = {
        .findings = findings, .snapshot = snapshot, .worst = PROBE_ACCEPTED};

    if (is_offline) {
        report_unasked(findings, snapshot);
        return;
    }
    check_keys(&upstream);
    report_upstream(&upstream);
}
