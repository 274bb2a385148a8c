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

/* Clients */

#define JSON "Content-Type: application/json\r\n"

/* The kinds of requests: ~N~ is the number, "=T" brings the token. */
static const struct {
    const char *method, *target, *lines, *body; /* NULL: none */
    bool is_audited, is_cached, has_no_token, is_old, has_long_body;
} kinds[ACTORS_KINDS] = {
    {.method = "GET", .target = "/v1/auth/session", .is_cached = true},
    {.method = "GET", .target = "/v1/teams/t0/users", .is_cached = true},
    {.method = "PUT",
     .target = "/v1/teams/t0/users/~N~",
     .lines = JSON "Content-Length: 32\r\n",
     .body = "{\"isAdmin\":true,\"x\":\"" SCENE_SECRET "\"}",
     .is_audited = true},
    {.method = "POST",
     .target = "/v1/teams/t0/secrets",
     .lines = JSON "Transfer-Encoding: chunked\r\n",
     .body = "8\r\n{\"name\":\r\n1b;x=\"y\"\r\n\"~N~\",\"value\":\"" SCENE_SECRET
             "\"}\r\n0\r\nX-Trailer: ~N~\r\n\r\n",
     .is_audited = true},
    {.method = "DELETE", .target = "/v1/teams/t0/secrets/~N~", .is_audited = true},
    {.method = "GET",
     .target = "/v1/x/~N~?token=T&q=" SCENE_SECRET,
     .lines = "Cookie: a=~N~; s=" SCENE_SECRET "\r\n"},
    {.method = "POST",
     .target = "/v1/x/~N~",
     .lines = "Content-Length: 6000\r\n",
     .has_long_body = true},
    {.method = "HEAD", .target = "/v1/teams/t0/users", .is_cached = true},
    {.method = "GET", .target = "/v1/u/a", .is_cached = true},
    {.method = "GET",
     .target = "/v1/ws/~N~",
     .lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n"},
    {.method = "PUT",
     .target = "/v1/teams/t0/users/~N~",
     .lines = JSON "Expect: 100-continue\r\nContent-Length: 2\r\n",
     .body = "{}",
     .is_audited = true},
    {.method = "GET",
     .target = "/v1/auth/session",
     .lines = "Cache-Control: no-cache\r\n",
     .is_cached = true},
    {.method = "GET",
     .target = "/v1/u/a",
     .lines = "If-None-Match: \"e\"\r\n",
     .is_cached = true},
    {.method = "GET",
     .target = "/v1/x/~N~",
     .lines = "Connection: keep-alive\r\n",
     .is_old = true},
    {.method = "PUT",
     .target = "/v1/teams/t0/users/~N~",
     .lines = "Content-Length: 1\r\n",
     .body = "x",
     .is_audited = true,
     .has_no_token = true},
    {.method = "PUT",
     .target = "/v1/teams/t0/users/~N~",
     .lines = JSON "Content-Length: 6000\r\n",
     .is_audited = true,
     .has_long_body = true},
    {.method = "POST",
     .target = "/v1/x/~N~",
     .lines = "Expect: 100-continue\r\nContent-Length: 6000\r\n",
     .has_long_body = true},
    {.method = "GET", .target = "/.psgate/whoami"},
    {.method = "GET", .target = "/v1/x/~N~", .lines = "If-None-Match: \"e\"\r\n"},
    {.method = "HEAD", .target = "/v1/u/a", .is_cached = true},
};

/* Adds text with what the capitals in it stand for. */
static void add_filled(struct text *out, const char *text, unsigned number)
{
    for (; *text != '\0'; text++) {
        if (strncmp(text, "~N~", 3) == 0) {
            text_add_format(out, "~%02u~", number);
            text += 2;
        } else if (strncmp(text, "=T", 2) == 0) {
            text_add_format(out, "=%s", scene_token());
            text++;
        } else {
            text_add_byte(out, *text);
        }
    }
}

/* 6000 bytes of nothing but the number. */
static void add_long_body(struct text *out, unsigned number)
{
    for (int i = 0; i < 1500; i++)
        text_add_format(out, "~%02u~", number);
}

void client_connect(struct actors *actors, struct client_actor *client, unsigned worker)
{
    if (client->wire.fd >= 0)
        client_leave(client);
    text_clear(&client->sending);
    text_clear(&client->received);
    (void)text_reserve(&client->received, 1);
    client->sent = client->read = 0;
    client->asked_count = client->answered = 0;
    client->is_wild = client->is_tunnel = client->has_ended = false;
    client->wire = scene_connect(&actors->scene, worker);
}

void client_ask(struct actors *actors, struct client_actor *client, unsigned kind)
{
    unsigned number = actors->request_count;
    struct asked *asked = &actors->requests[number];
    struct text *out = &client->sending, target = {0};

    if (client->wire.fd < 0 || number == ACTORS_REQUESTS)
        return;
    actors->request_count++;
    add_filled(&target, kinds[kind].target, number);
    *asked = (struct asked){.begins = out->len,
                            .is_head = strcmp(kinds[kind].method, "HEAD") == 0,
                            .is_mutating = kinds[kind].method[0] == 'P' ||
                                           kinds[kind].method[0] == 'D',
                            .is_audited = kinds[kind].is_audited,
                            .is_cached = kinds[kind].is_cached};
    if (client->is_wild) /* who knows what becomes of it behind those bytes */
        *asked = (struct asked){.begins = out->len};
    else
        (void)snprintf(asked->target, sizeof(asked->target), "%.*s",
                       (int)strcspn(target.bytes, "?"), target.bytes);
    client->asked[client->asked_count++] = (int)number;
    text_add_format(out, "%s %s HTTP/1.%d\r\nHost: gw\r\nX-Request-Id: ~%02u~\r\n",
                    kinds[kind].method, target.bytes, kinds[kind].is_old ? 0 : 1, number);
    if (!kinds[kind].has_no_token)
        text_add_format(out, "Authorization: Bearer %s\r\n", scene_token());
    if (kinds[kind].lines != NULL)
        add_filled(out, kinds[kind].lines, number);
    text_add(out, SPAN("\r\n"));
    if (kinds[kind].body != NULL)
        add_filled(out, kinds[kind].body, number);
    if (kinds[kind].has_long_body)
        add_long_body(out, number);
    asked->ends = out->len;
    text_fini(&target);
}

/* The secret stands in bodies, queries and cookies only, and not where scripts put it. */
static void spoil_secret(struct text *sending, size_t added)
{
    size_t before = sizeof(SCENE_SECRET) - 2; /* of which a part may have been there */
    size_t from = sending->len - added > before ? sending->len - added - before : 0;
    char *at;

    while ((at = memmem(sending->bytes + from, sending->len - from, SCENE_SECRET,
                        sizeof(SCENE_SECRET) - 1)) != NULL)
        *at = 'x';
}

void client_write(struct client_actor *client, struct span bytes)
{
    if (client->wire.fd < 0 || bytes.len == 0)
        return;
    client->is_wild = true;
    text_add(&client->sending, bytes);
    spoil_secret(&client->sending, bytes.len);
}

/* A request begins with its first byte: it must see what was known by then. */
static void note_beginnings(struct actors *actors, const struct client_actor *client)
{
    for (unsigned i = 0; i < client->asked_count; i++) {
        struct asked *asked = &actors->requests[client->asked[i]];

        if (!asked->has_begun && client->sent >= asked->begins) {
            asked->has_begun = true;
            asked->floor = actors->known;
            asked->key_floor = scene_key_number();
            asked->was_revoked = actors->is_revoked;
            asked->revocations = actors->revocations;
        }
    }
}

void client_send(struct actors *actors, struct client_actor *client, size_t bytes)
{
    if (client->sent == client->sending.len)
        return;
    note_beginnings(actors, client);
    if (bytes > client->sending.len - client->sent)
        bytes = client->sending.len - client->sent;
    client->sent += wire_send(&client->wire, client->sending.bytes + client->sent, bytes);
}

static struct span field_of(const struct http_head *head, struct span name)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        if (span_equal_nocase(http_field_name(head, &head->fields[i]), name))
            return http_field_value(head, &head->fields[i]);
    }
    return span_make(NULL, 0);
}

