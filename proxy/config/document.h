/*
 * A JSON file that remembers where everything stood, and the reading of its objects by
 * tables. Every problem becomes one line
 *     FILE:LINE:COLUMN: JSON.PATH: what is wrong (what would be right)
 * and reading goes on, so that a user sees all of them at once.
 */
#ifndef PSGATE_CONFIG_DOCUMENT_H
#define PSGATE_CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "config/units.h"

/* The problems found so far: whole lines, each with its newline. All-zero is empty. */
struct problems {
    struct text lines;
    unsigned count;
};

void problems_fini(struct problems *problems);

/* A problem with a whole file: "FILE: text". */
void problems_add(struct problems *problems, const char *file, const char *format, ...)
    PRINTF_LIKE(3, 4);

/*
 * A place in a document: a chain of members and elements up to the root, whose parent is
 * NULL. Lives on the reader's stack.
 */
struct place {
    const struct place *parent;
    const char *key; /* a member's name, or NULL for an element of an array */
    size_t index;    /* of the element */
};

struct document {
    const char *path; /* borrowed */
    struct text text;
    json_t *root; /* NULL until loaded */
    struct problems *problems;
    struct arena *arena; /* where strings that are read go; its owner is the caller */
};

/*
 * Reads and parses a file. False when it cannot be read or is not JSON: the problem is
 * recorded. Duplicate members are refused. Use document_fini in any case.
 */
bool document_load(struct document *document, const char *path, enum file_privacy privacy,
                   struct arena *arena, struct problems *problems) MUST_CHECK;

/* The same from text in memory; name stands for the file in problems. */
bool document_parse(struct document *document, const char *name, struct span text,
                    struct arena *arena, struct problems *problems) MUST_CHECK;

void document_fini(struct document *document);

/* Adds a place as people write it, "listen[0].tls.certificate"; nothing for the root. */
void document_add_path(struct text *text, const struct place *place);

/* Records a problem with the value at a place. */
void document_problem(struct document *document, const struct place *place,
                      const char *format, ...) PRINTF_LIKE(3, 4);

enum option_kind {
    OPTION_BOOL,     /* bool */
    OPTION_INTEGER,  /* int64_t, within min and max */
    OPTION_DURATION, /* int64_t milliseconds, within min and max */
    OPTION_SIZE,     /* int64_t bytes, within min and max */
    OPTION_RATE,     /* struct units_rate; null leaves it unset */
    OPTION_STRING,   /* const char *, in the arena; null leaves it unset */
    OPTION_PATH,   /* the same, with ${NAME} expanded and relative to the file's folder */
    OPTION_CHOICE, /* int: the index into choices */
    OPTION_OBJECT, /* a struct embedded at the offset, read by the nested table */
    OPTION_CUSTOM, /* whatever read makes of it; target is the whole struct */
};

/* One member that an object may have. A table ends with a row whose key is NULL. */
struct document_option {
    const char *key;
    enum option_kind kind;
    size_t offset; /* of the field in the struct */
    int64_t min, max;
    const char *const *choices; /* NULL-terminated */
    const struct document_option *nested;
    void (*read)(struct document *document, const struct place *place, json_t *value,
                 void *target);
    bool is_required;
};

/*
 * Reads an object's members into target by the table. Unknown members, wrong types,
 * values out of range and missing required members are problems; fields of bad or absent
 * members keep what they had.
 */
void document_read_object(struct document *document, const struct place *place,
                          json_t *object, const struct document_option *options,
                          void *target);

/* Reads "20/s" and the like; null leaves *rate as it is. */
void document_read_rate(struct document *document, const struct place *place,
                        json_t *value, struct units_rate *rate);

/* Reads a bucket's depth, 1 to UNITS_MOST_RATE; null leaves *burst as it is. */
void document_read_burst(struct document *document, const struct place *place,
                         json_t *value, int64_t *burst);

/*
 * Reads an array of strings into the arena; *list gets the array and *count its length.
 * Empty strings are problems.
 */
void document_read_strings(struct document *document, const struct place *place,
                           json_t *value, const char *const **list, size_t *count);

/* The word of candidates (NULL-terminated) that is nearest to word, or NULL: none is
 * near. */
const char *nearest_word(const char *word, const char *const *candidates);

#endif
