/* Which client a certificate or a process is, by a clients file. */
#include "access/identity.h"
#include "support/folder.h"
#include "support/lines.h"

enum { NOW_MS = 1000 };

static struct folder folder;
static const char *path;
static struct operation_table *table;
static struct config_credential credentials[] = {
    {.name = "default", .api_key_file = "/k"}};
static const struct config config = {
    .path = "psgate.json", .credentials = credentials, .credential_count = 1};

static void set_up(void)
{
    struct problems problems = {0};

    folder_make(&folder);
    table = operation_table_load(NULL, &problems);
    ck_assert_msg(table != NULL, "%s", problems.lines.bytes);
}

static void tear_down(void)
{
    operation_table_free(table);
    folder_remove(&folder);
}

static struct client_set *load(const char *clients, struct problems *problems)
{
    struct text text = {0};
    struct client_set *set;

    text_add_format(&text, "{\"clients\":[%s]}", clients);
    path = folder_write(&folder, "clients.json", span_make(text.bytes, text.len), 0600);
    set = client_set_load(path, &config, table, problems);
    text_fini(&text);
    return set;
}

static struct client_set *must_load(const char *clients)
{
    struct problems problems = {0};
    struct client_set *set = load(clients, &problems);

    ck_assert_msg(set != NULL, "%s", problems.lines.bytes);
    return set;
}

/* Names parted by '|', each as a certificate's; expected NULL: nobody, "?": several. */
static void assert_certificate(const struct client_set *set, const char *names,
                               const char *expected)
{
    struct certificate_names certificate = {0};
    const struct identity identity = {.certificate = &certificate};
    const struct client *client;
    enum identity_match match;

    text_add(&certificate.list, span_make(names, strlen(names) + 1));
    for (size_t i = 0; i < certificate.list.len; i++) {
        if (certificate.list.bytes[i] == '|')
            certificate.list.bytes[i] = '\0';
    }
    match = identity_find(&identity, set, NOW_MS, &client);
    if (expected == NULL)
        ck_assert_int_eq(match, IDENTITY_NONE);
    else if (strcmp(expected, "?") == 0)
        ck_assert_int_eq(match, IDENTITY_AMBIGUOUS);
    else
        ck_assert_str_eq(match == IDENTITY_FOUND ? client->name : "", expected);
    certificate_names_fini(&certificate);
}

static void assert_process(const struct client_set *set, uint32_t uid, uint32_t gid,
                           const char *expected)
{
    const struct identity identity = {.has_process = true, .uid = uid, .gid = gid};
    const struct client *client;
    enum identity_match match = identity_find(&identity, set, NOW_MS, &client);

    if (expected == NULL)
        ck_assert_int_eq(match, IDENTITY_NONE);
    else if (strcmp(expected, "?") == 0)
        ck_assert_int_eq(match, IDENTITY_AMBIGUOUS);
    else
        ck_assert_str_eq(match == IDENTITY_FOUND ? client->name : "", expected);
}

START_TEST(a_certificate_is_the_client_that_has_one_of_its_names)
{
    struct client_set *set =
        must_load("{\"name\":\"a\",\"tls_subject\":\"CN=a,O=Acme\"},"
                  "{\"name\":\"b\",\"tls_subject\":\"b.acme.test\"},"
                  "{\"name\":\"c\",\"tls_subject\":\"URI:spiffe://acme.test/c\"}");

    assert_certificate(set, "DN:CN=a,O=Acme", "a");
    assert_certificate(set, "DN:CN=x|DNS:b.acme.test", "b");
    assert_certificate(set, "DN:CN=x|URI:spiffe://acme.test/c|DNS:y", "c");
    assert_certificate(set, "DN:CN=b.acme.test", NULL);
    assert_certificate(set, "URI:b.acme.test", NULL);
    assert_certificate(set, "DNS:spiffe://acme.test/c", NULL);
    assert_certificate(set, "uid 0", NULL);
    assert_certificate(set, "DN:CN=a,O=Acme|DNS:b.acme.test", "?");
    assert_certificate(set, "DN:CN=a,O=Acme|DNS:x|DNS:b.acme.test|DN:CN=a,O=Acme", "?");
    client_set_free(set);
}
END_TEST

START_TEST(entries_of_one_name_are_one_client)
{
    struct client_set *set =
        must_load("{\"name\":\"a\",\"tls_subject\":\"DNS:old\",\"expires\":\"1970-01-"
                  "01T00:00:00Z\"},"
                  "{\"name\":\"a\",\"tls_subject\":\"DNS:new\",\"admin\":true}");
    struct certificate_names names = {0};
    const struct identity identity = {.certificate = &names};
    const struct client *client;

    text_add(&names.list, SPAN("DNS:old\0DNS:new\0"));
    ck_assert_int_eq(identity_find(&identity, set, NOW_MS, &client), IDENTITY_FOUND);
    ck_assert(client->is_admin);
    text_clear(&names.list);
    text_add(&names.list, SPAN("DNS:old\0"));
    ck_assert_int_eq(identity_find(&identity, set, NOW_MS, &client), IDENTITY_FOUND);
    ck_assert(client_is_expired(client, NOW_MS));
    certificate_names_fini(&names);
    client_set_free(set);
}
END_TEST

