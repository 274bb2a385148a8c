/* What may be kept and for how long: RFC 9111 3, 4.2, 5.1, 5.2.2, 5.3; RFC 5861. */
#include "cache/cases.h"
#include "cache/freshness.h"

/* Sun, 06 Nov 1994 08:49:37 GMT: when the answer's head comes. */
#define RECEIVED_MS INT64_C(784111777000)
#define NOW "Sun, 06 Nov 1994 08:49:37 GMT"
#define PAST "Sun, 06 Nov 1994 08:49:07 GMT"  /* 30 s before */
#define LATER "Sun, 06 Nov 1994 08:50:37 GMT" /* 60 s behind */
#define LATER_850 "Sunday, 06-Nov-94 08:50:37 GMT"
#define LATER_C "Sun Nov  6 08:50:37 1994"
#define FOREVER "2147483648"

/* The policy in words; durations in seconds, and only if they are not 0. */
static void describe(const struct cache_policy *policy, struct text *out)
{
    text_add_format(out, "life %lld", (long long)policy->lifetime_ms / 1000);
    if (policy->initial_age_ms != 0)
        text_add_format(out, " age %lld", (long long)policy->initial_age_ms / 1000);
    if (policy->stale_while_revalidate_ms != 0)
        text_add_format(out, " swr %lld",
                        (long long)policy->stale_while_revalidate_ms / 1000);
    if (policy->stale_if_error_ms != 0)
        text_add_format(out, " sie %lld", (long long)policy->stale_if_error_ms / 1000);
    text_add_format(out, "%s%s%s", policy->must_validate ? " ask" : "",
                    policy->never_stale ? " strict" : "",
                    policy->has_validator ? " tag" : "");
}

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct store_row {
    unsigned status;
    const char *fields;
    const char *policy; /* NULL: it is not kept */
};

/* asked: the request's Cache-Control, if any; delay_s: from request to answer. */
static void check_store(const struct store_row *row, const struct operation_cache *rule,
                        const char *asked, int delay_s)
{
    const struct cache_times times = {RECEIVED_MS - delay_s * 1000, RECEIVED_MS};
    struct cache_directives request;
    struct cache_policy policy;
    struct made_head made;
    struct text text = {0};

    ask(&request, asked);
    make_response(&made, row->status, row->fields);
    if (cache_may_store(rule, &request, &made.head, &times, &policy))
        describe(&policy, &text);
    else
        text_add(&text, SPAN("not kept"));
    ck_assert_msg(strcmp(text.bytes, row->policy != NULL ? row->policy : "not kept") == 0,
                  "%u %s: '%s', not '%s'", row->status, row->fields, text.bytes,
                  row->policy != NULL ? row->policy : "not kept");
    text_fini(&text);
    end_head(&made);
}

static const struct operation_cache plain = {
    .scope = "s", .freshness = OPERATION_FRESHNESS_UPSTREAM, .ttl_ms = -1};

