#include <dirent.h>

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

/* What is required, on the first line; the case's own members begin the second. */
#define MINIMAL                                                                          \
    "{\"credentials\":{\"default\":{\"api_key_file\":\"api-key\"}},"                     \
    "\"clients_file\":\"clients.json\"%s\n%s}"

static const char *write_config(const char *members)
{
    struct text text = {0};
    const char *path;

    text_add_format(&text, MINIMAL, members[0] != '\0' ? "," : "", members);
    path = folder_write(&folder, "psgate.json", span_make(text.bytes, text.len), 0644);
    text_fini(&text);
    return path;
}

static struct config *must_load(const char *path)
{
    struct problems problems = {0};
    struct config *config = config_load(path, &problems);

    ck_assert_msg(config != NULL, "%s", problems.lines.bytes);
    assert_problems(&problems, path, "");
    problems_fini(&problems);
    return config;
}

static void must_refuse(const char *path, const char *wanted)
{
    struct problems problems = {0};
    struct config *config = config_load(path, &problems);
    bool is_refused = config == NULL;

    config_free(config);
    ck_assert_msg(is_refused, "accepted, though wrong at %s", wanted);
    assert_problems(&problems, path, wanted);
    problems_fini(&problems);
}

/* INTERFACES, Configuration: the example, which also shows the defaults. */
static const char example[] =
    "{\n"
    "  \"$schema\": \"psgate.schema.json\",\n"
    "  \"listen\":   [ { \"address\": \"127.0.0.1:8080\" },\n"
    "                { \"address\": \"[::]:8443\","
    " \"tls\": { \"certificate\": \"tls.pem\","
    " \"private_key\": \"tls.key\", \"client_ca\": \"clients-ca.pem\","
    " \"client_auth\": \"optional\" } },\n"
    "                { \"address\": \"unix:/run/psgate/psgate.sock\","
    " \"mode\": \"0660\" }"
    " ],\n"
    "  \"admin\":    { \"address\": \"unix:/run/psgate/admin.sock\","
    " \"metrics_address\": null },\n"
    "  \"workers\":  0,\n"
    "  \"upstream\": { \"url\": \"https://api.paperspace.com\", \"ca_file\": null,"
    " \"encoded_slashes\": \"refuse\",\n"
    "                \"connect_timeout\": \"5s\", \"response_timeout\": \"60s\","
    " \"idle_timeout\": \"50s\", \"max_connections\": 256 },\n"
    "  \"credentials\": { \"default\": { \"api_key_file\": \"api-key\" } },\n"
    "  \"clients_file\": \"clients.json\",\n"
    "  \"operations_file\": null,\n"
    "  \"cache\":    { \"memory\": \"64MiB\", \"stale_after\": \"1s\","
    " \"unknown_hold\": \"60s\", \"other_invalidates\": [\"*\"] },\n"
    "  \"audit\":    { \"directory\": \"audit\", \"other_mutations\": \"log\","
    " \"unreadable_body\": \"refuse\", \"timeout\": \"5s\", \"rotate_size\": \"100MiB\","
    " \"signing_key_file\": null, \"syslog\": null },\n"
    "  \"limits\":   { \"header_bytes\": \"32KiB\", \"headers\": 128,"
    " \"audited_body\": \"1MiB\", \"audited_bodies_total\": \"64MiB\","
    " \"connections\": 10000,\n"
    "                \"header_timeout\": \"10s\", \"body_timeout\": \"30s\","
    " \"send_timeout\": \"30s\", \"keepalive_timeout\": \"75s\","
    " \"tunnel_idle_timeout\": \"10m\", \"drain_timeout\": \"30s\" },\n"
    "  \"log\":      { \"level\": \"info\", \"format\": \"json\", \"access\": true },\n"
    "  \"cluster\":  null\n"
    "}\n";

#define FIELD(name) offsetof(struct config, name)

