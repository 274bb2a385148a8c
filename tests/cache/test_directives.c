/* Cache-Control and Pragma (RFC 9111 1.2.2, 4.2.1, 5.2, 5.4; RFC 5861 3 and 4). */
#include "cache/directives.h"
#include "cases.h"

/* What was read, in the order of the words below; seconds that are absent are not there.
 */
static void describe(const struct cache_directives *directives, struct text *out)
{
    const struct {
        bool is_set;
        const char *name;
    } flags[] = {
        {directives->no_store, "no-store"},
        {directives->no_cache, "no-cache"},
        {directives->only_if_cached, "only-if-cached"},
        {directives->is_private, "private"},
        {directives->is_public, "public"},
        {directives->must_revalidate, "must-revalidate"},
        {directives->proxy_revalidate, "proxy-revalidate"},
        {directives->must_understand, "must-understand"},
        {directives->names_fields, "names"},
    };
    const struct {
        int64_t value;
        const char *name;
    } seconds[] = {
        {directives->max_age, "max-age"},
        {directives->s_maxage, "s-maxage"},
        {directives->min_fresh, "min-fresh"},
        {directives->max_stale, "max-stale"},
        {directives->stale_while_revalidate, "swr"},
        {directives->stale_if_error, "sie"},
    };

    text_add(out, SPAN(""));
    for (int i = 0; i < ROWS(flags); i++) {
        if (flags[i].is_set)
            text_add_format(out, "%s%s", out->len > 0 ? " " : "", flags[i].name);
    }
    for (int i = 0; i < ROWS(seconds); i++) {
        if (seconds[i].value != CACHE_ABSENT)
            text_add_format(out, "%s%s=%lld", out->len > 0 ? " " : "", seconds[i].name,
                            (long long)seconds[i].value);
    }
}

static void check_read(const struct http_head *head, const char *fields,
                       const char *wanted)
{
    struct cache_directives directives;
    struct text got = {0};

    cache_directives_read(head, &directives);
    describe(&directives, &got);
    assert_span_is(span_make(got.bytes, got.len), span_of(wanted), fields);
    text_fini(&got);
}

struct row {
    const char *text, *read;
};