START_TEST(a_process_is_the_client_with_its_uid_and_gid)
{
    struct client_set *set = must_load("{\"name\":\"a\",\"uid\":1000},"
                                       "{\"name\":\"b\",\"gid\":50},"
                                       "{\"name\":\"c\",\"uid\":7,\"gid\":8},"
                                       "{\"name\":\"root\",\"uid\":0}");

    assert_process(set, 1000, 1000, "a");
    assert_process(set, 999, 50, "b");
    assert_process(set, 7, 8, "c");
    assert_process(set, 7, 9, NULL);
    assert_process(set, 8, 8, NULL);
    assert_process(set, 0, 0, "root");
    assert_process(set, 1, 0, NULL);
    assert_process(set, 50, 1000, NULL);
    assert_process(set, 1000, 50, "?");
    client_set_free(set);
}
END_TEST

START_TEST(nobody_is_no_client)
{
    struct client_set *set = must_load("{\"name\":\"root\",\"uid\":0,\"gid\":null}");
    const struct identity nobody = {0};
    const struct client *client;

    ck_assert_int_eq(identity_find(&nobody, set, NOW_MS, &client), IDENTITY_NONE);
    client_set_free(set);
}
END_TEST

#define TWO(one, other) "{\"name\":\"a\"," one "},\n{\"name\":\"b\"," other "}"

static const struct {
    const char *clients, *problems;
} twins[] = {
    {TWO("\"uid\":5", "\"uid\":5"), "2:1: clients[1]:~uid"},
    {TWO("\"uid\":5,\"gid\":6", "\"gid\":6,\"uid\":5"), "2:1: clients[1]:~uid"},
    {TWO("\"tls_subject\":\"CN=a\"", "\"tls_subject\":\"CN=a\""),
     "2:1: clients[1]:~tls_subject"},
    {TWO("\"tls_subject\":\"DNS:A.test\"", "\"tls_subject\":\"a.test\""),
     "2:1: clients[1]:~tls_subject"},
    {TWO("\"uid\":5", "\"uid\":4294967295"), "2:13: clients[1].uid:~id -u"},
    {TWO("\"uid\":5", "\"gid\":-1"), "2:13: clients[1].gid:"},
    {TWO("\"uid\":5", "\"tls_subject\":\"cn=ci\""), "2:13: clients[1].tls_subject:~CN"},
    {TWO("\"uid\":5", "\"tls_subject\":\"dns:ci\""), "2:13: clients[1].tls_subject:~DNS"},
    {TWO("\"uid\":5", "\"gid\":null"), "2:1: clients[1]:~identity"},
};

START_TEST(what_could_not_tell_clients_apart_is_a_problem)
{
    struct problems problems = {0};

    ck_assert_ptr_null(load(twins[_i].clients, &problems));
    assert_problems(&problems, path, twins[_i].problems);
    problems_fini(&problems);
}
END_TEST

START_TEST(different_uids_gids_and_names_are_no_twins)
{
    client_set_free(must_load("{\"name\":\"a\",\"uid\":5},{\"name\":\"b\",\"gid\":5},"
                              "{\"name\":\"c\",\"uid\":5,\"gid\":5},"
                              "{\"name\":\"d\",\"uid\":5,\"gid\":6},"
                              "{\"name\":\"e\",\"tls_subject\":\"DNS:x\"},"
                              "{\"name\":\"f\",\"tls_subject\":\"URI:x:y\"}"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/identity");
    TCase *finding = suite_case(suite, "finding");
    TCase *files = suite_case(suite, "files");

    tcase_add_checked_fixture(finding, set_up, tear_down);
    tcase_add_checked_fixture(files, set_up, tear_down);
    tcase_add_test(finding, a_certificate_is_the_client_that_has_one_of_its_names);
    tcase_add_test(finding, entries_of_one_name_are_one_client);
    tcase_add_test(finding, a_process_is_the_client_with_its_uid_and_gid);
    tcase_add_test(finding, nobody_is_no_client);
    tcase_add_loop_test(files, what_could_not_tell_clients_apart_is_a_problem, 0,
                        ROWS(twins));
    tcase_add_test(files, different_uids_gids_and_names_are_no_twins);
    return run_suite(suite);
}
