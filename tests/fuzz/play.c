/* The script is pairs of bytes: what is done, and how; raw bytes follow up to a NUL. */
#include "fuzz/actors.h"

enum step {
    STEP_CONNECT,
    STEP_ASK,
    STEP_SEND,
    STEP_READ,
    STEP_FINISH,
    STEP_LEAVE,
    STEP_ACCEPT,
    STEP_ARRIVE,
    STEP_ANSWER,
    STEP_ANSWER_SEND,
    STEP_CLOSE,
    STEP_TIME,
    STEP_TURN,
    STEP_RECORD,
    STEP_TROUBLE,
    STEP_RAW,
    STEPS
};

enum { RELOADS = SCENE_RELOAD_OPERATIONS + 1 };

/* So many bytes at once. */
static size_t amount(unsigned how)
{
    static const size_t amounts[] = {1, 3, 17, 80, 300, 1000, 5000, SIZE_MAX};

    return amounts[how & 7];
}

static void pass_time(struct actors *actors, unsigned how)
{
    static const int64_t times_ms[] = {1, 60, 300, 1000, 2500, 6000, 31000, 80000};

    scene_advance(&actors->scene, times_ms[how & 7]);
}

static void make_trouble(struct actors *actors, unsigned how)
{
    if (how == 4)
        actors->is_abrupt = true;
    else if (how == 5)
        scene_drain(&actors->scene);
    else if (how == 6)
        actors_purge(actors);
    else if (how >= 8 && how < 8 + RELOADS)
        actors_reload(actors, (enum scene_reload)(how - 8));
    else if ((how & 3) == 0)
        actors->scene.is_unwritable = !actors->scene.is_unwritable;
    else if ((how & 3) == 1)
        actors->scene.refuses_connections = !actors->scene.refuses_connections;
    else if ((how & 3) == 2)
        scene_record(&actors->scene, AUDIT_FAILED);
    else
        scene_record(&actors->scene, AUDIT_FAILED_LATER);
}

/* What a client sends that is no request of ours: '\1' stands for its token. It has no
 * number: those are for requests whose end is known. */
static void send_raw(struct client_actor *client, struct span *script)
{
    struct span raw = fuzz_take_until(script, '\0');
    struct text out = {0};

    for (size_t i = 0; i < raw.len; i++) {
        if (raw.at[i] == '\1')
            text_add(&out, span_of(scene_token()));
        else
            text_add_byte(&out, raw.at[i] == '~' ? '-' : raw.at[i]);
    }
    client_write(client, fuzz_text(&out));
    text_fini(&out);
}

/* One step; the actor is in the upper bits of the first byte, how in the second. */
static void play_client(struct actors *actors, enum step step, unsigned who, unsigned how,
                        struct span *script)
{
    struct client_actor *client = &actors->clients[who % ACTORS_CLIENTS];

    switch (step) {
    case STEP_CONNECT:
        client_connect(actors, client, how % SCENE_WORKERS);
        break;
    case STEP_ASK:
        client_ask(actors, client, (how & 127) % ACTORS_KINDS);
        if (how >= 128)
            client_send(actors, client, SIZE_MAX);
        break;
    case STEP_SEND:
        client_send(actors, client, amount(how));
        break;
    case STEP_READ:
        client_read(actors, client, amount(how));
        break;
    case STEP_FINISH:
        client_finish(client);
        break;
    case STEP_LEAVE:
        client_leave(client);
        break;
    default:
        send_raw(client, script);
    }
}

static void play_upstream(struct actors *actors, enum step step, unsigned who,
                          unsigned how)
{
    struct peer_actor *peer = &actors->peers[who % ACTORS_PEERS];

    switch (step) {
    case STEP_ACCEPT:
        peer_accept(actors, peer);
        break;
    case STEP_ARRIVE:
        peer_read(actors, peer, amount(how));
        break;
    case STEP_ANSWER:
        peer_answer(actors, peer, (how & 127) % ACTORS_ANSWERS);
        if (how >= 128)
            peer_send(peer, SIZE_MAX);
        break;
    case STEP_ANSWER_SEND:
        peer_send(peer, amount(how));
        break;
    default:
        peer_leave(peer);
    }
}

static void play(struct actors *actors, struct span *script)
{
    unsigned what = fuzz_byte(script), how = fuzz_byte(script);
    enum step step = (enum step)(what % STEPS);
    unsigned who = what / STEPS & 3;

    switch (step) {
    case STEP_TIME:
        pass_time(actors, how);
        break;
    case STEP_TURN:
        scene_turn(&actors->scene, how & 3);
        break;
    case STEP_RECORD:
        scene_record(&actors->scene, AUDIT_DURABLE);
        break;
    case STEP_TROUBLE:
        make_trouble(actors, how);
        break;
    case STEP_ACCEPT:
    case STEP_ARRIVE:
    case STEP_ANSWER:
    case STEP_ANSWER_SEND:
    case STEP_CLOSE:
        play_upstream(actors, step, who, how);
        break;
    default:
        play_client(actors, step, who, how, script);
    }
    if (what < 128)
        scene_turn(&actors->scene, 1);
}

void actors_play(struct span script)
{
    struct actors actors;

    actors_begin(&actors);
    while (script.len > 0)
        play(&actors, &script);
    actors_end(&actors);
}
