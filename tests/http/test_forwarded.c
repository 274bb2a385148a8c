/* Whom trusted proxies forward a request for. 10.0.0.0/8 and 2001:db8:a::/48 are trusted.
 */
#include "base/text.h"
#include "http/forwarded.h"
#include "support/heads.h"

static struct network trusted_list[2];
static const struct networks trusted = {.list = trusted_list, .count = 2};

static void make_trusted(void)
{
    struct error error;

    ck_assert(network_parse(SPAN("10.0.0.0/8"), &trusted_list[0], &error));
    ck_assert(network_parse(SPAN("2001:db8:a::/48"), &trusted_list[1], &error));
}

static struct forwarded read_lines(const char *lines)
{
    struct text text = {0};
    struct forwarded forwarded;
    struct http_head head;

    text_add_format(&text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
    must_parse(&head, HTTP_REQUEST, span_make(text.bytes, text.len));
    forwarded = forwarded_read(&head, &trusted);
    http_head_fini(&head);
    text_fini(&text);
    return forwarded;
}

static void check_source(const char *lines, const char *wanted)
{
    struct forwarded forwarded = read_lines(lines);
    char text[IP_TEXT_BYTES] = "";

    if (forwarded.has_source)
        ip_format(&forwarded.source, text);
    ck_assert_msg(strcmp(text, wanted) == 0, "'%s' is from '%s', not '%s'", lines, text,
                  wanted);
}

#define F "Forwarded: "
#define X "X-Forwarded-For: "
#define END "\r\n"

static const struct {
    const char *lines, *source; /* "": nothing is said */
} sources[] = {
    {"", ""},
    {F "for=192.0.2.7" END, "192.0.2.7"},
    {F "For=192.0.2.7" END, "192.0.2.7"},
    {F "for=\"192.0.2.7\"" END, "192.0.2.7"},
    {F "for=\"192.0.2.7:4711\"" END, "192.0.2.7"},
    {F "for=192.0.2.7:4711" END, "192.0.2.7"},
    {F "for=\"192.0.2.7:_port\"" END, "192.0.2.7"},
    {F "for=\"[2001:db8::1]\"" END, "2001:db8::1"},
    {F "for=\"[2001:db8::1]:4711\"" END, "2001:db8::1"},
    {F "for=\"[::ffff:192.0.2.7]\"" END, "192.0.2.7"},
    {F "proto=https;for=192.0.2.7;by=10.0.0.2" END, "192.0.2.7"},
    {F "by=\"a;for=1.1.1.1\"; for=192.0.2.7 ;host=\"x, for=2.2.2.2\"" END, "192.0.2.7"},
    {F "host=\"a\\\";for=1.1.1.1\";for=192.0.2.7" END, "192.0.2.7"},
    /* The rightmost that is not trusted; what stands left of it is a stranger's. */
    {F "for=192.0.2.1, for=192.0.2.7" END, "192.0.2.7"},
    {F "for=192.0.2.1, for=192.0.2.7, for=10.1.2.3" END, "192.0.2.7"},
    {F "for=192.0.2.7" END F "for=10.0.0.9,for=\"[2001:db8:a::5]\"" END, "192.0.2.7"},
    {F "for=192.0.2.7,, ,for=10.0.0.9," END, "192.0.2.7"},
    {F "for=10.0.0.4, for=10.0.0.9" END, "10.0.0.4"},
    /* A stranger's open quote swallows nothing that was added behind it. */
    {F "for=\"1.1.1.1, for=192.0.2.7" END, "192.0.2.7"},
    {F "for=1.1.1.1;x=\", for=\"[2001:db8::1]\"" END, "2001:db8::1"},
    {F "x=\"\\, for=192.0.2.7" END, "192.0.2.7"},
    /* Who hides hides those behind him too. */
    {F "for=unknown" END, ""},
    {F "for=_hidden" END, ""},
    {F "for=\"_hidden:80\"" END, ""},
    {F "for=192.0.2.7, for=unknown" END, ""},
    {F "for=192.0.2.7, for=_a, for=10.0.0.9" END, "10.0.0.9"},
    {F "proto=https" END, ""},
    {F "for=192.0.2.7, proto=https" END, ""},
    {F "for=192.0.2.7;for=192.0.2.8" END, ""},
    {F "for=" END, ""},
    {F "for=[2001:db8::1" END, ""},
    {F "for=\"[192.0.2.7\"" END, ""},
    {F "for=\"2001:db8::1:80:x\"" END, ""},
    {F "for=192.0.2.7:" END, ""},
    {F "for=192.0.2.7:65536" END, ""},
    {F "for=192.0.2.7:+1" END, ""},
    {F "for=192.0.2.7x" END, ""},
    {F "fork=192.0.2.7" END, ""},
    {F "for=\"" END, ""},
    {F "\"" END, ""},
    {F "" END, ""},
    /* X-Forwarded-For, where there is no Forwarded. */
    {X "192.0.2.7" END, "192.0.2.7"},
    {X "192.0.2.7:4711" END, "192.0.2.7"},
    {X "2001:db8::1" END, "2001:db8::1"},
    {X "[2001:db8::1]:4711" END, "2001:db8::1"},
    {X "[2001:db8::1]x" END, ""},
    {X "1.1.1.1, 192.0.2.7 , 10.0.0.9" END, "192.0.2.7"},
    {X "1.1.1.1, 192.0.2.7" END X "10.0.0.9" END, "192.0.2.7"},
    {X "192.0.2.7, unknown" END, ""},
    {X "192.0.2.7, nobody, 10.0.0.9" END, "10.0.0.9"},
    {X "for=192.0.2.7" END, ""},
    {X "1.1.1.1" END F "for=192.0.2.7" END, "192.0.2.7"},
    {X "1.1.1.1" END F "for=unknown" END, ""},
};

START_TEST(the_rightmost_hop_that_is_not_trusted_is_the_source)
{
    check_source(sources[_i].lines, sources[_i].source);
}
END_TEST

static const struct {
    const char *lines;
    bool is_contradicted;
} pairs[] = {
    {F "for=192.0.2.7" END, false},
    {X "192.0.2.7" END, false},
    {F "for=192.0.2.7" END X "1.1.1.1, 192.0.2.7" END, false},
    {F "for=\"[::ffff:192.0.2.7]\"" END X "192.0.2.7" END, false},
    {F "for=unknown" END X "unknown" END, false},
    {F "for=192.0.2.7" END X "192.0.2.8" END, true},
    {F "for=unknown" END X "192.0.2.8" END, true},
    {F "for=192.0.2.7" END X "unknown" END, true},
};

START_TEST(two_fields_that_say_something_else_contradict_each_other)
{
    ck_assert_int_eq(read_lines(pairs[_i].lines).is_contradicted,
                     pairs[_i].is_contradicted);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/forwarded");
    TCase *reading = suite_case(suite, "reading");

    tcase_add_checked_fixture(reading, make_trusted, NULL);
    tcase_add_loop_test(reading, the_rightmost_hop_that_is_not_trusted_is_the_source, 0,
                        ROWS(sources));
    tcase_add_loop_test(reading, two_fields_that_say_something_else_contradict_each_other,
                        0, ROWS(pairs));
    return run_suite(suite);
}
