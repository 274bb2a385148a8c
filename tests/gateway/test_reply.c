/* The gateway's own answers: sound HTTP, and JSON in the shape that clients know. */
#include <jansson.h>

#include "gateway/reply.h"
#include "support/heads.h"

/* An answer that was parsed again. */
struct answer {
    struct text text;
    struct http_head head;
    struct span body;
    json_t *json; /* of the body; NULL: there is none */
};

static const struct reply_options plain = {.connection = FORWARD_KEEP, .now_wall_ms = 0};

/* The value of the one field of that name. */
static struct span value_of(const struct answer *answer, const char *name)
{
    struct span value = {0};

    for (unsigned i = 0; i < answer->head.field_count; i++) {
        const struct http_field *field = &answer->head.fields[i];

        if (!span_equal_nocase(http_field_name(&answer->head, field), span_of(name)))
            continue;
        ck_assert_msg(value.at == NULL, "%s is repeated", name);
        value = http_field_value(&answer->head, field);
    }
    return value;
}

/* Reads what is in text as one whole answer to such a request. */
static void read_answer(struct answer *answer, bool is_head_method)
{
    enum http_framing framing;
    enum http_fault fault;
    uint64_t length = 0, said;
    json_error_t error;

    must_parse(&answer->head, HTTP_RESPONSE,
               span_make(answer->text.bytes, answer->text.len));
    answer->body = span_make(answer->text.bytes + answer->head.len,
                             answer->text.len - answer->head.len);
    ck_assert(
        http_response_framing(&answer->head, is_head_method, &framing, &length, &fault));
    ck_assert(span_to_number(value_of(answer, "Content-Length"), 100000, &said));
    ck_assert_uint_gt(said, 0);
    assert_span_is(value_of(answer, "Content-Type"), SPAN("application/json"),
                   "the type");
    assert_span_is(value_of(answer, "Cache-Control"), SPAN("no-store"), "caching");
    answer->json = NULL;
    if (is_head_method) {
        ck_assert_uint_eq(answer->body.len, 0);
        return;
    }
    ck_assert_int_eq(framing, HTTP_FRAMING_LENGTH);
    ck_assert_uint_eq(length, answer->body.len);
    answer->json =
        json_loadb(answer->body.at, answer->body.len, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json_is_object(answer->json), "%s: %s", error.text,
                  shown(answer->body));
}

static void end_answer(struct answer *answer)
{
    json_decref(answer->json);
    http_head_fini(&answer->head);
    text_fini(&answer->text);
}

static void make_error(struct answer *answer, const struct reply_options *options,
                       enum reason reason, const char *detail)
{
    *answer = (struct answer){0};
    ck_assert(reply_error(options, reason, detail, &answer->text));
    read_answer(answer, options->is_head_method);
    ck_assert_uint_eq(answer->head.status, reason_row(reason)->status);
    assert_span_is(answer->head.reason, span_of(reason_status_text(answer->head.status)),
                   "the reason phrase");
}

static const char *string_at(const struct answer *answer, const char *key)
{
    json_t *value = json_object_get(answer->json, key);

    ck_assert_msg(json_is_string(value), "no string \"%s\"", key);
    return json_string_value(value);
}

/* FACTS: any other member is printed as a crash. */
START_TEST(an_error_has_a_code_and_a_message_and_nothing_else)
{
    struct answer answer;

    make_error(&answer, &plain, (enum reason)_i, NULL);
    ck_assert_uint_eq(json_object_size(answer.json), 2);
    ck_assert_str_eq(string_at(&answer, "code"), reason_row((enum reason)_i)->code);
    ck_assert_int_eq(strncmp(string_at(&answer, "message"), "psgate: ", 8), 0);
    ck_assert_ptr_nonnull(
        strstr(string_at(&answer, "message"), reason_row((enum reason)_i)->advice));
    end_answer(&answer);
}
END_TEST

START_TEST(an_error_names_the_gateway_as_its_source)
{
    struct answer answer;
    struct span status;

    make_error(&answer, &plain, (enum reason)_i, NULL);
    status = value_of(&answer, "Proxy-Status");
    ck_assert_msg(span_starts_with(status, SPAN("psgate; error=")), "%s", shown(status));
    assert_span_is(span_make(status.at + 14, status.len - 14),
                   span_of(reason_row((enum reason)_i)->proxy_error), "the error");
    end_answer(&answer);
}
END_TEST

START_TEST(an_answer_to_head_has_the_head_of_the_answer_to_get)
{
    struct reply_options options = plain;
    struct answer whole, head;

    make_error(&whole, &options, (enum reason)_i, "why");
    options.is_head_method = true;
    make_error(&head, &options, (enum reason)_i, "why");
    assert_span_is(span_make(head.text.bytes, head.text.len),
                   span_make(whole.text.bytes, whole.head.len), "the head");
    end_answer(&whole);
    end_answer(&head);
}
END_TEST

/* Details may quote the peer; whatever they hold, the JSON is sound. */
static const struct {
    const char *detail, *shows;
} details[] = {
    {"a detail", "(a detail)"},
    {"", "()"},
    {"a \"quote\" and a \\", "(a \"quote\" and a \\)"},
    {"a\r\nb\tc\x01", "(a\r\nb\tc\x01)"},
    {"\xff\xc3", "(\xef\xbf\xbd\xef\xbf\xbd)"},
    {"caf\xc3\xa9 </script> %s%n", "(caf\xc3\xa9 </script> %s%n)"},
};

