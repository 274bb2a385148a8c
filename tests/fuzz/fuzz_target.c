/*
 * Request targets and paths, against a splitter that makes a list of every segment's
 * bytes first and judges afterwards; and Location references, which must stay on the
 * host. Byte 0: the method, and whether encoded slashes are forwarded.
 */
#include "fuzz/support.h"
#include "http/reference.h"
#include "http/target.h"

enum { MOST_SEGMENTS = 512 };

/* A path taken apart: what each segment means, decoded. */
struct apart {
    struct text segments[MOST_SEGMENTS];
    size_t count;
};

static void apart_end(struct apart *apart)
{
    for (size_t i = 0; i < apart->count; i++)
        text_fini(&apart->segments[i]);
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, ascii_lower(c)) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

static bool decode(struct span raw, struct text *out)
{
    text_reserve(out, 1);
    for (size_t i = 0; i < raw.len; i++) {
        int high, low;

        if (raw.at[i] != '%') {
            text_add_byte(out, raw.at[i]);
            continue;
        }
        high = i + 1 < raw.len ? hex_value(raw.at[i + 1]) : -1;
        low = i + 2 < raw.len ? hex_value(raw.at[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        text_add_byte(out, (char)(high * 16 + low));
        i += 2;
    }
    return true;
}

/* RFC 3629, by decoding each character and encoding it again in the shortest way. */
static bool is_utf8(struct span text)
{
    while (text.len > 0) {
        unsigned first = fuzz_byte(&text), point, more;

        if (first < 0x80)
            continue;
        more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc0 || first >= 0xf8 || text.len < more)
            return false;
        point = first & (0x3fu >> more);
        for (unsigned i = 0; i < more; i++) {
            unsigned next = fuzz_byte(&text);

            if ((next & 0xc0) != 0x80)
                return false;
            point = point << 6 | (next & 0x3f);
        }
        if (point < (more == 1   ? 0x80u
                     : more == 2 ? 0x800u
                                 : 0x10000u) ||
            point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
    }
    return true;
}

static bool is_clean(struct span segment, bool forward)
{
    struct span rest = segment;

    for (size_t i = 0; i < segment.len; i++) {
        unsigned char byte = (unsigned char)segment.at[i];

        if (byte < 0x20 || byte == 0x7f || byte == '\\' || (byte == '/' && !forward))
            return false;
    }
    do {
        struct span part = fuzz_take_until(&rest, '/');

        if (span_equal(part, SPAN(".")) || span_equal(part, SPAN("..")))
            return false;
    } while (rest.len > 0);
    return segment.len > 0 && is_utf8(segment);
}

static bool has_slash(const struct apart *apart)
{
    for (size_t i = 0; i < apart->count; i++) {
        if (memchr(apart->segments[i].bytes, '/', apart->segments[i].len) != NULL)
            return true;
    }
    return false;
}

/* False: refused. */
static bool take_apart(struct span path, bool forward, struct apart *apart)
{
    (void)fuzz_byte(&path); /* the first slash */
    while (path.len > 0 && apart->count < MOST_SEGMENTS) {
        struct text *segment = &apart->segments[apart->count++];

        *segment = (struct text){0};
        if (!decode(fuzz_take_until(&path, '/'), segment) ||
            !is_clean(fuzz_text(segment), forward))
            return false;
    }
    return apart->count <= HTTP_PATH_SEGMENTS || !has_slash(apart);
}

static void check_again(const struct http_path *path)
{
    struct http_path again;

    http_path_split_again(path, &again);
    for (unsigned i = 0; i < again.count && i < HTTP_PATH_SEGMENTS; i++)
        fuzz_require(again.segments[i].len > 0 &&
                         memchr(again.segments[i].at, '/', again.segments[i].len) == NULL,
                     "split again, segment %u is empty or holds a slash", i);
}

static void check_path(struct span path, bool forward)
{
    struct span copy = fuzz_copy(path), scratch = fuzz_copy(path);
    struct apart apart = {.count = 0};
    enum http_fault fault;
    struct http_path got;
    bool is_taken =
        http_path_split(copy, forward, (char *)(uintptr_t)scratch.at, &got, &fault);

    fuzz_require(is_taken == take_apart(path, forward, &apart), "the path is %s",
                 is_taken ? "taken" : "refused");
    fuzz_require(is_taken == (fault == HTTP_FAULT_NONE), "a fault without a refusal");
    if (is_taken) {
        fuzz_require(got.count == apart.count, "%u segments, not %zu", got.count,
                     apart.count);
        for (unsigned i = 0; i < got.count && i < HTTP_PATH_SEGMENTS; i++)
            fuzz_require(span_equal(got.segments[i], fuzz_text(&apart.segments[i])),
                         "segment %u is '%s'", i, fuzz_shown(got.segments[i]));
        if (got.has_encoded_slash)
            check_again(&got);
    }
    apart_end(&apart);
    fuzz_free(copy);
    fuzz_free(scratch);
}

/* What a Location leads to is a path on this host, without dot segments. */
static void check_reference(struct span reference, struct span base)
{
    struct text out = {0};

    if (reference.len > 0 && memchr(reference.at, '\0', reference.len) == NULL &&
        http_resolve_reference(reference, base, SPAN("https"), SPAN("api.test"), &out)) {
        struct span path = fuzz_text(&out);
        struct span before = fuzz_take_until(&path, '?');

        fuzz_require(before.len > 0 && before.at[0] == '/', "no path comes out");
        while (before.len > 0) {
            struct span segment = fuzz_take_until(&before, '/');

            fuzz_require(!span_equal(segment, SPAN(".")) &&
                             !span_equal(segment, SPAN("..")),
                         "a dot segment is left of '%s'", fuzz_shown(reference));
        }
        fuzz_require(memchr(out.bytes, '#', out.len) == NULL, "a fragment is left");
    }
    text_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);
    unsigned choice = fuzz_byte(&input);
    struct span method = (choice & 1) != 0 ? SPAN("OPTIONS") : SPAN("GET");
    struct span copy = fuzz_copy(input);
    struct http_target target;
    enum http_fault fault;

    check_reference(copy, SPAN("/v1/teams/t1"));
    if (copy.len > 0 && http_target_split(copy, method, &target, &fault)) {
        fuzz_require(target.is_asterisk == span_equal(target.path, SPAN("*")) &&
                         target.path.len > 0,
                     "neither a path nor an asterisk");
        fuzz_require(memchr(target.path.at, '?', target.path.len) == NULL,
                     "a query in the path");
        if (!target.is_asterisk)
            check_path(target.path, (choice & 2) != 0);
    }
    fuzz_free(copy);
    return 0;
}
