#include "gateway/tripwire.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

/*
 * An automaton after Aho and Corasick over four patterns: the key, and what of its base64
 * is the same whatever stands around it, for each alignment.
 */
enum {
    PATTERNS = 4,
    MOST_PATTERN = TRIPWIRE_BYTES * 4 / 3 + 4,
    MOST_STATES = 1 + PATTERNS * MOST_PATTERN,
    FOUND = UINT16_MAX, /* in place of a state */
};

struct tripwire {
    struct secret *memory; /* NULL: nothing is sought */
    /* In there: */
    uint8_t *class_of; /* of each byte; 0: stands in no pattern */
    uint16_t *next;    /* a row a state, a column a class */
    uint8_t *pairs;    /* a bit for two classes: whether a pattern has such neighbours */
    size_t classes;
    size_t shortest; /* of the patterns */
};

struct pattern {
    uint8_t bytes[MOST_PATTERN];
    size_t len;
};

/* What tells of the key while it is built; cleansed. */
struct building {
    struct pattern patterns[PATTERNS];
    uint8_t class_of[256];
    size_t classes;
};

/* One byte for those that the alphabets of base64 exchange. */
static uint8_t settled(uint8_t byte)
{
    return byte == '-' ? '+' : byte == '_' ? '/' : byte;
}

/* Patterns */

static void add_plain(struct pattern *pattern, struct span key)
{
    for (size_t i = 0; i < key.len; i++)
        pattern->bytes[pattern->len++] = settled((uint8_t)key.at[i]);
}

/* The six bits of the text's base64 from that bit on, after so many unknown bytes. */
static unsigned six_bits(struct span key, size_t unknown, size_t bit)
{
    unsigned value = 0;

    for (size_t i = bit; i < bit + 6; i++) {
        uint8_t byte = (uint8_t)key.at[i / 8 - unknown];

        value = value << 1 | (byte >> (7 - i % 8) & 1);
    }
    return value;
}

/* Only characters of which every bit is the key's. */
static void add_base64(struct pattern *pattern, struct span key, size_t unknown)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t first = (unknown * 8 + 5) / 6, end = (unknown + key.len) * 8 / 6;

    for (size_t i = first; i < end; i++)
        pattern->bytes[pattern->len++] = (uint8_t)alphabet[six_bits(key, unknown, i * 6)];
}

static void make_patterns(struct building *building, struct span key)
{
    add_plain(&building->patterns[0], key);
    for (size_t unknown = 0; unknown < 3; unknown++)
        add_base64(&building->patterns[1 + unknown], key, unknown);
}

static void make_classes(struct building *building)
{
    building->classes = 1;
    for (size_t i = 0; i < PATTERNS; i++) {
        const struct pattern *pattern = &building->patterns[i];

        for (size_t j = 0; j < pattern->len; j++) {
            if (building->class_of[pattern->bytes[j]] == 0)
                building->class_of[pattern->bytes[j]] = (uint8_t)building->classes++;
        }
    }
    for (size_t byte = 0; byte < 256; byte++)
        building->class_of[byte] = building->class_of[settled((uint8_t)byte)];
}

/* The automaton */

static uint16_t *cell(const struct tripwire *tripwire, size_t state, size_t class)
{
    return &tripwire->next[state * tripwire->classes + class];
}

static size_t pair_of(const struct tripwire *tripwire, uint8_t first, uint8_t second)
{
    return tripwire->class_of[first] * tripwire->classes + tripwire->class_of[second];
}

static void note_pairs(struct tripwire *tripwire, const struct pattern *pattern)
{
    for (size_t i = 0; i + 1 < pattern->len; i++) {
        size_t pair = pair_of(tripwire, pattern->bytes[i], pattern->bytes[i + 1]);

        tripwire->pairs[pair / 8] |= (uint8_t)(1u << pair % 8);
    }
    if (tripwire->shortest == 0 || pattern->len < tripwire->shortest)
        tripwire->shortest = pattern->len;
}

