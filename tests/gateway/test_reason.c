/* The table of reasons: every row whole, and in the words that clients and proxies know.
 */
#include "gateway/reason.h"
#include "support/suite.h"

/* What a status carries (FACTS): the API's clients know no other codes. */
static const struct {
    unsigned status;
    const char *code;
} codes[] = {
    {400, "BAD_REQUEST"},
    {401, "UNAUTHORIZED"},
    {403, "FORBIDDEN"},
    {404, "NOT_FOUND"},
    {405, "METHOD_NOT_SUPPORTED"},
    {408, "TIMEOUT"},
    {413, "PAYLOAD_TOO_LARGE"},
    {414, "BAD_REQUEST"},
    {429, "TOO_MANY_REQUESTS"},
    {413, "PAYLOAD_TOO_LARGE"},
    {415, "BAD_REQUEST"},
    {431, "BAD_REQUEST"},
    {500, "INTERNAL_SERVER_ERROR"},
    {501, "BAD_REQUEST"},
    {502, "INTERNAL_SERVER_ERROR"},
    {503, "INTERNAL_SERVER_ERROR"},
    {504, "TIMEOUT"},
    {505, "BAD_REQUEST"},
};

/* RFC 9209 2.3 */
static const char *const proxy_errors[] = {
    "dns_timeout",
    "dns_error",
    "destination_not_found",
    "destination_unavailable",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "connection_read_timeout",
    "connection_write_timeout",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "tls_alert_received",
    "http_request_error",
    "http_request_denied",
    "http_response_incomplete",
    "http_response_header_section_size",
    "http_response_header_size",
    "http_response_body_size",
    "http_response_trailer_section_size",
    "http_response_trailer_size",
    "http_response_transfer_coding",
    "http_response_content_coding",
    "http_response_timeout",
    "http_upgrade_failed",
    "http_protocol_error",
    "proxy_internal_response",
    "proxy_internal_error",
    "proxy_configuration_error",
    "proxy_loop_detected",
};

static const struct reason_row *row_of(int reason)
{
    const struct reason_row *row = reason_row((enum reason)reason);

    ck_assert_ptr_nonnull(row);
    return row;
}

START_TEST(every_reason_has_a_whole_row)
{
    const struct reason_row *row = row_of(_i);

    ck_assert_uint_ge(row->status, 400);
    ck_assert_uint_le(row->status, 599);
    ck_assert_ptr_nonnull(row->code);
    ck_assert_ptr_nonnull(row->proxy_error);
    ck_assert_ptr_nonnull(row->fields);
    ck_assert(row->message != NULL && row->message[0] != '\0');
    ck_assert(row->advice != NULL && row->advice[0] != '\0');
    ck_assert_str_ne(reason_status_text(row->status), "");
}
END_TEST

START_TEST(every_code_is_the_one_that_clients_know_for_the_status)
{
    const struct reason_row *row = row_of(_i);
    const char *code = NULL;

    for (int i = 0; i < ROWS(codes); i++) {
        if (codes[i].status == row->status)
            code = codes[i].code;
    }
    ck_assert_msg(code != NULL, "nobody said what %u carries", row->status);
    ck_assert_str_eq(row->code, code);
}
END_TEST

START_TEST(every_proxy_error_is_registered)
{
    const char *error = row_of(_i)->proxy_error;
    size_t len = strcspn(error, ";");
    bool is_known = false;

    for (int i = 0; i < ROWS(proxy_errors); i++)
        is_known |= span_equal(span_make(error, len), span_of(proxy_errors[i]));
    ck_assert_msg(is_known, "'%s' is not in RFC 9209", error);
    if (error[len] != '\0')
        ck_assert_int_eq(strncmp(error + len, "; details=\"", 11), 0);
}
END_TEST

/* Whether the lines, whole and each with its CR LF, have a field that begins so. */
static bool has_line(const char *lines, const char *start)
{
    bool found = false;

    while (*lines != '\0') {
        const char *end = strstr(lines, "\r\n");

        ck_assert_msg(end != NULL && memchr(lines, ':', (size_t)(end - lines)) != NULL,
                      "'%s' is no line", shown(span_of(lines)));
        found |= strncmp(lines, start, strlen(start)) == 0;
        lines = end + 2;
    }
    return found;
}

START_TEST(a_status_brings_the_fields_that_it_needs)
{
    const struct reason_row *row = row_of(_i);
    bool challenges =
        has_line(row->fields, "WWW-Authenticate: Bearer realm=\"psgate\"\r\n");

    ck_assert(challenges == (row->status == 401)); /* RFC 9110 15.5.2 */
    ck_assert(has_line(row->fields, "Allow: ") == (row->status == 405)); /* 15.5.6 */
    if (row->status == 503 || row->status == 429)
        ck_assert(has_line(row->fields, "Retry-After: "));
}
END_TEST

