/* What of a body may be recorded, and when a body counts as read. */
#include "audit/body.h"

#include <jansson.h>

#include "base/json_text.h"
#include "support/suite.h"

#define JSON "application/json"

static const char *const record[] = {"name", "isAdmin", "note", "name", "a\"b\n"};

/* Memory that runs out, within audit_body_read, after so many blocks; below zero: never.
 */
static int blocks_there = -1;
static int blocks_left = -1;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    if (blocks_left == 0)
        return NULL;
    blocks_left -= blocks_left > 0;
    return __real_malloc(bytes);
}

/* A source that wants a name and some members. The body lies in a block of its size. */
static enum audit_body_verdict read_body(const char *type, struct span bytes,
                                         struct audit_body *body)
{
    struct span exact = exact_span(bytes);
    const struct audit_body_source source = {
        .bytes = exact,
        .content_type = type != NULL ? span_of(type) : (struct span){0},
        .record = record,
        .record_count = (size_t)ROWS(record),
        .name_member = "name",
    };
    enum audit_body_verdict verdict;

    blocks_left = blocks_there;
    verdict = audit_body_read(&source, body);
    blocks_left = -1;
    free((char *)(uintptr_t)exact.at);
    return verdict;
}

static void check_verdict(const char *type, struct span bytes,
                          enum audit_body_verdict wanted)
{
    struct audit_body body;
    enum audit_body_verdict got = read_body(type, bytes, &body);

    ck_assert_msg(got == wanted, "'%s' as %s is %s", shown(bytes),
                  type != NULL ? type : "(nothing)", audit_body_verdict_word(got));
    ck_assert((body.name != NULL) == (wanted == AUDIT_BODY_READ));
    ck_assert(wanted == AUDIT_BODY_READ || body.recorded.len == 0);
    audit_body_fini(&body);
    ck_assert_ptr_null(body.name);
}

#define NAME "\"proxy.recorded.name\":\"n\""

static const struct {
    const char *bytes, *name, *recorded;
} good[] = {
    {"{\"name\":\"n\"}", "n", NAME},
    {"{\"name\":\"n\",\"value\":\"secret\",\"x\":{\"name\":\"inner\"}}", "n", NAME},
    {" \t\r\n{ \"value\" : \"secret\" , \"name\" : \"n\" } \r\n", "n", NAME},
    {"{\"n\\u0061me\":\"n\"}", "n", NAME},
    {"{\"name\":\"\"}", "", "\"proxy.recorded.name\":\"\""},
    {"{\"name\":\"a\\nb\\u001b\\\"\\\\\\/\\u007f\"}", "a\nb\x1b\"\\/\x7f",
     "\"proxy.recorded.name\":\"a\\nb\\u001b\\\"\\\\/\\u007f\""},
    {"{\"name\":\"\\u00e9\\ud83d\\ude00\xe2\x82\xac\"}", "é😀€",
     "\"proxy.recorded.name\":\"é😀€\""},

    /* In the order of the list; scalars as they are. */
    {"{\"note\":null,\"isAdmin\":true,\"name\":\"n\"}", "n",
     NAME ",\"proxy.recorded.isAdmin\":true,\"proxy.recorded.note\":null"},
    {"{\"name\":\"n\",\"isAdmin\":false}", "n", NAME ",\"proxy.recorded.isAdmin\":false"},
    {"{\"name\":\"n\",\"isAdmin\":-7}", "n", NAME ",\"proxy.recorded.isAdmin\":-7"},
    {"{\"name\":\"n\",\"isAdmin\":9223372036854775807}", "n",
     NAME ",\"proxy.recorded.isAdmin\":9223372036854775807"},
    {"{\"name\":\"n\",\"isAdmin\":0.5}", "n", NAME ",\"proxy.recorded.isAdmin\":0.5"},
    {"{\"name\":\"n\",\"isAdmin\":1e300}", "n", NAME ",\"proxy.recorded.isAdmin\":1e300"},
    {"{\"name\":\"n\",\"isAdmin\":0.1}", "n", NAME ",\"proxy.recorded.isAdmin\":0.1"},
    {"{\"name\":\"n\",\"isAdmin\":0.30000000000000004}", "n",
     NAME ",\"proxy.recorded.isAdmin\":0.30000000000000004"},
    {"{\"name\":\"n\",\"isAdmin\":\"yes\"}", "n",
     NAME ",\"proxy.recorded.isAdmin\":\"yes\""},

    /* Never what is inside. */
    {"{\"name\":\"n\",\"isAdmin\":{\"value\":\"secret\"},\"note\":[\"secret\"]}", "n",
     NAME ",\"proxy.recorded.isAdmin\":\"(object)\",\"proxy.recorded.note\":\"(array)\""},
    {"{\"name\":\"n\",\"isAdmin\":{},\"note\":[]}", "n",
     NAME ",\"proxy.recorded.isAdmin\":\"(object)\",\"proxy.recorded.note\":\"(array)\""},

    /* A member's own name cannot break the line. */
    {"{\"name\":\"n\",\"a\\\"b\\n\":1}", "n", NAME ",\"proxy.recorded.a\\\"b\\n\":1"},

    /* Others in other spellings mean nothing. */
    {"{\"name\":\"n\",\"names\":1,\"nam\":2,\"Value\":3,\"value\":4}", "n", NAME},
};

