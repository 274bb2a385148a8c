#include "command/audit_options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "audit/when.h"
#include "base/clock.h"
#include "command/command.h"

static const char search_help[] =
    "Usage: psgate audit search DIR... [OPTIONS]\n\n"
    "Shows the mutations that a trail tells of, each in one line, in the order in which\n"
    "they were asked for. It does not check the chain: psgate audit verify does.\n\n"
    "DIR is a trail's folder, or one under which trails are, at most four folders down,\n"
    "such as a collector's. Those of several trails are merged by time; the table then\n"
    "names each one's trail.\n\n";

static const char tail_help[] =
    "Usage: psgate audit tail DIR [OPTIONS]\n\n"
    "Shows the last mutations of a trail, each in one line.\n\n"
    "  -n, --lines N      how many (default: 10)\n"
    "  -f, --follow       go on with new ones as they finish, over rotations too; one\n"
    "                     that takes longer than 2 s is shown as pending, and once more\n"
    "                     when it has finished\n";

static const char shared_help[] =
    "  --since TIME       asked for at that time or later\n"
    "  --until TIME       asked for at that time or earlier\n"
    "  --action GLOB      the operation, such as createTeamSecret or 'delete*'\n"
    "  --user GLOB        the client; - is nobody (a refusal without a valid token)\n"
    "  --resource GLOB    the secret's name, the member's id, or the path\n"
    "  --source ADDRESS   the client's IP address\n"
    "  --event-id ID      the one mutation\n"
    "  --outcome LIST     one or more, with commas between, of:\n"
    "                       success     upstream did it\n"
    "                       failure     it was not done: upstream said no, could not be\n"
    "                                   reached, or the gateway refused it\n"
    "                       refused     only those that the gateway refused\n"
    "                       unknown     sent, but nobody knows whether it was done\n"
    "                       unfinished  under way, or cut off by a crash: no result yet\n"
    "  --json             a JSON object a line: the members of intent and result; those\n"
    "                     of the result where both have one. proxy.phase is \"result\",\n"
    "                     \"refused\", or \"intent\" where there is no result\n"
    "  -h, --help         this text\n\n"
    "TIME is a time ago (90s, 2h, 7d), an RFC 3339 time (2026-11-23T17:04:05Z), or a "
    "date\n"
    "(2026-11-23: its first moment in UTC). In a GLOB * stands for any run of "
    "characters.\n"
    "In the table - means that there is none; what could upset a terminal, blanks too,\n"
    "is shown as \\xNN or \\u{NNNN}, and long names are cut: --json shows all.\n"
    "Exit status: 0, also when nothing matches; 1 when a part of the trail is "
    "unreadable.\n";

static const char *const commands[] = {
    [AUDIT_VERB_SEARCH] = "audit search",
    [AUDIT_VERB_TAIL] = "audit tail",
};

static bool parse_outcomes(const char *list, unsigned *outcomes)
{
    *outcomes = 0;
    for (;;) {
        size_t len = strcspn(list, ",");

        if (!search_add_outcome(span_make(list, len), outcomes))
            return false;
        if (list[len] == '\0')
            return true;
        list += len + 1;
    }
}

/* The trail has addresses in their one usual spelling. */
static bool parse_source(struct audit_options *options, const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];
    int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;

    options->filter.source = options->source;
    return inet_pton(family, text, address) == 1 &&
           inet_ntop(family, address, options->source, sizeof(options->source)) != NULL;
}

enum { MOST_LINES = 1000000 };

/* Takes in one option; NULL, or what it should have been. */
static const char *take_option(struct audit_options *options, int option)
{
    struct search_filter *filter = &options->filter;

    switch (option) {
    case 's':
        return audit_when_parse(optarg, clock_wall_ms(), &filter->since_ms)
                   ? NULL
                   : "--since takes a time such as 7d, 2026-11-23 or "
                     "2026-11-23T17:04:05Z";
    case 'u':
        return audit_when_parse(optarg, clock_wall_ms(), &filter->until_ms)
                   ? NULL
                   : "--until takes a time such as 7d, 2026-11-23 or "
                     "2026-11-23T17:04:05Z";
    case 'a':
        filter->action = optarg;
        return NULL;
    case 'c':
        filter->user = optarg;
        return NULL;
    case 'r':
        filter->resource = optarg;
        return NULL;
    case 'e':
        filter->event_id = optarg;
        return NULL;
    case 'o':
        return parse_outcomes(optarg, &filter->outcomes)
                   ? NULL
                   : "--outcome takes success, failure, refused, unknown, unfinished";
    case 'i':
        return parse_source(options, optarg) ? NULL : "--source takes an IP address";
    case 'n':
        return span_to_number(span_of(optarg), MOST_LINES, &options->count)
                   ? NULL
                   : "-n takes a number up to 1000000";
    default: /* 'f' and 'j' */
        *(option == 'f' ? &options->is_following : &options->is_json) = true;
        return NULL;
    }
}

static void print_help(enum audit_verb verb)
{
    (void)fputs(verb == AUDIT_VERB_TAIL ? tail_help : search_help, stdout);
    (void)fputs(shared_help, stdout);
}

/* The getopt_long part: false when *status is what to end with. */
static bool read_all(struct audit_options *options, enum audit_verb verb, int argc,
                     char **argv, int *status)
{
    static const struct option names[] = {
        {"since", required_argument, NULL, 's'},
        {"until", required_argument, NULL, 'u'},
        {"action", required_argument, NULL, 'a'},
        {"user", required_argument, NULL, 'c'},
        {"resource", required_argument, NULL, 'r'},
        {"outcome", required_argument, NULL, 'o'},
        {"source", required_argument, NULL, 'i'},
        {"event-id", required_argument, NULL, 'e'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        /* Those of tail alone stand last. */
        {"follow", no_argument, NULL, 'f'},
        {"lines", required_argument, NULL, 'n'},
        {0},
    };
    enum { NAMES = sizeof(names) / sizeof(names[0]), TAIL_NAMES = 2 };
    struct option known[NAMES];
    const char *letters = verb == AUDIT_VERB_TAIL ? "hfn:" : "h";
    const char *fault;
    int option;

    memcpy(known, names, sizeof(names));
    if (verb == AUDIT_VERB_SEARCH)
        known[NAMES - 1 - TAIL_NAMES] = (struct option){0};
    while ((option = getopt_long(argc, argv, letters, known, NULL)) != -1) {
        if (option == 'h') {
            print_help(verb);
            *status = EXIT_FINE;
            return false;
        }
        if (option == '?') {
            *status = command_bad_option(commands[verb], argv);
            return false;
        }
        fault = take_option(options, option);
        if (fault != NULL) {
            *status = command_misused(commands[verb], fault);
            return false;
        }
    }
    return true;
}

bool audit_options_read(struct audit_options *options, enum audit_verb verb, int argc,
                        char **argv, int *status)
{
    *options = (struct audit_options){.count = 10};
    search_filter_init(&options->filter);
    opterr = 0;
    optind = 0; /* the arguments before the verb may have been read by getopt too */
    if (!read_all(options, verb, argc, argv, status))
        return false;
    options->folders = (const char *const *)argv + optind;
    options->folder_count = (size_t)(argc - optind);
    if (options->folder_count == 1 ||
        (options->folder_count > 1 && verb == AUDIT_VERB_SEARCH))
        return true;
    *status = command_misused(commands[verb], verb == AUDIT_VERB_SEARCH
                                                  ? "needs a trail's folder"
                                                  : "needs the trail's folder, and no "
                                                    "more");
    return false;
}
