/* Vary: RFC 9111 4.1. */
#include "cache/vary.h"
#include "cases.h"

static const struct {
    const char *fields;
    const char *names; /* NULL: nothing matches */
} lists[] = {
    {"X: y", ""},
    {"Vary: Accept", "accept"},
    {"VARY: accept-encoding", "accept-encoding"},
    {"Vary: b, a", "a,b"},
    {"Vary: b,a,c", "a,b,c"},
    {"Vary:   b ,\ta  ", "a,b"},
    {"Vary: a, A, a", "a"},
    {"Vary: ,a,,b,", "a,b"},
    {"Vary:", ""},
    {"Vary: ,", ""},
    {"Vary: b\nX: y\nVary: a", "a,b"},
    {"Vary: a\nvary: A", "a"},
    {"Vary: ab, a", "a,ab"},
    {"Vary: Origin, Accept-Encoding, Accept-Language",
     "accept-encoding,accept-language,origin"},
    {"X-Vary: a", ""},
    {"Vary: *", NULL},
    {"Vary: a, *", NULL},
    {"Vary: *, a", NULL},
    {"Vary: *,*", NULL},
    {"Vary: a\nVary: *", NULL},
    {"Vary: , *", NULL},
    /* Found by fuzzing: brackets and quotes hid the names in them. */
    {"Vary: (Accept, accept-Encoding", NULL},
    {"Vary: \"Accept, x", NULL},
    {"Vary: a b", NULL},
    {"Vary: a\nVary: b:", NULL},
};

START_TEST(the_names_are_lower_case_sorted_and_each_there_once)
{
    struct text names = {0};
    struct made_head made;
    bool is_fine;

    make_response(&made, 200, lists[_i].fields);
    is_fine = cache_vary_names(&made.head, &names);
    ck_assert_msg(is_fine == (lists[_i].names != NULL), "%s", lists[_i].fields);
    if (is_fine)
        assert_span_is(span_make(names.bytes, names.len), span_of(lists[_i].names),
                       lists[_i].fields);
    text_fini(&names);
    end_head(&made);
}
END_TEST

/* The key's part for a request; NULL when there is none. The caller frees it. */
static char *key_of(const char *names, const char *fields)
{
    struct text key = {0};
    struct made_head made;
    char *bytes;

    make_request(&made, fields);
    cache_vary_values(span_of(names), &made.head, &key);
    end_head(&made);
    text_add_byte(&key, '\0');
    if (key.failed)
        text_fini(&key);
    bytes = key.bytes;
    return bytes;
}

static bool is_same_key(const char *names, const char *fields, const char *others)
{
    char *one = key_of(names, fields), *other = key_of(names, others);
    bool is_same = one != NULL && other != NULL && strcmp(one, other) == 0;

    free(one);
    free(other);
    return is_same;
}

struct pair {
    const char *names, *one, *other;
};

/* By white space, by joining lines, by what the field's own syntax calls the same. */
static const struct pair alike[] = {
    {"", "X: 1", "X: 2"},
    {"x", "Y: 1", "Y: 2"},
    {"x", "", ""},
    {"x", "X: 1", "X: 1"},
    {"x", "x: 1", "X: 1"},
    {"x", "X:1", "X:    1\t"},
    {"x", "X: 1\nY: 2", "Y: 3\nX: 1"},
    {"x", "X: a, b", "X: a\nX: b"},
    {"accept-encoding", "Accept-Encoding: gzip,br", "Accept-Encoding: gzip, br"},
    {"accept-encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: br, gzip"},
    {"accept-encoding", "Accept-Encoding: GZIP", "Accept-Encoding: gzip"},
    {"accept-encoding", "Accept-Encoding: gzip, br",
     "Accept-Encoding: br\nAccept-Encoding: gzip"},
    {"accept-encoding", "Accept-Encoding: gzip,,br", "Accept-Encoding: gzip, br,"},
    {"accept-language", "Accept-Language: EN-us", "Accept-Language: en-US"},
    {"accept-language", "Accept-Language: en;q=0.5, de",
     "Accept-Language: de ,en;q=0.5"},
    {"a,b", "B: 2\nA: 1", "A: 1\nB: 2"},
    /* The gateway's own in every request, or never sent. */
    {"authorization", "Authorization: Bearer a", "Authorization: Bearer b"},
    {"authorization", "Authorization: Bearer a", ""},
    {"x-api-key", "X-Api-Key: a", "X-Api-Key: b"},
    {"x-api-key", "X-Api-Key: a", ""},
    {"host", "X: 1", "X: 2"},
    {"x", "Connection: x\nX: 1", "Connection: x\nX: 2"},
    {"x", "Connection: x\nX: 1", ""},
    {"te", "TE: trailers\nConnection: te", ""},
};

START_TEST(requests_that_say_the_same_have_the_same_key)
{
    ck_assert_msg(is_same_key(alike[_i].names, alike[_i].one, alike[_i].other),
                  "Vary %s: '%s' and '%s'", alike[_i].names, alike[_i].one,
                  alike[_i].other);
}
END_TEST

