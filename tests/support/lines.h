/* Problems, compared by where they are: their wording is not anybody's interface. */
#ifndef PSGATE_TESTS_SUPPORT_LINES_H
#define PSGATE_TESTS_SUPPORT_LINES_H

#include "config/document.h"
#include "support/suite.h"

/* One line, taken off *lines; false when there is none left. */
static inline bool take_line(const char **lines, char *line, size_t size)
{
    size_t len = strcspn(*lines, "\n");

    if (**lines == '\0')
        return false;
    (void)snprintf(line, size, "%.*s", (int)len, *lines);
    *lines += len + ((*lines)[len] == '\n');
    return true;
}

/*
 * Checks that the problems are those of wanted, in order. Each wanted line is the place,
 *     LINE:COLUMN: JSON.PATH:
 * and perhaps a word that the message must have, behind a '~'. A problem with the whole
 * document has no path. Every problem begins with the file's name.
 */
static inline void assert_problems(const struct problems *problems, const char *file,
                                   const char *wanted)
{
    const char *lines = problems->lines.bytes != NULL ? problems->lines.bytes : "";
    const char *all = lines;
    char line[2048], want[512], prefix[1024];
    unsigned count = 0;

    while (take_line(&wanted, want, sizeof(want))) {
        char *word = strchr(want, '~');

        if (word != NULL)
            *word++ = '\0';
        ck_assert_msg(take_line(&lines, line, sizeof(line)), "no problem at %s in:\n%s",
                      want, all);
        (void)snprintf(prefix, sizeof(prefix), "%s:%s ", file, want);
        ck_assert_msg(strncmp(line, prefix, strlen(prefix)) == 0,
                      "'%s' does not begin with '%s'", line, prefix);
        ck_assert_msg(strlen(line) > strlen(prefix), "'%s' says nothing", line);
        ck_assert_msg(word == NULL || strstr(line + strlen(prefix), word) != NULL,
                      "no '%s' in '%s'", word, line);
        count++;
    }
    ck_assert_msg(*lines == '\0', "also found:\n%s", lines);
    ck_assert_uint_eq(problems->count, count);
}

#endif
