/* The section "admin": addresses that are fine for the endpoint and for metrics. */
#include "config/admin.h"

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

/* Reads the value as a section of a document; its problems are compared. */
static void read_value(const char *text, struct config_admin *admin,
                       const char *problems_wanted)
{
    const struct place root = {0};
    struct place place = {.parent = &root, .key = "admin"};
    struct problems problems = {0};
    struct text whole = {0};
    struct document document;

    *admin = (struct config_admin){.endpoint = {.address = NULL}};
    text_add_format(&whole, "{\"admin\":%s}", text);
    ck_assert(document_parse(&document, "/etc/a.json", span_make(whole.bytes, whole.len),
                             &arena, &problems));
    config_read_admin(&document, &place, json_object_get(document.root, "admin"), admin);
    document_fini(&document);
    text_fini(&whole);
    ck_assert_msg(problems.count > 0 || problems_wanted[0] == '\0', "%s is accepted",
                  text);
    assert_problems(&problems, "/etc/a.json", problems_wanted);
    problems_fini(&problems);
}

static const char *const nothing[] = {"null", "{}", "{\"address\":null}",
                                      "{\"metrics_address\":null,\"address\":null}"};

START_TEST(null_is_no_endpoint)
{
    struct config_admin admin;

    read_value(nothing[_i], &admin, "");
    ck_assert_ptr_null(admin.endpoint.address);
    ck_assert_ptr_null(admin.metrics.address);
}
END_TEST

static const struct {
    const char *address, *host, *path;
    uint16_t port;
    bool is_for_metrics_alone;
} good[] = {
    {"unix:/run/psgate/admin.sock", NULL, "/run/psgate/admin.sock", 0, false},
    {"127.0.0.1:9090", "127.0.0.1", NULL, 9090, false},
    {"127.255.0.9:0", "127.255.0.9", NULL, 0, false},
    {"[::1]:65535", "::1", NULL, 65535, false},
    {"0.0.0.0:9090", "0.0.0.0", NULL, 9090, true},
    {"10.1.2.3:9090", "10.1.2.3", NULL, 9090, true},
    {"[::]:9090", "::", NULL, 9090, true},
    {"[2001:db8::1]:1", "2001:db8::1", NULL, 1, true},
    {"[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", NULL, 1, true},
};

static void must_be(const struct config_listen *listen, int row)
{
    ck_assert_str_eq(listen->address, good[row].address);
    ck_assert_pstr_eq(listen->host, good[row].host);
    ck_assert_pstr_eq(listen->path, good[row].path);
    ck_assert_uint_eq(listen->port, good[row].port);
    ck_assert_uint_eq(listen->mode, 0660);
}

START_TEST(the_endpoint_is_for_this_machine_and_metrics_for_any)
{
    struct config_admin admin;
    char text[128];

    snprintf(text, sizeof(text), "{\"metrics_address\":\"%s\"}", good[_i].address);
    read_value(text, &admin, "");
    must_be(&admin.metrics, _i);
    ck_assert_ptr_null(admin.endpoint.address);
    snprintf(text, sizeof(text), "{\"address\":\"%s\"}", good[_i].address);
    read_value(text, &admin,
               good[_i].is_for_metrics_alone
                   ? "1:11: admin.address:~is not a loopback address"
                   : "");
    if (!good[_i].is_for_metrics_alone)
        must_be(&admin.endpoint, _i);
    ck_assert_ptr_null(admin.metrics.address);
}
END_TEST

static const struct {
    const char *text, *problems;
} bad[] = {
    {"1", "1:2: admin:"},
    {"[]", "1:2: admin:"},
    {"\"127.0.0.1:1\"", "1:2: admin:"},
    {"{\"address\":1}", "1:11: admin.address:~must be a string"},
    {"{\"address\":\"\"}", "1:11: admin.address:"},
    {"{\"address\":{}}", "1:11: admin.address:~must be a string"},
    {"{\"address\":[\"127.0.0.1:1\"]}", "1:11: admin.address:~must be a string"},
    {"{\"address\":\"localhost:9090\"}", "1:11: admin.address:"},
    {"{\"address\":\"127.0.0.1\"}", "1:11: admin.address:"},
    {"{\"address\":\":9090\"}", "1:11: admin.address:"},
    {"{\"address\":\"127.0.0.1:65536\"}", "1:11: admin.address:"},
    {"{\"address\":\"127.0.0.1:x\"}", "1:11: admin.address:"},
    {"{\"address\":\"http://127.0.0.1:1\"}", "1:11: admin.address:"},
    {"{\"address\":\"unix:\"}", "1:11: admin.address:"},
    {"{\"address\":\"unix:a.sock\"}", "1:11: admin.address:"},
    {"{\"metrics_address\":7}", "1:11: admin.metrics_address:~must be a string"},
    {"{\"metrics_address\":\"x:1\"}", "1:11: admin.metrics_address:"},
    {"{\"adress\":\"127.0.0.1:1\"}", "1:11: admin.adress:~address"},
    {"{\"token\":\"x\"}", "1:11: admin.token:"},
};

START_TEST(what_is_wrong_is_said_with_its_place)
{
    struct config_admin admin;

    read_value(bad[_i].text, &admin, bad[_i].problems);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config/admin");
    TCase *tcase = suite_case(suite, "admin");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_loop_test(tcase, null_is_no_endpoint, 0, ROWS(nothing));
    tcase_add_loop_test(tcase, the_endpoint_is_for_this_machine_and_metrics_for_any, 0,
                        ROWS(good));
    tcase_add_loop_test(tcase, what_is_wrong_is_said_with_its_place, 0, ROWS(bad));
    return run_suite(suite);
}
