/* Records copied to a syslog server: what arrives, what waits, what is dropped. */
#include "audit/syslog.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/text.h"
#include "support/folder.h"

enum { PATIENCE_MS = 20000, RETRY_MS = 20, MOST_RETRY_MS = 80 };

static struct folder folder;

/* A server that the test plays, and the client that is tested. */
static int listener, peer;
static struct sockaddr_in address;
static struct config_syslog server;
static struct audit_syslog *client;

static int listen_at(struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    socklen_t len = sizeof(*at);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)at, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)at, &len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    return fd;
}

static void set_up(void)
{
    folder_make(&folder);
    address = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = listen_at(&address);
    peer = -1;
    server = (struct config_syslog){.url = "tcp://test",
                                    .transport = CONFIG_SYSLOG_TCP,
                                    .host = "127.0.0.1",
                                    .port = ntohs(address.sin_port),
                                    .facility = CONFIG_SYSLOG_AUTH};
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        ck_assert_int_eq(close(*fd), 0);
    *fd = -1;
}

static void tear_down(void)
{
    close_fd(&peer);
    close_fd(&listener);
    folder_remove(&folder);
}

static void start(size_t queue_bytes)
{
    const struct audit_syslog_options options = {.server = &server,
                                                 .queue_bytes = queue_bytes,
                                                 .retry_ms = RETRY_MS,
                                                 .most_retry_ms = MOST_RETRY_MS};
    struct error error;

    client = audit_syslog_new(&options, &error);
    ck_assert_msg(client != NULL, "%s", error.text);
}

static void wait_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};

    ck_assert_int_eq(poll(&wanted, 1, PATIENCE_MS), 1);
}

static void accept_peer(void)
{
    wait_readable(listener);
    peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer, 0);
}

/* One byte, or false at the end. */
static bool read_byte(char *byte)
{
    wait_readable(peer);
    return read(peer, byte, 1) == 1;
}

/* One framed message; good until the next call. */
static const char *read_message(void)
{
    static char message[4096];
    size_t len = 0, got = 0;
    char c;

    while (ck_assert_msg(read_byte(&c), "the client closed"), c != ' ') {
        ck_assert_msg(c >= (got == 0 ? '1' : '0') && c <= '9', "no length but '%c'", c);
        len = len * 10 + (size_t)(c - '0');
        got++;
    }
    ck_assert_uint_lt(len, sizeof(message));
    for (got = 0; got < len; got++)
        ck_assert(read_byte(&message[got]));
    message[len] = '\0';
    return message;
}

/* The record at the end of a message. */
static const char *record_of(const char *message)
{
    const char *record = strstr(message, " - ");

    ck_assert_ptr_nonnull(record);
    return record + 3;
}

static void send_text(const char *text)
{
    audit_syslog_send(client, "intent", span_of(text));
}

/* Until the counter has a value; there is nothing to wait on but itself. */
static void wait_sent(uint64_t sent)
{
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

    while (audit_syslog_count(client).sent != sent) {
        ck_assert_int_lt(clock_monotonic_ms(), until_ms);
        (void)poll(NULL, 0, 1);
    }
}

static void wait_up(bool is_up)
{
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

    while (audit_syslog_count(client).is_up != is_up) {
        ck_assert_int_lt(clock_monotonic_ms(), until_ms);
        (void)poll(NULL, 0, 1);
    }
}

START_TEST(a_message_is_rfc_5424)
{
    char host[256], wanted[512], when[32];
    const char *message;
    int64_t at_ms;

    server.facility = 13;
    start(0);
    audit_syslog_send(client, "result", SPAN("{\"é\":\" - \"}"));
    accept_peer();
    message = read_message();
    ck_assert_int_eq(gethostname(host, sizeof(host)), 0);
    ck_assert_int_eq(strncmp(message, "<109>1 ", 7), 0);
    (void)snprintf(when, sizeof(when), "%.24s", message + 7);
    ck_assert(clock_parse_utc(when, strlen(when), &at_ms));
    ck_assert_int_le(llabs(clock_wall_ms() - at_ms), PATIENCE_MS);
    (void)snprintf(wanted, sizeof(wanted), " %s psgate %ld result - {\"é\":\" - \"}",
                   host, (long)getpid());
    ck_assert_str_eq(message + 7 + 24, wanted);
    wait_sent(1);
    audit_syslog_free(client);
}
END_TEST

