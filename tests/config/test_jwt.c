/* The setting jwt: issuers of tokens, and what is wrong with one. */
#include "config/jwt.h"

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

/* Reads the value, which begins in the second line; its problems are compared. */
static size_t read_value(const char *text, const struct config_jwt **list,
                         const char *problems_wanted)
{
    const struct place root = {0};
    const struct place place = {.parent = &root, .key = "jwt"};
    struct problems problems = {0};
    struct text whole = {0};
    struct document document;
    size_t count;

    text_add_format(&whole, "{\"jwt\":\n%s}", text);
    ck_assert(document_parse(&document, "/etc/a.json", span_make(whole.bytes, whole.len),
                             &arena, &problems));
    config_read_jwt(&document, &place, json_object_get(document.root, "jwt"), list,
                    &count);
    document_fini(&document);
    text_fini(&whole);
    ck_assert_msg(problems.count > 0 || problems_wanted[0] == '\0', "%s is accepted",
                  text);
    assert_problems(&problems, "/etc/a.json", problems_wanted);
    problems_fini(&problems);
    return count;
}

#define ISSUER(more) "[{\"issuer\":\"https://i\",\"audience\":[\"a\"]," more "}]"
#define URL(url) ISSUER("\"jwks_url\":\"" url "\"")

START_TEST(an_issuer_is_read_with_its_defaults)
{
    const struct config_jwt *list;

    ck_assert_uint_eq(read_value(URL("https://i/jwks"), &list, ""), 1);
    ck_assert_str_eq(list[0].issuer, "https://i");
    ck_assert_uint_eq(list[0].audience_count, 1);
    ck_assert_str_eq(list[0].audience[0], "a");
    ck_assert_str_eq(list[0].jwks_url, "https://i/jwks");
    ck_assert_ptr_null(list[0].jwks_file);
    ck_assert_ptr_null(list[0].ca_file);
    ck_assert_int_eq(list[0].leeway_ms, 60000);
    ck_assert_int_eq(list[0].refresh_ms, 300000);
}
END_TEST

START_TEST(every_option_is_read)
{
    const struct config_jwt *list;

    ck_assert_uint_eq(
        read_value("[{\"issuer\":\"one\",\"audience\":[\"a\",\"b\"],\"jwks_file\":\"k\","
                   "\"leeway\":\"0s\",\"refresh\":\"1h\",\"jwks_url\":null},"
                   "{\"issuer\":\"two\",\"audience\":[\"c\"],\"ca_file\":\"ca.pem\","
                   "\"jwks_url\":\"https://[::1]:8443/\",\"jwks_file\":null,"
                   "\"leeway\":\"10m\",\"refresh\":\"7d\"}]",
                   &list, ""),
        2);
    ck_assert_str_eq(list[0].jwks_file, "/etc/k");
    ck_assert_ptr_null(list[0].jwks_url);
    ck_assert_int_eq(list[0].leeway_ms, 0);
    ck_assert_int_eq(list[0].refresh_ms, 3600000);
    ck_assert_str_eq(list[0].audience[1], "b");
    ck_assert_str_eq(list[1].issuer, "two");
    ck_assert_str_eq(list[1].ca_file, "/etc/ca.pem");
    ck_assert_int_eq(list[1].leeway_ms, 600000);
    ck_assert_int_eq(list[1].refresh_ms, 604800000);
}
END_TEST

START_TEST(null_and_nothing_are_none)
{
    const struct config_jwt *list;

    ck_assert_uint_eq(read_value("null", &list, ""), 0);
    ck_assert_uint_eq(read_value("[]", &list, ""), 0);
}
END_TEST

static const char *const good_urls[] = {
    "https://token.actions.githubusercontent.com/.well-known/jwks",
    "https://gitlab.example:8443/oauth/discovery/keys?v=1&x=%20",
    "https://192.0.2.7/",
    "http://127.0.0.1:8080/keys",
    "http://127.5.5.5/",
    "http://[::1]:1/k",
};

