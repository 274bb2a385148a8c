#include "access/credential.h"
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

static void must_hold(const struct secret *secret, struct span wanted)
{
    ck_assert_ptr_nonnull(secret);
    assert_span_is(secret_span(secret), wanted, "the key");
}

/* One line of visible ASCII, white space around it trimmed. */
static const struct {
    struct span content, key;
} good[] = {
    {SPAN("k"), SPAN("k")},
    {SPAN("secret-KEY_0123~!"), SPAN("secret-KEY_0123~!")},
    {SPAN("key\n"), SPAN("key")},
    {SPAN("key\r\n"), SPAN("key")},
    {SPAN("key\n\n \t\r\n"), SPAN("key")},
    {SPAN(" \t\r\nkey"), SPAN("key")},
    {SPAN(" key "), SPAN("key")},
};

START_TEST(a_key_is_trimmed)
{
    const char *path = folder_write(&folder, "key", good[_i].content, 0600);
    struct error error = {{0}};
    struct secret *secret = credential_read_file(path, &error);

    ck_assert_msg(secret != NULL, "%s", error.text);
    must_hold(secret, good[_i].key);
    /* What was trimmed is not left behind the key. */
    for (size_t i = good[_i].key.len; i < good[_i].content.len; i++)
        ck_assert_int_eq(secret_bytes(secret)[i], 0);
    secret_free(secret);
}
END_TEST

static const struct span bad[] = {
    SPAN(""),
    SPAN(" \t\r\n"),
    SPAN("hush hush"),
    SPAN("hush\thush"),
    SPAN("hush\nhush"),
    SPAN("hush\rhush"),
    SPAN("\"hush\" # comment"),
    SPAN("hush\0hush"),
    SPAN("hush\0"),
    SPAN("hush\n\0"),
    SPAN("\0hush"),
    SPAN("\0"),
    SPAN("hush\x01"),
    SPAN("hush\x7f"),
    SPAN("hush\x80"),
    SPAN("hush\xc3\xa9"),
    SPAN("\xef\xbb\xbfhush"),
    SPAN("hush\x0b"),
    SPAN("hush\x0c"),
};

START_TEST(what_is_no_key_is_refused_and_not_repeated)
{
    const char *path = folder_write(&folder, "key", bad[_i], 0600);
    struct error error = {{0}};
    struct secret *secret = credential_read_file(path, &error);
    bool is_refused = secret == NULL;

    secret_free(secret);
    ck_assert_msg(is_refused, "'%s' is a key", shown(bad[_i]));
    ck_assert_ptr_nonnull(strstr(error.text, path));
    ck_assert_ptr_null(strstr(error.text, "hush"));
}
END_TEST

START_TEST(a_key_may_be_long_but_not_endless)
{
    char key[4097];
    struct error error = {{0}};
    struct secret *secret;

    memset(key, 'k', sizeof(key));
    secret = credential_read_file(folder_write(&folder, "a", span_make(key, 4096), 0600),
                                  &error);
    must_hold(secret, span_make(key, 4096));
    secret_free(secret);
    ck_assert_ptr_null(credential_read_file(
        folder_write(&folder, "b", span_make(key, 4097), 0600), &error));
    ck_assert_ptr_null(strstr(error.text, "kkkk"));
}
END_TEST

static const struct {
    mode_t mode;
    bool is_fine_for_root, is_fine;
} modes[] = {
    {0600, true, true},   {0400, true, true},   {0640, true, false},
    {0440, true, false},  {0604, false, false}, {0644, false, false},
    {0660, false, false}, {0602, false, false}, {0610, false, false},
    {0666, false, false},
};

START_TEST(a_key_file_is_private)
{
    bool is_fine = geteuid() == 0 ? modes[_i].is_fine_for_root : modes[_i].is_fine;
    const char *path = folder_write(&folder, "key", SPAN("hush"), modes[_i].mode);
    struct error error = {{0}};
    struct secret *secret = credential_read_file(path, &error);

    ck_assert_int_eq(secret != NULL, is_fine);
    if (secret == NULL) {
        ck_assert_ptr_nonnull(strstr(error.text, path));
        ck_assert_ptr_nonnull(strstr(error.text, "chmod"));
    }
    secret_free(secret);
}
END_TEST