START_TEST(what_is_listed_is_recorded_and_nothing_else)
{
    struct audit_body body;

    ck_assert_int_eq(read_body(JSON, span_of(good[_i].bytes), &body), AUDIT_BODY_READ);
    ck_assert_str_eq(body.name, good[_i].name);
    assert_span_is(span_make(body.recorded.bytes, body.recorded.len),
                   span_of(good[_i].recorded), good[_i].bytes);
    audit_body_fini(&body);
}
END_TEST

#define ROW(text, verdict)                                                               \
    {                                                                                    \
        SPAN(text), (verdict)                                                            \
    }
#define NOT_JSON(text) ROW(text, AUDIT_BODY_NOT_JSON)
#define DUPLICATE(text) ROW(text, AUDIT_BODY_DUPLICATE)
#define MISTYPED(text) ROW(text, AUDIT_BODY_MISTYPED)

static const struct {
    struct span bytes;
    enum audit_body_verdict verdict;
} bad[] = {
    ROW("", AUDIT_BODY_EMPTY),
    NOT_JSON(" "),
    NOT_JSON("{"),
    NOT_JSON("{\"name\":\"n\""),
    NOT_JSON("{\"name\":\"n\",}"),
    NOT_JSON("{\"name\":\"n\"}}"),
    NOT_JSON("{\"name\":\"n\"}{\"name\":\"m\"}"),
    NOT_JSON("{\"name\":\"n\"} x"),
    NOT_JSON("{\"name\":\"n\"}\0"),
    NOT_JSON("\0{\"name\":\"n\"}"),
    NOT_JSON("{\"name\":\"n\",\"x\":1\0}"),
    NOT_JSON("{\"name\":\"n\",\"x\":1e5\0,\"y\":2}"),
    NOT_JSON("{'name':'n'}"),
    NOT_JSON("{name:\"n\"}"),
    NOT_JSON("{\"name\":\"n\"/* */}"),
    NOT_JSON("{\"name\":\"n\"} // x"),
    NOT_JSON("{\"name\":\"n\",\"x\":NaN}"),
    NOT_JSON("{\"name\":\"n\",\"x\":Infinity}"),
    NOT_JSON("{\"name\":\"n\",\"x\":01}"),
    NOT_JSON("{\"name\":\"n\",\"x\":+1}"),
    NOT_JSON("{\"name\":\"n\",\"x\":1.}"),
    NOT_JSON("{\"name\":\"n\",\"x\":TRUE}"),
    NOT_JSON("{\"name\":\"n\"\v}"),
    NOT_JSON("name=n"),
    NOT_JSON("<name>n</name>"),

    /* What some parsers read and others do not, or read otherwise. */
    NOT_JSON("\xef\xbb\xbf{\"name\":\"n\"}"),
    NOT_JSON("\xff\xfe{\0\"\0n\0"),
    NOT_JSON("{\0\"\0n\0a\0m\0e\0\"\0:\0\"\0n\0\"\0}\0"),
    NOT_JSON("{\"name\":\"n\\u0000m\"}"),
    NOT_JSON("{\"name\":\"n\0m\"}"),
    NOT_JSON("{\"name\":\"n\",\"name\\u0000\":1}"),
    NOT_JSON("{\"name\":\"n\nm\"}"),
    NOT_JSON("{\"name\":\"n\\x41\"}"),
    NOT_JSON("{\"name\":\"\xff\"}"),
    NOT_JSON("{\"name\":\"\xc0\xaf\"}"),
    NOT_JSON("{\"name\":\"\xed\xa0\x80\"}"),
    NOT_JSON("{\"name\":\"\xf4\x90\x80\x80\"}"),
    NOT_JSON("{\"name\":\"\xe2\x82\"}"),
    NOT_JSON("{\"name\":\"\\ud800\"}"),
    NOT_JSON("{\"name\":\"\\udc00\"}"),
    NOT_JSON("{\"name\":\"\\ud800\\u0041\"}"),
    NOT_JSON("{\"name\":\"n\",\"x\":9223372036854775808}"),
    NOT_JSON("{\"name\":\"n\",\"x\":1e999}"),

    DUPLICATE("{\"name\":\"n\",\"name\":\"m\"}"),
    DUPLICATE("{\"name\":\"n\",\"name\":\"n\"}"),
    DUPLICATE("{\"name\":\"n\",\"n\\u0061me\":\"m\"}"),
    DUPLICATE("{\"name\":\"n\",\"x\":1,\"x\":2}"),
    DUPLICATE("{\"name\":\"n\",\"x\":[{\"y\":1,\"y\":1}]}"),
    DUPLICATE("{\"name\":\"n\",\"Name\":\"m\"}"),
    DUPLICATE("{\"NAME\":\"m\",\"name\":\"n\"}"),
    DUPLICATE("{\"Name\":\"n\"}"),
    DUPLICATE("{\"name\":\"n\",\"isadmin\":true}"),
    DUPLICATE("{\"name\":\"n\",\"i\xc5\xbf"
              "Admin\":true}"),
    DUPLICATE("{\"name\":\"n\",\"i\\u017fadmin\":true}"),
    DUPLICATE("{\"name\":\"n\",\"__proto__\":{\"isAdmin\":true}}"),
    DUPLICATE("{\"__proto__\":{\"name\":\"n\"}}"),

    MISTYPED("{}"),
    MISTYPED("{\"x\":{\"name\":\"n\"}}"),
    MISTYPED("{\"name\":null}"),
    MISTYPED("{\"name\":1}"),
    MISTYPED("{\"name\":true}"),
    MISTYPED("{\"name\":[\"n\"]}"),
    MISTYPED("{\"name\":{\"name\":\"n\"}}"),
    MISTYPED("[]"),
    MISTYPED("[{\"name\":\"n\"}]"),
};

