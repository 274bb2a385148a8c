#include "cluster/cluster.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "cluster/link.h"
#include "cluster/marks.h"
#include "cluster/scripts.h"
#include "net/deadline.h"

enum {
    MOST_WORDS = 512,
    GATEWAY_HEX = 16,
    STAMP_HEX = 16,
    VALUE_BYTES = 48, /* a generation as Redis has it */
    KEY_BYTES = 256,
    SYNCS_A_STALENESS = 4,
    MEMBER_BYTES = GATEWAY_HEX + CLUSTER_ID_HEX + 3, /* beside the scope's name */
    DOUBT_STALENESSES = 3,
    MARK_STALENESSES = 5, /* more than the doubt: a mark outlasts what is said of it */
};

struct cluster {
    const struct config_cluster *config;
    struct generations *generations;
    int64_t mark_ms, hold_ms;
    /* How long a mark is relied on that Redis may have lost since; for as long after a
     * loss nobody stores. */
    int64_t doubt_ms;
    bool is_in_doubt;
    struct worker *worker;
    pthread_t thread;
    bool has_thread;
    _Atomic bool is_stopping;
    struct letter stop;

    char gateway[GATEWAY_HEX + 1];
    char generations_key[KEY_BYTES], changes_key[KEY_BYTES], channel[KEY_BYTES];
    struct link_target target;
    struct link *commands, *events;
    struct deadline next_sync;
    struct marks marks;
    char epoch[STAMP_HEX + 1];
    char known[GENERATIONS_SCOPES][VALUE_BYTES]; /* as Redis last had them; "": unknown */
    bool is_syncing, is_pinging;
    bool is_told_away; /* the log says that Redis is away */
    int64_t away_ms;   /* since then */

    /* When what was answered since was asked; 0: not since the link came up. */
    int64_t sync_sent_ms, synced_ms, ping_sent_ms, pinged_ms;
    _Atomic int64_t current_until_ms, heard_ms;
    _Atomic uint64_t raised, raise_failed, taken, take_failed, connected;
};

/* What is told to others */

bool cluster_is_current(const struct cluster *cluster, int64_t now_ms)
{
    return cluster == NULL || now_ms <= atomic_load(&cluster->current_until_ms);
}

struct cluster_state cluster_state(const struct cluster *cluster, int64_t now_ms)
{
    int64_t heard_ms = atomic_load(&cluster->heard_ms);

    return (struct cluster_state){
        .is_current = cluster_is_current(cluster, now_ms),
        .heard_ms_ago = heard_ms != 0 ? now_ms - heard_ms : -1,
        .raised = atomic_load(&cluster->raised),
        .raise_failed = atomic_load(&cluster->raise_failed),
        .taken = atomic_load(&cluster->taken),
        .take_failed = atomic_load(&cluster->take_failed),
        .connected = atomic_load(&cluster->connected),
    };
}

/* Both connections count: one knows what is, the other what has been in between. */
static void note_heard(struct cluster *cluster)
{
    int64_t since_ms =
        cluster->synced_ms < cluster->pinged_ms ? cluster->synced_ms : cluster->pinged_ms;

    if (since_ms == 0)
        return;
    if (cluster->is_told_away && since_ms >= cluster->away_ms) {
        log_info("cluster: Redis at %s is back: stored answers are trusted again",
                 cluster->config->redis);
        cluster->is_told_away = false;
    }
    atomic_store(&cluster->heard_ms, since_ms);
    atomic_store(&cluster->current_until_ms,
                 since_ms + cluster->config->max_staleness_ms);
}

/* What others did while we did not listen is not known. */
static void distrust_all(struct cluster *cluster)
{
    for (int i = 0; i < generations_count(cluster->generations); i++)
        generations_raise(cluster->generations, i);
    memset(cluster->known, 0, sizeof(cluster->known));
}

