#include "http/forwarded.h"

/* One hop's element into its address; false: it says none. */
typedef bool hop_reader(struct span element, struct ip *ip);

/*
 * Takes the last element of a list off *list, trimmed and not empty. Quotes are paired
 * from the end too: an opening quote that a stranger left on the left swallows nothing of
 * what was added behind it.
 */
static bool take_last(struct span *list, struct span *element)
{
    while (list->len > 0) {
        size_t start = list->len;
        bool is_quoted = false;

        while (start > 0 && (is_quoted || list->at[start - 1] != ',')) {
            start--;
            if (list->at[start] == '"' && (start == 0 || list->at[start - 1] != '\\'))
                is_quoted = !is_quoted;
        }
        *element = span_trim(span_make(list->at + start, list->len - start));
        list->len = start > 0 ? start - 1 : 0;
        if (element->len > 0)
            return true;
    }
    return false;
}

/* Digits, or what a proxy made up: "_" and letters, digits, ".", "_", "-". */
static bool is_node_port(struct span port)
{
    uint64_t number;

    if (port.len > 1 && port.at[0] == '_')
        return true;
    return port.len <= 5 && span_to_number(port, 65535, &number);
}

/* ADDRESS, IPV4:PORT, [IPV6] or [IPV6]:PORT. */
static bool read_node(struct span node, struct ip *ip)
{
    const char *end;

    if (node.len > 0 && node.at[0] == '[') {
        end = memchr(node.at, ']', node.len);
        if (end == NULL ||
            !ip_parse(span_make(node.at + 1, (size_t)(end - node.at) - 1), ip))
            return false;
        node = span_make(end + 1, node.len - (size_t)(end - node.at) - 1);
        return node.len == 0 ||
               (node.at[0] == ':' && is_node_port(span_make(node.at + 1, node.len - 1)));
    }
    if (ip_parse(node, ip))
        return true;
    end = node.len > 0 ? memchr(node.at, ':', node.len) : NULL;
    return end != NULL && ip_parse(span_make(node.at, (size_t)(end - node.at)), ip) &&
           is_node_port(span_make(end + 1, node.len - (size_t)(end - node.at) - 1));
}

/* Without its quotes; no address has anything that must be escaped. */
static struct span unquoted(struct span value)
{
    if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"')
        return span_make(value.at + 1, value.len - 2);
    return value;
}

/* Takes the next NAME=VALUE off the element; a ";" within quotes ends none. */
static struct span take_pair(struct span *element)
{
    bool is_quoted = false;
    size_t len = 0;
    struct span pair;

    while (len < element->len && (is_quoted || element->at[len] != ';')) {
        if (element->at[len] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && element->at[len] == '\\' && len + 1 < element->len)
            len++;
        len++;
    }
    pair = span_trim(span_make(element->at, len));
    len += len < element->len ? 1 : 0;
    *element = span_make(element->at + len, element->len - len);
    return pair;
}

/* RFC 7239 4: a parameter may stand only once in an element. */
static bool read_forwarded(struct span element, struct ip *ip)
{
    struct span node = {0};

    while (element.len > 0) {
        struct span pair = take_pair(&element);

        if (pair.len < 4 || !span_equal_nocase(span_make(pair.at, 4), SPAN("for=")))
            continue;
        if (node.at != NULL)
            return false;
        node = unquoted(span_make(pair.at + 4, pair.len - 4));
    }
    return node.at != NULL && read_node(node, ip);
}

/* From the last hop to the first one that is not trusted, over all fields of that id. */
static bool walk(const struct http_head *head, enum http_field_id id, hop_reader *read,
                 const struct networks *trusted, struct ip *source)
{
    bool has_source = false;

    for (unsigned i = head->field_count; i-- > 0;) {
        struct span list, element;
        struct ip ip;

        if (head->fields[i].id != id)
            continue;
        list = http_field_value(head, &head->fields[i]);
        while (take_last(&list, &element)) {
            if (!read(element, &ip))
                return has_source;
            *source = ip;
            has_source = true;
            if (!networks_have(trusted, &ip))
                return true;
        }
    }
    return has_source;
}

struct forwarded forwarded_read(const struct http_head *head,
                                const struct networks *trusted)
{
    struct forwarded forwarded = {0};
    struct ip other;
    bool has_other;

    if (!http_head_has(head, HTTP_FIELD_FORWARDED)) {
        if (http_head_has(head, HTTP_FIELD_X_FORWARDED_FOR))
            forwarded.has_source = walk(head, HTTP_FIELD_X_FORWARDED_FOR, read_node,
                                        trusted, &forwarded.source);
        return forwarded;
    }
    forwarded.has_source =
        walk(head, HTTP_FIELD_FORWARDED, read_forwarded, trusted, &forwarded.source);
    if (http_head_has(head, HTTP_FIELD_X_FORWARDED_FOR)) {
        has_other = walk(head, HTTP_FIELD_X_FORWARDED_FOR, read_node, trusted, &other);
        forwarded.is_contradicted =
            has_other != forwarded.has_source ||
            (has_other && memcmp(&other, &forwarded.source, sizeof(other)) != 0);
    }
    return forwarded;
}