START_TEST(what_could_be_read_otherwise_is_not_read)
{
    check_verdict(JSON, bad[_i].bytes, bad[_i].verdict);
}
END_TEST

/* jansson itself takes only objects and arrays: the others are no JSON texts to it. */
START_TEST(a_lone_scalar_is_not_read)
{
    static const char *const scalars[] = {"\"name\"", "1", "null", "true"};

    for (int i = 0; i < ROWS(scalars); i++)
        check_verdict(JSON, span_of(scalars[i]), AUDIT_BODY_NOT_JSON);
}
END_TEST

static const char *const json_types[] = {
    NULL,
    "application/json",
    "Application/JSON",
    "  application/json\t",
    "application/json;charset=utf-8",
    "application/json; charset=UTF-8",
    "application/json ; charset=\"utf-8\"",
    "application/json;",
    "application/json; ;charset=utf-8;",
    "application/json; version=1; profile=\"a b\"",
    "application/vnd.api+json",
    "application/merge-patch+JSON; charset=utf-8",
};

START_TEST(json_by_its_type_is_read)
{
    check_verdict(json_types[_i], SPAN("{\"name\":\"n\"}"), AUDIT_BODY_READ);
}
END_TEST

static const char *const other_types[] = {
    "",
    " ",
    "json",
    "application",
    "application/",
    "application/jso",
    "application/jsonp",
    "application/json5",
    "application/x-json",
    "application/+json",
    "application /json",
    "application/ json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/json",
    "text/plain; x=application/json",
    "*/*",
    "application/xml",
    "application/vnd.api+json+xml",
    "application/json; charset=utf-16",
    "application/json; charset=iso-8859-1",
    "application/json; charset=utf-7",
    "application/json; charset=",
    "application/json; charset",
    "application/json; charset = utf-8",
    "application/json; charset='utf-8'",
    "application/json; charset=utf-8; charset=utf-16",
    "application/json; CharSet=\"utf-16\"",
    "application/json; x=\"; charset=utf-16\"",
    "application/json; x=\"a\\\"\"",
    "application/json; x=\"a",
    "application/json charset=utf-8",
    "application/json, application/json",
    "application/json\x01",
    "application/json; \xff=1",
};

