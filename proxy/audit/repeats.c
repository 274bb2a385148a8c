#include "audit/repeats.h"

#include <stdlib.h>
#include <string.h>

void audit_repeats_begin_file(struct audit_repeats *repeats)
{
    repeats->branch = repeats->next;
}

/*
 * Whether a body is the next one from *at on, where lines that need not be repeated may
 * be left out; *at then is behind it.
 */
static bool take_next(const struct audit_repeats *repeats, size_t *at,
                      const unsigned char body[AUDIT_HASH_BYTES])
{
    for (size_t i = *at; i < repeats->count; i++) {
        if (memcmp(repeats->lines[i].body, body, AUDIT_HASH_BYTES) == 0) {
            *at = i + 1;
            return true;
        }
        if (repeats->lines[i].is_required)
            break;
    }
    return false;
}

static bool make_room(struct audit_repeats *repeats)
{
    size_t capacity = repeats->capacity == 0 ? 16 : repeats->capacity * 2;
    struct audit_superseded *lines;

    if (repeats->count < repeats->capacity)
        return true;
    lines = realloc(repeats->lines, capacity * sizeof(*lines));
    if (lines == NULL)
        return false;
    repeats->lines = lines;
    repeats->capacity = capacity;
    return true;
}

/*
 * What waits from an earlier failure is repeated before anything new, but behind lines
 * that tell of the failed file itself: so those go in where it stands, and new ones at
 * the end.
 */
bool audit_repeats_add(struct audit_repeats *repeats, const struct audit_superseded *line)
{
    size_t at;

    if (take_next(repeats, &repeats->branch, line->body))
        return true;
    if (!make_room(repeats))
        return false;
    at = line->is_required ? repeats->count : repeats->branch;
    memmove(&repeats->lines[at + 1], &repeats->lines[at],
            (repeats->count - at) * sizeof(*repeats->lines));
    repeats->lines[at] = *line;
    repeats->count++;
    repeats->branch = at + 1;
    return true;
}

bool audit_repeats_match(struct audit_repeats *repeats,
                         const unsigned char body[AUDIT_HASH_BYTES])
{
    bool is_one = take_next(repeats, &repeats->next, body);

    repeats->branch = repeats->next; /* what is superseded here comes behind it */
    return is_one;
}

const struct audit_superseded *audit_repeats_missing(const struct audit_repeats *repeats)
{
    for (size_t i = repeats->next; i < repeats->count; i++) {
        if (repeats->lines[i].is_required)
            return &repeats->lines[i];
    }
    return NULL;
}

void audit_repeats_clear(struct audit_repeats *repeats)
{
    repeats->count = repeats->next = repeats->branch = 0;
}

void audit_repeats_fini(struct audit_repeats *repeats)
{
    free(repeats->lines);
    *repeats = (struct audit_repeats){0};
}
