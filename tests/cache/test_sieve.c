/*
 * SIEVE against a plain list. The model is the paper's description (Zhang et al., NSDI
 * 2024): a queue with new objects at the head; one bit an object, set on a hit; a hand
 * that starts at the tail and moves towards the head, clears the bits that it finds set,
 * evicts the first object without, stays where that was, and goes on at the tail behind
 * the head.
 */
#include "cache/sieve.h"
#include "cases.h"

enum { OBJECTS = 400, STEPS = 100000 };

/* Queue positions: 0 is the tail, the oldest. */
struct model {
    int queue[OBJECTS];
    bool was_hit[OBJECTS];
    int count;
    int hand; /* a position; count: behind the head, so at the tail */
};

static void model_insert(struct model *model, int object)
{
    if (model->hand == model->count)
        model->hand = 0; /* the hand was at the tail before, and is there again */
    model->was_hit[object] = false;
    model->queue[model->count++] = object;
}

static int model_position(const struct model *model, int object)
{
    int position = 0;

    while (model->queue[position] != object)
        position++;
    return position;
}

/* The hand on what leaves goes to the next towards the head. */
static void model_remove(struct model *model, int object)
{
    int position = model_position(model, object);

    memmove(&model->queue[position], &model->queue[position + 1],
            (size_t)(model->count - position - 1) * sizeof(model->queue[0]));
    model->count--;
    if (model->hand > position)
        model->hand--;
}

static int model_choose(struct model *model)
{
    if (model->count == 0)
        return -1;
    if (model->hand == model->count)
        model->hand = 0;
    while (model->was_hit[model->queue[model->hand]]) {
        model->was_hit[model->queue[model->hand]] = false;
        model->hand = (model->hand + 1) % model->count;
    }
    return model->queue[model->hand];
}

struct world {
    struct sieve sieve;
    struct model model;
    struct cache_entry *entries[OBJECTS]; /* NULL: not there */
    struct numbers numbers;
};

static int object_of(const struct cache_entry *entry)
{
    int object;

    memcpy(&object, entry->bytes, sizeof(object));
    return object;
}

static void insert(struct world *world, int object)
{
    struct span key = span_make((const char *)&object, sizeof(object));

    world->entries[object] = make_entry(key, 0, 0);
    sieve_add(&world->sieve, world->entries[object]);
    model_insert(&world->model, object);
}

static void take_out(struct world *world, int object)
{
    sieve_remove(&world->sieve, world->entries[object]);
    model_remove(&world->model, object);
    cache_entry_unref(world->entries[object]);
    world->entries[object] = NULL;
}

static void evict(struct world *world)
{
    struct cache_entry *victim = sieve_choose(&world->sieve);
    int wanted = model_choose(&world->model);

    if (wanted < 0) {
        ck_assert_ptr_null(victim);
        return;
    }
    ck_assert(victim != NULL && object_of(victim) == wanted);
    take_out(world, wanted);
}

static void hit(struct world *world, int object)
{
    if (world->entries[object] == NULL)
        return;
    atomic_store(&world->entries[object]->was_visited, true);
    world->model.was_hit[object] = true;
}

/* The same objects in the same order, both ways, and the same bits. */
static bool is_same(const struct world *world)
{
    const struct cache_entry *entry = world->sieve.oldest, *before = NULL;

    for (int i = 0; i < world->model.count; i++) {
        if (entry == NULL || object_of(entry) != world->model.queue[i] ||
            entry->older != before ||
            atomic_load(&entry->was_visited) != world->model.was_hit[object_of(entry)])
            return false;
        before = entry;
        entry = entry->newer;
    }
    return entry == NULL && world->sieve.newest == before;
}

static void assert_same(const struct world *world)
{
    ck_assert(is_same(world));
}

static void step(struct world *world, int most)
{
    int object = (int)below(&world->numbers, OBJECTS);
    size_t what = below(&world->numbers, 100);

    if (what < 40) {
        hit(world, object);
    } else if (what < 85) {
        if (world->entries[object] != NULL)
            return;
        while (world->model.count >= most)
            evict(world);
        insert(world, object);
    } else if (what < 95) {
        if (world->entries[object] != NULL)
            take_out(world, object);
    } else {
        evict(world);
    }
}

static const struct {
    uint64_t seed;
    int most;
} runs[] = {{20240416, 1}, {7, 2}, {11, 3}, {13, 20}, {0x9e3779b97f4a7c15, 150}};

START_TEST(sieve_evicts_what_the_paper_says)
{
    struct world world = {.numbers = {runs[_i].seed}};

    for (int i = 0; i < STEPS; i++) {
        step(&world, runs[_i].most);
        if (i % 16 == 0)
            assert_same(&world);
    }
    while (world.model.count > 0)
        evict(&world);
    evict(&world);
    assert_same(&world);
}
END_TEST

/* Seven objects, of which the two oldest and the newest were hit. */
START_TEST(hit_objects_stay_where_they_are)
{
    struct world world = {0};

    for (int i = 0; i < 7; i++)
        insert(&world, i);
    hit(&world, 0);
    hit(&world, 1);
    hit(&world, 6);
    evict(&world);
    ck_assert_ptr_null(world.entries[2]);
    insert(&world, 7);
    hit(&world, 0);
    hit(&world, 3);
    evict(&world); /* on from the hand: 3 is let off, 4 goes */
    ck_assert_ptr_null(world.entries[4]);
    assert_same(&world);
    while (world.model.count > 0)
        evict(&world);
}
END_TEST

START_TEST(choosing_again_chooses_the_same)
{
    struct world world = {0};
    struct cache_entry *victim;

    for (int i = 0; i < 5; i++)
        insert(&world, i);
    hit(&world, 0);
    victim = sieve_choose(&world.sieve);
    ck_assert_int_eq(object_of(victim), 1);
    ck_assert_ptr_eq(sieve_choose(&world.sieve), victim);
    ck_assert_int_eq(model_choose(&world.model), 1);
    while (world.model.count > 0)
        evict(&world);
}
END_TEST

START_TEST(all_hit_means_the_oldest_goes)
{
    struct world world = {0};

    for (int i = 0; i < 5; i++)
        insert(&world, i);
    for (int i = 0; i < 5; i++)
        hit(&world, i);
    evict(&world);
    ck_assert_ptr_null(world.entries[0]);
    assert_same(&world);
    while (world.model.count > 0)
        evict(&world);
}
END_TEST

START_TEST(an_empty_sieve_chooses_nothing)
{
    struct sieve sieve = {0};

    ck_assert_ptr_null(sieve_choose(&sieve));
    ck_assert_ptr_null(sieve_choose(&sieve));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/sieve");
    TCase *model = suite_case(suite, "model");
    TCase *edges = suite_case(suite, "edges");

    tcase_add_loop_test(model, sieve_evicts_what_the_paper_says, 0, ROWS(runs));
    tcase_add_test(edges, hit_objects_stay_where_they_are);
    tcase_add_test(edges, choosing_again_chooses_the_same);
    tcase_add_test(edges, all_hit_means_the_oldest_goes);
    tcase_add_test(edges, an_empty_sieve_chooses_nothing);
    return run_suite(suite);
}
