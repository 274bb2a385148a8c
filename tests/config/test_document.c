#include <unistd.h>

#include "config/document.h"
#include "config/locate.h"
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

/* One option of each kind. */
struct inner {
    int64_t number;
};

struct outer {
    bool flag;
    int64_t number, duration, size;
    const char *text, *path;
    int choice;
    struct inner inner;
    const char *const *list;
    size_t list_count;
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static void read_list(struct document *document, const struct place *place, json_t *value,
                      void *target)
{
    struct outer *outer = target;

    document_read_strings(document, place, value, &outer->list, &outer->list_count);
}

static const struct document_option inner_options[] = {
    {.key = "number",
     .kind = OPTION_INTEGER,
     .offset = offsetof(struct inner, number),
     .min = 1,
     .max = 9,
     .is_required = true},
    {0},
};

#define OPTION(name, type, member)                                                       \
    .key = (name), .kind = (type), .offset = offsetof(struct outer, member)

static const struct document_option outer_options[] = {
    {OPTION("flag", OPTION_BOOL, flag)},
    {OPTION("number", OPTION_INTEGER, number), .min = -5, .max = 100},
    {OPTION("duration", OPTION_DURATION, duration), .min = 10, .max = 60000},
    {OPTION("size", OPTION_SIZE, size), .min = 2, .max = 1024},
    {OPTION("text", OPTION_STRING, text)},
    {OPTION("path", OPTION_PATH, path)},
    {OPTION("choice", OPTION_CHOICE, choice), .choices = colours},
    {OPTION("inner", OPTION_OBJECT, inner), .nested = inner_options},
    {.key = "list", .kind = OPTION_CUSTOM, .read = read_list},
    {0},
};

/* What was read from a text, and what was wrong with it. */
struct reading {
    struct arena arena;
    struct problems problems;
    struct outer outer;
};

static const struct outer before = {.number = 42,
                                    .duration = 1000,
                                    .size = 64,
                                    .text = "before",
                                    .choice = 2,
                                    .inner = {7}};

static void read_text(struct reading *reading, const char *name, struct span text)
{
    const struct place root = {0};
    struct document document;

    *reading = (struct reading){.outer = before};
    if (document_parse(&document, name, text, &reading->arena, &reading->problems))
        document_read_object(&document, &root, document.root, outer_options,
                             &reading->outer);
    document_fini(&document);
}

static void assert_untouched(const struct outer *outer)
{
    ck_assert(!outer->flag);
    ck_assert_int_eq(outer->number, before.number);
    ck_assert_int_eq(outer->duration, before.duration);
    ck_assert_int_eq(outer->size, before.size);
    ck_assert_pstr_eq(outer->text, before.text);
    ck_assert_ptr_null(outer->path);
    ck_assert_int_eq(outer->choice, before.choice);
    ck_assert_int_eq(outer->inner.number, before.inner.number);
    ck_assert_ptr_null(outer->list);
}

static void end(struct reading *reading)
{
    problems_fini(&reading->problems);
    arena_fini(&reading->arena);
}

START_TEST(every_kind_of_value_is_read)
{
    struct reading reading;

    read_text(
        &reading, "file.json",
        SPAN("{\"flag\": true, \"number\": -5, \"duration\": \"1m\", \"size\": \"1KiB\","
             " \"text\": \"\\u00e9 \\\"x\\\"\", \"path\": \"/abs/file\","
             " \"choice\": \"green\", \"inner\": {\"number\": 9},"
             " \"list\": [\"a\", \"b\"]}"));
    assert_problems(&reading.problems, "file.json", "");
    ck_assert(reading.outer.flag);
    ck_assert_int_eq(reading.outer.number, -5);
    ck_assert_int_eq(reading.outer.duration, 60000);
    ck_assert_int_eq(reading.outer.size, 1024);
    ck_assert_str_eq(reading.outer.text, "\xc3\xa9 \"x\"");
    ck_assert_str_eq(reading.outer.path, "/abs/file");
    ck_assert_int_eq(reading.outer.choice, 1);
    ck_assert_int_eq(reading.outer.inner.number, 9);
    ck_assert_uint_eq(reading.outer.list_count, 2);
    ck_assert_str_eq(reading.outer.list[1], "b");
    end(&reading);
}
END_TEST

START_TEST(absent_members_keep_what_they_had)
{
    struct reading reading;

    read_text(&reading, "file.json", SPAN("{}"));
    assert_problems(&reading.problems, "file.json", "");
    assert_untouched(&reading.outer);
    end(&reading);
}
END_TEST

/* A size may be a number; null leaves a string unset; a range has its ends. */
START_TEST(values_have_other_spellings)
{
    struct reading reading;

    read_text(&reading, "file.json",
              SPAN("{\"size\": 2, \"text\": null, \"path\": null, \"duration\": \"10ms\","
                   " \"number\": 100, \"list\": []}"));
    assert_problems(&reading.problems, "file.json", "");
    ck_assert_int_eq(reading.outer.size, 2);
    ck_assert_ptr_null(reading.outer.text);
    ck_assert_ptr_null(reading.outer.path);
    ck_assert_int_eq(reading.outer.duration, 10);
    ck_assert_int_eq(reading.outer.number, 100);
    ck_assert_uint_eq(reading.outer.list_count, 0);
    end(&reading);
}
END_TEST

/* Each text, and where its problems are. */
static const struct {
    const char *text, *problems;
} wrongs[] = {
    {"[]", "1:1:"},
    {"\n [{}]", "2:2:"},
    {"{\"flag\": 1}", "1:2: flag:"},
    {"{\"flag\": \"true\"}", "1:2: flag:"},
    {"{\"flag\": null}", "1:2: flag:"},
    {"{\"number\": -6}", "1:2: number:~-5"},
    {"{\"number\": 101}", "1:2: number:~100"},
    {"{\"number\": 1.0}", "1:2: number:"},
    {"{\"number\": \"1\"}", "1:2: number:"},
    {"{\"number\": null}", "1:2: number:"},
    {"{\"duration\": \"9ms\"}", "1:2: duration:~10ms"},
    {"{\"duration\": \"61s\"}", "1:2: duration:~1m"},
    {"{\"duration\": \"\"}", "1:2: duration:"},
    {"{\"duration\": \"5\"}", "1:2: duration:"},
    {"{\"duration\": 5}", "1:2: duration:"},
    {"{\"duration\": null}", "1:2: duration:"},
    {"{\"size\": 1}", "1:2: size:~2"},
    {"{\"size\": \"1025\"}", "1:2: size:~1KiB"},
    {"{\"size\": \"1KB\"}", "1:2: size:"},
    {"{\"size\": -5}", "1:2: size:"},
    {"{\"size\": \"-5\"}", "1:2: size:"},
    {"{\"size\": 2.0}", "1:2: size:"},
    {"{\"size\": true}", "1:2: size:"},
    {"{\"text\": \"\"}", "1:2: text:"},
    {"{\"text\": 5}", "1:2: text:"},
    {"{\"text\": [\"a\"]}", "1:2: text:"},
    {"{\"path\": \"\"}", "1:2: path:"},
    {"{\"path\": {}}", "1:2: path:"},
    {"{\"choice\": \"Red\"}", "1:2: choice:~red"},
    {"{\"choice\": 0}", "1:2: choice:~blue"},
    {"{\"choice\": null}", "1:2: choice:"},
    {"{\"inner\": 5}", "1:2: inner:"},
    {"{\"inner\": []}", "1:2: inner:"},
    {"{\"inner\": {}}", "1:2: inner.number:~missing"},
    {"{\"inner\": {\"number\": null}}", "1:12: inner.number:"},
    {"{\"list\": \"a\"}", "1:2: list:"},
    {"{\"list\": {}}", "1:2: list:"},
    {"{\"list\": [\"a\", 5, \"\", null]}",
     "1:16: list[1]:\n1:19: list[2]:\n1:23: list[3]:"},
    /* Unknown keys name the nearest, or all where none is near. */
    {"{\"numbr\": 5}", "1:2: numbr:~\"number\""},
    {"{\"NUMBER\": 5}", "1:2: NUMBER:~\"number\""},
    {"{\"dutarion\": \"1s\"}", "1:2: dutarion:~\"duration\""},
    {"{\"zzzzzzz\": 5}", "1:2: zzzzzzz:~\"flag\", \"number\""},
    {"{\"inner\": {\"number\": 5, \"nummer\": 5}}", "1:25: inner.nummer:~\"number\""},
    {"{\"\": 5}", "1:2:~\"flag\""},
    /* As many lines as problems, and the good values are read all the same. */
    {"{\n  \"flag\": 1,\n\t\"inner\": {\n    \"number\": 10, \"x\": 1\n  },\n"
     "  \"list\": [\n\n   7 ]}",
     "2:3: flag:\n4:5: inner.number:\n4:19: inner.x:\n8:4: list[0]:"},
    /* Columns count bytes, keys are found behind strings that look like them. */
    {"{\"text\": \"\xc3\xa9\", \"flag\": 1}", "1:16: flag:"},
    {"{\"text\": \"{\\\"flag\\\": [\", \"flag\": 1}", "1:26: flag:"},
    {"{\"list\": [[\"a\", {\"b\": \"]\"}], {\"c\": 1}, -1.5e3, true]}",
     "1:11: list[0]:\n1:30: list[1]:\n1:40: list[2]:\n1:48: list[3]:"},
    {"{\r\n\"flag\"\r\n:\r\n1}", "2:1: flag:"},
};

START_TEST(a_problem_says_where_it_is)
{
    struct reading reading;

    read_text(&reading, "dir/file.json", span_of(wrongs[_i].text));
    assert_problems(&reading.problems, "dir/file.json", wrongs[_i].problems);
    end(&reading);
}
END_TEST

START_TEST(a_bad_value_leaves_its_field_alone)
{
    struct reading reading;

    read_text(&reading, "file.json",
              SPAN("{\"flag\": 1, \"number\": 101, \"duration\": \"1\", \"size\": 0,"
                   " \"text\": \"\", \"choice\": \"x\", \"inner\": {\"number\": 0}}"));
    ck_assert_uint_eq(reading.problems.count, 7);
    assert_untouched(&reading.outer);
    end(&reading);
}
END_TEST

/* A key with escapes cannot be found as it is spelled: its nearest ancestor can. */
START_TEST(a_key_with_escapes_is_located_at_its_ancestor)
{
    struct reading reading;

    read_text(&reading, "f", SPAN("{\"inner\": {\n\"n\\u0075mber\": 0}}"));
    assert_problems(&reading.problems, "f", "1:2: inner.number:");
    end(&reading);
    read_text(&reading, "f",
              SPAN("{\"text\": \"a\", \"\\u0069nner\":\n {\"number\": 0}}"));
    assert_problems(&reading.problems, "f", "1:1: inner.number:");
    end(&reading);
    read_text(&reading, "f", SPAN("{\"text\": \"a\", \"\\u006cist\": [5]\n}"));
    assert_problems(&reading.problems, "f", "1:1: list[0]:");
    end(&reading);
}
END_TEST

static const struct {
    struct span text;
    const char *line;
} broken[] = {
    {SPAN(""), "f:1:"},
    {SPAN("\n\"text\""), "f:2:"},
    {SPAN("{"), "f:1:"},
    {SPAN("{\n  \"text\": \"a\",\n}"), "f:3:"},
    {SPAN("{\"text\" \"a\"}"), "f:1:"},
    {SPAN("{} {}"), "f:1:"},
    {SPAN("{\"text\": \"a\"\n // no\n}"), "f:2:"},
    {SPAN("{'text': 1}"), "f:1:"},
    {SPAN("{\n\n\"text\": nul}"), "f:3:"},
    {SPAN("{\"text\": \"a\",\n\"text\": \"b\"}"), "f:2:"}, /* which would count? */
    {SPAN("{\"text\": \"\xff\"}"), "f:1:"},
    {SPAN("{\"text\": \"a\\u0000b\"}"), "f:1:"},
    {SPAN("\xef\xbb\xbf{}"), "f:1:"},
};

/* The column is where the parser gave up; it is there, and not zero. */
START_TEST(what_is_no_json_is_one_problem_with_its_line)
{
    const char *line = broken[_i].line;
    struct reading reading;
    const char *text;

    read_text(&reading, "f", broken[_i].text);
    text = reading.problems.lines.bytes;
    ck_assert_uint_eq(reading.problems.count, 1);
    ck_assert_msg(strncmp(text, line, strlen(line)) == 0, "%s", text);
    ck_assert_msg(strtoul(text + strlen(line), NULL, 10) > 0, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, ": not valid JSON"));
    end(&reading);
}
END_TEST

