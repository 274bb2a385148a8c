/*
 * The tripwire: finds an API key in what upstream answers. It is sought raw and in base64
 * (standard and URL alphabet, at each of the three alignments), and both of them also
 * percent-encoded, with any bytes plain or encoded, in any case.
 *
 * At most one step for each byte, whatever the bytes are, and a look at every dozenth where
 * none of them could be the key's; text may come in pieces. Of
 * a long key the last TRIPWIRE_BYTES are sought. Keys shorter than TRIPWIRE_SHORTEST are
 * not: their like may well stand in an honest answer. Plus and minus, slash and
 * underscore count as the same, for the two alphabets of base64.
 */
#ifndef PSGATE_GATEWAY_TRIPWIRE_H
#define PSGATE_GATEWAY_TRIPWIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

enum { TRIPWIRE_SHORTEST = 16, TRIPWIRE_BYTES = 32 };

struct tripwire;

/*
 * Built once a key, in secret memory of its own; keeps nothing of key. For a short key it
 * finds nothing. NULL with error set.
 */
struct tripwire *tripwire_new(struct span key, struct error *error) MUST_CHECK;
void tripwire_free(struct tripwire *tripwire);

/* How far a text has been read. All-zero is its beginning. */
struct tripwire_scan {
    uint16_t plain;   /* the state after the bytes as they stand */
    uint16_t decoded; /* and after those that they stand for */
    uint8_t escape;   /* bytes read of a percent-encoded one: 0, 1 ('%'), 2 */
    uint8_t high;     /* its first digit, as it came */
    bool has_decoded; /* some byte was encoded, and the two states still differ */
};

/* Reads on. True: the key stands in what was read so far; then nothing more is read. */
bool tripwire_read(const struct tripwire *tripwire, struct tripwire_scan *scan,
                   struct span text);

#endif
