/*
 * The tripwire: a key that stands in a text, plain or percent-encoded, is found, and
 * whether one is found does not depend on how the text is cut. Byte 0 chooses the cuts;
 * the key is the input's first line.
 */
#include "fuzz/support.h"
#include "gateway/tripwire.h"
#include "http/target.h"

enum { MOST_TEXT = 4096 };

static bool read_in_steps(const struct tripwire *tripwire, struct span text, size_t step)
{
    struct tripwire_scan scan = {0};

    while (text.len > 0) {
        struct span piece = fuzz_copy(fuzz_take(&text, step));
        bool is_found = tripwire_read(tripwire, &scan, piece);

        fuzz_free(piece);
        if (is_found)
            return true;
    }
    return false;
}

/* Whether the key, or the end of it that is sought, stands in the text. */
static bool stands_in(struct span key, struct span text)
{
    if (key.len > TRIPWIRE_BYTES)
        key = span_make(key.at + key.len - TRIPWIRE_BYTES, TRIPWIRE_BYTES);
    return key.len >= TRIPWIRE_SHORTEST && text.len >= key.len &&
           memmem(text.at, text.len, key.at, key.len) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char decoded[MOST_TEXT];
    struct span text = fuzz_span(data, size);
    size_t step = fuzz_byte(&text) % 16 + 1;
    struct span key = fuzz_take_until(&text, '\n');
    struct error error;
    struct tripwire *tripwire = tripwire_new(key, &error);
    bool is_found;

    fuzz_require(tripwire != NULL, "no tripwire: %s", error.text);
    is_found = read_in_steps(tripwire, text, SIZE_MAX);
    fuzz_require(is_found == read_in_steps(tripwire, text, step),
                 "whole and in steps of %zu differ", step);
    fuzz_require(is_found || !stands_in(key, text), "the key passes");
    if (text.len <= MOST_TEXT && !is_found)
        fuzz_require(
            !stands_in(key, span_make(decoded, http_percent_decode(text, decoded))),
            "the key passes percent-encoded: '%s'", fuzz_shown(text));
    fuzz_require(key.len >= TRIPWIRE_SHORTEST || !is_found, "a short key is found");
    tripwire_free(tripwire);
    return 0;
}
