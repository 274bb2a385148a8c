/* Configurations that are refused: every problem with its place, none left out. */
#include "config/config.h"
#include "support/folder.h"
#include "support/lines.h"

static struct folder folder;

static void make_folder(void)
{
    folder_make(&folder);
}

static void remove_folder(void)
{
    folder_remove(&folder);
}

static void check_problems(struct span text, const char *wanted)
{
    const char *path = folder_write(&folder, "psgate.json", text, 0644);
    struct problems problems = {0};
    struct config *config = config_load(path, &problems);
    bool is_refused = config == NULL;

    config_free(config);
    ck_assert_msg(is_refused == (wanted[0] != '\0'), "'%s' is %s", shown(text),
                  is_refused ? problems.lines.bytes : "accepted");
    assert_problems(&problems, path, wanted);
    problems_fini(&problems);
}

struct row {
    const char *members, *problems;
};

/* Checks the members on the second line of a configuration that is otherwise good. */
static void check_members(const struct row *row)
{
    struct text text = {0};

    text_add_format(&text,
                    "{\"credentials\":{\"default\":{\"api_key_file\":\"/k\"}},"
                    "\"clients_file\":\"/c\",\n%s}",
                    row->members);
    check_problems(span_make(text.bytes, text.len), row->problems);
    text_fini(&text);
}

static const struct row unknown[] = {
    {"\"lisen\":[]", "2:1: lisen:~\"listen\""},
    {"\"Workers\":1", "2:1: Workers:~\"workers\""},
    {"\"worker\":1", "2:1: worker:~\"workers\""},
    {"\"upsteam\":{}", "2:1: upsteam:~\"upstream\""},
    {"\"credential\":{}", "2:1: credential:~\"credentials\""},
    {"\"client_file\":\"/c\"", "2:1: client_file:~\"clients_file\""},
    {"\"comment\":\"x\"", "2:1: comment:~\"listen\""},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\",\"adress\":1}]",
     "2:36: listen[0].adress:~\"address\""},
    {"\"listen\":[{\"address\":\"0.0.0.0:1\",\"tls\":{\"certificate\":\"/c\","
     "\"private_key\":\"/k\",\"clientca\":\"/a\"}}]",
     "2:79: listen[0].tls.clientca:~\"client_ca\""},
    {"\"upstream\":{\"timeout\":\"1s\"}", "2:13: upstream.timeout:~\"idle_timeout\""},
    {"\"upstream\":{\"conect_timeout\":\"1s\"}",
     "2:13: upstream.conect_timeout:~\"connect_timeout\""},
    {"\"limits\":{\"header\":1}", "2:11: limits.header:~\"headers\""},
    {"\"log\":{\"levle\":\"info\"}", "2:8: log.levle:~\"level\""},
    {"\"admin\":{\"addres\":\"x\"}", "2:10: admin.addres:~\"address\""},
    {"\"cache\":{\"memry\":1}", "2:10: cache.memry:~\"memory\""},
    {"\"audit\":{\"dir\":\"x\"}", "2:10: audit.dir:~\"directory\""},
    {"\"audit\":{\"syslog\":{\"urls\":\"x\"}}",
     "2:20: audit.syslog.urls:~\"url\"\n2:10: audit.syslog.url:"},
    {"\"cluster\":{\"redis\":\"unix:/r\",\"max_stalenes\":\"1s\"}",
     "2:30: cluster.max_stalenes:~\"max_staleness\""},
};

START_TEST(an_unknown_key_is_a_problem_and_the_nearest_is_named)
{
    check_members(&unknown[_i]);
}
END_TEST

