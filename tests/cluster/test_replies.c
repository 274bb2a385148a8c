#include "cluster/replies.h"

#include "support/suite.h"

static struct replies *replies;
static redisReply *reply;
static const char *why;

static void setup(void)
{
    replies = replies_new();
    ck_assert_ptr_nonnull(replies);
    reply = NULL;
    why = NULL;
}

static void teardown(void)
{
    if (reply != NULL)
        freeReplyObject(reply);
    replies_free(replies);
}

static enum replies_result feed(struct span bytes)
{
    if (reply != NULL)
        freeReplyObject(reply);
    reply = NULL;
    ck_assert(replies_feed(replies, bytes));
    return replies_next(replies, &reply, &why);
}

START_TEST(a_reply_is_told_once_it_is_whole)
{
    ck_assert_int_eq(feed(SPAN("*2\r\n:1\r\n$3\r\nab")), REPLIES_MORE);
    ck_assert_int_eq(feed(SPAN("c\r\n")), REPLIES_ONE);
    ck_assert_uint_eq(reply->elements, 2);
    ck_assert_str_eq(reply->element[1]->str, "abc");
    ck_assert_int_eq(feed(SPAN("")), REPLIES_MORE);
}
END_TEST

START_TEST(what_is_no_reply_is_bad)
{
    ck_assert_int_eq(feed(SPAN("HTTP/1.1 400 Bad Request\r\n")), REPLIES_BAD);
    ck_assert_str_eq(why, "it does not speak the Redis protocol");
}
END_TEST

START_TEST(lists_are_counted_over_all_levels)
{
    enum { INNER = 4096 };

    ck_assert_int_eq(feed(SPAN("*9\r\n")), REPLIES_MORE);
    for (int i = 0; i < REPLIES_MOST_ELEMENTS / INNER - 1; i++) {
        ck_assert_int_eq(feed(SPAN("*4096\r\n")), REPLIES_MORE);
        for (int j = 0; j < INNER; j++)
            ck_assert_int_eq(feed(SPAN("$-1\r\n")), REPLIES_MORE);
    }
    ck_assert_int_eq(feed(SPAN("*4088\r\n")), REPLIES_BAD);
    ck_assert_str_eq(why, "its answer is too large");
}
END_TEST

START_TEST(each_reply_is_counted_anew)
{
    char list[64];

    (void)snprintf(list, sizeof(list), "*%d\r\n", REPLIES_MOST_ELEMENTS);
    for (int i = 0; i < 3; i++) {
        enum replies_result result = feed(span_of(list));

        for (int j = 0; j < REPLIES_MOST_ELEMENTS; j++) {
            ck_assert_int_eq(result, REPLIES_MORE);
            result = feed(SPAN(":1\r\n"));
        }
        ck_assert_int_eq(result, REPLIES_ONE);
    }
}
END_TEST

START_TEST(the_strings_of_a_list_are_counted_together)
{
    enum { STRING = 1024 * 1024 };
    char *string = malloc(STRING);
    enum replies_result result = feed(SPAN("*100\r\n"));
    int count = 0;

    memset(string, 'x', STRING);
    while (result == REPLIES_MORE && ++count < 100) {
        (void)feed(SPAN("$1048576\r\n"));
        (void)feed(span_make(string, STRING));
        result = feed(SPAN("\r\n"));
    }
    free(string);
    ck_assert_int_eq(result, REPLIES_BAD);
    ck_assert_int_le(count, REPLIES_MOST_BYTES / STRING + 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cluster/replies");
    TCase *bounds = suite_case(suite, "bounds");

    tcase_add_checked_fixture(bounds, setup, teardown);
    tcase_add_test(bounds, a_reply_is_told_once_it_is_whole);
    tcase_add_test(bounds, what_is_no_reply_is_bad);
    tcase_add_test(bounds, lists_are_counted_over_all_levels);
    tcase_add_test(bounds, each_reply_is_counted_anew);
    tcase_add_test(bounds, the_strings_of_a_list_are_counted_together);
    return run_suite(suite);
}
