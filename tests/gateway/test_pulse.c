/* A question to each worker, and an answer when all have given theirs. */
#include "gateway/pulse.h"
#include "support/suite.h"

enum { WORKERS = 3 };

static struct event_base *home_base, *bases[WORKERS];
static struct mailbox *home, *workers[WORKERS];
static struct pulse *pulse;
static size_t silent;
static int felt;

static struct mailbox *open_mailbox(struct event_base **base)
{
    struct error error = {{0}};
    struct mailbox *mailbox;

    *base = event_base_new();
    ck_assert_ptr_nonnull(*base);
    mailbox = mailbox_new(*base, &error);
    ck_assert_msg(mailbox != NULL, "%s", error.text);
    return mailbox;
}

static void set_up(void)
{
    home = open_mailbox(&home_base);
    pulse = pulse_new(home, WORKERS);
    ck_assert_ptr_nonnull(pulse);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = open_mailbox(&bases[i]);
        pulse_add(pulse, workers[i]);
    }
    felt = 0;
}

/* Letters may be under way to and fro, as at the end of the process. */
static void tear_down(void)
{
    pulse_hush(pulse);
    for (size_t i = 0; i < WORKERS; i++) {
        mailbox_free(workers[i]);
        event_base_free(bases[i]);
    }
    mailbox_free(home);
    event_base_free(home_base);
    pulse_free(pulse);
}

static void on_felt(void *arg)
{
    ck_assert_ptr_eq(arg, &felt);
    felt++;
}

static bool feel(void)
{
    return pulse_feel(pulse, on_felt, &felt, &silent);
}

static void turn(struct event_base *base)
{
    ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
}

START_TEST(it_is_felt_once_every_worker_has_answered)
{
    ck_assert(feel());
    for (size_t i = 0; i < WORKERS; i++) {
        turn(home_base);
        ck_assert_int_eq(felt, 0);
        turn(bases[i]);
    }
    turn(home_base);
    ck_assert_int_eq(felt, 1);
}
END_TEST

START_TEST(it_can_be_felt_again_and_again)
{
    for (int round = 1; round <= 3; round++) {
        ck_assert(feel());
        for (size_t i = 0; i < WORKERS; i++)
            turn(bases[i]);
        turn(home_base);
        ck_assert_int_eq(felt, round);
    }
}
END_TEST

START_TEST(a_worker_that_owes_an_answer_is_named_and_not_asked_twice)
{
    ck_assert(feel());
    turn(bases[0]);
    turn(bases[2]);
    turn(home_base);
    for (int again = 0; again < 3; again++) {
        ck_assert(!feel());
        ck_assert_uint_eq(silent, 1);
    }
    turn(bases[1]);
    turn(home_base);
    ck_assert_int_eq(felt, 1);
    ck_assert(feel());
}
END_TEST

START_TEST(a_hushed_pulse_says_nothing)
{
    ck_assert(feel());
    for (size_t i = 0; i < WORKERS; i++)
        turn(bases[i]);
    pulse_hush(pulse);
    turn(home_base);
    ck_assert_int_eq(felt, 0);
}
END_TEST

START_TEST(letters_that_are_under_way_at_the_end_do_no_harm)
{
    ck_assert(feel());
    turn(bases[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/pulse");
    TCase *tcase = suite_case(suite, "answers");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, it_is_felt_once_every_worker_has_answered);
    tcase_add_test(tcase, it_can_be_felt_again_and_again);
    tcase_add_test(tcase, a_worker_that_owes_an_answer_is_named_and_not_asked_twice);
    tcase_add_test(tcase, a_hushed_pulse_says_nothing);
    tcase_add_test(tcase, letters_that_are_under_way_at_the_end_do_no_harm);
    return run_suite(suite);
}
