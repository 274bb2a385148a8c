#include "audit/line.h"

#include "audit/hash.h"
#include "base/text.h"

enum { MOST_DIGITS = 18 };
#define MOST_NUMBER UINT64_C(999999999999999999)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

bool audit_is_hex(struct span text, size_t len)
{
    if (text.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_lower_hex(text.at[i]))
            return false;
    }
    return true;
}

/*
 * The tail is read from its end: each step takes one part off, and since no part's form
 * leaves a choice, there is one way to read a line.
 */
static bool take_end(struct span *rest, struct span end)
{
    if (rest->len < end.len ||
        memcmp(rest->at + rest->len - end.len, end.at, end.len) != 0)
        return false;
    rest->len -= end.len;
    return true;
}

static bool take_hex(struct span *rest, size_t len, struct span *hex)
{
    if (rest->len < len)
        return false;
    *hex = span_make(rest->at + rest->len - len, len);
    rest->len -= len;
    return audit_is_hex(*hex, len);
}

/* A number from 1 on, without leading zeros. */
static bool take_number(struct span *rest, uint64_t *number)
{
    size_t len = 0;
    struct span digits;

    while (len < rest->len && len <= MOST_DIGITS &&
           is_digit(rest->at[rest->len - 1 - len]))
        len++;
    digits = span_make(rest->at + rest->len - len, len);
    rest->len -= len;
    return len > 0 && digits.at[0] != '0' && span_to_number(digits, MOST_NUMBER, number);
}

static bool take_oldest_open(struct span *rest, uint64_t *number)
{
    *number = 0;
    if (rest->len == 0 || !is_digit(rest->at[rest->len - 1]))
        return true;
    return take_number(rest, number) &&
           take_end(rest, SPAN(",\"proxy.trail.oldest_open\":"));
}

bool audit_line_cut(struct span line, struct audit_line *cut, struct error *error)
{
    struct span rest = line;

    if (!take_end(&rest, SPAN("\"}")) ||
        !take_hex(&rest, AUDIT_HASH_HEX, &cut->prev_hash) ||
        !take_end(&rest, SPAN(",\"proxy.prev_hash\":\"")))
        return error_set(error, "does not end with a proxy.prev_hash");
    if (!take_oldest_open(&rest, &cut->oldest_open))
        return error_set(error, "has no valid proxy.trail.oldest_open in its place");
    if (!take_end(&rest, SPAN("\"")) ||
        !take_hex(&rest, AUDIT_CHAIN_ID_HEX, &cut->chain_id) ||
        !take_end(&rest, SPAN(",\"proxy.chain_id\":\"")))
        return error_set(error, "has no valid proxy.chain_id in its place");
    if (!take_number(&rest, &cut->sequence) ||
        !take_end(&rest, SPAN(",\"event.sequence\":")))
        return error_set(error, "has no valid event.sequence in its place");
    if (rest.len < 2 || rest.at[0] != '{')
        return error_set(error, "has nothing before its event.sequence");
    cut->body = rest;
    return true;
}

struct scan {
    const char *start, *at, *end;
};

static bool is_next(const struct scan *scan, char c)
{
    return scan->at < scan->end && *scan->at == c;
}

static bool take_byte(struct scan *scan, char c)
{
    if (!is_next(scan, c))
        return false;
    scan->at++;
    return true;
}

