#include "admin/trail_rows.h"

#include "support/suite.h"

#define TAIL                                                                             \
    ",\"proxy.chain_id\":\"00112233445566778899aabbccddeeff\",\"proxy.prev_hash\":"      \
    "\"0000000000000000000000000000000000000000000000000000000000000000\"}"

static struct trail_query query;
static struct trail_rows rows;

static void make(void)
{
    query = (struct trail_query){.limit = 3, .before = UINT64_MAX};
    trail_rows_init(&rows, &query);
}

static void end(void)
{
    trail_rows_fini(&rows);
}

static void line_of(char line[1024], const char *members, unsigned sequence)
{
    snprintf(line, 1024, "{%s,\"event.sequence\":%u" TAIL, members, sequence);
}

/* Gives a row: of an intent, and of a result unless its sequence is 0. */
static void give(const char *members, unsigned first, const char *result, unsigned second,
                 enum search_outcome outcome)
{
    char lines[2][1024];
    struct search_row row = {.outcome = outcome};

    line_of(lines[0], members, first);
    row.line = exact_span(span_of(lines[0]));
    if (second > 0) {
        line_of(lines[1], result, second);
        row.result = exact_span(span_of(lines[1]));
    }
    trail_rows_add(&rows, &row);
    free((char *)(uintptr_t)row.line.at); /* nothing is borrowed */
    free((char *)(uintptr_t)row.result.at);
}

static void give_pair(unsigned first, unsigned second)
{
    give("\"event.id\":\"x\"", first, "\"event.id\":\"x\"", second, SEARCH_SUCCESS);
}

/* The sequences of the rows, each with a space. */
static void must_list(const char *wanted)
{
    json_t *list = trail_rows_list(&rows), *row;
    char got[256] = "";
    size_t i, used = 0;

    ck_assert_ptr_nonnull(list);
    json_array_foreach (list, i, row)
        used +=
            (size_t)snprintf(got + used, sizeof(got) - used, "%d ",
                             (int)json_integer_value(json_object_get(row, "sequence")));
    ck_assert_str_eq(got, wanted);
    json_decref(list);
}

START_TEST(no_row_makes_an_empty_list)
{
    must_list("");
    ck_assert(!rows.has_more);
}
END_TEST

START_TEST(the_newest_come_first_and_older_ones_go)
{
    give_pair(1, 2);
    must_list("1 ");
    give_pair(3, 4);
    give_pair(5, 6);
    must_list("5 3 1 ");
    ck_assert(!rows.has_more);
    give_pair(7, 8);
    ck_assert(rows.has_more);
    must_list("7 5 3 ");
    for (unsigned i = 9; i < 101; i += 2)
        give_pair(i, i + 1);
    must_list("99 97 95 ");
}
END_TEST

START_TEST(a_limit_of_one_and_of_the_most_are_fine)
{
    query.limit = 1;
    give_pair(1, 2);
    give_pair(3, 4);
    must_list("3 ");
    trail_rows_fini(&rows);
    trail_rows_init(&rows, &query);
    query.limit = TRAIL_QUERY_MOST;
    for (unsigned i = 1; i <= TRAIL_QUERY_MOST; i++)
        give_pair(2 * i, 2 * i + 1);
    ck_assert(!rows.has_more);
    give_pair(1001, 1002);
    ck_assert(rows.has_more);
    ck_assert_uint_eq(rows.count, TRAIL_QUERY_MOST);
}
END_TEST

START_TEST(before_counts_the_first_record)
{
    query.before = 3;
    give_pair(1, 6);
    give_pair(3, 4);
    give_pair(2, 5);
    give_pair(7, 8);
    must_list("2 1 ");
    ck_assert(!rows.has_more);
}
END_TEST

START_TEST(after_counts_the_last_record)
{
    query.after = 4;
    give_pair(1, 6);
    give_pair(3, 4);
    give_pair(2, 5);
    give("\"event.id\":\"y\"", 4, NULL, 0, SEARCH_UNFINISHED);
    give("\"event.id\":\"y\"", 7, NULL, 0, SEARCH_UNFINISHED);
    must_list("7 2 1 ");
}
END_TEST

