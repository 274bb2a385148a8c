/* Requests without a wire: paths, bodies, keys, validators, and how errors are chosen. */
#include <string.h>

#include <check.h>

#include "sandbox/keys.h"
#include "sandbox/path.h"
#include "sandbox/routes.h"

/* Paths. */

static struct sandbox_path path;

static void assert_segment(size_t index, struct span wanted)
{
    ck_assert_uint_lt(index, path.count);
    ck_assert(span_equal(path.segments[index], wanted));
}

START_TEST(path_is_cut_at_slashes)
{
    ck_assert(sandbox_path_split(SPAN("/v1/auth/session"), &path));
    ck_assert_uint_eq(path.count, 3);
    assert_segment(0, SPAN("v1"));
    assert_segment(1, SPAN("auth"));
    assert_segment(2, SPAN("session"));
}
END_TEST

START_TEST(one_trailing_slash_is_ignored_and_empty_segments_are_not)
{
    ck_assert(sandbox_path_split(SPAN("/v1/a/"), &path));
    ck_assert_uint_eq(path.count, 2);
    ck_assert(sandbox_path_split(SPAN("/v1//a"), &path));
    ck_assert_uint_eq(path.count, 3);
    assert_segment(1, SPAN(""));
    ck_assert(sandbox_path_split(SPAN("/v1/a//"), &path));
    ck_assert_uint_eq(path.count, 3);
    ck_assert(sandbox_path_split(SPAN("/"), &path));
    ck_assert_uint_eq(path.count, 1);
    assert_segment(0, SPAN(""));
}
END_TEST

START_TEST(segments_are_decoded_after_they_are_cut)
{
    ck_assert(sandbox_path_split(SPAN("/a%2fb/c%20%C3%a9/%00"), &path));
    ck_assert_uint_eq(path.count, 3);
    assert_segment(0, SPAN("a/b"));
    assert_segment(1, SPAN("c \xc3\xa9"));
    assert_segment(2, SPAN("\0"));
}
END_TEST

START_TEST(malformed_path_is_refused)
{
    ck_assert(!sandbox_path_split(SPAN(""), &path));
    ck_assert(!sandbox_path_split(SPAN("v1"), &path));
    ck_assert(!sandbox_path_split(SPAN("/%"), &path));
    ck_assert(!sandbox_path_split(SPAN("/a%2"), &path));
    ck_assert(!sandbox_path_split(SPAN("/a%2/b"), &path));
    ck_assert(!sandbox_path_split(SPAN("/%g0"), &path));
    ck_assert(!sandbox_path_split(SPAN("/%0g"), &path));
}
END_TEST

START_TEST(long_and_deep_paths_are_bounded)
{
    static char text[SANDBOX_PATH_BYTES + 1];

    memset(text, 'a', sizeof(text));
    text[0] = '/';
    ck_assert(sandbox_path_split(span_make(text, SANDBOX_PATH_BYTES), &path));
    ck_assert(!sandbox_path_split(span_make(text, SANDBOX_PATH_BYTES + 1), &path));
    memset(text, '/', sizeof(text));
    ck_assert(sandbox_path_split(span_make(text, SANDBOX_PATH_BYTES), &path));
    ck_assert_uint_eq(path.count, SANDBOX_SEGMENTS_MAX);
}
END_TEST

/* Keys. */

START_TEST(only_accepted_keys_are_right)
{
    const struct span accepted[] = {SPAN("one"), SPAN("two")};
    struct sandbox_keys keys;

    ck_assert(sandbox_keys_init(&keys, accepted, 2));
    ck_assert(sandbox_keys_has(&keys, SPAN("one")));
    ck_assert(sandbox_keys_has(&keys, SPAN("two")));
    ck_assert(!sandbox_keys_has(&keys, SPAN("on")));
    ck_assert(!sandbox_keys_has(&keys, SPAN("ONE")));
    ck_assert(!sandbox_keys_has(&keys, SPAN("")));
    sandbox_keys_fini(&keys);
}
END_TEST

