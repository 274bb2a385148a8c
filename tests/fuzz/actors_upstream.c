/* Upstream's part in a scene. */
#include "fuzz/actors.h"

void peer_accept(struct actors *actors, struct peer_actor *peer)
{
    if (peer->wire.fd >= 0)
        return;
    *peer = (struct peer_actor){.wire = scene_take_peer(&actors->scene),
                                .number = ACTORS_NO_NUMBER};
}

void peer_leave(struct peer_actor *peer)
{
    wire_close(&peer->wire);
    text_fini(&peer->received);
    text_fini(&peer->sending);
    http_head_fini(&peer->head);
    fuzz_free(peer->head_bytes);
    http_body_fini(&peer->body);
    *peer = (struct peer_actor){.wire.fd = -1, .number = ACTORS_NO_NUMBER};
}

static bool has_answered(const struct peer_actor *peer)
{
    return peer->was_answered && peer->sent == peer->sending.len;
}

/* Ready for the connection's next request, of which bytes may be here already. */
static void next_request(struct peer_actor *peer)
{
    struct text left = {0};

    text_add(&left, span_make(peer->received.bytes + peer->body_at,
                              peer->received.len - peer->body_at));
    text_fini(&peer->received);
    peer->received = left;
    http_head_fini(&peer->head);
    fuzz_free(peer->head_bytes);
    http_body_fini(&peer->body);
    peer->head_bytes = (struct span){0};
    peer->has_head = peer->has_body = peer->was_answered = false;
    peer->number = ACTORS_NO_NUMBER;
}

/* The number of the one key that must be there. */
static unsigned key_of(const struct http_head *head)
{
    unsigned keys;
    const struct http_field *field =
        http_head_find(head, HTTP_FIELD_AUTHORIZATION, &keys);
    struct span value = keys == 1 ? http_field_value(head, field) : SPAN("");
    uint64_t number = 0;

    fuzz_require(span_starts_with(value, SPAN("Bearer " SCENE_KEY)) &&
                     span_to_number(span_make(value.at + value.len - 2, 2), 99, &number),
                 "a request arrives without the key");
    return (unsigned)number;
}

/* What may and must be in what arrives. */
static void judge_arrival(struct actors *actors, struct peer_actor *peer)
{
    const struct http_head *head = &peer->head;
    struct asked *asked;

    peer->key = key_of(head);
    peer->number = actors_number_in(span_make(head->bytes, head->len));
    if (peer->number < 0 || (unsigned)peer->number >= actors->request_count)
        return; /* a fetch, or what a client made up */
    asked = &actors->requests[peer->number];
    if (asked->target[0] == '\0')
        return;
    fuzz_require(memmem(head->bytes, head->len, scene_token(), TOKEN_BYTES) == NULL,
                 "the client's token arrives");
    fuzz_require(memmem(head->bytes, head->len, scene_jwt(), strlen(scene_jwt())) == NULL,
                 "the client's JWT arrives");
    fuzz_require(peer->key >= asked->key_floor, "request %d arrives with an older key",
                 peer->number);
    actors_require_allowed(actors, asked);
    asked->arrivals++;
    fuzz_require(!asked->is_mutating || asked->arrivals == 1,
                 "change %d arrives a second time", peer->number);
    fuzz_require(!asked->is_audited || asked->has_intent,
                 "change %d arrives before its intent is durable", peer->number);
}

static void take_head(struct actors *actors, struct peer_actor *peer)
{
    enum http_framing framing;
    enum http_fault fault = HTTP_FAULT_NONE;
    enum http_parse parse;
    uint64_t length;

    if (peer->received.len == 0)
        return;
    fuzz_require(http_head_init(&peer->head, 64), "out of memory");
    http_head_reset(&peer->head, HTTP_REQUEST);
    parse = http_head_parse(&peer->head, peer->received.bytes, peer->received.len, 65536);
    fuzz_require(parse != HTTP_PARSE_BAD, "what arrives is no request: %s",
                 fuzz_shown(fuzz_text(&peer->received)));
    if (parse == HTTP_PARSE_MORE) {
        http_head_fini(&peer->head);
        return;
    }
    peer->has_head = true;
    peer->body_at = peer->head.len;
    peer->head_bytes = fuzz_copy(span_make(peer->received.bytes, peer->head.len));
    http_head_reset(&peer->head, HTTP_REQUEST);
    (void)http_head_parse(&peer->head, peer->head_bytes.at, peer->head_bytes.len, 65536);
    fuzz_require(http_request_framing(&peer->head, &framing, &length, &fault),
                 "what arrives has no framing: %s", http_fault_text(fault));
    http_body_init(&peer->body, framing, length, 4096, 16);
    judge_arrival(actors, peer);
}