START_TEST(a_detail_stands_in_the_message)
{
    struct answer answer;

    make_error(&answer, &plain, REASON_MALFORMED, details[_i].detail);
    ck_assert_ptr_nonnull(strstr(string_at(&answer, "message"), details[_i].shows));
    end_answer(&answer);
}
END_TEST

static const struct {
    enum forward_connection connection;
    const char *value;
} connections[] = {
    {FORWARD_KEEP, ""},
    {FORWARD_SAY_KEEP_ALIVE, "keep-alive"},
    {FORWARD_SAY_CLOSE, "close"},
};

START_TEST(an_answer_says_what_becomes_of_the_connection)
{
    struct reply_options options = {.connection = connections[_i].connection};
    struct answer answer;

    make_error(&answer, &options, REASON_MALFORMED, NULL);
    assert_span_is(value_of(&answer, "Connection"), span_of(connections[_i].value),
                   "Connection");
    end_answer(&answer);
}
END_TEST

/* IMF-fixdate (RFC 9110 5.6.7). */
static const struct {
    int64_t wall_ms;
    const char *date;
} dates[] = {
    {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
    {784111777999, "Sun, 06 Nov 1994 08:49:37 GMT"},
    {1709209599000, "Thu, 29 Feb 2024 12:26:39 GMT"},
    {4102444799000, "Thu, 31 Dec 2099 23:59:59 GMT"},
};

START_TEST(an_answer_is_dated)
{
    struct reply_options options = {.now_wall_ms = dates[_i].wall_ms};
    struct answer answer;

    make_error(&answer, &options, REASON_MALFORMED, NULL);
    assert_span_is(value_of(&answer, "Date"), span_of(dates[_i].date), "Date");
    end_answer(&answer);
}
END_TEST

/* The gateway's own endpoints */

START_TEST(health_is_told_without_detail)
{
    struct reply_options options = {.is_head_method = (_i & 1) != 0};
    bool is_ready = (_i & 2) != 0;
    struct answer answer = {.text = {0}};
    uint16_t status = 0;

    ck_assert(reply_health(&options, is_ready, NULL, &status, &answer.text));
    read_answer(&answer, options.is_head_method);
    ck_assert_uint_eq(status, is_ready ? 200 : 503);
    ck_assert_uint_eq(answer.head.status, status);
    ck_assert_uint_le(json_object_size(answer.json), 1);
    end_answer(&answer);
}
END_TEST

START_TEST(readiness_says_how_the_cluster_is)
{
    struct reply_options options = {.is_head_method = false};
    struct answer answer = {.text = {0}};
    uint16_t status = 0;

    ck_assert(reply_health(&options, true, "away", &status, &answer.text));
    read_answer(&answer, false);
    ck_assert_uint_eq(status, 200);
    ck_assert_str_eq(json_string_value(json_object_get(answer.json, "cluster")), "away");
    end_answer(&answer);
}
END_TEST

static const char *const names[] = {"getSession", "listTeam*"};
static const char *const teams[] = {"t1", "\"quoted\""};

static void assert_list(const struct answer *answer, const char *key,
                        const char *const *list, size_t count)
{
    json_t *array = json_object_get(answer->json, key);

    ck_assert_msg(json_is_array(array), "no array \"%s\"", key);
    ck_assert_uint_eq(json_array_size(array), count);
    for (size_t i = 0; i < count; i++)
        ck_assert_str_eq(json_string_value(json_array_get(array, i)), list[i]);
}

START_TEST(whoami_tells_a_client_what_it_may_do)
{
    struct client client = {
        .name = "ci \"1\"",
        .credential = "default",
        .expires = _i == 0 ? "2027-01-01T00:00:00Z" : NULL,
        .allow = names,
        .allow_count = 2,
        .teams = teams,
        .team_count = 2,
    };
    struct answer answer = {.text = {0}};

    ck_assert(reply_whoami(&plain, &client, &answer.text));
    read_answer(&answer, false);
    ck_assert_uint_eq(answer.head.status, 200);
    ck_assert_uint_eq(json_object_size(answer.json), 6);
    ck_assert_str_eq(string_at(&answer, "client"), "ci \"1\"");
    ck_assert_str_eq(string_at(&answer, "credential"), "default");
    assert_list(&answer, "allow", names, 2);
    assert_list(&answer, "deny", NULL, 0);
    assert_list(&answer, "teams", teams, 2);
    if (client.expires != NULL)
        ck_assert_str_eq(string_at(&answer, "expires"), client.expires);
    else
        ck_assert(json_is_null(json_object_get(answer.json, "expires")));
    end_answer(&answer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/reply");
    TCase *errors = suite_case(suite, "errors");
    TCase *heads = suite_case(suite, "heads");
    TCase *own = suite_case(suite, "own");

    tcase_add_loop_test(errors, an_error_has_a_code_and_a_message_and_nothing_else, 0,
                        REASON_COUNT);
    tcase_add_loop_test(errors, an_error_names_the_gateway_as_its_source, 0,
                        REASON_COUNT);
    tcase_add_loop_test(errors, an_answer_to_head_has_the_head_of_the_answer_to_get, 0,
                        REASON_COUNT);
    tcase_add_loop_test(errors, a_detail_stands_in_the_message, 0, ROWS(details));
    tcase_add_loop_test(heads, an_answer_says_what_becomes_of_the_connection, 0,
                        ROWS(connections));
    tcase_add_loop_test(heads, an_answer_is_dated, 0, ROWS(dates));
    tcase_add_loop_test(own, health_is_told_without_detail, 0, 4);
    tcase_add_test(own, readiness_says_how_the_cluster_is);
    tcase_add_loop_test(own, whoami_tells_a_client_what_it_may_do, 0, 2);
    return run_suite(suite);
}
