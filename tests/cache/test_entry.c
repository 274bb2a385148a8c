#include "cache/cases.h"
#include "cache/entry.h"

#include <malloc.h>

static const struct cache_policy policy = {.initial_age_ms = 5000,
                                           .lifetime_ms = 60000,
                                           .stale_if_error_ms = 7,
                                           .has_validator = true};

START_TEST(an_entry_is_a_copy_of_its_parts)
{
    struct span key = exact_span(SPAN("the key")), head = exact_span(SPAN("head\r\n"));
    struct span body = exact_span(span_make("b\0dy", 4));
    struct cache_entry *entry = cache_entry_new(&(struct cache_entry_parts){
        .key = key,
        .head = head,
        .body = body,
        .status = 203,
        .scope = 3,
        .credential_scope = 200,
        .generation = UINT64_C(1) << 40,
        .credential_generation = 9,
        .received_ms = 1000,
        .policy = &policy,
    });

    ck_assert_ptr_nonnull(entry);
    free((char *)(uintptr_t)key.at);
    free((char *)(uintptr_t)head.at);
    free((char *)(uintptr_t)body.at);
    assert_span_is(cache_entry_key(entry), SPAN("the key"), "the key");
    assert_span_is(cache_entry_head(entry), SPAN("head\r\n"), "the head");
    assert_span_is(cache_entry_body(entry), span_make("b\0dy", 4), "the body");
    ck_assert_uint_eq(entry->status, 203);
    ck_assert_uint_eq(entry->scope, 3);
    ck_assert_uint_eq(entry->credential_scope, 200);
    ck_assert_uint_eq(entry->generation, UINT64_C(1) << 40);
    ck_assert_uint_eq(entry->credential_generation, 9);
    ck_assert_int_eq(entry->received_ms, 1000);
    ck_assert_int_eq(entry->policy.lifetime_ms, 60000);
    ck_assert_int_eq(entry->policy.stale_if_error_ms, 7);
    ck_assert(entry->policy.has_validator);
    ck_assert(!entry->is_variant_list && !entry->is_in_store);
    cache_entry_unref(entry);
}
END_TEST

START_TEST(head_and_body_may_be_empty)
{
    struct cache_entry *entry = cache_entry_new(&(struct cache_entry_parts){
        .key = SPAN("k"), .is_variant_list = true, .policy = &policy});

    ck_assert_ptr_nonnull(entry);
    assert_span_is(cache_entry_key(entry), SPAN("k"), "the key");
    ck_assert_uint_eq(cache_entry_head(entry).len, 0);
    ck_assert_uint_eq(cache_entry_body(entry).len, 0);
    ck_assert(entry->is_variant_list);
    cache_entry_unref(entry);
}
END_TEST

/* A sanitizer sees the block that is freed too early, or never. */
START_TEST(an_entry_lives_as_long_as_its_last_reference)
{
    struct cache_entry *entry = make_entry(SPAN("k"), 100, 'b');
    struct cache_entry *other = cache_entry_ref(entry);

    ck_assert_ptr_eq(other, entry);
    cache_entry_unref(entry);
    ck_assert_int_eq(cache_entry_body(other).at[99], 'b');
    cache_entry_unref(other);
    cache_entry_unref(NULL);
}
END_TEST

/* RFC 9111 4.2.3: the age that it came with, and the time since. */
START_TEST(an_entry_ages_from_what_it_came_with)
{
    struct cache_entry *entry = cache_entry_new(&(struct cache_entry_parts){
        .key = SPAN("k"), .received_ms = 1000, .policy = &policy});

    ck_assert_int_eq(cache_entry_age_ms(entry, 1000), 5000);
    ck_assert_int_eq(cache_entry_age_ms(entry, 1001), 5001);
    ck_assert_int_eq(cache_entry_age_ms(entry, INT64_C(1) << 50),
                     (INT64_C(1) << 50) + 4000);
    cache_entry_unref(entry);
}
END_TEST

START_TEST(an_entry_costs_what_the_allocator_gave)
{
    for (size_t len = 0; len < 5000; len += 13) {
        struct cache_entry *entry = make_entry(SPAN("key"), len, 'b');
        size_t cost = cache_entry_cost(entry);

        ck_assert_uint_ge(cost, malloc_usable_size(entry));
        ck_assert_uint_ge(cost, sizeof(*entry) + 3 + 17 + len);
        ck_assert_uint_le(cost, 200 + 3 + 17 + len);
        cache_entry_unref(entry);
    }
}
END_TEST

#define HEAD                                                                             \
    "HTTP/1.1 200 OK: fine\r\n"                                                          \
    "Content-Type: text/plain\r\n"                                                       \
    "ETag:\t\"a\" \r\n"                                                                  \
    "X-Empty:\r\n"                                                                       \
    "X-Blank:   \r\n"                                                                    \
    "x-two: one\r\n"                                                                     \
    "X-Two: two\r\n"                                                                     \
    "X-Long-Name: ETagX: y\r\n"                                                          \
    "V:w\r\n"

static const struct {
    const char *name, *value; /* NULL: there is none */
} fields[] = {
    {"ETag", "\"a\""},
    {"etag", "\"a\""},
    {"ETAG", "\"a\""},
    {"Content-Type", "text/plain"},
    {"X-Two", "one"},
    {"X-Long-Name", "ETagX: y"},
    {"v", "w"},
    {"X-Empty", ""},
    {"X-Blank", ""},
    {"ETa", NULL},
    {"ETagX", NULL},
    {"Type", NULL},
    {"X-Long", NULL},
    {"w", NULL},
    {"HTTP/1.1 200 OK2", NULL},
    {"Last-Modified", NULL},
};

START_TEST(a_field_of_a_stored_head_is_found_in_any_case)
{
    struct span head = exact_span(SPAN(HEAD));
    struct span value = cache_head_field(head, span_of(fields[_i].name));

    if (fields[_i].value == NULL) {
        ck_assert_msg(value.at == NULL && value.len == 0, "%s", fields[_i].name);
    } else {
        ck_assert_ptr_nonnull(value.at);
        assert_span_is(value, span_of(fields[_i].value), fields[_i].name);
    }
    free((char *)(uintptr_t)head.at);
}
END_TEST

START_TEST(an_empty_head_has_no_field)
{
    ck_assert_ptr_null(cache_head_field(span_make(NULL, 0), SPAN("ETag")).at);
    ck_assert_ptr_null(cache_head_field(SPAN("HTTP/1.1 200 OK\r\n"), SPAN("ETag")).at);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/entry");
    TCase *life = suite_case(suite, "life");
    TCase *heads = suite_case(suite, "heads");

    tcase_add_test(life, an_entry_is_a_copy_of_its_parts);
    tcase_add_test(life, head_and_body_may_be_empty);
    tcase_add_test(life, an_entry_lives_as_long_as_its_last_reference);
    tcase_add_test(life, an_entry_ages_from_what_it_came_with);
    tcase_add_test(life, an_entry_costs_what_the_allocator_gave);
    tcase_add_loop_test(heads, a_field_of_a_stored_head_is_found_in_any_case, 0,
                        ROWS(fields));
    tcase_add_test(heads, an_empty_head_has_no_field);
    return run_suite(suite);
}
