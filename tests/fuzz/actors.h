/*
 * Clients and upstream in a scene, and what they hold the gateway to. Every request has a
 * number, "~17~", wherever a client may write: what arrives, is recorded and is answered
 * must be of one number.
 */
#ifndef PSGATE_TESTS_FUZZ_ACTORS_H
#define PSGATE_TESTS_FUZZ_ACTORS_H

#include "fuzz/heads.h"
#include "fuzz/scene.h"
#include "fuzz/wire.h"
#include "http/body.h"

enum {
    ACTORS_CLIENTS = 3,
    ACTORS_PEERS = 4,
    ACTORS_REQUESTS = 64,
    ACTORS_KINDS = 26, /* of requests */
    ACTORS_ANSWERS = 19,
    ACTORS_NO_NUMBER = -1,
};

/* A request that a client has made, and how far it has got. */
struct asked {
    char target[64];
    bool is_head, is_audited, is_mutating, is_cached;
    bool has_jwt, may_not; /* what shows who asks is no good */
    size_t begins, ends;   /* where in what its client sends */
    bool has_begun;        /* its first byte was sent */
    unsigned floor;        /* the version that an answer must have then, at least */
    unsigned key_floor;    /* the number of the key that it may use then, at least */
    bool was_revoked;      /* its token was, then */
    unsigned revocations;  /* the actors' count, then */
    bool has_intent, has_result; /* durable */
    unsigned arrivals;           /* how often upstream has seen it */
};

struct client_actor {
    struct wire wire;
    struct text sending, received;
    size_t sent, read;
    int asked[ACTORS_REQUESTS]; /* numbers, in order */
    unsigned asked_count, answered;
    bool is_wild;   /* bytes were sent that are no request of ours */
    bool is_tunnel; /* has got its 101 */
    bool has_ended; /* the gateway has closed it */
};

struct peer_actor {
    struct wire wire;
    struct text received, sending;
    size_t sent;
    struct http_head head; /* of the request, once it is whole */
    struct span head_bytes;
    struct http_body body;
    size_t body_at; /* how far the body was read */
    bool has_head, has_body, is_tunnel, was_answered;
    bool closes;  /* once all is sent */
    int number;   /* the request's, or NO_NUMBER: a fetch of the gateway's */
    unsigned key; /* the number of the key that came with it */
};

struct actors {
    struct scene scene;
    struct asked requests[ACTORS_REQUESTS];
    unsigned request_count;
    struct client_actor clients[ACTORS_CLIENTS];
    struct peer_actor peers[ACTORS_PEERS];
    unsigned version;     /* counts the changes that upstream has made */
    unsigned known;       /* the last that a client was told of */
    bool is_revoked;      /* the clients' token */
    unsigned revocations; /* how often that has changed */
    bool is_abrupt;       /* the scene ends with whatever is under way */
};

/* A whole scene, as a script has it (play.c). */
void actors_play(struct span script);

void actors_begin(struct actors *actors);

/* Lets everything come to its end, unless that is abrupt, and ends the scene. */
void actors_end(struct actors *actors);

/* An operator: loads the configuration again, with that changed; empties the cache. */
void actors_reload(struct actors *actors, enum scene_reload what);
void actors_purge(struct actors *actors);

/* A client in its place: connects (to that worker), asks, sends, reads, says that it has
 * ended, leaves. */
void client_connect(struct actors *actors, struct client_actor *client, unsigned worker);
void client_ask(struct actors *actors, struct client_actor *client, unsigned kind);
void client_write(struct client_actor *client, struct span bytes);
void client_send(struct actors *actors, struct client_actor *client, size_t bytes);
void client_read(struct actors *actors, struct client_actor *client, size_t bytes);
void client_finish(struct client_actor *client);
void client_leave(struct client_actor *client);

/* Upstream's end of a connection, the same. */
void peer_accept(struct actors *actors, struct peer_actor *peer);
void peer_read(struct actors *actors, struct peer_actor *peer, size_t bytes);
void peer_answer(struct actors *actors, struct peer_actor *peer, unsigned kind);
void peer_send(struct peer_actor *peer, size_t bytes);
void peer_leave(struct peer_actor *peer);

/* Requires that whoever asked may: it reaches upstream, or has an answer from there. */
void actors_require_allowed(const struct actors *actors, const struct asked *asked);

/* The number in bytes, which may hold one only, or NO_NUMBER. */
int actors_number_in(struct span bytes);

#endif