START_TEST(no_two_reasons_say_the_same)
{
    for (int i = 0; i < _i; i++)
        ck_assert_str_ne(row_of(i)->message, row_of(_i)->message);
}
END_TEST

static const struct {
    enum http_fault fault;
    unsigned status;
} faults[] = {
    {HTTP_FAULT_START_LINE_TOO_LONG, 414},
    {HTTP_FAULT_HEAD_TOO_LARGE, 431},
    {HTTP_FAULT_TOO_MANY_FIELDS, 431},
    {HTTP_FAULT_CODING_UNSUPPORTED, 501},
    {HTTP_FAULT_VERSION, 505},
    {HTTP_FAULT_NO_MEMORY, 503},
};

START_TEST(every_fault_of_a_message_has_its_status)
{
    unsigned status = 400;

    for (int i = 0; i < ROWS(faults); i++) {
        if (faults[i].fault == (enum http_fault)_i)
            status = faults[i].status;
    }
    ck_assert_msg(row_of(reason_of_fault((enum http_fault)_i))->status == status,
                  "'%s' is not %u", http_fault_text((enum http_fault)_i), status);
}
END_TEST

static const unsigned failure_statuses[UPSTREAM_FAILURES] = {
    [UPSTREAM_CONNECT_TIMEOUT] = 504, [UPSTREAM_NO_CONNECTION_FREE] = 503,
    [UPSTREAM_SEND_TIMEOUT] = 504,    [UPSTREAM_RESPONSE_TIMEOUT] = 504,
    [UPSTREAM_NO_MEMORY] = 503,       [UPSTREAM_NO_DESCRIPTORS] = 503,
};

START_TEST(every_failure_of_upstream_has_its_own_reason)
{
    enum reason reason = reason_of_failure((enum upstream_failure)_i);
    unsigned status = failure_statuses[_i] != 0 ? failure_statuses[_i] : 502;

    ck_assert_uint_eq(row_of(reason)->status, status);
    for (int i = 0; i < _i; i++)
        ck_assert_int_ne(reason_of_failure((enum upstream_failure)i), reason);
}
END_TEST

/* DESIGN: the circuit fails at once with Retry-After, for what opened it. */
START_TEST(what_opens_the_circuit_says_when_to_try_again)
{
    if (upstream_failure_is_reach((enum upstream_failure)_i))
        ck_assert(has_line(row_of(reason_of_failure((enum upstream_failure)_i))->fields,
                           "Retry-After: "));
}
END_TEST

START_TEST(a_refused_key_is_a_configuration_error)
{
    const struct reason_row *row = row_of(REASON_KEY_REFUSED);

    ck_assert_uint_eq(row->status, 502);
    ck_assert_str_eq(
        row->proxy_error,
        "proxy_configuration_error; details=\"upstream refused the credential\"");
}
END_TEST

START_TEST(a_status_that_is_never_made_has_no_text)
{
    ck_assert_str_eq(reason_status_text(200), "OK");
    ck_assert_str_eq(reason_status_text(299), "");
    ck_assert_str_eq(reason_status_text(0), "");
}
END_TEST

START_TEST(every_reason_has_a_word_of_its_own)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        ck_assert_ptr_nonnull(reason_word((enum reason)i));
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(reason_word((enum reason)i), reason_word((enum reason)j));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/reason");
    TCase *table = suite_case(suite, "table");
    TCase *causes = suite_case(suite, "causes");

    tcase_add_loop_test(table, every_reason_has_a_whole_row, 0, REASON_COUNT);
    tcase_add_loop_test(table, every_code_is_the_one_that_clients_know_for_the_status, 0,
                        REASON_COUNT);
    tcase_add_loop_test(table, every_proxy_error_is_registered, 0, REASON_COUNT);
    tcase_add_loop_test(table, a_status_brings_the_fields_that_it_needs, 0, REASON_COUNT);
    tcase_add_loop_test(table, no_two_reasons_say_the_same, 0, REASON_COUNT);
    tcase_add_test(table, a_refused_key_is_a_configuration_error);
    tcase_add_test(table, a_status_that_is_never_made_has_no_text);
    tcase_add_loop_test(causes, every_fault_of_a_message_has_its_status,
                        HTTP_FAULT_NONE + 1, HTTP_FAULT_COUNT);
    tcase_add_loop_test(causes, every_failure_of_upstream_has_its_own_reason, 0,
                        UPSTREAM_FAILURES);
    tcase_add_loop_test(causes, what_opens_the_circuit_says_when_to_try_again, 0,
                        UPSTREAM_FAILURES);
    tcase_add_test(table, every_reason_has_a_word_of_its_own);
    return run_suite(suite);
}