static const struct row values[] = {
    {"\"workers\":-1", "2:1: workers:~0"},
    {"\"workers\":\"4\"", "2:1: workers:"},
    {"\"workers\":1.5", "2:1: workers:"},
    {"\"workers\":null", "2:1: workers:"},
    {"\"listen\":[]", "2:1: listen:"},
    {"\"listen\":{}", "2:1: listen:"},
    {"\"listen\":\"127.0.0.1:8080\"", "2:1: listen:"},
    {"\"listen\":null", "2:1: listen:"},
    {"\"listen\":[5]", "2:11: listen[0]:"},
    {"\"listen\":[{}]", "2:11: listen[0].address:~missing"},
    {"\"listen\":[{\"address\":5}]", "2:12: listen[0].address:"},
    {"\"listen\":[{\"address\":null}]", "2:12: listen[0].address:"},
    {"\"listen\":[{\"address\":\"\"}]", "2:12: listen[0].address:"},
    {"\"listen\":[{\"address\":\"localhost:80\"}]", "2:12: listen[0].address:"},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\"},{\"address\":\"127.0.0.1:99999\"}]",
     "2:38: listen[1].address:"},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\"},{\"address\":\"127.0.0.1:1\"}]",
     "2:37: listen[1]:~twice"},
    {"\"listen\":[{\"address\":\"unix:/a\"},{\"address\":\"unix:/a\"}]",
     "2:33: listen[1]:~twice"},
    {"\"listen\":[{\"address\":\"unix:/a\",\"mode\":\"0888\"}]", "2:32: listen[0].mode:"},
    {"\"listen\":[{\"address\":\"unix:/a\",\"mode\":660}]", "2:32: listen[0].mode:"},
    {"\"listen\":[{\"address\":\"unix:/a\",\"mode\":\"01777\"}]",
     "2:32: listen[0].mode:"},
    {"\"listen\":[{\"address\":\"unix:/a\",\"mode\":\"\"}]", "2:32: listen[0].mode:"},
    {"\"listen\":[{\"address\":\"unix:/a\",\"mode\":\"-660\"}]", "2:32: listen[0].mode:"},
    {"\"listen\":[{\"address\":\"unix:/a\",\"mode\":\"0660 \"}]",
     "2:32: listen[0].mode:"},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\",\"allow_plaintext\":1}]",
     "2:36: listen[0].allow_plaintext:"},
    {"\"trusted_proxies\":\"10.0.0.0/8\"", "2:1: trusted_proxies:~array"},
    {"\"trusted_proxies\":[\"10.0.0.0/8\",\"10.1.2.3/8\",1,\"\"]",
     "2:46: trusted_proxies[2]:\n"
     "2:48: trusted_proxies[3]:\n"
     "2:33: trusted_proxies[1]:~\"10.0.0.0/8\""},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\",\"proxy_protocol\":[\"unix:\"]}]",
     "2:36: listen[0].proxy_protocol:~unix socket"},
    {"\"listen\":[{\"address\":\"unix:/a\",\"proxy_protocol\":[\"10.0.0.1\"]}]",
     "2:32: listen[0].proxy_protocol:~[\"unix:\"]"},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\",\"tls\":{}}]",
     "2:36: listen[0].tls.certificate:~missing\n"
     "2:36: listen[0].tls.private_key:~missing"},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\",\"tls\":true}]", "2:36: listen[0].tls:"},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\",\"tls\":{\"certificate\":null,"
     "\"private_key\":\"/k\"}}]",
     "2:43: listen[0].tls.certificate:"},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\",\"tls\":{\"certificate\":\"/c\","
     "\"private_key\":\"/k\",\"client_auth\":\"maybe\"}}]",
     "2:81: listen[0].tls.client_auth:~required"},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\",\"tls\":{\"certificate\":\"/c\","
     "\"private_key\":\"/k\",\"client_auth\":\"required\"}}]",
     "2:36: listen[0].tls:~client_ca"},
    {"\"listen\":[{\"address\":\"127.0.0.1:1\",\"tls\":{\"certificate\":\"/c\","
     "\"private_key\":\"/k\",\"client_ca\":\"/a\",\"client_crl\":\"/r\"}}]",
     "2:36: listen[0].tls:~client_auth"},
    {"\"upstream\":null", "2:1: upstream:"},
    {"\"upstream\":\"https://a\"", "2:1: upstream:"},
    {"\"upstream\":{\"url\":\"api.paperspace.com\"}", "2:13: upstream.url:"},
    {"\"upstream\":{\"url\":\"https://a/v1\"}", "2:13: upstream.url:~path"},
    {"\"upstream\":{\"url\":null}", "2:13: upstream.url:"},
    {"\"upstream\":{\"ca_file\":\"\"}", "2:13: upstream.ca_file:"},
    {"\"upstream\":{\"encoded_slashes\":true}",
     "2:13: upstream.encoded_slashes:~forward"},
    {"\"upstream\":{\"connect_timeout\":\"0s\"}", "2:13: upstream.connect_timeout:"},
    {"\"upstream\":{\"connect_timeout\":5}", "2:13: upstream.connect_timeout:"},
    {"\"upstream\":{\"max_connections\":0}", "2:13: upstream.max_connections:"},
    {"\"operations_file\":5", "2:1: operations_file:"},
    {"\"operations_file\":\"${PSGATE_TEST_UNSET}/o\"",
     "2:1: operations_file:~PSGATE_TEST_UNSET"},
    {"\"limits\":[]", "2:1: limits:"},
    {"\"limits\":{\"header_bytes\":\"32KB\"}", "2:11: limits.header_bytes:"},
    {"\"limits\":{\"header_bytes\":0}", "2:11: limits.header_bytes:"},
    {"\"limits\":{\"headers\":65536}", "2:11: limits.headers:"},
    {"\"limits\":{\"headers\":\"128\"}", "2:11: limits.headers:"},
    {"\"limits\":{\"connections\":-1}", "2:11: limits.connections:"},
    {"\"limits\":{\"upstream_rate\":100}", "2:11: limits.upstream_rate:~20/s"},
    {"\"limits\":{\"upstream_rate\":\"100\"}", "2:11: limits.upstream_rate:"},
    {"\"limits\":{\"upstream_burst\":0}", "2:11: limits.upstream_burst:"},
    {"\"limits\":{\"upstream_burst\":9}", "2:11: limits.upstream_burst:~upstream_rate"},
    {"\"limits\":{\"drain_timeout\":\"30\"}", "2:11: limits.drain_timeout:"},
    {"\"log\":{\"level\":\"verbose\"}", "2:8: log.level:~debug"},
    {"\"log\":{\"format\":1}", "2:8: log.format:~json"},
    {"\"log\":{\"access\":\"yes\"}", "2:8: log.access:"},
    {"\"log\":{\"file\":true}", "2:8: log.file:"},
    {"\"cache\":{\"memory\":\"x\"}", "2:10: cache.memory:"},
    {"\"cache\":{\"other_invalidates\":\"*\"}", "2:10: cache.other_invalidates:"},
    {"\"cache\":{\"other_invalidates\":[1]}", "2:31: cache.other_invalidates[0]:"},
    {"\"audit\":{\"other_mutations\":\"x\"}", "2:10: audit.other_mutations:"},
    {"\"audit\":{\"timeout\":1}", "2:10: audit.timeout:"},
    {"\"admin\":{\"address\":5}", "2:10: admin.address:"},
    {"\"cluster\":{}", "2:1: cluster.redis:~missing"},
    {"\"cluster\":{\"redis\":null}", "2:12: cluster.redis:"},
    {"\"cluster\":{\"redis\":\"127.0.0.1:6379\"}", "2:12: cluster.redis:~redis://HOST"},
    {"\"cluster\":{\"redis\":\"redis://\"}", "2:12: cluster.redis:~redis://HOST"},
    {"\"cluster\":{\"redis\":\"redis://h:0\"}", "2:12: cluster.redis:~redis://HOST"},
    {"\"cluster\":{\"redis\":\"redis://h/x\"}", "2:12: cluster.redis:~redis://HOST"},
    {"\"cluster\":{\"redis\":\"redis://u:p@h\"}", "2:12: cluster.redis:~password_file"},
    {"\"cluster\":{\"redis\":\"unix:r\"}", "2:12: cluster.redis:~unix:/PATH"},
    {"\"cluster\":{\"redis\":\"redis://h\",\"ca_file\":\"c\"}",
     "2:32: cluster.ca_file:~rediss://"},
    {"\"cluster\":{\"redis\":\"redis://h\",\"prefix\":\"a b\"}",
     "2:32: cluster.prefix:~without spaces"},
    {"\"cluster\":{\"redis\":\"redis://h\",\"max_staleness\":\"10ms\"}",
     "2:32: cluster.max_staleness:"},
    {"\"$schema\":5", "2:1: $schema:"},
};

