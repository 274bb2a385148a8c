#include <stdlib.h>

#include "base/json_text.h"
#include "support/suite.h"

/* Memory that runs out after so many blocks; below zero: never. */
static int blocks_left = -1;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    if (blocks_left == 0)
        return NULL;
    blocks_left -= blocks_left > 0;
    return __real_malloc(bytes);
}

START_TEST(a_text_is_read_with_the_given_strictness)
{
    json_error_t fault;
    json_t *root = json_text_read(SPAN("{\"a\":1}"), 0, &fault);

    ck_assert_int_eq(json_integer_value(json_object_get(root, "a")), 1);
    json_decref(root);
    ck_assert_ptr_null(
        json_text_read(SPAN("{\"a\":1,\"a\":2}"), JSON_REJECT_DUPLICATES, &fault));
    ck_assert_int_eq(json_error_code(&fault), json_error_duplicate_key);
    ck_assert_ptr_null(json_text_read(SPAN("{"), 0, NULL));
    ck_assert_ptr_null(json_text_read(span_make(NULL, 0), 0, NULL));
}
END_TEST

/* With one block fewer than it takes nothing is read, and no string lacks a byte. */
START_TEST(without_memory_nothing_is_read_and_the_fault_says_so)
{
    const struct span text =
        SPAN("{\"a member of some length\":\"a value of some length\"}");
    json_t *root = NULL;
    int blocks;

    for (blocks = 0; root == NULL && blocks < 100; blocks++) {
        json_error_t fault = {0};

        blocks_left = blocks;
        root = json_text_read(text, 0, &fault);
        blocks_left = -1;
        ck_assert_int_eq(json_error_code(&fault),
                         root == NULL ? json_error_out_of_memory : 0);
    }
    ck_assert_int_gt(blocks, 4);
    ck_assert_str_eq(json_string_value(json_object_get(root, "a member of some length")),
                     "a value of some length");
    json_decref(root);
}
END_TEST

START_TEST(an_earlier_failure_does_not_count)
{
    json_t *root;

    blocks_left = 0;
    root = json_string("x");
    blocks_left = -1;
    ck_assert_ptr_null(root);
    root = json_text_read(SPAN("[]"), 0, NULL);
    ck_assert_ptr_nonnull(root);
    json_decref(root);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/json_text");
    TCase *reading = suite_case(suite, "reading");

    json_text_init();
    tcase_add_test(reading, a_text_is_read_with_the_given_strictness);
    tcase_add_test(reading, without_memory_nothing_is_read_and_the_fault_says_so);
    tcase_add_test(reading, an_earlier_failure_does_not_count);
    return run_suite(suite);
}