/* Every number of the configuration with its default. */
static const struct {
    const char *section, *key;
    size_t offset;
    int64_t usual;
} numbers[] = {
    {NULL, "workers", FIELD(workers), 0},
    {"upstream", "connect_timeout", FIELD(upstream.connect_timeout_ms), 5000},
    {"upstream", "response_timeout", FIELD(upstream.response_timeout_ms), 60000},
    {"upstream", "idle_timeout", FIELD(upstream.idle_timeout_ms), 50000},
    {"upstream", "max_connections", FIELD(upstream.max_connections), 256},
    {"limits", "header_bytes", FIELD(limits.header_bytes), 32768},
    {"limits", "headers", FIELD(limits.headers), 128},
    {"limits", "audited_body", FIELD(limits.audited_body_bytes), 1048576},
    {"limits", "audited_bodies_total", FIELD(limits.audited_bodies_total_bytes),
     67108864},
    {"limits", "connections", FIELD(limits.connections), 10000},
    {"limits", "header_timeout", FIELD(limits.header_timeout_ms), 10000},
    {"limits", "body_timeout", FIELD(limits.body_timeout_ms), 30000},
    {"limits", "send_timeout", FIELD(limits.send_timeout_ms), 30000},
    {"limits", "keepalive_timeout", FIELD(limits.keepalive_timeout_ms), 75000},
    {"limits", "tunnel_idle_timeout", FIELD(limits.tunnel_idle_timeout_ms), 600000},
    {"limits", "drain_timeout", FIELD(limits.drain_timeout_ms), 30000},
};

static int64_t number_of(const struct config *config, size_t offset)
{
    return *(const int64_t *)(const void *)((const char *)config + offset);
}

static void assert_usual(const struct config *config)
{
    for (int i = 0; i < ROWS(numbers); i++)
        ck_assert_msg(number_of(config, numbers[i].offset) == numbers[i].usual, "%s",
                      numbers[i].key);
    ck_assert_int_eq(config->limits.upstream_rate.count, 0);
    ck_assert_int_eq(config->limits.upstream_burst, 0);
    ck_assert_str_eq(config->upstream.url, "https://api.paperspace.com");
    ck_assert_str_eq(config->upstream.host, "api.paperspace.com");
    ck_assert_str_eq(config->upstream.authority, "api.paperspace.com");
    ck_assert_uint_eq(config->upstream.port, 443);
    ck_assert(config->upstream.is_tls);
    ck_assert(!config->upstream.allow_plaintext);
    ck_assert_ptr_null(config->upstream.ca_file);
    ck_assert_int_eq(config->upstream.encoded_slashes, CONFIG_SLASHES_REFUSE);
    ck_assert_ptr_null(config->operations_file);
    ck_assert_int_eq(config->log.level, LOG_INFO);
    ck_assert_int_eq(config->log.format, LOG_JSON);
    ck_assert(config->log.access);
    ck_assert_ptr_null(config->log.file);
    ck_assert_str_eq(config->listen[0].address, "127.0.0.1:8080");
    ck_assert_str_eq(config->listen[0].host, "127.0.0.1");
    ck_assert_uint_eq(config->listen[0].port, 8080);
    ck_assert(!config->listen[0].has_tls);
}

/* Whether path names that entry of the folder, in whatever spelling of it. */
static void assert_in_folder(const char *path, const char *name)
{
    ck_assert_ptr_nonnull(path);
    ck_assert_str_eq(path, folder_entry(&folder, name));
}

START_TEST(the_example_of_the_interfaces_is_accepted)
{
    const char *path = folder_write(&folder, "psgate.json", span_of(example), 0644);
    struct config *config = must_load(path);

    assert_usual(config);
    ck_assert_str_eq(config->path, path);
    ck_assert_uint_eq(config->listen_count, 3);
    ck_assert_str_eq(config->listen[1].host, "::");
    ck_assert_uint_eq(config->listen[1].port, 8443);
    ck_assert(config->listen[1].has_tls);
    assert_in_folder(config->listen[1].tls.certificate, "tls.pem");
    assert_in_folder(config->listen[1].tls.private_key, "tls.key");
    assert_in_folder(config->listen[1].tls.client_ca, "clients-ca.pem");
    ck_assert_int_eq(config->listen[1].tls.client_auth, CONFIG_CLIENT_AUTH_OPTIONAL);
    ck_assert_ptr_null(config->listen[2].host);
    ck_assert_str_eq(config->listen[2].path, "/run/psgate/psgate.sock");
    ck_assert_uint_eq(config->listen[2].mode, 0660);
    assert_in_folder(config->clients_file, "clients.json");
    ck_assert_uint_eq(config->credential_count, 1);
    ck_assert_str_eq(config->credentials[0].name, "default");
    assert_in_folder(config->credentials[0].api_key_file, "api-key");
    ck_assert_ptr_null(config->credentials[0].api_key_env);
    config_free(config);
    config_free(NULL);
}
END_TEST

