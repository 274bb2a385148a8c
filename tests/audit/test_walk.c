/* The lines that count, over files that are rotated, resumed, deleted and begun anew. */
#include "audit/walk.h"

#include "base/text.h"
#include "support/folder.h"

static struct folder folder;

static void make_folder(void)
{
    folder_make(&folder);
}

static void remove_folder(void)
{
    folder_remove(&folder);
}

#define TAIL(sequence, more)                                                             \
    ",\"event.sequence\":" #sequence                                                     \
    ",\"proxy.chain_id\":\"0123456789abcdef0123456789abcdef\"" more                      \
    ",\"proxy.prev_hash\":\"00112233445566778899aabbccddeeff"                            \
    "00112233445566778899aabbccddeeff\"}\n"

/* A line that says its own sequence; the first of a file with what was open then. */
#define LINE(sequence) "{\"n\":\"" #sequence "\"" TAIL(sequence, "")
#define FIRST(sequence, open)                                                            \
    "{\"n\":\"" #sequence "\"" TAIL(sequence, ",\"proxy.trail.oldest_open\":" #open)
#define RESUMED(sequence, suspect)                                                       \
    "{\"n\":\"r" #sequence "\",\"proxy.phase\":\"trail\",\"event.action\":"              \
    "\"trail.resumed\",\"proxy.trail.suspect_file\":\"" suspect "\"" TAIL(sequence, "")

static const char *path_of(const char *name)
{
    static char paths[2][512];
    static int next;
    char *path = paths[next++ % 2];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder.path, name);
    return path;
}