/* Texts that say the same in a request and in a response. */
static const struct row controls[] = {
    {"", ""},
    {"no-store", "no-store"},
    {"no-cache", "no-cache"},
    {"only-if-cached", "only-if-cached"},
    {"private", "private"},
    {"public", "public"},
    {"must-revalidate", "must-revalidate"},
    {"proxy-revalidate", "proxy-revalidate"},
    {"must-understand", "must-understand"},
    {"max-age=0", "max-age=0"},
    {"max-age=60", "max-age=60"},
    {"s-maxage=60", "s-maxage=60"},
    {"min-fresh=60", "min-fresh=60"},
    {"max-stale=60", "max-stale=60"},
    {"stale-while-revalidate=60", "swr=60"},
    {"stale-if-error=60", "sie=60"},
    {"public, max-age=60, s-maxage=30", "public max-age=60 s-maxage=30"},

    /* Names in any case; both forms of an argument. */
    {"NO-STORE", "no-store"},
    {"No-Cache, PRIVATE, Max-Age=5", "no-cache private max-age=5"},
    {"S-MaxAge=5", "s-maxage=5"},
    {"max-age=\"60\"", "max-age=60"},
    {"s-maxage=\"60\",max-age=\"5\"", "max-age=5 s-maxage=60"},
    {"max-stale=\"5\"", "max-stale=5"},

    /* White space and empty elements. */
    {"  no-store  ", "no-store"},
    {"no-store,no-cache", "no-store no-cache"},
    {"no-store\t,\tno-cache", "no-store no-cache"},
    {",,no-store,, ,no-cache,", "no-store no-cache"},
    {",", ""},
    {", ,\t,", ""},
    {"max-age=60 , public", "public max-age=60"},

    /* What cannot be read is stale: white space where none may be, no value, no number.
     */
    {"max-age", "max-age=0"},
    {"max-age=", "max-age=0"},
    {"max-age=\"\"", "max-age=0"},
    {"max-age =60", "max-age=0"},
    {"max-age= 60", "max-age=0"},
    {"max-age = 60", "max-age=0"},
    {"max-age=60 60", "max-age=0"},
    {"max-age=60;x", "max-age=0"},
    {"max-age=-1", "max-age=0"},
    {"max-age=+60", "max-age=0"},
    {"max-age=60s", "max-age=0"},
    {"max-age=6.5", "max-age=0"},
    {"max-age=0x10", "max-age=0"},
    {"max-age='60'", "max-age=0"},
    {"max-age=\" 60\"", "max-age=0"},
    /* Whatever a missing quote swallowed may have been a no-store. */
    {"max-age=\"60", "no-store max-age=0"},
    {"max-age=60, private=\"a, no-store", "no-store private max-age=60"},
    {"max-age=\"60\"x", "max-age=0"},
    {"max-age=\"60\\", "no-store max-age=0"},
    {"s-maxage=x", "s-maxage=0"},
    {"s-maxage", "s-maxage=0"},
    {"max-stale=x", "max-stale=0"},
    {"max-stale=", "max-stale=0"},
    {"max-stale=-5", "max-stale=0"},
    {"stale-while-revalidate", "swr=0"},
    {"stale-while-revalidate=-1", "swr=0"},
    {"stale-if-error=x", "sie=0"},
    {"max-stale", "max-stale=2147483648"},

    /* Too large is the largest; zeros in front are nothing. */
    {"max-age=2147483647", "max-age=2147483647"},
    {"max-age=2147483648", "max-age=2147483648"},
    {"max-age=2147483649", "max-age=2147483648"},
    {"max-age=4294967296", "max-age=2147483648"},
    {"max-age=9223372036854775808", "max-age=2147483648"},
    {"max-age=18446744073709551676", "max-age=2147483648"},
    {"max-age=99999999999999999999999999999999", "max-age=2147483648"},
    {"max-age=\"99999999999999999999\"", "max-age=2147483648"},
    {"max-age=00000000000000000000000060", "max-age=60"},
    {"s-maxage=99999999999999999999", "s-maxage=2147483648"},
    {"max-stale=99999999999999999999", "max-stale=2147483648"},
    {"stale-if-error=99999999999999999999", "sie=2147483648"},

    /* Given twice, the stricter counts. */
    {"max-age=60, max-age=5", "max-age=5"},
    {"max-age=5, max-age=60", "max-age=5"},
    {"max-age=60, max-age", "max-age=0"},
    {"max-age=x, max-age=60", "max-age=0"},
    {"s-maxage=60, s-maxage=5", "s-maxage=5"},
    {"max-stale, max-stale=5", "max-stale=5"},
    {"max-stale=5, max-stale", "max-stale=5"},
    {"min-fresh=5, min-fresh=60", "min-fresh=60"},
    {"min-fresh=60, min-fresh=5", "min-fresh=60"},
    {"stale-while-revalidate=5, stale-while-revalidate=1", "swr=1"},
    {"stale-if-error=1, stale-if-error=5", "sie=1"},
    {"public, private", "private public"},
    {"no-cache, no-cache", "no-cache"},
    {"no-store, max-age=60", "no-store max-age=60"},
    {"no-cache, no-cache=\"a\"", "no-cache names"},
    {"private=\"a\", private", "private names"},

    /* With field names it is about those alone. */
    {"no-cache=\"Set-Cookie\"", "names"},
    {"private=\"a\"", "names"},
    {"private=\"a, b\", max-age=5", "names max-age=5"},
    {"no-cache=Set-Cookie", "names"},
    {"private=a", "names"},
    {"NO-CACHE=\"a\"", "names"},
    {"no-cache=\"\"", "no-cache"},
    {"private=", "private"},
    {"no-cache=\"a", "no-store no-cache"},
    {"private=\"a\"b", "private"},
    {"no-cache =\"a\"", "no-cache"},
    {"no-cache=\"a\\\", no-store\"", "names"},

    /* Flags stay flags whatever they are given. */
    {"no-store=1", "no-store"},
    {"no-store=\"x\"", "no-store"},
    {"must-revalidate=0", "must-revalidate"},
    {"no-store x", "no-store"},

    /* Others say nothing, also when they hold the words of ours. */
    {"immutable", ""},
    {"x-no-store", ""},
    {"no-storex", ""},
    {"nostore", ""},
    {"no_store", ""},
    {"max-age-x=5", ""},
    {"xmax-age=5", ""},
    {"x=\"no-store\"", ""},
    {"x=\"a, no-store, max-age=1\", max-age=60", "max-age=60"},
    {"x=\"\\\", no-store\", max-age=60", "max-age=60"},
    {"x=\"\\\\\", no-store", "no-store"},
    {"=5, no-store", "no-store"},
    {"=, max-age=5", "max-age=5"},
    {"@, no-store", "no-store"},
    {"'no-store'", ""},
};

static void check_control(const char *control, enum http_head_kind kind,
                          const char *wanted)
{
    struct made_head made;
    char field[256];

    (void)snprintf(field, sizeof(field), "Cache-Control: %s", control);
    if (kind == HTTP_REQUEST)
        make_request(&made, field);
    else
        make_response(&made, 200, field);
    check_read(&made.head, field, wanted);
    end_head(&made);
}

START_TEST(a_control_is_read_the_same_in_requests_and_responses)
{
    check_control(controls[_i].text, HTTP_REQUEST, controls[_i].read);
    check_control(controls[_i].text, HTTP_RESPONSE, controls[_i].read);
}
END_TEST

