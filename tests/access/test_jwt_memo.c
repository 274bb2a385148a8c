/* JWTs that were good: for how long, and for what, that is remembered. */
#include "access/jwt_memo.h"

#include "support/suite.h"

enum { FROM_MS = 1000, UNTIL_MS = 2000, NOW_MS = 1500 };

static struct jwt_memo *memo;
static const struct client one = {.name = "one"}, two = {.name = "two"};

static void make(void)
{
    memo = jwt_memo_new();
    ck_assert_ptr_nonnull(memo);
}

static void end(void)
{
    jwt_memo_free(memo);
    jwt_memo_free(NULL);
}

/* The token of that number. Those of 0 to 255 share sets in fours, the others one. */
static struct jwt_memo_key key_of(unsigned token)
{
    struct jwt_memo_key key = {.generation = 1, .list = 1};

    key.digest[0] = (unsigned char)(token < JWT_MEMO_MOST ? token : 0);
    key.digest[1] = (unsigned char)(token / 64);
    key.digest[20] = (unsigned char)token;
    key.digest[31] = (unsigned char)(token >> 8);
    return key;
}

static void add(const struct jwt_memo_key *key, const struct client *client)
{
    jwt_memo_add(memo, key, FROM_MS, UNTIL_MS, client);
}

START_TEST(a_token_is_known_once_it_was_good)
{
    struct jwt_memo_key key = key_of(1), other = key_of(2);

    ck_assert_ptr_null(jwt_memo_find(memo, &key, NOW_MS));
    add(&key, &one);
    add(&other, &two);
    ck_assert_ptr_eq(jwt_memo_find(memo, &key, NOW_MS), &one);
    ck_assert_ptr_eq(jwt_memo_find(memo, &other, NOW_MS), &two);
}
END_TEST

START_TEST(it_is_known_only_while_it_holds)
{
    struct jwt_memo_key key = key_of(1);

    add(&key, &one);
    ck_assert_ptr_null(jwt_memo_find(memo, &key, FROM_MS - 1));
    ck_assert_ptr_eq(jwt_memo_find(memo, &key, FROM_MS), &one);
    ck_assert_ptr_eq(jwt_memo_find(memo, &key, UNTIL_MS - 1), &one);
    ck_assert_ptr_null(jwt_memo_find(memo, &key, UNTIL_MS));
    ck_assert_ptr_eq(jwt_memo_find(memo, &key, NOW_MS), &one); /* a clock set back */
}
END_TEST

START_TEST(other_clients_issuers_or_keys_know_nothing_of_it)
{
    struct jwt_memo_key key = key_of(1), other;

    add(&key, &one);
    other = key;
    other.generation++;
    ck_assert_ptr_null(jwt_memo_find(memo, &other, NOW_MS));
    other = key;
    other.list++;
    ck_assert_ptr_null(jwt_memo_find(memo, &other, NOW_MS));
    ck_assert_ptr_eq(jwt_memo_find(memo, &key, NOW_MS), &one);
}
END_TEST

START_TEST(every_byte_of_the_digest_counts)
{
    struct jwt_memo_key key = key_of(1);

    add(&key, &one);
    for (size_t i = 0; i < sizeof(key.digest) * 8; i++) {
        struct jwt_memo_key other = key;

        other.digest[i / 8] ^= (unsigned char)(1U << i % 8);
        ck_assert_ptr_null(jwt_memo_find(memo, &other, NOW_MS));
    }
}
END_TEST

START_TEST(what_is_added_again_counts_alone)
{
    struct jwt_memo_key key = key_of(1);

    for (unsigned i = 0; i < 20; i++)
        add(&key, &one);
    jwt_memo_add(memo, &key, NOW_MS, NOW_MS + 1, &two);
    ck_assert_ptr_eq(jwt_memo_find(memo, &key, NOW_MS), &two);
    ck_assert_ptr_null(jwt_memo_find(memo, &key, NOW_MS + 1));
}
END_TEST

START_TEST(a_full_memo_forgets_one_for_each_that_comes)
{
    unsigned known = 0;

    for (unsigned token = 0; token < JWT_MEMO_MOST; token++) {
        struct jwt_memo_key key = key_of(token);

        add(&key, &one);
    }
    for (unsigned token = 0; token < JWT_MEMO_MOST; token++) {
        struct jwt_memo_key key = key_of(token);

        known += jwt_memo_find(memo, &key, NOW_MS) == &one;
    }
    ck_assert_uint_eq(known, JWT_MEMO_MOST);
    for (unsigned token = 1000; token < 5000; token++) {
        struct jwt_memo_key key = key_of(token);

        add(&key, &two);
        ck_assert_ptr_eq(jwt_memo_find(memo, &key, NOW_MS), &two);
    }
    known = 0;
    for (unsigned token = 0; token < 5000; token++) {
        struct jwt_memo_key key = key_of(token);

        known += jwt_memo_find(memo, &key, NOW_MS) != NULL;
    }
    ck_assert_uint_eq(known, JWT_MEMO_MOST);
}
END_TEST

START_TEST(what_is_of_an_older_generation_makes_room_first)
{
    struct jwt_memo_key old = key_of(0), fresh[3];

    add(&old, &one);
    for (unsigned i = 0; i < 3; i++) {
        fresh[i] = key_of(1000 + i);
        fresh[i].generation = 2;
        add(&fresh[i], &two);
    }
    ck_assert_ptr_null(jwt_memo_find(memo, &old, NOW_MS));
    for (unsigned i = 0; i < 3; i++)
        ck_assert_ptr_eq(jwt_memo_find(memo, &fresh[i], NOW_MS), &two);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/jwt_memo");
    TCase *tcase = suite_case(suite, "memo");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_test(tcase, a_token_is_known_once_it_was_good);
    tcase_add_test(tcase, it_is_known_only_while_it_holds);
    tcase_add_test(tcase, other_clients_issuers_or_keys_know_nothing_of_it);
    tcase_add_test(tcase, every_byte_of_the_digest_counts);
    tcase_add_test(tcase, what_is_added_again_counts_alone);
    tcase_add_test(tcase, a_full_memo_forgets_one_for_each_that_comes);
    tcase_add_test(tcase, what_is_of_an_older_generation_makes_room_first);
    return run_suite(suite);
}
