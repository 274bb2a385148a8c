#include "cluster/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "access/credential.h"
#include "base/clock.h"
#include "cluster/replies.h"
#include "net/deadline.h"
#include "net/stream.h"

enum {
    MOST_WORDS = 600, /* of a command */
    RESOLVE_MS = 30000,
    LEAST_PAUSE_MS = 50,
    MOST_PAUSE_MS = 1000,
};

/* A command whose answer has not come. */
struct pending {
    struct pending *next;
    link_answer *answer;
    void *owner;
    int64_t until_ms;
};

struct link {
    struct worker *worker;
    const struct link_target *target;
    const struct link_events *events;
    void *owner;
    int64_t patience_ms;
    struct stream stream;
    bool is_connected; /* stream is in use */
    bool is_up, was_answered;
    bool is_reading;        /* replies are being told: the stream must stay */
    const char *must_break; /* why, as soon as that is over; NULL: it need not */
    struct replies *replies;
    struct pending *first, **last;
    struct deadline patience; /* of the first pending command, or of the connection */
    struct deadline pause;    /* until the next attempt */
    int64_t pause_ms;
    unsigned attempts;
    struct resolver_waiter waiter;
    bool is_resolving; /* waiter is in use */
    bool has_waited;   /* in this attempt */
    bool is_stopped;
    char why[256];
};

static void try_connecting(void *owner);
static void on_patience(void *owner);

struct link *link_new(struct worker *worker, const struct link_target *target,
                      int64_t patience_ms, const struct link_events *events, void *owner)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        return NULL;
    link->worker = worker;
    link->target = target;
    link->events = events;
    link->owner = owner;
    link->patience_ms = patience_ms;
    link->last = &link->first;
    link->pause_ms = LEAST_PAUSE_MS;
    deadline_init(&link->patience, worker, on_patience, link);
    deadline_init(&link->pause, worker, try_connecting, link);
    return link;
}

bool link_target_init(struct link_target *target, const struct config_cluster *config,
                      struct error *error)
{
    *target = (struct link_target){.config = config};
    if (config->password_file != NULL) {
        target->password = credential_read_file(config->password_file, error);
        if (target->password == NULL)
            return false;
    }
    if (config->host == NULL)
        return true;
    target->resolver = resolver_new(config->host, config->port, RESOLVE_MS, error);
    if (target->resolver == NULL)
        return false;
    if (config->is_tls)
        target->tls = tls_client_new(config->host, config->ca_file, error);
    return !config->is_tls || target->tls != NULL;
}

void link_target_fini(struct link_target *target)
{
    resolver_free(target->resolver);
    tls_client_free(target->tls);
    secret_free(target->password);
}

bool link_is_up(const struct link *link)
{
    return link->is_up;
}

bool link_was_answered(const struct link *link)
{
    return link->was_answered;
}

/* The end of a connection */

static void answer_pending(struct link *link, const redisReply *reply, const char *why)
{
    struct pending *pending = link->first;
    struct pending done = *pending;

    link->first = pending->next;
    if (link->first == NULL)
        link->last = &link->first;
    free(pending);
    done.answer(done.owner, reply, why);
}

static void drop_connection(struct link *link, const char *why)
{
    if (link->is_connected)
        stream_close(&link->stream);
    link->is_connected = link->is_up = false;
    replies_free(link->replies);
    link->replies = NULL;
    deadline_lift(&link->patience);
    while (link->first != NULL)
        answer_pending(link, NULL, why);
}

/* The one way down: everyone who waits hears of it, and the next attempt is set. */
static void go_down(struct link *link, const char *why)
{
    if (why != link->why)
        (void)snprintf(link->why, sizeof(link->why), "%s", why);
    drop_connection(link, link->why);
    deadline_set(&link->pause, link->pause_ms);
    link->pause_ms =
        link->pause_ms * 2 < MOST_PAUSE_MS ? link->pause_ms * 2 : MOST_PAUSE_MS;
    link->events->on_down(link->owner, link->why);
}

void link_break(struct link *link, const char *why)
{
    if (link->is_reading) {
        if (why != link->why)
            (void)snprintf(link->why, sizeof(link->why), "%s", why);
        link->must_break = link->why;
    } else if (link->is_connected) {
        go_down(link, why);
    }
}

void link_stop(struct link *link)
{
    if (link == NULL || link->is_stopped)
        return;
    link->is_stopped = true;
    if (link->is_resolving)
        (void)resolver_forget(link->target->resolver, &link->waiter);
    drop_connection(link, "the gateway stops");
    deadline_fini(&link->patience);
    deadline_fini(&link->pause);
}

