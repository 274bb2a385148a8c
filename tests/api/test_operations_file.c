/* Operation tables of the user's own: what rows may say, and what is refused. */
#include "api/operations.h"
#include "support/folder.h"
#include "support/lines.h"

static struct folder folder;

static void make_folder(void)
{
    folder_make(&folder);
}

static void remove_folder(void)
{
    folder_remove(&folder);
}

/* Loads a table of these rows, each on a line of its own from the second on. */
static struct operation_table *load_rows(const char *rows, struct problems *problems)
{
    struct operation_table *table;
    struct text text = {0};

    text_add_format(&text, "{\"operations\":[\n%s\n]}", rows);
    table = operation_table_load(
        folder_write(&folder, "operations.json", span_make(text.bytes, text.len), 0644),
        problems);
    text_fini(&text);
    return table;
}

static struct operation_table *must_load(const char *rows)
{
    struct problems problems = {0};
    struct operation_table *table = load_rows(rows, &problems);

    ck_assert_msg(table != NULL, "%s", problems.lines.bytes);
    ck_assert_uint_eq(problems.count, 0);
    return table;
}

static const char *match(const struct operation_table *table, const char *method,
                         const char *path)
{
    struct span exact = exact_span(span_of(path));
    char *scratch = malloc(exact.len);
    const struct operation *operation;
    enum http_fault fault;
    struct http_path split;

    ck_assert(http_path_split(exact, false, scratch, &split, &fault));
    operation = operation_match(table, span_of(method), &split);
    free(scratch);
    free((char *)(uintptr_t)exact.at);
    return operation != NULL ? operation->id : "";
}

#define ROW(id, method, path)                                                            \
    "{\"id\":\"" id "\",\"method\":\"" method "\",\"path\":\"" path "\"}"

START_TEST(the_first_match_wins)
{
    /* clang-format off */
    static const char rows[] =
        ROW("special", "GET", "/a/b") ","
        ROW("any", "*", "/a/{x}") ","
        ROW("later", "GET", "/a/{y}") ","
        ROW("rest", "GET", "/a/**");
    /* clang-format on */
    struct operation_table *table = must_load(rows);

    ck_assert_str_eq(match(table, "GET", "/a/b"), "special");
    ck_assert_str_eq(match(table, "HEAD", "/a/b"), "special");
    ck_assert_str_eq(match(table, "POST", "/a/b"), "any");
    ck_assert_str_eq(match(table, "GET", "/a/c"), "any");
    ck_assert_str_eq(match(table, "GET", "/a/c/d"), "rest");
    ck_assert_str_eq(match(table, "POST", "/a/c/d"), "");
    operation_table_free(table);
}
END_TEST

/* HEAD is GET's, unless a row before says HEAD; GET is not HEAD's. */
START_TEST(head_matches_what_get_does)
{
    /* clang-format off */
    static const char rows[] =
        ROW("head", "HEAD", "/a") ","
        ROW("get", "GET", "/a") ","
        ROW("post", "POST", "/b");
    /* clang-format on */
    struct operation_table *table = must_load(rows);

    ck_assert_str_eq(match(table, "HEAD", "/a"), "head");
    ck_assert_str_eq(match(table, "GET", "/a"), "get");
    ck_assert_str_eq(match(table, "HEAD", "/b"), "");
    ck_assert_str_eq(match(table, "OPTIONS", "/a"), "");
    operation_table_free(table);
}
END_TEST

