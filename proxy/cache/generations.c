#include "cache/generations.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/*
 * More holds at once in one scope than this, and the latest ones share an end: nothing is
 * stored that must not be, but their raise comes with the last of them.
 */
enum { MOST_HOLDS = 256, NO_HOLD = 0 };

struct scope {
    char *name;
    size_t name_len;
    _Atomic uint64_t generation;
    _Atomic int64_t next_end_ms; /* of the holds; NO_HOLD: there is none */
    /* Under the lock: the ends of the holds, the next first. Each end raises. */
    int64_t ends_ms[MOST_HOLDS];
    int hold_count;
    unsigned in_flight;
    bool is_marked; /* another gateway's change is under way */
};

struct generations {
    pthread_mutex_t lock; /* over changes; reading a generation takes none */
    struct scope scopes[GENERATIONS_SCOPES];
    _Atomic int count;
    uint64_t seed; /* so that nobody can choose targets that collide */
    _Atomic uint64_t targets[GENERATIONS_TARGETS];
};

struct generations *generations_new(void)
{
    struct generations *generations = calloc(1, sizeof(*generations));

    if (generations == NULL)
        return NULL;
    (void)pthread_mutex_init(&generations->lock, NULL);
    (void)!getrandom(&generations->seed, sizeof(generations->seed), GRND_NONBLOCK);
    return generations;
}

void generations_free(struct generations *generations)
{
    if (generations == NULL)
        return;
    for (int i = 0; i < atomic_load(&generations->count); i++)
        free(generations->scopes[i].name);
    (void)pthread_mutex_destroy(&generations->lock);
    free(generations);
}

static int find(struct generations *generations, struct span name)
{
    int count = atomic_load_explicit(&generations->count, memory_order_acquire);

    for (int i = 0; i < count; i++) {
        struct scope *scope = &generations->scopes[i];

        if (span_equal(span_make(scope->name, scope->name_len), name))
            return i;
    }
    return GENERATIONS_NO_SCOPE;
}

static int add(struct generations *generations, struct span name)
{
    int count = atomic_load(&generations->count);
    struct scope *scope = &generations->scopes[count];

    if (count == GENERATIONS_SCOPES)
        return GENERATIONS_NO_SCOPE;
    scope->name = malloc(name.len + 1);
    if (scope->name == NULL)
        return GENERATIONS_NO_SCOPE;
    memcpy(scope->name, name.at, name.len);
    scope->name_len = name.len;
    atomic_store(&scope->generation, 1);
    atomic_store_explicit(&generations->count, count + 1, memory_order_release);
    return count;
}

int generations_scope(struct generations *generations, struct span name)
{
    int scope = find(generations, name);

    if (scope != GENERATIONS_NO_SCOPE)
        return scope;
    (void)pthread_mutex_lock(&generations->lock);
    scope = find(generations, name);
    if (scope == GENERATIONS_NO_SCOPE)
        scope = add(generations, name);
    (void)pthread_mutex_unlock(&generations->lock);
    return scope;
}

int generations_count(struct generations *generations)
{
    return atomic_load_explicit(&generations->count, memory_order_acquire);
}

struct span generations_name(const struct generations *generations, int number)
{
    const struct scope *scope = &generations->scopes[number];

    return span_make(scope->name, scope->name_len);
}

static void raise_scope(struct scope *scope)
{
    (void)atomic_fetch_add(&scope->generation, 1);
}

static void add_hold(struct scope *scope, int64_t end_ms)
{
    int i;

    if (scope->hold_count == MOST_HOLDS) {
        scope->hold_count--;
        if (end_ms < scope->ends_ms[MOST_HOLDS - 1])
            end_ms = scope->ends_ms[MOST_HOLDS - 1];
    }
    for (i = scope->hold_count; i > 0 && scope->ends_ms[i - 1] > end_ms; i--)
        scope->ends_ms[i] = scope->ends_ms[i - 1];
    scope->ends_ms[i] = end_ms;
    scope->hold_count++;
    atomic_store(&scope->next_end_ms, scope->ends_ms[0]);
}

/* With the lock held: a hold that is over raises once more. */
static void settle_holds(struct scope *scope, int64_t now_ms)
{
    int over = 0;

    while (over < scope->hold_count && scope->ends_ms[over] <= now_ms)
        over++;
    if (over == 0)
        return;
    raise_scope(scope);
    scope->hold_count -= over;
    memmove(scope->ends_ms, scope->ends_ms + over,
            (size_t)scope->hold_count * sizeof(scope->ends_ms[0]));
    atomic_store(&scope->next_end_ms,
                 scope->hold_count > 0 ? scope->ends_ms[0] : NO_HOLD);
}

uint64_t generations_now(struct generations *generations, int number, int64_t now_ms)
{
    struct scope *scope = &generations->scopes[number];
    int64_t end_ms = atomic_load(&scope->next_end_ms);

    if (end_ms != NO_HOLD && now_ms >= end_ms) {
        (void)pthread_mutex_lock(&generations->lock);
        settle_holds(scope, now_ms);
        (void)pthread_mutex_unlock(&generations->lock);
    }
    return atomic_load(&scope->generation);
}

bool generations_may_store(struct generations *generations, int number,
                           uint64_t generation, int64_t now_ms)
{
    struct scope *scope = &generations->scopes[number];
    bool may;

    (void)pthread_mutex_lock(&generations->lock);
    settle_holds(scope, now_ms);
    may = scope->in_flight == 0 && !scope->is_marked && scope->hold_count == 0 &&
          atomic_load(&scope->generation) == generation;
    (void)pthread_mutex_unlock(&generations->lock);
    return may;
}

void generations_begin_change(struct generations *generations, int number)
{
    struct scope *scope = &generations->scopes[number];

    (void)pthread_mutex_lock(&generations->lock);
    scope->in_flight++;
    raise_scope(scope);
    (void)pthread_mutex_unlock(&generations->lock);
}

void generations_end_change(struct generations *generations, int number, bool is_known,
                            int64_t now_ms, int64_t hold_ms)
{
    struct scope *scope = &generations->scopes[number];

    (void)pthread_mutex_lock(&generations->lock);
    settle_holds(scope, now_ms);
    scope->in_flight--;
    raise_scope(scope);
    if (!is_known)
        add_hold(scope, now_ms + hold_ms);
    (void)pthread_mutex_unlock(&generations->lock);
}

/* FNV-1a over a random start, folded. */
int generations_target(const struct generations *generations, struct span target)
{
    uint64_t hash = generations->seed ^ 0xcbf29ce484222325u;

    for (size_t i = 0; i < target.len; i++)
        hash = (hash ^ (unsigned char)target.at[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash ^= hash >> 16;
    return (int)(hash % GENERATIONS_TARGETS);
}

uint64_t generations_target_now(struct generations *generations, int target)
{
    return atomic_load(&generations->targets[target]);
}

void generations_raise_target(struct generations *generations, int target)
{
    (void)atomic_fetch_add(&generations->targets[target], 1);
}

void generations_mark(struct generations *generations, int number, bool is_marked)
{
    (void)pthread_mutex_lock(&generations->lock);
    generations->scopes[number].is_marked = is_marked;
    (void)pthread_mutex_unlock(&generations->lock);
}

void generations_raise(struct generations *generations, int number)
{
    (void)pthread_mutex_lock(&generations->lock);
    raise_scope(&generations->scopes[number]);
    (void)pthread_mutex_unlock(&generations->lock);
}
