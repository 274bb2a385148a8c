/* A link to a server on a unix socket that the test plays itself. */
#include "cluster/link.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "support/suite.h"

enum { PATIENCE_MS = 60000, SHORT_MS = 50, LONGER_MS = 3000, GIVE_UP_MS = 50000 };

static char folder[64], path[96];
static int listener, peer;
static struct worker *worker;
static struct config_cluster config;
static struct link_target target;
static struct link *link_to;
static int ups, downs, pushes, answers;
static char why_down[256], last[256];

static void on_up(void *owner)
{
    (void)owner;
    ups++;
}

static void on_down(void *owner, const char *why)
{
    (void)owner;
    downs++;
    (void)snprintf(why_down, sizeof(why_down), "%s", why);
}

static void on_push(void *owner, const redisReply *reply)
{
    (void)owner;
    pushes++;
    (void)snprintf(last, sizeof(last), "%s", reply->element[reply->elements - 1]->str);
}

static void on_answer(void *owner, const redisReply *reply, const char *why)
{
    (void)owner;
    answers++;
    (void)snprintf(last, sizeof(last), "%s%s",
                   reply != NULL ? "" : "no: ", reply != NULL ? reply->str : why);
}

static const struct link_events events = {on_up, on_down, on_push};
static const struct link_events unasked_events = {on_up, on_down, NULL};

/* Lets the link go on until the count has come. */
static void await(const int *count, int wanted)
{
    int64_t end_ms = clock_monotonic_ms() + GIVE_UP_MS;
    struct timeval soon = {.tv_usec = 1000};

    while (*count < wanted && clock_monotonic_ms() < end_ms) {
        (void)event_base_loopexit(worker->base, &soon);
        (void)event_base_loop(worker->base, EVLOOP_ONCE);
    }
    ck_assert_int_eq(*count, wanted);
}

static void start(int64_t patience_ms, const struct link_events *told)
{
    link_to = link_new(worker, &target, patience_ms, told, NULL);
    ck_assert_ptr_nonnull(link_to);
    link_start(link_to);
}

static bool is_readable(int fd)
{
    struct timeval none = {0};
    fd_set set;

    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &none) > 0;
}

static void await_bytes(int fd)
{
    int64_t end_ms = clock_monotonic_ms() + GIVE_UP_MS;
    struct timeval soon = {.tv_usec = 1000};

    while (!is_readable(fd) && clock_monotonic_ms() < end_ms) {
        (void)event_base_loopexit(worker->base, &soon);
        (void)event_base_loop(worker->base, EVLOOP_ONCE);
    }
    ck_assert(is_readable(fd));
}

static void accept_it(void)
{
    if (peer >= 0)
        (void)close(peer);
    await_bytes(listener);
    peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer, 0);
}

/* Reads exactly that. */
static void hear(const char *wanted)
{
    char text[256] = "";
    size_t len = 0;

    while (len < strlen(wanted)) {
        ssize_t got;

        await_bytes(peer);
        got = read(peer, text + len, strlen(wanted) - len);
        ck_assert_int_gt(got, 0);
        len += (size_t)got;
    }
    ck_assert_str_eq(text, wanted);
}

static void say(const char *text)
{
    ck_assert_int_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
}