START_TEST(without_accepted_keys_any_but_the_empty_one_is_right)
{
    struct sandbox_keys keys;

    ck_assert(sandbox_keys_init(&keys, NULL, 0));
    ck_assert(sandbox_keys_has(&keys, SPAN("anything")));
    ck_assert(!sandbox_keys_has(&keys, span_make(NULL, 0)));
    sandbox_keys_fini(&keys);
}
END_TEST

START_TEST(bearer_is_read_in_any_case)
{
    ck_assert(span_equal(sandbox_keys_bearer(SPAN("Bearer k")), SPAN("k")));
    ck_assert(span_equal(sandbox_keys_bearer(SPAN("bEARER   k ")), SPAN("k")));
    ck_assert_uint_eq(sandbox_keys_bearer(SPAN("Bearer")).len, 0);
    ck_assert_uint_eq(sandbox_keys_bearer(SPAN("Bearer ")).len, 0);
    ck_assert_uint_eq(sandbox_keys_bearer(SPAN("Bearerk")).len, 0);
    ck_assert_uint_eq(sandbox_keys_bearer(SPAN("Basic k")).len, 0);
    ck_assert_uint_eq(sandbox_keys_bearer(SPAN("")).len, 0);
}
END_TEST

/* Requests. */

static struct sandbox_state *state;
static struct sandbox_body body;
static struct sandbox_answer answer;
static bool is_authorized;
static struct span if_none_match;

static void set_up(void)
{
    state = sandbox_state_new();
    ck_assert_ptr_nonnull(state);
    is_authorized = true;
    if_none_match = SPAN("");
}

static void tear_down(void)
{
    sandbox_body_fini(&body);
    sandbox_answer_fini(&answer);
    sandbox_state_free(state);
}

static unsigned perform(enum sandbox_method method, const char *target, const char *text)
{
    struct sandbox_request request = {
        .method = method,
        .path = span_of(target),
        .if_none_match = if_none_match,
        .task = {.is_authorized = is_authorized, .body = &body, .now_ms = 1000},
    };

    sandbox_answer_fini(&answer);
    if (text != NULL) {
        sandbox_body_fini(&body);
        sandbox_body_add(&body, span_of(text));
    }
    sandbox_perform(state, &request, &answer);
    return answer.status;
}

static void assert_says(const char *text)
{
    ck_assert_ptr_nonnull(answer.body.bytes);
    ck_assert_msg(strstr(answer.body.bytes, text) != NULL, "%s", answer.body.bytes);
}

#define TEAM "/v1/teams/sandbox"

static const struct {
    enum sandbox_method method;
    const char *path;
} team_operations[] = {
    {SANDBOX_GET, TEAM "/users"},
    {SANDBOX_PUT, TEAM "/users/usandbox02"},
    {SANDBOX_DELETE, TEAM "/users/usandbox02"},
    {SANDBOX_GET, TEAM "/secrets"},
    {SANDBOX_POST, TEAM "/secrets"},
    {SANDBOX_GET, TEAM "/secrets/DATABASE_URL"},
    {SANDBOX_PATCH, TEAM "/secrets/DATABASE_URL"},
    {SANDBOX_DELETE, TEAM "/secrets/DATABASE_URL"},
};

START_TEST(team_operation_without_a_key_is_401_and_changes_nothing)
{
    is_authorized = false;
    ck_assert_uint_eq(perform(team_operations[_i].method, team_operations[_i].path,
                              "{\"name\":\"N\",\"value\":\"v\",\"isAdmin\":true}"),
                      401);
    assert_says("{\"code\":\"UNAUTHORIZED\",\"message\":\"");
    ck_assert_uint_eq(sandbox_state_member_count(state), 3);
    ck_assert_uint_eq(sandbox_state_secret_count(state), 2);
    ck_assert(!sandbox_state_member(state, 1)->is_admin);
}
END_TEST

START_TEST(unknown_path_is_404_with_or_without_a_key)
{
    static const char *const paths[] = {
        "/",
        "/v1",
        "/v2/auth/session",
        "/v1/auth",
        "/v1/auth/session/x",
        "/v1/teams",
        "/v1/teams/sandbox",
        "/v1//teams/sandbox/users",
        "/v1/teams//users",
        "/v1/teams/sandbox/projects",
        "/v1/teams/sandbox/users/usandbox01/x",
        "/v1/teams/sandbox/users//",
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        is_authorized = i % 2 == 0;
        ck_assert_msg(perform(SANDBOX_GET, paths[i], NULL) == 404, "%s", paths[i]);
        assert_says("{\"code\":\"NOT_FOUND\"");
    }
}
END_TEST