static void on_down(struct cluster *cluster, const char *why)
{
    if (cluster->is_told_away || atomic_load(&cluster->is_stopping))
        return;
    cluster->is_told_away = true;
    cluster->away_ms = clock_monotonic_ms();
    log_warn("cluster: Redis at %s is away: %s; stored answers are asked about before "
             "they are used, changes that would make others' stored answers old are "
             "answered 503, rates are counted here alone (start it, or look at the "
             "network; it is tried again every second)",
             cluster->config->redis, why);
}

/* Words of a command */

struct words {
    struct span list[MOST_WORDS];
    int count;
    bool is_full;
};

static void add_word(struct words *words, struct span word)
{
    words->is_full |= words->count == MOST_WORDS;
    if (!words->is_full)
        words->list[words->count++] = word;
}

static struct span to_text(char *text, size_t size, int64_t number)
{
    (void)snprintf(text, size, "%lld", (long long)number);
    return span_of(text);
}

static bool make_hex(char *text, size_t digits)
{
    unsigned char bytes[CLUSTER_ID_HEX / 2];
    struct error error;

    if (!random_fill(bytes, digits / 2, &error))
        return false;
    for (size_t i = 0; i < digits / 2; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static void begin_script(struct words *words, struct span script,
                         const struct cluster *cluster)
{
    *words = (struct words){.count = 0};
    add_word(words, SPAN("EVAL"));
    add_word(words, script);
    add_word(words, SPAN("2"));
    add_word(words, span_of(cluster->generations_key));
    add_word(words, span_of(cluster->changes_key));
    add_word(words, span_of(cluster->channel));
    add_word(words, span_of(cluster->gateway));
}

/* Learning what the fleet knows */

static int find_scope(struct cluster *cluster, struct span name)
{
    for (int i = 0; i < generations_count(cluster->generations); i++) {
        if (span_equal(generations_name(cluster->generations, i), name))
            return i;
    }
    return GENERATIONS_NO_SCOPE;
}

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

static struct span text_of(const redisReply *reply)
{
    return span_make(reply->str, reply->len);
}

static const char not_asked_for[] = "its answer is not what was asked for";

/* A scope's generation; one that is not as it was raises ours. */
static void learn_generation(struct cluster *cluster, const redisReply *name,
                             const redisReply *value)
{
    int scope;

    if (!is_text(name) || !is_text(value) || name->len < 2 || value->len >= VALUE_BYTES)
        return;
    scope = find_scope(cluster, span_make(name->str + 2, name->len - 2));
    if (scope == GENERATIONS_NO_SCOPE || strcmp(cluster->known[scope], value->str) == 0)
        return;
    generations_raise(cluster->generations, scope);
    (void)snprintf(cluster->known[scope], VALUE_BYTES, "%s", value->str);
}

/*
 * Which scopes have a change of another gateway under way. They are raised each time: so
 * that even if nobody says how it ended, no flight takes waiters for long. While marks
 * may be missing, every scope counts as marked.
 */
static void learn_marks(struct cluster *cluster, const redisReply *members)
{
    bool is_marked[GENERATIONS_SCOPES];

    for (int i = 0; i < GENERATIONS_SCOPES; i++)
        is_marked[i] = cluster->is_in_doubt;
    for (size_t i = 0; i < members->elements; i++) {
        const redisReply *member = members->element[i];
        const char *end = is_text(member) ? memchr(member->str, '\n', member->len) : NULL;
        int scope;

        if (end == NULL || strncmp(end + 1, cluster->gateway, GATEWAY_HEX) == 0)
            continue;
        scope = find_scope(cluster, span_make(member->str, (size_t)(end - member->str)));
        if (scope != GENERATIONS_NO_SCOPE)
            is_marked[scope] = true;
    }
    for (int i = 0; i < generations_count(cluster->generations); i++) {
        generations_mark(cluster->generations, i, is_marked[i]);
        if (is_marked[i])
            generations_raise(cluster->generations, i);
    }
}

static bool is_sync_answer(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 4 &&
           is_text(reply->element[0]) && reply->element[0]->len == STAMP_HEX &&
           reply->element[1]->type == REDIS_REPLY_ARRAY &&
           reply->element[1]->elements % 2 == 0 &&
           reply->element[2]->type == REDIS_REPLY_ARRAY &&
           reply->element[3]->type == REDIS_REPLY_INTEGER;
}

static void learn_epoch(struct cluster *cluster, struct span epoch)
{
    if (span_equal(span_of(cluster->epoch), epoch))
        return;
    if (cluster->epoch[0] != '\0')
        log_warn("cluster: Redis at %s has lost its data: all stored answers are dropped",
                 cluster->config->redis);
    distrust_all(cluster);
    (void)snprintf(cluster->epoch, sizeof(cluster->epoch), "%.*s", (int)epoch.len,
                   epoch.at);
}

/*
 * Redis has lost marks, perhaps, or got old ones back. Who had set them, and cannot reach
 * it to do so again, relies on them for doubt_ms: what was fetched until then is old.
 */
static void learn_doubt(struct cluster *cluster, bool is_in_doubt)
{
    if (cluster->is_in_doubt && !is_in_doubt)
        distrust_all(cluster);
    cluster->is_in_doubt = is_in_doubt;
}

static void note_marks_renewed(struct cluster *cluster)
{
    for (struct mark *mark = cluster->marks.first; mark != NULL; mark = mark->next) {
        if (mark->is_renewed)
            mark->until_ms = cluster->sync_sent_ms + cluster->doubt_ms;
    }
}

static void on_synced(void *owner, const redisReply *reply, const char *why)
{
    struct cluster *cluster = owner;

    cluster->is_syncing = false;
    if (reply == NULL || !is_sync_answer(reply)) {
        cluster->synced_ms = 0;
        on_down(cluster, reply == NULL ? why : not_asked_for);
        return;
    }
    learn_epoch(cluster, text_of(reply->element[0]));
    learn_doubt(cluster, reply->element[3]->integer > 0);
    for (size_t i = 0; i < reply->element[1]->elements; i += 2)
        learn_generation(cluster, reply->element[1]->element[i],
                         reply->element[1]->element[i + 1]);
    learn_marks(cluster, reply->element[2]);
    note_marks_renewed(cluster);
    cluster->synced_ms = cluster->sync_sent_ms;
    note_heard(cluster);
}

/*
 * Every member of a mark, as Redis has them: kept in text, one span each. False: there is
 * no room for them all; the mark lasts as long as it does, and is renewed by a later
 * sync.
 */
static bool add_members(const struct cluster *cluster, const struct mark *mark,
                        struct text *text, struct words *words)
{
    for (int i = 0; i < generations_count(cluster->generations); i++) {
        struct span name = generations_name(cluster->generations, i);
        size_t start = text->len;

        if ((mark->scopes[i / 64] >> (i % 64) & 1) == 0)
            continue;
        if (text->capacity - text->len < name.len + MEMBER_BYTES)
            return false;
        text_add_format(text, "%.*s\n%s\n%s", (int)name.len, name.at, cluster->gateway,
                        mark->id);
        add_word(words, span_make(text->bytes + start, text->len - start));
    }
    return !words->is_full;
}

static bool send_sync(struct cluster *cluster, struct text *members)
{
    char epoch[STAMP_HEX + 1], stamp[STAMP_HEX + 1], mark_ms[24], doubt_ms[24];
    struct words words;

    if (!make_hex(epoch, STAMP_HEX) || !make_hex(stamp, STAMP_HEX))
        return false;
    begin_script(&words, script_sync, cluster);
    add_word(&words, span_of(stamp));
    add_word(&words, span_of(epoch));
    add_word(&words, to_text(mark_ms, sizeof(mark_ms), cluster->mark_ms));
    add_word(&words, to_text(doubt_ms, sizeof(doubt_ms), cluster->doubt_ms));
    for (struct mark *mark = cluster->marks.first; mark != NULL; mark = mark->next)
        mark->is_renewed = !mark->is_over && add_members(cluster, mark, members, &words);
    cluster->sync_sent_ms = clock_monotonic_ms();
    return link_send(cluster->commands, words.list, words.count, on_synced, cluster);
}

/* A link whose other end does not do what it must is made anew. */
static void reject(struct cluster *cluster, struct link *link, const char *why)
{
    on_down(cluster, why);
    if (link_is_up(link))
        link_break(link, why);
}

/* What Redis answers on a connection that listens. */
static bool is_list_with(const redisReply *reply, struct span first)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           is_text(reply->element[0]) && span_equal(text_of(reply->element[0]), first);
}

static void on_pong(void *owner, const redisReply *reply, const char *why)
{
    struct cluster *cluster = owner;

    cluster->is_pinging = false;
    if (reply == NULL || !is_list_with(reply, SPAN("pong"))) {
        reject(cluster, cluster->events, reply == NULL ? why : not_asked_for);
        return;
    }
    cluster->pinged_ms = cluster->ping_sent_ms;
    note_heard(cluster);
}

static void send_ping(struct cluster *cluster)
{
    const struct span ping = SPAN("PING");

    cluster->ping_sent_ms = clock_monotonic_ms();
    cluster->is_pinging = link_send(cluster->events, &ping, 1, on_pong, cluster);
}

static void retry_ends(struct cluster *cluster);

static void sync_now(void *owner)
{
    struct cluster *cluster = owner;
    enum { MEMBERS_BYTES = 65536 };
    struct text members = {0};

    deadline_set(&cluster->next_sync,
                 cluster->config->max_staleness_ms / SYNCS_A_STALENESS);
    if (link_is_up(cluster->events) && !cluster->is_pinging)
        send_ping(cluster);
    if (!link_is_up(cluster->commands) || cluster->is_syncing)
        return;
    retry_ends(cluster);
    cluster->is_syncing =
        text_reserve(&members, MEMBERS_BYTES) && send_sync(cluster, &members);
    text_fini(&members);
}

/* The two links */

static void on_commands_up(void *owner)
{
    struct cluster *cluster = owner;

    (void)atomic_fetch_add(&cluster->connected, 1);
    cluster->synced_ms = 0;
    distrust_all(cluster);
    sync_now(cluster);
}

static void on_commands_down(void *owner, const char *why)
{
    struct cluster *cluster = owner;

    cluster->synced_ms = 0;
    on_down(cluster, why);
}

/* What others have raised before is not heard: nothing that is stored counts. */
static void on_subscribed(void *owner, const redisReply *reply, const char *why)
{
    struct cluster *cluster = owner;

    if (reply == NULL || !is_list_with(reply, SPAN("subscribe"))) {
        reject(cluster, cluster->events, reply == NULL ? why : not_asked_for);
        return;
    }
    distrust_all(cluster);
    if (!cluster->is_pinging)
        send_ping(cluster);
}

static void on_events_up(void *owner)
{
    struct cluster *cluster = owner;
    const struct span words[2] = {SPAN("SUBSCRIBE"), span_of(cluster->channel)};

    cluster->pinged_ms = 0;
    if (!link_send(cluster->events, words, 2, on_subscribed, cluster))
        link_break(cluster->events, "out of memory");
}

static void on_events_down(void *owner, const char *why)
{
    struct cluster *cluster = owner;

    cluster->pinged_ms = 0;
    on_down(cluster, why);
}

/* "GATEWAY\nMARKED\nSCOPE". */
static void on_raised(void *owner, const redisReply *reply)
{
    struct cluster *cluster = owner;
    struct span text;
    int scope;

    if (reply->elements != 3 || !is_text(reply->element[2]))
        return;
    text = text_of(reply->element[2]);
    if (text.len < GATEWAY_HEX + 3 || text.at[GATEWAY_HEX] != '\n' ||
        text.at[GATEWAY_HEX + 2] != '\n')
        return;
    scope = find_scope(cluster,
                       span_make(text.at + GATEWAY_HEX + 3, text.len - GATEWAY_HEX - 3));
    if (scope == GENERATIONS_NO_SCOPE)
        return;
    generations_mark(cluster->generations, scope,
                     text.at[GATEWAY_HEX + 1] == '1' || cluster->is_in_doubt);
    if (memcmp(text.at, cluster->gateway, GATEWAY_HEX) != 0)
        generations_raise(cluster->generations, scope);
}

static const struct link_events commands_events = {on_commands_up, on_commands_down,
                                                   NULL};
static const struct link_events events_events = {on_events_up, on_events_down, on_raised};

/* Errands */

static void on_letter_back(struct letter *letter)
{
    struct cluster_errand *errand =
        (struct cluster_errand *)(void *)((char *)letter -
                                          offsetof(struct cluster_errand, letter));

    errand->on_done(errand);
}

/* Its asker may free it at once. */
static void bring_back(struct cluster_errand *errand, enum cluster_result result)
{
    errand->result = result;
    errand->letter.open = on_letter_back;
    mailbox_send(errand->home, &errand->letter);
}

/* Adds the arguments of script_raise that both of its uses have. */
static bool add_raise(struct cluster *cluster, struct words *words, const char *id,
                      const uint64_t *scopes, const char *stamp, struct span member_ms)
{
    begin_script(words, script_raise, cluster);
    add_word(words, span_of(stamp));
    add_word(words, member_ms);
    add_word(words, span_of(id));
    for (int i = 0; i < generations_count(cluster->generations); i++) {
        if ((scopes[i / 64] >> (i % 64) & 1) != 0)
            add_word(words, generations_name(cluster->generations, i));
    }
    return !words->is_full;
}

/* 0: the mark is taken away. */
static int64_t member_ms_of(const struct cluster *cluster, enum cluster_kind kind,
                            bool is_known)
{
    if (kind == CLUSTER_BEGIN)
        return cluster->mark_ms;
    return is_known ? 0 : cluster->hold_ms;
}

static bool send_raise(struct cluster *cluster, enum cluster_kind kind, bool is_known,
                       const char *id, const uint64_t *scopes, link_answer *answer,
                       void *owner)
{
    char stamp[STAMP_HEX + 1], member_ms[24];
    struct words words;

    if (!make_hex(stamp, STAMP_HEX) ||
        !add_raise(
            cluster, &words, id, scopes, stamp,
            to_text(member_ms, sizeof(member_ms), member_ms_of(cluster, kind, is_known))))
        return false;
    return link_send(cluster->commands, words.list, words.count, answer, owner);
}

/* Redis may have the mark all the same: it is taken away as soon as it can be. */
static void abandon(struct cluster *cluster, const char *id)
{
    struct mark *mark = marks_find(&cluster->marks, id);

    if (mark != NULL)
        mark->is_over = mark->is_known = true;
}

static void finish_begin(struct cluster_errand *errand, const char *why)
{
    struct cluster *cluster = errand->cluster;
    struct mark *mark = marks_find(&cluster->marks, errand->id);

    if (why != NULL || mark == NULL) {
        (void)atomic_fetch_add(&cluster->raise_failed, 1);
        abandon(cluster, errand->id);
        bring_back(errand, CLUSTER_FAILED);
        return;
    }
    (void)atomic_fetch_add(&cluster->raised, 1);
    mark->until_ms = errand->sent_ms + cluster->doubt_ms;
    bring_back(errand, CLUSTER_DONE);
}

static void finish_end(struct cluster_errand *errand, const char *why)
{
    struct cluster *cluster = errand->cluster;
    struct mark *mark = marks_find(&cluster->marks, errand->id);
    enum cluster_result result = CLUSTER_FAILED;

    if (why == NULL) {
        (void)atomic_fetch_add(&cluster->raised, 1);
        marks_remove(&cluster->marks, errand->id);
        bring_back(errand, CLUSTER_DONE);
        return;
    }
    (void)atomic_fetch_add(&cluster->raise_failed, 1);
    if (mark != NULL) {
        mark->is_over = true;
        mark->is_known = errand->is_known;
        if (mark->until_ms > clock_monotonic_ms())
            result = CLUSTER_COVERED;
    }
    bring_back(errand, result);
}

static void on_raise_answered(void *owner, const redisReply *reply, const char *why)
{
    struct cluster_errand *errand = owner;
    const char *problem = reply == NULL                        ? why
                          : reply->type != REDIS_REPLY_INTEGER ? "not a number"
                                                               : NULL;

    if (errand->kind == CLUSTER_BEGIN)
        finish_begin(errand, problem);
    else
        finish_end(errand, problem);
}

static void ask_raise(struct cluster *cluster, struct cluster_errand *errand)
{
    if (errand->kind == CLUSTER_BEGIN && marks_add(&cluster->marks, errand) == NULL) {
        finish_begin(errand, "out of memory");
        return;
    }
    errand->sent_ms = clock_monotonic_ms();
    if (send_raise(cluster, errand->kind, errand->is_known, errand->id, errand->scopes,
                   on_raise_answered, errand))
        return;
    if (errand->kind == CLUSTER_BEGIN) {
        marks_remove(&cluster->marks, errand->id); /* nothing of it has gone out */
        finish_begin(errand, "away");
    } else {
        finish_end(errand, "away");
    }
}

static void on_end_retried(void *owner, const redisReply *reply, const char *why)
{
    (void)owner;
    (void)reply;
    (void)why; /* a mark that still stands then expires by itself, and raises */
}

/* Ends that Redis has not heard of. */
static void retry_ends(struct cluster *cluster)
{
    struct mark *next;

    for (struct mark *mark = cluster->marks.first; mark != NULL; mark = next) {
        next = mark->next;
        if (!mark->is_over)
            continue;
        if (send_raise(cluster, CLUSTER_END, mark->is_known, mark->id, mark->scopes,
                       on_end_retried, cluster))
            marks_remove(&cluster->marks, mark->id);
    }
}

/* A bucket is never further from being full than when it is empty. */
static bool is_take_answer(const redisReply *reply, const struct cluster_errand *errand)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_INTEGER &&
           reply->element[1]->type == REDIS_REPLY_INTEGER &&
           reply->element[1]->integer >= 0 &&
           reply->element[1]->integer / errand->interval_us <= errand->burst;
}