static const struct {
    const char *template, *path;
    bool matches;
} templates[] = {
    {"/a", "/a", true},
    {"/a", "/A/", true},
    {"/A", "/a", true},
    {"/a", "/", false},
    {"/a", "/a/b", false},
    {"/{x}", "/a", true},
    {"/{x}", "/", false},
    {"/{x}", "/a/b", false},
    {"/a/{x}/c", "/a/anything%20at%20all/c", true},
    {"/a/{x}/c", "/a/c", false},
    {"/**", "/", true}, /* the rest may be nothing */
    {"/**", "/a/b/c", true},
    {"/a/**", "/a", true},
    {"/a/**", "/a/", true},
    {"/a/**", "/a/b", true},
    {"/a/**", "/ab", false},
    {"/a/**", "/b/a", false},
    {"/a/{x}/**", "/a", false},
    {"/a/{x}/**", "/a/b", true},
    {"/a.b-c_d~", "/A.B-C_D~", true},
    {"/a.c", "/abc", false},
    {"/\xc3\xa9", "/%C3%A9", true},
    {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30"
     "/31/32",
     "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30"
     "/31/32",
     true},
    {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30"
     "/31/32",
     "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30"
     "/31/32/33",
     false},
};

START_TEST(a_template_matches_by_segments)
{
    struct operation_table *table;
    struct text row = {0};

    text_add_format(&row, ROW("it", "GET", "%s"), templates[_i].template);
    table = must_load(row.bytes);
    ck_assert_msg((match(table, "GET", templates[_i].path)[0] != '\0') ==
                      templates[_i].matches,
                  "%s against %s", templates[_i].path, templates[_i].template);
    operation_table_free(table);
    text_fini(&row);
}
END_TEST

START_TEST(a_row_may_say_everything)
{
    struct operation_table *table = must_load(
        "{\"id\":\"a.b_c-D9\",\"method\":\"M-SEARCH\",\"path\":\"/t/{team}/u/{user}/**\","
        "\"team\":\"team\",\"user\":\"user\",\"named_only\":true,"
        "\"resource\":{\"type\":\"thing\",\"name\":\"user\"},"
        "\"audit\":{\"record\":[\"x\",\"y\"]},\"invalidates\":[\"s\"],"
        "\"cache\":{\"scope\":\"s\",\"freshness\":\"upstream\",\"stale_if_error\":\"1h\"}"
        "}");
    const struct operation *operation = operation_find(table, SPAN("a.b_c-D9"));

    ck_assert_ptr_nonnull(operation);
    ck_assert_str_eq(operation->path, "/t/{team}/u/{user}/**");
    ck_assert_int_eq(operation->segment_count, 4);
    ck_assert_str_eq(operation->segments[0], "t");
    ck_assert_ptr_null(operation->segments[1]);
    ck_assert_str_eq(operation->parameters[1], "team");
    ck_assert(operation->has_rest);
    ck_assert_int_eq(operation->team_segment, 1);
    ck_assert_int_eq(operation->user_segment, 3);
    ck_assert_int_eq(operation->resource_segment, 3);
    ck_assert_ptr_null(operation->resource_member);
    ck_assert(operation->is_named_only);
    ck_assert(operation->is_audited);
    ck_assert_uint_eq(operation->record_count, 2);
    ck_assert_int_eq(operation->cache->freshness, OPERATION_FRESHNESS_UPSTREAM);
    ck_assert_int_eq(operation->cache->ttl_ms, -1);
    ck_assert_int_eq(operation->cache->stale_while_revalidate_ms, 0);
    ck_assert_int_eq(operation->cache->stale_if_error_ms, 3600000);
    operation_table_free(table);
}
END_TEST

START_TEST(a_plain_row_is_neither_cached_nor_audited)
{
    struct operation_table *table = must_load("{\"id\":\"a\",\"method\":\"PUT\",\"path\":"
                                              "\"/a\",\"cache\":null,\"audit\":null}");
    const struct operation *operation = &table->operations[0];

    ck_assert_ptr_null(operation->cache);
    ck_assert(!operation->is_audited);
    ck_assert(!operation->is_named_only);
    ck_assert_uint_eq(operation->invalidates_count, 0);
    ck_assert_int_eq(operation->team_segment, OPERATION_NO_SEGMENT);
    ck_assert_int_eq(operation->user_segment, OPERATION_NO_SEGMENT);
    ck_assert_int_eq(operation->resource_segment, OPERATION_NO_SEGMENT);
    operation_table_free(table);
}
END_TEST

#define WITH(members) "{\"id\":\"a\",\"method\":\"GET\",\"path\":\"/x/{p}\"," members "}"

