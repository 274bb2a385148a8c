#include "command/audit_output.h"

#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "audit/fields.h"
#include "command/command.h"
#include "command/terminal.h"

/* Rows that wait at most; what comes after them may be wider than its column. */
enum { MOST_WAITING = 1000 };

enum { LONGEST_CELL = 64 };

enum { COLUMN_OUTCOME = 5 };

static const char *const titles[AUDIT_COLUMNS] = {
    "TIME",    "USER",   "ACTION", "RESOURCE", "TEAM",
    "OUTCOME", "STATUS", "REASON", "SOURCE",   "TRAIL",
};

static const char *color_of(struct span outcome)
{
    if (span_equal(outcome, SPAN("success")))
        return "\x1b[32m";
    if (span_equal(outcome, SPAN("failure")) || span_equal(outcome, SPAN("refused")))
        return "\x1b[31m";
    return "\x1b[33m";
}

void audit_output_init(struct audit_output *output, bool is_json, bool may_color,
                       bool names_trails)
{
    *output = (struct audit_output){.is_json = is_json, .names_trails = names_trails};
    (void)setlocale(LC_CTYPE, "");
    output->is_colored = may_color && !is_json && terminal_has_colors(STDOUT_FILENO);
    for (int i = 0; i < AUDIT_COLUMNS; i++)
        output->widths[i] = strlen(titles[i]);
}

void audit_output_fini(struct audit_output *output)
{
    text_fini(&output->waiting);
    text_fini(&output->line);
}

/* The trail's column is the last. */
static int columns(const struct audit_output *output)
{
    return output->names_trails ? AUDIT_COLUMNS : AUDIT_COLUMNS - 1;
}

/* Code points that have a width in tables of such, but no shape, or a blank one. */
static bool is_blank(uint32_t point)
{
    static const uint32_t blanks[] = {0xa0,   0xad,   0x115f, 0x1160, 0x2007,
                                      0x202f, 0x2800, 0x3164, 0xffa0, 0xfffc};

    for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++) {
        if (point == blanks[i])
            return true;
    }
    return iswspace((wint_t)point) != 0;
}

/*
 * Where the terminal does not speak UTF-8, its bytes could be control characters there.
 * wcwidth() is 0 or less for controls, marks, bidirectional overrides and what is no
 * character yet.
 */
bool audit_output_is_shown(uint32_t point)
{
    if (point < 0x80)
        return point > ' ' && point < 0x7f;
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 && wcwidth((wchar_t)point) > 0 &&
           !is_blank(point);
}

/* The code point at the start of text, which is valid UTF-8 of len bytes. */
static uint32_t point_at(const char *at, size_t len)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = (unsigned char)at[0] & masks[len];

    for (size_t i = 1; i < len; i++)
        point = point << 6 | ((unsigned char)at[i] & 0x3f);
    return point;
}

static size_t width_of(struct span cell)
{
    size_t width = 0;

    while (cell.len > 0) {
        size_t len = text_utf8_length(cell);
        uint32_t point = point_at(cell.at, len);

        width += point < 0x80 ? 1 : (size_t)wcwidth((wchar_t)point);
        cell = span_make(cell.at + len, cell.len - len);
    }
    return width;
}

void audit_output_add_cell(struct text *into, struct span text)
{
    if (text.len == 0)
        text_add(into, SPAN("\"\""));
    for (int i = 0; text.len > 0; i++) {
        size_t len = text_utf8_length(text);
        uint32_t point = len > 0 ? point_at(text.at, len) : (unsigned char)text.at[0];

        if (i == LONGEST_CELL) {
            text_add(into, SPAN("..."));
            return;
        }
        if (len > 0 && audit_output_is_shown(point) && point != '\\')
            text_add(into, span_make(text.at, len));
        else if (point < 0x80 || len == 0)
            text_add_format(into, "\\x%02x", point);
        else
            text_add_format(into, "\\u{%x}", point);
        len = len > 0 ? len : 1;
        text = span_make(text.at + len, text.len - len);
    }
}

void audit_output_add_json(struct text *into, struct span json)
{
    while (json.len > 0) {
        size_t len = text_utf8_length(json);
        uint32_t point = len > 0 ? point_at(json.at, len) : 0xfffd;

        if (point == ' ' || (len > 0 && audit_output_is_shown(point))) {
            text_add(into, span_make(json.at, len));
        } else if (point >= 0x10000) {
            text_add_format(into, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10),
                            0xdc00 + ((point - 0x10000) & 0x3ff));
        } else {
            text_add_format(into, "\\u%04x", point);
        }
        len = len > 0 ? len : 1;
        json = span_make(json.at + len, json.len - len);
    }
}

/* A member as a cell, "-" where it is absent, with the blank that ends a cell. */
static void add_member(struct text *into, struct span value)
{
    struct text decoded = {0};

    if (value.at != NULL) {
        fields_decode(value, &decoded);
        audit_output_add_cell(into, span_make(decoded.bytes, decoded.len));
    } else {
        text_add_byte(into, '-');
    }
    text_add_byte(into, ' ');
    text_fini(&decoded);
}

