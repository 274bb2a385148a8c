/* The team's data: what is seeded, and what each change does or refuses. */
#include <stdio.h>
#include <string.h>

#include <check.h>

#include "sandbox/state.h"

static struct sandbox_state *state;

static void set_up(void)
{
    state = sandbox_state_new();
    ck_assert_ptr_nonnull(state);
}

static void tear_down(void)
{
    sandbox_state_free(state); /* whatever is left, LeakSanitizer and valgrind tell */
}

static struct span first_user(void)
{
    return span_of(sandbox_state_member(state, 0)->user_id);
}

static struct span second_user(void)
{
    return span_of(sandbox_state_member(state, 1)->user_id);
}

START_TEST(team_is_known_by_id_and_by_namespace)
{
    const struct sandbox_team *team = sandbox_state_team(state);

    ck_assert(sandbox_state_is_team(state, span_of(team->id)));
    ck_assert(sandbox_state_is_team(state, span_of(team->namespace)));
    ck_assert(!sandbox_state_is_team(state, span_of(team->name)));
    ck_assert(!sandbox_state_is_team(state, span_make(NULL, 0)));
}
END_TEST

START_TEST(team_starts_with_three_members_and_one_admin)
{
    ck_assert_uint_eq(sandbox_state_member_count(state), 3);
    ck_assert(sandbox_state_member(state, 0)->is_admin);
    ck_assert(!sandbox_state_member(state, 1)->is_admin);
    ck_assert(!sandbox_state_member(state, 2)->is_admin);
    for (size_t i = 0; i < 3; i++)
        ck_assert_ptr_nonnull(
            strstr(sandbox_state_member(state, i)->email, "@example.com"));
}
END_TEST

START_TEST(session_user_is_a_member)
{
    const struct sandbox_member *user = sandbox_state_user(state);

    ck_assert_ptr_nonnull(sandbox_state_find_member(state, span_of(user->user_id)));
}
END_TEST

START_TEST(unknown_member_is_not_found)
{
    struct span nobody = SPAN("nobody");

    ck_assert_ptr_null(sandbox_state_find_member(state, nobody));
    ck_assert_int_eq(sandbox_state_set_admin(state, nobody, true), SANDBOX_UNKNOWN);
    ck_assert_int_eq(sandbox_state_remove_member(state, nobody), SANDBOX_UNKNOWN);
}
END_TEST

START_TEST(admin_can_be_made_and_unmade)
{
    ck_assert_int_eq(sandbox_state_set_admin(state, second_user(), true), SANDBOX_DONE);
    ck_assert(sandbox_state_find_member(state, second_user())->is_admin);
    ck_assert_int_eq(sandbox_state_set_admin(state, first_user(), false), SANDBOX_DONE);
    ck_assert(!sandbox_state_find_member(state, first_user())->is_admin);
}
END_TEST

START_TEST(last_admin_cannot_be_demoted)
{
    ck_assert_int_eq(sandbox_state_set_admin(state, first_user(), false),
                     SANDBOX_LAST_ADMIN);
    ck_assert(sandbox_state_find_member(state, first_user())->is_admin);
    ck_assert_int_eq(sandbox_state_set_admin(state, first_user(), true), SANDBOX_DONE);
}
END_TEST

START_TEST(last_admin_cannot_be_removed)
{
    ck_assert_int_eq(sandbox_state_remove_member(state, first_user()),
                     SANDBOX_LAST_ADMIN);
    ck_assert_uint_eq(sandbox_state_member_count(state), 3);
}
END_TEST

START_TEST(one_of_two_admins_can_be_removed)
{
    ck_assert_int_eq(sandbox_state_set_admin(state, second_user(), true), SANDBOX_DONE);
    ck_assert_int_eq(sandbox_state_remove_member(state, first_user()), SANDBOX_DONE);
    ck_assert_uint_eq(sandbox_state_member_count(state), 2);
    ck_assert_int_eq(sandbox_state_remove_member(state, first_user()),
                     SANDBOX_LAST_ADMIN);
}
END_TEST

START_TEST(member_without_admin_can_always_be_removed)
{
    ck_assert_int_eq(sandbox_state_remove_member(state, second_user()), SANDBOX_DONE);
    ck_assert_int_eq(sandbox_state_remove_member(state, second_user()), SANDBOX_DONE);
    ck_assert_uint_eq(sandbox_state_member_count(state), 1);
}
END_TEST

START_TEST(new_secret_has_its_time_and_comes_last)
{
    const struct sandbox_secret *secret;

    ck_assert_int_eq(sandbox_state_create_secret(state, SPAN("A/B %"), 1234),
                     SANDBOX_DONE);
    secret = sandbox_state_find_secret(state, SPAN("A/B %"));
    ck_assert_ptr_nonnull(secret);
    ck_assert_int_eq(secret->created_ms, 1234);
    ck_assert_int_eq(secret->modified_ms, 0);
    ck_assert_ptr_eq(secret,
                     sandbox_state_secret(state, sandbox_state_secret_count(state) - 1));
}
END_TEST

