#include "audit/record.h"

#include <jansson.h>

#include "audit/chain.h"
#include "audit/line.h"
#include "base/text.h"
#include "support/suite.h"

/* 2026-11-23T17:00:00.042Z */
#define WALL_MS INT64_C(1795453200042)
#define HEAD(phase)                                                                      \
    "{\"@timestamp\":\"2026-11-23T17:00:00.042Z\",\"ecs.version\":\"8.11\","             \
    "\"proxy.phase\":\"" phase "\",\"event.kind\":\"event\""
#define ID "000102030405060708090a0b0c0d0e0f"

static struct text subject, body;

static void end(void)
{
    text_fini(&subject);
    text_fini(&body);
}

static const struct audit_subject whole = {
    .id = ID,
    .category = "iam",
    .action = SPAN("updateMember"),
    .client = SPAN("ci"),
    .client_auth = "bearer",
    .source_ip = SPAN("192.0.2.7"),
    .user_agent = SPAN("curl/8"),
    .team = SPAN("team1"),
    .target_user = SPAN("u7"),
    .method = SPAN("PATCH"),
    .request_id = SPAN("r-1"),
    .trace_id = SPAN("4bf92f3577b34da6a3ce929d0e0e4736"),
    .route = SPAN("/teams/{teamId}/members/{userId}"),
    .path = SPAN("/x"),
    .resource_type = SPAN("member"),
    .resource_name = SPAN("u7"),
    .recorded = SPAN("\"proxy.recorded.isAdmin\":true,\"proxy.recorded.ttl\":0.1"),
    .has_unreadable_body = true,
    .credential = SPAN("main"),
    .config_generation = 3,
};

#define WHOLE                                                                            \
    "\"event.id\":\"" ID "\",\"event.category\":[\"iam\"],"                              \
    "\"event.action\":\"updateMember\",\"user.name\":\"ci\","                            \
    "\"client.auth\":\"bearer\",\"source.ip\":\"192.0.2.7\","                            \
    "\"user_agent.original\":\"curl/8\",\"organization.id\":\"team1\","                  \
    "\"user.target.id\":\"u7\",\"http.request.method\":\"PATCH\","                       \
    "\"http.request.id\":\"r-1\","                                                       \
    "\"trace.id\":\"4bf92f3577b34da6a3ce929d0e0e4736\","                                 \
    "\"proxy.route\":\"/teams/{teamId}/members/{userId}\",\"url.path\":\"/x\","          \
    "\"proxy.resource.type\":\"member\",\"proxy.resource.name\":\"u7\","                 \
    "\"proxy.recorded.isAdmin\":true,\"proxy.recorded.ttl\":0.1,"                        \
    "\"proxy.body\":\"unreadable\",\"proxy.credential\":\"main\","                       \
    "\"proxy.config_generation\":3"

static struct span subject_span(void)
{
    return span_make(subject.bytes, subject.len);
}

static void body_must_be(const char *wanted)
{
    ck_assert(!body.failed);
    ck_assert_str_eq(body.bytes, wanted);
}

/* The line that the body becomes has no fault that verify would find. */
static void body_must_be_sound(void)
{
    struct audit_hasher *hasher;
    struct audit_chain chain;
    struct text line = {0};
    struct error error;

    hasher = audit_hasher_new(&error);
    ck_assert(audit_chain_begin(&chain, &error));
    ck_assert(audit_chain_add(&chain, hasher, span_make(body.bytes, body.len), 1, &line));
    ck_assert_msg(
        audit_line_pick(span_make(line.bytes, line.len - 1), NULL, 0, NULL, &error),
        "%s in %s", error.text, line.bytes);
    audit_hasher_free(hasher);
    text_fini(&line);
}

START_TEST(an_intent_has_these_members_in_this_order)
{
    audit_record_subject(&whole, &subject);
    audit_record_intent(subject_span(), SPAN("PATCH"), WALL_MS, &body);
    body_must_be(HEAD("intent") ",\"event.type\":[\"change\"]," WHOLE);
    body_must_be_sound();
}
END_TEST

static const char *const scopes[] = {"members", "session"};

START_TEST(a_result_has_its_outcome_besides)
{
    const struct audit_outcome outcome = {.outcome = "failure",
                                          .reason = "refused_by_upstream",
                                          .status = 409,
                                          .duration_ns = 12345678,
                                          .invalidated = scopes,
                                          .invalidated_count = 2};

    audit_record_subject(&whole, &subject);
    audit_record_result(subject_span(), SPAN("PATCH"), WALL_MS, &outcome, &body);
    body_must_be(HEAD("result") ",\"event.type\":[\"change\"]," WHOLE
                                ",\"event.outcome\":\"failure\","
                                "\"event.reason\":\"refused_by_upstream\","
                                "\"event.duration\":12345678,"
                                "\"http.response.status_code\":409,"
                                "\"proxy.invalidated\":[\"members\",\"session\"]");
    body_must_be_sound();
}
END_TEST

