#include "audit/search.h"

#include <stdlib.h>

#include "audit/fields.h"
#include "base/clock.h"
#include "base/text.h"

/*
 * One mutation that is open, or that waits for an earlier one. Those that match stand in
 * the queue; open ones stand in a bucket. What does neither is freed.
 */
struct mutation {
    struct mutation *next_in_bucket;
    struct mutation *before, *after; /* in the queue */
    struct span id;                  /* raw, in bytes */
    struct span line, result;        /* line is in bytes, result in a block of its own */
    enum search_outcome outcome;
    int64_t seen_ms;
    bool is_open;
    bool is_matching;
    bool is_given; /* as pending */
    char bytes[];  /* the intent's line, or only its id when it does not match */
};

/* More ids than a writer has lines that are not acknowledged. */
enum { RECENT_IDS = 8192 };

struct search {
    const struct search_filter *filter;
    search_on_row *on_row;
    void *context;
    struct mutation **buckets;
    size_t bucket_count; /* a power of two */
    size_t open_count;
    struct mutation *first, *last; /* the queue, in the order of intents */
    struct text scratch;
    uint64_t repeated_left;      /* lines that repeat some of before trail.resumed */
    uint64_t recent[RECENT_IDS]; /* hashes of the ids of mutations that were closed */
    size_t recent_at;
    bool is_live;
};

static const char *const outcome_names[SEARCH_OUTCOMES] = {
    [SEARCH_SUCCESS] = "success",       [SEARCH_FAILURE] = "failure",
    [SEARCH_UNKNOWN] = "unknown",       [SEARCH_REFUSED] = "refused",
    [SEARCH_UNFINISHED] = "unfinished",
};

const char *search_outcome_name(enum search_outcome outcome)
{
    return outcome_names[outcome];
}

bool search_add_outcome(struct span word, unsigned *set)
{
    for (unsigned i = 0; i < SEARCH_OUTCOMES; i++) {
        if (!span_equal(word, span_of(outcome_names[i])))
            continue;
        *set |= 1u << i;
        if (i == SEARCH_FAILURE)
            *set |= 1u << SEARCH_REFUSED;
        return true;
    }
    return false;
}

void search_filter_init(struct search_filter *filter)
{
    *filter = (struct search_filter){
        .since_ms = INT64_MIN, .until_ms = INT64_MAX, .outcomes = SEARCH_ANY_OUTCOME};
}

struct search *search_new(const struct search_filter *filter, search_on_row *on_row,
                          void *context)
{
    enum { FIRST_BUCKETS = 64 };
    struct search *search = calloc(1, sizeof(*search));

    if (search == NULL)
        return NULL;
    search->filter = filter;
    search->on_row = on_row;
    search->context = context;
    search->bucket_count = FIRST_BUCKETS;
    search->buckets = calloc(search->bucket_count, sizeof(struct mutation *));
    if (search->buckets == NULL) {
        free(search);
        return NULL;
    }
    return search;
}

static void mutation_free(struct mutation *mutation)
{
    free((char *)(uintptr_t)mutation->result.at);
    free(mutation);
}

void search_free(struct search *search)
{
    struct mutation *mutation;

    if (search == NULL)
        return;
    for (size_t i = 0; i < search->bucket_count; i++) {
        while ((mutation = search->buckets[i]) != NULL) {
            search->buckets[i] = mutation->next_in_bucket;
            if (!mutation->is_matching)
                mutation_free(mutation);
        }
    }
    while ((mutation = search->first) != NULL) {
        search->first = mutation->after;
        mutation_free(mutation);
    }
    free(search->buckets);
    text_fini(&search->scratch);
    free(search);
}

/* FNV-1a: the ids are random numbers that the gateway drew. Never 0. */
static uint64_t hash_of(struct span id)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (unsigned char)id.at[i]) * 0x100000001b3u;
    return (hash ^ hash >> 32) | UINT64_C(1) << 63;
}

static struct mutation **bucket_of(const struct search *search, struct span id)
{
    return &search->buckets[hash_of(id) & (search->bucket_count - 1)];
}

/* Twice the buckets; without memory for them the chains only grow longer. */
static void grow(struct search *search)
{
    struct mutation **old = search->buckets, **bucket, *mutation;
    size_t count = search->bucket_count;
    struct mutation **buckets = calloc(count * 2, sizeof(struct mutation *));

    if (buckets == NULL)
        return;
    search->buckets = buckets;
    search->bucket_count = count * 2;
    for (size_t i = 0; i < count; i++) {
        while ((mutation = old[i]) != NULL) {
            old[i] = mutation->next_in_bucket;
            bucket = bucket_of(search, mutation->id);
            mutation->next_in_bucket = *bucket;
            *bucket = mutation;
        }
    }
    free(old);
}

static void open_mutation(struct search *search, struct mutation *mutation)
{
    struct mutation **bucket;

    if (search->open_count >= search->bucket_count)
        grow(search);
    bucket = bucket_of(search, mutation->id);
    mutation->next_in_bucket = *bucket;
    *bucket = mutation;
    mutation->is_open = true;
    search->open_count++;
}