/* An answer of upstream's has what it answers, the request's number, and a version. */
static void judge_answer(struct actors *actors, const struct asked *asked,
                         const struct http_head *head)
{
    struct span target = field_of(head, SPAN("x-for"));
    struct span number = field_of(head, SPAN("x-number"));
    uint64_t version = 0, key = 0;

    if (target.at == NULL)
        return; /* the gateway's own */
    fuzz_require(span_equal(target, span_of(asked->target)),
                 "the answer for %s is given to %s", fuzz_shown(target), asked->target);
    fuzz_require(number.at == NULL || asked->is_cached ||
                     actors_number_in(number) == asked - actors->requests,
                 "an answer is given to request %zd, but is for '%s'",
                 asked - actors->requests, fuzz_shown(number));
    fuzz_require(!asked->was_revoked || asked->revocations != actors->revocations,
                 "request %zd is answered, but its token was revoked",
                 asked - actors->requests);
    (void)span_to_number(field_of(head, SPAN("x-version")), UINT32_MAX, &version);
    (void)span_to_number(field_of(head, SPAN("x-key")), UINT32_MAX, &key);
    fuzz_require(key >= asked->key_floor, "request %zd is answered with an older key",
                 asked - actors->requests);
    if (asked->is_cached)
        fuzz_require(version >= asked->floor,
                     "%s is answered with version %u, after %u was known", asked->target,
                     (unsigned)version, asked->floor);
    fuzz_require(!asked->is_audited || asked->has_result,
                 "request %zd is answered before its result is durable",
                 asked - actors->requests);
    if (asked->is_mutating && head->status >= 200 && version > actors->known)
        actors->known = (unsigned)version;
}