void link_free(struct link *link)
{
    link_stop(link);
    free(link);
}

/* Commands and their answers */

static void await_first(struct link *link)
{
    if (link->first == NULL)
        deadline_lift(&link->patience);
    else
        deadline_set(&link->patience, link->first->until_ms - clock_monotonic_ms());
}

static void on_patience(void *owner)
{
    struct link *link = owner;

    link_break(link, link->is_up ? "it does not answer in time"
                                 : "the connection is not made in time");
}

static bool write_command(struct link *link, const struct span *words, int count)
{
    const char *at[MOST_WORDS];
    size_t lens[MOST_WORDS];
    struct iovec vector;
    char *command = NULL;
    int len;
    bool is_sent;

    if (count > MOST_WORDS)
        return false;
    for (int i = 0; i < count; i++) {
        at[i] = words[i].at;
        lens[i] = words[i].len;
    }
    len = redisFormatCommandArgv(&command, count, at, lens);
    if (len < 0)
        return false;
    vector = (struct iovec){command, (size_t)len};
    is_sent = stream_write(&link->stream, &vector, 1);
    secret_cleanse(command, (size_t)len); /* AUTH has the password in it */
    redisFreeCommand(command);
    return is_sent;
}

static bool send_command(struct link *link, const struct span *words, int count,
                         link_answer *answer, void *owner)
{
    struct pending *pending = malloc(sizeof(*pending));
    bool is_first = link->first == NULL;

    if (pending == NULL || !write_command(link, words, count)) {
        free(pending);
        return false;
    }
    *pending = (struct pending){.answer = answer,
                                .owner = owner,
                                .until_ms = clock_monotonic_ms() + link->patience_ms};
    *link->last = pending;
    link->last = &pending->next;
    if (is_first)
        await_first(link);
    return true;
}

bool link_send(struct link *link, const struct span *words, int count,
               link_answer *answer, void *owner)
{
    return link->is_up && link->must_break == NULL &&
           send_command(link, words, count, answer, owner);
}

static bool is_push(const struct link *link, const redisReply *reply)
{
    const redisReply *kind;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
        return false;
    kind = reply->element[0];
    return link->events->on_push != NULL && kind->type == REDIS_REPLY_STRING &&
           strcmp(kind->str, "message") == 0;
}

/* What serves us is tried again soon once it is gone. */
static void take_answer(struct link *link, const redisReply *reply)
{
    if (link->is_up)
        link->pause_ms = LEAST_PAUSE_MS;
    answer_pending(link, reply, NULL);
}

static void take_reply(struct link *link, const redisReply *reply)
{
    if (is_push(link, reply))
        link->events->on_push(link->owner, reply);
    else if (link->first == NULL)
        link->must_break = "it answers what nobody asked";
    else if (reply->type == REDIS_REPLY_ERROR)
        answer_pending(link, NULL, reply->str);
    else
        take_answer(link, reply);
}

/* Tells every whole reply that has come. */
static void take_replies(struct link *link)
{
    redisReply *reply;

    link->is_reading = true;
    while (link->must_break == NULL &&
           replies_next(link->replies, &reply, &link->must_break) == REPLIES_ONE) {
        take_reply(link, reply);
        freeReplyObject(reply);
    }
    link->is_reading = false;
}

static void on_readable(void *owner)
{
    struct link *link = owner;
    const char *why = NULL;
    size_t got = 0;

    switch (
        stream_read(&link->stream, link->worker->scratch, WORKER_SCRATCH_BYTES, &got)) {
    case STREAM_OK:
        if (!replies_feed(link->replies, span_make(link->worker->scratch, got)))
            link->must_break = "out of memory";
        else
            take_replies(link);
        break;
    case STREAM_AGAIN:
        return;
    case STREAM_END:
        link->must_break = "it closed the connection";
        break;
    case STREAM_FAILED:
        stream_describe_fault(&link->stream, link->why, sizeof(link->why));
        link->must_break = link->why;
        break;
    }
    why = link->must_break;
    link->must_break = NULL;
    if (why != NULL)
        go_down(link, why);
    else
        await_first(link);
}

/* Making a connection */

static void come_up(struct link *link)
{
    link->is_up = true;
    link->events->on_up(link->owner);
}

