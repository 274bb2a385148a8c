/*
 * Mutations as people and programs read them: a table whose columns fit their content, or
 * JSON Lines. Whatever peers chose is escaped, so that it can neither steer a terminal
 * nor pass for another column or line.
 */
#ifndef PSGATE_COMMAND_AUDIT_OUTPUT_H
#define PSGATE_COMMAND_AUDIT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/search.h"
#include "base/text.h"

enum { AUDIT_COLUMNS = 10 };

struct audit_output {
    bool is_json;
    bool is_colored;
    bool names_trails;
    bool is_flowing; /* the widths are settled: rows are printed at once */
    bool is_begun;   /* the header was printed */
    size_t count;    /* of rows that were given */
    size_t widths[AUDIT_COLUMNS];
    struct text waiting; /* rows until the widths are settled: a line each */
    size_t waiting_count;
    struct text line;
};

/*
 * To standard output, by the locale of the environment: what it cannot show is escaped.
 * may_color: color where that is a terminal that shows it, and wanted (terminal.h).
 * names_trails: the table has a last column with the trail's name.
 */
void audit_output_init(struct audit_output *output, bool is_json, bool may_color,
                       bool names_trails);
void audit_output_fini(struct audit_output *output);

/*
 * Takes one row. unfinished is the word for those without a result; trail the name of the
 * row's trail, where trails are named.
 */
void audit_output_add(struct audit_output *output, const struct search_row *row,
                      const char *unfinished, const char *trail);

/*
 * Prints what waited for the columns' widths, and all later rows at once. False when
 * standard output cannot be written.
 */
bool audit_output_flush(struct audit_output *output) MUST_CHECK;

/*
 * The exit status when it cannot be: 0 when nobody reads any more, which `head` and a
 * pager that is left are; else 1, which is said.
 */
int audit_output_failed(const char *command);

/* Whether a character may be shown as it is: it has a place and a shape of its own. */
bool audit_output_is_shown(uint32_t point);

/* Adds a cell: text without blanks, never empty, cut when it is long. */
void audit_output_add_cell(struct text *into, struct span text);

/* Adds a line of JSON with all that is not shown in \uNNNN escapes. */
void audit_output_add_json(struct text *into, struct span json);

#endif