static void take_body(struct peer_actor *peer)
{
    struct span rest = span_make(peer->received.bytes + peer->body_at,
                                 peer->received.len - peer->body_at);
    enum http_body_step step;
    struct span content;
    int number;

    while ((step = http_body_read(&peer->body, &rest, &content)) == HTTP_BODY_CONTENT) {
        number = actors_number_in(content);
        fuzz_require(number < 0 || number == peer->number, "request %d has a body of %d",
                     peer->number, number);
    }
    fuzz_require(step != HTTP_BODY_BAD, "the body that arrives is broken: %s",
                 http_fault_text(peer->body.fault));
    peer->body_at = peer->received.len - rest.len;
    peer->has_body = step == HTTP_BODY_DONE;
}

void peer_read(struct actors *actors, struct peer_actor *peer, size_t bytes)
{
    char buffer[16384];
    bool has_ended;
    size_t len;

    if (peer->wire.fd < 0)
        return;
    len = wire_receive(&peer->wire, buffer,
                       bytes < sizeof(buffer) ? bytes : sizeof(buffer), &has_ended);
    if (len == 0 || peer->is_tunnel)
        return;
    text_add(&peer->received, span_make(buffer, len));
    do {
        if (!peer->has_head)
            take_head(actors, peer);
        if (peer->has_head && !peer->has_body)
            take_body(peer);
        fuzz_require(!peer->has_body || peer->body_at == peer->received.len ||
                         has_answered(peer),
                     "bytes arrive behind a request that has no answer");
        if (!peer->has_body || !has_answered(peer))
            return;
        next_request(peer);
    } while (peer->received.len > 0);
}

/* Answers */

static void add_padded(struct text *out, const char *target, size_t len)
{
    size_t end = out->len + len;

    text_add_format(out, "{\"for\":\"%s\",\"pad\":\"", target);
    if (len > 30)
        text_add(out, SPAN(SCENE_SECRET));
    while (out->len < end)
        text_add_byte(out, 'x');
    text_add(out, SPAN("\"}"));
}

/* Status line and what every answer has, but one that comes unasked. */
static void add_head(const struct actors *actors, const struct peer_actor *peer,
                     const char *status, struct text *out)
{
    struct span target = peer->head.target;
    struct span path = peer->has_head ? fuzz_take_until(&target, '?') : SPAN("");

    text_add_format(out, "HTTP/1.1 %s\r\n", status);
    if (peer->has_head)
        text_add_format(out, "X-For: %.*s\r\nX-Version: %u\r\nX-Key: %u\r\n",
                        (int)path.len, path.at, actors->version, peer->key);
    if (peer->number >= 0)
        text_add_format(out, "X-Number: ~%02d~\r\n", peer->number);
}

static void add_with_length(struct text *out, const char *lines, size_t body_len,
                            size_t claimed)
{
    struct text body = {0};

    add_padded(&body, "", body_len);
    text_add_format(out, "%sContent-Length: %zu\r\n\r\n", lines, body.len + claimed);
    text_add(out, fuzz_text(&body));
    text_fini(&body);
}

