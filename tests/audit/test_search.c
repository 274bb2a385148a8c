/* The join of intents and results, and the filter: DESIGN, "Audit". */
#include "audit/fields.h"
#include "audit/search.h"
#include "support/suite.h"

enum { MOST_ROWS = 64 };

/* The rows that were given: "ID:outcome" each. */
struct seen {
    char rows[MOST_ROWS][80];
    int count;
};

static void on_row(void *context, const struct search_row *row)
{
    struct seen *seen = context;
    struct fields fields;
    struct error error;
    struct span id;

    ck_assert_int_lt(seen->count, MOST_ROWS);
    ck_assert(fields_read(&fields, row->line, &error));
    if (row->result.len > 0) {
        struct fields result;

        ck_assert(fields_read(&result, row->result, &error));
        ck_assert(span_equal(fields.values[FIELD_ID], result.values[FIELD_ID]));
        ck_assert(fields_is(&fields, FIELD_PHASE, SPAN("intent")));
        ck_assert(fields_is(&result, FIELD_PHASE, SPAN("result")));
    }
    id = fields.values[FIELD_ID];
    (void)snprintf(seen->rows[seen->count++], 80, "%.*s:%s", (int)id.len - 2, id.at + 1,
                   search_outcome_name(row->outcome));
}

/* "a:success b:unfinished": what was given since the last call, in that order. */
static void assert_given(struct seen *seen, const char *expected)
{
    struct text all = {0};

    text_add(&all, SPAN(""));
    for (int i = 0; i < seen->count; i++)
        text_add_format(&all, "%s%s", i > 0 ? " " : "", seen->rows[i]);
    ck_assert_str_eq(all.bytes, expected);
    text_fini(&all);
    seen->count = 0;
}

static void take_at(struct search *search, const char *line, int64_t now_ms)
{
    struct span exact = exact_span(span_of(line));
    struct error error;

    ck_assert_int_eq(search_take(search, exact, now_ms, &error), SEARCH_TAKEN);
    free((char *)(uintptr_t)exact.at);
}

/* An intent, result or refusal of an id, and what else the line has (",…" or ""). */
static void take(struct search *search, const char *phase, const char *id,
                 const char *more)
{
    char line[512];

    (void)snprintf(
        line, sizeof(line), "{\"proxy.phase\":\"%s\",\"event.id\":\"%s\"%s%s}", phase, id,
        strcmp(phase, "refused") == 0 ? ",\"event.outcome\":\"failure\"" : "", more);
    take_at(search, line, 0);
}

static void take_result(struct search *search, const char *id, const char *outcome)
{
    char more[80];

    (void)snprintf(more, sizeof(more), ",\"event.outcome\":\"%s\"", outcome);
    take(search, "result", id, more);
}

static struct search *make(struct search_filter *filter, struct seen *seen)
{
    struct search *search;

    *seen = (struct seen){.count = 0};
    search = search_new(filter, on_row, seen);
    ck_assert_ptr_nonnull(search);
    return search;
}

/* ---- the join ---- */

START_TEST(an_intent_and_its_result_are_one_row)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    take(search, "intent", "a", "");
    assert_given(&seen, "");
    take_result(search, "a", "success");
    assert_given(&seen, "a:success");
    search_finish(search);
    assert_given(&seen, "");
    search_free(search);
}
END_TEST

START_TEST(rows_come_in_the_order_of_the_intents)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    take(search, "intent", "a", "");
    take(search, "intent", "b", "");
    take(search, "refused", "c", "");
    take_result(search, "b", "failure");
    assert_given(&seen, "");
    take_result(search, "a", "unknown");
    assert_given(&seen, "a:unknown b:failure c:refused");
    search_free(search);
}
END_TEST

START_TEST(an_intent_without_result_is_unfinished_at_the_end)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    take(search, "intent", "a", "");
    take(search, "intent", "b", "");
    take_result(search, "b", "success");
    search_finish(search);
    assert_given(&seen, "a:unfinished b:success");
    search_free(search);
}
END_TEST

START_TEST(a_result_without_intent_is_a_row)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    take_result(search, "a", "success");
    assert_given(&seen, "a:success");
    search_free(search);
}
END_TEST

