#include "cache/generations.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

struct scope {
    char *name;
    size_t name_len;
    _Atomic uint64_t generation;
    _Atomic int64_t
        hold_until_ms;  /* 0: no hold. When it is over, one more raise is due */
    unsigned in_flight; /* under the lock */
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

static void raise_scope(struct scope *scope)
{
    (void)atomic_fetch_add(&scope->generation, 1);
}

/* With the lock held: a hold that is over raises once more. */
static void settle_hold(struct scope *scope, int64_t now_ms)
{
    int64_t until_ms = atomic_load(&scope->hold_until_ms);

    if (until_ms == 0 || now_ms < until_ms)
        return;
    raise_scope(scope);
    atomic_store(&scope->hold_until_ms, 0);
}

uint64_t generations_now(struct generations *generations, int number, int64_t now_ms)
{
    struct scope *scope = &generations->scopes[number];
    int64_t until_ms = atomic_load(&scope->hold_until_ms);

    if (until_ms != 0 && now_ms >= until_ms) {
        (void)pthread_mutex_lock(&generations->lock);
        settle_hold(scope, now_ms);
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
    settle_hold(scope, now_ms);
    may = scope->in_flight == 0 && atomic_load(&scope->hold_until_ms) == 0 &&
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
    settle_hold(scope, now_ms);
    scope->in_flight--;
    raise_scope(scope);
    if (!is_known && now_ms + hold_ms > atomic_load(&scope->hold_until_ms))
        atomic_store(&scope->hold_until_ms, now_ms + hold_ms);
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

void generations_raise(struct generations *generations, int number)
{
    (void)pthread_mutex_lock(&generations->lock);
    raise_scope(&generations->scopes[number]);
    (void)pthread_mutex_unlock(&generations->lock);
}
