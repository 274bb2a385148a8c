#include "audit/body.h"

#include <float.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/json_text.h"
#include "base/secret.h"

#define KEY_PREFIX "proxy.recorded."

static const char *const verdict_words[] = {
    [AUDIT_BODY_READ] = "read",           [AUDIT_BODY_EMPTY] = "empty",
    [AUDIT_BODY_NOT_JSON] = "not_json",   [AUDIT_BODY_COMPRESSED] = "compressed",
    [AUDIT_BODY_DUPLICATE] = "duplicate", [AUDIT_BODY_MISTYPED] = "mistyped",
    [AUDIT_BODY_TOO_DEEP] = "too_deep",   [AUDIT_BODY_NO_MEMORY] = "no_memory",
};

const char *audit_body_verdict_word(enum audit_body_verdict verdict)
{
    return verdict_words[verdict];
}

/* Content-Type (RFC 9110 8.3.1) */

/* RFC 9110 5.6.2 */
static bool is_token_byte(char c)
{
    return c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

static struct span take_token(struct span *text)
{
    size_t len = 0;

    while (len < text->len && is_token_byte(text->at[len]))
        len++;
    text->at += len;
    text->len -= len;
    return span_make(text->at - len, len);
}

static bool take_byte(struct span *text, char byte)
{
    if (text->len == 0 || text->at[0] != byte)
        return false;
    text->at++;
    text->len--;
    return true;
}

/*
 * A parameter's value, quoted or not. A quoted one with anything but token bytes and
 * spaces is not taken: a parser that only splits at ';' would read it otherwise.
 */
static bool take_value(struct span *text, struct span *value)
{
    const char *start;

    if (!take_byte(text, '"')) {
        *value = take_token(text);
        return value->len > 0;
    }
    start = text->at;
    while (text->len > 0 && (is_token_byte(text->at[0]) || text->at[0] == ' ')) {
        text->at++;
        text->len--;
    }
    *value = span_make(start, (size_t)(text->at - start));
    return take_byte(text, '"');
}

static bool is_json_subtype(struct span subtype)
{
    const struct span suffix = SPAN("+json");

    return span_equal_nocase(subtype, SPAN("json")) ||
           (subtype.len > suffix.len &&
            span_equal_nocase(
                span_make(subtype.at + subtype.len - suffix.len, suffix.len), suffix));
}

/* application/json or application/SOMETHING+json, in UTF-8, and well-formed. */
static bool is_json_type(struct span type)
{
    type = span_trim(type);
    if (!span_equal_nocase(take_token(&type), SPAN("application")) ||
        !take_byte(&type, '/') || !is_json_subtype(take_token(&type)))
        return false;
    for (type = span_trim(type); type.len > 0; type = span_trim(type)) {
        struct span name, value;

        if (!take_byte(&type, ';'))
            return false;
        type = span_trim(type);
        name = take_token(&type);
        if (name.len == 0)
            continue; /* RFC 9110 5.6.6: an empty one between semicolons is fine */
        if (!take_byte(&type, '=') || !take_value(&type, &value))
            return false;
        if (span_equal_nocase(name, SPAN("charset")) &&
            !span_equal_nocase(value, SPAN("utf-8")))
            return false;
    }
    return true;
}

/* Parsing */

static enum audit_body_verdict verdict_of_fault(json_error_t *fault)
{
    enum json_error_code code = json_error_code(fault);

    secret_cleanse(fault, sizeof(*fault)); /* its text quotes the body */
    switch (code) {
    case json_error_duplicate_key:
        return AUDIT_BODY_DUPLICATE;
    case json_error_stack_overflow:
        return AUDIT_BODY_TOO_DEEP;
    case json_error_out_of_memory:
        return AUDIT_BODY_NO_MEMORY;
    default:
        return AUDIT_BODY_NOT_JSON;
    }
}

/*
 * jansson is strict where it matters: it refuses invalid UTF-8, a byte order mark, lone
 * surrogates, NUL (also as \u0000: some parsers end the string there), numbers out of
 * range, anything after the value, and more than 2,048 levels. Only a NUL byte behind a
 * number slips through its lexer (2.14): no JSON has one anywhere.
 */
static enum audit_body_verdict parse(struct span bytes, json_t **root)
{
    json_error_t fault = {0};

    *root = NULL;
    if (memchr(bytes.at, '\0', bytes.len) != NULL)
        return AUDIT_BODY_NOT_JSON;
    *root = json_text_read(bytes, JSON_REJECT_DUPLICATES, &fault);
    return *root != NULL ? AUDIT_BODY_READ : verdict_of_fault(&fault);
}

/* A letter in lower case, with the two others in Unicode that fold to an ASCII one. */
static char take_folded(const char **text)
{
    if (strncmp(*text, "\xc5\xbf", 2) == 0) { /* U+017F, long s */
        *text += 2;
        return 's';
    }
    if (strncmp(*text, "\xe2\x84\xaa", 3) == 0) { /* U+212A, Kelvin sign */
        *text += 3;
        return 'k';
    }
    return ascii_lower(*(*text)++);
}

/* Whether a decoder that ignores case, such as Go's, may take key for wanted. */
static bool is_like(const char *key, const char *wanted)
{
    while (*key != '\0' && *wanted != '\0') {
        if (take_folded(&key) != take_folded(&wanted))
            return false;
    }
    return *key == *wanted;
}

static bool is_other_spelling(const char *key, const char *wanted)
{
    return strcmp(key, wanted) != 0 && is_like(key, wanted);
}

/*
 * Whether a member might be taken for one that is wanted. "__proto__" gives an object
 * members that it does not show, where a program copies them one by one.
 */
static bool is_ambiguous(const struct audit_body_source *source, const char *key)
{
    if (strcmp(key, "__proto__") == 0 ||
        (source->name_member != NULL && is_other_spelling(key, source->name_member)))
        return true;
    for (size_t i = 0; i < source->record_count; i++) {
        if (is_other_spelling(key, source->record[i]))
            return true;
    }
    return false;
}

static bool has_ambiguous_member(const struct audit_body_source *source, json_t *root)
{
    const char *key;
    json_t *value;

    json_object_foreach (root, key, value) {
        if (is_ambiguous(source, key))
            return true;
    }
    return false;
}

/* What goes into the record */

/* The longest start of text that has at most so many bytes and ends with a character. */
static struct span whole_characters(struct span text, size_t most)
{
    size_t len = text.len < most ? text.len : most;

    while (len > 0 && len < text.len && ((unsigned char)text.at[len] & 0xc0) == 0x80)
        len--;
    return span_make(text.at, len);
}

static void add_string(const struct audit_body_source *source, struct text *out,
                       struct span value)
{
    struct span kept = whole_characters(value, AUDIT_BODY_MOST_STRING_BYTES);

    if (source->is_secret != NULL && source->is_secret(source->owner, value)) {
        text_add(out, SPAN("\"(withheld)\""));
        return;
    }
    text_add_json_string(out, kept);
    if (kept.len < value.len && !out->failed) {
        out->len--; /* the closing quote */
        text_add(out, SPAN("\xe2\x80\xa6\""));
    }
}

/* The number with the fewest digits that say just this value: 0.1 is no 0.1000…01. */
static void add_number(struct text *out, const json_t *value)
{
    char number[64] = "";
    size_t len = 0;

    for (size_t digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        len = json_dumpb(value, number, sizeof(number) - 1,
                         JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        if (len == 0 || len >= sizeof(number)) {
            out->failed = true;
            return;
        }
        number[len] = '\0';
        if (!json_is_real(value) || strtod(number, NULL) == json_real_value(value))
            break;
    }
    text_add(out, span_make(number, len));
}

static void add_value(const struct audit_body_source *source, struct text *out,
                      const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        text_add(out, SPAN("\"(object)\""));
        break;
    case JSON_ARRAY:
        text_add(out, SPAN("\"(array)\""));
        break;
    case JSON_STRING:
        add_string(source, out,
                   span_make(json_string_value(value), json_string_length(value)));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        add_number(out, value);
        break;
    case JSON_TRUE:
        text_add(out, SPAN("true"));
        break;
    case JSON_FALSE:
        text_add(out, SPAN("false"));
        break;
    case JSON_NULL:
        text_add(out, SPAN("null"));
        break;
    }
}

static bool is_listed_before(const struct audit_body_source *source, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(source->record[i], source->record[index]) == 0)
            return true;
    }
    return false;
}

