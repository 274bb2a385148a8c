#include <stdalign.h>

#include "base/arena.h"
#include "support/suite.h"

START_TEST(pieces_are_zero_aligned_and_apart)
{
    enum { PIECES = 300 };
    struct arena arena = {0};
    unsigned char *pieces[PIECES];

    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = arena_alloc(&arena, i + 1);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        for (size_t j = 0; j <= i; j++)
            ck_assert_uint_eq(pieces[i][j], 0);
        memset(pieces[i], (int)(i % 255) + 1, i + 1);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j <= i; j++)
            ck_assert_uint_eq(pieces[i][j], i % 255 + 1);
    }
    arena_fini(&arena);
    ck_assert_ptr_null(arena.blocks);
}
END_TEST

static const size_t sizes[] = {0, 1, 15, 16, 17, 4095, 4096, 4097, 1 << 20};

START_TEST(a_piece_of_any_size_can_be_had_after_another)
{
    struct arena arena = {0};
    char *before = arena_alloc(&arena, 24), *piece, *after;

    ck_assert_ptr_nonnull(before);
    piece = arena_alloc(&arena, sizes[_i]);
    after = arena_alloc(&arena, 24);
    ck_assert_ptr_nonnull(piece);
    ck_assert_ptr_nonnull(after);
    memset(before, 1, 24);
    memset(piece, 2, sizes[_i]);
    memset(after, 3, 24);
    ck_assert_int_eq(before[23], 1);
    ck_assert(sizes[_i] == 0 || piece[sizes[_i] - 1] == 2);
    ck_assert_int_eq(after[0], 3);
    arena_fini(&arena);
}
END_TEST

START_TEST(copies_are_terminated_and_their_own)
{
    struct arena arena = {0};
    char text[] = "text";
    char *copy = arena_copy(&arena, span_of(text));
    char *empty = arena_copy(&arena, (struct span){0});
    char *part = arena_copy(&arena, span_make(text, 2));

    text[0] = 'T';
    ck_assert_str_eq(copy, "text");
    ck_assert_str_eq(empty, "");
    ck_assert_str_eq(part, "te");
    arena_fini(&arena);
}
END_TEST

START_TEST(an_arena_can_be_used_again_after_its_end)
{
    struct arena arena = {0};

    arena_fini(&arena);
    ck_assert_str_eq(arena_copy(&arena, SPAN("once")), "once");
    arena_fini(&arena);
    ck_assert_str_eq(arena_copy(&arena, SPAN("again")), "again");
    arena_fini(&arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/arena");
    TCase *pieces = suite_case(suite, "pieces");

    tcase_add_test(pieces, pieces_are_zero_aligned_and_apart);
    tcase_add_loop_test(pieces, a_piece_of_any_size_can_be_had_after_another, 0,
                        ROWS(sizes));
    tcase_add_test(pieces, copies_are_terminated_and_their_own);
    tcase_add_test(pieces, an_arena_can_be_used_again_after_its_end);
    return run_suite(suite);
}
