/* Streams for which memory is out: their owners hear of it from the loop, and only once.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/stream.h"
#include "support/suite.h"

static bool memory_is_out;

int __real_event_add(struct event *event, const struct timeval *delay);
int __wrap_event_add(struct event *event, const struct timeval *delay);
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);

int __wrap_event_add(struct event *event, const struct timeval *delay)
{
    return memory_is_out ? -1 : __real_event_add(event, delay);
}

void *__wrap_malloc(size_t bytes)
{
    return memory_is_out ? NULL : __real_malloc(bytes);
}

struct fixture {
    struct worker worker; /* only its base is used */
    struct stream stream;
    int peer, failed, readable;
};

static struct fixture fixture;

static void on_readable(void *owner)
{
    struct fixture *own = owner;
    char bytes[16];
    size_t got;

    own->readable++;
    ck_assert_int_eq(stream_read(&own->stream, bytes, sizeof(bytes), &got), STREAM_OK);
    stream_want_read(&own->stream, false);
}

static void on_drained(void *owner)
{
    (void)owner;
}

static void on_failed(void *owner)
{
    struct fixture *own = owner;

    own->failed++;
}

static const struct stream_events events = {NULL, on_readable, on_drained, on_failed};

static void set_up(void)
{
    int ends[2];

    fixture = (struct fixture){.worker = {.base = event_base_new()}};
    ck_assert_ptr_nonnull(fixture.worker.base);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    fixture.peer = ends[1];
    ck_assert(stream_init_accepted(&fixture.stream, &fixture.worker, ends[0], NULL,
                                   &events, &fixture));
}

static void tear_down(void)
{
    stream_close(&fixture.stream);
    (void)close(fixture.peer);
    event_base_free(fixture.worker.base);
}

static void turn(void)
{
    (void)event_base_loop(fixture.worker.base, EVLOOP_NONBLOCK);
}

static void assert_failed_once(void)
{
    ck_assert_int_eq(fixture.failed, 0); /* not from within the call */
    turn();
    turn();
    ck_assert_int_eq(fixture.failed, 1);
    ck_assert_int_eq(fixture.stream.fault, STREAM_NO_MEMORY);
}

START_TEST(a_stream_that_cannot_wait_for_bytes_fails)
{
    memory_is_out = true;
    stream_want_read(&fixture.stream, true);
    memory_is_out = false;
    assert_failed_once();
}
END_TEST

/* More than the socket takes, so that some of it must wait. */
static bool write_much(void)
{
    static char bytes[1 << 20];
    const struct iovec vector = {bytes, sizeof(bytes)};

    return stream_write(&fixture.stream, &vector, 1);
}

START_TEST(a_write_without_memory_for_what_must_wait_fails)
{
    bool is_written;

    memory_is_out = true;
    is_written = write_much();
    memory_is_out = false;
    ck_assert(!is_written);
    assert_failed_once();
}
END_TEST

START_TEST(a_closed_stream_tells_no_more)
{
    bool is_written;

    memory_is_out = true;
    is_written = write_much();
    memory_is_out = false;
    ck_assert(!is_written);
    stream_close(&fixture.stream);
    turn();
    ck_assert_int_eq(fixture.failed, 0);
}
END_TEST

START_TEST(a_stream_with_memory_reads_and_writes)
{
    stream_want_read(&fixture.stream, true);
    ck_assert(write_much());
    ck_assert_int_eq(write(fixture.peer, "x", 1), 1);
    turn();
    ck_assert_int_eq(fixture.readable, 1);
    ck_assert_int_eq(fixture.failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net/stream");
    TCase *memory = suite_case(suite, "memory");

    tcase_add_checked_fixture(memory, set_up, tear_down);
    tcase_add_test(memory, a_stream_that_cannot_wait_for_bytes_fails);
    tcase_add_test(memory, a_write_without_memory_for_what_must_wait_fails);
    tcase_add_test(memory, a_closed_stream_tells_no_more);
    tcase_add_test(memory, a_stream_with_memory_reads_and_writes);
    return run_suite(suite);
}