/* "\uXXXX" at the scan; its value, or -1. */
static int take_code_unit(struct scan *scan)
{
    int unit = 0;

    if (scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        char c = ascii_lower(scan->at[i]);

        if (!is_lower_hex(c))
            return -1;
        unit = unit * 16 + (is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    scan->at += 6;
    return unit;
}

static bool take_escape(struct scan *scan)
{
    int unit;

    if (scan->end - scan->at < 2)
        return false;
    if (scan->at[1] != 'u') {
        bool is_known = scan->at[1] != '\0' && strchr("\"\\/bfnrt", scan->at[1]) != NULL;

        scan->at += 2;
        return is_known;
    }
    unit = take_code_unit(scan);
    if (unit >= 0xd800 && unit <= 0xdbff) {
        unit = take_code_unit(scan);
        return unit >= 0xdc00 && unit <= 0xdfff;
    }
    return unit >= 0 && !(unit >= 0xdc00 && unit <= 0xdfff);
}

static bool take_string(struct scan *scan)
{
    if (!take_byte(scan, '"'))
        return false;
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at;
        size_t len = 1;

        if (c == '"') {
            scan->at++;
            return true;
        }
        if (c == '\\') {
            if (!take_escape(scan))
                return false;
            continue;
        }
        if (c >= 0x80)
            len = text_utf8_length(span_make(scan->at, (size_t)(scan->end - scan->at)));
        if (c < 0x20 || len == 0)
            return false;
        scan->at += len;
    }
    return false;
}

static bool take_digits(struct scan *scan)
{
    const char *first = scan->at;

    while (scan->at < scan->end && is_digit(*scan->at))
        scan->at++;
    return scan->at > first;
}

static bool take_json_number(struct scan *scan)
{
    (void)take_byte(scan, '-');
    if (!take_byte(scan, '0') && !take_digits(scan))
        return false;
    if (take_byte(scan, '.') && !take_digits(scan))
        return false;
    if (take_byte(scan, 'e') || take_byte(scan, 'E')) {
        if (!take_byte(scan, '+'))
            (void)take_byte(scan, '-');
        return take_digits(scan);
    }
    return true;
}

static bool take_word(struct scan *scan, struct span word)
{
    if ((size_t)(scan->end - scan->at) < word.len ||
        memcmp(scan->at, word.at, word.len) != 0)
        return false;
    scan->at += word.len;
    return true;
}

static bool take_scalar(struct scan *scan)
{
    if (is_next(scan, '"'))
        return take_string(scan);
    return take_word(scan, SPAN("true")) || take_word(scan, SPAN("false")) ||
           take_word(scan, SPAN("null")) || take_json_number(scan);
}

static bool take_value(struct scan *scan)
{
    if (!take_byte(scan, '['))
        return take_scalar(scan);
    if (take_byte(scan, ']'))
        return true;
    do {
        if (!take_scalar(scan))
            return false;
    } while (take_byte(scan, ','));
    return take_byte(scan, ']');
}

enum step { STEP_MEMBER, STEP_END, STEP_BAD };

static enum step next_member(struct scan *scan, struct span *key, struct span *value)
{
    bool is_first = scan->at == scan->start;
    const char *start;

    if (!is_first && is_next(scan, '}') && scan->at + 1 == scan->end)
        return STEP_END;
    if (!take_byte(scan, is_first ? '{' : ','))
        return STEP_BAD;
    start = scan->at;
    if (!take_string(scan) || !take_byte(scan, ':'))
        return STEP_BAD;
    *key = span_make(start + 1, (size_t)(scan->at - start) - 3);
    start = scan->at;
    if (!take_value(scan))
        return STEP_BAD;
    *value = span_make(start, (size_t)(scan->at - start));
    return STEP_MEMBER;
}

static struct scan scan_of(struct span line)
{
    return (struct scan){line.at, line.at, line.at + line.len};
}

/* The keys so far. Each has a mark that tells most keys apart without their bytes. */
struct keys {
    size_t count;
    uint64_t marks[AUDIT_LINE_MEMBERS];
    struct span keys[AUDIT_LINE_MEMBERS];
};

static uint64_t mark_of(struct span key)
{
    size_t len = key.len < sizeof(uint64_t) ? key.len : sizeof(uint64_t);
    uint64_t end = 0;

    if (len > 0)
        memcpy(&end, key.at + key.len - len, len);
    return end ^ (uint64_t)key.len << 56;
}

/* Two spellings of one key must not pass as two keys. */
static bool has_one_spelling(struct span key)
{
    const char *at = memchr(key.at, '\\', key.len);

    while (at != NULL) {
        const char *next = at + 2;

        if (at[1] == 'u' || at[1] == '/')
            return false;
        at = memchr(next, '\\', (size_t)(key.at + key.len - next));
    }
    return true;
}

static bool add_key(struct keys *keys, struct span key, struct error *error)
{
    uint64_t mark = mark_of(key);

    if (keys->count == AUDIT_LINE_MEMBERS)
        return error_set(error, "has more than %d members", AUDIT_LINE_MEMBERS);
    if (!has_one_spelling(key))
        return error_set(error, "has an escape in a key that could be written without");
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->marks[i] == mark && span_equal(keys->keys[i], key))
            return error_set(error, "has the member %.*s twice",
                             key.len > 100 ? 100 : (int)key.len, key.at);
    }
    keys->marks[keys->count] = mark;
    keys->keys[keys->count++] = key;
    return true;
}

bool audit_line_pick(struct span line, const struct span *wanted, size_t count,
                     struct span *values, struct error *error)
{
    struct scan scan = scan_of(line);
    struct span key, value;
    struct keys keys;
    enum step step;

    keys.count = 0;
    for (size_t i = 0; i < count; i++)
        values[i] = (struct span){0};
    while ((step = next_member(&scan, &key, &value)) == STEP_MEMBER) {
        if (!add_key(&keys, key, error))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (span_equal(wanted[i], key))
                values[i] = value;
        }
    }
    return step == STEP_END ||
           error_set(error, "is not one flat JSON object in UTF-8 (see byte %zu)",
                     (size_t)(scan.at - scan.start) + 1);
}

bool audit_line_find(struct span line, struct span key, struct span *value)
{
    struct scan scan = scan_of(line);
    struct span found;

    while (next_member(&scan, &found, value) == STEP_MEMBER) {
        if (span_equal(found, key))
            return true;
    }
    return false;
}

bool audit_line_next(struct span *rest, struct span *key, struct span *value)
{
    struct scan scan = scan_of(*rest);

    if (rest->len > 0 && !is_next(&scan, '{'))
        scan.start = NULL; /* in the midst of the line */
    if (next_member(&scan, key, value) != STEP_MEMBER)
        return false;
    *rest = span_make(scan.at, (size_t)(scan.end - scan.at));
    return true;
}

bool audit_value_string(struct span value, struct span *text)
{
    if (value.at == NULL || value.len < 2 || value.at[0] != '"')
        return false;
    *text = span_make(value.at + 1, value.len - 2);
    return true;
}

bool audit_value_number(struct span value, uint64_t *number)
{
    return value.at != NULL && (value.len == 1 || value.at[0] != '0') &&
           span_to_number(value, MOST_NUMBER, number);
}

bool audit_line_find_string(struct span line, struct span key, struct span *text)
{
    struct span value;

    return audit_line_find(line, key, &value) && audit_value_string(value, text);
}
