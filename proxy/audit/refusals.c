#include "audit/refusals.h"

#include <pthread.h>
#include <stdlib.h>

struct source {
    char name[REFUSALS_SOURCE_BYTES];
    size_t name_len;
    int64_t begun_ms;  /* when its minute began */
    unsigned recorded; /* in this minute */
    uint64_t counted;  /* in this minute, not recorded */
    uint64_t due;      /* counted in earlier minutes, and not yet told */
};

/*
 * The sources lie side by side and are searched one by one: at most 1,024 short compares
 * for a refused request, which has cost more by then.
 */
struct refusals {
    pthread_mutex_t lock; /* over everything below */
    size_t count;
    struct source sources[REFUSALS_SOURCES];
    struct source others;
};

static void name_source(struct source *source, struct span name)
{
    *source = (struct source){.name_len = name.len};
    if (name.len > 0)
        memcpy(source->name, name.at, name.len);
}

struct refusals *refusals_new(void)
{
    struct refusals *refusals = calloc(1, sizeof(*refusals));

    if (refusals == NULL)
        return NULL;
    (void)pthread_mutex_init(&refusals->lock, NULL);
    name_source(&refusals->others, SPAN(REFUSALS_OTHERS));
    return refusals;
}

void refusals_free(struct refusals *refusals)
{
    if (refusals == NULL)
        return;
    (void)pthread_mutex_destroy(&refusals->lock);
    free(refusals);
}

static bool is_over(const struct source *source, int64_t now_ms)
{
    return source->begun_ms <= now_ms - REFUSALS_MINUTE_MS;
}

static uint64_t count_due(const struct source *source, int64_t now_ms)
{
    return source->due + (is_over(source, now_ms) ? source->counted : 0);
}

/* Forgets the sources whose minute is over and of which there is nothing to tell. */
static void forget_silent(struct refusals *refusals, int64_t now_ms)
{
    for (size_t i = 0; i < refusals->count;) {
        struct source *source = &refusals->sources[i];

        if (is_over(source, now_ms) && count_due(source, now_ms) == 0)
            *source = refusals->sources[--refusals->count];
        else
            i++;
    }
}

static struct source *find_source(struct refusals *refusals, struct span name,
                                  int64_t now_ms)
{
    struct source *source;

    if (name.len > REFUSALS_SOURCE_BYTES)
        name.len = REFUSALS_SOURCE_BYTES;
    for (size_t i = 0; i < refusals->count; i++) {
        source = &refusals->sources[i];
        if (span_equal(span_make(source->name, source->name_len), name))
            return source;
    }
    if (refusals->count == REFUSALS_SOURCES)
        forget_silent(refusals, now_ms);
    if (refusals->count == REFUSALS_SOURCES)
        return &refusals->others;
    source = &refusals->sources[refusals->count++];
    name_source(source, name);
    source->begun_ms = now_ms;
    return source;
}

static bool admit(struct source *source, int64_t now_ms)
{
    if (is_over(source, now_ms)) {
        source->due += source->counted;
        source->counted = 0;
        source->recorded = 0;
        source->begun_ms = now_ms;
    }
    if (source->recorded == REFUSALS_RECORDED) {
        source->counted++;
        return false;
    }
    source->recorded++;
    return true;
}

bool refusals_admit(struct refusals *refusals, struct span source, int64_t now_ms)
{
    bool is_recorded;

    (void)pthread_mutex_lock(&refusals->lock);
    is_recorded = admit(find_source(refusals, source, now_ms), now_ms);
    (void)pthread_mutex_unlock(&refusals->lock);
    return is_recorded;
}

static bool take_count(struct source *source, int64_t now_ms,
                       struct refusals_summary *summary)
{
    uint64_t count = count_due(source, now_ms);

    if (count == 0)
        return false;
    *summary = (struct refusals_summary){.count = count};
    memcpy(summary->source, source->name, source->name_len);
    source->due = 0;
    if (is_over(source, now_ms))
        source->counted = 0;
    return true;
}

static bool take_next(struct refusals *refusals, int64_t now_ms,
                      struct refusals_summary *summary)
{
    for (size_t i = 0; i < refusals->count; i++) {
        if (take_count(&refusals->sources[i], now_ms, summary))
            return true;
    }
    return take_count(&refusals->others, now_ms, summary);
}

bool refusals_next_summary(struct refusals *refusals, int64_t now_ms,
                           struct refusals_summary *summary)
{
    bool is_taken;

    (void)pthread_mutex_lock(&refusals->lock);
    is_taken = take_next(refusals, now_ms, summary);
    if (!is_taken)
        forget_silent(refusals, now_ms);
    (void)pthread_mutex_unlock(&refusals->lock);
    return is_taken;
}

static int64_t due_ms(const struct source *source)
{
    if (source->due > 0)
        return source->begun_ms;
    return source->counted > 0 ? source->begun_ms + REFUSALS_MINUTE_MS : REFUSALS_NEVER;
}

int64_t refusals_next_due_ms(struct refusals *refusals)
{
    int64_t earliest;

    (void)pthread_mutex_lock(&refusals->lock);
    earliest = due_ms(&refusals->others);
    for (size_t i = 0; i < refusals->count; i++) {
        int64_t due = due_ms(&refusals->sources[i]);

        earliest = due < earliest ? due : earliest;
    }
    (void)pthread_mutex_unlock(&refusals->lock);
    return earliest;
}