static void add_key(struct text *out, const char *member)
{
    struct text key = {0};

    text_add(&key, SPAN(KEY_PREFIX));
    text_add(&key, span_of(member));
    if (out->len > 0)
        text_add_byte(out, ',');
    text_add_json_string(out, span_make(key.bytes, key.len));
    text_add_byte(out, ':');
    out->failed = out->failed || key.failed;
    text_fini(&key);
}

static bool record_members(const struct audit_body_source *source, json_t *root,
                           struct text *out)
{
    for (size_t i = 0; i < source->record_count; i++) {
        const json_t *value = json_object_get(root, source->record[i]);

        if (value == NULL || is_listed_before(source, i))
            continue;
        add_key(out, source->record[i]);
        add_value(source, out, value);
    }
    return !out->failed;
}

static enum audit_body_verdict take_name(const struct audit_body_source *source,
                                         json_t *root, char **name)
{
    const json_t *value;

    if (source->name_member == NULL)
        return AUDIT_BODY_READ;
    value = json_object_get(root, source->name_member);
    if (!json_is_string(value) || json_string_length(value) > AUDIT_BODY_MOST_NAME_BYTES)
        return AUDIT_BODY_MISTYPED;
    *name = strdup(json_string_value(value));
    return *name != NULL ? AUDIT_BODY_READ : AUDIT_BODY_NO_MEMORY;
}

static enum audit_body_verdict extract(const struct audit_body_source *source,
                                       json_t *root, struct audit_body *body)
{
    enum audit_body_verdict verdict;

    if (!json_is_object(root))
        return AUDIT_BODY_MISTYPED;
    if (has_ambiguous_member(source, root))
        return AUDIT_BODY_DUPLICATE;
    verdict = take_name(source, root, &body->name);
    if (verdict == AUDIT_BODY_READ && !record_members(source, root, &body->recorded))
        verdict = AUDIT_BODY_NO_MEMORY;
    return verdict;
}

enum audit_body_verdict audit_body_read(const struct audit_body_source *source,
                                        struct audit_body *body)
{
    enum audit_body_verdict verdict;
    json_t *root;

    *body = (struct audit_body){0};
    if (source->name_member == NULL && source->record_count == 0)
        return AUDIT_BODY_READ;
    if (source->bytes.len == 0)
        return AUDIT_BODY_EMPTY;
    if (source->is_encoded)
        return AUDIT_BODY_COMPRESSED;
    /* Without the field, whoever reads JSON at all reads this (FACTS: pspace sends it).
     */
    if (source->content_type.at != NULL && !is_json_type(source->content_type))
        return AUDIT_BODY_NOT_JSON;
    verdict = parse(source->bytes, &root);
    if (verdict != AUDIT_BODY_READ)
        return verdict;
    verdict = extract(source, root, body);
    json_decref(root);
    if (verdict != AUDIT_BODY_READ)
        audit_body_fini(body);
    return verdict;
}

void audit_body_fini(struct audit_body *body)
{
    free(body->name);
    text_fini(&body->recorded);
    body->name = NULL;
}
