/* Answers that are held back, clients that leave meanwhile, and many clients at once. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "base/clock.h"
#include "running.h"

#define FIELDS "Host: sandbox\r\nAuthorization: Bearer " KEY "\r\n"
#define GET_SECRETS "GET " TEAM "/secrets HTTP/1.1\r\n" FIELDS "\r\n"
#define POST_SECRET "POST " TEAM "/secrets HTTP/1.1\r\n" FIELDS
#define DELAY_MS ((int64_t)200)
#define HOUR_MS ((int64_t)3600 * 1000)

static void set_up(void)
{
    running_start((struct sandbox_options){0});
}

static void set_up_slow(void)
{
    running_start((struct sandbox_options){.delay_ms = DELAY_MS});
}

/* Delay. */

START_TEST(answer_is_held_back)
{
    int64_t before_ms = clock_monotonic_ms();

    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    ck_assert_int_ge(clock_monotonic_ms() - before_ms, DELAY_MS);
}
END_TEST

START_TEST(answers_are_held_back_side_by_side)
{
    struct http_client others[20];
    int64_t before_ms = clock_monotonic_ms();

    for (int i = 0; i < 20; i++) {
        http_client_open(&others[i], sandbox_port(running.sandbox));
        http_client_send_text(&others[i], GET_SECRETS);
    }
    for (int i = 0; i < 20; i++) {
        http_client_take(&others[i], &running.answer);
        ck_assert_uint_eq(running.answer.status, 200);
        http_client_close(&others[i]);
    }
    ck_assert_int_ge(clock_monotonic_ms() - before_ms, DELAY_MS);
    ck_assert_int_lt(clock_monotonic_ms() - before_ms, 20 * DELAY_MS);
}
END_TEST

START_TEST(pipelined_answers_are_held_back_each)
{
    int64_t before_ms = clock_monotonic_ms();

    http_client_send_text(&running.client, GET_SECRETS GET_SECRETS);
    ck_assert_uint_eq(take(), 200);
    ck_assert_uint_eq(take(), 200);
    ck_assert_int_ge(clock_monotonic_ms() - before_ms, 2 * DELAY_MS);
}
END_TEST

START_TEST(client_may_leave_while_its_answer_is_held)
{
    struct http_client gone[10];

    for (int i = 0; i < 10; i++) {
        http_client_open(&gone[i], sandbox_port(running.sandbox));
        http_client_send_text(&gone[i], GET_SECRETS GET_SECRETS);
    }
    assert_still_serves(); /* by then the requests above are held, or answered */
    for (int i = 0; i < 10; i++) {
        http_client_send_text(&gone[i], GET_SECRETS);
        if (i % 2 == 0)
            http_client_close(&gone[i]);
        else
            http_client_reset(&gone[i]);
    }
    assert_still_serves();
    assert_still_serves(); /* every answer to them was due before this one */
}
END_TEST

START_TEST(half_closed_client_gets_its_held_answer)
{
    http_client_send_text(&running.client, GET_SECRETS);
    ck_assert_int_eq(shutdown(running.client.fd, SHUT_WR), 0);
    ck_assert_uint_eq(take(), 200);
    ck_assert(http_client_ends(&running.client));
}
END_TEST

START_TEST(change_is_made_though_the_client_left)
{
    struct http_client gone;

    http_client_open(&gone, sandbox_port(running.sandbox));
    http_client_send_text(&gone, POST_SECRET "Content-Length: 24\r\n\r\n"
                                             "{\"name\":\"D\",\"value\":\"v\"}");
    http_client_close(&gone);
    while (ask("GET", TEAM "/secrets/D", NULL) == 404)
        ; /* each takes DELAY_MS; the case's timeout ends it */
    ck_assert_uint_eq(running.answer.status, 200);
}
END_TEST

START_TEST(stop_does_not_wait_for_held_answers)
{
    struct sandbox_options options = {.host = "127.0.0.1", .delay_ms = HOUR_MS};
    int64_t before_ms = clock_monotonic_ms();
    struct http_client waiting[3];
    struct error error;
    struct sandbox *slow = sandbox_start(&options, &error);

    ck_assert_msg(slow != NULL, "%s", error.text);
    for (int i = 0; i < 3; i++) {
        http_client_open(&waiting[i], sandbox_port(slow));
        http_client_send_text(&waiting[i], GET_SECRETS);
    }
    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL),
                      200); /* lets some of them be held */
    sandbox_stop(slow);
    for (int i = 0; i < 3; i++) {
        ck_assert(http_client_ends(&waiting[i]));
        http_client_close(&waiting[i]);
    }
    ck_assert_int_lt(clock_monotonic_ms() - before_ms, HOUR_MS);
}
END_TEST

