#include "gateway/health.h"

#include "base/text.h"
#include "support/suite.h"

/* 2026-11-23T17:00:00Z */
#define NOW_MS INT64_C(1795453200000)

static struct health health;
static struct credential_state state;
static struct credential credential;

static void make(void)
{
    health_init(&health);
    state = (struct credential_state){.team = ""};
    credential = (struct credential){.name = "default", .state = &state};
}

static void end(void)
{
    health_fini(&health);
}

static void answer(unsigned status, int64_t after_ms)
{
    health_note_answer(&health, &credential, 0, status, NOW_MS + after_ms);
}

static void must_say(const char *wanted)
{
    char text[HEALTH_ERROR_BYTES];

    health_read_error(&health, text);
    ck_assert_str_eq(text, wanted);
}

START_TEST(at_first_nothing_is_known)
{
    ck_assert_int_eq(health.success_ms, 0);
    ck_assert_int_eq(health.failure_ms, 0);
    ck_assert_int_eq(state.keys[0].verdict, CREDENTIAL_UNKNOWN);
    must_say("");
}
END_TEST

static const struct {
    unsigned status;
    bool is_success;
    int verdict;
} statuses[] = {
    {200, true, CREDENTIAL_ACCEPTED}, {304, true, CREDENTIAL_ACCEPTED},
    {403, true, CREDENTIAL_ACCEPTED}, {404, true, CREDENTIAL_ACCEPTED},
    {499, true, CREDENTIAL_ACCEPTED}, {401, true, CREDENTIAL_REFUSED},
    {500, false, CREDENTIAL_UNKNOWN}, {503, false, CREDENTIAL_UNKNOWN},
    {599, false, CREDENTIAL_UNKNOWN},
};

START_TEST(an_answer_says_how_upstream_and_key_are)
{
    answer(statuses[_i].status, 0);
    ck_assert_int_eq(health.success_ms, statuses[_i].is_success ? NOW_MS : 0);
    ck_assert_int_eq(health.failure_ms, statuses[_i].is_success ? 0 : NOW_MS);
    ck_assert_int_eq(state.keys[0].verdict, statuses[_i].verdict);
    ck_assert_int_eq(state.keys[1].verdict, CREDENTIAL_UNKNOWN);
}
END_TEST

START_TEST(a_failure_has_a_text)
{
    answer(502, 0);
    must_say("upstream answered 502");
    health_note_failure(&health, "connection refused", NOW_MS + 5);
    must_say("connection refused");
    answer(200, 6);
    must_say("connection refused"); /* the last one stays to be read */
}
END_TEST

START_TEST(times_are_stored_once_a_second)
{
    answer(200, 0);
    answer(200, 999);
    ck_assert_int_eq(health.success_ms, NOW_MS);
    answer(200, 1000);
    ck_assert_int_eq(health.success_ms, NOW_MS + 1000);
    answer(200, -5000); /* the clock was set back */
    ck_assert_int_eq(health.success_ms, NOW_MS - 5000);
}
END_TEST

START_TEST(which_came_last_is_always_told)
{
    answer(200, 0);
    health_note_failure(&health, "gone", NOW_MS + 100);
    ck_assert_int_gt(health.failure_ms, health.success_ms);
    answer(200, 200);
    ck_assert_int_gt(health.success_ms, health.failure_ms);
    answer(500, 300);
    ck_assert_int_gt(health.failure_ms, health.success_ms);
    answer(404, 300);
    ck_assert_int_ge(health.success_ms, health.failure_ms);
}
END_TEST

START_TEST(which_came_last_of_a_keys_answers_is_always_told)
{
    answer(200, 0);
    answer(401, 1);
    ck_assert_int_eq(state.keys[0].verdict, CREDENTIAL_REFUSED);
    ck_assert_int_gt(state.keys[0].failure_ms, state.keys[0].success_ms);
    answer(200, 2);
    ck_assert_int_eq(state.keys[0].verdict, CREDENTIAL_ACCEPTED);
    ck_assert_int_gt(state.keys[0].success_ms, state.keys[0].failure_ms);
    answer(401, 3);
    ck_assert_int_gt(state.keys[0].failure_ms, state.keys[0].success_ms);
}
END_TEST

START_TEST(each_key_has_its_own_verdict)
{
    answer(401, 0);
    health_note_answer(&health, &credential, 1, 200, NOW_MS);
    ck_assert_int_eq(state.keys[0].verdict, CREDENTIAL_REFUSED);
    ck_assert_int_eq(state.keys[1].verdict, CREDENTIAL_ACCEPTED);
    health_note_answer(&health, NULL, 0, 200, NOW_MS);
}
END_TEST

START_TEST(a_long_text_is_cut_between_characters)
{
    char text[1024], kept[HEALTH_ERROR_BYTES];

    for (size_t before = 0; before < 4; before++) {
        size_t len = before;

        memset(text, 'x', before);
        while (len + 4 < sizeof(text)) {
            memcpy(text + len, "\xf0\x9f\x94\x92", 4);
            len += 4;
        }
        text[len] = '\0';
        health_note_failure(&health, text, NOW_MS);
        health_read_error(&health, kept);
        ck_assert_uint_eq((strlen(kept) - before) % 4, 0);
        ck_assert_uint_ge(strlen(kept), HEALTH_ERROR_BYTES - 4);
        ck_assert_int_eq(strncmp(text, kept, strlen(kept)), 0);
    }
    health_note_failure(&health, "ab\xff", NOW_MS);
    must_say("ab");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/health");
    TCase *tcase = suite_case(suite, "health");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_test(tcase, at_first_nothing_is_known);
    tcase_add_loop_test(tcase, an_answer_says_how_upstream_and_key_are, 0,
                        ROWS(statuses));
    tcase_add_test(tcase, a_failure_has_a_text);
    tcase_add_test(tcase, times_are_stored_once_a_second);
    tcase_add_test(tcase, which_came_last_is_always_told);
    tcase_add_test(tcase, which_came_last_of_a_keys_answers_is_always_told);
    tcase_add_test(tcase, each_key_has_its_own_verdict);
    tcase_add_test(tcase, a_long_text_is_cut_between_characters);
    return run_suite(suite);
}