static void add_reason(struct text *into, const struct fields *fields)
{
    uint64_t suppressed = fields_number(fields, FIELD_SUPPRESSED);

    if (suppressed > 0)
        text_add_format(into, "%llu-more ", (unsigned long long)suppressed);
    else
        add_member(into, fields->values[FIELD_REASON]);
}

/* The row's cells, each with a blank behind it: cells themselves have none. */
static void add_cells(struct text *into, const struct search_row *row, const char *word)
{
    struct fields fields, result;
    struct span time;
    struct error ignored;

    /* search gives only lines that it could read */
    if (!fields_read(&fields, row->line, &ignored))
        return;
    time = fields.values[FIELD_TIME];
    if (row->result.len > 0 && fields_read(&result, row->result, &ignored))
        fields_merge(&fields, &result);
    add_member(into, time);
    add_member(into, fields.values[FIELD_USER]);
    add_member(into, fields.values[FIELD_ACTION]);
    add_member(into, fields_resource(&fields));
    add_member(into, fields.values[FIELD_TEAM]);
    text_add_format(into, "%s ", word);
    add_member(into, fields.values[FIELD_STATUS]);
    add_reason(into, &fields);
    add_member(into, fields.values[FIELD_SOURCE]);
}

/* Takes the next cell off a row. */
static struct span take_cell(struct span *row)
{
    const char *blank = memchr(row->at, ' ', row->len);
    struct span cell = span_make(row->at, blank != NULL ? (size_t)(blank - row->at) : 0);

    if (blank != NULL)
        *row = span_make(blank + 1, row->len - cell.len - 1);
    return cell;
}

static void print_cell(const struct audit_output *output, int column, struct span cell)
{
    bool is_colored = output->is_colored && output->is_begun && column == COLUMN_OUTCOME;
    size_t width = width_of(cell), wanted = output->widths[column] + 2;

    if (is_colored)
        (void)fputs(color_of(cell), stdout);
    (void)fwrite(cell.at, 1, cell.len, stdout);
    if (is_colored)
        (void)fputs("\x1b[0m", stdout);
    if (column < columns(output) - 1)
        (void)printf("%*s", width + 2 <= wanted ? (int)(wanted - width) : 2, "");
}

static void print_row(struct audit_output *output, struct span row)
{
    if (!output->is_begun) {
        for (int i = 0; i < columns(output); i++)
            print_cell(output, i, span_of(titles[i]));
        (void)putchar('\n');
        output->is_begun = true;
    }
    for (int i = 0; i < columns(output); i++)
        print_cell(output, i, take_cell(&row));
    (void)putchar('\n');
}

/* Widens the columns to what the row needs. */
static void fit(struct audit_output *output, struct span row)
{
    for (int i = 0; i < columns(output); i++) {
        size_t width = width_of(take_cell(&row));

        if (width > output->widths[i])
            output->widths[i] = width;
    }
}

static void print_waiting(struct audit_output *output)
{
    struct span rest = span_make(output->waiting.bytes, output->waiting.len);

    while (rest.len > 0) {
        const char *end = memchr(rest.at, '\n', rest.len);
        size_t len = (size_t)(end - rest.at);

        print_row(output, span_make(rest.at, len));
        rest = span_make(end + 1, rest.len - len - 1);
    }
    text_clear(&output->waiting);
    output->is_flowing = true;
}

static void add_table_row(struct audit_output *output, struct span row)
{
    fit(output, row);
    if (output->is_flowing) {
        print_row(output, row);
        return;
    }
    text_add(&output->waiting, row);
    text_add_byte(&output->waiting, '\n');
    if (++output->waiting_count == MOST_WAITING)
        print_waiting(output);
}

static void print_json(struct audit_output *output, const struct search_row *row)
{
    struct text merged = {0};

    if (row->result.len > 0)
        fields_merge_lines(row->line, row->result, &merged);
    else
        text_add(&merged, row->line);
    audit_output_add_json(&output->line, span_make(merged.bytes, merged.len));
    (void)fwrite(output->line.bytes, 1, output->line.len, stdout);
    (void)putchar('\n');
    text_fini(&merged);
}

void audit_output_add(struct audit_output *output, const struct search_row *row,
                      const char *unfinished, const char *trail)
{
    output->count++;
    text_clear(&output->line);
    if (output->is_json) {
        print_json(output, row);
        return;
    }
    add_cells(&output->line, row,
              row->outcome == SEARCH_UNFINISHED ? unfinished
                                                : search_outcome_name(row->outcome));
    if (output->names_trails) {
        audit_output_add_cell(&output->line, span_of(trail));
        text_add_byte(&output->line, ' ');
    }
    add_table_row(output, span_make(output->line.bytes, output->line.len));
}

bool audit_output_flush(struct audit_output *output)
{
    if (!output->is_flowing)
        print_waiting(output);
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

int audit_output_failed(const char *command)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};

    if (poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR) != 0)
        return EXIT_FINE;
    (void)fprintf(stderr, "psgate %s: cannot write to standard output\n", command);
    return EXIT_FAILED;
}
