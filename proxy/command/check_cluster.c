#include "cluster/trial.h"
#include "command/check_parts.h"
#include "command/terminal.h"

/* As for upstream: what does not answer just now is none of the configuration's faults.
 */
void check_cluster(struct findings *findings, const struct snapshot *snapshot)
{
    const struct config_cluster *config = &snapshot->config->cluster;
    const struct place root = {0};
    const struct place section = {.parent = &root, .key = "cluster"};
    const struct place place = {.parent = &section, .key = "redis"};
    struct terminal_status status;
    struct error error = {.text = ""};
    enum cluster_trial result;

    if (config->redis == NULL)
        return;
    terminal_status_init(&status);
    terminal_status_show(&status, "asking Redis at %s", config->redis);
    result = cluster_try(config, &error);
    terminal_status_erase(&status);
    switch (result) {
    case CLUSTER_TRIAL_GOOD:
        findings_add(findings, FINDING_OK, &place, NULL, "%s answers%s", config->redis,
                     config->is_tls ? ", and its certificate is verified" : "");
        break;
    case CLUSTER_TRIAL_REFUSED:
        findings_add(findings, FINDING_PROBLEM, &place,
                     "check the address, cluster.ca_file and cluster.password_file",
                     "Redis is of no use: %s", error.text);
        break;
    case CLUSTER_TRIAL_UNREACHABLE:
        findings_add(findings, FINDING_WARNING, &place,
                     "start it or check the network, or use --offline", "not reached: %s",
                     error.text);
        break;
    }
}
