#include "cluster/marks.h"

#include <stdlib.h>
#include <string.h>

struct mark *marks_add(struct marks *marks, const struct cluster_errand *begin)
{
    struct mark *mark = calloc(1, sizeof(*mark));

    if (mark == NULL)
        return NULL;
    memcpy(mark->id, begin->id, sizeof(mark->id));
    memcpy(mark->scopes, begin->scopes, sizeof(mark->scopes));
    mark->next = marks->first;
    marks->first = mark;
    return mark;
}

struct mark *marks_find(const struct marks *marks, const char *id)
{
    struct mark *mark = marks->first;

    while (mark != NULL && strcmp(mark->id, id) != 0)
        mark = mark->next;
    return mark;
}

void marks_remove(struct marks *marks, const char *id)
{
    struct mark **link = &marks->first;

    while (*link != NULL && strcmp((*link)->id, id) != 0)
        link = &(*link)->next;
    if (*link != NULL) {
        struct mark *mark = *link;

        *link = mark->next;
        free(mark);
    }
}

void marks_clear(struct marks *marks)
{
    while (marks->first != NULL) {
        struct mark *mark = marks->first;

        marks->first = mark->next;
        free(mark);
    }
}
