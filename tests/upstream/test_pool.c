/* A pool's connections and its circuit, against a socket that refuses or listens. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/suite.h"
#include "upstream/pool.h"

enum { CONNECT_TIMEOUT_MS = 300 };

/* Who wants a connection, and what came of it. */
struct customer {
    struct upstream_lease lease;
    bool is_leased, is_refused;
    enum upstream_failure failure;
};

static struct worker *worker;
static struct upstream_target *target;
static struct upstream_pool *pool, *other; /* two workers' pools, on one thread */
static int listener;                       /* bound; refuses until it listens */
static bool has_passed;

static void on_leased(void *owner, struct upstream_connection *connection)
{
    struct customer *customer = owner;

    (void)connection;
    customer->is_leased = true;
}

static void on_refused(void *owner, enum upstream_failure failure, const char *detail)
{
    struct customer *customer = owner;

    ck_assert_ptr_nonnull(detail);
    customer->is_refused = true;
    customer->failure = failure;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static const struct upstream_lease_events events = {on_leased, on_refused, on_nothing,
                                                    on_nothing, on_nothing};

static void set_up(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct config_upstream upstream = {
        .host = "127.0.0.1",
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .response_timeout_ms = 10000,
        .idle_timeout_ms = 10000,
        .max_connections = 1,
    };
    struct config_limits limits = {
        .header_bytes = 32768, .headers = 128, .send_timeout_ms = 10000};
    socklen_t len = sizeof(address);
    struct error error;

    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    upstream.port = ntohs(address.sin_port);
    worker = worker_new(0, &error);
    ck_assert_msg(worker != NULL, "%s", error.text);
    target = upstream_target_new(&upstream, &limits, &error);
    ck_assert_msg(target != NULL, "%s", error.text);
    pool = upstream_pool_new(worker, target);
    other = upstream_pool_new(worker, target);
}

static void tear_down(void)
{
    upstream_pool_close(pool);
    upstream_pool_close(other);
    upstream_target_unref(target);
    worker_free(worker);
    ck_assert_int_eq(close(listener), 0);
}

static void turn(void)
{
    ck_assert_int_eq(event_base_loop(worker->base, EVLOOP_ONCE), 0);
}

static void ask(struct upstream_pool *whom, struct customer *customer)
{
    *customer = (struct customer){.lease = {.events = &events, .owner = customer}};
    upstream_pool_lease(whom, &customer->lease);
}

static void settle(const struct customer *customer)
{
    while (!customer->is_leased && !customer->is_refused)
        turn();
}

static void on_passed(void *owner)
{
    (void)owner;
    has_passed = true;
}

/* Opens the pool's circuit, and lets the time pass after which it admits one attempt. */
static void open_circuit(void)
{
    struct deadline deadline;
    struct customer customer;

    for (int i = 0; i < CIRCUIT_TOLERATES; i++) {
        ask(pool, &customer);
        settle(&customer);
        ck_assert(customer.is_refused);
        ck_assert_int_eq(customer.failure, UPSTREAM_CONNECTION_REFUSED);
    }
    has_passed = false;
    deadline_init(&deadline, worker, on_passed, NULL);
    deadline_set(&deadline, CIRCUIT_OPEN_MS + 10);
    while (!has_passed)
        turn();
    deadline_fini(&deadline);
}

/* Takes the only connection, with the other pool; upstream is there again. */
static void take_the_connection(struct customer *holder)
{
    ck_assert_int_eq(listen(listener, 16), 0);
    ask(other, holder);
    settle(holder);
    ck_assert(holder->is_leased);
}

START_TEST(an_open_circuit_closes_once_upstream_is_back)
{
    struct customer customer;

    open_circuit();
    ck_assert_int_eq(listen(listener, 16), 0);
    ask(pool, &customer);
    settle(&customer);
    ck_assert(customer.is_leased);
    upstream_pool_return(&customer.lease, true);
}
END_TEST

START_TEST(a_probe_that_found_no_connection_free_leaves_its_place_to_the_next)
{
    struct customer holder, probe, next;

    open_circuit();
    take_the_connection(&holder);
    ask(pool, &probe);
    settle(&probe);
    ck_assert(probe.is_refused);
    ck_assert_int_eq(probe.failure, UPSTREAM_NO_CONNECTION_FREE);
    upstream_pool_return(&holder.lease, false);
    ask(pool, &next);
    settle(&next);
    ck_assert_msg(next.is_leased, "the circuit stays open for ever");
    upstream_pool_return(&next.lease, true);
}
END_TEST

START_TEST(a_probe_that_is_given_up_in_the_line_leaves_its_place_to_the_next)
{
    struct customer holder, probe, next;

    open_circuit();
    take_the_connection(&holder);
    ask(pool, &probe);
    upstream_pool_cancel(&probe.lease);
    upstream_pool_return(&holder.lease, false);
    ask(pool, &next);
    settle(&next);
    ck_assert_msg(next.is_leased, "the circuit stays open for ever");
    upstream_pool_return(&next.lease, true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("upstream/pool");
    TCase *circuit = suite_case(suite, "circuit");

    tcase_add_checked_fixture(circuit, set_up, tear_down);
    tcase_add_test(circuit, an_open_circuit_closes_once_upstream_is_back);
    tcase_add_test(circuit,
                   a_probe_that_found_no_connection_free_leaves_its_place_to_the_next);
    tcase_add_test(circuit,
                   a_probe_that_is_given_up_in_the_line_leaves_its_place_to_the_next);
    return run_suite(suite);
}
