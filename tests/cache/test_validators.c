/* Conditions on a stored answer: RFC 9110 8.8.3.2, 13.1.2, 13.1.3. */
#include "cache/validators.h"
#include "cases.h"

/* Mon, 23 Nov 2026 12:00:00 GMT */
#define NOW_MS INT64_C(1795435200000)

static bool has_it(const char *fields, const char *etag, const char *modified)
{
    struct span exact_etag = exact_span(span_of(etag));
    struct made_head made;
    bool has;

    make_request(&made, fields);
    has = cache_client_has_it(&made.head, exact_etag, span_of(modified), NOW_MS);
    end_head(&made);
    free((char *)(uintptr_t)exact_etag.at);
    return has;
}

struct tag_row {
    const char *fields, *etag;
    bool has;
};

static const struct tag_row tags[] = {
    {"", "\"a\"", false},
    {"If-None-Match: \"a\"", "\"a\"", true},
    {"if-none-match: \"a\"", "\"a\"", true},
    {"If-None-Match: \"a\"", "\"b\"", false},
    {"If-None-Match: \"a\"", "\"A\"", false},
    {"If-None-Match: \"a\"", "\"ab\"", false},
    {"If-None-Match: \"ab\"", "\"a\"", false},
    {"If-None-Match: \"a\"", "a", false},
    {"If-None-Match: \"\"", "\"\"", true},
    {"If-None-Match: \"\"", "\"a\"", false},
    {"If-None-Match: \"a\"", "", false},
    {"If-None-Match: \"\"", "", false},
    {"If-None-Match:", "", false},
    {"If-None-Match:", "\"a\"", false},
    /* Weak comparison: W/ says nothing. */
    {"If-None-Match: W/\"a\"", "\"a\"", true},
    {"If-None-Match: \"a\"", "W/\"a\"", true},
    {"If-None-Match: W/\"a\"", "W/\"a\"", true},
    {"If-None-Match: W/\"a\"", "W/\"b\"", false},
    {"If-None-Match: w/\"a\"", "\"a\"", false},
    {"If-None-Match: \"W/a\"", "\"a\"", false},
    {"If-None-Match: \"W/a\"", "W/\"a\"", false},
    /* Lists, over lines too. */
    {"If-None-Match: \"a\", \"b\"", "\"b\"", true},
    {"If-None-Match: \"a\",\"b\",W/\"c\"", "\"c\"", true},
    {"If-None-Match: \"a\" ,\t\"b\"", "\"b\"", true},
    {"If-None-Match: ,, \"a\",, \"b\",", "\"b\"", true},
    {"If-None-Match: \"a\", \"b\"", "\"c\"", false},
    {"If-None-Match: \"a\"\nX: y\nIf-None-Match: \"b\"", "\"b\"", true},
    {"If-None-Match: \"a\"\nIf-None-Match: \"b\"", "\"a\"", true},
    /* Commas, spaces, stars and backslashes within quotes are the tag's. */
    {"If-None-Match: \"a,b\"", "\"a,b\"", true},
    {"If-None-Match: \"x\", \"a, b\"", "\"a, b\"", true},
    {"If-None-Match: \"x,\"", "\"x\"", false},
    {"If-None-Match: \"x, \"a\"", "\"x\"", false},
    {"If-None-Match: \"a,b\", \"c\"", "\"c\"", true},
    {"If-None-Match: \",a\", \",\"", "\",\"", true},
    {"If-None-Match: \"a\\\", \"b\"", "\"b\"", true},
    {"If-None-Match: \"a\\\", \"b\"", "\"a\\\"", true},
    {"If-None-Match: \"*\"", "\"a\"", false},
    {"If-None-Match: \"*\"", "\"*\"", true},
    {"If-None-Match: \"a\xc3\xa9\"", "\"a\xc3\xa9\"", true},
    /* The star is whatever is stored. */
    {"If-None-Match: *", "\"a\"", true},
    {"If-None-Match: *", "W/\"a\"", true},
    {"If-None-Match: *", "", true},
    {"If-None-Match:  * ", "\"a\"", true},
    {"If-None-Match: **", "\"a\"", false},
    {"If-None-Match: *a", "\"a\"", false},
    {"If-None-Match: W/*", "\"a\"", false},
    /* Neither one thing nor the other. */
    {"If-None-Match: a", "\"a\"", false},
    {"If-None-Match: \"a", "\"a\"", false},
    {"If-None-Match: a\"", "\"a\"", false},
    {"If-None-Match: W/", "\"a\"", false},
    {"If-None-Match: W/\"", "\"a\"", false},
    {"If-None-Match: \"", "\"a\"", false},
    {"If-None-Match: 'a'", "\"a\"", false},
    {"X-If-None-Match: \"a\"", "\"a\"", false},
    {"If-Match: \"a\"", "\"a\"", false},
};

START_TEST(a_client_with_the_tag_has_it)
{
    ck_assert_msg(has_it(tags[_i].fields, tags[_i].etag, "") == tags[_i].has,
                  "%s with %s", tags[_i].fields, tags[_i].etag);
}
END_TEST

