#include "config/document.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "config/locate.h"
#include "config/units.h"

void problems_fini(struct problems *problems)
{
    text_fini(&problems->lines);
    problems->count = 0;
}

void problems_add(struct problems *problems, const char *file, const char *format, ...)
{
    char message[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    text_add_format(&problems->lines, "%s: %s\n", file, message);
    problems->count++;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as options nest */
void document_add_path(struct text *text, const struct place *place)
{
    if (place == NULL || place->parent == NULL)
        return;
    document_add_path(text, place->parent);
    if (place->key == NULL)
        text_add_format(text, "[%zu]", place->index);
    else
        text_add_format(text, "%s%s", place->parent->parent != NULL ? "." : "",
                        place->key);
}

void document_problem(struct document *document, const struct place *place,
                      const char *format, ...)
{
    struct text *lines = &document->problems->lines;
    struct text path = {0};
    char message[1024];
    unsigned line, column;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    locate_place(span_make(document->text.bytes, document->text.len), place, &line,
                 &column);
    document_add_path(&path, place);
    text_add_format(lines, "%s:%u:%u: ", document->path, line, column);
    text_add_escaped(lines, span_make(path.bytes, path.len));
    text_add(lines, path.len > 0 ? SPAN(": ") : SPAN(""));
    text_add_escaped(lines, span_of(message));
    text_add_byte(lines, '\n');
    text_fini(&path);
    document->problems->count++;
}

static bool parse_text(struct document *document)
{
    json_error_t fault;

    document->root = json_text_read(span_make(document->text.bytes, document->text.len),
                                    JSON_REJECT_DUPLICATES, &fault);
    if (document->root != NULL)
        return true;
    text_add_format(&document->problems->lines,
                    "%s:%d:%d: not valid JSON: ", document->path,
                    fault.line > 0 ? fault.line : 1, fault.column > 0 ? fault.column : 1);
    text_add_escaped(&document->problems->lines, span_of(fault.text));
    text_add(&document->problems->lines, SPAN(" (check commas, quotes and brackets)\n"));
    document->problems->count++;
    return false;
}

bool document_load(struct document *document, const char *path, enum file_privacy privacy,
                   struct arena *arena, struct problems *problems)
{
    struct error error;

    *document = (struct document){.path = path, .arena = arena, .problems = problems};
    if (!file_read(path, privacy, &document->text, &error)) {
        text_add_format(&problems->lines, "%s:1:1: %s\n", path, error.text);
        problems->count++;
        return false;
    }
    return parse_text(document);
}

bool document_parse(struct document *document, const char *name, struct span text,
                    struct arena *arena, struct problems *problems)
{
    *document = (struct document){.path = name, .arena = arena, .problems = problems};
    text_add(&document->text, text);
    return parse_text(document);
}

void document_fini(struct document *document)
{
    json_decref(document->root);
    document->root = NULL;
    text_fini(&document->text);
}

/* Levenshtein distance over two short words, one row at a time. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t row[LONGEST + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > LONGEST || b_len > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = diagonal + (ascii_lower(a[i - 1]) != ascii_lower(b[j - 1]));
            size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

            diagonal = row[j];
            row[j] = change < best ? change : best;
        }
    }
    return row[b_len];
}

const char *nearest_word(const char *word, const char *const *candidates)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 2 + 1; /* further away it is another word */

    for (; *candidates != NULL; candidates++) {
        size_t d = distance(word, *candidates);

        if (d < best) {
            best = d;
            nearest = *candidates;
        }
    }
    return nearest;
}

/* "a, b or c" */
static void add_alternatives(struct text *text, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (i > 0)
            text_add(text, words[i + 1] == NULL ? SPAN(" or ") : SPAN(", "));
        text_add_format(text, "\"%s\"", words[i]);
    }
}

enum { MOST_OPTIONS = 64 };

static void report_unknown(struct document *document, const struct place *place,
                           const struct document_option *options)
{
    const char *words[MOST_OPTIONS + 1] = {NULL};
    const char *nearest;
    struct text known = {0};

    for (size_t i = 0; i < MOST_OPTIONS && options[i].key != NULL; i++)
        words[i] = options[i].key;
    nearest = nearest_word(place->key, words);
    if (nearest != NULL) {
        document_problem(document, place, "unknown key (did you mean \"%s\"?)", nearest);
        return;
    }
    add_alternatives(&known, words);
    document_problem(document, place, "unknown key (known here: %s)", known.bytes);
    text_fini(&known);
}