/* Whole heads: several fields are one list; Pragma only where nothing newer speaks. */
static const struct row requests[] = {
    {"Cache-Control: no-store\nCache-Control: no-cache", "no-store no-cache"},
    {"cache-control: max-age=5\nX: y\nCACHE-CONTROL: max-age=3", "max-age=3"},
    {"Cache-Control:\nCache-Control: no-store", "no-store"},
    {"X-Cache-Control: no-store", ""},
    {"Cache-Control2: no-store", ""},
    {"Cache_Control: no-store", ""},
    {"Pragma: no-cache", "no-cache"},
    {"pragma: NO-CACHE", "no-cache"},
    {"Pragma: x, no-cache", "no-cache"},
    {"Pragma: x=\"a, b\", no-cache", "no-cache"},
    {"Pragma: x\nPragma: no-cache", "no-cache"},
    {"Pragma: x=\"no-cache\"", ""},
    {"Pragma: no-store", ""},
    {"Pragma: max-age=5", ""},
    {"Pragma: cache", ""},
    {"Pragma:", ""},
    {"Pragma: no-cache\nCache-Control: max-age=60", "max-age=60"},
    {"Cache-Control: max-age=60\nPragma: no-cache", "max-age=60"},
    {"Cache-Control: x\nPragma: no-cache", ""},
};

START_TEST(the_fields_of_a_request_are_one_list)
{
    struct made_head made;

    make_request(&made, requests[_i].text);
    check_read(&made.head, requests[_i].text, requests[_i].read);
    end_head(&made);
}
END_TEST

/* RFC 9111 5.4: Pragma is a request's. */
START_TEST(a_pragma_in_a_response_says_nothing)
{
    struct made_head made;

    make_response(&made, 200, "Pragma: no-cache");
    check_read(&made.head, "Pragma", "");
    end_head(&made);
}
END_TEST

static const struct {
    const char *fields;
    bool is_present;
} presences[] = {
    {"X: y", false},
    {"Pragma: no-cache", false},
    {"Cache-Control: max-age=1", true},
    {"CACHE-CONTROL: unknown", true},
    {"Cache-Control:", true},
};

START_TEST(a_field_without_a_known_word_is_still_present)
{
    struct cache_directives directives;
    struct made_head made;

    make_request(&made, presences[_i].fields);
    cache_directives_read(&made.head, &directives);
    ck_assert_msg(directives.is_present == presences[_i].is_present, "%s",
                  presences[_i].fields);
    end_head(&made);
}
END_TEST

START_TEST(cleared_directives_say_nothing)
{
    struct cache_directives directives;
    struct text got = {0};

    memset(&directives, 0x5a, sizeof(directives));
    cache_directives_clear(&directives);
    describe(&directives, &got);
    ck_assert_uint_eq(got.len, 0);
    ck_assert(!directives.is_present);
    text_fini(&got);
}
END_TEST

static const struct {
    const char *fields, *name;
    bool is_named;
} names[] = {
    {"Cache-Control: no-cache=\"Set-Cookie\"", "Set-Cookie", true},
    {"Cache-Control: no-cache=\"set-cookie\"", "Set-Cookie", true},
    {"Cache-Control: private=\"a, b ,c\"", "a", true},
    {"Cache-Control: private=\"a, b ,c\"", "b", true},
    {"Cache-Control: private=\"a, b ,c\"", "C", true},
    {"Cache-Control: private=\"a, b ,c\"", "d", false},
    {"Cache-Control: private=\"ab\"", "a", false},
    {"Cache-Control: private=\"a\"", "ab", false},
    {"Cache-Control: private=a", "a", true},
    {"Cache-Control: PRIVATE=\"a\", No-Cache=\"b\"", "b", true},
    {"Cache-Control: max-age=5\nCache-Control: private=\"a\"", "a", true},
    {"Cache-Control: private", "a", false},
    {"Cache-Control: no-cache=\"\"", "a", false},
    {"Cache-Control: x=\"a\"", "a", false},
    {"Cache-Control: max-age=a", "a", false},
    {"Cache-Control: a", "a", false},
    {"Pragma: no-cache=\"a\"", "a", false},
    {"X: private=\"a\"", "a", false},
};

START_TEST(a_field_is_named_by_a_qualified_directive_alone)
{
    struct made_head made;

    make_response(&made, 200, names[_i].fields);
    ck_assert_msg(cache_names_field(&made.head, span_of(names[_i].name)) ==
                      names[_i].is_named,
                  "%s: %s", names[_i].fields, names[_i].name);
    end_head(&made);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/directives");
    TCase *reading = suite_case(suite, "reading");
    TCase *naming = suite_case(suite, "naming");

    tcase_add_loop_test(reading, a_control_is_read_the_same_in_requests_and_responses, 0,
                        ROWS(controls));
    tcase_add_loop_test(reading, the_fields_of_a_request_are_one_list, 0, ROWS(requests));
    tcase_add_test(reading, a_pragma_in_a_response_says_nothing);
    tcase_add_loop_test(reading, a_field_without_a_known_word_is_still_present, 0,
                        ROWS(presences));
    tcase_add_test(reading, cleared_directives_say_nothing);
    tcase_add_loop_test(naming, a_field_is_named_by_a_qualified_directive_alone, 0,
                        ROWS(names));
    return run_suite(suite);
}
