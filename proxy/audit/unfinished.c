#include "audit/unfinished.h"

#include <stdlib.h>
#include <string.h>

#include "audit/chain.h"
#include "audit/record.h"

enum { BUCKETS = 4096 };

struct intent {
    struct intent *next_in_bucket;
    struct intent *older, *newer;
    uint64_t sequence;
    size_t room, id_len, body_len;
    char bytes[]; /* id, body */
};

struct audit_unfinished {
    struct intent *buckets[BUCKETS];
    struct intent *oldest, *newest;
    struct intent *spares; /* by their newer; each has room for an id and no body */
    size_t count, room, spare_count;
};

struct audit_unfinished *audit_unfinished_new(void)
{
    return calloc(1, sizeof(struct audit_unfinished));
}

void audit_unfinished_free(struct audit_unfinished *unfinished)
{
    struct intent *next;

    if (unfinished == NULL)
        return;
    for (struct intent *intent = unfinished->oldest; intent != NULL; intent = next) {
        next = intent->newer;
        free(intent);
    }
    for (struct intent *spare = unfinished->spares; spare != NULL; spare = next) {
        next = spare->newer;
        free(spare);
    }
    free(unfinished);
}

static size_t bucket_number(struct span id)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (unsigned char)id.at[i]) * 16777619u;
    return hash % BUCKETS;
}

static struct intent **bucket_of(struct audit_unfinished *unfinished, struct span id)
{
    return &unfinished->buckets[bucket_number(id)];
}

static void link_newest(struct audit_unfinished *unfinished, struct intent *intent)
{
    intent->older = unfinished->newest;
    intent->newer = NULL;
    if (unfinished->newest != NULL)
        unfinished->newest->newer = intent;
    else
        unfinished->oldest = intent;
    unfinished->newest = intent;
}

static void unlink_intent(struct audit_unfinished *unfinished, struct intent *intent)
{
    if (intent->older != NULL)
        intent->older->newer = intent->newer;
    else
        unfinished->oldest = intent->newer;
    if (intent->newer != NULL)
        intent->newer->older = intent->older;
    else
        unfinished->newest = intent->older;
}

bool audit_unfinished_reserve(struct audit_unfinished *unfinished, size_t count)
{
    while (unfinished->spare_count < count) {
        struct intent *spare = malloc(sizeof(*spare) + AUDIT_ID_HEX);

        if (spare == NULL)
            return false;
        spare->newer = unfinished->spares;
        unfinished->spares = spare;
        unfinished->spare_count++;
    }
    return true;
}

static struct intent *new_intent(struct audit_unfinished *unfinished, size_t bytes)
{
    struct intent *spare = unfinished->spares;

    if (bytes > AUDIT_ID_HEX || spare == NULL)
        return malloc(sizeof(struct intent) + bytes);
    unfinished->spares = spare->newer;
    unfinished->spare_count--;
    return spare;
}

bool audit_unfinished_add(struct audit_unfinished *unfinished, struct span id,
                          uint64_t sequence, size_t room, struct span body)
{
    struct intent *intent = new_intent(unfinished, id.len + body.len);
    struct intent **bucket = bucket_of(unfinished, id);

    if (intent == NULL)
        return false;
    audit_unfinished_remove(unfinished, id);
    *intent = (struct intent){.next_in_bucket = *bucket,
                              .sequence = sequence,
                              .room = room,
                              .id_len = id.len,
                              .body_len = body.len};
    memcpy(intent->bytes, id.at, id.len);
    if (body.len > 0)
        memcpy(intent->bytes + id.len, body.at, body.len);
    *bucket = intent;
    link_newest(unfinished, intent);
    unfinished->count++;
    unfinished->room += room;
    return true;
}

void audit_unfinished_remove(struct audit_unfinished *unfinished, struct span id)
{
    for (struct intent **link = bucket_of(unfinished, id); *link != NULL;
         link = &(*link)->next_in_bucket) {
        struct intent *intent = *link;

        if (!span_equal(span_make(intent->bytes, intent->id_len), id))
            continue;
        *link = intent->next_in_bucket;
        unlink_intent(unfinished, intent);
        unfinished->count--;
        unfinished->room -= intent->room;
        free(intent);
        return;
    }
}

size_t audit_unfinished_count(const struct audit_unfinished *unfinished)
{
    return unfinished->count;
}

size_t audit_unfinished_room(const struct audit_unfinished *unfinished)
{
    return unfinished->room;
}

size_t audit_unfinished_room_of(const struct audit_unfinished *unfinished, struct span id)
{
    const struct intent *intent = unfinished->buckets[bucket_number(id)];

    while (intent != NULL && !span_equal(span_make(intent->bytes, intent->id_len), id))
        intent = intent->next_in_bucket;
    return intent != NULL ? intent->room : 0;
}

uint64_t audit_unfinished_oldest(const struct audit_unfinished *unfinished)
{
    return unfinished->oldest != NULL ? unfinished->oldest->sequence : AUDIT_NONE_OPEN;
}

void audit_unfinished_each(const struct audit_unfinished *unfinished,
                           void (*visit)(void *arg, struct span body), void *arg)
{
    for (const struct intent *intent = unfinished->oldest; intent != NULL;
         intent = intent->newer)
        visit(arg, span_make(intent->bytes + intent->id_len, intent->body_len));
}