/* Adds a branch; its end is found, whatever would come behind. */
static void add_pattern(struct tripwire *tripwire, const struct building *building,
                        const struct pattern *pattern, uint16_t *states)
{
    size_t state = 0;

    for (size_t i = 0; i < pattern->len; i++) {
        uint16_t *next = cell(tripwire, state, building->class_of[pattern->bytes[i]]);

        if (*next == FOUND)
            return;
        if (i + 1 == pattern->len)
            *next = FOUND;
        else if (*next == 0)
            *next = (*states)++;
        state = *next;
    }
}

/*
 * Breadth first: a state's row begins as that of the longest proper suffix that is a
 * state, too, and has been completed before.
 */
static void complete(struct tripwire *tripwire)
{
    uint16_t suffix[MOST_STATES] = {0}, queue[MOST_STATES];
    size_t queued = 0;

    for (size_t class = 0; class < tripwire->classes; class ++) {
        uint16_t next = *cell(tripwire, 0, class);

        if (next != 0 && next != FOUND)
            queue[queued++] = next;
    }
    for (size_t done = 0; done < queued; done++) {
        for (size_t class = 0; class < tripwire->classes; class ++) {
            uint16_t *next = cell(tripwire, queue[done], class);
            uint16_t otherwise = *cell(tripwire, suffix[queue[done]], class);

            if (*next == 0 || otherwise == FOUND) {
                *next = otherwise;
            } else if (*next != FOUND) {
                suffix[*next] = otherwise;
                queue[queued++] = *next;
            }
        }
    }
}

static bool make_room(struct tripwire *tripwire, const struct building *building,
                      struct error *error)
{
    size_t classes = building->classes, states = 1, next_bytes;
    uint8_t *bytes;

    for (size_t i = 0; i < PATTERNS; i++)
        states += building->patterns[i].len;
    next_bytes = states * classes * sizeof(uint16_t);
    tripwire->memory = secret_new(256 + next_bytes + classes * classes / 8 + 1, error);
    if (tripwire->memory == NULL)
        return false;
    bytes = (uint8_t *)secret_bytes(tripwire->memory);
    tripwire->class_of = bytes;
    tripwire->next = (uint16_t *)(void *)(bytes + 256);
    tripwire->pairs = bytes + 256 + next_bytes;
    tripwire->classes = classes;
    return true;
}

static bool build(struct tripwire *tripwire, const struct building *building,
                  struct error *error)
{
    uint16_t states = 1;

    if (!make_room(tripwire, building, error))
        return false;
    memcpy(tripwire->class_of, building->class_of, 256);
    for (size_t i = 0; i < PATTERNS; i++) {
        add_pattern(tripwire, building, &building->patterns[i], &states);
        note_pairs(tripwire, &building->patterns[i]);
    }
    complete(tripwire);
    return true;
}

struct tripwire *tripwire_new(struct span key, struct error *error)
{
    struct tripwire *tripwire = calloc(1, sizeof(*tripwire));
    struct building building = {.classes = 0};
    bool is_built = true;