START_TEST(name_of_a_secret_is_copied)
{
    char name[] = "COPIED";

    ck_assert_int_eq(sandbox_state_create_secret(state, span_of(name), 1), SANDBOX_DONE);
    name[0] = 'X';
    ck_assert_ptr_nonnull(sandbox_state_find_secret(state, SPAN("COPIED")));
}
END_TEST

START_TEST(secret_cannot_be_created_twice)
{
    size_t count = sandbox_state_secret_count(state);
    struct span name = sandbox_state_secret(state, 0)->name;

    ck_assert_int_eq(sandbox_state_create_secret(state, name, 1), SANDBOX_EXISTS);
    ck_assert_uint_eq(sandbox_state_secret_count(state), count);
}
END_TEST

START_TEST(names_of_secrets_have_case)
{
    ck_assert_int_eq(sandbox_state_create_secret(state, SPAN("x"), 1), SANDBOX_DONE);
    ck_assert_int_eq(sandbox_state_create_secret(state, SPAN("X"), 1), SANDBOX_DONE);
}
END_TEST

START_TEST(updated_secret_keeps_when_it_was_created)
{
    const struct sandbox_secret *secret;

    ck_assert_int_eq(sandbox_state_create_secret(state, SPAN("S"), 10), SANDBOX_DONE);
    ck_assert_int_eq(sandbox_state_update_secret(state, SPAN("S"), 20), SANDBOX_DONE);
    secret = sandbox_state_find_secret(state, SPAN("S"));
    ck_assert_int_eq(secret->created_ms, 10);
    ck_assert_int_eq(secret->modified_ms, 20);
}
END_TEST

START_TEST(deleted_secret_is_gone_and_the_others_stay_in_order)
{
    ck_assert_int_eq(sandbox_state_create_secret(state, SPAN("S1"), 1), SANDBOX_DONE);
    ck_assert_int_eq(sandbox_state_create_secret(state, SPAN("S2"), 2), SANDBOX_DONE);
    ck_assert_int_eq(sandbox_state_create_secret(state, SPAN("S3"), 3), SANDBOX_DONE);
    ck_assert_int_eq(sandbox_state_delete_secret(state, SPAN("S2")), SANDBOX_DONE);
    ck_assert_ptr_null(sandbox_state_find_secret(state, SPAN("S2")));
    ck_assert_ptr_eq(sandbox_state_find_secret(state, SPAN("S1")),
                     sandbox_state_secret(state, sandbox_state_secret_count(state) - 2));
    ck_assert_int_eq(sandbox_state_find_secret(state, SPAN("S3"))->created_ms, 3);
}
END_TEST

START_TEST(unknown_secret_is_not_found)
{
    ck_assert_ptr_null(sandbox_state_find_secret(state, SPAN("NONE")));
    ck_assert_int_eq(sandbox_state_update_secret(state, SPAN("NONE"), 1),
                     SANDBOX_UNKNOWN);
    ck_assert_int_eq(sandbox_state_delete_secret(state, SPAN("NONE")), SANDBOX_UNKNOWN);
}
END_TEST

START_TEST(secrets_have_a_limit)
{
    char name[16];

    for (int i = (int)sandbox_state_secret_count(state); i < SANDBOX_SECRETS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "N%d", i);
        ck_assert_int_eq(sandbox_state_create_secret(state, span_of(name), i),
                         SANDBOX_DONE);
    }
    ck_assert_int_eq(sandbox_state_create_secret(state, SPAN("MORE"), 1), SANDBOX_FULL);
    ck_assert_int_eq(sandbox_state_delete_secret(state, SPAN("N9999")), SANDBOX_DONE);
    ck_assert_int_eq(sandbox_state_create_secret(state, SPAN("MORE"), 1), SANDBOX_DONE);
}
END_TEST

static TCase *members_case(void)
{
    TCase *tcase = tcase_create("members");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, team_is_known_by_id_and_by_namespace);
    tcase_add_test(tcase, team_starts_with_three_members_and_one_admin);
    tcase_add_test(tcase, session_user_is_a_member);
    tcase_add_test(tcase, unknown_member_is_not_found);
    tcase_add_test(tcase, admin_can_be_made_and_unmade);
    tcase_add_test(tcase, last_admin_cannot_be_demoted);
    tcase_add_test(tcase, last_admin_cannot_be_removed);
    tcase_add_test(tcase, one_of_two_admins_can_be_removed);
    tcase_add_test(tcase, member_without_admin_can_always_be_removed);
    return tcase;
}

static TCase *secrets_case(void)
{
    TCase *tcase = tcase_create("secrets");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, new_secret_has_its_time_and_comes_last);
    tcase_add_test(tcase, name_of_a_secret_is_copied);
    tcase_add_test(tcase, secret_cannot_be_created_twice);
    tcase_add_test(tcase, names_of_secrets_have_case);
    tcase_add_test(tcase, updated_secret_keeps_when_it_was_created);
    tcase_add_test(tcase, deleted_secret_is_gone_and_the_others_stay_in_order);
    tcase_add_test(tcase, unknown_secret_is_not_found);
    tcase_add_test(tcase, secrets_have_a_limit);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("sandbox state");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, members_case());
    suite_add_tcase(suite, secrets_case());
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