START_TEST(a_key_file_of_a_stranger_is_refused)
{
    const char *path = folder_write(&folder, "key", SPAN("hush"), 0600);
    struct error error = {{0}};

    if (geteuid() != 0)
        return; /* nobody else may give files away */
    ck_assert_int_eq(chown(path, FOLDER_STRANGER, (gid_t)-1), 0);
    ck_assert_ptr_null(credential_read_file(path, &error));
    ck_assert_ptr_nonnull(strstr(error.text, path));
}
END_TEST

START_TEST(what_is_no_file_holds_no_key)
{
    struct error error = {{0}};

    ck_assert_ptr_null(credential_read_file(folder_entry(&folder, "absent"), &error));
    ck_assert_ptr_nonnull(strstr(error.text, "No such file"));
    ck_assert_ptr_null(credential_read_file(folder.path, &error));
    ck_assert_ptr_null(credential_read_file("/dev/null", &error));
}
END_TEST

enum { MOST = 3 };

/* A configuration of at most three credentials, each a name and a file or a variable. */
struct scene {
    struct config_credential credentials[MOST];
    struct config config;
    struct problems problems;
};

static void add(struct scene *scene, const char *name, const char *file, const char *env)
{
    scene->credentials[scene->config.credential_count++] =
        (struct config_credential){name, file, env, NULL};
    scene->config.credentials = scene->credentials;
    scene->config.path = "dir/psgate.json";
}

static struct credential_set *must_load(struct scene *scene, const struct scene *previous,
                                        const struct credential_set *set)
{
    struct credential_set *loaded =
        credential_set_load(&scene->config, previous != NULL ? &previous->config : NULL,
                            set, &scene->problems);

    ck_assert_msg(loaded != NULL, "%s", scene->problems.lines.bytes);
    ck_assert_uint_eq(scene->problems.count, 0);
    return loaded;
}

START_TEST(credentials_are_found_by_name)
{
    struct scene scene = {0};
    struct credential_set *set;

    add(&scene, "default", folder_write(&folder, "a", SPAN("key-a\n"), 0600), NULL);
    add(&scene, "other", folder_write(&folder, "b", SPAN("key-b\n"), 0400), NULL);
    set = must_load(&scene, NULL, NULL);
    ck_assert_uint_eq(set->count, 2);
    must_hold(credential_find(set, "default")->api_keys[0], SPAN("key-a"));
    must_hold(credential_find(set, "other")->api_keys[0], SPAN("key-b"));
    ck_assert_str_eq(credential_find(set, "other")->name, "other");
    ck_assert_ptr_null(credential_find(set, "Default"));
    ck_assert_ptr_null(credential_find(set, ""));
    credential_set_free(set);
    credential_set_free(NULL);
}
END_TEST

#define VARIABLE "PSGATE_TEST_KEY"

START_TEST(a_variable_is_overwritten_in_place)
{
    static char variable[] = VARIABLE "= hush-hush\n";
    const size_t start = sizeof(VARIABLE); /* with the '=' */
    struct scene scene = {0};
    struct credential_set *set;

    ck_assert_int_eq(putenv(variable), 0);
    add(&scene, "default", NULL, VARIABLE);
    set = must_load(&scene, NULL, NULL);
    must_hold(credential_find(set, "default")->api_keys[0], SPAN("hush-hush"));
    credential_cleanse_environment(&scene.config);
    for (size_t i = start; i < sizeof(variable); i++)
        ck_assert_int_eq(variable[i], 0);
    ck_assert_int_eq(strncmp(variable, VARIABLE "=", start), 0);
    ck_assert_int_eq(unsetenv(VARIABLE), 0);
    credential_set_free(set);
}
END_TEST

static const char *const bad_values[] = {"", " ", "hush hush", "hush\nhush", "h\xc3\xa9"};

