#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "base/secret.h"
#include "command/command.h"
#include "command/explain.h"
#include "command/probe.h"
#include "gateway/snapshot.h"

static const char help[] =
    "Usage: psgate check [-c FILE] [--offline]\n"
    "       psgate check [-c FILE] --explain METHOD PATH --client NAME\n\n"
    "Loads a configuration and all the files it names as serve would, prints every\n"
    "problem, and asks the upstream whether it accepts the keys. Changes nothing.\n"
    "--explain says instead what the gateway would do with a request of the client's,\n"
    "and which rule decides; offline. Exit status: 0 allowed, 1 refused.\n\n"
    "  -c, --config FILE  the configuration (default: " DEFAULT_CONFIG ")\n"
    "      --offline      do not contact the upstream\n"
    "      --explain METHOD PATH  which request, such as GET /v1/teams/t1/users\n"
    "      --client NAME  whose request it is\n"
    "  -h, --help         this text\n";

/*
 * A key that is refused and a certificate that is not accepted are faults. A network that
 * does not answer just now is none of the configuration's.
 */
static int check_credential(const struct snapshot *snapshot,
                            const struct credential *credential)
{
    char detail[256];
    enum probe_result result =
        probe_credential(snapshot, credential, detail, sizeof(detail));
    const char *path = snapshot->config->path;

    switch (result) {
    case PROBE_ACCEPTED:
        (void)printf("%s: credentials.%s: %s\n", path, credential->name, detail);
        return EXIT_FINE;
    case PROBE_UNREACHABLE:
        (void)fprintf(stderr,
                      "%s: upstream.url: warning: not checked: %s (check the "
                      "network, or use --offline)\n",
                      path, detail);
        return EXIT_FINE;
    case PROBE_REFUSED:
        (void)fprintf(stderr,
                      "%s: credentials.%s: %s (put a valid API key in its place)\n", path,
                      credential->name, detail);
        return EXIT_FAILED;
    case PROBE_UNVERIFIED:
        (void)fprintf(stderr,
                      "%s: upstream.url: the certificate is not accepted: %s (check "
                      "upstream.ca_file)\n",
                      path, detail);
        return EXIT_FAILED;
    }
    return EXIT_FAILED;
}

static int check_online(const struct snapshot *snapshot)
{
    int status = EXIT_FINE;

    for (size_t i = 0; i < snapshot->credentials->count; i++) {
        int one = check_credential(snapshot, &snapshot->credentials->credentials[i]);

        status = one != EXIT_FINE ? one : status;
    }
    return status;
}

/* question: NULL for the whole check. */
static int check(const char *path, bool is_offline,
                 const struct explain_question *question)
{
    struct problems problems = {0};
    struct snapshot *snapshot;
    struct error error;
    int status = EXIT_FINE;

    if (!secret_protect_process(&error)) {
        (void)fprintf(stderr, "psgate check: %s\n", error.text);
        return EXIT_FAILED;
    }
    log_configure(LOG_WARN, LOG_TEXT);
    snapshot = snapshot_load(path, NULL, NULL, &problems);
    if (snapshot == NULL) {
        (void)fputs(problems.lines.bytes, stderr);
        problems_fini(&problems);
        return EXIT_CONFIG;
    }
    if (question != NULL) {
        status = explain_request(snapshot, question);
        snapshot_unref(snapshot);
        problems_fini(&problems);
        return status;
    }
    snapshot_warn_inert(snapshot);
    if (!is_offline)
        status = check_online(snapshot);
    if (status == EXIT_FINE)
        (void)printf("%s: good: %zu listeners, %zu operations, %zu clients\n", path,
                     snapshot->config->listen_count, snapshot->operations->count,
                     snapshot->clients->count);
    snapshot_unref(snapshot);
    problems_fini(&problems);
    return status;
}

int command_check(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"offline", no_argument, NULL, 'o'},
        {"explain", required_argument, NULL, 'e'},
        {"client", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct explain_question question = {.method = NULL};
    const char *path = DEFAULT_CONFIG;
    bool is_offline = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'o':
            is_offline = true;
            break;
        case 'e':
            question.method = optarg;
            break;
        case 'n':
            question.client = optarg;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return EXIT_FINE;
        default:
            return command_bad_option("check", argv);
        }
    }
    if (question.method == NULL && question.client == NULL) {
        if (optind < argc)
            return command_misused("check", "takes no arguments but options");
        return check(path, is_offline, NULL);
    }
    if (question.method == NULL || question.client == NULL || optind + 1 != argc)
        return command_misused("check", "--explain takes METHOD PATH and --client NAME");
    question.target = argv[optind];
    return check(path, true, &question);
}