START_TEST(known_path_with_another_method_is_405_and_names_what_it_takes)
{
    ck_assert_uint_eq(perform(SANDBOX_POST, "/v1/auth/session", "{}"), 405);
    assert_says("{\"code\":\"METHOD_NOT_SUPPORTED\"");
    ck_assert_str_eq(answer.allow, "GET, HEAD");
    ck_assert_uint_eq(perform(SANDBOX_OTHER, TEAM "/secrets", NULL), 405);
    ck_assert_str_eq(answer.allow, "GET, HEAD, POST");
    ck_assert_uint_eq(perform(SANDBOX_PUT, TEAM "/secrets/X", NULL), 405);
    ck_assert_str_eq(answer.allow, "GET, HEAD, PATCH, DELETE");
    ck_assert_uint_eq(perform(SANDBOX_GET, TEAM "/users/usandbox01", NULL), 405);
    ck_assert_str_eq(answer.allow, "PUT, DELETE");
}
END_TEST

START_TEST(answer_with_an_operation_has_no_allow)
{
    ck_assert_uint_eq(perform(SANDBOX_DELETE, TEAM "/secrets/DATABASE_URL", NULL), 204);
    ck_assert_str_eq(answer.allow, "");
}
END_TEST

START_TEST(paths_match_without_regard_to_case_but_names_do_not)
{
    ck_assert_uint_eq(perform(SANDBOX_GET, "/V1/Teams/sandbox/SECRETS/", NULL), 200);
    ck_assert_uint_eq(perform(SANDBOX_GET, TEAM "/secrets/database_url", NULL), 404);
    ck_assert_uint_eq(perform(SANDBOX_GET, "/v1/teams/SANDBOX/secrets", NULL), 404);
}
END_TEST

START_TEST(unknown_team_is_404_by_any_operation)
{
    ck_assert_uint_eq(perform(SANDBOX_GET, "/v1/teams/other/users", NULL), 404);
    assert_says("NOT_FOUND");
    ck_assert_uint_eq(perform(SANDBOX_POST, "/v1/teams/other/secrets",
                              "{\"name\":\"N\",\"value\":\"v\"}"),
                      404);
    ck_assert_uint_eq(sandbox_state_secret_count(state), 2);
}
END_TEST

START_TEST(malformed_path_is_400)
{
    ck_assert_uint_eq(perform(SANDBOX_GET, TEAM "/secrets/%zz", NULL), 400);
    assert_says("BAD_REQUEST");
}
END_TEST

static const struct {
    enum sandbox_method method;
    const char *path;
    const char *text;
    const char *says;
} bad_bodies[] = {
    {SANDBOX_POST, TEAM "/secrets", "", "PARSE_ERROR"},
    {SANDBOX_POST, TEAM "/secrets", "{", "PARSE_ERROR"},
    {SANDBOX_POST, TEAM "/secrets", "{\"name\":\"N\",\"value\":\"v\"} x", "PARSE_ERROR"},
    {SANDBOX_POST, TEAM "/secrets", "name=N&value=v", "PARSE_ERROR"},
    {SANDBOX_POST, TEAM "/secrets", "\xff", "PARSE_ERROR"},
    {SANDBOX_POST, TEAM "/secrets", "null", "\"message\":\"the body must be an object\""},
    {SANDBOX_POST, TEAM "/secrets", "[]", "\"message\":\"the body must be an object\""},
    {SANDBOX_POST, TEAM "/secrets", "{}",
     "\"issues\":[{\"message\":\"name is required\"},{\"message\":\"value is "
     "required\"}]}"},
    {SANDBOX_POST, TEAM "/secrets", "{\"name\":\"N\"}",
     "\"issues\":[{\"message\":\"value is required\"}]}"},
    {SANDBOX_POST, TEAM "/secrets", "{\"name\":1,\"value\":\"v\"}",
     "\"issues\":[{\"message\":\"name must be a string\"}]}"},
    {SANDBOX_POST, TEAM "/secrets", "{\"name\":\"\",\"value\":\"v\"}",
     "name must be 1 to 255"},
    {SANDBOX_POST, TEAM "/secrets", "{\"name\":\"N\",\"value\":{\"a\":[\"v\"]}}",
     "value must be a string"},
    {SANDBOX_PATCH, TEAM "/secrets/DATABASE_URL", "{}", "value is required"},
    {SANDBOX_PATCH, TEAM "/secrets/DATABASE_URL", "{\"value\":null}", "must be a string"},
    {SANDBOX_PUT, TEAM "/users/usandbox02", "", "PARSE_ERROR"},
    {SANDBOX_PUT, TEAM "/users/usandbox02", "true", "must be an object"},
    {SANDBOX_PUT, TEAM "/users/usandbox02", "{\"isAdmin\":1}", "must be true or false"},
    {SANDBOX_PUT, TEAM "/users/usandbox02", "{\"isadmin\":true}", "isAdmin is missing"},
};

