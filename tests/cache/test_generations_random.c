/*
 * Generations against a plain model under random changes. DESIGN, "Generations": nothing
 * is stored while a change is in flight; after an unknown end nothing for the hold, and
 * then the generation is raised once more, also while other holds go on; begin and end
 * raise.
 */
#include "cache/generations.h"

#include <pthread.h>
#include <stdatomic.h>

#include "cache/cases.h"

enum {
    SCOPES = 3,
    MOST_CHANGES = 6,
    STEPS = 50000,
    HOLD_MS = 1000,
    START_MS = 5000,
    MOST_HOLDS = 50000
};

struct model {
    int in_flight;
    int64_t ends_ms[MOST_HOLDS]; /* of all holds so far */
    int hold_count;
    uint64_t before; /* the generation when last seen */
};

struct world {
    struct generations *generations;
    int scopes[SCOPES];
    struct model models[SCOPES];
    int64_t now_ms;
    struct numbers numbers;
};

static int holds_at(const struct model *model, int64_t now_ms)
{
    int count = 0;

    for (int i = 0; i < model->hold_count; i++)
        count += model->ends_ms[i] > now_ms;
    return count;
}

static uint64_t now_of(const struct world *world, int which)
{
    return generations_now(world->generations, world->scopes[which], world->now_ms);
}

/* Storable is just what the model says, and only in the present generation. */
static bool follows_rules(const struct world *world, int which)
{
    const struct model *model = &world->models[which];
    uint64_t generation = now_of(world, which);
    bool may = model->in_flight == 0 && holds_at(model, world->now_ms) == 0;
    int scope = world->scopes[which];

    return generation == model->before &&
           generations_may_store(world->generations, scope, generation, world->now_ms) ==
               may &&
           !generations_may_store(world->generations, scope, generation - 1,
                                  world->now_ms) &&
           !generations_may_store(world->generations, scope, generation + 1,
                                  world->now_ms);
}

/* Whatever raises lets no earlier generation come back. */
static void assert_raised(struct world *world, int which)
{
    uint64_t generation = now_of(world, which);

    ck_assert_uint_gt(generation, world->models[which].before);
    world->models[which].before = generation;
}

static void change(struct world *world, int which)
{
    struct model *model = &world->models[which];
    int scope = world->scopes[which];
    bool is_known = below(&world->numbers, 3) > 0;
    int64_t hold_ms = HOLD_MS / 2 + (int64_t)below(&world->numbers, HOLD_MS);

    if (model->in_flight < MOST_CHANGES &&
        (model->in_flight == 0 || below(&world->numbers, 2) == 0)) {
        generations_begin_change(world->generations, scope);
        model->in_flight++;
    } else {
        generations_end_change(world->generations, scope, is_known, world->now_ms,
                               hold_ms);
        model->in_flight--;
        if (!is_known)
            model->ends_ms[model->hold_count++] = world->now_ms + hold_ms;
    }
    assert_raised(world, which);
}

/* Time passes: where a hold ends by it, each scope is raised, and only there. */
static void wait_a_while(struct world *world)
{
    int64_t before_ms = world->now_ms;

    world->now_ms += (int64_t)below(&world->numbers, HOLD_MS);
    for (int i = 0; i < SCOPES; i++) {
        struct model *model = &world->models[i];

        if (holds_at(model, world->now_ms) < holds_at(model, before_ms))
            assert_raised(world, i);
        else
            ck_assert_uint_eq(now_of(world, i), model->before);
    }
}

static const uint64_t seeds[] = {1, 20240416, 0x9e3779b97f4a7c15};

START_TEST(the_rules_hold_whatever_overlaps)
{
    static struct world world;
    static const char *const names[SCOPES] = {"members", "session", "credential a"};

    world.now_ms = START_MS;
    world.numbers = (struct numbers){seeds[_i]};
    world.generations = generations_new();
    for (int i = 0; i < SCOPES; i++) {
        world.scopes[i] = generations_scope(world.generations, span_of(names[i]));
        world.models[i].before = now_of(&world, i);
    }
    for (int i = 0; i < STEPS; i++) {
        int which = (int)below(&world.numbers, SCOPES);

        switch (below(&world.numbers, 4)) {
        case 0:
            wait_a_while(&world);
            break;
        case 1:
            generations_raise(world.generations, world.scopes[which]);
            assert_raised(&world, which);
            break;
        default:
            change(&world, which);
        }
        ck_assert(follows_rules(&world, 0) && follows_rules(&world, 1) &&
                  follows_rules(&world, 2));
    }
    generations_free(world.generations);
}
END_TEST

/* A hold that is over raises before the next change looks, though nobody asked between.
 */
START_TEST(a_hold_that_ended_unseen_has_raised)
{
    struct generations *generations = generations_new();
    int scope = generations_scope(generations, SPAN("members"));
    uint64_t held;

    generations_begin_change(generations, scope);
    generations_end_change(generations, scope, false, START_MS, HOLD_MS);
    held = generations_now(generations, scope, START_MS);
    ck_assert(!generations_may_store(generations, scope, held, START_MS + 9 * HOLD_MS));
    ck_assert_uint_gt(generations_now(generations, scope, START_MS + 9 * HOLD_MS), held);
    generations_free(generations);
}
END_TEST

enum { THREADS = 4, ROUNDS = 20000 };

struct shared {
    struct generations *generations;
    int scope;
    atomic_bool is_wrong;
};

static void *change_often(void *argument)
{
    struct shared *shared = argument;

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t before = generations_now(shared->generations, shared->scope, 0), between;

        generations_begin_change(shared->generations, shared->scope);
        between = generations_now(shared->generations, shared->scope, 0);
        if (between <= before ||
            generations_may_store(shared->generations, shared->scope, between, 0))
            atomic_store(&shared->is_wrong, true);
        generations_end_change(shared->generations, shared->scope, true, 0, 0);
        if (generations_may_store(shared->generations, shared->scope, between, 0))
            atomic_store(&shared->is_wrong, true);
    }
    return NULL;
}

START_TEST(on_four_threads_nothing_is_stored_across_ones_own_change)
{
    struct shared shared = {.generations = generations_new()};
    pthread_t threads[THREADS];
    uint64_t end;

    shared.scope = generations_scope(shared.generations, SPAN("members"));
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, change_often, &shared), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert(!atomic_load(&shared.is_wrong));
    end = generations_now(shared.generations, shared.scope, 0);
    ck_assert(generations_may_store(shared.generations, shared.scope, end, 0));
    generations_free(shared.generations);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/generations_random");
    TCase *model = suite_case(suite, "model");
    TCase *threads = suite_case(suite, "threads");

    tcase_add_loop_test(model, the_rules_hold_whatever_overlaps, 0, ROWS(seeds));
    tcase_add_test(model, a_hold_that_ended_unseen_has_raised);
    tcase_add_test(threads, on_four_threads_nothing_is_stored_across_ones_own_change);
    return run_suite(suite);
}