START_TEST(two_intents_of_one_id_are_two_rows)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    take(search, "intent", "a", "");
    take(search, "intent", "a", "");
    take_result(search, "a", "success");
    search_finish(search);
    assert_given(&seen, "a:unfinished a:success");
    search_free(search);
}
END_TEST

START_TEST(other_records_are_no_rows)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    take(search, "checkpoint", "a", "");
    take(search, "trail", "b", "");
    take_at(search, "{\"event.id\":\"c\"}", 0);
    search_finish(search);
    assert_given(&seen, "");
    search_free(search);
}
END_TEST

START_TEST(a_broken_line_is_said)
{
    static const char *const lines[] = {"", "{", "x", "{\"a\":1", "{\"a\":1}}", "[]"};
    struct search_filter filter;
    struct seen seen;
    struct search *search;
    struct error error;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        ck_assert_int_eq(search_take(search, span_of(lines[i]), 0, &error),
                         SEARCH_BAD_LINE);
    search_free(search);
}
END_TEST

START_TEST(many_open_intents_find_their_results)
{
    enum { MANY = 5000 };
    struct search_filter filter;
    struct seen seen;
    struct search *search;
    char id[33];

    search_filter_init(&filter);
    filter.event_id = "00000000000000000000000000001234";
    search = make(&filter, &seen);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(id, sizeof(id), "%032d", i);
        take(search, "intent", id, "");
    }
    for (int i = MANY - 1; i >= 0; i--) {
        (void)snprintf(id, sizeof(id), "%032d", i);
        take_result(search, id, "success");
    }
    assert_given(&seen, "00000000000000000000000000001234:success");
    search_free(search);
}
END_TEST

/* ---- lines that were repeated ---- */

#define RESUMED(count)                                                                   \
    "{\"proxy.phase\":\"trail\",\"event.action\":\"trail.resumed\","                     \
    "\"proxy.trail.repeated\":" #count "}"

START_TEST(repeated_lines_that_were_seen_count_once)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    search_go_live(search);
    take(search, "intent", "a", "");
    take_result(search, "a", "success");
    take(search, "refused", "b", "");
    take(search, "intent", "c", "");
    assert_given(&seen, "a:success b:refused");
    take_at(search, RESUMED(5), 0);
    take(search, "intent", "a", "");
    take_result(search, "a", "success");
    take(search, "refused", "b", "");
    take(search, "intent", "c", "");
    take_result(search, "c", "failure");
    assert_given(&seen, "c:failure");
    search_finish(search);
    assert_given(&seen, "");
    search_free(search);
}
END_TEST

START_TEST(repeated_lines_that_were_not_seen_count)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    take(search, "intent", "a", "");
    take_at(search, RESUMED(3), 0);
    take_result(search, "a", "success");
    take(search, "intent", "b", "");
    take_result(search, "b", "success");
    assert_given(&seen, "a:success b:success");
    search_free(search);
}
END_TEST

/* ---- as they finish ---- */

START_TEST(live_rows_come_as_they_finish)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    take(search, "intent", "a", "");
    take(search, "intent", "b", "");
    take_result(search, "b", "success");
    assert_given(&seen, "");
    search_go_live(search);
    assert_given(&seen, "b:success");
    take(search, "intent", "c", "");
    take_result(search, "c", "success");
    assert_given(&seen, "c:success");
    take_result(search, "a", "failure");
    assert_given(&seen, "a:failure");
    search_free(search);
}
END_TEST

START_TEST(pending_intents_are_given_once_and_again_with_the_result)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;
    int64_t earliest;

    search_filter_init(&filter);
    search = make(&filter, &seen);
    search_go_live(search);
    ck_assert(!search_earliest_pending(search, &earliest));
    take_at(search, "{\"proxy.phase\":\"intent\",\"event.id\":\"a\"}", 100);
    take_at(search, "{\"proxy.phase\":\"intent\",\"event.id\":\"b\"}", 200);
    ck_assert(search_earliest_pending(search, &earliest));
    ck_assert_int_eq(earliest, 100);
    search_give_pending(search, 99);
    assert_given(&seen, "");
    search_give_pending(search, 100);
    assert_given(&seen, "a:unfinished");
    ck_assert(search_earliest_pending(search, &earliest));
    ck_assert_int_eq(earliest, 200);
    take_result(search, "b", "success");
    assert_given(&seen, "b:success");
    ck_assert(!search_earliest_pending(search, &earliest));
    search_give_pending(search, 1000);
    assert_given(&seen, "");
    take_result(search, "a", "success");
    assert_given(&seen, "a:success");
    search_free(search);
}
END_TEST

