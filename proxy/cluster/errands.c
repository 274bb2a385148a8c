/* What is done in Redis for requests: changes announced and ended, tokens taken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/cluster_internal.h"
#include "cluster/scripts.h"

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
    cluster_begin_script(words, script_raise, cluster);
    words_add(words, span_of(stamp));
    words_add(words, member_ms);
    words_add(words, span_of(id));
    for (int i = 0; i < generations_count(cluster->generations); i++) {
        if ((scopes[i / 64] >> (i % 64) & 1) != 0)
            words_add(words, generations_name(cluster->generations, i));
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

    if (!words_make_hex(stamp, STAMP_HEX) ||
        !add_raise(cluster, &words, id, scopes, stamp,
                   words_of_number(member_ms, sizeof(member_ms),
                                   member_ms_of(cluster, kind, is_known))))
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
void cluster_retry_ends(struct cluster *cluster)
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
        words_of_number(interval, sizeof(interval), errand->interval_us),
        words_of_number(burst, sizeof(burst), errand->burst),
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
