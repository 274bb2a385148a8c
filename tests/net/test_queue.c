/* The queue against a plain array of bytes that does the same. */
#include "net/queue.h"
#include "support/suite.h"

enum { MODEL_BYTES = 1 << 19, MOST_VECTORS = 6, STEPS = 4000 };

struct model {
    char *bytes;
    size_t len;
};

/* xorshift: the same numbers everywhere. */
struct numbers {
    uint64_t state;
};

static size_t below(struct numbers *numbers, size_t limit)
{
    numbers->state ^= numbers->state << 13;
    numbers->state ^= numbers->state >> 7;
    numbers->state ^= numbers->state << 17;
    return (size_t)(numbers->state >> 11) % limit;
}

static void model_drop(struct model *model, size_t len)
{
    memmove(model->bytes, model->bytes + len, model->len - len);
    model->len -= len;
}

/* The vectors that a peek gives are the first bytes, none empty, and all if there is
 * room. */
static void assert_peek(const struct queue *queue, const struct model *model, int max)
{
    struct iovec vectors[64];
    int used = queue_peek(queue, vectors, max);
    size_t len = 0;

    ck_assert_int_le(used, max);
    for (int i = 0; i < used; i++) {
        ck_assert_uint_gt(vectors[i].iov_len, 0);
        ck_assert_uint_le(len + vectors[i].iov_len, model->len);
        ck_assert_int_eq(
            memcmp(vectors[i].iov_base, model->bytes + len, vectors[i].iov_len), 0);
        len += vectors[i].iov_len;
    }
    ck_assert_uint_eq(queue->bytes, model->len);
    if (used < max)
        ck_assert_uint_eq(len, model->len);
}

/* Appends random pieces, each in a block of exactly its size, behind a random skip. */
static void append_some(struct queue *queue, struct model *model, struct numbers *numbers)
{
    struct iovec vectors[MOST_VECTORS];
    int count = (int)below(numbers, MOST_VECTORS + 1);
    size_t most = below(numbers, 4) == 0 ? 40000 : 200;
    size_t len = 0, skip;
    char *joined = malloc((size_t)MOST_VECTORS * most);

    for (int i = 0; i < count; i++) {
        size_t piece = below(numbers, most);
        char *bytes = piece > 0 ? malloc(piece) : NULL;

        for (size_t j = 0; j < piece; j++)
            bytes[j] = (char)below(numbers, 256);
        if (piece > 0)
            memcpy(joined + len, bytes, piece);
        vectors[i] = (struct iovec){bytes, piece};
        len += piece;
    }
    skip = below(numbers, 2) == 0 ? 0 : below(numbers, len + 1);
    ck_assert(queue_append(queue, vectors, count, skip));
    memcpy(model->bytes + model->len, joined + skip, len - skip);
    model->len += len - skip;
    for (int i = 0; i < count; i++)
        free(vectors[i].iov_base);
    free(joined);
}

static void drop_some(struct queue *queue, struct model *model, struct numbers *numbers)
{
    size_t len = below(numbers, 8) == 0 ? model->len : below(numbers, model->len + 1);

    queue_drop(queue, len);
    model_drop(model, len);
}

static const struct {
    uint64_t seed;
    bool is_sensitive;
} runs[] = {{1, false}, {20260701, false}, {0x9e3779b97f4a7c15, true}};

START_TEST(a_queue_gives_the_bytes_that_were_appended_in_order)
{
    struct queue queue = {.is_sensitive = runs[_i].is_sensitive};
    struct model model = {.bytes = malloc(MODEL_BYTES)};
    struct numbers numbers = {runs[_i].seed};

    for (int step = 0; step < STEPS; step++) {
        size_t what = below(&numbers, 100);

        if (what < 55 && model.len < MODEL_BYTES / 2)
            append_some(&queue, &model, &numbers);
        else if (what < 99)
            drop_some(&queue, &model, &numbers);
        else
            queue_clear(&queue), model.len = 0;
        assert_peek(&queue, &model, 1 + (int)below(&numbers, 64));
    }
    queue_clear(&queue);
    ck_assert_uint_eq(queue.bytes, 0);
    free(model.bytes);
}
END_TEST

static void append(struct queue *queue, const char *text)
{
    struct iovec vector = {(void *)(uintptr_t)text, strlen(text)};

    ck_assert(queue_append(queue, &vector, 1, 0));
}

static void assert_first_is(const struct queue *queue, const char *text)
{
    struct iovec vector;

    ck_assert_int_eq(queue_peek(queue, &vector, 1), 1);
    assert_span_is(span_make(vector.iov_base, vector.iov_len), span_of(text),
                   "the first");
}

START_TEST(an_empty_queue_has_nothing_to_peek_at)
{
    struct queue queue = {0};
    struct iovec vector;

    ck_assert_int_eq(queue_peek(&queue, &vector, 1), 0);
    queue_drop(&queue, 0);
    queue_clear(&queue);
    ck_assert_uint_eq(queue.bytes, 0);
}
END_TEST

START_TEST(appending_nothing_leaves_it_empty)
{
    struct queue queue = {0};
    struct iovec vectors[] = {{NULL, 0}, {(char[]){'a', 'b'}, 2}};

    ck_assert(queue_append(&queue, vectors, 0, 0));
    ck_assert(queue_append(&queue, vectors, 1, 0));
    ck_assert(queue_append(&queue, vectors, 2, 2));
    ck_assert_int_eq(queue_peek(&queue, vectors, 1), 0);
    ck_assert_uint_eq(queue.bytes, 0);
}
END_TEST

START_TEST(a_skip_may_end_within_any_vector)
{
    for (size_t skip = 0; skip < 6; skip++) {
        struct queue queue = {0};
        struct iovec vectors[] = {
            {(char[]){'a', 'b'}, 2}, {NULL, 0}, {(char[]){'c', 'd', 'e', 'f'}, 4}};

        ck_assert(queue_append(&queue, vectors, 3, skip));
        assert_first_is(&queue, &"abcdef"[skip]);
        queue_clear(&queue);
    }
}
END_TEST

/* One TLS record and one system call for many small writes. */
START_TEST(small_pieces_lie_together)
{
    struct queue queue = {0};

    append(&queue, "one ");
    append(&queue, "two ");
    queue_drop(&queue, 2);
    append(&queue, "three");
    assert_first_is(&queue, "e two three");
    queue_clear(&queue);
}
END_TEST

START_TEST(a_queue_is_used_again_after_it_ran_empty)
{
    struct queue queue = {.is_sensitive = true};

    append(&queue, "one");
    queue_drop(&queue, 3);
    ck_assert_uint_eq(queue.bytes, 0);
    append(&queue, "two");
    assert_first_is(&queue, "two");
    queue_clear(&queue);
    append(&queue, "three");
    assert_first_is(&queue, "three");
    queue_clear(&queue);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net/queue");
    TCase *model = suite_case(suite, "model");
    TCase *edges = suite_case(suite, "edges");

    tcase_add_loop_test(model, a_queue_gives_the_bytes_that_were_appended_in_order, 0,
                        ROWS(runs));
    tcase_add_test(edges, an_empty_queue_has_nothing_to_peek_at);
    tcase_add_test(edges, appending_nothing_leaves_it_empty);
    tcase_add_test(edges, a_skip_may_end_within_any_vector);
    tcase_add_test(edges, small_pieces_lie_together);
    tcase_add_test(edges, a_queue_is_used_again_after_it_ran_empty);
    return run_suite(suite);
}