START_TEST(everything_but_credentials_and_clients_has_a_default)
{
    struct config *config = must_load(write_config(""));

    assert_usual(config);
    ck_assert_uint_eq(config->listen_count, 1);
    ck_assert_ptr_null(config->cluster.redis);
    config_free(config);
    must_refuse(folder_write(&folder, "psgate.json", SPAN("{}"), 0644),
                "1:1: credentials:~missing\n1:1: clients_file:~missing");
}
END_TEST

START_TEST(every_number_can_be_set)
{
    const char *key = numbers[_i].key, *section = numbers[_i].section;
    bool is_duration = strstr(key, "_timeout") != NULL;
    struct text text = {0};
    struct config *config;

    if (section != NULL)
        text_add_format(&text, "\"%s\":{", section);
    text_add_format(&text, is_duration ? "\"%s\":\"1234ms\"" : "\"%s\":1234", key);
    text_add(&text, section != NULL ? SPAN("}") : SPAN(""));
    if (strcmp(key, "workers") == 0) {
        text_clear(&text);
        text_add(&text, SPAN("\"workers\":12"));
    }
    config = must_load(write_config(text.bytes));
    for (int i = 0; i < ROWS(numbers); i++)
        ck_assert_int_eq(number_of(config, numbers[i].offset),
                         i == _i ? (section == NULL ? 12 : 1234) : numbers[i].usual);
    config_free(config);
    text_fini(&text);
}
END_TEST

START_TEST(every_other_option_can_be_set)
{
    struct config *config = must_load(write_config(
        "\"listen\":[{\"address\":\"unix:/a\",\"mode\":\"0600\"},"
        "{\"address\":\"127.0.0.1:0\"},"
        "{\"address\":\"0.0.0.0:1\",\"allow_plaintext\":true,"
        "\"proxy_protocol\":[\"10.0.0.0/8\",\"::1\"]},"
        "{\"address\":\"0.0.0.0:2\","
        "\"tls\":{\"certificate\":\"/c\",\"private_key\":\"/k\","
        "\"client_ca\":\"/a\",\"client_crl\":\"r\",\"client_auth\":\"required\"}}],"
        "\"upstream\":{\"url\":\"http://10.0.0.1:81\",\"allow_plaintext\":true,"
        "\"ca_file\":\"ca.pem\",\"encoded_slashes\":\"forward\"},"
        "\"operations_file\":\"ops.json\","
        "\"trusted_proxies\":[\"unix:\",\"192.0.2.7\"],"
        "\"limits\":{\"upstream_rate\":\"600/m\",\"upstream_burst\":50},"
        "\"log\":{\"level\":\"debug\",\"format\":\"text\",\"access\":false,"
        "\"file\":\"psgate.log\"}"));

    ck_assert_int_eq(config->limits.upstream_rate.count, 600);
    ck_assert_int_eq(config->limits.upstream_rate.period_s, 60);
    ck_assert_int_eq(config->limits.upstream_burst, 50);
    ck_assert_uint_eq(config->listen_count, 4);
    ck_assert_uint_eq(config->listen[0].mode, 0600);
    ck_assert_uint_eq(config->listen[1].mode, 0660);
    ck_assert(config->listen[2].allow_plaintext);
    ck_assert(networks_are_empty(&config->listen[1].proxy_protocol));
    ck_assert_uint_eq(config->listen[2].proxy_protocol.count, 2);
    ck_assert_uint_eq(config->listen[2].proxy_protocol.list[0].bits, 96 + 8);
    ck_assert(!config->listen[2].proxy_protocol.has_unix);
    ck_assert_uint_eq(config->trusted_proxies.count, 1);
    ck_assert(config->trusted_proxies.has_unix);
    ck_assert_int_eq(config->listen[3].tls.client_auth, CONFIG_CLIENT_AUTH_REQUIRED);
    assert_in_folder(config->listen[3].tls.client_crl, "r");
    ck_assert_str_eq(config->upstream.host, "10.0.0.1");
    ck_assert_uint_eq(config->upstream.port, 81);
    ck_assert(!config->upstream.is_tls);
    assert_in_folder(config->upstream.ca_file, "ca.pem");
    ck_assert_int_eq(config->upstream.encoded_slashes, CONFIG_SLASHES_FORWARD);
    assert_in_folder(config->operations_file, "ops.json");
    ck_assert_int_eq(config->log.level, LOG_DEBUG);
    ck_assert_int_eq(config->log.format, LOG_TEXT);
    ck_assert(!config->log.access);
    assert_in_folder(config->log.file, "psgate.log");
    config_free(config);
}
END_TEST

