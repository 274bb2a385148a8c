/*
 * Lines of the trail: a line that passes is JSON for others too, with the same values;
 * and any bytes written into a line come out of it again. Byte 0 chooses.
 */
#include <jansson.h>

#include "audit/checkpoint.h"
#include "audit/fields.h"
#include "audit/line.h"
#include "fuzz/support.h"

/* A number may be too large for a reader, which is no fault of the line. */
static bool is_too_large(const json_error_t *error)
{
    return json_error_code(error) == json_error_numeric_overflow;
}

static void check_member(json_t *root, struct span key, struct span value)
{
    json_t *wanted = json_object_getn(root, key.at, key.len);
    struct text decoded = {0};

    if (memchr(key.at, '\\', key.len) != NULL)
        return;
    fuzz_require(wanted != NULL, "others do not find '%s'", fuzz_shown(key));
    if (json_is_string(wanted)) {
        fields_decode(value, &decoded);
        fuzz_require(
            span_equal(fuzz_text(&decoded),
                       span_make(json_string_value(wanted), json_string_length(wanted))),
            "others read '%s' otherwise", fuzz_shown(value));
    }
    text_fini(&decoded);
}

static void check_line(struct span line)
{
    static const struct span keys[] = {{"a", 1}, {"event.id", 8}};
    struct span values[2], rest = line, key, value;
    struct error error;
    json_error_t why;
    json_t *root;

    if (!audit_line_pick(line, keys, 2, values, &error))
        return;
    root = json_loadb(line.at, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (root == NULL) {
        fuzz_require(is_too_large(&why) ||
                         json_error_code(&why) == json_error_null_byte_in_key,
                     "a line that others do not read: %s", why.text);
        return;
    }
    while (audit_line_next(&rest, &key, &value))
        check_member(root, key, value);
    for (int i = 0; i < 2; i++) {
        bool is_there = audit_line_find(line, keys[i], &value);

        fuzz_require(is_there == (values[i].at != NULL) &&
                         (!is_there || span_equal(value, values[i])),
                     "a member is found in one way and not in the other");
    }
    json_decref(root);
}

static void check_cut(struct span line)
{
    struct audit_line cut;
    struct audit_checkpoint checkpoint;
    struct error error;
    struct text again = {0};

    (void)audit_checkpoint_find(line, &checkpoint, &error);
    if (!audit_line_cut(line, &cut, &error))
        return;
    text_add(&again, cut.body);
    text_add_format(&again, ",\"event.sequence\":%llu,\"proxy.chain_id\":\"%.*s\"",
                    (unsigned long long)cut.sequence, (int)cut.chain_id.len,
                    cut.chain_id.at);
    if (cut.oldest_open > 0)
        text_add_format(&again, ",\"proxy.trail.oldest_open\":%llu",
                        (unsigned long long)cut.oldest_open);
    text_add_format(&again, ",\"proxy.prev_hash\":\"%.*s\"}", (int)cut.prev_hash.len,
                    cut.prev_hash.at);
    fuzz_require(span_equal(fuzz_text(&again), line), "the parts are not the line");
    text_fini(&again);
}

/* Two lines become one, as a table shows a mutation. */
static void check_merged(struct span one, struct span other)
{
    struct span value;
    struct error error;
    struct text merged = {0};

    if (!audit_line_pick(one, NULL, 0, &value, &error) ||
        !audit_line_pick(other, NULL, 0, &value, &error))
        return;
    fields_merge_lines(one, other, &merged);
    fuzz_require(audit_line_pick(fuzz_text(&merged), NULL, 0, &value, &error) ||
                     strstr(error.text, "more than") != NULL,
                 "two sound lines become one that is not: %s", error.text);
    text_fini(&merged);
}

/* The bytes with what is no UTF-8 replaced. */
static void add_replaced(struct span bytes, struct text *out)
{
    (void)text_reserve(out, 1);
    while (bytes.len > 0) {
        size_t len = text_utf8_length(bytes);

        text_add(out, len > 0 ? span_make(bytes.at, len) : SPAN("\xef\xbf\xbd"));
        (void)fuzz_take(&bytes, len > 0 ? len : 1);
    }
}

static void check_written(struct span bytes)
{
    struct text line = {0}, decoded = {0}, wanted = {0};
    struct span value;
    struct error error;

    text_add(&line, SPAN("{"));
    text_add_member(&line, "a", bytes);
    text_add_member_number(&line, "b", (int64_t)bytes.len);
    text_add(&line, SPAN("}"));
    fuzz_require(audit_line_pick(fuzz_text(&line), &SPAN("a"), 1, &value, &error),
                 "a line of ours %s", error.text);
    fields_decode(value, &decoded);
    (void)text_reserve(&decoded, 1);
    add_replaced(bytes, &wanted);
    fuzz_require(span_equal(fuzz_text(&decoded), fuzz_text(&wanted)),
                 "'%s' is written and read as '%s'", fuzz_shown(bytes),
                 fuzz_shown(fuzz_text(&decoded)));
    text_fini(&line);
    text_fini(&decoded);
    text_fini(&wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size), copy;
    unsigned choice = fuzz_byte(&input) % 3;

    copy = fuzz_copy(input);
    if (choice == 0) {
        check_line(copy);
        check_cut(copy);
    } else if (choice == 1) {
        struct span one = fuzz_take_until(&input, '\n');

        check_merged(one, input);
    } else {
        check_written(copy);
    }
    fuzz_free(copy);
    return 0;
}
