#include "audit/copies.h"

#include "audit/reader.h"

struct side {
    struct audit_reader *reader;
    enum audit_read answer;
    struct audit_read_line line;
};

static void step(struct side *side, struct error *error)
{
    side->answer = audit_reader_next(side->reader, &side->line, error);
}

/* Neither has an end yet. False: the comparison is over, with *outcome. */
static bool compare_lines(const struct side *first, const struct side *second,
                          enum audit_copies *outcome, struct error *error)
{
    struct span a = first->line.text, b = second->line.text;

    if (first->line.is_whole && second->line.is_whole && span_equal(a, b))
        return true;
    if (!second->line.is_whole && span_starts_with(a, b))
        *outcome = AUDIT_COPIES_FIRST;
    else if (!first->line.is_whole && span_starts_with(b, a))
        *outcome = AUDIT_COPIES_SECOND;
    else
        *outcome = AUDIT_COPIES_DIFFER;
    if (*outcome == AUDIT_COPIES_DIFFER)
        (void)error_set(error, "is not what the other file that begins with the same "
                               "record has here");
    return false;
}

/* At least one has an end. A whole file is preferred to one that stops in its midst. */
static enum audit_copies compare_ends(const struct side *first, const struct side *second)
{
    if (second->answer == AUDIT_READ_FAILED || first->answer == AUDIT_READ_FAILED)
        return AUDIT_COPIES_DIFFER;
    if (second->answer == AUDIT_READ_LINE)
        return AUDIT_COPIES_SECOND;
    if (first->answer == AUDIT_READ_SHORT && second->answer == AUDIT_READ_END)
        return AUDIT_COPIES_SECOND;
    return AUDIT_COPIES_FIRST;
}

static enum audit_copies compare(struct side *first, struct side *second,
                                 struct error *error)
{
    enum audit_copies outcome;

    for (;;) {
        step(first, error);
        if (first->answer == AUDIT_READ_FAILED)
            return AUDIT_COPIES_DIFFER;
        step(second, error);
        if (first->answer != AUDIT_READ_LINE || second->answer != AUDIT_READ_LINE)
            return compare_ends(first, second);
        if (!compare_lines(first, second, &outcome, error))
            return outcome;
    }
}

enum audit_copies audit_copies_compare(const char *first, const char *second,
                                       uint64_t *line, struct error *error)
{
    struct side a = {.reader = audit_reader_open(first, error)};
    struct side b = {.reader =
                         a.reader != NULL ? audit_reader_open(second, error) : NULL};
    enum audit_copies outcome = AUDIT_COPIES_FAILED;

    if (b.reader != NULL) {
        outcome = compare(&a, &b, error);
        *line = audit_reader_line(b.reader);
    }
    audit_reader_close(a.reader);
    audit_reader_close(b.reader);
    return outcome;
}