START_TEST(what_does_not_apply_is_left_out)
{
    const struct audit_subject least = {
        .id = ID, .category = "web", .action = SPAN("other"), .client = SPAN("")};
    const struct audit_outcome outcome = {.outcome = "success"};

    audit_record_subject(&least, &subject);
    audit_record_result(subject_span(), SPAN("DELETE"), WALL_MS, &outcome, &body);
    body_must_be(HEAD("result") ",\"event.type\":[\"deletion\"],\"event.id\":\"" ID
                                "\",\"event.category\":[\"web\"],"
                                "\"event.action\":\"other\","
                                "\"proxy.config_generation\":0,"
                                "\"event.outcome\":\"success\",\"event.duration\":0");
    body_must_be_sound();
}
END_TEST

static const struct {
    const char *method, *type;
} methods[] = {
    {"POST", "creation"},   {"PUT", "change"},    {"PATCH", "change"},
    {"DELETE", "deletion"}, {"delete", "change"}, {"PROPPATCH", "change"},
    {"", "change"},
};

START_TEST(the_method_decides_the_type)
{
    char wanted[64];

    (void)snprintf(wanted, sizeof(wanted), "\"event.type\":[\"%s\"]", methods[_i].type);
    audit_record_subject(&(struct audit_subject){.id = ID, .category = "web"}, &subject);
    audit_record_intent(subject_span(), span_of(methods[_i].method), WALL_MS, &body);
    ck_assert_ptr_nonnull(strstr(body.bytes, wanted));
}
END_TEST

START_TEST(a_refusal_is_one_record)
{
    audit_record_subject(&whole, &subject);
    audit_record_refused(subject_span(), WALL_MS, 403, "forbidden", &body);
    body_must_be(HEAD("refused") ",\"event.type\":[\"denied\"]," WHOLE
                                 ",\"event.outcome\":\"failure\","
                                 "\"event.reason\":\"forbidden\","
                                 "\"http.response.status_code\":403");
    body_must_be_sound();
}
END_TEST

START_TEST(suppressed_refusals_are_a_count)
{
    audit_record_suppressed(SPAN("192.0.2.7"), 12345, WALL_MS, &body);
    body_must_be(HEAD("refused") ",\"event.type\":[\"denied\"],"
                                 "\"event.action\":\"refusals\","
                                 "\"event.outcome\":\"failure\","
                                 "\"source.ip\":\"192.0.2.7\","
                                 "\"proxy.suppressed\":12345");
    body_must_be_sound();
}
END_TEST

START_TEST(the_trail_has_records_of_its_own)
{
    audit_record_resumed("audit-000000000007.jsonl", span_of("abc"), 3, WALL_MS, &body);
    body_must_be(HEAD("trail") ",\"event.action\":\"trail.resumed\","
                               "\"proxy.trail.suspect_file\":"
                               "\"audit-000000000007.jsonl\","
                               "\"proxy.trail.last_hash\":\"abc\","
                               "\"proxy.trail.repeated\":3");
    body_must_be_sound();
    text_clear(&body);
    audit_record_repaired("audit-000000000007.torn", 99, WALL_MS, &body);
    body_must_be(HEAD("trail") ",\"event.action\":\"trail.repaired\","
                               "\"proxy.trail.set_aside\":\"audit-000000000007.torn\","
                               "\"proxy.trail.bytes\":99");
    body_must_be_sound();
    text_clear(&body);
    audit_record_checkpoint("psgate-checkpoint v1 x", "c2ln", "0011", WALL_MS, &body);
    body_must_be(HEAD("checkpoint") ",\"event.action\":\"checkpoint\","
                                    "\"proxy.checkpoint.statement\":"
                                    "\"psgate-checkpoint v1 x\","
                                    "\"proxy.checkpoint.signature\":\"c2ln\","
                                    "\"proxy.checkpoint.key\":\"0011\"");
    body_must_be_sound();
}
END_TEST