static void append(const char *name, const char *bytes)
{
    FILE *file = fopen(path_of(name), "a");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(bytes, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void move(const char *from, const char *to)
{
    ck_assert_int_eq(rename(path_of(from), path_of(to)), 0);
}

/* The lines up to the end, as "1 2 3". */
static void must_give(struct audit_walk *trail, const char *wanted)
{
    struct audit_walk_line line;
    struct text got = {0};
    struct span n;
    struct error error;
    enum audit_walk_read read;

    text_add(&got, SPAN(""));
    while ((read = audit_walk_next(trail, &line, &error)) == AUDIT_WALK_LINE) {
        ck_assert(audit_line_find_string(line.text, SPAN("n"), &n));
        text_add_format(&got, "%s%.*s", got.len > 0 ? " " : "", (int)n.len, n.at);
    }
    ck_assert_msg(read == AUDIT_WALK_END, "%s", error.text);
    ck_assert_str_eq(got.bytes, wanted);
    text_fini(&got);
}

static struct audit_walk *open_trail(void)
{
    struct error error;
    struct audit_walk *trail = audit_walk_open(folder.path, &error);

    ck_assert_msg(trail != NULL, "%s", error.text);
    return trail;
}

static void must_begin(size_t files, uint64_t from, const char *wanted)
{
    struct error error;
    uint64_t found;
    struct audit_walk *trail = audit_walk_open_last(folder.path, files, &found, &error);

    ck_assert_msg(trail != NULL, "%s", error.text);
    ck_assert_uint_eq(found, from);
    must_give(trail, wanted);
    audit_walk_close(trail);
}

START_TEST(all_files_are_read_in_order)
{
    struct audit_walk *trail;

    append("audit.jsonl", FIRST(5, 5) LINE(6));
    append("audit-000000000001.jsonl", FIRST(1, 1) LINE(2));
    append("audit.jsonl.1", FIRST(3, 3) LINE(4));
    append("other.jsonl", LINE(9));
    trail = open_trail();
    must_give(trail, "1 2 3 4 5 6");
    must_give(trail, "");
    audit_walk_close(trail);
}
END_TEST

START_TEST(what_is_written_later_is_read_later)
{
    struct audit_walk *trail = open_trail();

    must_give(trail, "");
    append("audit.jsonl", "");
    must_give(trail, "");
    append("audit.jsonl", FIRST(1, 1));
    must_give(trail, "1");
    append("audit.jsonl", "{\"n\":\"2\"");
    must_give(trail, "");
    ck_assert(audit_walk_has_torn_end(trail));
    append("audit.jsonl", TAIL(2, "") LINE(3));
    must_give(trail, "2 3");
    ck_assert(!audit_walk_has_torn_end(trail));
    audit_walk_close(trail);
}
END_TEST

START_TEST(rotations_are_followed_and_no_line_is_lost)
{
    struct audit_walk *trail;

    append("audit.jsonl", FIRST(1, 1));
    trail = open_trail();
    must_give(trail, "1");
    append("audit.jsonl", LINE(2));
    move("audit.jsonl", "audit-000000000001.jsonl");
    must_give(trail, "2");
    append("audit.jsonl", "");
    must_give(trail, "");
    append("audit.jsonl", FIRST(3, 3));
    move("audit.jsonl", "audit-000000000003.jsonl");
    append("audit.jsonl", FIRST(4, 4));
    must_give(trail, "3 4");
    audit_walk_close(trail);
}
END_TEST

START_TEST(a_file_that_is_deleted_is_read_to_its_end)
{
    struct audit_walk *trail;

    append("audit.jsonl", FIRST(1, 1));
    trail = open_trail();
    must_give(trail, "1");
    append("audit.jsonl", LINE(2));
    ck_assert_int_eq(unlink(path_of("audit.jsonl")), 0);
    must_give(trail, "2");
    append("audit.jsonl", FIRST(3, 3));
    must_give(trail, "3");
    audit_walk_close(trail);
}
END_TEST

START_TEST(a_trail_that_was_begun_anew_is_followed)
{
    struct audit_walk *trail;

    append("audit.jsonl", FIRST(1, 1) LINE(2));
    trail = open_trail();
    must_give(trail, "1 2");
    ck_assert_int_eq(unlink(path_of("audit.jsonl")), 0);
    append("audit.jsonl", FIRST(1, 1));
    must_give(trail, "1");
    audit_walk_close(trail);
}
END_TEST

START_TEST(superseded_lines_are_left_out)
{
    struct audit_walk *trail;

    append("audit-000000000001.jsonl", FIRST(1, 1) LINE(2) LINE(3) LINE(4) "{\"n\":");
    append("audit.jsonl", RESUMED(3, "audit-000000000001.jsonl") LINE(4) LINE(5));
    trail = open_trail();
    must_give(trail, "1 2 r3 4 5");
    ck_assert(!audit_walk_has_torn_end(trail));
    audit_walk_close(trail);
}
END_TEST

START_TEST(a_file_that_resumes_is_followed)
{
    struct audit_walk *trail;

    append("audit.jsonl", FIRST(1, 1) LINE(2) LINE(3));
    trail = open_trail();
    must_give(trail, "1 2 3");
    move("audit.jsonl", "audit-000000000001.jsonl");
    append("audit.jsonl", RESUMED(2, "audit-000000000001.jsonl") LINE(3));
    must_give(trail, "r2 3");
    move("audit.jsonl", "audit-000000000002.jsonl");
    append("audit.jsonl", RESUMED(2, "audit-000000000002.jsonl") LINE(3));
    must_give(trail, "r2 3");
    audit_walk_close(trail);
}
END_TEST

START_TEST(the_last_files_alone_can_be_read)
{
    append("audit-000000000001.jsonl", FIRST(1, 1) LINE(2));
    append("audit-000000000003.jsonl", FIRST(3, 3) LINE(4));
    append("audit.jsonl", FIRST(5, 5) LINE(6));
    must_begin(1, 5, "5 6");
    must_begin(2, 3, "3 4 5 6");
    must_begin(3, 1, "1 2 3 4 5 6");
    must_begin(100, 1, "1 2 3 4 5 6");
}
END_TEST

START_TEST(the_last_files_hold_the_intents_of_their_results)
{
    append("audit-000000000001.jsonl", FIRST(1, 1) LINE(2));
    append("audit-000000000003.jsonl", FIRST(3, 1) LINE(4));
    append("audit.jsonl", FIRST(5, 4) LINE(6));
    must_begin(1, 5, "3 4 5 6");
    must_begin(2, 3, "1 2 3 4 5 6");
}
END_TEST

START_TEST(an_empty_folder_has_no_lines)
{
    must_begin(1, 1, "");
    append("audit.jsonl", "");
    must_begin(1, 1, "");
}
END_TEST

START_TEST(a_file_that_begins_with_no_record_is_said)
{
    struct audit_walk *trail;
    struct error error;

    append("audit-1.jsonl", "rubbish\n");
    append("audit.jsonl", FIRST(1, 1));
    trail = open_trail();
    must_give(trail, "1");
    ck_assert(audit_walk_has_fault(trail, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "audit-1.jsonl:1: "));
    audit_walk_close(trail);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_an_error)
{
    struct error error;

    ck_assert_ptr_null(audit_walk_open(path_of("nowhere"), &error));
    ck_assert_ptr_nonnull(strstr(error.text, "nowhere"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/walk");
    TCase *read = suite_case(suite, "read"), *follow = suite_case(suite, "follow");
    TCase *last = suite_case(suite, "last files");

    tcase_add_checked_fixture(read, make_folder, remove_folder);
    tcase_add_test(read, all_files_are_read_in_order);
    tcase_add_test(read, superseded_lines_are_left_out);
    tcase_add_test(read, a_file_that_begins_with_no_record_is_said);
    tcase_add_test(read, a_folder_that_is_not_there_is_an_error);
    tcase_add_checked_fixture(follow, make_folder, remove_folder);
    tcase_add_test(follow, what_is_written_later_is_read_later);
    tcase_add_test(follow, rotations_are_followed_and_no_line_is_lost);
    tcase_add_test(follow, a_file_that_is_deleted_is_read_to_its_end);
    tcase_add_test(follow, a_trail_that_was_begun_anew_is_followed);
    tcase_add_test(follow, a_file_that_resumes_is_followed);
    tcase_add_checked_fixture(last, make_folder, remove_folder);
    tcase_add_test(last, the_last_files_alone_can_be_read);
    tcase_add_test(last, the_last_files_hold_the_intents_of_their_results);
    tcase_add_test(last, an_empty_folder_has_no_lines);
    return run_suite_in_folder(suite);
}