static const struct store_row kept[] = {
    /* Where the lifetime comes from, and what goes before what (4.2.1). */
    {200, "Cache-Control: max-age=60", "life 60"},
    {200, "Cache-Control: s-maxage=60", "life 60 strict"},
    {200, "Cache-Control: s-maxage=60, max-age=5", "life 60 strict"},
    {200, "Cache-Control: max-age=5\nCache-Control: s-maxage=60", "life 60 strict"},
    {200, "Expires: " LATER "\nDate: " NOW, "life 60"},
    {200, "Expires: " LATER "\nDate: " PAST, "life 90 age 30"},
    {200, "Expires: " LATER, "life 60"},
    {200, "Expires: " LATER_850 "\nDate: " NOW, "life 60"},
    {200, "Expires: " LATER_C "\nDate: " NOW, "life 60"},
    {200, "Expires: " LATER "\nDate: x", "life 60"},
    {200, "Expires: " LATER "\nCache-Control: max-age=5", "life 5"},
    {200, "Expires: " LATER "\nCache-Control: s-maxage=5", "life 5 strict"},
    {200, "Expires: 0\nCache-Control: max-age=5", "life 5"},
    {200, "Expires: " LATER "\nCache-Control: max-age=0\nETag: \"a\"", "life 0 tag"},
    {200, "Expires: " LATER "\nCache-Control: max-age=x\nETag: \"a\"", "life 0 tag"},
    {200, "Expires: " LATER "\nExpires: " PAST, "life 60"},
    {200, "Expires: sun, 06 nov 1994 08:50:37 gmt", "life 60"}, /* 4.2 */
    {200, "Cache-Control: max-age=99999999999999999999", "life " FOREVER},
    {200, "Cache-Control: max-age=\"60\"", "life 60"},
    {200, "Pragma: no-cache\nCache-Control: max-age=60", "life 60"},

    /* No lifetime, or one that is over: only what can be validated is worth keeping. */
    {200, "X: y", NULL},
    {200, "Cache-Control: public", NULL},
    {200, "Cache-Control: max-age=0", NULL},
    {200, "Expires: 0", NULL},
    {200, "Expires: -1", NULL},
    {200, "Expires:", NULL},
    {200, "Expires: " PAST "\nDate: " NOW, NULL},
    {200, "Expires: " NOW "\nDate: " NOW, NULL},
    {200, "Expires: Sun, 06 Nov 1994 08:50:37 EST", NULL}, /* 4.2: only GMT */
    {200, "Expires: 0\nETag: \"a\"", "life 0 tag"},
    {200, "Last-Modified: " PAST, "life 0 tag"}, /* no heuristics */
    {200, "Last-Modified: " PAST "\nDate: " NOW "\nCache-Control: public", "life 0 tag"},

    /* Age (4.2.3, 5.1). */
    {200, "Cache-Control: max-age=60\nAge: 10", "life 60 age 10"},
    {200, "Cache-Control: max-age=60\nAge: 10\nDate: " PAST, "life 60 age 30"},
    {200, "Cache-Control: max-age=60\nAge: 40\nDate: " PAST, "life 60 age 40"},
    {200, "Cache-Control: max-age=60\nDate: " LATER, "life 60"},
    {200, "Cache-Control: max-age=60\nAge: 10, 50", "life 60 age 10"},
    {200, "Cache-Control: max-age=60\nAge: 10\nAge: 50", "life 60 age 10"},
    {200, "Cache-Control: max-age=60\nAge: x", "life 60"},
    {200, "Cache-Control: max-age=60\nAge: -5", "life 60"},
    {200, "Cache-Control: max-age=60\nAge: 1.5", "life 60"},
    {200, "Cache-Control: max-age=60\nAge:", "life 60"},
    {200, "Cache-Control: max-age=60\nAge: " FOREVER, "life 60 age " FOREVER},
    {200, "Cache-Control: max-age=60\nAge: 9223372036854776", "life 60 age " FOREVER},
    {200, "Cache-Control: max-age=60\nAge: 99999999999999999999", "life 60 age " FOREVER},
    {200, "Cache-Control: max-age=60\nDate: x", "life 60"},

    /* Never (3). */
    {200, "Cache-Control: no-store", NULL},
    {200, "Cache-Control: no-store, max-age=60", NULL},
    {200, "Cache-Control: NO-STORE, public, max-age=60\nETag: \"a\"", NULL},
    {200, "Cache-Control: private, max-age=60", NULL},
    {200, "Cache-Control: private, public, s-maxage=60", NULL},
    {200, "Cache-Control: max-age=60\nSet-Cookie: a=b", NULL},
    {200, "Cache-Control: private=\"X\", max-age=60", "life 60"},

    /* Statuses (3, RFC 9110 15.1). */
    {206, "Cache-Control: max-age=60\nContent-Range: bytes 0-1/9", NULL},
    {304, "Cache-Control: max-age=60\nETag: \"a\"", NULL},
    {103, "Cache-Control: max-age=60", NULL},
    {203, "Cache-Control: max-age=60", "life 60"},
    {204, "Cache-Control: max-age=60", "life 60"},
    {301, "Cache-Control: max-age=60", "life 60"},
    {302, "Cache-Control: max-age=60", "life 60"},
    {404, "Cache-Control: max-age=60", "life 60"},
    {500, "Cache-Control: max-age=60", "life 60"},
    {599, "Cache-Control: max-age=60", "life 60"},
    {428, "Cache-Control: max-age=60", NULL}, /* RFC 6585 3, 4, 5, 6 */
    {429, "Cache-Control: max-age=60", NULL},
    {431, "Cache-Control: max-age=60", NULL},
    {511, "Cache-Control: max-age=60", NULL},
    {302, "Expires: " LATER, "life 60"},
    {302, "ETag: \"a\"", NULL},
    {500, "Last-Modified: " PAST, NULL},
    {302, "Cache-Control: public\nETag: \"a\"", "life 0 tag"},
    {404, "ETag: \"a\"", "life 0 tag"},

    /* must-understand (5.2.2.3). */
    {200, "Cache-Control: must-understand, max-age=60", "life 60"},
    {200, "Cache-Control: must-understand, no-store, max-age=60", "life 60"},
    {200, "Cache-Control: no-store, must-understand, max-age=60", "life 60"},
    {200, "Cache-Control: must-understand, private, max-age=60", NULL},
    {599, "Cache-Control: must-understand, max-age=60", NULL},
    {599, "Cache-Control: must-understand, no-store, max-age=60", NULL},
    {299, "Cache-Control: must-understand, max-age=60\nETag: \"a\"", NULL},

    /* What binds the use (5.2.2.2, 5.2.2.4, 5.2.2.8, 5.2.2.10; RFC 5861). */
    {200, "Cache-Control: max-age=60, must-revalidate", "life 60 strict"},
    {200, "Cache-Control: max-age=60, proxy-revalidate", "life 60 strict"},
    {200, "Cache-Control: no-cache\nETag: \"a\"", "life 0 ask strict tag"},
    {200, "Cache-Control: no-cache, max-age=60\nETag: \"a\"", "life 60 ask strict tag"},
    {200, "Cache-Control: no-cache=\"X\", max-age=60", "life 60"},
    {200, "Cache-Control: max-age=60, stale-while-revalidate=30", "life 60 swr 30"},
    {200, "Cache-Control: max-age=60, stale-if-error=30", "life 60 sie 30"},
    {200, "Cache-Control: max-age=60\nETag: W/\"a\"", "life 60 tag"},
    {200, "Cache-Control: max-age=60\nLast-Modified: " PAST, "life 60 tag"},
};

