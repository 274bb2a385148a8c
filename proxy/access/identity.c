#include "access/identity.h"

#include <stdio.h>

/* "uid 1000 gid 5", "uid 1000" or "gid 5": no name of a certificate looks like these. */
enum { PROCESS_KEY_BYTES = 40 };

static struct span process_key(char key[PROCESS_KEY_BYTES], const uint32_t *uid,
                               const uint32_t *gid)
{
    const uint32_t *one = uid != NULL ? uid : gid;

    if (uid != NULL && gid != NULL)
        (void)snprintf(key, PROCESS_KEY_BYTES, "uid %u gid %u", *uid, *gid);
    else
        (void)snprintf(key, PROCESS_KEY_BYTES, "%s %u", uid != NULL ? "uid" : "gid",
                       *one);
    return span_of(key);
}

/* What was found so far, and one more. */
struct search {
    const struct client_set *set;
    int64_t now_wall_ms;
    const struct client *found;
    bool is_ambiguous;
};

static void look_up(struct search *search, struct span key)
{
    const struct client *client = table_find(search->set->by_identity, key);

    if (client == NULL)
        return;
    if (search->found != NULL && strcmp(search->found->name, client->name) != 0)
        search->is_ambiguous = true;
    else if (search->found == NULL ||
             client_is_expired(search->found, search->now_wall_ms))
        search->found = client;
}

static void look_up_certificate(struct search *search,
                                const struct certificate_names *names)
{
    struct span rest = span_make(names->list.bytes, names->list.len);
    struct span name;

    while (certificate_next_name(&rest, &name))
        look_up(search, name);
}

static void look_up_process(struct search *search, uint32_t uid, uint32_t gid)
{
    char key[PROCESS_KEY_BYTES];

    look_up(search, process_key(key, &uid, &gid));
    look_up(search, process_key(key, &uid, NULL));
    look_up(search, process_key(key, NULL, &gid));
}

enum identity_match identity_find(const struct identity *identity,
                                  const struct client_set *set, int64_t now_wall_ms,
                                  const struct client **client)
{
    struct search search = {.set = set, .now_wall_ms = now_wall_ms};

    if (identity->certificate != NULL)
        look_up_certificate(&search, identity->certificate);
    if (identity->has_process)
        look_up_process(&search, identity->uid, identity->gid);
    *client = search.found;
    if (search.is_ambiguous)
        return IDENTITY_AMBIGUOUS;
    return search.found != NULL ? IDENTITY_FOUND : IDENTITY_NONE;
}

static bool add_key(struct client_set *set, struct span key, struct client *client)
{
    char *copy = arena_copy(&set->arena, key);

    return copy != NULL && table_add(set->by_identity, span_make(copy, key.len), client);
}

static bool index_names(struct client_set *set, struct client *client)
{
    struct span rest = client->certificate_names;
    struct span name;

    while (certificate_next_name(&rest, &name)) {
        if (!add_key(set, name, client))
            return false;
    }
    return true;
}

bool identity_index(struct client_set *set, struct client *client)
{
    char key[PROCESS_KEY_BYTES];

    if (!index_names(set, client))
        return false;
    return (!client->has_uid && !client->has_gid) ||
           add_key(set,
                   process_key(key, client->has_uid ? &client->uid : NULL,
                               client->has_gid ? &client->gid : NULL),
                   client);
}
