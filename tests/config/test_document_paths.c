/* Paths in a document: relative to its file, with variables of the environment. */
#include "config/document.h"
#include "support/lines.h"

struct target {
    const char *path;
};

static const struct document_option options[] = {
    {.key = "path", .kind = OPTION_PATH, .offset = offsetof(struct target, path)},
    {0},
};

static const struct {
    const char *path, *expanded; /* '@' begins what lies in the file's folder; NULL: no */
} paths[] = {
    {"/abs", "/abs"},
    {"rel", "@/rel"},
    {"sub/../rel", "@/sub/../rel"},
    {"${PSGATE_TEST_ABSOLUTE}", "/absolute"},
    {"${PSGATE_TEST_ABSOLUTE}/x", "/absolute/x"},
    {"x/${PSGATE_TEST_RELATIVE}/${PSGATE_TEST_RELATIVE}y", "@/x/rel/rely"},
    {"/x${PSGATE_TEST_ABSOLUTE}", "/x/absolute"},
    {"$PSGATE_TEST_ABSOLUTE", "@/$PSGATE_TEST_ABSOLUTE"},
    {"/a$", "/a$"},
    {"/a$$b", "/a$$b"},
    {"/a}", "/a}"},
    {"${PSGATE_TEST_NESTED}", "@/${PSGATE_TEST_ABSOLUTE}"}, /* expanded once */
    {"${PSGATE_TEST_UNSET}", NULL},
    {"${PSGATE_TEST_EMPTY}", NULL},
    {"${}", NULL},
    {"${", NULL},
    {"/x/${PSGATE_TEST_ABSOLUTE", NULL},
    {"${PSGATE_TEST_ABSOLUTE}${", NULL},
};

static void set_variables(void)
{
    (void)setenv("PSGATE_TEST_ABSOLUTE", "/absolute", 1);
    (void)setenv("PSGATE_TEST_RELATIVE", "rel", 1);
    (void)setenv("PSGATE_TEST_NESTED", "${PSGATE_TEST_ABSOLUTE}", 1);
    (void)setenv("PSGATE_TEST_EMPTY", "", 1);
    (void)unsetenv("PSGATE_TEST_UNSET");
}

static void unset_variables(void)
{
    (void)unsetenv("PSGATE_TEST_ABSOLUTE");
    (void)unsetenv("PSGATE_TEST_RELATIVE");
    (void)unsetenv("PSGATE_TEST_NESTED");
    (void)unsetenv("PSGATE_TEST_EMPTY");
}

static void read_path(struct span text, struct target *target, struct arena *arena,
                      struct problems *problems)
{
    const struct place root = {0};
    struct document document;

    ck_assert(document_parse(&document, "some/dir/f.json", text, arena, problems));
    document_read_object(&document, &root, document.root, options, target);
    document_fini(&document);
}

START_TEST(a_path_starts_at_the_files_folder_and_takes_variables)
{
    const char *expanded = paths[_i].expanded;
    struct text text = {0}, wanted = {0};
    struct problems problems = {0};
    struct target target = {0};
    struct arena arena = {0};

    set_variables();
    text_add_format(&text, "{\"path\": \"%s\"}", paths[_i].path);
    read_path(span_make(text.bytes, text.len), &target, &arena, &problems);
    unset_variables();
    if (expanded == NULL) {
        assert_problems(&problems, "some/dir/f.json", "1:2: path:~${");
    } else {
        assert_problems(&problems, "some/dir/f.json", "");
        text_add_format(&wanted, "%s%s", expanded[0] == '@' ? "some/dir" : "",
                        expanded + (expanded[0] == '@'));
        ck_assert_str_eq(target.path, wanted.bytes);
    }
    problems_fini(&problems);
    arena_fini(&arena);
    text_fini(&text);
    text_fini(&wanted);
}
END_TEST

/* Where the file lies in the working folder, or in the root. */
START_TEST(a_file_without_a_folder_lies_in_this_one)
{
    static const struct {
        const char *file, *path, *or_path;
    } files[] = {{"f.json", "./key", "key"},
                 {"./f.json", "./key", "key"},
                 {"/f.json", "/key", "//key"}};
    const struct place root = {0};

    for (int i = 0; i < ROWS(files); i++) {
        struct problems problems = {0};
        struct target target = {0};
        struct arena arena = {0};
        struct document document;

        ck_assert(document_parse(&document, files[i].file, SPAN("{\"path\":\"key\"}"),
                                 &arena, &problems));
        document_read_object(&document, &root, document.root, options, &target);
        document_fini(&document);
        ck_assert_msg(strcmp(target.path, files[i].path) == 0 ||
                          strcmp(target.path, files[i].or_path) == 0,
                      "%s beside %s", target.path, files[i].file);
        problems_fini(&problems);
        arena_fini(&arena);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config/document, paths");
    TCase *path = suite_case(suite, "paths");

    tcase_add_loop_test(path, a_path_starts_at_the_files_folder_and_takes_variables, 0,
                        ROWS(paths));
    tcase_add_test(path, a_file_without_a_folder_lies_in_this_one);
    return run_suite(suite);
}