START_TEST(keys_may_come_from_there)
{
    const struct config_jwt *list;
    struct text text = {0};

    text_add_format(&text, URL("%s"), good_urls[_i]);
    ck_assert_uint_eq(read_value(text.bytes, &list, ""), 1);
    ck_assert_str_eq(list[0].jwks_url, good_urls[_i]);
    text_fini(&text);
}
END_TEST

static const struct {
    const char *url, *word;
} bad_urls[] = {
    {"", "https://HOST"},
    {"https://", "https://HOST"},
    {"https:///keys", "https://HOST"},
    {"https://host", "https://HOST"},
    {"//host/keys", "https://HOST"},
    {"host/keys", "https://HOST"},
    {"file:///etc/passwd", "https://HOST"},
    {"ftp://host/keys", "https://HOST"},
    {"HTTPS://host/keys", "https://HOST"},
    {"https://user:secret@host/keys", "https://HOST"},
    {"https://user@host/keys", "https://HOST"},
    {"https://host:0/keys", "https://HOST"},
    {"https://host:65536/keys", "https://HOST"},
    {"https://host:1x/keys", "https://HOST"},
    {"https://[::1/keys", "https://HOST"},
    {"https://host/keys#a", "https://HOST"},
    {"https://host/a b", "https://HOST"},
    {"https://host/a\\\\b", "https://HOST"},
    {"https://ho\\\\st/", "https://HOST"},
    {"https://host/\\u0007", "https://HOST"},
    {"https://h\\u00f6st/", "https://HOST"},
    {"https://host/{a,b}", "https://HOST"},
    {"http://host/keys", "plain HTTP"},
    {"http://localhost/keys", "plain HTTP"},
    {"http://192.0.2.7/keys", "plain HTTP"},
    {"http://127.0.0.1.evil.test/keys", "plain HTTP"},
    {"http://127.0.0.1@evil.test/keys", "https://HOST"},
};

START_TEST(keys_may_not_come_from_there)
{
    const struct config_jwt *list;
    struct text text = {0}, wanted = {0};

    text_add_format(&text,
                    "[{\"issuer\":\"i\",\"audience\":[\"a\"],\n\"jwks_url\":\"%s\"}]",
                    bad_urls[_i].url);
    text_add_format(&wanted, "3:1: jwt[0].jwks_url:~%s", bad_urls[_i].word);
    (void)read_value(text.bytes, &list, wanted.bytes);
    text_fini(&text);
    text_fini(&wanted);
}
END_TEST

#define FILE_KEYS "\"jwks_file\":\"k\""

