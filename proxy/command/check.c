#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "base/secret.h"
#include "command/check_parts.h"
#include "command/command.h"
#include "command/explain.h"
#include "gateway/snapshot.h"

static const char help[] =
    "Usage: psgate check [-c FILE] [--offline]\n"
    "       psgate check [-c FILE] --explain METHOD PATH --client NAME\n\n"
    "Loads a configuration and all the files it names as serve would, and prints every\n"
    "problem. If it loads: whether addresses are free, certificates and clients near\n"
    "their end, the audit folder can be written, and the upstream accepts the keys; a\n"
    "table says what to do. Changes nothing. Run it as the user that serves.\n"
    "Exit status: 0 good, 1 a problem, 78 it does not load.\n\n"
    "--explain says instead what the gateway would do with a request of the client's,\n"
    "and which rule decides; offline. Exit status: 0 allowed, 1 refused.\n\n"
    "  -c, --config FILE  the configuration (default: " DEFAULT_CONFIG ")\n"
    "      --offline      do not contact the upstream, nor Redis\n"
    "      --explain METHOD PATH  which request, such as GET /v1/teams/t1/users\n"
    "      --client NAME  whose request it is\n"
    "  -h, --help         this text\n";

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void print_verdict(const struct findings *findings,
                          const struct snapshot *snapshot)
{
    const char *path = snapshot->config->path;
    size_t problems = findings->marks[FINDING_PROBLEM];
    size_t warnings = findings->marks[FINDING_WARNING];

    if (problems > 0)
        (void)printf("%s: %zu problem%s", path, problems, plural(problems));
    else
        (void)printf("%s: good: %zu listeners, %zu operations, %zu clients", path,
                     snapshot->config->listen_count, snapshot->operations->count,
                     snapshot->clients->count);
    if (warnings > 0)
        (void)printf(", %zu warning%s", warnings, plural(warnings));
    (void)putchar('\n');
}

/* What loading alone does not show. */
static int check_parts(const struct snapshot *snapshot, bool is_offline)
{
    struct findings findings;
    int status;

    findings_init(&findings, snapshot->config);
    check_listeners(&findings, snapshot);
    check_tls(&findings, snapshot);
    check_access(&findings, snapshot);
    check_audit(&findings, snapshot);
    check_log(&findings, snapshot);
    check_upstream(&findings, snapshot, is_offline);
    if (!is_offline)
        check_cluster(&findings, snapshot);
    findings_print(&findings);
    print_verdict(&findings, snapshot);
    if (findings.failed)
        (void)fputs("psgate check: out of memory\n", stderr);
    status =
        findings.marks[FINDING_PROBLEM] > 0 || findings.failed ? EXIT_FAILED : EXIT_FINE;
    findings_fini(&findings);
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
    status = check_parts(snapshot, is_offline);
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
