#include "audit/chain.h"

#include "audit/line.h"
#include "support/suite.h"

static struct audit_hasher *hasher;
static struct audit_chain chain;
static struct text lines;
static struct error error;

static void begin(void)
{
    hasher = audit_hasher_new(&error);
    ck_assert(audit_chain_begin(&chain, &error));
}

static void end(void)
{
    audit_hasher_free(hasher);
    text_fini(&lines);
}

/* The line as FORMAT has it, made plainly. */
static void expect(uint64_t sequence, const char *body, const char *oldest,
                   const char *previous)
{
    struct text wanted = {0};

    text_add_format(&wanted,
                    "%s,\"event.sequence\":%llu,\"proxy.chain_id\":\"%s\"%s,"
                    "\"proxy.prev_hash\":\"%.64s\"}\n",
                    body, (unsigned long long)sequence, chain.id, oldest, previous);
    assert_span_is(span_make(lines.bytes, lines.len), span_make(wanted.bytes, wanted.len),
                   "the line");
    text_fini(&wanted);
}

START_TEST(a_new_chain_has_an_id_and_no_line)
{
    struct audit_chain other;

    ck_assert(audit_chain_begin(&other, &error));
    ck_assert(audit_is_hex(span_of(chain.id), AUDIT_CHAIN_ID_HEX));
    ck_assert_str_ne(chain.id, other.id);
    ck_assert_uint_eq(chain.sequence, 0);
    ck_assert_str_eq(chain.last_hash, AUDIT_HASH_NONE);
}
END_TEST

START_TEST(each_line_has_the_hash_of_the_one_before)
{
    char previous[AUDIT_HASH_HEX + 1] = AUDIT_HASH_NONE;

    for (uint64_t i = 1; i <= 300; i++) {
        char body[32];

        (void)snprintf(body, sizeof(body), "{\"a\":%u", (unsigned)i * 7);
        text_clear(&lines);
        ck_assert(audit_chain_add(&chain, hasher, span_of(body), 0, &lines));
        expect(i, body, "", previous);
        ck_assert(
            audit_hash_hex(hasher, span_make(lines.bytes, lines.len - 1), previous));
        ck_assert_str_eq(chain.last_hash, previous);
        ck_assert_uint_eq(chain.sequence, i);
    }
}
END_TEST

START_TEST(lines_are_added_behind_what_is_there)
{
    text_add(&lines, SPAN("before\n"));
    ck_assert(audit_chain_add(&chain, hasher, SPAN("{\"a\":1"), 0, &lines));
    ck_assert(span_starts_with(span_make(lines.bytes, lines.len), SPAN("before\n{")));
    memmove(lines.bytes, lines.bytes + 7, lines.len - 6);
    lines.len -= 7;
    expect(1, "{\"a\":1", "", AUDIT_HASH_NONE);
}
END_TEST

static const struct {
    uint64_t oldest;
    const char *member;
} oldest_rows[] = {
    {0, ""},
    {1, ",\"proxy.trail.oldest_open\":1"},
    {7, ",\"proxy.trail.oldest_open\":7"},
    {8, ",\"proxy.trail.oldest_open\":8"}, /* its own */
    {AUDIT_NONE_OPEN, ",\"proxy.trail.oldest_open\":8"},
};

START_TEST(a_files_first_line_says_what_is_open)
{
    chain.sequence = 7;
    ck_assert(audit_chain_add(&chain, hasher, SPAN("{\"a\":1"), oldest_rows[_i].oldest,
                              &lines));
    expect(8, "{\"a\":1", oldest_rows[_i].member, AUDIT_HASH_NONE);
}
END_TEST

START_TEST(a_line_can_be_cut_again)
{
    struct audit_line cut;

    memset(chain.last_hash, 'a', AUDIT_HASH_HEX);
    chain.sequence = 999999999998;
    ck_assert(audit_chain_add(&chain, hasher,
                              SPAN("{\"x\":\",\\\"event.sequence\\\":1\""), 3, &lines));
    ck_assert(audit_line_cut(span_make(lines.bytes, lines.len - 1), &cut, &error));
    assert_span_is(cut.body, SPAN("{\"x\":\",\\\"event.sequence\\\":1\""), "the body");
    ck_assert_uint_eq(cut.sequence, 999999999999);
    ck_assert_uint_eq(cut.oldest_open, 3);
    assert_span_is(cut.chain_id, span_of(chain.id), "the id");
}
END_TEST

START_TEST(a_tail_is_not_longer_than_said)
{
    chain.sequence = 999999999999999998;
    ck_assert(
        audit_chain_add(&chain, hasher, SPAN("{\"a\":1"), 999999999999999997, &lines));
    ck_assert_uint_le(lines.len, strlen("{\"a\":1") + AUDIT_TAIL_MOST_BYTES);
}
END_TEST

START_TEST(without_memory_there_is_no_line)
{
    lines.failed = true;
    ck_assert(!audit_chain_add(&chain, hasher, SPAN("{\"a\":1"), 0, &lines));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/chain");
    TCase *lines_case = suite_case(suite, "lines");

    tcase_add_checked_fixture(lines_case, begin, end);
    tcase_add_test(lines_case, a_new_chain_has_an_id_and_no_line);
    tcase_add_test(lines_case, each_line_has_the_hash_of_the_one_before);
    tcase_add_test(lines_case, lines_are_added_behind_what_is_there);
    tcase_add_loop_test(lines_case, a_files_first_line_says_what_is_open, 0,
                        ROWS(oldest_rows));
    tcase_add_test(lines_case, a_line_can_be_cut_again);
    tcase_add_test(lines_case, a_tail_is_not_longer_than_said);
    tcase_add_test(lines_case, without_memory_there_is_no_line);
    return run_suite(suite);
}
