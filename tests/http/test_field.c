#include "http/fault.h"
#include "http/field.h"
#include "support/suite.h"

enum {
    HOP = HTTP_TRAIT_HOP_BY_HOP,
    FRAMING = HTTP_TRAIT_FRAMING,
    CREDENTIAL = HTTP_TRAIT_CREDENTIAL,
    OVERRIDE = HTTP_TRAIT_OVERRIDE,
};

static const struct {
    const char *name;
    enum http_field_id id;
    unsigned traits;
} known[] = {
    {"Authorization", HTTP_FIELD_AUTHORIZATION, CREDENTIAL},
    {"Cache-Control", HTTP_FIELD_CACHE_CONTROL, 0},
    {"Connection", HTTP_FIELD_CONNECTION, HOP},
    {"Content-Length", HTTP_FIELD_CONTENT_LENGTH, FRAMING},
    {"Cookie", HTTP_FIELD_COOKIE, CREDENTIAL},
    {"Expect", HTTP_FIELD_EXPECT, 0},
    {"Forwarded", HTTP_FIELD_FORWARDED, 0},
    {"Host", HTTP_FIELD_HOST, FRAMING},
    {"If-Match", HTTP_FIELD_IF_MATCH, 0},
    {"If-Modified-Since", HTTP_FIELD_IF_MODIFIED_SINCE, 0},
    {"If-None-Match", HTTP_FIELD_IF_NONE_MATCH, 0},
    {"If-Range", HTTP_FIELD_IF_RANGE, 0},
    {"If-Unmodified-Since", HTTP_FIELD_IF_UNMODIFIED_SINCE, 0},
    {"Keep-Alive", HTTP_FIELD_KEEP_ALIVE, HOP},
    {"Pragma", HTTP_FIELD_PRAGMA, 0},
    {"Proxy-Authenticate", HTTP_FIELD_PROXY_AUTHENTICATE, HOP},
    {"Proxy-Authorization", HTTP_FIELD_PROXY_AUTHORIZATION, HOP | CREDENTIAL},
    {"Proxy-Connection", HTTP_FIELD_PROXY_CONNECTION, HOP},
    {"Set-Cookie", HTTP_FIELD_SET_COOKIE, CREDENTIAL},
    {"TE", HTTP_FIELD_TE, HOP},
    {"Traceparent", HTTP_FIELD_TRACEPARENT, 0},
    {"Transfer-Encoding", HTTP_FIELD_TRANSFER_ENCODING, HOP | FRAMING},
    {"Upgrade", HTTP_FIELD_UPGRADE, HOP},
    {"X-Api-Key", HTTP_FIELD_X_API_KEY, CREDENTIAL},
    {"X-Forwarded-For", HTTP_FIELD_X_FORWARDED_FOR, 0},
    {"X-HTTP-Method", HTTP_FIELD_OVERRIDE, OVERRIDE},
    {"X-HTTP-Method-Override", HTTP_FIELD_OVERRIDE, OVERRIDE},
    {"X-Method-Override", HTTP_FIELD_OVERRIDE, OVERRIDE},
    {"X-Original-URL", HTTP_FIELD_OVERRIDE, OVERRIDE},
    {"X-Request-Id", HTTP_FIELD_X_REQUEST_ID, 0},
    {"X-Rewrite-URL", HTTP_FIELD_OVERRIDE, OVERRIDE},
};

