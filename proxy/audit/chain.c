#include "audit/chain.h"

#include <string.h>

#include "base/random.h"

bool audit_chain_begin(struct audit_chain *chain, struct error *error)
{
    unsigned char id[AUDIT_CHAIN_ID_BYTES];

    *chain = (struct audit_chain){.last_hash = AUDIT_HASH_NONE};
    if (!random_fill(id, sizeof(id), error))
        return false;
    audit_hex(id, sizeof(id), chain->id);
    return true;
}

bool audit_chain_add(struct audit_chain *chain, struct audit_hasher *hasher,
                     struct span body, uint64_t oldest_open, struct text *out)
{
    size_t start = out->len;

    chain->sequence++;
    text_add(out, body);
    text_add(out, SPAN(",\"event.sequence\":"));
    text_add_number(out, (int64_t)chain->sequence);
    text_add(out, SPAN(",\"proxy.chain_id\":\""));
    text_add(out, span_make(chain->id, sizeof(chain->id) - 1));
    if (oldest_open != 0) {
        text_add(out, SPAN("\",\"proxy.trail.oldest_open\":"));
        text_add_number(out, (int64_t)(oldest_open < chain->sequence ? oldest_open
                                                                     : chain->sequence));
        text_add(out, SPAN(",\"proxy.prev_hash\":\""));
    } else {
        text_add(out, SPAN("\",\"proxy.prev_hash\":\""));
    }
    text_add(out, span_make(chain->last_hash, AUDIT_HASH_HEX));
    text_add(out, SPAN("\"}"));
    if (out->failed ||
        !audit_hash_hex(hasher, span_make(out->bytes + start, out->len - start),
                        chain->last_hash))
        return false;
    text_add_byte(out, '\n');
    return !out->failed;
}