/* Load. */

struct load {
    pthread_t thread;
    int number;
    int wrong; /* answers; asserting is for the main thread */
};

static bool is_answered(struct http_client *own, struct http_answer *got,
                        const char *method, const char *path, const char *body,
                        unsigned status)
{
    return http_client_ask(own, method, path, KEY, body, got) == status;
}

static void *create_and_delete(void *arg)
{
    struct load *load = arg;
    struct http_client own;
    struct http_answer got = {0};
    char path[64], body[64];

    (void)snprintf(path, sizeof(path), TEAM "/secrets/N%d", load->number);
    (void)snprintf(body, sizeof(body), "{\"name\":\"N%d\",\"value\":\"v\"}",
                   load->number);
    http_client_open(&own, sandbox_port(running.sandbox));
    for (int i = 0; i < 50; i++) {
        load->wrong += !is_answered(&own, &got, "POST", TEAM "/secrets", body, 201);
        load->wrong += !is_answered(&own, &got, "GET", path, NULL, 200);
        load->wrong += !is_answered(&own, &got, "PATCH", path, "{\"value\":\"w\"}", 200);
        load->wrong += !is_answered(&own, &got, "DELETE", path, NULL, 204);
        load->wrong += !is_answered(&own, &got, "HEAD", path, NULL, 404);
    }
    http_client_close(&own);
    http_answer_fini(&got);
    return NULL;
}

START_TEST(concurrent_clients_do_not_disturb_each_other)
{
    struct load loads[16];

    for (int i = 0; i < 16; i++) {
        loads[i] = (struct load){.number = i};
        ck_assert_int_eq(
            pthread_create(&loads[i].thread, NULL, create_and_delete, &loads[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        ck_assert_int_eq(pthread_join(loads[i].thread, NULL), 0);
        ck_assert_int_eq(loads[i].wrong, 0);
    }
}
END_TEST

static int64_t process_cpu_ms(void)
{
    struct timespec used;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* Opens descriptors up to the limit, which is lowered for that; returns how many. */
static int use_up_descriptors(int *taken, int max)
{
    int count = 0;

    while (count < max && (taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    return count;
}

/* valgrind accepts a connection before it says that there is no descriptor for it. */
static bool runs_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

START_TEST(without_descriptors_accepting_pauses_and_resumes)
{
    struct http_client other;
    struct rlimit before, low;
    struct pollfd ready;
    int taken[256], count;
    int64_t cpu_ms;

    if (runs_under_valgrind())
        return;
    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){256, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    count = use_up_descriptors(taken, 256);
    ck_assert_int_gt(count, 0);
    (void)close(taken[--count]);
    http_client_open(&other, sandbox_port(running.sandbox)); /* takes the last one */
    http_client_send_text(&other, GET_SECRETS);
    ready = (struct pollfd){other.fd, POLLIN, 0};
    cpu_ms = process_cpu_ms();
    ck_assert_int_eq(poll(&ready, 1, 400), 0);        /* nothing comes, */
    ck_assert_int_lt(process_cpu_ms() - cpu_ms, 200); /* and nothing spins */
    ck_assert_uint_eq(ask("GET", TEAM "/users", NULL), 200);
    while (count > 0)
        (void)close(taken[--count]);
    http_client_take(&other, &running.answer);
    ck_assert_uint_eq(running.answer.status, 200);
    http_client_close(&other);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

static TCase *case_with(const char *name, SFun fixture)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, fixture, running_stop);
    return tcase;
}

static TCase *delay_case(void)
{
    TCase *tcase = case_with("delay", set_up_slow);

    tcase_add_test(tcase, answer_is_held_back);
    tcase_add_test(tcase, answers_are_held_back_side_by_side);
    tcase_add_test(tcase, pipelined_answers_are_held_back_each);
    tcase_add_test(tcase, client_may_leave_while_its_answer_is_held);
    tcase_add_test(tcase, half_closed_client_gets_its_held_answer);
    tcase_add_test(tcase, change_is_made_though_the_client_left);
    tcase_add_test(tcase, stop_does_not_wait_for_held_answers);
    return tcase;
}

static TCase *load_case(void)
{
    TCase *tcase = case_with("load", set_up);

    tcase_add_test(tcase, concurrent_clients_do_not_disturb_each_other);
    tcase_add_test(tcase, without_descriptors_accepting_pauses_and_resumes);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("sandbox load");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, delay_case());
    suite_add_tcase(suite, load_case());
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