START_TEST(credentials_are_found_by_name)
{
    struct config *config = must_load(
        folder_write(&folder, "psgate.json",
                     SPAN("{\"clients_file\":\"/c\","
                          "\"credentials\":{\"default\":{\"api_key_file\":\"/k\"},"
                          "\"other\":{\"api_key_env\":\"KEY\",\"api_key_file\":null}}}"),
                     0600));

    ck_assert_uint_eq(config->credential_count, 2);
    ck_assert_str_eq(config_find_credential(config, "other")->api_key_env, "KEY");
    ck_assert_ptr_null(config_find_credential(config, "other")->api_key_file);
    ck_assert_str_eq(config_find_credential(config, "default")->api_key_file, "/k");
    ck_assert_ptr_null(config_find_credential(config, "Default"));
    ck_assert_ptr_null(config_find_credential(config, ""));
    config_free(config);
}
END_TEST

/* Sets what a sample takes from its service's environment; a name a turn. */
static void set_variables_of(struct span text, bool on)
{
    for (size_t i = 0; i + 2 < text.len; i++) {
        const char *close = memchr(text.at + i, '}', text.len - i);
        char name[64];

        if (text.at[i] != '$' || text.at[i + 1] != '{' || close == NULL)
            continue;
        (void)snprintf(name, sizeof(name), "%.*s", (int)(close - text.at - i - 2),
                       text.at + i + 2);
        if (on)
            (void)setenv(name, "/nowhere", 1);
        else
            (void)unsetenv(name);
    }
}

static bool is_configuration(const char *name)
{
    size_t len = strlen(name);

    return len > 5 && strcmp(name + len - 5, ".json") == 0 &&
           strstr(name, ".schema.") == NULL && strncmp(name, "operations", 10) != 0 &&
           strncmp(name, "clients", 7) != 0;
}

START_TEST(every_sample_in_conf_is_accepted)
{
    DIR *samples = opendir(PSGATE_SOURCE_DIR "/conf");
    const struct dirent *entry;

    ck_assert_ptr_nonnull(samples);
    while ((entry = readdir(samples)) != NULL) {
        struct text path = {0}, text = {0};
        struct error error = {{0}};

        if (!is_configuration(entry->d_name))
            continue;
        text_add_format(&path, "%s/conf/%s", PSGATE_SOURCE_DIR, entry->d_name);
        ck_assert_msg(file_read(path.bytes, FILE_PUBLIC, &text, &error), "%s",
                      error.text);
        set_variables_of(span_make(text.bytes, text.len), true);
        config_free(must_load(path.bytes));
        set_variables_of(span_make(text.bytes, text.len), false);
        text_fini(&path);
        text_fini(&text);
    }
    ck_assert_int_eq(closedir(samples), 0);
}
END_TEST

static struct config *with_redis(const char *members)
{
    char more[256];

    (void)snprintf(more, sizeof(more), "\"cluster\":{%s}", members);
    return must_load(write_config(more));
}

START_TEST(a_cluster_has_a_redis_server_and_defaults)
{
    struct config *config = with_redis("\"redis\":\"redis://127.0.0.1\"");
    const struct config_cluster *cluster = &config->cluster;

    ck_assert_str_eq(cluster->redis, "redis://127.0.0.1");
    ck_assert_str_eq(cluster->host, "127.0.0.1");
    ck_assert_uint_eq(cluster->port, 6379);
    ck_assert(!cluster->is_tls);
    ck_assert_int_eq(cluster->database, 0);
    ck_assert_str_eq(cluster->prefix, "psgate:");
    ck_assert_int_eq(cluster->max_staleness_ms, 2000);
    config_free(config);
}
END_TEST

