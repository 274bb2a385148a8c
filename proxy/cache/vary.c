#include "cache/vary.h"

#include <stdlib.h>

#include "http/chars.h"

enum { MOST_ELEMENTS = 64 };

struct elements {
    struct span list[MOST_ELEMENTS];
    size_t count;
    bool is_present; /* there is such a field, perhaps an empty one */
};

/* How long the element is: commas in quotes and in comments (RFC 9110 5.6.5) are its own.
 */
static size_t element_length(struct span list)
{
    bool is_quoted = false;
    size_t depth = 0, len = 0;

    for (; len < list.len; len++) {
        char byte = list.at[len];

        if ((is_quoted || depth > 0) && byte == '\\' && len + 1 < list.len)
            len++;
        else if (byte == '"' && depth == 0)
            is_quoted = !is_quoted;
        else if (byte == '(' && !is_quoted)
            depth++;
        else if (byte == ')' && !is_quoted && depth > 0)
            depth--;
        else if (byte == ',' && !is_quoted && depth == 0)
            break;
    }
    return len;
}

static bool next_element(struct span *list, struct span *element)
{
    while (list->len > 0) {
        size_t len = element_length(*list);

        *element = span_trim(span_make(list->at, len));
        len += len < list->len; /* the comma */
        list->at += len;
        list->len -= len;
        if (element->len > 0)
            return true;
    }
    return false;
}

/* All elements of all fields of a name. False when there are too many to handle. */
static bool collect(const struct http_head *head, struct span name, bool as_forwarded,
                    struct elements *elements)
{
    struct span element;

    elements->count = 0;
    elements->is_present = false;
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        struct span list = http_field_value(head, field);

        if (!span_equal_nocase(http_field_name(head, field), name) ||
            (as_forwarded && field->is_hop_by_hop))
            continue;
        elements->is_present = true;
        while (next_element(&list, &element)) {
            if (elements->count == MOST_ELEMENTS)
                return false;
            elements->list[elements->count++] = element;
        }
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct span *one = a, *other = b;
    size_t len = one->len < other->len ? one->len : other->len;

    for (size_t i = 0; i < len; i++) {
        int difference = ascii_lower(one->at[i]) - ascii_lower(other->at[i]);

        if (difference != 0)
            return difference;
    }
    return (one->len > other->len) - (one->len < other->len);
}

static void add_lower(struct text *text, struct span span)
{
    for (size_t i = 0; i < span.len; i++)
        text_add_byte(text, ascii_lower(span.at[i]));
}

static bool is_name(struct span element)
{
    for (size_t i = 0; i < element.len; i++) {
        if (!http_is(element.at[i], HTTP_CHAR_TOKEN))
            return false;
    }
    return true;
}

bool cache_vary_names(const struct http_head *answer, struct text *names)
{
    struct elements elements;

    if (!collect(answer, SPAN("vary"), false, &elements))
        return false;
    qsort(elements.list, elements.count, sizeof(elements.list[0]), compare);
    for (size_t i = 0; i < elements.count; i++) {
        if (span_equal(elements.list[i], SPAN("*")) || !is_name(elements.list[i]))
            return false;
        if (i > 0 && span_equal_nocase(elements.list[i], elements.list[i - 1]))
            continue;
        if (names->len > 0)
            text_add_byte(names, ',');
        add_lower(names, elements.list[i]);
    }
    return !names->failed;
}

/* Fields whose elements are case-insensitive and whose order says nothing (RFC
 * 9110 12.5). */
static bool is_negotiation(struct span name)
{
    return span_equal(name, SPAN("accept-encoding")) ||
           span_equal(name, SPAN("accept-language")) ||
           span_equal(name, SPAN("accept-charset"));
}

static bool is_always_the_same(struct span name)
{
    return span_equal(name, SPAN("authorization")) || span_equal(name, SPAN("host")) ||
           span_equal(name, SPAN("x-api-key"));
}

static void add_values(struct span name, const struct http_head *request,
                       struct text *key)
{
    struct elements elements;
    bool is_free = is_negotiation(name);

    if (!collect(request, name, true, &elements)) {
        key->failed = true; /* better no key than one that leaves something out */
        return;
    }
    if (is_free)
        qsort(elements.list, elements.count, sizeof(elements.list[0]), compare);
    if (elements.is_present)
        text_add_byte(key, ':');
    for (size_t i = 0; i < elements.count; i++) {
        if (i > 0)
            text_add_byte(key, ',');
        if (is_free)
            add_lower(key, elements.list[i]);
        else
            text_add(key, elements.list[i]);
    }
}

void cache_vary_values(struct span names, const struct http_head *request,
                       struct text *key)
{
    struct span name;

    while (http_list_next(&names, &name)) {
        text_add_byte(key, '\n');
        text_add(key, name);
        if (!is_always_the_same(name))
            add_values(name, request, key);
    }
}