static const struct {
    const char *rows, *problems;
} wrongs[] = {
    {"5", "2:1: operations[0]:"},
    {"{}", "2:1: operations[0].id:~missing\n2:1: operations[0].method:~missing\n"
           "2:1: operations[0].path:~missing"},
    {"{\"id\":null,\"method\":\"GET\",\"path\":\"/a\"}", "2:2: operations[0].id:"},
    {"{\"id\":\"a\",\"method\":null,\"path\":\"/a\"}", "2:11: operations[0].method:"},
    {"{\"id\":\"a\",\"method\":\"GET\",\"path\":null}", "2:26: operations[0].path:"},
    {ROW("", "GET", "/a"), "2:2: operations[0].id:"},
    {ROW("other", "GET", "/a"), "2:2: operations[0].id:~other"},
    {ROW("a b", "GET", "/a"), "2:2: operations[0].id:"},
    {ROW("a*", "GET", "/a"), "2:2: operations[0].id:"},
    {ROW("a/b", "GET", "/a"), "2:2: operations[0].id:"},
    {ROW("a", "GET", "/a") ",\n" ROW("a", "PUT", "/b"), "3:2: operations[1].id:~twice"},
    {ROW("a", "get", "/a"), "2:11: operations[0].method:"},
    {ROW("a", "GET POST", "/a"), "2:11: operations[0].method:"},
    {ROW("a", "**", "/a"), "2:11: operations[0].method:"},
    {ROW("a", "", "/a"), "2:11: operations[0].method:"},
    {ROW("a", "GET", ""), "2:26: operations[0].path:"},
    {ROW("a", "GET", "a"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "//"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/a//b"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/**/a"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/a/**/"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/a**"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/a/*"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/a*b"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/***"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/{}"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/{a"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/{a}b"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/b{a}"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/{a}{b}"), "2:26: operations[0].path:"},
    {ROW("a", "GET", "/a%20b"), "2:26: operations[0].path:"},
    {ROW("a", "GET",
         "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25"
         "/26/27/28/29/30/31/32/33"),
     "2:26: operations[0].path:"},
    {WITH("\"team\":\"q\""), "2:42: operations[0].team:~\"q\""},
    {WITH("\"user\":\"P\""), "2:42: operations[0].user:~\"P\""},
    {WITH("\"team\":5"), "2:42: operations[0].team:"},
    {WITH("\"named_only\":1"), "2:42: operations[0].named_only:"},
    {WITH("\"resource\":\"p\""), "2:42: operations[0].resource:"},
    {WITH("\"resource\":{\"type\":\"t\"}"), "2:42: operations[0].resource.name:~missing"},
    {WITH("\"resource\":{\"name\":\"p\"}"), "2:42: operations[0].resource.type:~missing"},
    {WITH("\"resource\":{\"type\":null,\"name\":\"p\"}"),
     "2:54: operations[0].resource.type:"},
    {WITH("\"resource\":{\"type\":\"t\",\"name\":null}"),
     "2:65: operations[0].resource.name:"},
    {WITH("\"audit\":true"), "2:42: operations[0].audit:"},
    {WITH("\"audit\":{\"records\":[]}"), "2:51: operations[0].audit.records:~\"record\""},
    {WITH("\"audit\":{\"record\":\"x\"}"), "2:51: operations[0].audit.record:"},
    {WITH("\"audit\":{\"record\":[5]}"), "2:61: operations[0].audit.record[0]:"},
    {WITH("\"invalidates\":\"s\""), "2:42: operations[0].invalidates:"},
    {WITH("\"cache\":{\"ttl\":\"1s\"}"), "2:42: operations[0].cache.scope:~missing"},
    {WITH("\"cache\":{\"scope\":null,\"ttl\":\"1s\"}"),
     "2:51: operations[0].cache.scope:"},
    {WITH("\"cache\":{\"scope\":\"s\"}"), "2:42: operations[0].cache:~ttl"},
    {WITH("\"cache\":{\"scope\":\"s\",\"ttl\":5}"), "2:63: operations[0].cache.ttl:"},
    {WITH("\"cache\":{\"scope\":\"s\",\"ttl\":\"1s\",\"freshness\":\"x\"}"),
     "2:74: operations[0].cache.freshness:~upstream"},
    {WITH("\"methd\":\"GET\""), "2:42: operations[0].methd:~\"method\""},
};

START_TEST(a_row_that_is_wrong_is_refused_with_its_place)
{
    struct problems problems = {0};
    struct operation_table *table = load_rows(wrongs[_i].rows, &problems);
    bool is_refused = table == NULL;

    operation_table_free(table);
    ck_assert_msg(is_refused, "accepted: %s", wrongs[_i].rows);
    assert_problems(&problems, folder_entry(&folder, "operations.json"),
                    wrongs[_i].problems);
    problems_fini(&problems);
}
END_TEST

/* A resource's problem may point at the resource or at its name. */
START_TEST(a_resource_is_named_by_a_parameter_or_a_member)
{
    static const char *const names[] = {"q", "body.", "body", "Body.name", "p.x"};

    for (int i = 0; i < ROWS(names); i++) {
        struct problems problems = {0};
        struct text row = {0};

        text_add_format(&row, WITH("\"resource\":{\"type\":\"t\",\"name\":\"%s\"}"),
                        names[i]);
        ck_assert_ptr_null(load_rows(row.bytes, &problems));
        ck_assert_uint_eq(problems.count, 1);
        ck_assert_ptr_nonnull(strstr(problems.lines.bytes, " operations[0].resource"));
        problems_fini(&problems);
        text_fini(&row);
    }
}
END_TEST

static const struct {
    struct span text;
    const char *problems;
} files[] = {
    {SPAN("[]"), "1:1:~object"},
    {SPAN("{}"), "1:1: operations:~missing"},
    {SPAN("{\"operations\":null}"), "1:2: operations:"},
    {SPAN("{\"operations\":{}}"), "1:2: operations:"},
    {SPAN("{\"operation\":[]}"),
     "1:2: operation:~\"operations\"\n1:1: operations:~missing"},
    {SPAN("{\"$schema\":5,\"operations\":[]}"), "1:2: $schema:"},
};

START_TEST(a_file_that_is_no_table_is_refused)
{
    const char *path = folder_write(&folder, "o.json", files[_i].text, 0644);
    struct problems problems = {0};

    ck_assert_ptr_null(operation_table_load(path, &problems));
    assert_problems(&problems, path, files[_i].problems);
    problems_fini(&problems);
}
END_TEST

START_TEST(an_empty_table_matches_nothing)
{
    struct operation_table *table = must_load("");

    ck_assert_uint_eq(table->count, 0);
    ck_assert_str_eq(match(table, "GET", "/"), "");
    ck_assert_str_eq(match(table, "GET", "/a"), "");
    operation_table_free(table);
    operation_table_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/operations, files");
    TCase *rows = suite_case(suite, "rows");
    TCase *refused = suite_case(suite, "refused");

    tcase_add_checked_fixture(rows, make_folder, remove_folder);
    tcase_add_checked_fixture(refused, make_folder, remove_folder);
    tcase_add_test(rows, the_first_match_wins);
    tcase_add_test(rows, head_matches_what_get_does);
    tcase_add_loop_test(rows, a_template_matches_by_segments, 0, ROWS(templates));
    tcase_add_test(rows, a_row_may_say_everything);
    tcase_add_test(rows, a_plain_row_is_neither_cached_nor_audited);
    tcase_add_test(rows, an_empty_table_matches_nothing);
    tcase_add_loop_test(refused, a_row_that_is_wrong_is_refused_with_its_place, 0,
                        ROWS(wrongs));
    tcase_add_test(refused, a_resource_is_named_by_a_parameter_or_a_member);
    tcase_add_loop_test(refused, a_file_that_is_no_table_is_refused, 0, ROWS(files));
    return run_suite_in_folder(suite);
}