static const struct pair different[] = {
    {"x", "X: 1", "X: 2"},
    {"x", "X: 1", ""},
    {"x", "X: a", "X: A"},
    {"x", "X: a", "X: a, a"},
    {"x", "X: a, b", "X: b, a"},
    {"x", "X: a b", "X: ab"},
    {"x", "X: a b", "X: a, b"},
    {"x", "X: a;b", "X: a,b"},
    {"accept", "Accept: text/html", "Accept: text/plain"},
    {"accept", "Accept: text/html", ""},
    {"accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: br"},
    {"accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: gzip, br"},
    {"accept-encoding", "Accept-Encoding: gzip", ""},
    {"accept-encoding", "Accept-Encoding: gzip;q=0", "Accept-Encoding: gzip"},
    {"accept-language", "Accept-Language: en;q=1, de;q=0.5",
     "Accept-Language: en;q=0.5, de;q=1"},
    {"accept-language", "Accept-Language: en", "Accept-Language: en-US"},
    /* What moves from one field to the next does not add up to the same. */
    {"a,b", "A: 1\nB: 2", "A: 2\nB: 1"},
    {"a,b", "A: 1", "B: 1"},
    {"a,b", "A: b:1", "A:\nB: 1"},
    {"a,b", "A: 1,2\nB: 3", "A: 1\nB: 2,3"},
    {"a,ab", "A: b", "Ab: b"},
    {"user-agent", "User-Agent: curl/8.0", "User-Agent: curl/8.1"},
    {"origin", "Origin: https://a", "Origin: https://b"},
};

START_TEST(requests_that_say_something_else_have_another_key)
{
    ck_assert_msg(!is_same_key(different[_i].names, different[_i].one,
                               different[_i].other),
                  "Vary %s: '%s' and '%s'", different[_i].names, different[_i].one,
                  different[_i].other);
}
END_TEST

/* RFC 9111 4.1: absent matches only absent. */
static const struct pair absences[] = {
    {"x", "X:", ""},
    {"x", "X: ,", ""},
    {"accept-encoding", "Accept-Encoding:", ""},
    {"accept-language", "Accept-Language:", ""},
    {"a,b", "A:", "B:"},
};

START_TEST(an_empty_field_is_not_an_absent_one)
{
    ck_assert_msg(
        !is_same_key(absences[_i].names, absences[_i].one, absences[_i].other),
        "Vary %s: '%s' and '%s'", absences[_i].names, absences[_i].one,
        absences[_i].other);
}
END_TEST

/* White space counts where the field's syntax does not leave it free. */
static const struct pair contents[] = {
    {"x", "X: \"a, b\"", "X: \"a,b\""},
    {"x", "X: \"a,,b\"", "X: \"a,b\""},
    {"x", "X: \"a ,b\"", "X: \"a,b\""},
    {"user-agent", "User-Agent: a (b, c)", "User-Agent: a (b,c)"},
    {"if-none-match", "If-None-Match: \"a, b\"", "If-None-Match: \"a,b\""},
};

START_TEST(a_comma_within_quotes_or_comments_is_content)
{
    ck_assert_msg(
        !is_same_key(contents[_i].names, contents[_i].one, contents[_i].other),
        "Vary %s: '%s' and '%s'", contents[_i].names, contents[_i].one,
        contents[_i].other);
}
END_TEST

/* However long the list: what differs in its last element does not match. */
START_TEST(a_long_list_is_not_cut)
{
    for (int count = 1; count < 300; count += 7) {
        struct text one = {0}, other = {0};

        text_add(&one, SPAN("X: 0"));
        for (int i = 1; i < count; i++)
            text_add_format(&one, ", %d", i);
        text_add(&other, span_make(one.bytes, one.len));
        text_add(&one, SPAN(", a"));
        text_add(&other, SPAN(", b"));
        ck_assert(!is_same_key("x", one.bytes, other.bytes));
        text_fini(&one);
        text_fini(&other);
    }
}
END_TEST

/* A key that begins with something keeps it. */
START_TEST(the_values_are_added_behind_what_is_there)
{
    struct text key = {0};
    struct made_head made;

    text_add(&key, SPAN("GET /x"));
    make_request(&made, "X: 1");
    cache_vary_values(SPAN("x"), &made.head, &key);
    ck_assert_uint_gt(key.len, 6);
    assert_span_is(span_make(key.bytes, 6), SPAN("GET /x"), "the beginning");
    text_fini(&key);
    end_head(&made);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache/vary");
    TCase *names = suite_case(suite, "names");
    TCase *values = suite_case(suite, "values");

    tcase_add_loop_test(names, the_names_are_lower_case_sorted_and_each_there_once, 0,
                        ROWS(lists));
    tcase_add_loop_test(values, requests_that_say_the_same_have_the_same_key, 0,
                        ROWS(alike));
    tcase_add_loop_test(values, requests_that_say_something_else_have_another_key, 0,
                        ROWS(different));
    tcase_add_loop_test(values, an_empty_field_is_not_an_absent_one, 0, ROWS(absences));
    tcase_add_loop_test(values, a_comma_within_quotes_or_comments_is_content, 0,
                        ROWS(contents));
    tcase_add_test(values, a_long_list_is_not_cut);
    tcase_add_test(values, the_values_are_added_behind_what_is_there);
    return run_suite(suite);
}
