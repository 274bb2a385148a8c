/*
 * Mutations out of a trail's lines: joins an intent and its result into one row and gives
 * those rows that a filter lets through. Pure: lines and times come from the caller.
 *
 * Order: at first rows come in the order of the intents, so that a row waits for the
 * results of earlier ones that match too; after search_go_live() they come as they
 * finish. Memory: the open intents, and the rows that wait behind one that matches.
 */
#ifndef PSGATE_AUDIT_SEARCH_H
#define PSGATE_AUDIT_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

enum search_outcome {
    SEARCH_SUCCESS,
    SEARCH_FAILURE, /* upstream, or the attempt to reach it, failed */
    SEARCH_UNKNOWN,
    SEARCH_REFUSED,    /* by the gateway: no intent, nothing was sent */
    SEARCH_UNFINISHED, /* an intent without a result */
    SEARCH_OUTCOMES
};

/* A set of outcomes: bits 1 << outcome. */
#define SEARCH_ANY_OUTCOME ((1u << SEARCH_OUTCOMES) - 1)

/* "success" and so on. */
const char *search_outcome_name(enum search_outcome outcome);

/*
 * Adds to *set what a word stands for: an outcome's name; "failure" also adds the
 * refusals, whose records say event.outcome failure too. False: no such word.
 */
bool search_add_outcome(struct span word, unsigned *set) MUST_CHECK;

/*
 * What a mutation must be like. Texts are borrowed, NULL lets all through. action, user
 * and resource are globs; a member that is absent reads "-".
 */
struct search_filter {
    int64_t since_ms, until_ms; /* both included; the time of the intent counts */
    const char *action;
    const char *user;
    const char *resource; /* the resource's name, the member's id or the path */
    const char *source;
    const char *event_id;
    unsigned outcomes;
};

/* Lets everything through. */
void search_filter_init(struct search_filter *filter);

struct search_row {
    enum search_outcome outcome;
    struct span line;   /* the intent, or the one record that there is */
    struct span result; /* empty: none, or it is the one record */
};

/* Is given each row; its spans live until it returns. */
typedef void search_on_row(void *context, const struct search_row *row);

struct search;

/* A search, or NULL when memory is out. The filter is borrowed. */
struct search *search_new(const struct search_filter *filter, search_on_row *on_row,
                          void *context);
void search_free(struct search *search);

enum search_status {
    SEARCH_TAKEN,
    SEARCH_BAD_LINE, /* no flat JSON object: left out */
    SEARCH_NO_MEMORY
};

/*
 * Takes the next line of the chain, without its newline; now_ms is when it was seen. The
 * lines that trail.resumed repeats may have been taken before: each counts once. error is
 * filled for SEARCH_BAD_LINE.
 */
enum search_status search_take(struct search *search, struct span line, int64_t now_ms,
                               struct error *error) MUST_CHECK;

/* Gives what waits for earlier rows; from now on rows come as they finish. */
void search_go_live(struct search *search);

/*
 * Gives, each once and as unfinished, the matching intents that were seen at before_ms or
 * earlier and are open. When their results come they are given again.
 */
void search_give_pending(struct search *search, int64_t before_ms);

/* When the earliest matching intent that is open and was not given yet was seen. */
bool search_earliest_pending(const struct search *search, int64_t *seen_ms);

/* The end of the trail: gives what waits, and what is open as unfinished. */
void search_finish(struct search *search);

#endif