START_TEST(an_answer_is_kept_as_the_rfc_says)
{
    check_store(&kept[_i], &plain, "", 0);
}
END_TEST

/* RFC 9111 4.2.3: the time that the answer was under way counts as age, all of it. */
static const struct store_row delayed[] = {
    {200, "Cache-Control: max-age=60", "life 60 age 7"},
    {200, "Cache-Control: max-age=60\nAge: 10", "life 60 age 17"},
    {200, "Cache-Control: max-age=60\nAge: 25\nDate: " PAST, "life 60 age 32"},
    {200, "Cache-Control: max-age=60\nDate: " PAST, "life 60 age 30"},
};

START_TEST(the_time_under_way_is_age)
{
    check_store(&delayed[_i], &plain, "", 7);
}
END_TEST

/* The operator's rule serves where upstream says nothing. */
static const struct operation_cache generous = {.scope = "s",
                                                .freshness = OPERATION_FRESHNESS_UPSTREAM,
                                                .ttl_ms = 20000,
                                                .stale_while_revalidate_ms = 2000,
                                                .stale_if_error_ms = 3000};

static const struct store_row ruled[] = {
    {200, "X: y", "life 20 swr 2 sie 3"},
    {200, "Age: 5", "life 20 age 5 swr 2 sie 3"},
    {200, "Cache-Control: public", "life 20 swr 2 sie 3"},
    {200, "ETag: \"a\"", "life 20 swr 2 sie 3 tag"},
    {200, "Cache-Control: must-revalidate", "life 20 swr 2 sie 3 strict"},
    {200, "Cache-Control: max-age=60", "life 60 swr 2 sie 3"},
    {200, "Cache-Control: max-age=5", "life 5 swr 2 sie 3"},
    {200, "Expires: " LATER, "life 60 swr 2 sie 3"},
    {200, "Cache-Control: max-age=60, stale-while-revalidate=9", "life 60 swr 9 sie 3"},
    {200, "Cache-Control: max-age=60, stale-if-error=9", "life 60 swr 2 sie 9"},
    {200, "Cache-Control: max-age=60, stale-while-revalidate=0, stale-if-error=0",
     "life 60"},
    {200, "Cache-Control: no-store", NULL},
    {200, "Cache-Control: private", NULL},
    {200, "Set-Cookie: a=b", NULL},
    {206, "X: y", NULL},
    {500, "X: y", NULL},
    {302, "X: y", NULL},
};