/* The kinds of answers; is_final is false for one that another one follows. */
static const struct {
    const char *status, *lines;
    size_t body, claimed; /* bytes; and more than there are */
    enum { SIZED, CHUNKED, UNTIL_CLOSE, BODILESS, GARBAGE, KEY } form;
} answers[ACTORS_ANSWERS] = {
    {"200 OK", "Content-Type: application/json\r\n", 40, 0, SIZED},
    {"200 OK",
     "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\nX-T: 1\r\n\r\n",
     0, 0, CHUNKED},
    {"200 OK", "", 500, 0, UNTIL_CLOSE},
    {"304 Not Modified", "ETag: \"e\"\r\n", 0, 0, BODILESS},
    {"500 Oh", "", 20, 0, SIZED},
    {"401 No", "", 20, 0, SIZED},
    {"100 Continue", "", 0, 0, BODILESS},
    {"103 Early Hints", "Link: </x>\r\n", 0, 0, BODILESS},
    {"101 Switching Protocols", "Connection: Upgrade\r\nUpgrade: websocket\r\n", 0, 0,
     BODILESS},
    {"200 OK", "ETag: \"e\"\r\n", 30000, 0, SIZED},
    {"200 OK", "", 10, 50, SIZED},
    {"200 OK", "", 0, 0, GARBAGE},
    {"204 None", "", 0, 0, BODILESS},
    {"200 OK", "Set-Cookie: a=b\r\n", 10, 0, SIZED},
    {"200 OK",
     "ETag: \"e\"\r\nCache-Control: max-age=2, stale-while-revalidate=5, "
     "stale-if-error=9\r\nVary: Accept\r\n",
     25, 0, SIZED},
    {"404 Nothing", "Connection: close\r\n", 10, 0, SIZED},
    {"200 OK", "", 200000, 0, SIZED},
    {"200 OK", "", 0, 0, KEY},
    {"200 OK", "Content-Length: 21\r\n\r\n{\"team\":{\"id\":\"t0\"}} ", 0, 0, CHUNKED},
};

void peer_answer(struct actors *actors, struct peer_actor *peer, unsigned kind)
{
    bool is_interim = answers[kind].status[0] == '1';
    bool is_head = peer->has_head && span_equal(peer->head.method, SPAN("HEAD"));
    struct text out = {0};

    if (peer->wire.fd < 0 || peer->is_tunnel || peer->was_answered || peer->closes)
        return;
    if (peer->has_head && !is_interim && !span_equal(peer->head.method, SPAN("GET")) &&
        !is_head)
        actors->version++;
    add_head(actors, peer, answers[kind].status, &out);
    if (answers[kind].form == SIZED && !is_head)
        add_with_length(&out, answers[kind].lines, answers[kind].body,
                        answers[kind].claimed);
    else if (answers[kind].form == CHUNKED && !is_head)
        text_add(&out, span_of(answers[kind].lines));
    else if (answers[kind].form == KEY && !is_head)
        text_add_format(&out, "Transfer-Encoding: chunked\r\n\r\n22\r\n%s\r\n0\r\n\r\n",
                        scene_key(peer->has_head ? peer->key : scene_key_number()));
    else if (answers[kind].form == GARBAGE)
        text_add(&out, SPAN("no field\r\n\r\n"));
    else
        text_add_format(&out, "%s\r\n", is_head ? "" : answers[kind].lines);
    if (answers[kind].form == UNTIL_CLOSE && !is_head)
        add_padded(&out, "", answers[kind].body);
    text_add(&peer->sending, fuzz_text(&out));
    peer->closes = answers[kind].form == UNTIL_CLOSE || answers[kind].claimed > 0;
    peer->is_tunnel = strncmp(answers[kind].status, "101", 3) == 0;
    peer->was_answered = !is_interim;
    text_fini(&out);
}

void peer_send(struct peer_actor *peer, size_t bytes)
{
    size_t left = peer->sending.len - peer->sent;

    if (peer->wire.fd < 0)
        return;
    if (left > 0)
        peer->sent += wire_send(&peer->wire, peer->sending.bytes + peer->sent,
                                left < bytes ? left : bytes);
    if (peer->sent < peer->sending.len)
        return;
    text_clear(&peer->sending);
    peer->sent = 0;
    if (peer->closes) {
        wire_finish(&peer->wire);
        peer_leave(peer);
    } else if (peer->was_answered && peer->has_body) {
        next_request(peer);
    }
}