START_TEST(json_by_another_type_is_not_read)
{
    check_verdict(other_types[_i], SPAN("{\"name\":\"n\"}"), AUDIT_BODY_NOT_JSON);
}
END_TEST

START_TEST(a_coded_body_is_not_read)
{
    const struct audit_body_source source = {.bytes = SPAN("{\"name\":\"n\"}"),
                                             .content_type = SPAN(JSON),
                                             .is_encoded = true,
                                             .name_member = "name"};
    struct audit_body body;

    ck_assert_int_eq(audit_body_read(&source, &body), AUDIT_BODY_COMPRESSED);
    ck_assert_ptr_null(body.name);
}
END_TEST

START_TEST(a_body_that_nothing_is_wanted_of_may_be_anything)
{
    const struct audit_body_source source = {
        .bytes = SPAN("\xff"), .content_type = SPAN("text/plain"), .is_encoded = true};
    struct audit_body body;

    ck_assert_int_eq(audit_body_read(&source, &body), AUDIT_BODY_READ);
    ck_assert_ptr_null(body.name);
    ck_assert_uint_eq(body.recorded.len, 0);
    audit_body_fini(&body);
}
END_TEST

START_TEST(members_without_a_name_are_read)
{
    struct audit_body_source source = {
        .bytes = SPAN("{\"isAdmin\":true}"), .record = record, .record_count = 3};
    struct audit_body body;

    ck_assert_int_eq(audit_body_read(&source, &body), AUDIT_BODY_READ);
    ck_assert_ptr_null(body.name);
    ck_assert_str_eq(body.recorded.bytes, "\"proxy.recorded.isAdmin\":true");
    audit_body_fini(&body);
    source.bytes = SPAN("{}");
    ck_assert_int_eq(audit_body_read(&source, &body), AUDIT_BODY_READ);
    ck_assert_uint_eq(body.recorded.len, 0);
    audit_body_fini(&body);
    source.bytes = SPAN("[{\"isAdmin\":true}]");
    ck_assert_int_eq(audit_body_read(&source, &body), AUDIT_BODY_MISTYPED);
}
END_TEST

START_TEST(a_name_without_members_is_read)
{
    const struct audit_body_source source = {
        .bytes = SPAN("{\"name\":\"n\",\"isadmin\":1,\"isAdmin\":2}"),
        .name_member = "name"};
    struct audit_body body;

    ck_assert_int_eq(audit_body_read(&source, &body), AUDIT_BODY_READ);
    ck_assert_str_eq(body.name, "n");
    ck_assert_uint_eq(body.recorded.len, 0);
    audit_body_fini(&body);
}
END_TEST

/* {"name":"n","note":"…"} where the note is repeated characters behind some bytes. */
static void make_note(struct text *text, size_t before, const char *character,
                      size_t count)
{
    text_add(text, SPAN("{\"name\":\"n\",\"note\":\""));
    for (size_t i = 0; i < before; i++)
        text_add_byte(text, 'x');
    for (size_t i = 0; i < count; i++)
        text_add(text, span_of(character));
    text_add(text, SPAN("\"}"));
}