/* Whether the whole of the body has come; *len is what it took. */
static bool take_body(const struct http_head *head, bool to_head, struct span rest,
                      bool has_ended, size_t *len)
{
    enum http_framing framing;
    enum http_fault fault = HTTP_FAULT_NONE;
    enum http_body_step step;
    struct span input = rest, content;
    struct http_body body;
    uint64_t length;
    bool is_whole;

    fuzz_require(http_response_framing(head, to_head, &framing, &length, &fault),
                 "the client gets an answer that it cannot read: %s",
                 http_fault_text(fault));
    http_body_init(&body, framing, length, 2048, 16);
    while ((step = http_body_read(&body, &input, &content)) == HTTP_BODY_CONTENT)
        continue;
    fuzz_require(step != HTTP_BODY_BAD, "the client gets a broken body: %s",
                 http_fault_text(body.fault));
    is_whole = step == HTTP_BODY_DONE || (has_ended && http_body_ends_at_close(&body));
    *len = rest.len - input.len;
    http_body_fini(&body);
    return is_whole;
}

/* Takes one answer off what was received; false when it is not whole. */
static bool take_answer(struct actors *actors, struct client_actor *client,
                        bool has_ended)
{
    struct span rest = span_make(client->received.bytes + client->read,
                                 client->received.len - client->read);
    bool is_expected = client->answered < client->asked_count;
    const struct asked *asked =
        is_expected ? &actors->requests[client->asked[client->answered]] : NULL;
    struct http_head head;
    bool is_whole = false;
    size_t len = 0;

    if (rest.len == 0 || client->is_tunnel)
        return false;
    fuzz_require(http_head_init(&head, 64), "out of memory");
    http_head_reset(&head, HTTP_RESPONSE);
    switch (http_head_parse(&head, rest.at, rest.len, 65536)) {
    case HTTP_PARSE_MORE:
        break;
    case HTTP_PARSE_BAD:
        fuzz_require(false, "the client gets no answer: %s", fuzz_shown(rest));
        break;
    case HTTP_PARSE_DONE:
        fuzz_require(is_expected || client->is_wild || head.wants_close,
                     "an answer that nobody asked for");
        if (is_expected && !client->is_wild)
            judge_answer(actors, asked, &head);
        is_whole = take_body(&head, is_expected && !client->is_wild && asked->is_head,
                             span_make(rest.at + head.len, rest.len - head.len),
                             has_ended, &len);
        if (is_whole)
            client->read += head.len + len;
        if (is_whole && head.status == 101)
            client->is_tunnel = true;
        if (is_whole && (head.status >= 200 || head.status == 101))
            client->answered++;
    }
    http_head_fini(&head);
    return is_whole;
}

static void require_no_key(struct span received)
{
    for (unsigned i = 0; i <= scene_key_number() + 1; i++)
        fuzz_require(received.len == 0 || memmem(received.at, received.len, scene_key(i),
                                                 strlen(scene_key(i))) == NULL,
                     "a client gets the API key");
}

void client_read(struct actors *actors, struct client_actor *client, size_t bytes)
{
    char buffer[16384];
    bool has_ended;
    size_t len;

    if (client->wire.fd < 0)
        return;
    len = wire_receive(&client->wire, buffer,
                       bytes < sizeof(buffer) ? bytes : sizeof(buffer), &has_ended);
    text_add(&client->received, span_make(buffer, len));
    client->has_ended = client->has_ended || has_ended;
    require_no_key(fuzz_text(&client->received));
    /* Who has sent bytes of his own may be answered in ways that only he can read. */
    while (!client->is_wild && take_answer(actors, client, has_ended))
        continue;
}

void client_finish(struct client_actor *client)
{
    wire_finish(&client->wire);
}

void client_leave(struct client_actor *client)
{
    wire_close(&client->wire);
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
    for (int i = 0; i < 16 && client->wire.fd >= 0 && !client->has_ended; i++) {
        client_read(actors, client, SIZE_MAX);
        settle(actors);
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