START_TEST(body_that_breaks_the_contract_is_400_and_changes_nothing)
{
    ck_assert_uint_eq(
        perform(bad_bodies[_i].method, bad_bodies[_i].path, bad_bodies[_i].text), 400);
    assert_says(bad_bodies[_i].says);
    ck_assert_uint_eq(sandbox_state_secret_count(state), 2);
    ck_assert_int_eq(sandbox_state_find_secret(state, SPAN("DATABASE_URL"))->modified_ms,
                     0);
    ck_assert(!sandbox_state_member(state, 1)->is_admin);
}
END_TEST

START_TEST(members_that_the_contract_does_not_know_are_ignored)
{
    ck_assert_uint_eq(
        perform(SANDBOX_PUT, TEAM "/users/usandbox02", "{\"isAdmin\":true,\"more\":[1]}"),
        200);
    ck_assert(sandbox_state_member(state, 1)->is_admin);
}
END_TEST

START_TEST(empty_update_of_a_member_changes_nothing)
{
    ck_assert_uint_eq(perform(SANDBOX_PUT, TEAM "/users/usandbox01", "{}"), 200);
    assert_says("\"isAdmin\":true");
}
END_TEST

START_TEST(unknown_item_is_404_whatever_the_body)
{
    ck_assert_uint_eq(perform(SANDBOX_PUT, TEAM "/users/nobody", "{"), 404);
    ck_assert_uint_eq(perform(SANDBOX_PATCH, TEAM "/secrets/NONE", "{"), 404);
    ck_assert_uint_eq(perform(SANDBOX_DELETE, TEAM "/secrets/NONE", NULL), 404);
    ck_assert_uint_eq(perform(SANDBOX_DELETE, TEAM "/users/nobody", NULL), 404);
}
END_TEST

START_TEST(body_of_a_mebibyte_is_read_and_one_byte_more_is_not)
{
    static const char secret[] = "{\"name\":\"N\",\"value\":\"v\"}";
    static char bytes[SANDBOX_BODY_MAX + 1];

    memset(bytes, ' ', sizeof(bytes));
    memcpy(bytes, secret, sizeof(secret) - 1);
    sandbox_body_add(&body, span_make(bytes, SANDBOX_BODY_MAX));
    ck_assert_uint_eq(perform(SANDBOX_POST, TEAM "/secrets", NULL), 201);
    sandbox_body_add(&body, span_make(bytes, 1));
    ck_assert(body.is_too_long);
    ck_assert_ptr_null(body.bytes);
    ck_assert_uint_eq(perform(SANDBOX_POST, TEAM "/secrets", NULL), 413);
    assert_says("{\"code\":\"PAYLOAD_TOO_LARGE\"");
}
END_TEST

START_TEST(body_grows_byte_by_byte)
{
    for (int i = 0; i < 5000; i++)
        sandbox_body_add(&body, SPAN("x"));
    ck_assert_uint_eq(body.len, 5000);
    ck_assert_int_eq(body.bytes[4999], 'x');
}
END_TEST

