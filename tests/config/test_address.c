#include "config/address.h"
#include "support/suite.h"

static const struct {
    const char *text;
    const char *host; /* NULL: a unix socket */
    const char *path; /* of a unix socket */
    uint16_t port;
} listens[] = {
    {"127.0.0.1:8080", .host = "127.0.0.1", .port = 8080},
    {"127.0.0.1:0", .host = "127.0.0.1", .port = 0},
    {"0.0.0.0:65535", .host = "0.0.0.0", .port = 65535},
    {"[::]:8443", .host = "::", .port = 8443},
    {"[::1]:1", .host = "::1", .port = 1},
    {"[2001:db8::192.0.2.1]:80", .host = "2001:db8::192.0.2.1", .port = 80},
    {"unix:/run/psgate/psgate.sock", .path = "/run/psgate/psgate.sock"},
    {"unix:/x:1", .path = "/x:1"},
};

static const char *const no_listens[] = {
    "",
    ":8080",
    "8080",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:x",
    "127.0.0.1:-1",
    "127.0.0.1:+1",
    "127.0.0.1: 80",
    "127.0.0.1:80 ",
    " 127.0.0.1:80",
    "127.0.0.1:65536",
    "127.0.0.1:4294967376",
    "127.0.0.1:80:80",
    "127.0.0.1/8:80",
    "127.1:80",
    "0x7f.0.0.1:80",
    "2130706433:80",
    "256.0.0.1:80",
    "localhost:8080",
    "*:8080",
    "::1:8080",
    "[::1]",
    "[::1]8080",
    "[::1]:",
    "[::1:8080",
    "[]:8080",
    "[127.0.0.1]:8080",
    "[localhost]:8080",
    "[::1]]:80",
    "[[::1]]:80",
    "unix:",
    "unix:/",
    "unix:relative.sock",
    "unix:@abstract",
    "UNIX:/x",
    "http://127.0.0.1:80",
};

START_TEST(a_listener_has_a_literal_address_or_a_path)
{
    struct config_listen listen = {0};
    struct arena arena = {0};
    struct error error = {{0}};

    ck_assert_msg(address_parse_listen(&arena, listens[_i].text, &listen, &error),
                  "'%s' %s", listens[_i].text, error.text);
    ck_assert_str_eq(listen.address, listens[_i].text);
    ck_assert_pstr_eq(listen.host, listens[_i].host);
    ck_assert_pstr_eq(listen.path, listens[_i].path);
    ck_assert_uint_eq(listen.port, listens[_i].port);
    arena_fini(&arena);
}
END_TEST

START_TEST(a_listener_that_could_mean_something_else_is_refused)
{
    struct config_listen listen = {0};
    struct arena arena = {0};
    struct error error = {{0}};

    ck_assert_msg(!address_parse_listen(&arena, no_listens[_i], &listen, &error),
                  "'%s' is accepted", no_listens[_i]);
    ck_assert_uint_gt(strlen(error.text), 0);
    arena_fini(&arena);
}
END_TEST

/* sun_path takes 107 bytes and its NUL (unix(7)). */
START_TEST(a_socket_path_is_as_long_as_the_system_allows)
{
    for (size_t len = 106; len <= 109; len++) {
        char text[128] = "unix:/";
        struct config_listen listen = {0};
        struct arena arena = {0};
        struct error error = {{0}};

        memset(text + 6, 's', len - 1);
        ck_assert_int_eq(address_parse_listen(&arena, text, &listen, &error), len <= 107);
        arena_fini(&arena);
    }
}
END_TEST

static const struct {
    const char *url;
    const char *host;
    const char *authority;
    uint16_t port;
    bool is_tls;
} urls[] = {
    {"https://api.paperspace.com", "api.paperspace.com", "api.paperspace.com", 443, true},
    {"https://api.paperspace.com/", "api.paperspace.com", "api.paperspace.com", 443,
     true},
    {"https://a:443", "a", "a", 443, true},
    {"https://a:8443", "a", "a:8443", 8443, true},
    {"https://a:8443/", "a", "a:8443", 8443, true},
    {"https://a:80", "a", "a:80", 80, true},
    {"http://127.0.0.1", "127.0.0.1", "127.0.0.1", 80, false},
    {"http://127.0.0.1:80", "127.0.0.1", "127.0.0.1", 80, false},
    {"http://127.0.0.1:443", "127.0.0.1", "127.0.0.1:443", 443, false},
    {"http://[::1]:8080", "::1", "[::1]:8080", 8080, false},
    {"https://[2001:db8::1]", "2001:db8::1", "[2001:db8::1]", 443, true},
    {"https://UPPER.case", "UPPER.case", "UPPER.case", 443, true},
};