static const struct {
    size_t before;
    const char *character;
    size_t count, kept; /* characters */
    bool is_cut;
} notes[] = {
    {0, "a", 256, 256, false}, {0, "a", 257, 256, true},    {0, "é", 128, 128, false},
    {0, "é", 129, 128, true},  {1, "é", 128, 127, true},    {0, "€", 86, 85, true},
    {1, "€", 85, 85, false},   {2, "€", 85, 84, true},      {0, "😀", 64, 64, false},
    {3, "😀", 64, 63, true},    {0, "a", 100000, 256, true},
};

/* The owner is the string that is secret. */
static bool is_told_off(const void *owner, struct span value)
{
    struct span wanted = span_of(owner);

    return memmem(value.at, value.len, wanted.at, wanted.len) != NULL;
}

START_TEST(a_secret_is_looked_for_in_the_whole_string)
{
    static const char *const members[] = {"note", "name"};
    struct text sent = {0};
    struct audit_body_source source = {
        .record = members, .record_count = 2, .is_secret = is_told_off};
    struct audit_body body;

    make_note(&sent, AUDIT_BODY_MOST_STRING_BYTES - 2, "token", 1);
    source.bytes = span_make(sent.bytes, sent.len);
    source.owner = "token";
    ck_assert_int_eq(audit_body_read(&source, &body), AUDIT_BODY_READ);
    ck_assert_str_eq(body.recorded.bytes, "\"proxy.recorded.note\":\"(withheld)\"," NAME);
    audit_body_fini(&body);
    source.owner = "another";
    ck_assert_int_eq(audit_body_read(&source, &body), AUDIT_BODY_READ);
    ck_assert_ptr_null(strstr(body.recorded.bytes, "withheld"));
    audit_body_fini(&body);
    text_fini(&sent);
}
END_TEST

START_TEST(a_long_string_is_cut_at_a_character)
{
    struct text sent = {0}, wanted = {0};
    struct audit_body body;

    make_note(&sent, notes[_i].before, notes[_i].character, notes[_i].count);
    make_note(&wanted, notes[_i].before, notes[_i].character, notes[_i].kept);
    ck_assert_int_eq(read_body(JSON, span_make(sent.bytes, sent.len), &body),
                     AUDIT_BODY_READ);
    wanted.len -= 2;
    text_add(&wanted, notes[_i].is_cut ? SPAN("…\"") : SPAN("\""));
    ck_assert_str_eq(strstr(body.recorded.bytes, "note\":\"") + 7,
                     strstr(wanted.bytes, "note\":\"") + 7);
    audit_body_fini(&body);
    text_fini(&sent);
    text_fini(&wanted);
}
END_TEST

START_TEST(a_name_is_whole_or_refused)
{
    for (size_t len = AUDIT_BODY_MOST_NAME_BYTES; len < AUDIT_BODY_MOST_NAME_BYTES + 2;
         len++) {
        struct text sent = {0};
        struct audit_body body;
        enum audit_body_verdict verdict;

        text_add(&sent, SPAN("{\"name\":\""));
        for (size_t i = 0; i < len; i++)
            text_add_byte(&sent, 'n');
        text_add(&sent, SPAN("\"}"));
        verdict = read_body(JSON, span_make(sent.bytes, sent.len), &body);
        if (len == AUDIT_BODY_MOST_NAME_BYTES) {
            ck_assert_int_eq(verdict, AUDIT_BODY_READ);
            ck_assert_uint_eq(strlen(body.name), len);
        } else {
            ck_assert_int_eq(verdict, AUDIT_BODY_MISTYPED);
        }
        audit_body_fini(&body);
        text_fini(&sent);
    }
}
END_TEST

static void check_depth(size_t levels, enum audit_body_verdict wanted)
{
    struct text sent = {0};

    text_add(&sent, SPAN("{\"name\":\"n\",\"x\":"));
    for (size_t i = 0; i < levels; i++)
        text_add_byte(&sent, '[');
    for (size_t i = 0; i < levels; i++)
        text_add_byte(&sent, ']');
    text_add_byte(&sent, '}');
    check_verdict(JSON, span_make(sent.bytes, sent.len), wanted);
    text_fini(&sent);
}