START_TEST(a_bad_value_is_a_problem)
{
    check_members(&values[_i]);
}
END_TEST

/* A key or a token crosses no network in the clear unless it is said that it may. */
static const struct row plaintext[] = {
    {"\"listen\":[{\"address\":\"127.0.0.1:80\"}]", ""},
    {"\"listen\":[{\"address\":\"127.9.9.9:80\"}]", ""},
    {"\"listen\":[{\"address\":\"[::1]:80\"}]", ""},
    {"\"listen\":[{\"address\":\"unix:/a\"}]", ""},
    {"\"listen\":[{\"address\":\"0.0.0.0:80\"}]", "2:11: listen[0]:~allow_plaintext"},
    {"\"listen\":[{\"address\":\"[::]:80\"}]", "2:11: listen[0]:~allow_plaintext"},
    {"\"listen\":[{\"address\":\"10.0.0.1:80\"}]", "2:11: listen[0]:~allow_plaintext"},
    {"\"listen\":[{\"address\":\"[fe80::1]:80\"}]", "2:11: listen[0]:~allow_plaintext"},
    {"\"listen\":[{\"address\":\"0.0.0.0:80\",\"tls\":null}]",
     "2:11: listen[0]:~allow_plaintext"},
    {"\"listen\":[{\"address\":\"0.0.0.0:80\",\"allow_plaintext\":false}]",
     "2:11: listen[0]:~allow_plaintext"},
    {"\"listen\":[{\"allow_plaintext\":true,\"address\":\"0.0.0.0:80\"}]", ""},
    {"\"allow_plaintext\":true", "2:1: allow_plaintext:"},
    {"\"upstream\":{\"url\":\"http://127.0.0.1:80\"}", ""},
    {"\"upstream\":{\"url\":\"http://[::1]\"}", ""},
    {"\"upstream\":{\"url\":\"http://api.paperspace.com\"}",
     "2:13: upstream.url:~allow_plaintext"},
    {"\"upstream\":{\"url\":\"http://localhost\"}",
     "2:13: upstream.url:~allow_plaintext"},
    {"\"upstream\":{\"url\":\"http://10.0.0.1\"}", "2:13: upstream.url:~allow_plaintext"},
    {"\"upstream\":{\"url\":\"http://127.0.0.1.evil.test\"}",
     "2:13: upstream.url:~allow_plaintext"},
    {"\"upstream\":{\"allow_plaintext\":true,\"url\":\"http://10.0.0.1\"}", ""},
    {"\"listen\":[{\"address\":\"127.0.0.1:80\",\"allow_plaintext\":true}],"
     "\"upstream\":{\"url\":\"http://a\"}",
     "2:74: upstream.url:~allow_plaintext"},
};