/* Writes the name with its letters in the case that the bits of seed say. */
static char *respell(const char *name, unsigned seed)
{
    char *copy = exact_copy(span_of(name));

    for (size_t i = 0; name[i] != '\0'; i++) {
        if (((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z')) &&
            (seed >> (i % 8) & 1) != 0)
            copy[i] = (char)(copy[i] ^ 0x20);
    }
    return copy;
}

START_TEST(a_known_field_is_found_in_any_case)
{
    for (unsigned seed = 0; seed < 256; seed++) {
        char *name = respell(known[_i].name, seed);
        enum http_field_id id = http_field_find(span_make(name, strlen(known[_i].name)));

        ck_assert_int_eq(id, known[_i].id);
        ck_assert_uint_eq(http_field_traits(id), known[_i].traits);
        free(name);
    }
}
END_TEST

START_TEST(a_name_with_a_byte_more_or_less_is_another_field)
{
    struct span name = span_of(known[_i].name);
    char *longer = malloc(name.len + 1);

    for (size_t len = 0; len < name.len; len++) {
        char *shorter = exact_copy(span_make(name.at, len));

        if (strcmp(known[_i].name, "X-HTTP-Method-Override") != 0 || len != 13)
            ck_assert_int_eq(http_field_find(span_make(shorter, len)), HTTP_FIELD_OTHER);
        free(shorter);
    }
    memcpy(longer, name.at, name.len);
    longer[name.len] = 's';
    ck_assert_int_eq(http_field_find(span_make(longer, name.len + 1)), HTTP_FIELD_OTHER);
    free(longer);
}
END_TEST

START_TEST(other_fields_have_no_traits)
{
    ck_assert_uint_eq(http_field_traits(HTTP_FIELD_OTHER), 0);
    ck_assert_int_eq(http_field_find(SPAN("X-Custom")), HTTP_FIELD_OTHER);
    ck_assert_int_eq(http_field_find(SPAN("Trailer")), HTTP_FIELD_OTHER);
    ck_assert_int_eq(http_field_find(SPAN("\xc8ost")), HTTP_FIELD_OTHER);
    ck_assert_int_eq(http_field_find(SPAN("(ost")), HTTP_FIELD_OTHER);
}
END_TEST

/* Only framing, credentials and overrides are worth a disguise. */
static const struct {
    const char *name;
    bool is_disguised;
} disguises[] = {
    {"Content_Length", true},
    {"content_length", true},
    {"CONTENT_LENGTH", true},
    {"Transfer_Encoding", true},
    {"X_Api_Key", true},
    {"X-Api_Key", true},
    {"X_Api-Key", true},
    {"Set_Cookie", true},
    {"Proxy_Authorization", true},
    {"X_HTTP_Method_Override", true},
    {"X-HTTP-Method_Override", true},
    {"X_HTTP_Method", true},
    {"X_Method_Override", true},
    {"X_Original_URL", true},
    {"x_rewrite_url", true},
    {"Content-Length", false},
    {"Transfer-Encoding", false},
    {"X-Api-Key", false},
    {"Keep_Alive", false},
    {"Proxy_Connection", false},
    {"Proxy_Authenticate", false},
    {"my_field", false},
    {"_", false},
    {"Content__Length", false},
    {"_Content-Length", false},
    {"Content-Length_", false},
    {"X_Api_Key_2", false},
    {"a_name_that_is_longer_than_every_field_that_is_known_by_its_name", false},
};

START_TEST(an_underscore_disguises_no_field_that_matters)
{
    struct span name = exact_span(span_of(disguises[_i].name));

    ck_assert_msg(http_field_is_disguised(name) == disguises[_i].is_disguised,
                  "%s is not %d", disguises[_i].name, disguises[_i].is_disguised);
    free((char *)(uintptr_t)name.at);
}
END_TEST

START_TEST(every_fault_has_its_own_text)
{
    for (int i = 0; i < HTTP_FAULT_COUNT; i++) {
        ck_assert_ptr_nonnull(http_fault_text((enum http_fault)i));
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(http_fault_text((enum http_fault)i),
                             http_fault_text((enum http_fault)j));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/field");
    TCase *names = suite_case(suite, "names");
    TCase *faults = suite_case(suite, "faults");

    tcase_add_loop_test(names, a_known_field_is_found_in_any_case, 0, ROWS(known));
    tcase_add_loop_test(names, a_name_with_a_byte_more_or_less_is_another_field, 0,
                        ROWS(known));
    tcase_add_test(names, other_fields_have_no_traits);
    tcase_add_loop_test(names, an_underscore_disguises_no_field_that_matters, 0,
                        ROWS(disguises));
    tcase_add_test(faults, every_fault_has_its_own_text);
    return run_suite(suite);
}