/* Whatever a peer sends, the line is one line of valid JSON. */
static const struct {
    struct span sent;
    const char *written;
} texts[] = {
    {SPAN("\xff"), "\xef\xbf\xbd"},
    {SPAN("a\xc3"), "a\xef\xbf\xbd"},
    {SPAN("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
    {SPAN("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
    {SPAN("\"\\\n\r\t\x01\x7f"), "\\\"\\\\\\n\\r\\t\\u0001\\u007f"},
    {SPAN("a\0b"), "a\\u0000b"},
    {SPAN("J\xc3\xb6rg \xf0\x9f\x94\x91"), "J\xc3\xb6rg \xf0\x9f\x94\x91"},
    {SPAN("\",\"event.sequence\":7"), "\\\",\\\"event.sequence\\\":7"},
};

static void make_with_name(struct span name, struct span recorded)
{
    audit_record_subject(&(struct audit_subject){.id = ID,
                                                 .category = "web",
                                                 .method = SPAN("POST"),
                                                 .resource_name = name,
                                                 .recorded = recorded},
                         &subject);
    audit_record_intent(subject_span(), SPAN("POST"), WALL_MS, &body);
}

START_TEST(text_from_outside_stays_text)
{
    char wanted[128];

    make_with_name(texts[_i].sent, SPAN(""));
    (void)snprintf(wanted, sizeof(wanted), "\"proxy.resource.name\":\"%s\",",
                   texts[_i].written);
    ck_assert_msg(strstr(body.bytes, wanted) != NULL, "%s", body.bytes);
    body_must_be_sound();
}
END_TEST

/* Orphans */

static void orphan(void)
{
    struct text result = {0};
    char *intent = exact_copy(span_make(body.bytes, body.len));

    ck_assert(audit_record_orphaned(span_make(intent, body.len), WALL_MS, &result));
    free(intent);
    text_fini(&body);
    body = result;
}

START_TEST(an_orphans_result_has_its_members_once)
{
    audit_record_subject(&whole, &subject);
    audit_record_intent(subject_span(), SPAN("PATCH"), WALL_MS - 5000, &body);
    orphan();
    body_must_be(HEAD("result") ",\"event.type\":[\"change\"]," WHOLE
                                ",\"event.outcome\":\"unknown\","
                                "\"event.reason\":\"gateway_stopped\"");
    body_must_be_sound();
}
END_TEST

START_TEST(an_orphans_texts_stay_as_they_are)
{
    char wanted[128];

    make_with_name(texts[_i].sent, SPAN(""));
    orphan();
    (void)snprintf(wanted, sizeof(wanted), "\"proxy.resource.name\":\"%s\",",
                   texts[_i].written);
    ck_assert_msg(strstr(body.bytes, wanted) != NULL, "%s", body.bytes);
    ck_assert_ptr_nonnull(strstr(body.bytes, "[\"creation\"]"));
    body_must_be_sound();
}
END_TEST

static const char *const scalars[] = {
    "0.1", "1e300", "9223372036854775807", "-0.0", "true", "null", "1.10", "\"\\u0000\""};

START_TEST(an_orphans_values_stay_as_they_are)
{
    char recorded[64];

    (void)snprintf(recorded, sizeof(recorded), "\"proxy.recorded.a\":%s", scalars[_i]);
    make_with_name(SPAN("x"), span_of(recorded));
    orphan();
    ck_assert_msg(strstr(body.bytes, recorded) != NULL, "%s", body.bytes);
    body_must_be_sound();
}
END_TEST

static const char *const no_intents[] = {
    "",        "{", "{\"a\":1", "[1", "{\"event.id\":7", "{\"event.id\":\"" ID "\",",
    "nonsense"};

START_TEST(what_is_no_intent_has_no_result)
{
    struct text result = {0};

    ck_assert(!audit_record_orphaned(span_of(no_intents[_i]), WALL_MS, &result));
    text_fini(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/record");
    TCase *members = suite_case(suite, "members");
    TCase *outside = suite_case(suite, "outside");
    TCase *orphans = suite_case(suite, "orphans");
    TCase *cases[] = {members, outside, orphans};

    for (int i = 0; i < ROWS(cases); i++)
        tcase_add_checked_fixture(cases[i], NULL, end);
    tcase_add_test(members, an_intent_has_these_members_in_this_order);
    tcase_add_test(members, a_result_has_its_outcome_besides);
    tcase_add_test(members, what_does_not_apply_is_left_out);
    tcase_add_loop_test(members, the_method_decides_the_type, 0, ROWS(methods));
    tcase_add_test(members, a_refusal_is_one_record);
    tcase_add_test(members, suppressed_refusals_are_a_count);
    tcase_add_test(members, the_trail_has_records_of_its_own);
    tcase_add_loop_test(outside, text_from_outside_stays_text, 0, ROWS(texts));
    tcase_add_test(orphans, an_orphans_result_has_its_members_once);
    tcase_add_loop_test(orphans, an_orphans_texts_stay_as_they_are, 0, ROWS(texts));
    tcase_add_loop_test(orphans, an_orphans_values_stay_as_they_are, 0, ROWS(scalars));
    tcase_add_loop_test(orphans, what_is_no_intent_has_no_result, 0, ROWS(no_intents));
    return run_suite(suite);
}
