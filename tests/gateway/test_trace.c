#include "gateway/trace.h"
#include "support/heads.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

/* The fields of a request, and its trace id, NULL for none. */
static const struct {
    const char *fields, *id;
} rows[] = {
    {"traceparent: 00-" TRACE "-" PARENT "-01\r\n", TRACE},
    {"TraceParent: \t00-" TRACE "-" PARENT "-00 \r\n", TRACE},
    {"traceparent: 00-00000000000000000000000000000001-0000000000000001-ff\r\n",
     "00000000000000000000000000000001"},
    {"", NULL},
    {"traceparent:\r\n", NULL},
    {"tracestate: 00-" TRACE "-" PARENT "-01\r\n", NULL},
    {"trace-parent: 00-" TRACE "-" PARENT "-01\r\n", NULL},
    /* The version */
    {"traceparent: ff-" TRACE "-" PARENT "-01\r\n", NULL},
    {"traceparent: 0g-" TRACE "-" PARENT "-01\r\n", NULL},
    {"traceparent: CC-" TRACE "-" PARENT "-01\r\n", NULL},
    {"traceparent: 00-" TRACE "-" PARENT "-01-more\r\n", NULL},
    {"traceparent: 00-" TRACE "-" PARENT "-01-\r\n", NULL},
    {"traceparent: 01-" TRACE "-" PARENT "-01\r\n", TRACE},
    {"traceparent: cc-" TRACE "-" PARENT "-01-more\r\n", TRACE},
    {"traceparent: cc-" TRACE "-" PARENT "-01.more\r\n", NULL},
    {"traceparent: cc-" TRACE "-" PARENT "-012\r\n", NULL},
    /* The trace id */
    {"traceparent: 00-00000000000000000000000000000000-" PARENT "-01\r\n", NULL},
    {"traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01\r\n", NULL},
    {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e473x-" PARENT "-01\r\n", NULL},
    {"traceparent: 00-" TRACE "0-" PARENT "-01\r\n", NULL},
    {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e473-" PARENT "-01\r\n", NULL},
    /* The parent id */
    {"traceparent: 00-" TRACE "-0000000000000000-01\r\n", NULL},
    {"traceparent: 00-" TRACE "-00F067AA0BA902B7-01\r\n", NULL},
    {"traceparent: 00-" TRACE "-00f067aa0ba902b-01\r\n", NULL},
    /* The flags */
    {"traceparent: 00-" TRACE "-" PARENT "\r\n", NULL},
    {"traceparent: 00-" TRACE "-" PARENT "-1\r\n", NULL},
    {"traceparent: 00-" TRACE "-" PARENT "-0G\r\n", NULL},
    {"traceparent: 00-" TRACE "-" PARENT "-FF\r\n", NULL},
    /* The dashes */
    {"traceparent: 00_" TRACE "-" PARENT "-01\r\n", NULL},
    {"traceparent: 00-" TRACE "_" PARENT "-01\r\n", NULL},
    {"traceparent: 00-" TRACE "-" PARENT "_01\r\n", NULL},
    /* More than one field, or what looks like it */
    {"traceparent: 00-" TRACE "-" PARENT "-01\r\n"
     "traceparent: 00-" TRACE "-" PARENT "-01\r\n",
     NULL},
    {"traceparent: 00-" TRACE "-" PARENT "-01\r\nTRACEPARENT: x\r\n", NULL},
    {"traceparent: 00-" TRACE "-" PARENT "-01, 00-" TRACE "-" PARENT "-01\r\n", NULL},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

START_TEST(only_the_one_sound_field_has_an_id)
{
    struct http_head head;
    struct text request = {0};
    struct span found;

    text_add_format(&request, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[_i].fields);
    ck_assert(http_head_init(&head, HEAD_MAX_FIELDS));
    http_head_reset(&head, HTTP_REQUEST);
    ck_assert_int_eq(http_head_parse(&head, request.bytes, request.len, HEAD_MAX_BYTES),
                     HTTP_PARSE_DONE);
    found = trace_id(&head);
    if (rows[_i].id == NULL)
        ck_assert_msg(found.len == 0, "%s", rows[_i].fields);
    else
        ck_assert_msg(span_equal(found, span_of(rows[_i].id)), "%s", rows[_i].fields);
    http_head_fini(&head);
    text_fini(&request);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/trace");
    TCase *fields = suite_case(suite, "fields");

    tcase_add_loop_test(fields, only_the_one_sound_field_has_an_id, 0, ROWS);
    return run_suite(suite);
}
