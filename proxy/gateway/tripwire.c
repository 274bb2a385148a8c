#include "gateway/tripwire.h"

#include <stdlib.h>

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
    size_t classes;
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

static bool build(struct tripwire *tripwire, const struct building *building,
                  struct error *error)
{
    uint16_t states = 1;
    size_t most_states = 1;

    for (size_t i = 0; i < PATTERNS; i++)
        most_states += building->patterns[i].len;
    tripwire->memory =
        secret_new(256 + most_states * building->classes * sizeof(uint16_t), error);
    if (tripwire->memory == NULL)
        return false;
    tripwire->class_of = (uint8_t *)secret_bytes(tripwire->memory);
    tripwire->next = (uint16_t *)(void *)(secret_bytes(tripwire->memory) + 256);
    tripwire->classes = building->classes;
    memcpy(tripwire->class_of, building->class_of, 256);
    for (size_t i = 0; i < PATTERNS; i++)
        add_pattern(tripwire, building, &building->patterns[i], &states);
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
        return take_decoded(tripwire, scan,
                            (uint8_t)(hex_digit(scan->high) << 4 | digit));
    }
    if (take_back(tripwire, scan))
        return true;
    if (byte != '%')
        return take_decoded(tripwire, scan, byte);
    scan->escape = 1;
    return false;
}

bool tripwire_read(const struct tripwire *tripwire, struct tripwire_scan *scan,
                   struct span text)
{
    if (tripwire->memory == NULL)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.at[i];

        if (byte == '%' && !scan->has_decoded) {
            scan->decoded = scan->plain;
            scan->has_decoded = true;
        }
        scan->plain = step(tripwire, scan->plain, byte);
        if (scan->plain == FOUND ||
            (scan->has_decoded && take_encoded(tripwire, scan, byte)))
            return true;
        /* The same state from here on: one of them is enough. */
        if (scan->has_decoded && scan->escape == 0 && scan->decoded == scan->plain)
            scan->has_decoded = false;
    }
    return false;
}
