#include <stdio.h>

#include "audit/search.h"
#include "audit/walk.h"
#include "command/audit.h"
#include "command/audit_options.h"
#include "command/audit_output.h"
#include "command/command.h"

static void complain(const char *what)
{
    (void)fprintf(stderr, "psgate audit search: %s\n", what);
}

static void on_row(void *context, const struct search_row *row)
{
    audit_output_add(context, row, search_outcome_name(SEARCH_UNFINISHED));
}

/* Gives every line to the search; false when a part of the trail could not be read. */
static bool read_trail(struct audit_walk *trail, struct search *search)
{
    struct audit_walk_line line;
    struct error error;
    enum audit_walk_read read;
    bool is_readable = true;

    while ((read = audit_walk_next(trail, &line, &error)) == AUDIT_WALK_LINE) {
        switch (search_take(search, line.text, 0, &error)) {
        case SEARCH_TAKEN:
            break;
        case SEARCH_BAD_LINE:
            is_readable = false;
            (void)fprintf(stderr, "psgate audit search: %s:%llu: %s\n", line.file,
                          (unsigned long long)line.number, error.text);
            break;
        case SEARCH_NO_MEMORY:
            complain("out of memory");
            return false;
        }
        if (ferror(stdout) != 0) /* nobody reads on; that is not the trail's fault */
            return is_readable;
    }
    if (read == AUDIT_WALK_FAILED)
        complain(error.text);
    if (audit_walk_has_fault(trail, &error)) {
        complain(error.text);
        is_readable = false;
    }
    return is_readable && read == AUDIT_WALK_END;
}

static int run(const struct audit_options *options, struct audit_walk *trail,
               struct audit_output *output)
{
    struct search *search = search_new(&options->filter, on_row, output);
    bool is_readable;

    if (search == NULL) {
        complain("out of memory");
        return EXIT_FAILED;
    }
    is_readable = read_trail(trail, search);
    search_finish(search);
    search_free(search);
    if (!audit_output_flush(output))
        return audit_output_failed("audit search");
    if (audit_walk_has_torn_end(trail))
        complain("the last line is incomplete: a write under way, or a crash");
    if (output->count == 0)
        complain("no mutation matches");
    return is_readable ? EXIT_FINE : EXIT_FAILED;
}

int command_audit_search(int argc, char **argv)
{
    struct audit_options options;
    struct audit_output output;
    struct audit_walk *trail;
    struct error error;
    int status;

    if (!audit_options_read(&options, AUDIT_VERB_SEARCH, argc, argv, &status))
        return status;
    trail = audit_walk_open(options.folder, &error);
    if (trail == NULL) {
        complain(error.text);
        return EXIT_FAILED;
    }
    audit_output_init(&output, options.is_json, true);
    status = run(&options, trail, &output);
    audit_output_fini(&output);
    audit_walk_close(trail);
    return status;
}
