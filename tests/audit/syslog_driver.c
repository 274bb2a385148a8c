/*
 * Sends lines to a syslog server as the gateway would, for tests against a real one:
 *     syslog_driver URL [CA_FILE [FACILITY]]
 * Each line of standard input is a phase, a space and a record. At its end, or at an
 * empty line, the driver waits until all are sent or some seconds are over, and prints
 * "SENT DROPPED".
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/syslog.h"
#include "base/clock.h"
#include "base/text.h"
#include "config/syslog.h"

enum { WAIT_MS = 10000 };

static void add_member(struct text *text, const char *key, const char *value)
{
    if (value != NULL && value[0] != '\0')
        text_add_member(text, key, span_of(value));
}

/* The setting is read as the configuration's is. */
static bool read_setting(char **arguments, struct arena *arena,
                         struct config_syslog *server)
{
    const struct place root = {0}, place = {.parent = &root, .key = "syslog"};
    struct problems problems = {0};
    struct document document;
    struct text text = {0};
    bool is_good;

    text_add_byte(&text, '{');
    add_member(&text, "url", arguments[0]);
    if (arguments[0] != NULL && arguments[1] != NULL) {
        add_member(&text, "ca_file", arguments[1]);
        add_member(&text, "facility", arguments[2]);
    }
    text_add_byte(&text, '}');
    if (document_parse(&document, "arguments", span_make(text.bytes, text.len), arena,
                       &problems))
        config_read_syslog(&document, &place, document.root, server);
    is_good = problems.count == 0;
    if (!is_good)
        (void)fputs(problems.lines.bytes, stderr);
    document_fini(&document);
    text_fini(&text);
    problems_fini(&problems);
    return is_good;
}

static void wait_and_tell(const struct audit_syslog *syslog, uint64_t lines)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    struct audit_syslog_counts counts = audit_syslog_count(syslog);

    while (counts.sent + counts.dropped < lines && clock_monotonic_ms() < until_ms) {
        (void)poll(NULL, 0, 5);
        counts = audit_syslog_count(syslog);
    }
    (void)printf("%llu %llu\n", (unsigned long long)counts.sent,
                 (unsigned long long)counts.dropped);
    (void)fflush(stdout);
}

static void send_input(struct audit_syslog *syslog)
{
    uint64_t lines = 0;
    char *line = NULL;
    size_t capacity = 0;

    while (getline(&line, &capacity, stdin) > 0) {
        char *record = strchr(line, ' ');

        if (record == NULL) {
            wait_and_tell(syslog, lines);
            continue;
        }
        *record++ = '\0';
        audit_syslog_send(syslog, line, span_make(record, strcspn(record, "\n")));
        lines++;
    }
    free(line);
}

int main(int argc, char **argv)
{
    struct arena arena = {0};
    struct config_syslog server;
    struct audit_syslog_options options = {
        .server = &server, .retry_ms = 50, .most_retry_ms = 200};
    struct audit_syslog *syslog;
    struct error error;

    (void)argc;
    (void)signal(SIGPIPE, SIG_IGN);
    if (!read_setting(argv + 1, &arena, &server)) {
        arena_fini(&arena);
        return EXIT_FAILURE;
    }
    syslog = audit_syslog_new(&options, &error);
    arena_fini(&arena);
    if (syslog == NULL) {
        (void)fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    send_input(syslog);
    audit_syslog_free(syslog);
    return EXIT_SUCCESS;
}