static void on_taken(void *owner, const redisReply *reply, const char *why)
{
    struct cluster_errand *errand = owner;
    struct cluster *cluster = errand->cluster;

    (void)why;
    if (reply == NULL || !is_take_answer(reply, errand)) {
        (void)atomic_fetch_add(&cluster->take_failed, 1);
        bring_back(errand, CLUSTER_FAILED);
        return;
    }
    (void)atomic_fetch_add(&cluster->taken, 1);
    errand->is_admitted = reply->element[0]->integer == 1;
    errand->full_in_us = reply->element[1]->integer;
    bring_back(errand, CLUSTER_DONE);
}

static void ask_take(struct cluster *cluster, struct cluster_errand *errand)
{
    char key[KEY_BYTES], interval[24], burst[24];
    const struct span words[] = {
        SPAN("EVAL"),
        script_take,
        SPAN("1"),
        (snprintf(key, sizeof(key), "%srate:%s", cluster->config->prefix, errand->bucket),
         span_of(key)),
        to_text(interval, sizeof(interval), errand->interval_us),
        to_text(burst, sizeof(burst), errand->burst),
    };

    if (!link_send(cluster->commands, words, (int)(sizeof(words) / sizeof(words[0])),
                   on_taken, errand))
        on_taken(errand, NULL, "away");
}