START_TEST(depth_is_bounded)
{
    check_depth(1000, AUDIT_BODY_READ);
    check_depth(3000, AUDIT_BODY_TOO_DEEP);
    check_depth(200000, AUDIT_BODY_TOO_DEEP);
}
END_TEST

/* A good body, cut short anywhere or with any one byte changed, is read or it is not. */
START_TEST(every_damage_is_survived)
{
    const struct span whole =
        SPAN("{\"name\":\"n\\u00e9\",\"isAdmin\":{\"a\":[1,2.5e3]},\"value\":\"€\"}");
    char *bytes = exact_copy(whole);
    struct audit_body body;

    for (size_t len = 0; len < whole.len; len++)
        ck_assert_int_ne(read_body(JSON, span_make(bytes, len), &body), AUDIT_BODY_READ);
    for (size_t i = 0; i < whole.len; i++) {
        for (int byte = 0; byte < 256; byte++) {
            bytes[i] = (char)byte;
            if (read_body(JSON, span_make(bytes, whole.len), &body) == AUDIT_BODY_READ)
                ck_assert_ptr_nonnull(body.name);
            ck_assert_ptr_null(
                memchr(body.recorded.bytes != NULL ? body.recorded.bytes : "", '\n',
                       body.recorded.len));
            audit_body_fini(&body);
        }
        bytes[i] = whole.at[i];
    }
    free(bytes);
}
END_TEST

/* jansson would read a name that lacks a byte. */
START_TEST(without_memory_nothing_is_read)
{
    enum audit_body_verdict verdict = AUDIT_BODY_NO_MEMORY;
    struct audit_body body;
    int blocks;

    for (blocks = 0; verdict != AUDIT_BODY_READ && blocks < 1000; blocks++) {
        blocks_there = blocks;
        verdict = read_body(
            JSON,
            SPAN("{\"name\":\"a-name-longer-than-16\",\"isAdmin\":[1,2.5],\"x\":\"y\"}"),
            &body);
        blocks_there = -1;
        ck_assert(verdict == AUDIT_BODY_READ || verdict == AUDIT_BODY_NO_MEMORY);
        if (verdict == AUDIT_BODY_READ) {
            ck_assert_str_eq(body.name, "a-name-longer-than-16");
            ck_assert_ptr_nonnull(strstr(body.recorded.bytes, "(array)"));
        }
        audit_body_fini(&body);
    }
    ck_assert_int_gt(blocks, 10);
    ck_assert_int_eq(verdict, AUDIT_BODY_READ);
}
END_TEST

/* Every verdict has a word, and no two the same. */
START_TEST(verdicts_have_words)
{
    for (int i = AUDIT_BODY_READ; i <= AUDIT_BODY_NO_MEMORY; i++) {
        const char *word = audit_body_verdict_word((enum audit_body_verdict)i);

        ck_assert_ptr_nonnull(word);
        for (int j = AUDIT_BODY_READ; j < i; j++)
            ck_assert_str_ne(word, audit_body_verdict_word((enum audit_body_verdict)j));
    }
}
END_TEST

/* Secrets do not stay behind: the sanitizers' allocators keep freed memory on purpose. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEES_FREED_MEMORY 0
#else
#define SEES_FREED_MEMORY 1
#endif

enum { SECRET_BYTES = 200 };

/* The secret is made only where it is needed, and told by a byte at a time. */
static char secret_byte(size_t index)
{
    return (char)('A' + (index * index * 7 + index * 3) % 26);
}

static bool is_secret_at(const char *at, const char *end, size_t from, size_t len)
{
    if ((size_t)(end - at) < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (at[i] != secret_byte(from + i))
            return false;
    }
    return true;
}

/* Whether 12 bytes in a row of the secret's later half are in the heap. */
static bool heap_holds_secret(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    bool is_found = false;

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long start, end;

        if (strstr(line, "[heap]") == NULL)
            continue;
        start = strtoul(line, NULL, 16);
        end = strtoul(strchr(line, '-') + 1, NULL, 16);
        for (const char *at = (const char *)start; at < (const char *)end; at++) {
            if (is_secret_at(at, (const char *)end, 100, 12))
                is_found = true;
        }
    }
    (void)fclose(maps);
    return is_found;
}