/* The last of the words that make a connection ready was taken. */
static void on_ready(void *owner, const redisReply *reply, const char *why)
{
    struct link *link = owner;

    if (reply == NULL && link->is_reading) {
        (void)snprintf(link->why, sizeof(link->why), "it refuses us: %s", why);
        link->must_break = link->why;
    } else if (reply != NULL) {
        come_up(link);
    }
}

/* Of Redis's words about AUTH just the first, as some repeat what was sent. */
static void on_let_in(void *owner, const redisReply *reply, const char *why)
{
    struct link *link = owner;

    if (reply == NULL && link->is_reading) {
        (void)snprintf(link->why, sizeof(link->why), "it refuses the password (%.*s)",
                       (int)strcspn(why, " "), why);
        link->must_break = link->why;
    }
}

static bool introduce(struct link *link)
{
    const struct link_target *target = link->target;
    struct span words[2] = {SPAN("AUTH")};
    char number[16];

    if (target->password != NULL) {
        words[1] = secret_span(target->password);
        if (!send_command(link, words, 2, on_let_in, link))
            return false;
    }
    (void)snprintf(number, sizeof(number), "%d", target->config->database);
    words[0] = SPAN("SELECT");
    words[1] = span_of(number);
    return send_command(link, words, 2, on_ready, link);
}

static void on_open(void *owner)
{
    struct link *link = owner;

    link->was_answered = true;
    stream_want_read(&link->stream, true);
    if (!introduce(link))
        go_down(link, "out of memory");
}

static void on_drained(void *owner)
{
    (void)owner; /* nobody waits for room */
}

static void on_failed(void *owner)
{
    struct link *link = owner;
    char why[200];

    link->was_answered |= link->stream.fault != STREAM_CONNECT_FAILED;
    stream_describe_fault(&link->stream, why, sizeof(why));
    go_down(link, why);
}

static const struct stream_events stream_events = {on_open, on_readable, on_drained,
                                                   on_failed};

static bool open_stream(struct link *link, const struct sockaddr *address,
                        socklen_t address_len, struct error *error)
{
    SSL *ssl = NULL;

    link->replies = replies_new();
    if (link->replies == NULL)
        return error_set(error, "out of memory");
    if (link->target->tls != NULL) {
        ssl = tls_client_connection(link->target->tls, error);
        if (ssl == NULL)
            return false;
    }
    link->is_connected = true;
    if (stream_init_connecting(&link->stream, link->worker, address, address_len, ssl,
                               &stream_events, link))
        return true;
    stream_describe_fault(&link->stream, error->text, sizeof(error->text));
    return false;
}

static bool connect_to_path(struct link *link, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
                   link->target->config->path);
    return open_stream(link, (const struct sockaddr *)&address, sizeof(address), error);
}

static bool connect_to_host(struct link *link, const struct addresses *addresses,
                            struct error *error)
{
    unsigned next = link->attempts++ % addresses->count; /* each attempt is by the next */

    return open_stream(link, (const struct sockaddr *)&addresses->list[next].address,
                       addresses->list[next].len, error);
}

static void on_resolved(struct letter *letter)
{
    struct link *link =
        (struct link *)(void *)((char *)letter - offsetof(struct link, waiter.letter));

    link->is_resolving = false;
    if (!link->is_stopped)
        try_connecting(link);
}

/* The name has not been looked up yet: that is waited for, once an attempt. */
static bool await_name(struct link *link)
{
    if (link->has_waited)
        return false;
    link->has_waited = link->is_resolving = true;
    link->waiter.mailbox = link->worker->mailbox;
    link->waiter.letter.open = on_resolved;
    resolver_wait(link->target->resolver, &link->waiter);
    return true;
}

static void try_connecting(void *owner)
{
    struct link *link = owner;
    struct resolver *resolver = link->target->resolver;
    struct addresses *addresses = NULL;
    struct error error;
    bool is_open;

    if (resolver != NULL) {
        resolver_start(resolver);
        addresses = resolver_addresses(resolver, &error);
        if (addresses == NULL && await_name(link))
            return;
    }
    link->has_waited = false;
    is_open = resolver == NULL
                  ? connect_to_path(link, &error)
                  : addresses != NULL && connect_to_host(link, addresses, &error);
    if (addresses != NULL)
        addresses_unref(addresses);
    if (!is_open)
        go_down(link, error.text);
    else if (link->first == NULL)
        deadline_set(&link->patience, link->patience_ms);
}

void link_start(struct link *link)
{
    deadline_set(&link->pause, 0);
}