static void on_letter(struct letter *letter)
{
    struct cluster_errand *errand =
        (struct cluster_errand *)(void *)((char *)letter -
                                          offsetof(struct cluster_errand, letter));

    if (atomic_load(&errand->cluster->is_stopping))
        bring_back(errand, CLUSTER_FAILED);
    else if (errand->kind == CLUSTER_TAKE)
        ask_take(errand->cluster, errand);
    else
        ask_raise(errand->cluster, errand);
}

void cluster_ask(struct cluster *cluster, struct cluster_errand *errand)
{
    errand->cluster = cluster;
    errand->letter.open = on_letter;
    if (!atomic_load(&cluster->is_stopping))
        mailbox_send(cluster->worker->mailbox, &errand->letter);
    else
        bring_back(errand, CLUSTER_FAILED);
}

/* Life */

static void *run(void *argument)
{
    struct cluster *cluster = argument;

    link_start(cluster->commands);
    link_start(cluster->events);
    deadline_set(&cluster->next_sync, 0);
    worker_run(cluster->worker);
    return NULL;
}

static void name_keys(struct cluster *cluster)
{
    const char *prefix = cluster->config->prefix;

    (void)snprintf(cluster->generations_key, KEY_BYTES, "%sgenerations", prefix);
    (void)snprintf(cluster->changes_key, KEY_BYTES, "%schanges", prefix);
    (void)snprintf(cluster->channel, KEY_BYTES, "%sraised", prefix);
}