static const struct {
    const char *text, *problems;
} bad[] = {
    {"{}", "1:2: jwt:~array of at most 32"},
    {"\"https://i\"", "1:2: jwt:~array"},
    {"[\"https://i\"]", "2:2: jwt[0]:"},
    {"[{" FILE_KEYS "}]", "2:2: jwt[0].issuer:\n2:2: jwt[0].audience:"},
    {"[{\"issuer\":\"\",\"audience\":[\"a\"]," FILE_KEYS "}]", "2:3: jwt[0].issuer:"},
    {"[{\"issuer\":7,\"audience\":[\"a\"]," FILE_KEYS "}]", "2:3: jwt[0].issuer:"},
    /* audience */
    {"[{\"audience\":[],\"issuer\":\"i\"," FILE_KEYS "}]",
     "2:3: jwt[0].audience:~at least one audience"},
    {"[{\"audience\":\"a\",\"issuer\":\"i\"," FILE_KEYS "}]", "2:3: jwt[0].audience:"},
    {"[{\"audience\":[7],\"issuer\":\"i\"," FILE_KEYS "}]", "2:15: jwt[0].audience[0]:"},
    /* where the keys are */
    {"[{\"issuer\":\"i\",\"audience\":[\"a\"]}]",
     "2:2: jwt[0]:~add jwks_url or jwks_file"},
    {"[{\"issuer\":\"i\",\"audience\":[\"a\"],\"jwks_url\":null,\"jwks_file\":null}]",
     "2:2: jwt[0]:~add jwks_url or jwks_file"},
    {"[{\"issuer\":\"i\",\"audience\":[\"a\"],\"jwks_url\":\"https://i/\"," FILE_KEYS
     "}]",
     "2:2: jwt[0]:~one is enough"},
    {"[{\"ca_file\":\"c\",\"issuer\":\"i\",\"audience\":[\"a\"]," FILE_KEYS "}]",
     "2:3: jwt[0].ca_file:~only for jwks_url"},
    {"[{\"jwks_url\":7,\"issuer\":\"i\",\"audience\":[\"a\"]}]", "2:3: jwt[0].jwks_url:"},
    {"[{\"jwks_file\":7,\"issuer\":\"i\",\"audience\":[\"a\"]}]",
     "2:3: jwt[0].jwks_file:"},
    {"[{\"jwk_url\":\"https://i/\",\"issuer\":\"i\",\"audience\":[\"a\"]," FILE_KEYS "}]",
     "2:3: jwt[0].jwk_url:~\"jwks_url\""},
    /* times */
    {"[{\"leeway\":\"601s\",\"issuer\":\"i\",\"audience\":[\"a\"]," FILE_KEYS "}]",
     "2:3: jwt[0].leeway:"},
    {"[{\"leeway\":60,\"issuer\":\"i\",\"audience\":[\"a\"]," FILE_KEYS "}]",
     "2:3: jwt[0].leeway:"},
    {"[{\"refresh\":\"0s\",\"issuer\":\"i\",\"audience\":[\"a\"]," FILE_KEYS "}]",
     "2:3: jwt[0].refresh:"},
    {"[{\"refresh\":\"169h\",\"issuer\":\"i\",\"audience\":[\"a\"]," FILE_KEYS "}]",
     "2:3: jwt[0].refresh:"},
    /* one issuer, one place */
    {"[{\"issuer\":\"i\",\"audience\":[\"a\"]," FILE_KEYS "},\n"
     "{\"issuer\":\"j\",\"audience\":[\"a\"]," FILE_KEYS "},\n"
     "{\"issuer\":\"i\",\"audience\":[\"b\"]," FILE_KEYS "}]",
     "4:2: jwt[2].issuer:~the issuer of jwt[0] too"},
};

START_TEST(what_is_wrong_is_said)
{
    const struct config_jwt *list;

    (void)read_value(bad[_i].text, &list, bad[_i].problems);
}
END_TEST

START_TEST(there_is_a_most_of_issuers)
{
    const struct config_jwt *list;
    struct text text = {0};

    for (unsigned most = CONFIG_MOST_ISSUERS; most <= CONFIG_MOST_ISSUERS + 1; most++) {
        text_clear(&text);
        for (unsigned i = 0; i < most; i++)
            text_add_format(&text,
                            "%s{\"issuer\":\"i%u\",\"audience\":[\"a\"]," FILE_KEYS "}",
                            i == 0 ? "[" : ",", i);
        text_add_byte(&text, ']');
        ck_assert_uint_eq(
            read_value(text.bytes, &list,
                       most == CONFIG_MOST_ISSUERS ? "" : "1:2: jwt:~at most 32"),
            most == CONFIG_MOST_ISSUERS ? most : 0);
    }
    text_fini(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config/jwt");
    TCase *tcase = suite_case(suite, "jwt");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_test(tcase, an_issuer_is_read_with_its_defaults);
    tcase_add_test(tcase, every_option_is_read);
    tcase_add_test(tcase, null_and_nothing_are_none);
    tcase_add_loop_test(tcase, keys_may_come_from_there, 0, ROWS(good_urls));
    tcase_add_loop_test(tcase, keys_may_not_come_from_there, 0, ROWS(bad_urls));
    tcase_add_loop_test(tcase, what_is_wrong_is_said, 0, ROWS(bad));
    tcase_add_test(tcase, there_is_a_most_of_issuers);
    return run_suite(suite);
}
