/* What a cluster learns from Redis, and whether it may be trusted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cluster/cluster_internal.h"
#include "cluster/scripts.h"

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
        words_add(words, span_make(text->bytes + start, text->len - start));
    }
    return !words->is_full;
}

static bool send_sync(struct cluster *cluster, struct text *members)
{
    char epoch[STAMP_HEX + 1], stamp[STAMP_HEX + 1], mark_ms[24], doubt_ms[24];
    struct words words;

    if (!words_make_hex(epoch, STAMP_HEX) || !words_make_hex(stamp, STAMP_HEX))
        return false;
    cluster_begin_script(&words, script_sync, cluster);
    words_add(&words, span_of(stamp));
    words_add(&words, span_of(epoch));
    words_add(&words, words_of_number(mark_ms, sizeof(mark_ms), cluster->mark_ms));
    words_add(&words, words_of_number(doubt_ms, sizeof(doubt_ms), cluster->doubt_ms));
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

void cluster_sync_now(void *owner)
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
    cluster_retry_ends(cluster);
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
    cluster_sync_now(cluster);
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

const struct link_events cluster_commands_events = {on_commands_up, on_commands_down,
                                                    NULL};
const struct link_events cluster_events_events = {on_events_up, on_events_down,
                                                  on_raised};
