/* Clients files that are refused: where each problem is, and what it must not repeat. */
#include "access/client.h"
#include "support/folder.h"
#include "support/lines.h"

static struct folder folder;
static struct operation_table *table;

static struct config_credential credentials[] = {
    {.name = "default", .api_key_file = "/k"},
};

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

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void check_problems(struct span text, mode_t mode, const char *wanted)
{
    const char *path = folder_write(&folder, "clients.json", text, mode);
    struct problems problems = {0};
    struct client_set *set = client_set_load(path, &config, table, &problems);
    bool is_refused = set == NULL;

    client_set_free(set);
    ck_assert_msg(is_refused, "accepted: %s", shown(text));
    assert_problems(&problems, path, wanted);
    problems_fini(&problems);
}

/* Members of a client that has all it needs; they begin the second line. */
static const struct {
    const char *members, *problems;
} wrongs[] = {
    {"\"nmae\":\"x\"", "2:1: clients[0].nmae:~\"name\""},
    {"\"token\":\"x\"", "2:1: clients[0].token:~\"token_sha256\""},
    {"\"created\":\"yesterday\"", "2:1: clients[0].created:"},
    {"\"created\":5", "2:1: clients[0].created:"},
    {"\"expires\":\"90d\"", "2:1: clients[0].expires:"},
    {"\"expires\":\"2027-02-30T00:00:00Z\"", "2:1: clients[0].expires:"},
    {"\"expires\":\"2027-01-31T00:00:00+01:00\"", "2:1: clients[0].expires:"},
    {"\"expires\":0", "2:1: clients[0].expires:"},
    {"\"expires\":\"\"", "2:1: clients[0].expires:"},
    {"\"credential\":\"defualt\"", "2:1: clients[0].credential:~psgate.json"},
    {"\"credential\":\"\"", "2:1: clients[0].credential:"},
    {"\"credential\":null", "2:1: clients[0].credential:"},
    {"\"credential\":5", "2:1: clients[0].credential:"},
    {"\"allow\":\"*\"", "2:1: clients[0].allow:"},
    {"\"allow\":null", "2:1: clients[0].allow:"},
    {"\"allow\":[\"\"]", "2:10: clients[0].allow[0]:"},
    {"\"allow\":[5]", "2:10: clients[0].allow[0]:"},
    {"\"allow\":[\"getSesion\"]", "2:10: clients[0].allow[0]:~\"getSession\""},
    {"\"allow\":[\"getsession\"]", "2:10: clients[0].allow[0]:~\"getSession\""},
    {"\"allow\":[\"*\",\"lsit*\"]", "2:14: clients[0].allow[1]:~lsit"},
    {"\"allow\":[\"others\"]", "2:10: clients[0].allow[0]:~\"other\""},
    {"\"deny\":[\"createTeamSecrets\"]", "2:9: clients[0].deny[0]:~\"createTeamSecret\""},
    {"\"deny\":\"getSession\"", "2:1: clients[0].deny:"},
    {"\"deny\":null", "2:1: clients[0].deny:"},
    {"\"teams\":\"*\"", "2:1: clients[0].teams:"},
    {"\"teams\":[\"\"]", "2:10: clients[0].teams[0]:"},
    {"\"teams\":null", "2:1: clients[0].teams:"},
    {"\"admin\":\"false\"", "2:1: clients[0].admin:"},
    {"\"admin\":null", "2:1: clients[0].admin:"},
    {"\"rate\":20", "2:1: clients[0].rate:"},
    {"\"rate\":\"\"", "2:1: clients[0].rate:"},
    {"\"rate\":\"20\"", "2:1: clients[0].rate:~20/s"},
    {"\"rate\":\"0/s\"", "2:1: clients[0].rate:"},
    {"\"rate\":\"20/d\"", "2:1: clients[0].rate:"},
    {"\"rate\":\"1000001/s\"", "2:1: clients[0].rate:"},
    {"\"burst\":-1", "2:1: clients[0].burst:"},
    {"\"burst\":0", "2:1: clients[0].burst:"},
    {"\"burst\":1000001", "2:1: clients[0].burst:"},
    {"\"burst\":5", "2:1: clients[0].burst:~rate"},
    {"\"concurrency\":0", "2:1: clients[0].concurrency:"},
    {"\"concurrency\":\"1\"", "2:1: clients[0].concurrency:"},
    {"\"concurency\":1", "2:1: clients[0].concurency:~\"concurrency\""},
    {"\"burst\":\"40\"", "2:1: clients[0].burst:"},
    {"\"uid\":\"root\"", "2:1: clients[0].uid:"},
    {"\"tls_subject\":5", "2:1: clients[0].tls_subject:"},
};

