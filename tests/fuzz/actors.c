#include "fuzz/actors.h"

#include <ctype.h>

int actors_number_in(struct span bytes)
{
    int found = ACTORS_NO_NUMBER;

    for (size_t i = 0; i < bytes.len; i++) {
        size_t k = i + 1;
        int number = 0;

        if (bytes.at[i] != '~')
            continue;
        while (k < bytes.len && isdigit((unsigned char)bytes.at[k]) && k < i + 4)
            number = number * 10 + (bytes.at[k++] - '0');
        if (k == i + 1 || k == bytes.len || bytes.at[k] != '~')
            continue;
        fuzz_require(found == ACTORS_NO_NUMBER || found == number,
                     "request %d has come across something of %d", found, number);
        found = number;
        i = k;
    }
    return found;
}

/* The trail */

static void on_record(struct scene *scene, const struct audit_entry *entry,
                      enum audit_done done)
{
    struct actors *actors = (struct actors *)(void *)scene; /* its first member */
    int number = actors_number_in(fuzz_text(&entry->body));

    if (number < 0 || (unsigned)number >= actors->request_count)
        return;
    if (entry->phase == AUDIT_INTENT && done == AUDIT_DURABLE)
        actors->requests[number].has_intent = true;
    if (entry->phase == AUDIT_RESULT)
        actors->requests[number].has_result = true;
}

/* Operators */

/* What was fetched before must not be answered to who asks from now on. */
static void make_old(struct actors *actors)
{
    actors->known = ++actors->version;
}

void actors_reload(struct actors *actors, enum scene_reload what)
{
    if (actors->scene.reloads == SCENE_MOST_RELOADS)
        return;
    if (what == SCENE_RELOAD_CLIENTS) {
        actors->is_revoked = !actors->is_revoked;
        actors->revocations++;
    }
    if (scene_reload(&actors->scene, what))
        make_old(actors);
}

void actors_purge(struct actors *actors)
{
    scene_purge(&actors->scene);
    make_old(actors);
}

void actors_require_allowed(const struct actors *actors, const struct asked *asked)
{
    fuzz_require(!asked->may_not, "request %zd is nobody's, and passes",
                 asked - actors->requests);
    fuzz_require(!asked->was_revoked || asked->revocations != actors->revocations,
                 "request %zd passes, but its token was revoked",
                 asked - actors->requests);
}

/* All of them */

void actors_begin(struct actors *actors)
{
    *actors = (struct actors){.scene.on_record = on_record};
    scene_begin(&actors->scene);
    for (int i = 0; i < ACTORS_CLIENTS; i++)
        actors->clients[i].wire.fd = -1;
    for (int i = 0; i < ACTORS_PEERS; i++)
        actors->peers[i].wire.fd = -1;
}

static void settle(struct actors *actors)
{
    struct peer_actor late = {.wire.fd = -1};

    for (int i = 0; i < 8; i++) {
        scene_turn(&actors->scene, 2);
        for (int k = 0; k < 64 && scene_has_records(&actors->scene); k++)
            scene_record(&actors->scene, AUDIT_DURABLE);
        for (peer_accept(actors, &late); late.wire.fd >= 0; peer_accept(actors, &late))
            peer_leave(&late);
    }
}

/* Upstream is gone, and nobody waits for the trail: all that was asked has its end. */
static void require_answers(struct actors *actors, struct client_actor *client)
{
    for (int idle = 0; idle < 16 && client->wire.fd >= 0 && !client->has_ended; idle++) {
        size_t before = client->received.len;

        client_read(actors, client, SIZE_MAX);
        settle(actors);
        if (client->received.len > before)
            idle = 0; /* one of many answers: there may be more */
    }
    if (client->wire.fd < 0 || client->is_wild || client->is_tunnel || client->has_ended)
        return;
    for (unsigned i = client->answered; i < client->asked_count; i++)
        fuzz_require(actors->requests[client->asked[i]].ends > client->sent,
                     "request %d has neither an answer nor a close", client->asked[i]);
}

static void come_to_rest(struct actors *actors)
{
    actors->scene.is_unwritable = false;
    for (int i = 0; i < ACTORS_PEERS; i++)
        peer_leave(&actors->peers[i]);
    for (int i = 0; i < 3; i++) {
        settle(actors);
        scene_advance(&actors->scene, 1000);
    }
    for (int i = 0; i < ACTORS_CLIENTS; i++)
        require_answers(actors, &actors->clients[i]);
    for (int i = 0; i < ACTORS_CLIENTS; i++)
        client_leave(&actors->clients[i]);
    for (int i = 0; i < 4; i++) {
        settle(actors);
        scene_advance(&actors->scene, 60000);
    }
    settle(actors);
    scene_require_rest(&actors->scene);
    actors->scene.came_to_rest = true;
}

void actors_end(struct actors *actors)
{
    if (!actors->is_abrupt)
        come_to_rest(actors);
    for (int i = 0; i < ACTORS_CLIENTS; i++)
        client_leave(&actors->clients[i]);
    for (int i = 0; i < ACTORS_PEERS; i++)
        peer_leave(&actors->peers[i]);
    scene_end(&actors->scene);
    for (int i = 0; i < ACTORS_CLIENTS; i++) {
        text_fini(&actors->clients[i].sending);
        text_fini(&actors->clients[i].received);
    }
}