/* A problem is one line without control bytes, whatever the document holds. */
static const struct span hostile[] = {
    SPAN("{\"a\\nb\\u001b[31m\\u007f\": 5}"),
    SPAN("{\"\\u00e9\xc3\xa9\": 5}"),
    SPAN("{\"choice\": \"\\n\\r\"}"),
    SPAN("{\"a\\\\b\": 5}"),
    SPAN("{\x1b}"),
    SPAN("{\"a\": \x1b[2J}"),
    SPAN("{\"a\": \"\x1b[2J\"}"),
    SPAN("{\"a\": \xc3\xa9}"),
};

START_TEST(a_problem_is_one_line_without_control_bytes)
{
    struct reading reading;
    const char *lines;

    read_text(&reading, "f", hostile[_i]);
    ck_assert_uint_eq(reading.problems.count, 1);
    lines = reading.problems.lines.bytes;
    ck_assert_uint_eq(strcspn(lines, "\n"), strlen(lines) - 1);
    for (size_t i = 0; lines[i] != '\n'; i++)
        ck_assert_msg((unsigned char)lines[i] >= 0x20 && lines[i] != 0x7f, "in '%s'",
                      shown(span_of(lines)));
    end(&reading);
}
END_TEST

START_TEST(problems_of_whole_files_are_lines_too)
{
    struct problems problems = {0};

    problems_add(&problems, "some/file", "cannot do %s (try %d)", "it", 2);
    problems_add(&problems, "other", "no");
    ck_assert_str_eq(problems.lines.bytes,
                     "some/file: cannot do it (try 2)\nother: no\n");
    ck_assert_uint_eq(problems.count, 2);
    problems_fini(&problems);
    ck_assert_uint_eq(problems.count, 0);
}
END_TEST