START_TEST(a_wrong_member_is_a_problem)
{
    struct text text = {0};

    text_add_format(
        &text, "{\"clients\":[{\"name\":\"ci\",\"token_sha256\":\"" DIGEST "\",\n%s}]}",
        wrongs[_i].members);
    check_problems(span_make(text.bytes, text.len), 0600, wrongs[_i].problems);
    text_fini(&text);
}
END_TEST

#define CLIENT(members) SPAN("{\"clients\":[\n{" members "}]}")

static const struct {
    struct span text;
    const char *problems;
} files[] = {
    {SPAN("[]"), "1:1:~\"clients\""},
    {SPAN("{}"), "1:1:~\"clients\""},
    {SPAN("{\"clients\":{}}"), "1:1:~array"},
    {SPAN("{\"clients\":null}"), "1:1:~array"},
    {SPAN("{\"clients\":[],\"client\":[]}"), "1:15: client:~\"clients\""},
    {SPAN("{\"clients\":[5]}"), "1:13: clients[0]:"},
    {SPAN("{\"clients\":[null]}"), "1:13: clients[0]:"},
    {CLIENT("\"token_sha256\":\"" DIGEST "\""), "2:1: clients[0].name:~missing"},
    {CLIENT("\"name\":\"\",\"token_sha256\":\"" DIGEST "\""), "2:2: clients[0].name:"},
    {CLIENT("\"name\":null,\"token_sha256\":\"" DIGEST "\""), "2:2: clients[0].name:"},
    {CLIENT("\"name\":5,\"token_sha256\":\"" DIGEST "\""), "2:2: clients[0].name:"},
    {CLIENT("\"name\":\"a\""), "2:1: clients[0]:~identity"},
    {CLIENT("\"name\":\"a\",\"uid\":null"), "2:1: clients[0]:~identity"},
    {CLIENT("\"name\":\"a\",\"tls_subject\":null"), "2:1: clients[0]:~identity"},
    {SPAN("{\"clients\":[{\"name\":\"a\",\"token_sha256\":\"" DIGEST "\"},\n"
          "{\"name\":\"b\",\"token_sha256\":\"" DIGEST "\"}]}"),
     "2:1: clients[1]:~token"},
};

START_TEST(a_file_that_is_wrong_is_refused_with_its_place)
{
    check_problems(files[_i].text, 0600, files[_i].problems);
}
END_TEST

/* None is a digest; what stands there may be a token, and is not repeated. */
static const char *const no_digests[] = {
    "\"\"",
    "\"0011223344\"",
    "\"psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ\"",
    "\"0x112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"",
    "\" 0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"",
    "\"g0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"",
    "\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0\"",
    "\"00112233445566778899aabbccddeeff00112233445566778899aabbccddee\xc3\xa9\"",
    "[\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"]",
    "11223344556677889",
    "null",
};

START_TEST(a_digest_is_64_hexadecimal_digits_and_is_not_repeated)
{
    struct problems problems = {0};
    struct text text = {0};
    const char *path;

    text_add_format(&text, "{\"clients\":[\n{\"name\":\"a\",\n\"token_sha256\":%s}]}",
                    no_digests[_i]);
    path = folder_write(&folder, "clients.json", span_make(text.bytes, text.len), 0600);
    ck_assert_ptr_null(client_set_load(path, &config, table, &problems));
    ck_assert_ptr_nonnull(
        strstr(problems.lines.bytes, ":3:1: clients[0].token_sha256: "));
    ck_assert_ptr_null(strstr(problems.lines.bytes, "112233"));
    ck_assert_ptr_null(strstr(problems.lines.bytes, "AAAA"));
    problems_fini(&problems);
    text_fini(&text);
}
END_TEST

