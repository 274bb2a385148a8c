#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "admin/admin.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/log_output.h"
#include "base/secret.h"
#include "command/command.h"
#include "command/service.h"
#include "command/territory.h"
#include "gateway/gateway.h"
#include "net/inherited.h"
#include "net/reserve.h"
#include "sandbox/sandbox.h"

static const char help[] =
    "Usage: psgate serve [-c FILE] [--sandbox] [--unconfined]\n\n"
    "Runs the gateway until SIGTERM or SIGINT, which let requests in flight finish.\n"
    "SIGHUP loads configuration, clients, keys and certificates again, all or\n"
    "nothing. A changed clients file is taken in by itself, within a second.\n"
    "SIGUSR1 opens the log file anew and begins a new file of the audit trail.\n"
    "SIGUSR2 makes the log one level more verbose; behind debug comes the configured\n"
    "one. Under systemd it is a service of Type=notify, with a watchdog, and takes over\n"
    "the sockets that socket units hand it: deploy/systemd has the units.\n\n"
    "  -c, --config FILE  the configuration (default: " DEFAULT_CONFIG ")\n"
    "      --sandbox      serve in front of a built-in sandbox instead of upstream.url\n"
    "      --unconfined   keep all files, system calls and capabilities within reach: "
    "to\n"
    "                     look into the process with a debugger\n"
    "  -h, --help         this text\n";

struct serving {
    struct event_base *base;
    struct gateway *gateway;
    struct admin *admin;
    struct event *signals[5];
    struct event *deadline; /* of the drain */
    struct watchdog *watchdog;
    unsigned generation; /* of the last load of everything */
    bool is_confined, is_draining;
};

static void on_drained(void *arg)
{
    struct serving *serving = arg;

    (void)event_base_loopbreak(serving->base);
}

static void on_drain_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    log_warn("drain_timeout is over: requests still in flight are cut off");
    on_drained(arg);
}

/* The first signal lets requests finish; a second one does not wait for them. */
static void on_stop(evutil_socket_t signal_number, short what, void *arg)
{
    struct serving *serving = arg;
    int64_t timeout_ms = gateway_drain_timeout_ms(serving->gateway);
    struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                              .tv_usec = timeout_ms % 1000 * 1000};

    (void)what;
    if (serving->is_draining) {
        on_drained(serving);
        return;
    }
    log_info("signal %d: stopping, requests in flight may finish", (int)signal_number);
    serving->is_draining = true;
    (void)event_add(serving->deadline, &timeout);
    service_tell_stopping(timeout_ms);
    gateway_drain(serving->gateway);
}

static void on_reload(evutil_socket_t signal_number, short what, void *arg)
{
    struct serving *serving = arg;
    struct error error;
    char refusal[640];

    (void)signal_number;
    (void)what;
    if (serving->is_draining)
        return;
    service_tell_reloading();
    if (gateway_reload(serving->gateway, &error)) {
        serving->generation = gateway_generation(serving->gateway);
        service_tell_ready(serving->gateway, serving->generation, NULL);
        return;
    }
    if (serving->is_confined)
        log_info("files in folders that the configuration did not name at the start are "
                 "out of reach until a restart, whatever their mode");
    (void)snprintf(refusal, sizeof(refusal), "reload refused: %s", error.text);
    service_tell_ready(serving->gateway, serving->generation, refusal);
}

static void on_reopen(evutil_socket_t signal_number, short what, void *arg)
{
    struct serving *serving = arg;

    (void)signal_number;
    (void)what;
    gateway_reopen(serving->gateway);
}

static void on_raise_level(evutil_socket_t signal_number, short what, void *arg)
{
    (void)signal_number;
    (void)what;
    (void)arg;
    log_raise_level();
}

static bool watch_signals(struct serving *serving)
{
    const struct {
        int number;
        event_callback_fn on_signal;
    } wanted[] = {{SIGTERM, on_stop},
                  {SIGINT, on_stop},
                  {SIGHUP, on_reload},
                  {SIGUSR1, on_reopen},
                  {SIGUSR2, on_raise_level}};

    serving->deadline = evtimer_new(serving->base, on_drain_deadline, serving);
    if (serving->deadline == NULL)
        return false;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        serving->signals[i] =
            evsignal_new(serving->base, wanted[i].number, wanted[i].on_signal, serving);
        if (serving->signals[i] == NULL || event_add(serving->signals[i], NULL) != 0)
            return false;
    }
    return true;
}

static void announce(const struct gateway *gateway)
{
    for (size_t i = 0; i < gateway_listener_count(gateway); i++)
        (void)printf("listening on %s\n", gateway_listener_url(gateway, i));
    (void)fflush(stdout);
}

/* False: what is wrong is in *problems, or else in error. */
static bool start(struct serving *serving, const char *path, const char *sandbox_url,
                  struct inherited *inherited, struct problems *problems,
                  struct error *error)
{
    const struct gateway_options options = {
        .path = path,
        .sandbox_url = sandbox_url,
        .base = serving->base,
        .inherited = inherited,
        .on_drained = on_drained,
        .arg = serving,
    };

