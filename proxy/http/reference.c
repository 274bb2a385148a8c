#include "http/reference.h"

static struct span rest_of(struct span text, size_t from)
{
    return span_make(text.at + from, text.len - from);
}

/* Takes "SCHEME:" off, if it is there and ours; false if it is another's. */
static bool take_scheme(struct span *reference, struct span scheme)
{
    size_t len = 0;

    while (len < reference->len && strchr(":/?#", reference->at[len]) == NULL)
        len++;
    if (len == reference->len || reference->at[len] != ':' || len == 0)
        return true; /* no scheme */
    if (!span_equal_nocase(span_make(reference->at, len), scheme))
        return false;
    *reference = rest_of(*reference, len + 1);
    return reference->len >= 2 && memcmp(reference->at, "//", 2) == 0;
}

/* Takes "//AUTHORITY" off, if it is there and ours; false if it is another's. */
static bool take_authority(struct span *reference, struct span authority)
{
    size_t len = 2;

    if (reference->len < 2 || memcmp(reference->at, "//", 2) != 0)
        return true;
    while (len < reference->len && strchr("/?", reference->at[len]) == NULL)
        len++;
    if (!span_equal_nocase(span_make(reference->at + 2, len - 2), authority))
        return false;
    *reference = len == reference->len ? SPAN("/") : rest_of(*reference, len);
    return true;
}

/* Adds the base up to its last slash: what a relative path stands behind. */
static void add_folder(struct span base, struct text *out)
{
    while (base.len > 0 && base.at[base.len - 1] != '/')
        base.len--;
    text_add(out, base);
}

static void drop_last_segment(struct text *out)
{
    while (out->len > 0 && out->bytes[out->len - 1] != '/')
        out->len--;
    if (out->len > 0)
        out->len--;
}

/* RFC 3986 5.2.4, segment by segment. */
static void add_without_dots(struct span path, struct text *out)
{
    while (path.len > 0) {
        const char *slash = memchr(path.at + 1, '/', path.len - 1);
        size_t len = slash != NULL ? (size_t)(slash - path.at) : path.len;
        struct span segment = span_make(path.at + 1, len - 1);
        bool is_last = slash == NULL;

        if (span_equal(segment, SPAN(".."))) {
            drop_last_segment(out);
            text_add(out, is_last ? SPAN("/") : SPAN(""));
        } else if (span_equal(segment, SPAN("."))) {
            text_add(out, is_last ? SPAN("/") : SPAN(""));
        } else {
            text_add(out, span_make(path.at, len));
        }
        path = rest_of(path, len);
    }
}

bool http_resolve_reference(struct span reference, struct span base, struct span scheme,
                            struct span authority, struct text *out)
{
    const char *fragment = memchr(reference.at, '#', reference.len);
    struct text whole = {0};
    const char *query;
    size_t path_len;

    if (fragment != NULL)
        reference.len = (size_t)(fragment - reference.at);
    if (reference.len == 0 || !take_scheme(&reference, scheme) ||
        !take_authority(&reference, authority))
        return false;
    if (reference.at[0] == '?')
        text_add(&whole, base);
    else if (reference.at[0] != '/')
        add_folder(base, &whole);
    text_add(&whole, reference);
    if (!whole.failed && whole.len > 0 && whole.bytes[0] == '/') {
        query = memchr(whole.bytes, '?', whole.len);
        path_len = query != NULL ? (size_t)(query - whole.bytes) : whole.len;
        add_without_dots(span_make(whole.bytes, path_len), out);
        text_add(out, span_make(whole.bytes + path_len, whole.len - path_len));
    }
    text_fini(&whole);
    return out->len > 0 && !out->failed;
}