static void remember_closed(struct search *search, struct span id)
{
    search->recent[search->recent_at++ % RECENT_IDS] = hash_of(id);
}

/* Whether a mutation of that id was closed not long ago. */
static bool is_closed(const struct search *search, struct span id)
{
    uint64_t hash = hash_of(id);

    for (size_t i = 0; i < RECENT_IDS; i++) {
        if (search->recent[i] == hash)
            return true;
    }
    return false;
}

static bool is_open(const struct search *search, struct span id)
{
    const struct mutation *mutation = *bucket_of(search, id);

    while (mutation != NULL && !span_equal(mutation->id, id))
        mutation = mutation->next_in_bucket;
    return mutation != NULL;
}

/* Takes the open mutation of that id out of its bucket; NULL: there is none. */
static struct mutation *close_mutation(struct search *search, struct span id)
{
    struct mutation **link = bucket_of(search, id), *mutation;

    while (*link != NULL && !span_equal((*link)->id, id))
        link = &(*link)->next_in_bucket;
    mutation = *link;
    if (mutation != NULL) {
        *link = mutation->next_in_bucket;
        mutation->is_open = false;
        search->open_count--;
    }
    return mutation;
}

static void enqueue(struct search *search, struct mutation *mutation)
{
    mutation->before = search->last;
    if (search->last != NULL)
        search->last->after = mutation;
    else
        search->first = mutation;
    search->last = mutation;
}

static void dequeue(struct search *search, struct mutation *mutation)
{
    if (mutation->before != NULL)
        mutation->before->after = mutation->after;
    else
        search->first = mutation->after;
    if (mutation->after != NULL)
        mutation->after->before = mutation->before;
    else
        search->last = mutation->before;
}

static bool has_outcome(const struct search *search, enum search_outcome outcome)
{
    return (search->filter->outcomes & 1u << outcome) != 0;
}

static void give(const struct search *search, const struct mutation *mutation)
{
    struct search_row row = {mutation->outcome, mutation->line, mutation->result};

    if (has_outcome(search, mutation->outcome))
        search->on_row(search->context, &row);
}

/* A closed mutation's row is given, and the mutation is gone. */
static void give_and_free(struct search *search, struct mutation *mutation)
{
    dequeue(search, mutation);
    give(search, mutation);
    mutation_free(mutation);
}

/* Gives every closed mutation that waits for no earlier one (live: for none at all). */
static void give_closed(struct search *search)
{
    struct mutation *mutation = search->first, *after;

    for (; mutation != NULL && (search->is_live || !mutation->is_open);
         mutation = after) {
        after = mutation->after;
        if (!mutation->is_open)
            give_and_free(search, mutation);
    }
}

/* A member's text, "-" where it is absent; good until the next call. */
static struct span text_of(struct search *search, struct span value)
{
    if (value.at == NULL)
        return SPAN("-");
    text_clear(&search->scratch);
    fields_decode(value, &search->scratch);
    return span_make(search->scratch.bytes, search->scratch.len);
}

static bool matches_glob(struct search *search, struct span value, const char *glob)
{
    return glob == NULL || span_matches_glob(text_of(search, value), span_of(glob));
}

static bool matches_text(struct search *search, struct span value, const char *wanted)
{
    return wanted == NULL || span_equal(text_of(search, value), span_of(wanted));
}

static bool matches_time(struct search *search, struct span value)
{
    const struct search_filter *filter = search->filter;
    struct span text;
    int64_t time_ms;

    if (filter->since_ms == INT64_MIN && filter->until_ms == INT64_MAX)
        return true;
    text = text_of(search, value);
    return clock_parse_utc(text.at, text.len, &time_ms) && time_ms >= filter->since_ms &&
           time_ms <= filter->until_ms;
}

/* Everything but the outcome, which an intent does not know. */
static bool matches(struct search *search, const struct fields *fields)
{
    const struct search_filter *filter = search->filter;

    return matches_time(search, fields->values[FIELD_TIME]) &&
           matches_glob(search, fields->values[FIELD_ACTION], filter->action) &&
           matches_glob(search, fields->values[FIELD_USER], filter->user) &&
           matches_glob(search, fields_resource(fields), filter->resource) &&
           matches_text(search, fields->values[FIELD_SOURCE], filter->source) &&
           matches_text(search, fields->values[FIELD_ID], filter->event_id);
}

/* A mutation that keeps a copy of the line, or of its id alone when it does not match. */
static struct mutation *mutation_new(struct span line, struct span id, bool is_matching)
{
    struct span kept = is_matching ? line : id;
    struct mutation *mutation = malloc(sizeof(*mutation) + kept.len);

    if (mutation == NULL)
        return NULL;
    *mutation =
        (struct mutation){.outcome = SEARCH_UNFINISHED, .is_matching = is_matching};
    if (kept.len > 0)
        memcpy(mutation->bytes, kept.at, kept.len);
    mutation->id = span_make(
        mutation->bytes + (id.at != NULL ? (size_t)(id.at - kept.at) : 0), id.len);
    mutation->line = is_matching ? span_make(mutation->bytes, line.len) : SPAN("");
    return mutation;
}

