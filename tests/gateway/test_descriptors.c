/* How many clients fit below the limit of open files. */
#include "gateway/descriptors.h"

#include <sys/resource.h>

#include "support/suite.h"

static unsigned room(rlim_t open_files, int64_t connections, int64_t upstream)
{
    const struct rlimit limit = {open_files, open_files};
    const struct config config = {.limits.connections = connections,
                                  .upstream.max_connections = upstream};

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return descriptors_for_clients(&config);
}

START_TEST(where_there_is_room_clients_get_what_is_configured)
{
    ck_assert_uint_eq(room(1000, 400, 256), 400);
}
END_TEST

START_TEST(what_others_need_is_not_for_clients)
{
    ck_assert_uint_eq(room(1000, 10000, 100), 1000 - 100 - 256);
    ck_assert_uint_eq(room(1000, 800, 100), 1000 - 100 - 256);
}
END_TEST

START_TEST(half_of_a_small_limit_is_for_clients)
{
    ck_assert_uint_eq(room(300, 10000, 256), 150);
    ck_assert_uint_eq(room(64, 10000, 256), 32);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/descriptors");
    TCase *rooms = suite_case(suite, "room");

    tcase_add_test(rooms, where_there_is_room_clients_get_what_is_configured);
    tcase_add_test(rooms, what_others_need_is_not_for_clients);
    tcase_add_test(rooms, half_of_a_small_limit_is_for_clients);
    return run_suite(suite);
}
