/* Targets (RFC 9112 3.2), Host (RFC 9112 3.2, RFC 3986 3.2.2) and paths (INTERFACES). */
#include "http/target.h"
#include "support/heads.h"
#include "support/suite.h"

#define FAULT(name) .fault = HTTP_FAULT_##name

static const struct {
    struct span target;
    const char *method;
    const char *parts; /* "authority|path|query", '-' for what is absent; NULL: refused */
    enum http_fault fault;
} targets[] = {
    {SPAN("/"), "GET", .parts = "-|/|-"},
    {SPAN("/v1/teams"), "GET", .parts = "-|/v1/teams|-"},
    {SPAN("/a?b=c&d?e"), "GET", .parts = "-|/a|b=c&d?e"},
    {SPAN("/a?"), "GET", .parts = "-|/a|"},
    {SPAN("/?/../"), "GET", .parts = "-|/|/../"},
    {SPAN("/a%2"), "GET", .parts = "-|/a%2|-"}, /* judged by http_path_split() */
    {SPAN("//host/path"), "GET", .parts = "-|//host/path|-"},
    {SPAN("/http://b/"), "GET", .parts = "-|/http://b/|-"},
    {SPAN("/*"), "OPTIONS", .parts = "-|/*|-"},
    {SPAN("/\xc3\xa9\xff\"<>\\^`{|}"), "GET", .parts = "-|/\xc3\xa9\xff\"<>\\^`{|}|-"},
    {SPAN("*"), "OPTIONS", .parts = "-|*|- asterisk"},
    {SPAN("http://a"), "GET", .parts = "a|/|-"},
    {SPAN("http://a/"), "GET", .parts = "a|/|-"},
    {SPAN("HTTP://a/b?c"), "GET", .parts = "a|/b|c"},
    {SPAN("hTTps://a:443/b"), "PUT", .parts = "a:443|/b|-"},
    {SPAN("http://a?b"), "GET", .parts = "a|/|b"},
    {SPAN("http://a:"), "GET", .parts = "a:|/|-"},
    {SPAN("http://[::1]:80/"), "GET", .parts = "[::1]:80|/|-"},
    {SPAN("http://a//b"), "GET", .parts = "a|//b|-"},
    {SPAN("http://a/?http://b/"), "GET", .parts = "a|/|http://b/"},
    /* The same as "*" (RFC 9112 3.2.4). */
    {SPAN("http://a"), "OPTIONS", .parts = "a|*|- asterisk"},
    {SPAN("http://a/"), "OPTIONS", .parts = "a|/|-"},
    {SPAN("*"), "GET", FAULT(TARGET_FORM)},
    {SPAN("*"), "options", FAULT(TARGET_FORM)}, /* methods have their case */
    {SPAN("**"), "OPTIONS", FAULT(TARGET_FORM)},
    {SPAN("*/test"), "OPTIONS", FAULT(TARGET_FORM)},
    {SPAN("*?a"), "OPTIONS", FAULT(TARGET_FORM)},
    {SPAN("a"), "GET", FAULT(TARGET_FORM)},
    {SPAN("a/b"), "GET", FAULT(TARGET_FORM)},
    {SPAN("?a"), "GET", FAULT(TARGET_FORM)},
    {SPAN("a:80"), "GET", FAULT(TARGET_FORM)}, /* authority-form is for CONNECT */
    {SPAN("%2fa"), "GET", FAULT(TARGET_FORM)},
    {SPAN("\\a"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http:"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http:/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http:/a"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http:a"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://"), "GET", FAULT(TARGET_FORM)},
    {SPAN("https://"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http:///a"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://?a"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://:80/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http:\\\\a/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://u@a/"), "GET", FAULT(TARGET_FORM)}, /* RFC 9110 4.2.4 */
    {SPAN("http://u:p@a/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://a\\b/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://a:x/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://a:65536/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://a:80:80/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://[::1/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("http://a%zz/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("ftp://a/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("file:///etc/passwd"), "GET", FAULT(TARGET_FORM)},
    {SPAN("ws://a/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("httpx://a/"), "GET", FAULT(TARGET_FORM)},
    {SPAN("/a#b"), "GET", FAULT(TARGET_BYTE)},
    {SPAN("#"), "GET", FAULT(TARGET_BYTE)},
    {SPAN("/a?b#c"), "GET", FAULT(TARGET_BYTE)},
    {SPAN("http://a#b"), "GET", FAULT(TARGET_BYTE)},
    {SPAN("/a\tb"), "GET", FAULT(TARGET_BYTE)},
    {SPAN("/a b"), "GET", FAULT(TARGET_BYTE)},
    {SPAN("/a\0"), "GET", FAULT(TARGET_BYTE)},
    {SPAN("/a\x7f"), "GET", FAULT(TARGET_BYTE)},
    {SPAN("/a?\x01"), "GET", FAULT(TARGET_BYTE)},
};

static void add_part(struct text *text, struct span part)
{
    text_add(text, part.at != NULL ? part : SPAN("-"));
}

START_TEST(a_target_has_one_of_three_forms)
{
    struct span target = exact_span(targets[_i].target);
    enum http_fault fault = HTTP_FAULT_NONE;
    struct http_target split;
    struct text text = {0};

    if (http_target_split(target, span_of(targets[_i].method), &split, &fault)) {
        add_part(&text, split.authority);
        text_add_byte(&text, '|');
        add_part(&text, split.path);
        text_add_byte(&text, '|');
        add_part(&text, split.query);
        text_add(&text, split.is_asterisk ? SPAN(" asterisk") : SPAN(""));
        ck_assert_msg(targets[_i].parts != NULL, "'%s' is split", shown(target));
        ck_assert_str_eq(text.bytes, targets[_i].parts);
    } else {
        ck_assert_msg(targets[_i].parts == NULL, "'%s': %s", shown(target),
                      http_fault_text(fault));
        ck_assert_msg(fault == targets[_i].fault, "'%s': %s", shown(target),
                      http_fault_text(fault));
    }
    text_fini(&text);
    free((char *)(uintptr_t)target.at);
}
END_TEST

/* Checks the Host of a request with that target; the fault. */
static enum http_fault host_fault(const char *target, const char *version,
                                  struct span fields)
{
    enum http_fault fault = HTTP_FAULT_NONE;
    struct http_target split;
    struct http_head head;
    struct text text = {0};
    struct span exact;

    text_add_format(&text, "GET %s %s\r\n", target, version);
    text_add(&text, fields);
    text_add(&text, SPAN("\r\n"));
    exact = exact_span(span_make(text.bytes, text.len));
    must_parse(&head, HTTP_REQUEST, exact);
    ck_assert(http_target_split(head.target, head.method, &split, &fault));
    if (http_check_host(&head, &split, &fault))
        fault = HTTP_FAULT_NONE;
    else
        ck_assert_int_ne(fault, HTTP_FAULT_NONE);
    http_head_fini(&head);
    free((char *)(uintptr_t)exact.at);
    text_fini(&text);
    return fault;
}

/* RFC 9112 3.2: Host = uri-host [ ":" port ]; RFC 3986 3.2.2. */
static const struct {
    struct span value;
    bool is_valid;
} hosts[] = {
    {SPAN("a"), true},
    {SPAN("api.paperspace.com"), true},
    {SPAN("API.Paperspace.COM:8080"), true},
    {SPAN("a:"), true}, /* port = *DIGIT */
    {SPAN("a:0"), true},
    {SPAN("a:65535"), true},
    {SPAN("a:00080"), true},
    {SPAN("127.0.0.1:80"), true},
    {SPAN("[::1]"), true},
    {SPAN("[::1]:8443"), true},
    {SPAN("[2001:DB8::192.0.2.1]"), true},
    {SPAN("[::ffff:192.0.2.1]:80"), true},
    {SPAN("a_b-c.d~e!$&'()*+,;="), true},
    {SPAN("a%20b"), true},
    {SPAN("a."), true},
    {SPAN(""), false},
    {SPAN(":80"), false},
    {SPAN("a:65536"), false},
    {SPAN("a:99999999999999999999"), false},
    {SPAN("a:x"), false},
    {SPAN("a:8x"), false},
    {SPAN("a:-1"), false},
    {SPAN("a:+1"), false},
    {SPAN("a: 1"), false},
    {SPAN("a:80:80"), false},
    {SPAN("::1"), false},
    {SPAN("a b"), false},
    {SPAN("a\tb"), false},
    {SPAN("a, b"), false},
    {SPAN("a/b"), false},
    {SPAN("a/"), false},
    {SPAN("http://a"), false},
    {SPAN("a?b"), false},
    {SPAN("a#b"), false},
    {SPAN("u@a"), false},
    {SPAN("a@b:80"), false},
    {SPAN("a\\b"), false},
    {SPAN("\"a\""), false},
    {SPAN("<a>"), false},
    {SPAN("a|b"), false},
    {SPAN("a^b"), false},
    {SPAN("a`b"), false},
    {SPAN("{a}"), false},
    {SPAN("\xc3\xa9"), false},
    {SPAN("a\xff"), false},
    {SPAN("a%"), false},
    {SPAN("a%2"), false},
    {SPAN("a%zz"), false},
    {SPAN("[]"), false},
    {SPAN("[]:80"), false},
    {SPAN("["), false},
    {SPAN("]"), false},
    {SPAN("[::1"), false},
    {SPAN("::1]"), false},
    {SPAN("[::1]x"), false},
    {SPAN("[::1]80"), false},
    {SPAN("[::1]]"), false},
    {SPAN("[[::1]]"), false},
    {SPAN("[::1]:x"), false},
    {SPAN("[::1]:65536"), false},
    {SPAN("a[::1]"), false},
    {SPAN("a]"), false},
    {SPAN("[a]"), false},
    {SPAN("[127.0.0.1]"), false},
    {SPAN("[:]"), false},
    {SPAN("[1:2]"), false},
    {SPAN("[::1::2]"), false},
    {SPAN("[::1%25eth0]"), false}, /* zones are RFC 6874's, which RFC 9110 leaves out */
};

START_TEST(a_host_is_a_host_and_perhaps_a_port)
{
    struct text text = {0};
    enum http_fault fault;

    text_add(&text, SPAN("Host: "));
    text_add(&text, hosts[_i].value);
    text_add(&text, SPAN("\r\n"));
    fault = host_fault("/", "HTTP/1.1", span_make(text.bytes, text.len));
    ck_assert_msg(fault ==
                      (hosts[_i].is_valid ? HTTP_FAULT_NONE : HTTP_FAULT_HOST_INVALID),
                  "'%s': %s", shown(hosts[_i].value), http_fault_text(fault));
    ck_assert_int_eq(host_fault("/", "HTTP/1.0", span_make(text.bytes, text.len)), fault);
    text_fini(&text);
}
END_TEST

static const struct {
    const char *target, *version;
    struct span fields;
    enum http_fault fault;
} requests[] = {
    {"/", "HTTP/1.1", SPAN(""), HTTP_FAULT_HOST_MISSING},
    {"http://a/", "HTTP/1.1", SPAN(""), HTTP_FAULT_HOST_MISSING},
    {"/", "HTTP/1.1", SPAN("X-Host: a\r\n"), HTTP_FAULT_HOST_MISSING},
    {"/", "HTTP/1.0", SPAN(""), HTTP_FAULT_NONE},
    {"/", "HTTP/1.1", SPAN("Host: a\r\nHost: a\r\n"), HTTP_FAULT_HOST_REPEATED},
    {"/", "HTTP/1.1", SPAN("Host: a\r\nhOST: b\r\n"), HTTP_FAULT_HOST_REPEATED},
    {"/", "HTTP/1.1", SPAN("Host: a\r\nHost:\r\n"), HTTP_FAULT_HOST_REPEATED},
    {"/", "HTTP/1.0", SPAN("Host: a\r\nHost: b\r\n"), HTTP_FAULT_HOST_REPEATED},
    {"/", "HTTP/1.1", SPAN("HOST:a\r\n"), HTTP_FAULT_NONE},
    {"http://a/", "HTTP/1.1", SPAN("Host: a\r\n"), HTTP_FAULT_NONE},
    {"http://A.b:80/", "HTTP/1.1", SPAN("Host: a.B:80\r\n"), HTTP_FAULT_NONE},
    {"http://[::1]/", "HTTP/1.1", SPAN("Host: [::1]\r\n"), HTTP_FAULT_NONE},
    {"http://a/", "HTTP/1.1", SPAN("Host: b\r\n"), HTTP_FAULT_TARGET_AUTHORITY},
    {"http://a/", "HTTP/1.1", SPAN("Host: a.b\r\n"), HTTP_FAULT_TARGET_AUTHORITY},
    {"http://a/", "HTTP/1.1", SPAN("Host: a:81\r\n"), HTTP_FAULT_TARGET_AUTHORITY},
    {"http://a/", "HTTP/1.0", SPAN("Host: b\r\n"), HTTP_FAULT_TARGET_AUTHORITY},
    {"http://a/", "HTTP/1.1", SPAN("Host:\r\n"), HTTP_FAULT_HOST_INVALID},
};

START_TEST(a_request_names_one_host)
{
    enum http_fault fault =
        host_fault(requests[_i].target, requests[_i].version, requests[_i].fields);

    ck_assert_msg(fault == requests[_i].fault, "%s with %s: %s", requests[_i].target,
                  shown(requests[_i].fields), http_fault_text(fault));
}
END_TEST

static const struct {
    struct span text, decoded;
} percents[] = {
    {SPAN(""), SPAN("")},
    {SPAN("plain"), SPAN("plain")},
    {SPAN("%41%7a%2F%00"), SPAN("Az/\0")},
    {SPAN("%"), SPAN("%")},
    {SPAN("%4"), SPAN("%4")},
    {SPAN("a%4"), SPAN("a%4")},
    {SPAN("%zz%4g%g4"), SPAN("%zz%4g%g4")},
    {SPAN("%%41"), SPAN("%A")},
    {SPAN("%2541"), SPAN("%41")},
    {SPAN("%e9%C3"), SPAN("\xe9\xc3")},
};

START_TEST(percent_decoding_leaves_what_is_broken)
{
    struct span text = exact_span(percents[_i].text);
    char *out = malloc(text.len);
    size_t len = http_percent_decode(text, out);

    assert_span_is(span_make(out, len), percents[_i].decoded, "the decoded text");
    free(out);
    free((char *)(uintptr_t)text.at);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/target");
    TCase *forms = suite_case(suite, "forms");
    TCase *host = suite_case(suite, "host");
    TCase *decode = suite_case(suite, "decode");

    tcase_add_loop_test(forms, a_target_has_one_of_three_forms, 0, ROWS(targets));
    tcase_add_loop_test(host, a_host_is_a_host_and_perhaps_a_port, 0, ROWS(hosts));
    tcase_add_loop_test(host, a_request_names_one_host, 0, ROWS(requests));
    tcase_add_loop_test(decode, percent_decoding_leaves_what_is_broken, 0,
                        ROWS(percents));
    return run_suite(suite);
}