    serving->gateway = gateway_start(&options, problems, error);
    if (serving->gateway == NULL)
        return false;
    serving->admin = admin_start(serving->gateway, error);
    return serving->admin != NULL &&
           watchdog_start(&serving->watchdog, serving->base, serving->gateway, error);
}

static int run(struct serving *serving, const char *path, const char *sandbox_url,
               struct inherited *inherited)
{
    struct problems problems = {0};
    struct error error;
    int status = EXIT_FINE;

    serving->base = event_base_new();
    if (serving->base == NULL || !watch_signals(serving)) {
        inherited_free(inherited);
        (void)fprintf(stderr, "psgate: cannot make an event loop\n");
        return EXIT_FAILED;
    }
    if (start(serving, path, sandbox_url, inherited, &problems, &error)) {
        announce(serving->gateway);
        serving->generation = gateway_generation(serving->gateway);
        service_tell_ready(serving->gateway, serving->generation, NULL);
        (void)event_base_dispatch(serving->base);
        log_info("stopped");
    } else if (problems.count > 0) {
        (void)fputs(problems.lines.bytes, stderr);
        status = EXIT_CONFIG;
    } else {
        (void)fprintf(stderr, "psgate: %s\n", error.text);
        status = EXIT_FAILED;
    }
    problems_fini(&problems);
    return status;
}

static void tidy_up(struct serving *serving)
{
    watchdog_free(serving->watchdog);
    admin_stop(serving->admin);
    gateway_free(serving->gateway);
    for (size_t i = 0; i < sizeof(serving->signals) / sizeof(serving->signals[0]); i++) {
        if (serving->signals[i] != NULL)
            event_free(serving->signals[i]);
    }
    if (serving->deadline != NULL)
        event_free(serving->deadline);
    if (serving->base != NULL)
        event_base_free(serving->base);
}

/* The sandbox of --sandbox listens on a free loopback port and takes whatever key we
 * hold. */
static struct sandbox *start_sandbox(char *url, size_t url_bytes, struct error *error)
{
    const struct sandbox_options options = {.host = "127.0.0.1"};
    struct sandbox *sandbox = sandbox_start(&options, error);

    if (sandbox != NULL)
        (void)snprintf(url, url_bytes, "http://127.0.0.1:%u", sandbox_port(sandbox));
    return sandbox;
}

/* A configuration with problems is for gateway_start, which tells them. */
static bool confine(const char *path, struct error *error)
{
    struct problems problems = {0};
    struct config *config = config_load(path, &problems);
    bool is_done = true;

    if (config != NULL) {
        log_configure((enum log_level)config->log.level,
                      (enum log_format)config->log.format);
        is_done = territory_confine(config, error);
    }
    config_free(config);
    problems_fini(&problems);
    return is_done;
}

static int serve(const char *path, bool with_sandbox, bool is_confined,
                 struct inherited *inherited)
{
    struct serving serving = {.is_confined = is_confined};
    struct sandbox *sandbox = NULL;
    struct error error;
    char url[64];
    int status;

    if (with_sandbox) {
        sandbox = start_sandbox(url, sizeof(url), &error);
        if (sandbox == NULL) {
            inherited_free(inherited);
            (void)fprintf(stderr, "psgate: sandbox: %s\n", error.text);
            return EXIT_FAILED;
        }
    }
    status = run(&serving, path, with_sandbox ? url : NULL, inherited);
    tidy_up(&serving);
    sandbox_stop(sandbox);
    return status;
}

/* Whatever the end, what was logged is written before it. */
static int serve_logged(const char *path, bool with_sandbox, bool is_confined)
{
    struct inherited *inherited;
    struct error error;
    int status;

    json_text_init();
    reserve_init();
    if (!secret_protect_process(&error) || (is_confined && !confine(path, &error))) {
        (void)fprintf(stderr, "psgate: %s\n", error.text);
        return EXIT_FAILED;
    }
    inherited = inherited_take(&error);
    if (inherited == NULL) {
        (void)fprintf(stderr, "psgate: %s\n", error.text);
        return EXIT_CONFIG;
    }
    if (!log_start(&error)) {
        inherited_free(inherited);
        (void)fprintf(stderr, "psgate: %s\n", error.text);
        return EXIT_FAILED;
    }
    status = serve(path, with_sandbox, is_confined, inherited);
    log_stop();
    return status;
}

int command_serve(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"sandbox", no_argument, NULL, 's'},
        {"unconfined", no_argument, NULL, 'u'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *path = DEFAULT_CONFIG;
    bool with_sandbox = false, is_confined = true;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 's':
            with_sandbox = true;
            break;
        case 'u':
            is_confined = false;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return EXIT_FINE;
        default:
            return command_bad_option("serve", argv);
        }
    }
    if (optind < argc)
        return command_misused("serve", "takes no arguments but options");
    return serve_logged(path, with_sandbox, is_confined);
}
