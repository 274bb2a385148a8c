/* The circuit's rules; time is a number that the tests choose. */
#include "support/suite.h"
#include "upstream/circuit.h"
#include "upstream/failure.h"

enum { NOW_MS = 50000 };

/* A circuit that has just opened at that time. */
static struct circuit opened_at(int64_t now_ms)
{
    struct circuit circuit = {0};

    for (int i = 0; i < CIRCUIT_TOLERATES; i++) {
        ck_assert(circuit_admits(&circuit, now_ms));
        circuit_note_failure(&circuit, now_ms);
    }
    return circuit;
}

START_TEST(a_new_circuit_admits_everything)
{
    struct circuit circuit = {0};

    for (int64_t now_ms = 0; now_ms < 100; now_ms++)
        ck_assert(circuit_admits(&circuit, now_ms));
}
END_TEST

START_TEST(it_opens_after_as_many_failures_in_a_row_as_it_tolerates)
{
    struct circuit circuit = {0};

    for (int i = 0; i < CIRCUIT_TOLERATES - 1; i++) {
        circuit_note_failure(&circuit, NOW_MS);
        ck_assert(circuit_admits(&circuit, NOW_MS));
    }
    circuit_note_failure(&circuit, NOW_MS);
    ck_assert(!circuit_admits(&circuit, NOW_MS));
}
END_TEST

START_TEST(a_success_between_failures_starts_the_count_again)
{
    struct circuit circuit = {0};

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CIRCUIT_TOLERATES - 1; i++)
            circuit_note_failure(&circuit, NOW_MS);
        ck_assert(circuit_admits(&circuit, NOW_MS));
        circuit_note_success(&circuit);
    }
}
END_TEST

START_TEST(what_was_given_up_is_neither_failure_nor_success)
{
    struct circuit circuit = {0};

    for (int i = 0; i < CIRCUIT_TOLERATES - 1; i++) {
        circuit_note_failure(&circuit, NOW_MS);
        circuit_note_abandoned(&circuit);
    }
    ck_assert(circuit_admits(&circuit, NOW_MS));
    circuit_note_failure(&circuit, NOW_MS);
    ck_assert(!circuit_admits(&circuit, NOW_MS));
}
END_TEST

START_TEST(an_open_circuit_admits_nothing_until_its_time_is_over)
{
    struct circuit circuit = opened_at(NOW_MS);

    ck_assert(!circuit_admits(&circuit, NOW_MS));
    ck_assert(!circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS - 1));
    ck_assert(circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS));
}
END_TEST

START_TEST(only_one_attempt_probes_at_a_time)
{
    struct circuit circuit = opened_at(NOW_MS);

    ck_assert(circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS));
    for (int i = 0; i < 10; i++)
        ck_assert(!circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS + i * 1000));
}
END_TEST

START_TEST(a_probe_that_succeeds_closes_it)
{
    struct circuit circuit = opened_at(NOW_MS);

    ck_assert(circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS));
    circuit_note_success(&circuit);
    for (int i = 0; i < 10; i++)
        ck_assert(circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS));
    for (int i = 0; i < CIRCUIT_TOLERATES - 1; i++)
        circuit_note_failure(&circuit, NOW_MS);
    ck_assert(circuit_admits(&circuit, NOW_MS)); /* it tolerates as many as before */
}
END_TEST

START_TEST(a_probe_that_fails_opens_it_for_as_long_again)
{
    struct circuit circuit = opened_at(NOW_MS);
    int64_t now_ms = NOW_MS;

    for (int i = 0; i < 5; i++) {
        now_ms += CIRCUIT_OPEN_MS + i;
        ck_assert(circuit_admits(&circuit, now_ms));
        circuit_note_failure(&circuit, now_ms);
        ck_assert(!circuit_admits(&circuit, now_ms + CIRCUIT_OPEN_MS - 1));
    }
    ck_assert(circuit_admits(&circuit, now_ms + CIRCUIT_OPEN_MS));
}
END_TEST

START_TEST(a_probe_that_was_given_up_leaves_its_place_to_the_next)
{
    struct circuit circuit = opened_at(NOW_MS);

    ck_assert(circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS));
    circuit_note_abandoned(&circuit);
    ck_assert(circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS));
    ck_assert(!circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS));
}
END_TEST

START_TEST(attempts_that_were_under_way_when_it_opened_may_still_fail_or_succeed)
{
    struct circuit circuit = opened_at(NOW_MS);

    circuit_note_failure(&circuit, NOW_MS + 10);
    ck_assert(!circuit_admits(&circuit, NOW_MS + CIRCUIT_OPEN_MS - 1));
    circuit_note_success(&circuit);
    ck_assert(circuit_admits(&circuit, NOW_MS + 11));
}
END_TEST

/* DESIGN: connect, TLS and name failures, and nothing else. */
static const bool is_reach[UPSTREAM_FAILURES] = {
    [UPSTREAM_NAME_NOT_RESOLVED] = true, [UPSTREAM_CONNECTION_REFUSED] = true,
    [UPSTREAM_CONNECTION_FAILED] = true, [UPSTREAM_CONNECT_TIMEOUT] = true,
    [UPSTREAM_TLS_CERTIFICATE] = true,   [UPSTREAM_TLS_ALERT] = true,
    [UPSTREAM_TLS_PROTOCOL] = true,
};

START_TEST(only_a_failure_to_reach_the_host_counts)
{
    ck_assert(upstream_failure_is_reach((enum upstream_failure)_i) == is_reach[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("upstream/circuit");
    TCase *closed = suite_case(suite, "closed");
    TCase *open = suite_case(suite, "open");
    TCase *failures = suite_case(suite, "failures");

    tcase_add_test(closed, a_new_circuit_admits_everything);
    tcase_add_test(closed, it_opens_after_as_many_failures_in_a_row_as_it_tolerates);
    tcase_add_test(closed, a_success_between_failures_starts_the_count_again);
    tcase_add_test(closed, what_was_given_up_is_neither_failure_nor_success);
    tcase_add_test(open, an_open_circuit_admits_nothing_until_its_time_is_over);
    tcase_add_test(open, only_one_attempt_probes_at_a_time);
    tcase_add_test(open, a_probe_that_succeeds_closes_it);
    tcase_add_test(open, a_probe_that_fails_opens_it_for_as_long_again);
    tcase_add_test(open, a_probe_that_was_given_up_leaves_its_place_to_the_next);
    tcase_add_test(open,
                   attempts_that_were_under_way_when_it_opened_may_still_fail_or_succeed);
    tcase_add_loop_test(failures, only_a_failure_to_reach_the_host_counts, 0,
                        UPSTREAM_FAILURES);
    return run_suite(suite);
}
