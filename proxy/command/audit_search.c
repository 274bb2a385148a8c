#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "audit/merge.h"
#include "audit/trails.h"
#include "command/audit.h"
#include "command/audit_options.h"
#include "command/audit_output.h"
#include "command/command.h"

/* A search under way. */
struct order {
    struct audit_trails trails;
    const char **folders; /* their paths */
    struct audit_output output;
    struct audit_merge *merge;
    bool is_unreadable; /* a part of a trail */
};

/* Says what is wrong, and of what, where that is not NULL. */
static void complain(const char *of, const char *what)
{
    struct text line = {0};

    if (of != NULL) {
        text_add_escaped(&line, span_of(of));
        text_add(&line, SPAN(": "));
    }
    text_add_escaped(&line, span_of(what));
    (void)fprintf(stderr, "psgate audit search: %s\n",
                  line.bytes != NULL && !line.failed ? line.bytes : "out of memory");
    text_fini(&line);
}

static void on_problem(void *context, size_t trail, const struct error *problem)
{
    struct order *order = context;

    (void)trail;
    order->is_unreadable = true;
    complain(NULL, problem->text);
}

/* Prints every row; false when memory is out. */
static bool print_rows(struct order *order)
{
    struct search_row row;
    enum audit_merge_read read;
    size_t trail;

    while ((read = audit_merge_next(order->merge, &row, &trail)) == AUDIT_MERGE_ROW) {
        audit_output_add(&order->output, &row, search_outcome_name(SEARCH_UNFINISHED),
                         audit_trails_name(&order->trails, trail));
        if (ferror(stdout) != 0) /* nobody reads on; that is not the trail's fault */
            return true;
    }
    return read == AUDIT_MERGE_END;
}

static void say_what_else(const struct order *order)
{
    for (size_t i = 0; i < order->trails.count; i++) {
        const char *of = order->trails.is_single ? NULL : order->folders[i];
        size_t first = audit_merge_copy_of(order->merge, i);

        if (first != i)
            complain(of, "is of the chain of an earlier folder: what both have "
                         "is shown twice");
        if (audit_merge_has_torn_end(order->merge, i))
            complain(of, "the last line is incomplete: a write under way, or a crash");
    }
    if (order->output.count == 0)
        complain(NULL, "no mutation matches");
}

static int print_all(struct order *order)
{
    bool is_good = print_rows(order);

    if (!is_good)
        complain(NULL, "out of memory");
    if (!audit_output_flush(&order->output))
        return audit_output_failed("audit search");
    say_what_else(order);
    return is_good && !order->is_unreadable ? EXIT_FINE : EXIT_FAILED;
}

/* Each trail has a file open. What cannot be opened is said when it is tried. */
static void allow_files(size_t trails)
{
    enum { OTHER_FILES = 32 };
    rlim_t wanted = (rlim_t)trails + OTHER_FILES;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Finds the trails and opens them; false when memory is out. */
static bool begin(struct order *order, const struct audit_options *options)
{
    struct error ignored;

    if (!audit_trails_find(options->folders, options->folder_count, &order->trails,
                           &ignored))
        return false;
    order->folders = calloc(order->trails.count, sizeof(*order->folders));
    if (order->folders == NULL)
        return false;
    for (size_t i = 0; i < order->trails.count; i++)
        order->folders[i] = order->trails.folders[i].path;
    allow_files(order->trails.count);
    order->merge = audit_merge_new(order->folders, order->trails.count, &options->filter,
                                   on_problem, order);
    return order->merge != NULL;
}

static int run(struct order *order, const struct audit_options *options)
{
    if (!begin(order, options)) {
        complain(NULL, "out of memory");
        return EXIT_FAILED;
    }
    if (audit_merge_opened(order->merge) == 0)
        return EXIT_FAILED;
    audit_output_init(&order->output, options->is_json, true, !order->trails.is_single);
    return print_all(order);
}

int command_audit_search(int argc, char **argv)
{
    struct audit_options options;
    struct order order = {0};
    int status;

    if (!audit_options_read(&options, AUDIT_VERB_SEARCH, argc, argv, &status))
        return status;
    status = run(&order, &options);
    audit_output_fini(&order.output);
    audit_merge_free(order.merge);
    free(order.folders);
    audit_trails_fini(&order.trails);
    return status;
}