START_TEST(plain_http_needs_loopback_or_a_word)
{
    check_members(&plaintext[_i]);
}
END_TEST

static const struct {
    struct span text;
    const char *problems;
} requireds[] = {
    {SPAN("{}"), "1:1: credentials:~missing\n1:1: clients_file:~missing"},
    {SPAN("{\"clients_file\":\"/c\"}"), "1:1: credentials:~missing"},
    {SPAN("{\"clients_file\":\"/c\",\"credentials\":{}}"), "1:22: credentials:"},
    {SPAN("{\"clients_file\":\"/c\",\"credentials\":null}"), "1:22: credentials:"},
    {SPAN("{\"clients_file\":\"/c\",\"credentials\":[]}"), "1:22: credentials:"},
    {SPAN("{\"clients_file\":null,\"credentials\":{\"a\":{\"api_key_file\":\"/k\"}}}"),
     "1:2: clients_file:"},
    {SPAN("{\"clients_file\":\"\",\"credentials\":{\"a\":{\"api_key_file\":\"/k\"}}}"),
     "1:2: clients_file:"},
    {SPAN("{\"clients_file\":\"/c\",\"credentials\":{\"a\":{}}}"),
     "1:37: credentials.a:~exactly one"},
    {SPAN("{\"clients_file\":\"/c\",\"credentials\":{\"a\":{\"api_key_file\":\"/k\","
          "\"api_key_env\":\"K\"}}}"),
     "1:37: credentials.a:~exactly one"},
    {SPAN("{\"clients_file\":\"/c\",\"credentials\":{\"a\":{\"api_key_file\":null}}}"),
     "1:37: credentials.a:~exactly one"},
    {SPAN("{\"clients_file\":\"/c\",\"credentials\":{\"a\":\"the key itself\"}}"),
     "1:37: credentials.a:"},
};