static void come_up(void)
{
    accept_it();
    hear("*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
    say("+OK\r\n");
    await(&ups, 1);
}

static bool ask(void)
{
    const struct span words[] = {SPAN("GET"), SPAN("a")};

    return link_send(link_to, words, 2, on_answer, NULL);
}

static void setup(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct error error;

    (void)snprintf(folder, sizeof(folder), "/tmp/test_link.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/redis", folder);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    worker = worker_new(0, &error);
    ck_assert_ptr_nonnull(worker);
    config = (struct config_cluster){.path = path, .database = 3};
    target = (struct link_target){.config = &config};
    peer = -1;
    ups = downs = pushes = answers = 0;
}

static void teardown(void)
{
    link_free(link_to);
    worker_free(worker);
    (void)close(listener);
    if (peer >= 0)
        (void)close(peer);
    (void)unlink(path);
    (void)rmdir(folder);
}

START_TEST(it_is_up_once_the_database_is_chosen_and_not_before)
{
    start(PATIENCE_MS, &events);
    accept_it();
    hear("*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
    ck_assert(!link_is_up(link_to) && !ask());
    say("+OK\r\n");
    await(&ups, 1);
    ck_assert(link_is_up(link_to));
}
END_TEST

START_TEST(answers_come_in_the_order_of_the_commands)
{
    start(PATIENCE_MS, &events);
    come_up();
    ck_assert(ask() && ask());
    hear("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    say("$5\r\nfirst\r\n$6\r\nsec");
    await(&answers, 1);
    ck_assert_str_eq(last, "first");
    say("ond\r\n");
    await(&answers, 2);
    ck_assert_str_eq(last, "second");
}
END_TEST

START_TEST(an_error_is_an_answer_that_leaves_the_link_up)
{
    start(PATIENCE_MS, &events);
    come_up();
    ck_assert(ask());
    say("-OOM command not allowed\r\n");
    await(&answers, 1);
    ck_assert_str_eq(last, "no: OOM command not allowed");
    ck_assert(link_is_up(link_to) && downs == 0);
}
END_TEST

START_TEST(the_end_of_the_connection_answers_all_that_wait_and_it_is_made_again)
{
    start(PATIENCE_MS, &events);
    come_up();
    ck_assert(ask() && ask());
    (void)shutdown(peer, SHUT_WR);
    await(&answers, 2);
    await(&downs, 1);
    ck_assert_str_eq(last, "no: it closed the connection");
    ups = 0;
    come_up();
    ck_assert(ask());
}
END_TEST

START_TEST(a_connection_that_is_not_made_ends_when_patience_does)
{
    start(SHORT_MS, &events);
    accept_it();
    await(&downs, 1);
    ck_assert_str_eq(why_down, "the connection is not made in time");
}
END_TEST

START_TEST(a_command_that_is_not_answered_ends_the_connection_when_patience_does)
{
    start(LONGER_MS, &events);
    come_up();
    ck_assert(ask());
    await(&answers, 1);
    ck_assert_str_eq(last, "no: it does not answer in time");
    ck_assert_int_eq(downs, 1);
}
END_TEST

START_TEST(an_answer_to_nothing_ends_the_connection)
{
    start(PATIENCE_MS, &events);
    come_up();
    say("+OK\r\n");
    await(&downs, 1);
    ck_assert_str_eq(why_down, "it answers what nobody asked");
}
END_TEST

#define MESSAGE "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"

START_TEST(publications_are_told_between_answers)
{
    start(PATIENCE_MS, &events);
    come_up();
    ck_assert(ask());
    say(MESSAGE "$1\r\na\r\n" MESSAGE);
    await(&pushes, 2);
    ck_assert_int_eq(answers, 1);
}
END_TEST

START_TEST(publications_that_nobody_wants_end_the_connection)
{
    start(PATIENCE_MS, &unasked_events);
    come_up();
    say(MESSAGE);
    await(&downs, 1);
    ck_assert_int_eq(pushes, 0);
}
END_TEST

START_TEST(a_refused_database_is_told_with_redis_own_words)
{
    start(PATIENCE_MS, &events);
    accept_it();
    say("-ERR DB index is out of range\r\n");
    await(&downs, 1);
    ck_assert_str_eq(why_down, "it refuses us: ERR DB index is out of range");
    ck_assert_int_eq(ups, 0);
}
END_TEST

START_TEST(freeing_it_answers_what_waits)
{
    start(PATIENCE_MS, &events);
    come_up();
    ck_assert(ask());
    link_free(link_to);
    link_to = NULL;
    ck_assert_int_eq(answers, 1);
    ck_assert_str_eq(last, "no: the gateway stops");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cluster/link");
    TCase *rules = suite_case(suite, "rules");

    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_add_test(rules, it_is_up_once_the_database_is_chosen_and_not_before);
    tcase_add_test(rules, answers_come_in_the_order_of_the_commands);
    tcase_add_test(rules, an_error_is_an_answer_that_leaves_the_link_up);
    tcase_add_test(rules,
                   the_end_of_the_connection_answers_all_that_wait_and_it_is_made_again);
    tcase_add_test(rules, a_connection_that_is_not_made_ends_when_patience_does);
    tcase_add_test(rules,
                   a_command_that_is_not_answered_ends_the_connection_when_patience_does);
    tcase_add_test(rules, an_answer_to_nothing_ends_the_connection);
    tcase_add_test(rules, publications_are_told_between_answers);
    tcase_add_test(rules, publications_that_nobody_wants_end_the_connection);
    tcase_add_test(rules, a_refused_database_is_told_with_redis_own_words);
    tcase_add_test(rules, freeing_it_answers_what_waits);
    return run_suite(suite);
}