START_TEST(what_is_left_out_is_not_more)
{
    query.before = 2;
    query.limit = 1;
    give_pair(1, 10);
    for (unsigned i = 2; i < 9; i++)
        give_pair(i, 10 + i);
    ck_assert(!rows.has_more);
    must_list("1 ");
}
END_TEST

START_TEST(a_result_alone_is_told)
{
    give("\"event.id\":\"y\"", 1, NULL, 0, SEARCH_UNFINISHED);
    give("\"event.id\":\"y\"", 2, NULL, 0, SEARCH_REFUSED);
    give_pair(3, 4);
    ck_assert(!rows.has_lone);
    give("\"event.id\":\"y\"", 5, NULL, 0, SEARCH_FAILURE);
    ck_assert(rows.has_lone);
}
END_TEST

START_TEST(a_row_has_what_both_records_say)
{
    json_t *list, *row, *records;

    give("\"event.id\":\"id\",\"@timestamp\":\"t\",\"event.action\":\"createSecret\","
         "\"user.name\":\"ci\",\"source.ip\":\"1.2.3.4\",\"organization.id\":\"team\","
         "\"user.target.id\":\"u\",\"http.request.method\":\"POST\",\"proxy.route\":\"/"
         "r\","
         "\"proxy.resource.type\":\"secret\",\"proxy.resource.name\":\"N\"",
         5,
         "\"event.id\":\"id\",\"http.response.status_code\":502,\"event.reason\":\"why\","
         "\"event.duration\":1500000000",
         9, SEARCH_UNKNOWN);
    list = trail_rows_list(&rows);
    row = json_pack("[{s:s, s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, "
                    "s:s, s:f, s:{s:s, s:s}, s:O}]",
                    "id", "id", "sequence", 5, "last_sequence", 9, "time", "t",
                    "operation", "createSecret", "client", "ci", "source", "1.2.3.4",
                    "team", "team", "user_target", "u", "method", "POST", "route", "/r",
                    "status", 502, "outcome", "unknown", "reason", "why", "duration", 1.5,
                    "resource", "type", "secret", "name", "N", "records",
                    json_object_get(json_array_get(list, 0), "records"));
    ck_assert(json_equal(list, row));
    records = json_object_get(json_array_get(list, 0), "records");
    ck_assert_uint_eq(json_array_size(records), 2);
    ck_assert_int_eq(
        json_integer_value(json_object_get(json_array_get(records, 0), "event.sequence")),
        5);
    ck_assert_int_eq(
        json_integer_value(json_object_get(json_array_get(records, 1), "event.sequence")),
        9);
    json_decref(list);
    json_decref(row);
}
END_TEST

START_TEST(what_no_record_says_is_null)
{
    static const char *const absent[] = {"client",      "source", "team",   "resource",
                                         "user_target", "route",  "status", "reason",
                                         "duration",    "time",   "method", "operation"};
    json_t *list, *row;

    give("\"event.id\":\"id\"", 5, NULL, 0, SEARCH_UNFINISHED);
    list = trail_rows_list(&rows);
    row = json_array_get(list, 0);
    for (int i = 0; i < ROWS(absent); i++)
        ck_assert_msg(json_is_null(json_object_get(row, absent[i])), "%s", absent[i]);
    ck_assert_str_eq(json_string_value(json_object_get(row, "outcome")), "open");
    ck_assert_int_eq(json_integer_value(json_object_get(row, "last_sequence")), 5);
    ck_assert_uint_eq(json_array_size(json_object_get(row, "records")), 1);
    json_decref(list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admin/trail_rows");
    TCase *tcase = suite_case(suite, "trail_rows");

    tcase_add_checked_fixture(tcase, make, end);
    tcase_add_test(tcase, no_row_makes_an_empty_list);
    tcase_add_test(tcase, the_newest_come_first_and_older_ones_go);
    tcase_add_test(tcase, a_limit_of_one_and_of_the_most_are_fine);
    tcase_add_test(tcase, before_counts_the_first_record);
    tcase_add_test(tcase, after_counts_the_last_record);
    tcase_add_test(tcase, what_is_left_out_is_not_more);
    tcase_add_test(tcase, a_result_alone_is_told);
    tcase_add_test(tcase, a_row_has_what_both_records_say);
    tcase_add_test(tcase, what_no_record_says_is_null);
    return run_suite(suite);
}