START_TEST(pending_is_not_given_where_the_filter_wants_other_outcomes)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;
    int64_t earliest;

    search_filter_init(&filter);
    filter.outcomes = 1u << SEARCH_SUCCESS;
    search = make(&filter, &seen);
    search_go_live(search);
    take(search, "intent", "a", "");
    ck_assert(!search_earliest_pending(search, &earliest));
    search_give_pending(search, 1000);
    assert_given(&seen, "");
    take_result(search, "a", "success");
    assert_given(&seen, "a:success");
    search_free(search);
}
END_TEST

/* ---- the filter ---- */

static const struct {
    const char *words, *given;
} outcomes[] = {
    {"success", "s:success"},       {"failure", "f:failure r:refused"},
    {"refused", "r:refused"},       {"unknown", "u:unknown w:unknown"},
    {"unfinished", "o:unfinished"}, {"success unknown", "s:success u:unknown w:unknown"},
};

START_TEST(outcomes_are_told_apart)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;
    const char *at = outcomes[_i].words;

    search_filter_init(&filter);
    filter.outcomes = 0;
    while (*at != '\0') {
        size_t len = strcspn(at, " ");

        ck_assert(search_add_outcome(span_make(at, len), &filter.outcomes));
        at += at[len] == ' ' ? len + 1 : len;
    }
    search = make(&filter, &seen);
    for (const char *id = "sfuwo"; *id != '\0'; id++)
        take(search, "intent", (char[]){*id, '\0'}, "");
    take_result(search, "s", "success");
    take_result(search, "f", "failure");
    take_result(search, "u", "unknown");
    take_result(search, "w", "what?");
    take(search, "refused", "r", "");
    search_finish(search);
    assert_given(&seen, outcomes[_i].given);
    search_free(search);
}
END_TEST

START_TEST(there_are_no_other_outcomes)
{
    unsigned set = 0;

    ck_assert(!search_add_outcome(SPAN("successful"), &set));
    ck_assert(!search_add_outcome(SPAN(""), &set));
    ck_assert(!search_add_outcome(SPAN("pending"), &set));
    ck_assert_uint_eq(set, 0);
}
END_TEST

#define MEMBERS                                                                          \
    ",\"@timestamp\":\"2026-11-23T17:04:05.123Z\",\"event.action\":\"createTeamSecret\"" \
    ",\"user.name\":\"ci\",\"proxy.resource.name\":\"DB_\\u0050ASSWORD\""                \
    ",\"source.ip\":\"10.0.0.1\""

#define NOON INT64_C(1795453445123) /* 2026-11-23T17:04:05.123Z */

static const struct {
    struct search_filter filter;
    bool matches;
} filters[] = {
    {{.action = "createTeamSecret"}, true},
    {{.action = "create*"}, true},
    {{.action = "*Secret"}, true},
    {{.action = "create"}, false},
    {{.action = "createteamsecret"}, false},
    {{.user = "ci"}, true},
    {{.user = "c*"}, true},
    {{.user = "cd"}, false},
    {{.user = "-"}, false},
    {{.resource = "DB_PASSWORD"}, true},
    {{.resource = "*PASS*"}, true},
    {{.resource = "DB"}, false},
    {{.source = "10.0.0.1"}, true},
    {{.source = "10.0.0.*"}, false},
    {{.source = "10.0.0.11"}, false},
    {{.event_id = "a"}, true},
    {{.event_id = "b"}, false},
    {{.since_ms = NOON}, true},
    {{.since_ms = NOON + 1}, false},
    {{.until_ms = NOON}, true},
    {{.until_ms = NOON - 1}, false},
    {{.since_ms = NOON, .until_ms = NOON, .user = "ci", .action = "*"}, true},
    {{.user = "ci", .action = "delete*"}, false},
};

static struct search_filter filter_of(int row)
{
    struct search_filter filter = filters[row].filter;

