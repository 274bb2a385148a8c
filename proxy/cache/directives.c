#include "cache/directives.h"

#include "http/chars.h"

/* One directive off a list: NAME, or NAME=VALUE with the value's quotes taken off. */
struct directive {
    struct span name, value;
    bool has_value, is_sound;
    bool hides_rest; /* a quoted string without its end: who knows what stood behind it */
};

static void skip(struct span *list, size_t len)
{
    list->at += len;
    list->len -= len;
}

static void skip_separators(struct span *list)
{
    while (list->len > 0 &&
           (list->at[0] == ',' || list->at[0] == ' ' || list->at[0] == '\t'))
        skip(list, 1);
}

static size_t token_length(struct span text)
{
    size_t len = 0;

    while (len < text.len && http_is(text.at[len], HTTP_CHAR_TOKEN))
        len++;
    return len;
}

/* A quoted string's inside; escapes stay as they are, which no directive's value needs.
 */
static bool take_quoted(struct span *list, struct span *value)
{
    size_t len = 1;

    while (len < list->len && list->at[len] != '"')
        len += list->at[len] == '\\' ? 2 : 1;
    if (len >= list->len) {
        skip(list, list->len);
        return false;
    }
    *value = span_make(list->at + 1, len - 1);
    skip(list, len + 1);
    return true;
}

/* What stands between here and the next comma makes the directive unsound. */
static bool at_end_of_element(struct span *list)
{
    bool is_clean = true;

    while (list->len > 0 && list->at[0] != ',') {
        if (list->at[0] != ' ' && list->at[0] != '\t')
            is_clean = false;
        skip(list, 1);
    }
    return is_clean;
}

static bool next_directive(struct span *list, struct directive *directive)
{
    size_t len;

    *directive = (struct directive){.is_sound = true};
    skip_separators(list);
    if (list->len == 0)
        return false;
    len = token_length(*list);
    directive->name = span_make(list->at, len);
    skip(list, len);
    if (list->len > 0 && list->at[0] == '=') {
        directive->has_value = true;
        skip(list, 1);
        if (list->len > 0 && list->at[0] == '"') {
            directive->is_sound = take_quoted(list, &directive->value);
            directive->hides_rest = !directive->is_sound;
        } else {
            len = token_length(*list);
            directive->value = span_make(list->at, len);
            skip(list, len);
        }
    }
    if (!at_end_of_element(list))
        directive->is_sound = false;
    return true;
}

/* RFC 9111 1.2.2: too large a number means the largest; anything else is no number. */
static int64_t seconds_of(const struct directive *directive)
{
    uint64_t value;

    if (!directive->is_sound || directive->value.len == 0)
        return 0;
    if (span_to_number(directive->value, (uint64_t)CACHE_FOREVER_S, &value))
        return (int64_t)value;
    for (size_t i = 0; i < directive->value.len; i++) {
        if (directive->value.at[i] < '0' || directive->value.at[i] > '9')
            return 0;
    }
    return CACHE_FOREVER_S;
}

static void take_smaller(int64_t *field, int64_t value)
{
    if (*field == CACHE_ABSENT || value < *field)
        *field = value;
}

static void take_larger(int64_t *field, int64_t value)
{
    if (*field == CACHE_ABSENT || value > *field)
        *field = value;
}

static void read_seconds(const struct directive *directive,
                         struct cache_directives *directives)
{
    const struct {
        struct span name;
        int64_t *field;
    } known[] = {
        {SPAN("max-age"), &directives->max_age},
        {SPAN("s-maxage"), &directives->s_maxage},
        {SPAN("stale-while-revalidate"), &directives->stale_while_revalidate},
        {SPAN("stale-if-error"), &directives->stale_if_error},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (span_equal_nocase(directive->name, known[i].name))
            take_smaller(known[i].field, seconds_of(directive));
    }
    if (span_equal_nocase(directive->name, SPAN("min-fresh")))
        take_larger(&directives->min_fresh, seconds_of(directive));
    if (span_equal_nocase(directive->name, SPAN("max-stale")))
        take_smaller(&directives->max_stale,
                     directive->has_value ? seconds_of(directive) : CACHE_FOREVER_S);
}

/* no-cache and private: with field names they are about those alone. */
static void read_qualified(const struct directive *directive, bool *unqualified,
                           bool *names_fields)
{
    if (directive->has_value && directive->is_sound && directive->value.len > 0)
        *names_fields = true;
    else
        *unqualified = true;
}

static void read_flag(const struct directive *directive,
                      struct cache_directives *directives)
{
    const struct {
        struct span name;
        bool *field;
    } known[] = {
        {SPAN("no-store"), &directives->no_store},
        {SPAN("only-if-cached"), &directives->only_if_cached},
        {SPAN("public"), &directives->is_public},
        {SPAN("must-revalidate"), &directives->must_revalidate},
        {SPAN("proxy-revalidate"), &directives->proxy_revalidate},
        {SPAN("must-understand"), &directives->must_understand},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (span_equal_nocase(directive->name, known[i].name))
            *known[i].field = true;
    }
    if (span_equal_nocase(directive->name, SPAN("no-cache")))
        read_qualified(directive, &directives->no_cache, &directives->names_fields);
    if (span_equal_nocase(directive->name, SPAN("private")))
        read_qualified(directive, &directives->is_private, &directives->names_fields);
}

static void read_pragma(const struct http_head *head, struct cache_directives *directives)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span list = http_field_value(head, &head->fields[i]);
        struct directive directive;

        if (head->fields[i].id != HTTP_FIELD_PRAGMA)
            continue;
        while (next_directive(&list, &directive)) {
            if (span_equal_nocase(directive.name, SPAN("no-cache")))
                directives->no_cache = true;
        }
    }
}

void cache_directives_clear(struct cache_directives *directives)
{
    *directives = (struct cache_directives){
        .max_age = CACHE_ABSENT,
        .s_maxage = CACHE_ABSENT,
        .min_fresh = CACHE_ABSENT,
        .max_stale = CACHE_ABSENT,
        .stale_while_revalidate = CACHE_ABSENT,
        .stale_if_error = CACHE_ABSENT,
    };
}

void cache_directives_read(const struct http_head *head,
                           struct cache_directives *directives)
{
    cache_directives_clear(directives);
    if (!http_head_has(head, HTTP_FIELD_CACHE_CONTROL) &&
        !http_head_has(head, HTTP_FIELD_PRAGMA))
        return;
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span list = http_field_value(head, &head->fields[i]);
        struct directive directive;

        if (head->fields[i].id != HTTP_FIELD_CACHE_CONTROL)
            continue;
        directives->is_present = true;
        while (next_directive(&list, &directive)) {
            read_flag(&directive, directives);
            read_seconds(&directive, directives);
            if (directive.hides_rest)
                directives->no_store = true;
        }
    }
    if (head->kind == HTTP_REQUEST && !directives->is_present)
        read_pragma(head, directives);
}

static bool list_has(struct span list, struct span name)
{
    struct span element;

    while (http_list_next(&list, &element)) {
        if (span_equal_nocase(element, name))
            return true;
    }
    return false;
}

bool cache_names_field(const struct http_head *head, struct span name)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span list = http_field_value(head, &head->fields[i]);
        struct directive directive;

        if (head->fields[i].id != HTTP_FIELD_CACHE_CONTROL)
            continue;
        while (next_directive(&list, &directive)) {
            if ((span_equal_nocase(directive.name, SPAN("no-cache")) ||
                 span_equal_nocase(directive.name, SPAN("private"))) &&
                directive.has_value && list_has(directive.value, name))
                return true;
        }
    }
    return false;
}
