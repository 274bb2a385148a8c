/* The clients' part in a scene. */
#include "fuzz/actors.h"

#define JSON "Content-Type: application/json\r\n"

/* The kinds of requests: ~N~ is the number, "=T" brings the token. */
static const struct {
    const char *method, *target, *lines, *body; /* NULL: none */
    bool is_audited, is_cached, is_old, has_long_body;
    enum { TOKEN, NOTHING, API_KEY, API_KEY_FIRST, TWICE, JWT, WRONG_JWT } shown;
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
     .shown = NOTHING},
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
    {.method = "GET", .target = "/v1/auth/session", .is_cached = true, .shown = API_KEY},
    {.method = "POST", .target = "/v1/x/~N~", .shown = API_KEY_FIRST},
    {.method = "DELETE",
     .target = "/v1/teams/t0/secrets/~N~",
     .is_audited = true,
     .shown = TWICE},
    {.method = "GET", .target = "/v1/auth/session", .is_cached = true, .shown = JWT},
    {.method = "DELETE",
     .target = "/v1/teams/t0/secrets/~N~",
     .is_audited = true,
     .shown = JWT},
    {.method = "GET", .target = "/v1/x/~N~", .shown = WRONG_JWT},
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

/* What shows who asks; of a wrong JWT the last letters are others. */
static void add_credential(struct text *out, unsigned kind)
{
    const char *token = scene_token(), *jwt = scene_jwt();

    switch (kinds[kind].shown) {
    case NOTHING:
        break;
    case TWICE:
        text_add_format(out, "Authorization: Bearer %s\r\n", token);
        /* fall through */
    case TOKEN:
        text_add_format(out, "Authorization: Bearer %s\r\n", token);
        break;
    case API_KEY_FIRST:
        text_add_format(out, "Authorization: Basic %s\r\n", SCENE_SECRET);
        /* fall through */
    case API_KEY:
        text_add_format(out, "X-Api-Key: %s\r\n", token);
        break;
    case JWT:
        text_add_format(out, "Authorization: bearer %s\r\n", jwt);
        break;
    case WRONG_JWT:
        text_add_format(out, "Authorization: Bearer %.*sAAAA\r\n", (int)strlen(jwt) - 4,
                        jwt);
        break;
    }
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
    *asked = (struct asked){
        .begins = out->len,
        .is_head = strcmp(kinds[kind].method, "HEAD") == 0,
        .is_mutating = kinds[kind].method[0] == 'P' || kinds[kind].method[0] == 'D',
        .is_audited = kinds[kind].is_audited,
        .is_cached = kinds[kind].is_cached,
        .has_jwt = kinds[kind].shown == JWT,
        .may_not = kinds[kind].shown == NOTHING || kinds[kind].shown == TWICE ||
                   kinds[kind].shown == WRONG_JWT};
    if (client->is_wild) /* who knows what becomes of it behind those bytes */
        *asked = (struct asked){.begins = out->len};
    else
        (void)snprintf(asked->target, sizeof(asked->target), "%.*s",
                       (int)strcspn(target.bytes, "?"), target.bytes);
    client->asked[client->asked_count++] = (int)number;
    text_add_format(out, "%s %s HTTP/1.%d\r\nHost: gw\r\nX-Request-Id: ~%02u~\r\n",
                    kinds[kind].method, target.bytes, kinds[kind].is_old ? 0 : 1, number);
    add_credential(out, kind);
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

/* Takes a secret out of what was added, of which a part may have been there. */
static void spoil(struct text *sending, size_t added, struct span secret)
{
    size_t window = added + secret.len - 1;
    size_t from = sending->len > window ? sending->len - window : 0;
    char *at;

    while ((at = memmem(sending->bytes + from, sending->len - from, secret.at,
                        secret.len)) != NULL)
        *at = 'x';
}

void client_write(struct client_actor *client, struct span bytes)
{
    if (client->wire.fd < 0 || bytes.len == 0)
        return;
    client->is_wild = true;
    text_add(&client->sending, bytes);
    /* Clients do not know the key; the other stands in bodies, queries and cookies. */
    spoil(&client->sending, bytes.len, SPAN(SCENE_KEY));
    spoil(&client->sending, bytes.len, SPAN(SCENE_SECRET));
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
            asked->may_not =
                asked->may_not || (asked->has_jwt && scene_jwt_has_expired());
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
    actors_require_allowed(actors, asked);
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