START_TEST(messages_come_in_order)
{
    char text[32];

    start(0);
    accept_peer();
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(text, sizeof(text), "record %d", i);
        send_text(text);
    }
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(text, sizeof(text), "record %d", i);
        ck_assert_str_eq(record_of(read_message()), text);
    }
    wait_sent(2000);
    ck_assert_uint_eq(audit_syslog_count(client).dropped, 0);
    audit_syslog_free(client);
}
END_TEST

START_TEST(an_empty_line_is_a_message)
{
    start(0);
    send_text("");
    accept_peer();
    ck_assert_str_eq(record_of(read_message()), "");
    audit_syslog_free(client);
}
END_TEST

START_TEST(what_the_server_says_is_ignored)
{
    start(0);
    accept_peer();
    send_text("one");
    ck_assert_str_eq(record_of(read_message()), "one");
    ck_assert_int_eq(send(peer, "hello\n", 6, MSG_NOSIGNAL), 6);
    send_text("two");
    ck_assert_str_eq(record_of(read_message()), "two");
    audit_syslog_free(client);
}
END_TEST

START_TEST(records_wait_for_a_server_that_is_not_there)
{
    close_fd(&listener);
    start(0);
    wait_up(false);
    send_text("one");
    send_text("two");
    listener = listen_at(&address);
    accept_peer();
    ck_assert_str_eq(record_of(read_message()), "one");
    ck_assert_str_eq(record_of(read_message()), "two");
    wait_up(true);
    ck_assert_uint_eq(audit_syslog_count(client).dropped, 0);
    audit_syslog_free(client);
}
END_TEST

/* Its going is noticed while nothing is sent, so that the next record is not lost. */
START_TEST(a_server_that_goes_is_called_again)
{
    start(0);
    for (int i = 0; i < 5; i++) {
        accept_peer();
        send_text("again");
        ck_assert_str_eq(record_of(read_message()), "again");
        wait_sent((uint64_t)i + 1);
        close_fd(&peer);
        wait_readable(listener);
    }
    audit_syslog_free(client);
}
END_TEST

START_TEST(the_newest_are_dropped_when_too_many_wait)
{
    enum { QUEUE_BYTES = 1000 };
    char text[32];
    uint64_t dropped;

    close_fd(&listener);
    start(QUEUE_BYTES);
    wait_up(false);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(text, sizeof(text), "record %02d", i);
        send_text(text);
    }
    dropped = audit_syslog_count(client).dropped;
    ck_assert_uint_gt(dropped, 80);
    ck_assert_uint_lt(dropped, 95);
    listener = listen_at(&address);
    accept_peer();
    for (uint64_t i = 0; i < 100 - dropped; i++) {
        (void)snprintf(text, sizeof(text), "record %02d", (int)i);
        ck_assert_str_eq(record_of(read_message()), text);
    }
    wait_sent(100 - dropped);
    send_text("and on");
    ck_assert_str_eq(record_of(read_message()), "and on");
    ck_assert_uint_eq(audit_syslog_count(client).dropped, dropped);
    audit_syslog_free(client);
}
END_TEST

START_TEST(a_message_larger_than_the_queue_is_dropped)
{
    static char large[2000];

    start(1000);
    accept_peer();
    audit_syslog_send(client, "intent", span_make(large, sizeof(large)));
    ck_assert_uint_eq(audit_syslog_count(client).dropped, 1);
    audit_syslog_free(client);
}
END_TEST

/* A server that connects and reads nothing: callers go on, and so does the end. */
START_TEST(nobody_waits_for_a_server_that_hangs)
{
    static char line[64 * 1024];
    int64_t begun_ms = clock_monotonic_ms(), end_ms;

    memset(line, 'x', sizeof(line));
    start(0);
    accept_peer();
    for (int i = 0; i < 400; i++)
        audit_syslog_send(client, "intent", span_make(line, sizeof(line)));
    ck_assert_int_lt(clock_monotonic_ms() - begun_ms, 5000);
    ck_assert_uint_gt(audit_syslog_count(client).dropped, 0);
    end_ms = clock_monotonic_ms();
    audit_syslog_free(client);
    ck_assert_int_lt(clock_monotonic_ms() - end_ms, AUDIT_SYSLOG_FLUSH_MS + 2000);
}
END_TEST

START_TEST(the_end_sends_what_waits)
{
    start(0);
    for (int i = 0; i < 100; i++)
        send_text("last");
    audit_syslog_free(client);
    accept_peer();
    for (int i = 0; i < 100; i++)
        ck_assert_str_eq(record_of(read_message()), "last");
    ck_assert(!read_byte(&(char){0}));
}
END_TEST

