/* The setting audit.syslog: a URL or an object, and what is wrong with either. */
#include "config/syslog.h"

#include "support/lines.h"

static struct arena arena;

static void make(void)
{
    arena = (struct arena){0};
}

static void end(void)
{
    arena_fini(&arena);
}

/* Reads the value as a whole document; its problems are compared. */
static void read_value(const char *text, struct config_syslog *syslog,
                       const char *problems_wanted)
{
    const struct place root = {0};
    struct problems problems = {0};
    struct text whole = {0};
    struct document document;
    struct place place = {.parent = &root, .key = "syslog"};

    text_add_format(&whole, "{\"syslog\":%s}", text);
    ck_assert(document_parse(&document, "/etc/a.json", span_make(whole.bytes, whole.len),
                             &arena, &problems));
    config_read_syslog(&document, &place, json_object_get(document.root, "syslog"),
                       syslog);
    document_fini(&document);
    text_fini(&whole);
    ck_assert_msg(problems.count > 0 || problems_wanted[0] == '\0', "%s is accepted",
                  text);
    assert_problems(&problems, "/etc/a.json", problems_wanted);
    problems_fini(&problems);
}

enum { TCP = CONFIG_SYSLOG_TCP, TLS = CONFIG_SYSLOG_TLS };

static const struct {
    const char *text;
    int transport;
    const char *host;
    uint16_t port;
    const char *ca_file;
    int facility;
} network[] = {
    {"\"tcp://logs.example:514\"", TCP, "logs.example", 514, NULL, 4},
    {"\"tcp://logs.example\"", TCP, "logs.example", 514, NULL, 4},
    {"\"tcp://127.0.0.1:65535\"", TCP, "127.0.0.1", 65535, NULL, 4},
    {"\"tcp://[::1]:1\"", TCP, "::1", 1, NULL, 4},
    {"\"tls://logs.example\"", TLS, "logs.example", 6514, NULL, 4},
    {"\"tls://[2001:db8::1]\"", TLS, "2001:db8::1", 6514, NULL, 4},
    {"{\"url\":\"tls://a:1\"}", TLS, "a", 1, NULL, 4},
    {"{\"url\":\"tls://a\",\"ca_file\":null}", TLS, "a", 6514, NULL, 4},
    {"{\"ca_file\":\"/ca.pem\",\"url\":\"tls://a\"}", TLS, "a", 6514, "/ca.pem", 4},
    {"{\"url\":\"tls://a\",\"ca_file\":\"ca.pem\"}", TLS, "a", 6514, "/etc/ca.pem", 4},
    {"{\"url\":\"tcp://a\",\"facility\":\"kern\"}", TCP, "a", 514, NULL, 0},
    {"{\"url\":\"tcp://a\",\"facility\":\"auth\"}", TCP, "a", 514, NULL, 4},
    {"{\"url\":\"tcp://a\",\"facility\":\"authpriv\"}", TCP, "a", 514, NULL, 10},
    {"{\"url\":\"tcp://a\",\"facility\":\"audit\"}", TCP, "a", 514, NULL, 13},
    {"{\"url\":\"tcp://a\",\"facility\":\"local0\"}", TCP, "a", 514, NULL, 16},
    {"{\"url\":\"tcp://a\",\"facility\":\"local7\"}", TCP, "a", 514, NULL, 23},
};

START_TEST(a_server_is_read)
{
    struct config_syslog syslog;

    read_value(network[_i].text, &syslog, "");
    ck_assert_ptr_nonnull(syslog.url);
    ck_assert_ptr_nonnull(strstr(network[_i].text, syslog.url));
    ck_assert_int_eq(syslog.transport, network[_i].transport);
    ck_assert_str_eq(syslog.host, network[_i].host);
    ck_assert_uint_eq(syslog.port, network[_i].port);
    ck_assert_pstr_eq(syslog.ca_file, network[_i].ca_file);
    ck_assert_int_eq(syslog.facility, network[_i].facility);
    ck_assert_ptr_null(syslog.path);
}
END_TEST