START_TEST(a_cluster_may_say_all_that_there_is)
{
    struct config *config = with_redis(
        "\"redis\":\"rediss://[2001:db8::1]:7000/3\",\"ca_file\":\"/ca\","
        "\"password_file\":\"/pw\",\"prefix\":\"one:\",\"max_staleness\":\"500ms\"");
    const struct config_cluster *cluster = &config->cluster;

    ck_assert_str_eq(cluster->host, "2001:db8::1");
    ck_assert_uint_eq(cluster->port, 7000);
    ck_assert(cluster->is_tls);
    ck_assert_int_eq(cluster->database, 3);
    ck_assert_str_eq(cluster->ca_file, "/ca");
    ck_assert_str_eq(cluster->password_file, "/pw");
    ck_assert_str_eq(cluster->prefix, "one:");
    ck_assert_int_eq(cluster->max_staleness_ms, 500);
    config_free(config);
}
END_TEST

START_TEST(a_cluster_may_share_a_unix_socket)
{
    struct config *config = with_redis("\"redis\":\"unix:/run/redis/redis.sock\"");

    ck_assert_str_eq(config->cluster.path, "/run/redis/redis.sock");
    ck_assert_ptr_null(config->cluster.host);
    config_free(config);
}
END_TEST

START_TEST(the_trail_lies_beside_the_file_unless_it_is_said_where)
{
    struct config *config = must_load(write_config("\"cache\":{}"));
    struct config *told = must_load(
        write_config("\"audit\":{\"directory\":\"/var/log/psgate\",\"other_mutations\":"
                     "\"require\",\"unreadable_body\":\"forward\",\"timeout\":\"2s\","
                     "\"rotate_size\":\"1MiB\",\"signing_key_file\":\"k\"}"));

    ck_assert_str_eq(config->audit.directory, folder_entry(&folder, "audit"));
    ck_assert_int_eq(config->audit.other_mutations, CONFIG_OTHER_LOG);
    ck_assert_int_eq(config->audit.unreadable_body, CONFIG_UNREADABLE_REFUSE);
    ck_assert_int_eq(config->audit.timeout_ms, 5000);
    ck_assert_int_eq(config->audit.rotate_bytes, 100 << 20);
    ck_assert_ptr_null(config->audit.signing_key_file);
    ck_assert_str_eq(told->audit.directory, "/var/log/psgate");
    ck_assert_int_eq(told->audit.other_mutations, CONFIG_OTHER_REQUIRE);
    ck_assert_int_eq(told->audit.unreadable_body, CONFIG_UNREADABLE_FORWARD);
    ck_assert_int_eq(told->audit.timeout_ms, 2000);
    ck_assert_int_eq(told->audit.rotate_bytes, 1 << 20);
    ck_assert_str_eq(told->audit.signing_key_file, folder_entry(&folder, "k"));
    config_free(config);
    config_free(told);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_a_problem)
{
    must_refuse(folder_entry(&folder, "absent.json"), "1:1:~No such file");
    must_refuse(folder_write(&folder, "psgate.json", SPAN("[]"), 0644), "1:1:~object");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config/config");
    TCase *values = suite_case(suite, "values");
    TCase *files = suite_case(suite, "files");

    tcase_add_checked_fixture(values, make_folder, remove_folder);
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(values, the_example_of_the_interfaces_is_accepted);
    tcase_add_test(values, everything_but_credentials_and_clients_has_a_default);
    tcase_add_loop_test(values, every_number_can_be_set, 0, ROWS(numbers));
    tcase_add_test(values, every_other_option_can_be_set);
    tcase_add_test(values, credentials_are_found_by_name);
    tcase_add_test(values, a_cluster_has_a_redis_server_and_defaults);
    tcase_add_test(values, a_cluster_may_say_all_that_there_is);
    tcase_add_test(values, a_cluster_may_share_a_unix_socket);
    tcase_add_test(values, the_trail_lies_beside_the_file_unless_it_is_said_where);
    tcase_add_test(files, every_sample_in_conf_is_accepted);
    tcase_add_test(files, a_file_that_cannot_be_read_is_a_problem);
    return run_suite_in_folder(suite);
}