static const char *const no_urls[] = {
    "",
    "https://",
    "https:///",
    "https://:443",
    "https:a",
    "api.paperspace.com",
    "//api.paperspace.com",
    "ftp://a",
    "wss://a",
    " https://a",
    "https://a ",
    "https://a b",
    "https://a/v1",
    "https://a//",
    "https://a?b",
    "https://a#b",
    "https://u@a",
    "https://u:p@a",
    "https://a:",
    "https://a:0",
    "https://a:65536",
    "https://a:x",
    "https://a:1:2",
    "https://a\\b",
    "https://a%41",
    "https://*.a",
    "https://-a",
    "https://.a",
    "https://\xc3\xa9",
    "https://a\r\nX: y",
    "https://::1",
    "https://[::1",
    "https://[::1]x",
    "https://[]",
    "https://[a]",
    "https://[127.0.0.1]",
};

START_TEST(an_upstream_is_scheme_host_and_port)
{
    struct config_upstream upstream = {0};
    struct arena arena = {0};
    struct error error = {{0}};

    ck_assert_msg(address_parse_url(&arena, urls[_i].url, &upstream, &error), "'%s' %s",
                  urls[_i].url, error.text);
    ck_assert_str_eq(upstream.url, urls[_i].url);
    ck_assert_str_eq(upstream.host, urls[_i].host);
    ck_assert_str_eq(upstream.authority, urls[_i].authority);
    ck_assert_uint_eq(upstream.port, urls[_i].port);
    ck_assert_int_eq(upstream.is_tls, urls[_i].is_tls);
    arena_fini(&arena);
}
END_TEST

START_TEST(a_url_that_could_mean_something_else_is_refused)
{
    struct config_upstream upstream = {0};
    struct arena arena = {0};
    struct error error = {{0}};

    ck_assert_msg(!address_parse_url(&arena, no_urls[_i], &upstream, &error),
                  "'%s' is accepted", no_urls[_i]);
    ck_assert_uint_gt(strlen(error.text), 0);
    arena_fini(&arena);
}
END_TEST

static const struct {
    const char *host;
    bool is_loopback;
} loopbacks[] = {
    {"127.0.0.1", true},
    {"127.0.0.0", true},
    {"127.255.255.255", true},
    {"::1", true},
    {"0:0:0:0:0:0:0:1", true},
    {"128.0.0.1", false},
    {"126.255.255.255", false},
    {"0.0.0.0", false},
    {"1.0.0.127", false},
    {"::", false},
    {"::2", false},
    {"fe80::1", false},
    {"localhost", false}, /* names can mean anything: only literal addresses count */
    {"127.0.0.1.example.com", false},
    {"127.1", false},
    {"", false},
};

START_TEST(loopback_is_literal)
{
    ck_assert_msg(config_is_loopback(loopbacks[_i].host) == loopbacks[_i].is_loopback,
                  "'%s' is not %d", loopbacks[_i].host, loopbacks[_i].is_loopback);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config/address");
    TCase *listen = suite_case(suite, "listen");
    TCase *url = suite_case(suite, "url");

    tcase_add_loop_test(listen, a_listener_has_a_literal_address_or_a_path, 0,
                        ROWS(listens));
    tcase_add_loop_test(listen, a_listener_that_could_mean_something_else_is_refused, 0,
                        ROWS(no_listens));
    tcase_add_test(listen, a_socket_path_is_as_long_as_the_system_allows);
    tcase_add_loop_test(url, an_upstream_is_scheme_host_and_port, 0, ROWS(urls));
    tcase_add_loop_test(url, a_url_that_could_mean_something_else_is_refused, 0,
                        ROWS(no_urls));
    tcase_add_loop_test(url, loopback_is_literal, 0, ROWS(loopbacks));
    return run_suite(suite);
}