static void read_integer(struct document *document, const struct place *place,
                         json_t *value, const struct document_option *option,
                         int64_t *field)
{
    int64_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < option->min || number > option->max)
        document_problem(document, place,
                         "must be a whole number (between %lld and %lld)",
                         (long long)option->min, (long long)option->max);
    else
        *field = number;
}

static void read_duration(struct document *document, const struct place *place,
                          json_t *value, const struct document_option *option,
                          int64_t *field)
{
    char least[UNITS_TEXT_BYTES], most[UNITS_TEXT_BYTES];
    int64_t ms;

    if (!json_is_string(value) ||
        !units_parse_duration(span_of(json_string_value(value)), &ms)) {
        document_problem(
            document, place,
            "is not a duration (a string such as \"250ms\", \"30s\", \"5m\", \"2h\")");
        return;
    }
    units_format_duration(option->min, least);
    units_format_duration(option->max, most);
    if (ms < option->min || ms > option->max)
        document_problem(document, place, "is out of range (between \"%s\" and \"%s\")",
                         least, most);
    else
        *field = ms;
}

void document_read_rate(struct document *document, const struct place *place,
                        json_t *value, struct units_rate *rate)
{
    if (json_is_null(value))
        return;
    if (!json_is_string(value) ||
        !units_parse_rate(span_of(json_string_value(value)), rate))
        document_problem(document, place,
                         "is not a rate (a string such as \"20/s\", \"600/m\", "
                         "\"1000/h\"; at most %d)",
                         UNITS_MOST_RATE);
}

void document_read_burst(struct document *document, const struct place *place,
                         json_t *value, int64_t *burst)
{
    if (json_is_null(value))
        return;
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > UNITS_MOST_RATE)
        document_problem(document, place, "must be a whole number between 1 and %d",
                         UNITS_MOST_RATE);
    else
        *burst = json_integer_value(value);
}

static void read_size(struct document *document, const struct place *place, json_t *value,
                      const struct document_option *option, int64_t *field)
{
    char least[UNITS_TEXT_BYTES], most[UNITS_TEXT_BYTES];
    int64_t bytes = -1;

    if (json_is_integer(value))
        bytes = json_integer_value(value);
    else if (json_is_string(value))
        (void)units_parse_size(span_of(json_string_value(value)), &bytes);
    if (bytes < 0) {
        document_problem(document, place,
                         "is not a size (such as \"512\", \"64KiB\" or \"1GiB\")");
        return;
    }
    units_format_size(option->min, least);
    units_format_size(option->max, most);
    if (bytes < option->min || bytes > option->max)
        document_problem(document, place, "is out of range (between \"%s\" and \"%s\")",
                         least, most);
    else
        *field = bytes;
}

static const char *copy_text(struct document *document, const struct place *place,
                             const char *text)
{
    const char *copy = arena_copy(document->arena, span_of(text));

    if (copy == NULL)
        document_problem(document, place, "out of memory");
    return copy;
}

static void read_string(struct document *document, const struct place *place,
                        json_t *value, const char **field)
{
    if (json_is_null(value))
        *field = NULL;
    else if (!json_is_string(value) || json_string_length(value) == 0 ||
             strlen(json_string_value(value)) != json_string_length(value))
        document_problem(document, place, "must be a string that is not empty");
    else
        *field = copy_text(document, place, json_string_value(value));
}

/* Replaces each ${NAME}; false when a variable is unset or a brace is missing. */
static bool expand(struct document *document, const struct place *place, const char *text,
                   struct text *out)
{
    while (*text != '\0') {
        const char *open = strstr(text, "${");
        const char *close = open != NULL ? strchr(open, '}') : NULL;
        char name[128];
        const char *value;

        if (open == NULL) {
            text_add(out, span_of(text));
            return true;
        }
        if (close == NULL || (size_t)(close - open) >= sizeof(name)) {
            document_problem(document, place, "has a ${ without its } (write ${NAME})");
            return false;
        }
        (void)snprintf(name, sizeof(name), "%.*s", (int)(close - open - 2), open + 2);
        value = getenv(name);
        if (value == NULL || *value == '\0') {
            document_problem(document, place,
                             "uses ${%s}, which is not set in the environment", name);
            return false;
        }
        text_add(out, span_make(text, (size_t)(open - text)));
        text_add(out, span_of(value));
        text = close + 1;
    }
    return true;
}

