/* A snapshot whose clients alone were read again. */
#include "gateway/judging.h"

static struct judging judging;

static const char *const clients[][2] = {{"a", ""}, {"b", ""}, {NULL, NULL}};

static void set_up(void)
{
    judging_start(&judging, clients, "");
}

static void tear_down(void)
{
    judging_stop(&judging);
}

static void write_clients(const char *content)
{
    (void)folder_write(&judging.folder, "clients.json", span_of(content), 0600);
}

static struct snapshot *must_reload(struct snapshot *previous)
{
    struct problems problems = {0};
    struct snapshot *fresh = snapshot_reload_clients(previous, &problems);

    ck_assert_msg(fresh != NULL, "%s", problems.lines.bytes);
    problems_fini(&problems);
    return fresh;
}

static void assert_rest_is_shared(const struct snapshot *one,
                                  const struct snapshot *other)
{
    ck_assert_ptr_eq(one->config, other->config);
    ck_assert_ptr_eq(one->operations, other->operations);
    ck_assert_ptr_eq(one->credentials, other->credentials);
    ck_assert_ptr_eq(one->target, other->target);
    ck_assert_ptr_eq(one->tls, other->tls);
    ck_assert_uint_eq(one->epoch, other->epoch);
    ck_assert_str_eq(one->epoch_text, other->epoch_text);
}

START_TEST(only_the_clients_are_read_again)
{
    struct snapshot *fresh;

    write_clients("{\"clients\":[]}");
    (void)folder_write(&judging.folder, "psgate.json", SPAN("{"), 0600);
    (void)folder_write(&judging.folder, "api-key", SPAN(""), 0600);
    fresh = must_reload(judging.snapshot);
    ck_assert_uint_eq(fresh->clients->count, 0);
    ck_assert_uint_eq(judging.snapshot->clients->count, 2);
    ck_assert_uint_eq(fresh->generation, judging.snapshot->generation + 1);
    assert_rest_is_shared(fresh, judging.snapshot);
    snapshot_unref(fresh);
}
END_TEST

/* Whoever goes first: the parts live as long as anybody has them. */
START_TEST(the_parts_outlive_the_one_that_read_them)
{
    struct snapshot *second = must_reload(judging.snapshot), *third;

    snapshot_unref(judging.snapshot);
    third = must_reload(second);
    ck_assert_uint_eq(third->generation, second->generation + 1);
    assert_rest_is_shared(third, second);
    snapshot_unref(second);
    ck_assert_str_eq(third->config->credentials[0].name, "default");
    ck_assert_uint_eq(third->clients->count, 2);
    judging.snapshot = third;
}
END_TEST

START_TEST(a_bad_file_leaves_the_snapshot_alone)
{
    struct problems problems = {0};

    write_clients("{ broken");
    ck_assert_ptr_null(snapshot_reload_clients(judging.snapshot, &problems));
    ck_assert_uint_eq(problems.count, 1);
    ck_assert_uint_eq(judging.snapshot->clients->count, 2);
    ck_assert_uint_eq(atomic_load(&judging.snapshot->references), 1);
    problems_fini(&problems);
}
END_TEST

START_TEST(a_full_load_follows_one_of_the_clients)
{
    struct snapshot *second = must_reload(judging.snapshot);
    struct problems problems = {0};
    struct snapshot *third = snapshot_load(second->config->path, second, NULL, &problems);

    ck_assert_msg(third != NULL, "%s", problems.lines.bytes);
    ck_assert_uint_eq(third->generation, 3);
    ck_assert_uint_eq(third->epoch, second->epoch);
    ck_assert_ptr_null(third->lender);
    snapshot_unref(judging.snapshot);
    snapshot_unref(second);
    judging.snapshot = third;
    problems_fini(&problems);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/snapshot");
    TCase *tcase = suite_case(suite, "clients");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, only_the_clients_are_read_again);
    tcase_add_test(tcase, the_parts_outlive_the_one_that_read_them);
    tcase_add_test(tcase, a_bad_file_leaves_the_snapshot_alone);
    tcase_add_test(tcase, a_full_load_follows_one_of_the_clients);
    return run_suite_in_folder(suite);
}
