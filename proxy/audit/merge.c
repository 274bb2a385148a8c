#include "audit/merge.h"

#include <stdlib.h>
#include <string.h>

#include "audit/line.h"
#include "audit/walk.h"
#include "base/clock.h"

struct row {
    struct row *next;
    struct search_row row; /* its spans are in bytes */
    int64_t time_ms;
    char bytes[];
};

struct source {
    struct audit_walk *walk; /* NULL: it could not be opened */
    struct search *search;
    struct row *first, *last;          /* what the search gave and nobody took yet */
    int64_t time_ms;                   /* of the last row that has one */
    char chain_id[AUDIT_CHAIN_ID_HEX]; /* all 0 before its first good line */
    bool is_ended;
    bool is_torn;
    bool is_out_of_memory;
};

struct audit_merge {
    size_t opened;
    const char *const *folders;
    audit_merge_on_problem *on_problem;
    void *context;
    struct row *given; /* the last one: its spans are out */
    size_t count;
    struct source sources[];
};

/* A row whose time nobody can read comes with the one before it. */
static int64_t time_of(const struct source *source, struct span line)
{
    struct span text;
    int64_t time_ms;

    return audit_line_find_string(line, SPAN("@timestamp"), &text) &&
                   clock_parse_utc(text.at, text.len, &time_ms)
               ? time_ms
               : source->time_ms;
}

static struct span copy(char **at, struct span text)
{
    char *to = *at;

    if (text.len > 0)
        memcpy(to, text.at, text.len);
    *at += text.len;
    return span_make(to, text.len);
}

static void on_row(void *context, const struct search_row *given)
{
    struct source *source = context;
    struct row *row = malloc(sizeof(*row) + given->line.len + given->result.len);
    char *at;

    if (row == NULL) {
        source->is_out_of_memory = true;
        return;
    }
    at = row->bytes;
    row->next = NULL;
    row->row.outcome = given->outcome;
    row->row.line = copy(&at, given->line);
    row->row.result = copy(&at, given->result);
    row->time_ms = source->time_ms = time_of(source, given->line);
    if (source->last != NULL)
        source->last->next = row;
    else
        source->first = row;
    source->last = row;
}

static void report(const struct audit_merge *merge, const struct source *source,
                   const struct error *problem)
{
    merge->on_problem(merge->context, (size_t)(source - merge->sources), problem);
}

static bool open_source(struct audit_merge *merge, struct source *source,
                        const struct search_filter *filter)
{
    struct error problem;
    const char *folder = merge->folders[source - merge->sources];

    source->time_ms = INT64_MIN;
    source->search = search_new(filter, on_row, source);
    if (source->search == NULL)
        return false;
    source->walk = audit_walk_open(folder, &problem);
    source->is_ended = source->walk == NULL;
    if (source->walk == NULL)
        report(merge, source, &problem);
    else
        merge->opened++;
    return true;
}

struct audit_merge *audit_merge_new(const char *const *folders, size_t count,
                                    const struct search_filter *filter,
                                    audit_merge_on_problem *on_problem, void *context)
{
    struct audit_merge *merge =
        calloc(1, sizeof(*merge) + count * sizeof(merge->sources[0]));

    if (merge == NULL)
        return NULL;
    merge->folders = folders;
    merge->count = count;
    merge->on_problem = on_problem;
    merge->context = context;
    for (size_t i = 0; i < count; i++) {
        if (!open_source(merge, &merge->sources[i], filter)) {
            audit_merge_free(merge);
            return NULL;
        }
    }
    return merge;
}

void audit_merge_free(struct audit_merge *merge)
{
    if (merge == NULL)
        return;
    for (size_t i = 0; i < merge->count; i++) {
        struct source *source = &merge->sources[i];
        struct row *row;

        audit_walk_close(source->walk);
        search_free(source->search);
        while ((row = source->first) != NULL) {
            source->first = row->next;
            free(row);
        }
    }
    free(merge->given);
    free(merge);
}

size_t audit_merge_opened(const struct audit_merge *merge)
{
    return merge->opened;
}

static void learn_chain(struct source *source, struct span line)
{
    struct audit_line cut;
    struct error ignored;

    if (source->chain_id[0] == '\0' && audit_line_cut(line, &cut, &ignored))
        memcpy(source->chain_id, cut.chain_id.at, AUDIT_CHAIN_ID_HEX);
}

static void take_line(const struct audit_merge *merge, struct source *source,
                      const struct audit_walk_line *line)
{
    struct error reason, problem;

    learn_chain(source, line->text);
    switch (search_take(source->search, line->text, 0, &reason)) {
    case SEARCH_TAKEN:
        break;
    case SEARCH_BAD_LINE:
        (void)error_set(&problem, "%s:%llu: %s", line->file,
                        (unsigned long long)line->number, reason.text);
        report(merge, source, &problem);
        break;
    case SEARCH_NO_MEMORY:
        source->is_out_of_memory = true;
        break;
    }
}

static void end_source(const struct audit_merge *merge, struct source *source)
{
    struct error problem;

    source->is_ended = true;
    source->is_torn = audit_walk_has_torn_end(source->walk);
    if (audit_walk_has_fault(source->walk, &problem))
        report(merge, source, &problem);
    search_finish(source->search);
    audit_walk_close(source->walk);
    source->walk = NULL;
}

/* Reads on until there is a row, or the trail is over. False: memory is out. */
static bool fill(const struct audit_merge *merge, struct source *source)
{
    while (source->first == NULL && !source->is_ended && !source->is_out_of_memory) {
        struct audit_walk_line line;
        struct error problem;

        switch (audit_walk_next(source->walk, &line, &problem)) {
        case AUDIT_WALK_LINE:
            take_line(merge, source, &line);
            break;
        case AUDIT_WALK_FAILED:
            report(merge, source, &problem);
            end_source(merge, source);
            break;
        case AUDIT_WALK_END:
            end_source(merge, source);
            break;
        }
    }
    return !source->is_out_of_memory;
}

enum audit_merge_read audit_merge_next(struct audit_merge *merge, struct search_row *row,
                                       size_t *trail)
{
    struct source *earliest = NULL;

    free(merge->given);
    merge->given = NULL;
    for (size_t i = 0; i < merge->count; i++) {
        struct source *source = &merge->sources[i];

        if (!fill(merge, source))
            return AUDIT_MERGE_NO_MEMORY;
        if (source->first != NULL &&
            (earliest == NULL || source->first->time_ms < earliest->first->time_ms))
            earliest = source;
    }
    if (earliest == NULL)
        return AUDIT_MERGE_END;
    merge->given = earliest->first;
    earliest->first = merge->given->next;
    if (earliest->first == NULL)
        earliest->last = NULL;
    *row = merge->given->row;
    *trail = (size_t)(earliest - merge->sources);
    return AUDIT_MERGE_ROW;
}

bool audit_merge_has_torn_end(const struct audit_merge *merge, size_t trail)
{
    return merge->sources[trail].is_torn;
}

size_t audit_merge_copy_of(const struct audit_merge *merge, size_t trail)
{
    const char *chain_id = merge->sources[trail].chain_id;

    for (size_t i = 0; i < trail && chain_id[0] != '\0'; i++) {
        if (memcmp(merge->sources[i].chain_id, chain_id, AUDIT_CHAIN_ID_HEX) == 0)
            return i;
    }
    return trail;
}
