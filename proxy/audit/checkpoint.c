#include "audit/checkpoint.h"

#include <stdio.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/json_text.h"

#define PREFIX SPAN("psgate-checkpoint v1 ")
#define MOST_SEQUENCE UINT64_C(999999999999999999)

size_t audit_checkpoint_state(struct span chain_id, uint64_t sequence, struct span hash,
                              int64_t wall_ms, char statement[AUDIT_STATEMENT_BYTES])
{
    char time[CLOCK_TEXT_BYTES];

    clock_format_utc(wall_ms, time);
    return (size_t)snprintf(statement, AUDIT_STATEMENT_BYTES, "%s%.*s %llu %.*s %s",
                            PREFIX.at, AUDIT_CHAIN_ID_HEX, chain_id.at,
                            (unsigned long long)sequence, AUDIT_HASH_HEX, hash.at, time);
}

static bool sign(EVP_MD_CTX *context, const struct audit_key *key, struct span statement,
                 unsigned char signature[AUDIT_SIGNATURE_BYTES])
{
    size_t len = AUDIT_SIGNATURE_BYTES;

    return context != NULL &&
           EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
           EVP_DigestSign(context, signature, &len, (const unsigned char *)statement.at,
                          statement.len) == 1 &&
           len == AUDIT_SIGNATURE_BYTES;
}

bool audit_checkpoint_sign(const struct audit_key *key, struct span statement,
                           char signature[AUDIT_SIGNATURE_TEXT], struct error *error)
{
    unsigned char bytes[AUDIT_SIGNATURE_BYTES];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_signed = sign(context, key, statement, bytes);

    EVP_MD_CTX_free(context);
    if (!is_signed)
        return error_set(error, "OpenSSL cannot sign a checkpoint");
    (void)EVP_EncodeBlock((unsigned char *)signature, bytes, sizeof(bytes));
    return true;
}

bool audit_checkpoint_verify(const struct audit_checkpoint *checkpoint,
                             const struct audit_key *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = context != NULL &&
                   EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
                   EVP_DigestVerify(context, checkpoint->signature, AUDIT_SIGNATURE_BYTES,
                                    (const unsigned char *)checkpoint->statement,
                                    strlen(checkpoint->statement)) == 1;

    EVP_MD_CTX_free(context);
    return is_good;
}

/* The part up to the next space, or the rest; false when it does not fit. */
static bool take_part(struct span *rest, char *part, size_t capacity)
{
    const char *space = memchr(rest->at, ' ', rest->len);
    size_t len = space != NULL ? (size_t)(space - rest->at) : rest->len;
    size_t step = space != NULL ? len + 1 : len;

    if (len >= capacity)
        return false;
    memcpy(part, rest->at, len);
    part[len] = '\0';
    *rest = span_make(rest->at + step, rest->len - step);
    return true;
}

static bool read_statement(struct span text, struct audit_checkpoint *checkpoint)
{
    struct span rest = text;
    char sequence[24], time[40];

    if (text.len >= AUDIT_STATEMENT_BYTES || !span_starts_with(text, PREFIX) ||
        text.at[text.len - 1] == ' ')
        return false;
    memcpy(checkpoint->statement, text.at, text.len);
    checkpoint->statement[text.len] = '\0';
    rest = span_make(text.at + PREFIX.len, text.len - PREFIX.len);
    return take_part(&rest, checkpoint->chain_id, sizeof(checkpoint->chain_id)) &&
           audit_is_hex(span_of(checkpoint->chain_id), AUDIT_CHAIN_ID_HEX) &&
           take_part(&rest, sequence, sizeof(sequence)) && sequence[0] != '0' &&
           span_to_number(span_of(sequence), MOST_SEQUENCE, &checkpoint->sequence) &&
           take_part(&rest, checkpoint->hash, sizeof(checkpoint->hash)) &&
           audit_is_hex(span_of(checkpoint->hash), AUDIT_HASH_HEX) &&
           take_part(&rest, time, sizeof(time)) && rest.len == 0 &&
           clock_parse_utc(time, strlen(time), &checkpoint->wall_ms);
}

/* Decoded, and encoded again: so that there is one way to write a signature. */
static bool read_signature(struct span text, unsigned char out[AUDIT_SIGNATURE_BYTES])
{
    unsigned char bytes[AUDIT_SIGNATURE_TEXT];
    char again[AUDIT_SIGNATURE_TEXT];

    if (text.len != AUDIT_SIGNATURE_TEXT - 1 ||
        EVP_DecodeBlock(bytes, (const unsigned char *)text.at, (int)text.len) < 0)
        return false;
    (void)EVP_EncodeBlock((unsigned char *)again, bytes, AUDIT_SIGNATURE_BYTES);
    memcpy(out, bytes, AUDIT_SIGNATURE_BYTES);
    return memcmp(again, text.at, text.len) == 0;
}

bool audit_checkpoint_read(struct span statement, struct span signature, struct span key,
                           struct audit_checkpoint *checkpoint, struct error *error)
{
    *checkpoint = (struct audit_checkpoint){0};
    if (!read_statement(statement, checkpoint))
        return error_set(error, "has a checkpoint whose statement is not of the form "
                                "\"psgate-checkpoint v1 CHAIN SEQUENCE HASH TIME\"");
    if (!read_signature(signature, checkpoint->signature))
        return error_set(error, "has a checkpoint whose signature is not 64 bytes in "
                                "base64");
    if (key.at != NULL && !audit_is_hex(key, AUDIT_KEY_ID_HEX))
        return error_set(error, "has a checkpoint whose key is not 16 hex digits");
    if (key.at != NULL)
        memcpy(checkpoint->key_id, key.at, key.len);
    return true;
}

/* A string member as a span; at NULL when there is none. */
static struct span string_of(const json_t *object, struct span key)
{
    const json_t *value = json_object_get(object, key.at);

    return json_is_string(value)
               ? span_make(json_string_value(value), json_string_length(value))
               : (struct span){0};
}

enum audit_checkpoint_found audit_checkpoint_find(struct span line,
                                                  struct audit_checkpoint *checkpoint,
                                                  struct error *error)
{
    json_t *root = json_text_read(line, JSON_REJECT_DUPLICATES, NULL);
    struct span statement = string_of(root, AUDIT_KEY_STATEMENT);
    struct span signature = string_of(root, AUDIT_KEY_SIGNATURE);
    enum audit_checkpoint_found found = AUDIT_CHECKPOINT_NONE;

    if (statement.at != NULL && signature.at != NULL)
        found = audit_checkpoint_read(statement, signature,
                                      string_of(root, AUDIT_KEY_KEY), checkpoint, error)
                    ? AUDIT_CHECKPOINT_FOUND
                    : AUDIT_CHECKPOINT_BAD;
    json_decref(root);
    return found;
}