START_TEST(a_file_is_loaded_with_its_name_in_every_problem)
{
    const char *path = folder_write(&folder, "f.json", SPAN("{\n\"flag\": 1}"), 0644);
    const struct place root = {0};
    struct reading reading = {.outer = before};
    struct document document;

    ck_assert(
        document_load(&document, path, FILE_PUBLIC, &reading.arena, &reading.problems));
    document_read_object(&document, &root, document.root, outer_options, &reading.outer);
    document_fini(&document);
    document_fini(&document);
    assert_problems(&reading.problems, path, "2:1: flag:");
    end(&reading);
}
END_TEST

static void assert_not_loaded(const char *path, enum file_privacy privacy,
                              const char *word)
{
    struct reading reading = {.outer = before};
    struct document document;

    ck_assert(
        !document_load(&document, path, privacy, &reading.arena, &reading.problems));
    document_fini(&document);
    ck_assert_uint_eq(reading.problems.count, 1);
    ck_assert_int_eq(strncmp(reading.problems.lines.bytes, path, strlen(path)), 0);
    ck_assert_msg(strncmp(reading.problems.lines.bytes + strlen(path), ":1:1: ", 6) == 0,
                  "%s", reading.problems.lines.bytes);
    ck_assert_msg(strstr(reading.problems.lines.bytes, word) != NULL, "no '%s' in %s",
                  word, reading.problems.lines.bytes);
    end(&reading);
}

