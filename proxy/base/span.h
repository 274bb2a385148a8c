/*
 * A span is a run of bytes that somebody else owns: wire text is never NUL-terminated.
 * Comparisons without regard to case are ASCII only, as HTTP's are.
 */
#ifndef PSGATE_BASE_SPAN_H
#define PSGATE_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *at; /* borrowed; may be NULL when len is 0 */
    size_t len;
};

/* The span of a string literal, and of a C string. */
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})
static inline struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static inline struct span span_make(const char *at, size_t len)
{
    return (struct span){at, len};
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* A hash of the bytes; with a secret seed nobody can choose bytes that collide. */
uint64_t span_hash(struct span bytes, uint64_t seed);

bool span_equal_nocase(struct span a, struct span b);
bool span_starts_with(struct span text, struct span prefix);

/* Without the spaces and tabs (RFC 9110 5.6.3 OWS) at both ends. */
struct span span_trim(struct span text);

/*
 * Whether text matches a glob in which '*' stands for any run of bytes; nothing else is
 * special. Runs in time proportional to the product of the lengths at worst.
 */
bool span_matches_glob(struct span text, struct span glob);

/*
 * Reads a plain decimal number (digits only, no sign, no space) into *value.
 * False when it is empty, holds anything else, or exceeds max; *value is then unchanged.
 */
bool span_to_number(struct span text, uint64_t max, uint64_t *value);

#endif
