#include "config/locate.h"

/* The text is known to be valid JSON: the walk only has to find its way. */
struct walk {
    const char *at, *end;
};

static void skip_blank(struct walk *walk)
{
    while (walk->at < walk->end && strchr(" \t\r\n", *walk->at) != NULL)
        walk->at++;
}

static void skip_string(struct walk *walk)
{
    for (walk->at++; walk->at < walk->end && *walk->at != '"'; walk->at++) {
        if (*walk->at == '\\')
            walk->at++;
    }
    walk->at++;
}

/* Steps over a value of any kind. */
static void skip_value(struct walk *walk)
{
    int depth = 0;

    do {
        skip_blank(walk);
        if (walk->at >= walk->end)
            return;
        if (*walk->at == '"') {
            skip_string(walk);
        } else if (strchr("[{", *walk->at) != NULL) {
            depth++;
            walk->at++;
        } else if (strchr("]}", *walk->at) != NULL) {
            depth--;
            walk->at++;
        } else if (strchr(",:", *walk->at) != NULL) {
            walk->at++;
        } else {
            while (walk->at < walk->end && strchr(" \t\r\n,:]}", *walk->at) == NULL)
                walk->at++;
        }
    } while (depth > 0);
}

/* Steps over an expected delimiter, if it is there. */
static void skip_byte(struct walk *walk, char byte)
{
    skip_blank(walk);
    if (walk->at < walk->end && *walk->at == byte)
        walk->at++;
}

/* Moves into an object, to the value of key; *key_at is where the key itself stands. */
static bool enter_member(struct walk *walk, const char *key, const char **key_at)
{
    size_t len = strlen(key);

    skip_byte(walk, '{');
    for (;;) {
        skip_blank(walk);
        if (walk->at >= walk->end || *walk->at != '"')
            return false;
        *key_at = walk->at;
        skip_string(walk);
        if ((size_t)(walk->at - *key_at) == len + 2 &&
            memcmp(*key_at + 1, key, len) == 0) {
            skip_byte(walk, ':');
            skip_blank(walk);
            return true;
        }
        skip_byte(walk, ':');
        skip_value(walk);
        skip_byte(walk, ',');
    }
}

static bool enter_element(struct walk *walk, size_t index)
{
    skip_blank(walk);
    if (walk->at >= walk->end || *walk->at != '[')
        return false;
    skip_byte(walk, '[');
    for (; index > 0; index--) {
        skip_value(walk);
        skip_byte(walk, ',');
    }
    skip_blank(walk);
    return walk->at < walk->end;
}

/* Where the place stands; where it cannot be found, where its nearest ancestor does. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as options nest */
static const char *find(struct walk *walk, const struct place *place)
{
    const char *at;

    if (place == NULL || place->parent == NULL) {
        skip_blank(walk);
        return walk->at;
    }
    at = find(walk, place->parent);
    if (place->key != NULL) {
        const char *key_at;

        return enter_member(walk, place->key, &key_at) ? key_at : at;
    }
    return enter_element(walk, place->index) ? walk->at : at;
}

void locate_place(struct span text, const struct place *place, unsigned *line,
                  unsigned *column)
{
    struct walk walk = {text.at, text.at + text.len};
    const char *found = find(&walk, place);
    const char *start = text.at;

    *line = 1;
    for (const char *at = text.at; at < found; at++) {
        if (*at == '\n') {
            (*line)++;
            start = at + 1;
        }
    }
    *column = (unsigned)(found - start) + 1;
}