#define STORED "Sun, 06 Nov 1994 08:49:37 GMT"
#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"
#define LATER "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct {
    const char *fields, *modified;
    bool has;
} moments[] = {
    {"If-Modified-Since: " STORED, STORED, true},
    {"if-modified-since: " STORED, STORED, true},
    {"If-Modified-Since: " LATER, STORED, true},
    {"If-Modified-Since: " EARLIER, STORED, false},
    /* In all forms, on both sides. */
    {"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", STORED, true},
    {"If-Modified-Since: Sunday, 06-Nov-94 08:49:36 GMT", STORED, false},
    {"If-Modified-Since: Sun Nov  6 08:49:37 1994", STORED, true},
    {"If-Modified-Since: Sun Nov  6 08:49:36 1994", STORED, false},
    {"If-Modified-Since: " STORED, "Sunday, 06-Nov-94 08:49:37 GMT", true},
    {"If-Modified-Since: " EARLIER, "Sunday, 06-Nov-94 08:49:37 GMT", false},
    {"If-Modified-Since: " STORED, "Sun Nov  6 08:49:37 1994", true},
    {"If-Modified-Since: Sun Nov  6 08:49:38 1994", "Sunday, 06-Nov-94 08:49:37 GMT",
     true},
    {"If-Modified-Since: Tue, 19 Jan 2038 03:14:08 GMT", STORED, true},
    {"If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", STORED, false},
    /* What is no date is ignored. */
    {"If-Modified-Since:", STORED, false},
    {"If-Modified-Since: 0", STORED, false},
    {"If-Modified-Since: x", STORED, false},
    {"If-Modified-Since: *", STORED, false},
    {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37", STORED, false},
    {"If-Modified-Since: Sun, 31 Nov 1994 08:49:37 GMT", STORED, false},
    {"If-Modified-Since: " LATER ", " LATER, STORED, false},
    {"If-Modified-Since: " STORED, "x", false},
    {"If-Modified-Since: " STORED, "", false},
    /* RFC 9110 13.1.3: a field of more than one member too. */
    {"If-Modified-Since: " LATER "\nIf-Modified-Since: " LATER, STORED, false},
    {"If-Modified-Since: " LATER "\nX: y\nIf-Modified-Since: " EARLIER, STORED, false},
    {"If-Unmodified-Since: " LATER, STORED, false},
    {"", STORED, false},
};

START_TEST(a_client_with_the_date_has_it)
{
    ck_assert_msg(has_it(moments[_i].fields, "\"a\"", moments[_i].modified) ==
                      moments[_i].has,
                  "%s with %s", moments[_i].fields, moments[_i].modified);
}
END_TEST

/* RFC 9110 13.1.3: with If-None-Match, If-Modified-Since is ignored. */
static const struct tag_row both[] = {
    {"If-None-Match: \"b\"\nIf-Modified-Since: " LATER, "\"a\"", false},
    {"If-Modified-Since: " LATER "\nIf-None-Match: \"b\"", "\"a\"", false},
    {"If-None-Match: \"a\"\nIf-Modified-Since: " EARLIER, "\"a\"", true},
    {"If-None-Match: \"b\"\nIf-Modified-Since: " LATER, "", false},
    {"If-None-Match:\nIf-Modified-Since: " LATER, "\"a\"", false},
    {"If-None-Match: *\nIf-Modified-Since: " EARLIER, "\"a\"", true},
};

START_TEST(a_tag_outranks_a_date)
{
    ck_assert_msg(has_it(both[_i].fields, both[_i].etag, STORED) == both[_i].has,
                  "%s with %s", both[_i].fields, both[_i].etag);
}
END_TEST

static const struct {
    const char *fields;
    bool is_foreign;
} foreign[] = {
    {"", false},
    {"If-None-Match: \"a\"", false},
    {"If-Modified-Since: " STORED, false},
    {"If-Match: \"a\"", true},
    {"IF-MATCH: *", true},
    {"If-Unmodified-Since: " STORED, true},
    {"If-Range: \"a\"", true},
    {"If-None-Match: \"a\"\nIf-Match: \"a\"", true},
    {"If-Matches: \"a\"", false},
};

START_TEST(conditions_about_upstream_are_foreign)
{
    struct made_head made;

    make_request(&made, foreign[_i].fields);
    ck_assert_msg(cache_has_foreign_condition(&made.head) == foreign[_i].is_foreign, "%s",
                  foreign[_i].fields);
    end_head(&made);
}
END_TEST

START_TEST(two_fields_are_conditions_on_what_is_stored)
{
    ck_assert(cache_is_condition(SPAN("If-None-Match")));
    ck_assert(cache_is_condition(SPAN("if-none-match")));
    ck_assert(cache_is_condition(SPAN("IF-MODIFIED-SINCE")));
    ck_assert(!cache_is_condition(SPAN("If-Match")));
    ck_assert(!cache_is_condition(SPAN("If-Unmodified-Since")));
    ck_assert(!cache_is_condition(SPAN("If-Range")));
    ck_assert(!cache_is_condition(SPAN("If-None-Matc")));
    ck_assert(!cache_is_condition(SPAN("")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/validators");
    TCase *having = suite_case(suite, "having");
    TCase *kinds = suite_case(suite, "kinds");

    tcase_add_loop_test(having, a_client_with_the_tag_has_it, 0, ROWS(tags));
    tcase_add_loop_test(having, a_client_with_the_date_has_it, 0, ROWS(moments));
    tcase_add_loop_test(having, a_tag_outranks_a_date, 0, ROWS(both));
    tcase_add_loop_test(kinds, conditions_about_upstream_are_foreign, 0, ROWS(foreign));
    tcase_add_test(kinds, two_fields_are_conditions_on_what_is_stored);
    return run_suite(suite);
}
