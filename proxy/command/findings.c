#include "command/findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "command/terminal.h"

struct finding {
    enum finding_mark mark;
    struct text place, result, advice; /* advice: empty when there is nothing to do */
};

static const struct {
    const char *word;
    enum terminal_color color;
} marks[FINDING_MARKS] = {
    [FINDING_OK] = {"ok", TERMINAL_GREEN},
    [FINDING_WARNING] = {"warning", TERMINAL_YELLOW},
    [FINDING_PROBLEM] = {"problem", TERMINAL_RED},
};

enum { MARK_WIDTH = 7 };

void findings_init(struct findings *findings, const struct config *config)
{
    *findings = (struct findings){.config = config};
}

void findings_fini(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        text_fini(&findings->rows[i].place);
        text_fini(&findings->rows[i].result);
        text_fini(&findings->rows[i].advice);
    }
    free(findings->rows);
    problems_fini(&findings->lines);
}

static struct finding *add_row(struct findings *findings)
{
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity == 0 ? 16 : findings->capacity * 2;
        struct finding *rows = realloc(findings->rows, capacity * sizeof(*rows));

        if (rows == NULL) {
            findings->failed = true;
            return NULL;
        }
        findings->rows = rows;
        findings->capacity = capacity;
    }
    findings->rows[findings->count] = (struct finding){.mark = FINDING_OK};
    return &findings->rows[findings->count++];
}

void findings_add(struct findings *findings, enum finding_mark mark,
                  const struct place *place, const char *advice, const char *format, ...)
{
    struct finding *row = add_row(findings);
    char result[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(result, sizeof(result), format, args);
    va_end(args);
    findings->marks[mark]++;
    if (mark != FINDING_OK)
        config_problem(findings->config, &findings->lines, place, "%s%s (%s)",
                       mark == FINDING_WARNING ? "warning: " : "", result, advice);
    if (row == NULL)
        return;
    row->mark = mark;
    document_add_path(&row->place, place);
    text_add_escaped(&row->result, span_of(result));
    if (advice != NULL)
        text_add_escaped(&row->advice, span_of(advice));
}

static void print_row(const struct finding *row, int place_width, bool is_colored)
{
    enum terminal_color color = is_colored ? marks[row->mark].color : TERMINAL_PLAIN;

    (void)printf("%s%-*s%s  %-*s  %s\n", terminal_begin(color), MARK_WIDTH,
                 marks[row->mark].word, terminal_end(color), place_width,
                 row->place.bytes, row->result.bytes);
    if (row->advice.len > 0)
        (void)printf("%*s  next: %s\n", MARK_WIDTH, "", row->advice.bytes);
}

void findings_print(const struct findings *findings)
{
    bool is_colored = terminal_has_colors(STDOUT_FILENO);
    size_t place_width = 0;

    if (findings->lines.count > 0 &&
        (isatty(STDOUT_FILENO) != 1 || isatty(STDERR_FILENO) != 1))
        (void)fputs(findings->lines.lines.bytes, stderr);
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->rows[i].place.len > place_width)
            place_width = findings->rows[i].place.len;
    }
    for (size_t i = 0; i < findings->count; i++)
        print_row(&findings->rows[i], (int)place_width, is_colored);
}