/* Broken around a digest: the parser's message must not quote it. */
static const struct span broken[] = {
    SPAN("{\"clients\":[{\"token_sha256\" \"" DIGEST "\"}]}"),
    SPAN("{\"clients\":[{\"token_sha256\":\"" DIGEST "\n\"}]}"),
    SPAN("{\"clients\":[{\"token_sha256\":\"" DIGEST),
    SPAN("{\"clients\":[{\"token_sha256\":" DIGEST "}]}"),
    SPAN("{\"clients\":[{\"" DIGEST "\" \"x\"}]}"),
    SPAN("{\"clients\":[{\"token_sha256\":\"" DIGEST "\" \"" DIGEST "\"}]}"),
};

START_TEST(broken_json_does_not_spill_a_digest)
{
    const char *path = folder_write(&folder, "clients.json", broken[_i], 0600);
    struct problems problems = {0};

    ck_assert_ptr_null(client_set_load(path, &config, table, &problems));
    ck_assert_uint_eq(problems.count, 1);
    ck_assert_msg(strstr(problems.lines.bytes, "778899aabb") == NULL, "%s",
                  problems.lines.bytes);
    problems_fini(&problems);
}
END_TEST

static const struct {
    mode_t mode;
    bool is_fine_for_root, is_fine;
} modes[] = {
    {0600, true, true},   {0400, true, true},   {0640, true, false},
    {0440, true, false},  {0604, false, false}, {0644, false, false},
    {0660, false, false}, {0666, false, false},
};

/* INTERFACES: 0600 or stricter if owned by the running user, at most 0640 if by root. */
START_TEST(the_clients_file_is_private)
{
    bool is_fine = geteuid() == 0 ? modes[_i].is_fine_for_root : modes[_i].is_fine;
    const char *path =
        folder_write(&folder, "clients.json", SPAN("{\"clients\":[]}"), modes[_i].mode);
    struct problems problems = {0};
    struct client_set *set = client_set_load(path, &config, table, &problems);

    ck_assert_int_eq(set != NULL, is_fine);
    if (set == NULL)
        assert_problems(&problems, path, "1:1:~chmod");
    else
        ck_assert_uint_eq(set->count, 0);
    client_set_free(set);
    problems_fini(&problems);
}
END_TEST

START_TEST(an_absent_file_is_a_problem)
{
    struct problems problems = {0};
    const char *path = folder_entry(&folder, "absent");

    ck_assert_ptr_null(client_set_load(path, &config, table, &problems));
    assert_problems(&problems, path, "1:1:~No such file");
    problems_fini(&problems);
}
END_TEST

START_TEST(every_problem_of_every_client_is_reported)
{
    check_problems(SPAN("{\"clients\":[\n"
                        "{\"name\":\"a\",\"uid\":\"x\",\n"
                        "\"allow\":[\"nothing-like-it\"]},\n"
                        "{\"name\":\"b\"},\n"
                        "{\"name\":\"c\",\"uid\":1,\"credential\":\"none\"}]}"),
                   0600,
                   "2:13: clients[0].uid:\n"
                   "3:10: clients[0].allow[0]:~nothing-like-it\n"
                   "4:1: clients[1]:~identity\n"
                   "5:21: clients[2].credential:");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/client, refused");
    TCase *problems = suite_case(suite, "problems");
    TCase *secrecy = suite_case(suite, "secrecy");

    tcase_add_checked_fixture(problems, set_up, tear_down);
    tcase_add_checked_fixture(secrecy, set_up, tear_down);
    tcase_add_loop_test(problems, a_wrong_member_is_a_problem, 0, ROWS(wrongs));
    tcase_add_loop_test(problems, a_file_that_is_wrong_is_refused_with_its_place, 0,
                        ROWS(files));
    tcase_add_test(problems, an_absent_file_is_a_problem);
    tcase_add_test(problems, every_problem_of_every_client_is_reported);
    tcase_add_loop_test(secrecy, a_digest_is_64_hexadecimal_digits_and_is_not_repeated, 0,
                        ROWS(no_digests));
    tcase_add_loop_test(secrecy, broken_json_does_not_spill_a_digest, 0, ROWS(broken));
    tcase_add_loop_test(secrecy, the_clients_file_is_private, 0, ROWS(modes));
    return run_suite_in_folder(suite);
}
