#include "config/networks.h"

static void read_network(struct document *document, const struct place *place,
                         const char *text, struct network *list,
                         struct networks *networks)
{
    struct error error;

    if (text[0] == '\0')
        return; /* a problem that is told already */
    if (strcmp(text, "unix:") == 0)
        networks->has_unix = true;
    else if (network_parse(span_of(text), &list[networks->count], &error))
        networks->count++;
    else
        document_problem(document, place, "%s", error.text);
}

void config_read_networks(struct document *document, const struct place *place,
                          json_t *value, struct networks *networks)
{
    struct networks fresh = {0};
    const char *const *texts = NULL;
    struct network *list;
    size_t count = 0;

    if (json_is_null(value))
        return;
    document_read_strings(document, place, value, &texts, &count);
    list = arena_alloc(document->arena, (count + 1) * sizeof(*list));
    if (list == NULL) {
        document_problem(document, place, "out of memory");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct place element = {.parent = place, .index = i};

        read_network(document, &element, texts[i], list, &fresh);
    }
    fresh.list = list;
    *networks = fresh;
}