START_TEST(the_end_is_soon_without_a_server)
{
    int64_t begun_ms = clock_monotonic_ms();

    close_fd(&listener);
    start(0);
    send_text("lost");
    wait_up(false);
    audit_syslog_free(client);
    ck_assert_int_lt(clock_monotonic_ms() - begun_ms, AUDIT_SYSLOG_FLUSH_MS + 2000);
    audit_syslog_free(NULL);
}
END_TEST

static int bind_local(const char *path)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)snprintf(local.sun_path, sizeof(local.sun_path), "%s", path);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&local, sizeof(local)), 0);
    return fd;
}

static void use_local(void)
{
    server = (struct config_syslog){.url = "unix:test",
                                    .transport = CONFIG_SYSLOG_UNIX,
                                    .path = folder_entry(&folder, "log"),
                                    .facility = CONFIG_SYSLOG_AUTH};
}

static void assert_datagram(const char *record)
{
    char datagram[1024] = "", wanted[256];
    ssize_t got;

    wait_readable(peer);
    got = read(peer, datagram, sizeof(datagram) - 1);
    ck_assert_int_gt(got, 0);
    ck_assert_int_eq(strncmp(datagram, "<37>", 4), 0);
    ck_assert_int_eq(datagram[4 + 15], ' ');
    (void)snprintf(wanted, sizeof(wanted), "psgate[%ld]: %s", (long)getpid(), record);
    ck_assert_str_eq(datagram + 4 + 16, wanted);
}

START_TEST(the_local_socket_gets_what_syslog_3_sends)
{
    use_local();
    peer = bind_local(server.path);
    start(0);
    send_text("{\"a\":1}");
    assert_datagram("{\"a\":1}");
    wait_sent(1);
    audit_syslog_free(client);
}
END_TEST

START_TEST(a_local_server_may_come_and_go)
{
    use_local();
    start(0);
    wait_up(false);
    send_text("one");
    for (int i = 0; i < 3; i++) {
        peer = bind_local(server.path);
        assert_datagram("one");
        ck_assert_int_eq(unlink(server.path), 0);
        close_fd(&peer);
        send_text("one");
        wait_up(false);
    }
    audit_syslog_free(client);
}
END_TEST

START_TEST(what_fits_no_datagram_is_dropped)
{
    static char large[2 * 1024 * 1024];

    use_local();
    peer = bind_local(server.path);
    start(0);
    audit_syslog_send(client, "intent", span_make(large, sizeof(large)));
    send_text("after");
    assert_datagram("after");
    ck_assert_uint_eq(audit_syslog_count(client).dropped, 1);
    audit_syslog_free(client);
}
END_TEST

START_TEST(a_ca_file_that_cannot_be_read_is_told)
{
    const struct audit_syslog_options options = {.server = &server};
    struct error error = {""};

    server.transport = CONFIG_SYSLOG_TLS;
    server.ca_file = folder_entry(&folder, "absent.pem");
    ck_assert_ptr_null(audit_syslog_new(&options, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "absent.pem"));
    server.ca_file = folder_write(&folder, "bad.pem", SPAN("no certificate"), 0644);
    ck_assert_ptr_null(audit_syslog_new(&options, &error));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/syslog");
    TCase *messages = suite_case(suite, "messages");
    TCase *failures = suite_case(suite, "failures");
    TCase *ends = suite_case(suite, "ends");
    TCase *local = suite_case(suite, "local");
    TCase *cases[] = {messages, failures, ends, local};

    for (int i = 0; i < ROWS(cases); i++)
        tcase_add_checked_fixture(cases[i], set_up, tear_down);
    tcase_add_test(messages, a_message_is_rfc_5424);
    tcase_add_test(messages, messages_come_in_order);
    tcase_add_test(messages, an_empty_line_is_a_message);
    tcase_add_test(messages, what_the_server_says_is_ignored);
    tcase_add_test(failures, records_wait_for_a_server_that_is_not_there);
    tcase_add_test(failures, a_server_that_goes_is_called_again);
    tcase_add_test(failures, the_newest_are_dropped_when_too_many_wait);
    tcase_add_test(failures, a_message_larger_than_the_queue_is_dropped);
    tcase_add_test(failures, nobody_waits_for_a_server_that_hangs);
    tcase_add_test(failures, a_ca_file_that_cannot_be_read_is_told);
    tcase_add_test(ends, the_end_sends_what_waits);
    tcase_add_test(ends, the_end_is_soon_without_a_server);
    tcase_add_test(local, the_local_socket_gets_what_syslog_3_sends);
    tcase_add_test(local, a_local_server_may_come_and_go);
    tcase_add_test(local, what_fits_no_datagram_is_dropped);
    return run_suite_in_folder(suite);
}