    filter.outcomes = SEARCH_ANY_OUTCOME;
    if (filter.since_ms == 0)
        filter.since_ms = INT64_MIN;
    if (filter.until_ms == 0)
        filter.until_ms = INT64_MAX;
    return filter;
}

START_TEST(the_filter_decides)
{
    struct search_filter filter = filter_of(_i);
    struct seen seen;
    struct search *search = make(&filter, &seen);

    take(search, "intent", "a", MEMBERS);
    take(search, "result", "a", MEMBERS ",\"event.outcome\":\"success\"");
    assert_given(&seen, filters[_i].matches ? "a:success" : "");
    take(search, "refused", "a", MEMBERS);
    assert_given(&seen, filters[_i].matches ? "a:refused" : "");
    search_free(search);
}
END_TEST

START_TEST(the_time_of_the_intent_counts)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    filter.since_ms = NOON;
    search = make(&filter, &seen);
    take(search, "intent", "a", ",\"@timestamp\":\"2026-11-23T17:04:05.122Z\"");
    take(search, "intent", "b", ",\"@timestamp\":\"2026-11-23T17:04:05.123Z\"");
    take(search, "result", "a",
         ",\"@timestamp\":\"2026-11-23T17:04:06.000Z\",\"event.outcome\":\"success\"");
    take(search, "result", "b",
         ",\"@timestamp\":\"2026-11-23T17:04:06.000Z\",\"event.outcome\":\"success\"");
    search_finish(search);
    assert_given(&seen, "b:success");
    search_free(search);
}
END_TEST

START_TEST(absent_members_read_as_a_dash)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    filter.user = "-";
    search = make(&filter, &seen);
    take(search, "refused", "a", "");
    take(search, "refused", "b", ",\"user.name\":\"ci\"");
    assert_given(&seen, "a:refused");
    search_free(search);
}
END_TEST

START_TEST(an_open_intent_that_does_not_match_holds_nothing_up)
{
    struct search_filter filter;
    struct seen seen;
    struct search *search;

    search_filter_init(&filter);
    filter.user = "ci";
    search = make(&filter, &seen);
    take(search, "intent", "a", ",\"user.name\":\"dev\"");
    take(search, "intent", "b", ",\"user.name\":\"ci\"");
    take_result(search, "b", "success");
    assert_given(&seen, "b:success");
    search_finish(search);
    assert_given(&seen, "");
    search_free(search);
}
END_TEST

static void add_join_cases(Suite *suite)
{
    TCase *join = suite_case(suite, "join"), *repeated = suite_case(suite, "repeated");

    tcase_add_test(join, an_intent_and_its_result_are_one_row);
    tcase_add_test(join, rows_come_in_the_order_of_the_intents);
    tcase_add_test(join, an_intent_without_result_is_unfinished_at_the_end);
    tcase_add_test(join, a_result_without_intent_is_a_row);
    tcase_add_test(join, two_intents_of_one_id_are_two_rows);
    tcase_add_test(join, other_records_are_no_rows);
    tcase_add_test(join, a_broken_line_is_said);
    tcase_add_test(join, many_open_intents_find_their_results);
    tcase_add_test(repeated, repeated_lines_that_were_seen_count_once);
    tcase_add_test(repeated, repeated_lines_that_were_not_seen_count);
}

int main(void)
{
    Suite *suite = suite_create("audit search");
    TCase *live = suite_case(suite, "live"), *filter = suite_case(suite, "filter");

    add_join_cases(suite);
    tcase_add_test(live, live_rows_come_as_they_finish);
    tcase_add_test(live, pending_intents_are_given_once_and_again_with_the_result);
    tcase_add_test(live, pending_is_not_given_where_the_filter_wants_other_outcomes);
    tcase_add_loop_test(filter, outcomes_are_told_apart, 0, ROWS(outcomes));
    tcase_add_test(filter, there_are_no_other_outcomes);
    tcase_add_loop_test(filter, the_filter_decides, 0, ROWS(filters));
    tcase_add_test(filter, the_time_of_the_intent_counts);
    tcase_add_test(filter, absent_members_read_as_a_dash);
    tcase_add_test(filter, an_open_intent_that_does_not_match_holds_nothing_up);
    return run_suite(suite);
}
