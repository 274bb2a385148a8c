#include "audit/unfinished.h"

#include "audit/chain.h"
#include "support/suite.h"

enum { IDS = 300, STEPS = 30000 };

/* The plain list: in the order of addition. */
struct model {
    struct {
        unsigned id;
        uint64_t sequence;
        size_t room;
        char body[24];
    } intents[IDS];
    size_t count;
};

static struct audit_unfinished *unfinished;
static struct model model;

static void begin(void)
{
    unfinished = audit_unfinished_new();
    ck_assert_ptr_nonnull(unfinished);
    model.count = 0;
}

static void end(void)
{
    audit_unfinished_free(unfinished);
}

static void name_id(unsigned number, char id[33])
{
    (void)snprintf(id, 33, "%032x", number);
}

static void model_remove(unsigned id)
{
    for (size_t i = 0; i < model.count; i++) {
        if (model.intents[i].id != id)
            continue;
        memmove(&model.intents[i], &model.intents[i + 1],
                (model.count - i - 1) * sizeof(model.intents[0]));
        model.count--;
        return;
    }
}

static void add(unsigned number, uint64_t sequence, size_t room)
{
    char id[33], body[24];
    char *copy;

    name_id(number, id);
    (void)snprintf(body, sizeof(body), "{\"a\":%u", (unsigned)sequence);
    copy = exact_copy(span_of(body));
    ck_assert(audit_unfinished_add(unfinished, span_of(id), sequence, room,
                                   span_make(copy, strlen(body))));
    free(copy);
    model_remove(number);
    model.intents[model.count].id = number;
    model.intents[model.count].sequence = sequence;
    model.intents[model.count].room = room;
    memcpy(model.intents[model.count++].body, body, sizeof(body));
}

static void take(unsigned number)
{
    char id[33];

    name_id(number, id);
    audit_unfinished_remove(unfinished, span_of(id));
    model_remove(number);
}

static void compare_next(void *arg, struct span body)
{
    size_t *next = arg;

    ck_assert_uint_lt(*next, model.count);
    assert_span_is(body, span_of(model.intents[*next].body), "the body");
    ++*next;
}

static void compare(void)
{
    size_t room = 0, next = 0;

    for (size_t i = 0; i < model.count; i++)
        room += model.intents[i].room;
    ck_assert_uint_eq(audit_unfinished_count(unfinished), model.count);
    ck_assert_uint_eq(audit_unfinished_room(unfinished), room);
    ck_assert_uint_eq(audit_unfinished_oldest(unfinished),
                      model.count > 0 ? model.intents[0].sequence : AUDIT_NONE_OPEN);
    if (model.count > 0) {
        char id[33];

        name_id(model.intents[0].id, id);
        ck_assert_uint_eq(audit_unfinished_room_of(unfinished, span_of(id)),
                          model.intents[0].room);
    }
    ck_assert_uint_eq(audit_unfinished_room_of(unfinished, SPAN("none")), 0);
    audit_unfinished_each(unfinished, compare_next, &next);
    ck_assert_uint_eq(next, model.count);
}

START_TEST(nothing_is_open_at_first)
{
    compare();
    take(1);
    compare();
    audit_unfinished_free(NULL);
}
END_TEST

START_TEST(an_intent_that_comes_again_moves_to_the_end)
{
    add(1, 10, 100);
    add(2, 11, 200);
    add(1, 12, 300);
    compare();
    ck_assert_uint_eq(audit_unfinished_oldest(unfinished), 11);
    take(2);
    compare();
    take(1);
    compare();
}
END_TEST

START_TEST(a_body_may_be_left_out)
{
    ck_assert(audit_unfinished_add(unfinished, SPAN("a"), 1, 5, span_make(NULL, 0)));
    ck_assert(audit_unfinished_add(unfinished, SPAN("ab"), 2, 6, SPAN("")));
    audit_unfinished_remove(unfinished, SPAN("abc"));
    ck_assert_uint_eq(audit_unfinished_count(unfinished), 2);
    audit_unfinished_remove(unfinished, SPAN("a"));
    ck_assert_uint_eq(audit_unfinished_oldest(unfinished), 2);
}
END_TEST

/* Whether malloc has nothing. */
static bool memory_is_out;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    return memory_is_out ? NULL : __real_malloc(bytes);
}

START_TEST(what_was_reserved_needs_no_memory)
{
    bool is_added[3], is_reserved;
    char ids[3][33];

    for (unsigned i = 0; i < 3; i++)
        name_id(i, ids[i]);
    ck_assert(audit_unfinished_reserve(unfinished, 2));
    memory_is_out = true;
    is_reserved = audit_unfinished_reserve(unfinished, 2);
    for (unsigned i = 0; i < 3; i++)
        is_added[i] = audit_unfinished_add(unfinished, span_of(ids[i]), i, 10, SPAN(""));
    memory_is_out = false;
    ck_assert(is_reserved && is_added[0] && is_added[1] && !is_added[2]);
    ck_assert_uint_eq(audit_unfinished_count(unfinished), 2);
    ck_assert_uint_eq(audit_unfinished_room(unfinished), 20);
}
END_TEST

START_TEST(what_cannot_be_reserved_is_told)
{
    bool is_reserved;

    memory_is_out = true;
    is_reserved = audit_unfinished_reserve(unfinished, 1);
    memory_is_out = false;
    ck_assert(!is_reserved);
    ck_assert(audit_unfinished_reserve(unfinished, 1));
}
END_TEST

static const uint64_t seeds[] = {1, 77, 20261123, UINT64_C(0x9e3779b97f4a7c15)};

static unsigned below(uint64_t *state, unsigned limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)(*state >> 11) % limit;
}

START_TEST(it_does_what_a_plain_list_does)
{
    uint64_t state = seeds[_i];
    unsigned tendency = 50;

    for (uint64_t step = 1; step <= STEPS; step++) {
        unsigned id = below(&state, IDS) * 2654435761u;

        if (step % 1000 == 0)
            tendency = 10 + below(&state, 80);
        if (below(&state, 100) < tendency)
            add(id, step, below(&state, 5000));
        else
            take(id);
        if (step % 50 == 0)
            compare();
    }
    while (model.count > 0)
        take(model.intents[below(&state, (unsigned)model.count)].id);
    compare();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/unfinished");
    TCase *plain = suite_case(suite, "plain");
    TCase *random = suite_case(suite, "random");

    tcase_add_checked_fixture(plain, begin, end);
    tcase_add_checked_fixture(random, begin, end);
    tcase_add_test(plain, nothing_is_open_at_first);
    tcase_add_test(plain, an_intent_that_comes_again_moves_to_the_end);
    tcase_add_test(plain, a_body_may_be_left_out);
    tcase_add_test(plain, what_was_reserved_needs_no_memory);
    tcase_add_test(plain, what_cannot_be_reserved_is_told);
    tcase_add_loop_test(random, it_does_what_a_plain_list_does, 0, ROWS(seeds));
    return run_suite(suite);
}