START_TEST(a_bad_variable_is_a_problem_and_not_repeated)
{
    struct scene scene = {0};

    ck_assert_int_eq(setenv(VARIABLE, bad_values[_i], 1), 0);
    add(&scene, "default", NULL, VARIABLE);
    ck_assert_ptr_null(credential_set_load(&scene.config, NULL, NULL, &scene.problems));
    ck_assert_int_eq(unsetenv(VARIABLE), 0);
    ck_assert_uint_eq(scene.problems.count, 1);
    ck_assert_ptr_nonnull(strstr(scene.problems.lines.bytes, VARIABLE));
    ck_assert_ptr_null(strstr(scene.problems.lines.bytes, "hush"));
    problems_fini(&scene.problems);
}
END_TEST

START_TEST(a_variable_that_is_too_long_is_a_problem)
{
    struct scene scene = {0};
    char value[4098];

    memset(value, 'k', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    ck_assert_int_eq(setenv(VARIABLE, value, 1), 0);
    add(&scene, "default", NULL, VARIABLE);
    ck_assert_ptr_null(credential_set_load(&scene.config, NULL, NULL, &scene.problems));
    ck_assert_int_eq(unsetenv(VARIABLE), 0);
    ck_assert_uint_eq(scene.problems.count, 1);
    ck_assert_ptr_null(strstr(scene.problems.lines.bytes, "kkkk"));
    problems_fini(&scene.problems);
}
END_TEST

START_TEST(every_problem_names_its_file_and_credential)
{
    struct scene scene = {0};
    const char *lines;

    ck_assert_int_eq(unsetenv(VARIABLE), 0);
    add(&scene, "one", folder_entry(&folder, "absent"), NULL);
    add(&scene, "two", NULL, VARIABLE);
    add(&scene, "good", folder_write(&folder, "key", SPAN("k"), 0600), NULL);
    ck_assert_ptr_null(credential_set_load(&scene.config, NULL, NULL, &scene.problems));
    ck_assert_uint_eq(scene.problems.count, 2);
    lines = scene.problems.lines.bytes;
    ck_assert_int_eq(strncmp(lines, "dir/psgate.json:", 16), 0);
    ck_assert_ptr_nonnull(strstr(lines, " credentials.one"));
    ck_assert_ptr_nonnull(strstr(lines, "\ndir/psgate.json:"));
    ck_assert_ptr_nonnull(strstr(lines, " credentials.two"));
    problems_fini(&scene.problems);
}
END_TEST

START_TEST(a_problem_says_where_the_credential_stands)
{
    const char *path = folder_write(&folder, "psgate.json",
                                    SPAN("{\"clients_file\":\"c\",\n"
                                         " \"credentials\":{\n"
                                         "  \"a\":{\"api_key_file\":\"absent\"},\n"
                                         "  \"b\":{\"api_key_env\":\"" VARIABLE "\"}}}"),
                                    0600);
    struct problems problems = {0};
    struct config *config = config_load(path, &problems);

    ck_assert_msg(config != NULL, "%s", problems.lines.bytes);
    ck_assert_int_eq(unsetenv(VARIABLE), 0);
    ck_assert_ptr_null(credential_set_load(config, NULL, NULL, &problems));
    assert_problems(&problems, path,
                    "3:8: credentials.a.api_key_file:~No such file\n"
                    "4:8: credentials.b.api_key_env:~" VARIABLE);
    problems_fini(&problems);
    config_free(config);
}
END_TEST

/* The variable is empty by then: the key is found in the set before. */
START_TEST(a_reload_finds_the_key_of_a_variable_again)
{
    struct scene before = {0}, after = {0};
    struct credential_set *old, *fresh;

    ck_assert_int_eq(setenv(VARIABLE, "hush", 1), 0);
    add(&before, "x", folder_write(&folder, "key", SPAN("of-file"), 0600), NULL);
    add(&before, "default", NULL, VARIABLE);
    old = must_load(&before, NULL, NULL);
    add(&after, "renamed", NULL, VARIABLE);
    fresh = must_load(&after, &before, old);
    credential_set_free(old); /* the new key is its own */
    must_hold(credential_find(fresh, "renamed")->api_keys[0], SPAN("hush"));
    credential_set_free(fresh);
    ck_assert_int_eq(unsetenv(VARIABLE), 0);
}
END_TEST

START_TEST(a_reload_reads_files_anew)
{
    struct scene before = {0}, after = {0};
    const char *path = folder_write(&folder, "key", SPAN("old"), 0600);
    struct credential_set *old, *fresh;

    add(&before, "default", path, NULL);
    old = must_load(&before, NULL, NULL);
    (void)folder_write(&folder, "key", SPAN("new"), 0600);
    add(&after, "default", path, NULL);
    fresh = must_load(&after, &before, old);
    must_hold(credential_find(fresh, "default")->api_keys[0], SPAN("new"));
    must_hold(credential_find(old, "default")->api_keys[0], SPAN("old"));
    credential_set_free(old);
    credential_set_free(fresh);
}
END_TEST

START_TEST(two_credentials_may_share_a_variable)
{
    struct scene scene = {0};
    struct credential_set *set;

    ck_assert_int_eq(setenv(VARIABLE, "hush", 1), 0);
    add(&scene, "one", NULL, VARIABLE);
    add(&scene, "two", NULL, VARIABLE);
    set = credential_set_load(&scene.config, NULL, NULL, &scene.problems);
    ck_assert_int_eq(unsetenv(VARIABLE), 0);
    ck_assert_msg(set != NULL, "%s", scene.problems.lines.bytes);
    must_hold(credential_find(set, "one")->api_keys[0], SPAN("hush"));
    must_hold(credential_find(set, "two")->api_keys[0], SPAN("hush"));
    credential_set_free(set);
}
END_TEST

/* A reload is all or nothing (INTERFACES, Signals): one that failed can be repeated. */
START_TEST(a_failed_load_loses_no_key)
{
    struct scene wrong = {0}, right = {0};
    struct credential_set *set;

    ck_assert_int_eq(setenv(VARIABLE, "hush", 1), 0);
    add(&wrong, "default", NULL, VARIABLE);
    add(&wrong, "other", folder_entry(&folder, "absent"), NULL);
    ck_assert_ptr_null(credential_set_load(&wrong.config, NULL, NULL, &wrong.problems));
    problems_fini(&wrong.problems);
    add(&right, "default", NULL, VARIABLE);
    set = credential_set_load(&right.config, NULL, NULL, &right.problems);
    ck_assert_int_eq(unsetenv(VARIABLE), 0);
    ck_assert_msg(set != NULL, "%s", right.problems.lines.bytes);
    must_hold(credential_find(set, "default")->api_keys[0], SPAN("hush"));
    credential_set_free(set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/credential");
    TCase *files = suite_case(suite, "files");
    TCase *variables = suite_case(suite, "variables");
    TCase *sets = suite_case(suite, "sets");
    TCase *cases[] = {files, variables, sets};

    for (int i = 0; i < ROWS(cases); i++)
        tcase_add_checked_fixture(cases[i], make_folder, remove_folder);
    tcase_add_loop_test(files, a_key_is_trimmed, 0, ROWS(good));
    tcase_add_loop_test(files, what_is_no_key_is_refused_and_not_repeated, 0, ROWS(bad));
    tcase_add_test(files, a_key_may_be_long_but_not_endless);
    tcase_add_loop_test(files, a_key_file_is_private, 0, ROWS(modes));
    tcase_add_test(files, a_key_file_of_a_stranger_is_refused);
    tcase_add_test(files, what_is_no_file_holds_no_key);
    tcase_add_test(variables, a_variable_is_overwritten_in_place);
    tcase_add_loop_test(variables, a_bad_variable_is_a_problem_and_not_repeated, 0,
                        ROWS(bad_values));
    tcase_add_test(variables, a_variable_that_is_too_long_is_a_problem);
    tcase_add_test(variables, two_credentials_may_share_a_variable);
    tcase_add_test(sets, credentials_are_found_by_name);
    tcase_add_test(sets, every_problem_names_its_file_and_credential);
    tcase_add_test(sets, a_problem_says_where_the_credential_stands);
    tcase_add_test(sets, a_reload_finds_the_key_of_a_variable_again);
    tcase_add_test(sets, a_reload_reads_files_anew);
    tcase_add_test(sets, a_failed_load_loses_no_key);
    return run_suite_in_folder(suite);
}
