/*
 * The matcher once more, slow and obvious: each template becomes a regular expression
 * that a decoded path matches or not. And a table read from text.
 */
#ifndef PSGATE_TESTS_FUZZ_MATCHING_H
#define PSGATE_TESTS_FUZZ_MATCHING_H

#include <regex.h>
#include <strings.h>

#include "api/operations.h"
#include "fuzz/support.h"

/* Literals stand in brackets, byte by byte, but for those that brackets do not take. */
static inline void matching_add_literal(struct text *pattern, char byte)
{
    text_add_byte(pattern, byte == '^' || byte == '\\' ? '\\' : '[');
    text_add_byte(pattern, byte);
    if (byte != '^' && byte != '\\')
        text_add_byte(pattern, ']');
}

/* The expression for a template's text: "/v1/teams/{id}/secrets", "/users/login/" "**".
 */
static inline void matching_pattern(const char *template, struct text *pattern)
{
    text_add_byte(pattern, '^');
    if (strcmp(template, "/") == 0)
        template = "";
    while (*template != '\0') {
        if (strcmp(template, "/**") == 0) {
            text_add(pattern, SPAN("(/[^/]+)*"));
            break;
        }
        if (template[0] == '/' && template[1] == '{') {
            text_add(pattern, SPAN("/[^/]+"));
            template = strchr(template, '}') + 1;
            continue;
        }
        matching_add_literal(pattern, *template ++);
    }
    text_add_byte(pattern, '$');
}

/* flags: REG_ICASE, or 0. */
static inline bool matching_path(const struct operation *operation, const char *path,
                                 int flags)
{
    struct text pattern = {0};
    regex_t compiled;
    bool matches;

    matching_pattern(operation->path, &pattern);
    fuzz_require(regcomp(&compiled, pattern.bytes, REG_EXTENDED | REG_NOSUB | flags) == 0,
                 "no regular expression: %s", pattern.bytes);
    matches = regexec(&compiled, path, 0, NULL, 0) == 0;
    regfree(&compiled);
    text_fini(&pattern);
    return matches;
}

/* The decoded path as a server would see it: "/v1/teams/t1"; "" for "/". */
static inline void matching_join(const struct http_path *path, struct text *joined)
{
    text_reserve(joined, 1);
    joined->bytes[0] = '\0';
    for (unsigned i = 0; i < path->count; i++) {
        text_add_byte(joined, '/');
        text_add(joined, path->segments[i]);
    }
}

/* The first operation that matches, found the slow way. */
static inline const struct operation *matching_find(const struct operation_table *table,
                                                    const char *method, const char *path)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct operation *operation = &table->operations[i];

        if ((strcmp(operation->method, "*") == 0 ||
             strcasecmp(operation->method, method) == 0 ||
             (strcmp(operation->method, "GET") == 0 &&
              strcasecmp(method, "HEAD") == 0)) &&
            matching_path(operation, path, REG_ICASE))
            return operation;
    }
    return NULL;
}

#endif