START_TEST(the_rule_serves_where_upstream_says_nothing)
{
    check_store(&ruled[_i], &generous, "", 0);
}
END_TEST

/* Mode fixed: the rule, whatever upstream says; only 200, never with Set-Cookie. */
static const struct operation_cache fixed = {.scope = "s",
                                             .freshness = OPERATION_FRESHNESS_FIXED,
                                             .ttl_ms = 20000,
                                             .stale_while_revalidate_ms = 2000,
                                             .stale_if_error_ms = 3000};

static const struct store_row fixed_rows[] = {
    {200, "X: y", "life 20 swr 2 sie 3"},
    {200, "Cache-Control: no-store", "life 20 swr 2 sie 3"},
    {200, "Cache-Control: private, no-cache, max-age=0", "life 20 swr 2 sie 3"},
    {200, "Cache-Control: max-age=60, must-revalidate", "life 20 swr 2 sie 3"},
    {200, "Expires: 0\nPragma: no-cache", "life 20 swr 2 sie 3"},
    {200, "ETag: \"a\"", "life 20 swr 2 sie 3 tag"},
    {200, "Vary: *", "life 20 swr 2 sie 3"},
    {200, "Age: 5", "life 25 age 5 swr 2 sie 3"},
    {200, "Date: Mon, 01 Jan 2001 00:00:00 GMT", "life 20 swr 2 sie 3"},
    {200, "Set-Cookie: a=b", NULL},
    {200, "set-cookie:", NULL},
    {203, "X: y", NULL},
    {204, "X: y", NULL},
    {206, "X: y", NULL},
    {301, "Cache-Control: max-age=60", NULL},
    {304, "X: y", NULL},
    {404, "Cache-Control: max-age=60", NULL},
    {500, "X: y", NULL},
};

START_TEST(a_fixed_rule_keeps_only_a_200_for_its_ttl)
{
    check_store(&fixed_rows[_i], &fixed, "", 0);
}
END_TEST

/* RFC 9111 5.2.1.5: of the client's directives only no-store is about keeping. */
static const struct {
    const struct operation_cache *rule;
    const char *asked;
    struct store_row row;
} asking[] = {
    {&plain, "no-store", {200, "Cache-Control: max-age=60", NULL}},
    {&plain, "max-age=5, No-Store", {200, "Cache-Control: max-age=60", NULL}},
    {&generous, "no-store", {200, "X: y", NULL}},
    {&fixed, "no-store", {200, "X: y", NULL}},
    {&plain, "no-cache", {200, "Cache-Control: max-age=60", "life 60"}},
    {&plain, "max-age=0", {200, "Cache-Control: max-age=60", "life 60"}},
    {&plain, "min-fresh=99", {200, "Cache-Control: max-age=60", "life 60"}},
    {&fixed, "no-cache", {200, "X: y", "life 20 swr 2 sie 3"}},
};

START_TEST(a_client_forbids_keeping_by_no_store_alone)
{
    check_store(&asking[_i].row, asking[_i].rule, asking[_i].asked, 0);
}
END_TEST

/* RFC 5861 4: the errors that a stale answer may stand in for. */
START_TEST(four_statuses_are_failures_of_the_server)
{
    for (unsigned status = 100; status < 600; status++)
        ck_assert_int_eq(cache_is_server_failure(status),
                         status == 500 || status == 502 || status == 503 ||
                             status == 504);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/freshness");
    TCase *keeping = suite_case(suite, "keeping");

    tcase_add_loop_test(keeping, an_answer_is_kept_as_the_rfc_says, 0, ROWS(kept));
    tcase_add_loop_test(keeping, the_time_under_way_is_age, 0, ROWS(delayed));
    tcase_add_loop_test(keeping, the_rule_serves_where_upstream_says_nothing, 0,
                        ROWS(ruled));
    tcase_add_loop_test(keeping, a_fixed_rule_keeps_only_a_200_for_its_ttl, 0,
                        ROWS(fixed_rows));
    tcase_add_loop_test(keeping, a_client_forbids_keeping_by_no_store_alone, 0,
                        ROWS(asking));
    tcase_add_test(keeping, four_statuses_are_failures_of_the_server);
    return run_suite(suite);
}