START_TEST(a_file_that_cannot_be_loaded_is_one_problem)
{
    assert_not_loaded(folder_entry(&folder, "no.json"), FILE_PUBLIC, "No such file");
    assert_not_loaded(folder.path, FILE_PUBLIC, "not a regular file");
    assert_not_loaded(folder_write(&folder, "open.json", SPAN("{}"), 0644), FILE_PRIVATE,
                      "0644");
    assert_not_loaded(folder_write(&folder, "empty.json", SPAN(""), 0600), FILE_PRIVATE,
                      "not valid JSON");
}
END_TEST

static const struct {
    const char *word, *nearest;
} words[] = {
    {"listen", "listen"},
    {"lisen", "listen"},
    {"Listen", "listen"},
    {"worker", "workers"},
    {"upsteam", "upstream"},
    {"client_file", "clients_file"},
    {"x", NULL},
    {"", NULL},
    {"completely_else", NULL},
};

START_TEST(the_nearest_word_is_named_if_one_is_near)
{
    static const char *const candidates[] = {"listen", "workers", "upstream",
                                             "clients_file", NULL};
    static const char *const none[] = {NULL};
    char lengthy[300];

    ck_assert_pstr_eq(nearest_word(words[_i].word, candidates), words[_i].nearest);
    ck_assert_ptr_null(nearest_word(words[_i].word, none));
    memset(lengthy, 'l', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = '\0';
    ck_assert_ptr_null(nearest_word(lengthy, candidates));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config/document");
    TCase *values = suite_case(suite, "values");
    TCase *problems = suite_case(suite, "problems");
    TCase *files = suite_case(suite, "files");

    tcase_add_test(values, every_kind_of_value_is_read);
    tcase_add_test(values, absent_members_keep_what_they_had);
    tcase_add_test(values, values_have_other_spellings);
    tcase_add_test(values, a_bad_value_leaves_its_field_alone);
    tcase_add_loop_test(problems, a_problem_says_where_it_is, 0, ROWS(wrongs));
    tcase_add_test(problems, a_key_with_escapes_is_located_at_its_ancestor);
    tcase_add_loop_test(problems, what_is_no_json_is_one_problem_with_its_line, 0,
                        ROWS(broken));
    tcase_add_loop_test(problems, a_problem_is_one_line_without_control_bytes, 0,
                        ROWS(hostile));
    tcase_add_test(problems, problems_of_whole_files_are_lines_too);
    tcase_add_loop_test(problems, the_nearest_word_is_named_if_one_is_near, 0,
                        ROWS(words));
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, a_file_is_loaded_with_its_name_in_every_problem);
    tcase_add_test(files, a_file_that_cannot_be_loaded_is_one_problem);
    return run_suite_in_folder(suite);
}