START_TEST(same_body_has_the_same_etag_and_another_has_another)
{
    char etag[SANDBOX_ETAG_BYTES];

    ck_assert_uint_eq(perform(SANDBOX_GET, TEAM "/secrets", NULL), 200);
    memcpy(etag, answer.etag, sizeof(etag));
    ck_assert_uint_eq(strlen(etag), SANDBOX_ETAG_BYTES - 1);
    ck_assert_uint_eq(perform(SANDBOX_HEAD, TEAM "/secrets", NULL), 200);
    ck_assert_str_eq(answer.etag, etag);
    ck_assert_uint_eq(perform(SANDBOX_DELETE, TEAM "/secrets/DATABASE_URL", NULL), 204);
    ck_assert_str_eq(answer.etag, "");
    ck_assert_uint_eq(perform(SANDBOX_GET, TEAM "/secrets", NULL), 200);
    ck_assert_str_ne(answer.etag, etag);
}
END_TEST

START_TEST(known_etag_is_answered_304)
{
    char list[128];

    ck_assert_uint_eq(perform(SANDBOX_GET, TEAM "/users", NULL), 200);
    (void)snprintf(list, sizeof(list), "\"x\" , W/%s", answer.etag);
    if_none_match = span_of(list);
    ck_assert_uint_eq(perform(SANDBOX_GET, TEAM "/users", NULL), 304);
    ck_assert_uint_eq(answer.body.len, 0);
    ck_assert_str_ne(answer.etag, "");
    if_none_match = SPAN("*");
    ck_assert_uint_eq(perform(SANDBOX_GET, TEAM "/users", NULL), 304);
    if_none_match = SPAN("\"x\", \"y\",");
    ck_assert_uint_eq(perform(SANDBOX_GET, TEAM "/users", NULL), 200);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static TCase *paths_case(void)
{
    TCase *tcase = tcase_create("paths");

    tcase_add_test(tcase, path_is_cut_at_slashes);
    tcase_add_test(tcase, one_trailing_slash_is_ignored_and_empty_segments_are_not);
    tcase_add_test(tcase, segments_are_decoded_after_they_are_cut);
    tcase_add_test(tcase, malformed_path_is_refused);
    tcase_add_test(tcase, long_and_deep_paths_are_bounded);
    return tcase;
}

static TCase *keys_case(void)
{
    TCase *tcase = tcase_create("keys");

    tcase_add_test(tcase, only_accepted_keys_are_right);
    tcase_add_test(tcase, without_accepted_keys_any_but_the_empty_one_is_right);
    tcase_add_test(tcase, bearer_is_read_in_any_case);
    return tcase;
}

static TCase *routes_case(void)
{
    TCase *tcase = tcase_create("routes");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, team_operation_without_a_key_is_401_and_changes_nothing, 0,
                        COUNT(team_operations));
    tcase_add_test(tcase, unknown_path_is_404_with_or_without_a_key);
    tcase_add_test(tcase, known_path_with_another_method_is_405_and_names_what_it_takes);
    tcase_add_test(tcase, answer_with_an_operation_has_no_allow);
    tcase_add_test(tcase, paths_match_without_regard_to_case_but_names_do_not);
    tcase_add_test(tcase, unknown_team_is_404_by_any_operation);
    tcase_add_test(tcase, malformed_path_is_400);
    return tcase;
}

static TCase *bodies_case(void)
{
    TCase *tcase = tcase_create("bodies");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, body_that_breaks_the_contract_is_400_and_changes_nothing,
                        0, COUNT(bad_bodies));
    tcase_add_test(tcase, members_that_the_contract_does_not_know_are_ignored);
    tcase_add_test(tcase, empty_update_of_a_member_changes_nothing);
    tcase_add_test(tcase, unknown_item_is_404_whatever_the_body);
    tcase_add_test(tcase, body_of_a_mebibyte_is_read_and_one_byte_more_is_not);
    tcase_add_test(tcase, body_grows_byte_by_byte);
    tcase_add_test(tcase, same_body_has_the_same_etag_and_another_has_another);
    tcase_add_test(tcase, known_etag_is_answered_304);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("sandbox requests");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, paths_case());
    suite_add_tcase(suite, keys_case());
    suite_add_tcase(suite, routes_case());
    suite_add_tcase(suite, bodies_case());
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
