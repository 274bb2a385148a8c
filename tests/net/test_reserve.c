#include <stdlib.h>
#include <string.h>

#include "net/reserve.h"
#include "support/suite.h"

static bool memory_is_out;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    return memory_is_out ? NULL : __real_malloc(bytes);
}

void *__wrap_realloc(void *block, size_t bytes)
{
    return memory_is_out ? NULL : __real_realloc(block, bytes);
}

/* What the reserve gives when malloc has nothing. */
static void *starved(size_t bytes)
{
    void *block;

    memory_is_out = true;
    block = reserve_alloc(bytes);
    memory_is_out = false;
    return block;
}

static void *starved_resize(void *block, size_t bytes)
{
    void *resized;

    memory_is_out = true;
    resized = reserve_resize(block, bytes);
    memory_is_out = false;
    return resized;
}

/* How many blocks of that size the reserve has; they are given back. */
static size_t count_blocks(size_t bytes)
{
    static void *blocks[RESERVE_BYTES / 256 + 1];
    size_t count = 0;

    while ((blocks[count] = starved(bytes)) != NULL)
        memset(blocks[count++], 0xff, bytes);
    for (size_t i = 0; i < count; i++)
        reserve_free(blocks[i]);
    return count;
}

START_TEST(the_reserve_lasts_for_its_size_and_is_whole_again_when_freed)
{
    ck_assert_uint_eq(count_blocks(RESERVE_MOST_BYTES),
                      RESERVE_BYTES / RESERVE_MOST_BYTES);
    ck_assert_uint_eq(count_blocks(256), RESERVE_BYTES / 256);
    ck_assert_uint_eq(count_blocks(257), RESERVE_BYTES / 512);
    ck_assert_uint_eq(count_blocks(RESERVE_MOST_BYTES),
                      RESERVE_BYTES / RESERVE_MOST_BYTES);
}
END_TEST

START_TEST(a_block_of_no_bytes_is_one)
{
    void *one = starved(0), *other = starved(0);

    ck_assert(one != NULL && other != NULL && one != other);
    reserve_free(one);
    reserve_free(other);
    reserve_free(NULL);
}
END_TEST

START_TEST(too_large_a_block_is_refused)
{
    ck_assert_ptr_null(starved(RESERVE_MOST_BYTES + 1));
}
END_TEST

START_TEST(a_resized_block_keeps_its_bytes_wherever_it_goes)
{
    char *block = reserve_resize(NULL, 3), *moved;

    memcpy(block, "ab", 3);
    block = starved_resize(block, 1000); /* into the reserve */
    ck_assert_str_eq(block, "ab");
    block = starved_resize(block, 5000); /* within it */
    ck_assert_str_eq(block, "ab");
    ck_assert_ptr_null(starved_resize(block, RESERVE_MOST_BYTES + 1));
    ck_assert_str_eq(block, "ab");
    moved = reserve_resize(block, 300); /* out of it */
    ck_assert_str_eq(moved, "ab");
    reserve_free(moved);
    ck_assert_uint_eq(count_blocks(256), RESERVE_BYTES / 256);
}
END_TEST

START_TEST(with_memory_the_reserve_is_not_touched)
{
    void *block = reserve_alloc(100);

    ck_assert_uint_eq(count_blocks(256), RESERVE_BYTES / 256);
    reserve_free(block);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net/reserve");
    TCase *blocks = suite_case(suite, "blocks");

    tcase_add_test(blocks, the_reserve_lasts_for_its_size_and_is_whole_again_when_freed);
    tcase_add_test(blocks, a_block_of_no_bytes_is_one);
    tcase_add_test(blocks, too_large_a_block_is_refused);
    tcase_add_test(blocks, a_resized_block_keeps_its_bytes_wherever_it_goes);
    tcase_add_test(blocks, with_memory_the_reserve_is_not_touched);
    return run_suite(suite);
}