static enum search_outcome outcome_of(const struct fields *fields)
{
    if (fields_is(fields, FIELD_PHASE, SPAN("refused")))
        return SEARCH_REFUSED;
    if (fields_is(fields, FIELD_OUTCOME, SPAN("success")))
        return SEARCH_SUCCESS;
    return fields_is(fields, FIELD_OUTCOME, SPAN("failure")) ? SEARCH_FAILURE
                                                             : SEARCH_UNKNOWN;
}

static enum search_status take_intent(struct search *search, struct span line,
                                      const struct fields *fields, int64_t now_ms)
{
    struct mutation *mutation =
        mutation_new(line, fields->values[FIELD_ID], matches(search, fields));

    if (mutation == NULL)
        return SEARCH_NO_MEMORY;
    mutation->seen_ms = now_ms;
    open_mutation(search, mutation);
    if (mutation->is_matching)
        enqueue(search, mutation);
    return SEARCH_TAKEN;
}

/* A refusal, or a result whose intent is in a file that is no longer there. */
static enum search_status take_lone(struct search *search, struct span line,
                                    const struct fields *fields)
{
    enum search_outcome outcome = outcome_of(fields);
    struct mutation *mutation;

    if (!has_outcome(search, outcome) || !matches(search, fields))
        return SEARCH_TAKEN;
    mutation = mutation_new(line, fields->values[FIELD_ID], true);
    if (mutation == NULL)
        return SEARCH_NO_MEMORY;
    mutation->outcome = outcome;
    remember_closed(search, mutation->id);
    enqueue(search, mutation);
    give_closed(search);
    return SEARCH_TAKEN;
}

static enum search_status take_result(struct search *search, struct span line,
                                      const struct fields *fields)
{
    struct mutation *mutation = close_mutation(search, fields->values[FIELD_ID]);
    char *copy;

    if (mutation == NULL)
        return take_lone(search, line, fields);
    remember_closed(search, fields->values[FIELD_ID]);
    if (!mutation->is_matching) {
        mutation_free(mutation);
        return SEARCH_TAKEN;
    }
    copy = malloc(line.len);
    if (copy == NULL)
        return SEARCH_NO_MEMORY;
    memcpy(copy, line.at, line.len);
    mutation->result = span_make(copy, line.len);
    mutation->outcome = outcome_of(fields);
    give_closed(search);
    return SEARCH_TAKEN;
}

/* Whether a line that trail.resumed repeats was taken where it stood first. */
static bool was_taken(const struct search *search, const struct fields *fields)
{
    struct span id = fields->values[FIELD_ID];

    return is_closed(search, id) ||
           (fields_is(fields, FIELD_PHASE, SPAN("intent")) && is_open(search, id));
}

enum search_status search_take(struct search *search, struct span line, int64_t now_ms,
                               struct error *error)
{
    struct fields fields;
    bool is_repeated;

    if (!fields_read(&fields, line, error))
        return SEARCH_BAD_LINE;
    is_repeated = search->repeated_left > 0;
    if (is_repeated)
        search->repeated_left--;
    if (is_repeated && was_taken(search, &fields))
        return SEARCH_TAKEN;
    if (fields_is(&fields, FIELD_ACTION, SPAN("trail.resumed")) &&
        fields_is(&fields, FIELD_PHASE, SPAN("trail")))
        search->repeated_left = fields_number(&fields, FIELD_REPEATED);
    if (fields_is(&fields, FIELD_PHASE, SPAN("intent")))
        return take_intent(search, line, &fields, now_ms);
    if (fields_is(&fields, FIELD_PHASE, SPAN("result")))
        return take_result(search, line, &fields);
    if (fields_is(&fields, FIELD_PHASE, SPAN("refused")))
        return take_lone(search, line, &fields);
    return SEARCH_TAKEN;
}

void search_go_live(struct search *search)
{
    search->is_live = true;
    give_closed(search);
}

void search_give_pending(struct search *search, int64_t before_ms)
{
    for (struct mutation *mutation = search->first; mutation != NULL;
         mutation = mutation->after) {
        if (mutation->is_open && !mutation->is_given && mutation->seen_ms <= before_ms) {
            mutation->is_given = true;
            give(search, mutation);
        }
    }
}

bool search_earliest_pending(const struct search *search, int64_t *seen_ms)
{
    const struct mutation *mutation = search->first;

    /* The queue is in the order in which intents were seen. */
    while (mutation != NULL && (!mutation->is_open || mutation->is_given))
        mutation = mutation->after;
    if (mutation == NULL || !has_outcome(search, SEARCH_UNFINISHED))
        return false;
    *seen_ms = mutation->seen_ms;
    return true;
}

void search_finish(struct search *search)
{
    struct mutation *mutation;

    for (size_t i = 0; i < search->bucket_count; i++) {
        while ((mutation = search->buckets[i]) != NULL) {
            search->buckets[i] = mutation->next_in_bucket;
            mutation->is_open = false;
            if (!mutation->is_matching)
                mutation_free(mutation);
        }
    }
    search->open_count = 0;
    give_closed(search);
}