START_TEST(a_local_socket_is_read)
{
    struct config_syslog syslog;

    read_value("\"unix:/dev/log\"", &syslog, "");
    ck_assert_int_eq(syslog.transport, CONFIG_SYSLOG_UNIX);
    ck_assert_str_eq(syslog.path, "/dev/log");
    ck_assert_ptr_null(syslog.host);
    read_value("{\"url\":\"unix:/run/l\",\"facility\":\"local1\"}", &syslog, "");
    ck_assert_str_eq(syslog.path, "/run/l");
    ck_assert_int_eq(syslog.facility, 17);
}
END_TEST

START_TEST(null_is_none)
{
    struct config_syslog syslog;

    read_value("null", &syslog, "");
    ck_assert_ptr_null(syslog.url);
}
END_TEST

static const struct {
    const char *text, *problems;
} bad[] = {
    {"\"\"", "1:2: syslog:"},
    {"\"logs.example:514\"", "1:2: syslog:~tcp://"},
    {"\"udp://logs.example:514\"", "1:2: syslog:~tls://"},
    {"\"TCP://logs.example:514\"", "1:2: syslog:"},
    {"\"tcp://\"", "1:2: syslog:"},
    {"\"tcp://:514\"", "1:2: syslog:"},
    {"\"tcp://a:0\"", "1:2: syslog:"},
    {"\"tcp://a:65536\"", "1:2: syslog:"},
    {"\"tcp://a:\"", "1:2: syslog:"},
    {"\"tcp://a:514/\"", "1:2: syslog:"},
    {"\"tcp://user@a:514\"", "1:2: syslog:"},
    {"\"tcp://::1:514\"", "1:2: syslog:"},
    {"\"tcp://[127.0.0.1]:514\"", "1:2: syslog:"},
    {"\"tcp://a b:514\"", "1:2: syslog:"},
    {"\"unix:\"", "1:2: syslog:~unix:"},
    {"\"unix:/\"", "1:2: syslog:~unix:"},
    {"\"unix:dev/log\"", "1:2: syslog:"},
    {"\"unix:/234567890123456789012345678901234567890123456789012345678901234567890123456"
     "7890123456789012345678901234567\"",
     ""},
    {"\"unix:/234567890123456789012345678901234567890123456789012345678901234567890123456"
     "78901234567890123456789012345678\"",
     "1:2: syslog:~107"},
    {"\"unix://dev/log\"", ""},
    {"514", "1:2: syslog:~\"url\""},
    {"[]", "1:2: syslog:"},
    {"{}", "1:2: syslog.url:~required"},
    {"{\"url\":null}", "1:12: syslog.url:~required"},
    {"{\"url\":1}", "1:12: syslog.url:"},
    {"{\"url\":\"x\"}", "1:12: syslog.url:"},
    {"{\"url\":\"tcp://a\",\"facility\":4}", "1:28: syslog.facility:"},
    {"{\"url\":\"tcp://a\",\"facility\":\"local8\"}", "1:28: syslog.facility:"},
    {"{\"url\":\"tcp://a\",\"cafile\":\"x\"}", "1:28: syslog.cafile:~\"ca_file\""},
    {"{\"url\":\"tcp://a\",\"ca_file\":\"/x\"}", "1:28: syslog.ca_file:~tls"},
    {"{\"url\":\"unix:/l\",\"ca_file\":\"/x\"}", "1:28: syslog.ca_file:~tls"},
};

START_TEST(what_is_wrong_is_told)
{
    struct config_syslog syslog;

    read_value(bad[_i].text, &syslog, bad[_i].problems);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config/syslog");
    TCase *values = suite_case(suite, "values");

    tcase_add_checked_fixture(values, make, end);
    tcase_add_loop_test(values, a_server_is_read, 0, ROWS(network));
    tcase_add_test(values, a_local_socket_is_read);
    tcase_add_test(values, null_is_none);
    tcase_add_loop_test(values, what_is_wrong_is_told, 0, ROWS(bad));
    return run_suite(suite);
}