/* A command waits no longer than answers may be stale. */
static bool prepare(struct cluster *cluster, struct error *error)
{
    int64_t patience_ms = cluster->config->max_staleness_ms;

    if (!make_hex(cluster->gateway, GATEWAY_HEX) ||
        !link_target_init(&cluster->target, cluster->config, error))
        return false;
    name_keys(cluster);
    cluster->worker = worker_new(0, error);
    if (cluster->worker == NULL)
        return false;
    deadline_init(&cluster->next_sync, cluster->worker, sync_now, cluster);
    cluster->commands = link_new(cluster->worker, &cluster->target, patience_ms,
                                 &commands_events, cluster);
    cluster->events =
        link_new(cluster->worker, &cluster->target, patience_ms, &events_events, cluster);
    return (cluster->commands != NULL && cluster->events != NULL) ||
           error_set(error, "out of memory");
}

/* Signals are the main thread's. */
static bool start_thread(struct cluster *cluster, struct error *error)
{
    sigset_t all, before;
    int problem;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    problem = pthread_create(&cluster->thread, NULL, run, cluster);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    cluster->has_thread = problem == 0;
    return cluster->has_thread ||
           error_set_errno(error, problem, "cannot start the cluster's thread");
}

struct cluster *cluster_start(const struct config_cluster *config,
                              struct generations *generations, int64_t hold_ms,
                              struct error *error)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));
    int64_t least_ms = MARK_STALENESSES * config->max_staleness_ms;

    if (cluster == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    cluster->config = config;
    cluster->generations = generations;
    cluster->hold_ms = hold_ms;
    cluster->doubt_ms = DOUBT_STALENESSES * config->max_staleness_ms;
    cluster->mark_ms = hold_ms > least_ms ? hold_ms : least_ms;
    if (prepare(cluster, error) && start_thread(cluster, error))
        return cluster;
    cluster_free(cluster);
    return NULL;
}

static void on_stop(struct letter *letter)
{
    struct cluster *cluster =
        (struct cluster *)(void *)((char *)letter - offsetof(struct cluster, stop));

    worker_stop(cluster->worker);
}

void cluster_stop(struct cluster *cluster)
{
    if (cluster == NULL || !cluster->has_thread)
        return;
    atomic_store(&cluster->is_stopping, true);
    cluster->stop.open = on_stop;
    mailbox_send(cluster->worker->mailbox, &cluster->stop);
    (void)pthread_join(cluster->thread, NULL);
    cluster->has_thread = false;
    link_stop(cluster->commands);
    link_stop(cluster->events);
}

void cluster_free(struct cluster *cluster)
{
    if (cluster == NULL)
        return;
    cluster_stop(cluster);
    link_stop(cluster->commands); /* where no thread was started */
    link_stop(cluster->events);
    if (cluster->worker != NULL)
        deadline_fini(&cluster->next_sync);
    worker_free(cluster->worker);
    link_free(cluster->commands);
    link_free(cluster->events);
    marks_clear(&cluster->marks);
    link_target_fini(&cluster->target);
    free(cluster);
}