static void read_and_wipe(const char *before, const char *after)
{
    char bytes[512], secret[SECRET_BYTES + 1] = "";
    struct audit_body_source source = {
        .record = record, .record_count = 2, .name_member = "name"};
    struct audit_body body;

    for (size_t i = 0; i < SECRET_BYTES; i++)
        secret[i] = secret_byte(i);
    source.bytes.at = bytes;
    source.bytes.len =
        (size_t)snprintf(bytes, sizeof(bytes), "%s%s%s", before, secret, after);
    (void)audit_body_read(&source, &body);
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(bytes, sizeof(bytes));
    audit_body_fini(&body);
}

static const struct {
    const char *before, *after;
} with_secrets[] = {
    {"{\"name\":\"n\",\"value\":\"", "\"}"},
    {"{\"name\":\"n\",\"value\":{\"a\":[\"\\u00e9", "\"]}}"},
    {"{\"name\":\"n\",\"", "\":1}"},
    {"{\"name\":1,\"value\":\"", "\"}"},
    {"{\"name\":\"n\",\"value\":\"", "\",\"value\":2}"},
    {"{\"name\":\"n\",\"value\":\"", ""},
    {"{\"name\":\"n\",\"value\":", "}"},
    {"{\"name\":\"n\",\"value\":\"", "\"} ?"},
};

START_TEST(no_secret_stays_in_freed_memory)
{
    if (!SEES_FREED_MEMORY)
        return;
    read_and_wipe(with_secrets[_i].before, with_secrets[_i].after);
    ck_assert_msg(!heap_holds_secret(), "%s", with_secrets[_i].before);
}
END_TEST

/* The test before proves something only if this search finds what is there. */
START_TEST(the_search_finds_what_was_not_cleansed)
{
    char *left = malloc(SECRET_BYTES);

    ck_assert_ptr_nonnull(left);
    for (size_t i = 0; i < SECRET_BYTES; i++)
        left[i] = secret_byte(i);
    ck_assert(!SEES_FREED_MEMORY || heap_holds_secret());
    explicit_bzero(left, SECRET_BYTES);
    free(left);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/body");
    TCase *content = suite_case(suite, "content");
    TCase *types = suite_case(suite, "types");
    TCase *wanted = suite_case(suite, "wanted");
    TCase *bounds = suite_case(suite, "bounds");
    TCase *secrets = suite_case(suite, "secrets");

    json_text_init();
    tcase_add_loop_test(content, what_is_listed_is_recorded_and_nothing_else, 0,
                        ROWS(good));
    tcase_add_loop_test(content, what_could_be_read_otherwise_is_not_read, 0, ROWS(bad));
    tcase_add_test(content, a_lone_scalar_is_not_read);
    tcase_add_test(content, every_damage_is_survived);
    tcase_add_test(content, verdicts_have_words);
    tcase_add_loop_test(types, json_by_its_type_is_read, 0, ROWS(json_types));
    tcase_add_loop_test(types, json_by_another_type_is_not_read, 0, ROWS(other_types));
    tcase_add_test(types, a_coded_body_is_not_read);
    tcase_add_test(wanted, a_body_that_nothing_is_wanted_of_may_be_anything);
    tcase_add_test(wanted, members_without_a_name_are_read);
    tcase_add_test(wanted, a_name_without_members_is_read);
    tcase_add_loop_test(bounds, a_long_string_is_cut_at_a_character, 0, ROWS(notes));
    tcase_add_test(bounds, a_secret_is_looked_for_in_the_whole_string);
    tcase_add_test(bounds, a_name_is_whole_or_refused);
    tcase_add_test(bounds, depth_is_bounded);
    tcase_add_test(bounds, without_memory_nothing_is_read);
    tcase_add_loop_test(secrets, no_secret_stays_in_freed_memory, 0, ROWS(with_secrets));
    tcase_add_test(secrets, the_search_finds_what_was_not_cleansed);
    return run_suite(suite);
}
