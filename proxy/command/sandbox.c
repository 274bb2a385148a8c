#include <assert.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "access/credential.h"
#include "base/arena.h"
#include "command/command.h"
#include "config/address.h"
#include "config/units.h"
#include "sandbox/sandbox.h"

static const char help[] =
    "Usage: psgate sandbox [--listen HOST:PORT] [--api-key-file FILE] [--delay D]\n"
    "                      [--fail-rate P]\n\n"
    "Serves the nine operations of the API from memory, for tests and demonstrations:\n"
    "a team with members and secrets, gone when it stops.\n\n"
    "  --listen HOST:PORT   where (default: 127.0.0.1:0, any free port)\n"
    "  --api-key-file FILE  the key that is right (default: any key is)\n"
    "  --delay D            hold each answer back, such as 250ms\n"
    "  --fail-rate P        answer this share of requests with 500, 0 to 1\n"
    "  -h, --help           this text\n";

struct request {
    const char *listen, *key_file;
    int64_t delay_ms;
    double fail_rate;
};

static bool parse_rate(const char *text, double *rate)
{
    char *end;

    *rate = strtod(text, &end);
    return end != text && *end == '\0' && *rate >= 0 && *rate <= 1;
}

/* Until a signal says so; the sandbox serves on its own thread. */
static void wait_for_stop(const sigset_t *signals)
{
    int number;

    (void)sigwait(signals, &number);
}

static int fail(int status, const char *text)
{
    (void)fprintf(stderr, "psgate sandbox: %s\n", text);
    return status;
}

static int serve(struct sandbox_options *options, const char *host)
{
    bool is_six = strchr(host, ':') != NULL;
    struct sandbox *sandbox;
    struct error error;
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    sandbox = sandbox_start(options, &error);
    if (sandbox == NULL)
        return fail(EXIT_FAILED, error.text);
    (void)printf("listening on http://%s%s%s:%u\n", is_six ? "[" : "", host,
                 is_six ? "]" : "", sandbox_port(sandbox));
    (void)fflush(stdout);
    wait_for_stop(&signals);
    sandbox_stop(sandbox);
    return EXIT_FINE;
}

static int run(const struct request *request)
{
    struct sandbox_options options = {.delay_ms = request->delay_ms,
                                      .fail_rate = request->fail_rate};
    struct arena arena = {0};
    struct secret *key = NULL;
    struct span key_span;
    struct error error;
    int status;

    if (request->key_file != NULL) {
        key = credential_read_file(request->key_file, &error);
        if (key == NULL)
            return fail(EXIT_CONFIG, error.text);
        key_span = secret_span(key);
        options.api_keys = &key_span;
        options.api_key_count = 1;
    }
    if (address_parse_host_port(&arena, span_of(request->listen), &options.host,
                                &options.port, &error)) {
        status = serve(&options, options.host);
    } else {
        (void)fprintf(stderr, "psgate sandbox: --listen %s %s\n", request->listen,
                      error.text);
        status = EXIT_USAGE;
    }
    secret_free(key);
    arena_fini(&arena);
    return status;
}

int command_sandbox(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"api-key-file", required_argument, NULL, 'k'},
        {"delay", required_argument, NULL, 'd'},
        {"fail-rate", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct request request = {.listen = "127.0.0.1:0"};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            assert(optarg != NULL); /* the option requires it */
            request.listen = optarg;
            break;
        case 'k':
            request.key_file = optarg;
            break;
        case 'd':
            if (!units_parse_duration(span_of(optarg), &request.delay_ms))
                return command_misused("sandbox", "--delay takes a time such as 250ms");
            break;
        case 'f':
            if (!parse_rate(optarg, &request.fail_rate))
                return command_misused("sandbox", "--fail-rate takes 0 to 1");
            break;
        case 'h':
            (void)fputs(help, stdout);
            return EXIT_FINE;
        default:
            return command_bad_option("sandbox", argv);
        }
    }
    if (optind < argc)
        return command_misused("sandbox", "takes no arguments but options");
    return run(&request);
}