    if (tripwire == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    if (key.len > TRIPWIRE_BYTES)
        key = span_make(key.at + key.len - TRIPWIRE_BYTES, TRIPWIRE_BYTES);
    if (key.len >= TRIPWIRE_SHORTEST) {
        make_patterns(&building, key);
        make_classes(&building);
        is_built = build(tripwire, &building, error);
        secret_cleanse(&building, sizeof(building));
    }
    if (is_built)
        return tripwire;
    tripwire_free(tripwire);
    return NULL;
}

void tripwire_free(struct tripwire *tripwire)
{
    if (tripwire == NULL)
        return;
    secret_free(tripwire->memory);
    free(tripwire);
}

/* Reading */

static uint16_t step(const struct tripwire *tripwire, uint16_t state, uint8_t byte)
{
    return *cell(tripwire, state, tripwire->class_of[byte]);
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Takes a byte that the text stands for. */
static bool take_decoded(const struct tripwire *tripwire, struct tripwire_scan *scan,
                         uint8_t byte)
{
    scan->decoded = step(tripwire, scan->decoded, byte);
    return scan->decoded == FOUND;
}

/* What began like an encoded byte is none: it stands for itself. */
static bool take_back(const struct tripwire *tripwire, struct tripwire_scan *scan)
{
    uint8_t read = scan->escape;

    scan->escape = 0;
    return (read > 0 && take_decoded(tripwire, scan, '%')) ||
           (read > 1 && take_decoded(tripwire, scan, scan->high));
}

/* A byte of the text while it differs from what it stands for. */
static bool take_encoded(const struct tripwire *tripwire, struct tripwire_scan *scan,
                         uint8_t byte)
{
    int digit = scan->escape > 0 ? hex_digit(byte) : -1;

    if (digit >= 0 && scan->escape == 1) {
        scan->high = byte;
        scan->escape = 2;
        return false;
    }
    if (digit >= 0) {
        scan->escape = 0;
        return take_decoded(
            tripwire, scan,
            (uint8_t)((unsigned)hex_digit(scan->high) << 4 | (unsigned)digit));
    }
    if (take_back(tripwire, scan))
        return true;
    if (byte != '%')
        return take_decoded(tripwire, scan, byte);
    scan->escape = 1;
    return false;
}

static bool take(const struct tripwire *tripwire, struct tripwire_scan *scan,
                 uint8_t byte)
{
    if (byte == '%' && !scan->has_decoded) {
        scan->decoded = scan->plain;
        scan->has_decoded = true;
    }
    scan->plain = step(tripwire, scan->plain, byte);
    if (scan->plain == FOUND || (scan->has_decoded && take_encoded(tripwire, scan, byte)))
        return true;
    /* The same state from here on: one of them is enough. */
    if (scan->has_decoded && scan->escape == 0 && scan->decoded == scan->plain)
        scan->has_decoded = false;
    return false;
}

/*
 * The first of some neighbours that stand in a pattern; the text's end if none do. So
 * many are looked at that each pattern that begins here or later has some of them in it.
 */
static size_t find_pair(const struct tripwire *tripwire, struct span text, size_t from)
{
    for (size_t i = from + tripwire->shortest - 2; i + 1 < text.len;
         i += tripwire->shortest - 1) {
        size_t pair = pair_of(tripwire, (uint8_t)text.at[i], (uint8_t)text.at[i + 1]);

        if ((tripwire->pairs[pair / 8] >> pair % 8 & 1) != 0)
            return i;
    }
    return text.len;
}

/*
 * Text in which nothing is encoded. Where no pattern has begun, only a few bytes are
 * looked at until one may have. What has begun by then is shorter than the shortest
 * pattern, or it would have been seen before: so far back the state is had anew.
 */
static bool read_plain(const struct tripwire *tripwire, uint16_t *state, struct span text)
{
    size_t place = 0;

    while (place < text.len) {
        size_t until = place + 1, back;

        if (*state == 0) {
            size_t found = find_pair(tripwire, text, place);

            until = found < text.len ? found + 2 : text.len;
            back = until < tripwire->shortest ? 0 : until - tripwire->shortest;
            place = back > place ? back : place;
        }
        while (place < until) {
            *state = step(tripwire, *state, (uint8_t)text.at[place++]);
            if (*state == FOUND)
                return true;
        }
    }
    return false;
}

static size_t length_before_escape(struct span text)
{
    const char *escape = memchr(text.at, '%', text.len);

    return escape != NULL ? (size_t)(escape - text.at) : text.len;
}

bool tripwire_read(const struct tripwire *tripwire, struct tripwire_scan *scan,
                   struct span text)
{
    if (tripwire->memory == NULL)
        return false;
    while (text.len > 0) {
        size_t plain = scan->has_decoded ? 0 : length_before_escape(text);

        if (read_plain(tripwire, &scan->plain, span_make(text.at, plain)))
            return true;
        text = span_make(text.at + plain, text.len - plain);
        if (text.len == 0)
            break;
        if (take(tripwire, scan, (uint8_t)text.at[0]))
            return true;
        text = span_make(text.at + 1, text.len - 1);
    }
    return false;
}