START_TEST(credentials_and_clients_are_required)
{
    check_problems(requireds[_i].text, requireds[_i].problems);
}
END_TEST

/* A key that was written into the file by mistake is not repeated. */
static const struct span inline_keys[] = {
    SPAN("{\"clients_file\":\"/c\",\"credentials\":{\"a\":{\"api_key\":\"hush-hush\"}}}"),
    SPAN("{\"clients_file\":\"/c\",\"credentials\":{\"a\":\"hush-hush\"}}"),
    SPAN("{\"clients_file\":\"/c\",\"credentials\":[\"hush-hush\"]}"),
    SPAN("{\"clients_file\":\"/c\",\"credentials\":\"hush-hush\"}"),
    SPAN("{\"clients_file\":\"/c\","
         "\"credentials\":{\"a\":{\"api_key_env\":[\"hush-hush\"]}}}"),
};

START_TEST(an_inline_key_is_refused_and_not_repeated)
{
    const char *path = folder_write(&folder, "psgate.json", inline_keys[_i], 0600);
    struct problems problems = {0};

    ck_assert_ptr_null(config_load(path, &problems));
    ck_assert_uint_gt(problems.count, 0);
    ck_assert_ptr_null(strstr(problems.lines.bytes, "hush-hush"));
    problems_fini(&problems);
}
END_TEST

static const char many_problems[] =
    "{\n"
    "  \"listen\": [ { \"address\": \"0.0.0.0:80\" },\n"
    "              { \"address\": \"127.0.0.1:80\", \"mode\": \"x\" } ],\n"
    "  \"upstream\": { \"url\": \"http://10.0.0.1\", \"max_connections\": 0 },\n"
    "  \"limts\": {},\n"
    "  \"credentials\": { \"a\": {} }\n"
    "}\n";

/* A user sees all problems at once, also those that concern two options, in any order. */
START_TEST(every_problem_is_reported_in_one_go)
{
    static const char *const places[] = {
        ":2:15: listen[0]: ",    ":3:44: listen[1].mode: ",
        ":4:17: upstream.url: ", ":4:43: upstream.max_connections: ",
        ":5:3: limts: ",         ":6:20: credentials.a: ",
        ":1:1: clients_file: ",
    };
    const char *path = folder_write(&folder, "psgate.json", span_of(many_problems), 0644);
    struct problems problems = {0};

    ck_assert_ptr_null(config_load(path, &problems));
    for (int i = 0; i < ROWS(places); i++)
        ck_assert_msg(strstr(problems.lines.bytes, places[i]) != NULL, "no '%s' in:\n%s",
                      places[i], problems.lines.bytes);
    ck_assert_uint_eq(problems.count, ROWS(places));
    problems_fini(&problems);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config/config, refused");
    TCase *problems = suite_case(suite, "problems");

    tcase_add_checked_fixture(problems, make_folder, remove_folder);
    tcase_add_loop_test(problems, an_unknown_key_is_a_problem_and_the_nearest_is_named, 0,
                        ROWS(unknown));
    tcase_add_loop_test(problems, a_bad_value_is_a_problem, 0, ROWS(values));
    tcase_add_loop_test(problems, plain_http_needs_loopback_or_a_word, 0,
                        ROWS(plaintext));
    tcase_add_loop_test(problems, credentials_and_clients_are_required, 0,
                        ROWS(requireds));
    tcase_add_loop_test(problems, an_inline_key_is_refused_and_not_repeated, 0,
                        ROWS(inline_keys));
    tcase_add_test(problems, every_problem_is_reported_in_one_go);
    return run_suite_in_folder(suite);
}