static void read_path(struct document *document, const struct place *place, json_t *value,
                      const char **field)
{
    struct text expanded = {0}, whole = {0};

    if (!json_is_string(value) || json_string_length(value) == 0) {
        read_string(document, place, value, field);
        return;
    }
    if (expand(document, place, json_string_value(value), &expanded)) {
        if (expanded.len > 0 && expanded.bytes[0] != '/') {
            char *copy = strdup(document->path);

            text_add_format(&whole, "%s/", copy != NULL ? dirname(copy) : ".");
            free(copy);
        }
        text_add(&whole, span_make(expanded.bytes, expanded.len));
        *field = copy_text(document, place, whole.bytes);
    }
    text_fini(&expanded);
    text_fini(&whole);
}

static void read_choice(struct document *document, const struct place *place,
                        json_t *value, const struct document_option *option, int *field)
{
    struct text words = {0};

    for (int i = 0; json_is_string(value) && option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], json_string_value(value)) == 0) {
            *field = i;
            return;
        }
    }
    add_alternatives(&words, option->choices);
    document_problem(document, place, "is not a known choice (%s)", words.bytes);
    text_fini(&words);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as options nest */
static void read_option(struct document *document, const struct place *place,
                        json_t *value, const struct document_option *option, void *target)
{
    void *field = (char *)target + option->offset;

    switch (option->kind) {
    case OPTION_BOOL:
        if (json_is_boolean(value))
            *(bool *)field = json_is_true(value);
        else
            document_problem(document, place, "must be true or false");
        break;
    case OPTION_INTEGER:
        read_integer(document, place, value, option, field);
        break;
    case OPTION_DURATION:
        read_duration(document, place, value, option, field);
        break;
    case OPTION_SIZE:
        read_size(document, place, value, option, field);
        break;
    case OPTION_RATE:
        document_read_rate(document, place, value, field);
        break;
    case OPTION_STRING:
        read_string(document, place, value, field);
        break;
    case OPTION_PATH:
        read_path(document, place, value, field);
        break;
    case OPTION_CHOICE:
        read_choice(document, place, value, option, field);
        break;
    case OPTION_OBJECT:
        document_read_object(document, place, value, option->nested, field);
        break;
    case OPTION_CUSTOM:
        option->read(document, place, value, target);
        break;
    }
}

static const struct document_option *find_option(const struct document_option *options,
                                                 const char *key)
{
    for (; options->key != NULL; options++) {
        if (strcmp(options->key, key) == 0)
            return options;
    }
    return NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as options nest */
void document_read_object(struct document *document, const struct place *place,
                          json_t *object, const struct document_option *options,
                          void *target)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object)) {
        document_problem(document, place, "must be an object, in braces");
        return;
    }
    json_object_foreach (object, key, value) {
        struct place member = {.parent = place, .key = key};
        const struct document_option *option = find_option(options, key);

        if (option == NULL)
            report_unknown(document, &member, options);
        else if (!option->is_required || !json_is_null(value))
            read_option(document, &member, value, option, target);
    }
    for (; options->key != NULL; options++) {
        struct place member = {.parent = place, .key = options->key};
        const json_t *there = json_object_get(object, options->key);

        if (options->is_required && (there == NULL || json_is_null(there)))
            document_problem(document, &member, "is missing (it is required)");
    }
}

void document_read_strings(struct document *document, const struct place *place,
                           json_t *value, const char *const **list, size_t *count)
{
    size_t size = json_array_size(value);
    const char **strings = arena_alloc(document->arena, (size + 1) * sizeof(*strings));

    if (!json_is_array(value) || strings == NULL) {
        document_problem(document, place, "must be an array of strings");
        return;
    }
    for (size_t i = 0; i < size; i++) {
        struct place element = {.parent = place, .index = i};

        strings[i] = "";
        if (json_is_null(json_array_get(value, i)))
            document_problem(document, &element, "must be a string that is not empty");
        else
            read_string(document, &element, json_array_get(value, i), &strings[i]);
    }
    *list = strings;
    *count = size;
}
