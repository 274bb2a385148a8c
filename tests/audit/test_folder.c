#include "audit/folder.h"

#include "base/text.h"
#include "support/folder.h"

#define TAIL                                                                             \
    ",\"proxy.chain_id\":\"0123456789abcdef0123456789abcdef\",\"proxy.prev_hash\":\""    \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}\n"

static struct folder folder;

static void make_folder(void)
{
    folder_make(&folder);
}

static void remove_folder(void)
{
    folder_remove(&folder);
}

static void write_trail(const char *name, unsigned first, const char *suspect)
{
    struct text line = {0};

    text_add(&line, SPAN("{\"proxy.phase\":\"trail\""));
    if (suspect != NULL)
        text_add_format(
            &line,
            ",\"event.action\":\"trail.resumed\",\"proxy.trail.suspect_file\":\"%s\"",
            suspect);
    text_add_format(&line, ",\"event.sequence\":%u" TAIL, first);
    (void)folder_write(&folder, name, span_make(line.bytes, line.len), 0600);
    text_fini(&line);
}

/* The list as "name:first[c][<superseded_from] …" */
static void must_be(const char *wanted)
{
    struct audit_folder files;
    struct text got = {0};
    struct error error;

    ck_assert_msg(audit_folder_list(folder.path, &files, &error), "%s", error.text);
    for (size_t i = 0; i < files.count; i++) {
        const struct audit_file *file = &files.files[i];

        text_add_format(&got, "%s%s:%u%s", i > 0 ? " " : "", file->name,
                        (unsigned)file->first, file->is_copy ? "c" : "");
        if (file->superseded_from != 0)
            text_add_format(&got, "<%u", (unsigned)file->superseded_from);
        ck_assert(file->is_current == (strcmp(file->name, "audit.jsonl") == 0));
    }
    ck_assert_str_eq(got.bytes != NULL ? got.bytes : "", wanted);
    text_fini(&got);
    audit_folder_fini(&files);
}

START_TEST(files_stand_in_the_order_of_their_sequences)
{
    write_trail("audit.jsonl", 900, NULL);
    write_trail("audit-000000000001.jsonl", 1, NULL);
    write_trail("audit.jsonl.1", 1000, NULL);
    write_trail("audit-a.jsonl", 80, NULL);
    must_be(
        "audit-000000000001.jsonl:1 audit-a.jsonl:80 audit.jsonl:900 audit.jsonl.1:1000");
}
END_TEST

START_TEST(what_is_no_trail_file_is_left_out)
{
    write_trail("audit-000000000007.torn", 7, NULL);
    write_trail("notaudit.jsonl", 7, NULL);
    write_trail("audit-signing-key.pem", 7, NULL);
    ck_assert_int_eq(mkdir(folder_entry(&folder, "audit-1.jsonl"), 0700), 0);
    ck_assert_int_eq(symlink(folder_entry(&folder, "notaudit.jsonl"),
                             folder_entry(&folder, "audit-2.jsonl")),
                     0);
    must_be("");
}
END_TEST

START_TEST(a_file_without_a_whole_record_stands_last)
{
    struct audit_folder files;
    struct error error;

    write_trail("audit.jsonl", 5, NULL);
    (void)folder_write(&folder, "audit-1.jsonl", SPAN(""), 0600);
    (void)folder_write(&folder, "audit-2.jsonl", SPAN("{\"torn\":"), 0600);
    (void)folder_write(&folder, "audit-3.jsonl", SPAN("rubbish\n"), 0600);
    must_be("audit.jsonl:5 audit-1.jsonl:0 audit-2.jsonl:0 audit-3.jsonl:0");
    ck_assert(audit_folder_list(folder.path, &files, &error));
    ck_assert(files.files[1].is_empty && files.files[1].fault == NULL);
    ck_assert(!files.files[2].is_empty && files.files[2].fault == NULL);
    ck_assert(!files.files[3].is_empty && files.files[3].fault != NULL);
    audit_folder_fini(&files);
}
END_TEST

START_TEST(a_compressed_file_beside_its_original_is_a_copy)
{
    write_trail("audit-1.jsonl", 1, NULL);
    write_trail("audit-1.jsonl.gz", 1,
                NULL); /* read by content, so a plain one will do */
    write_trail("audit-2.jsonl", 2, NULL);
    (void)folder_write(&folder, "audit-2.jsonl.gz", SPAN("\x1f\x8b\x08"), 0600);
    (void)folder_write(&folder, "audit-3.jsonl.zst", SPAN("\x28\xb5\x2f\xfd"), 0600);
    must_be("audit-1.jsonl:1 audit-1.jsonl.gz:1c audit-2.jsonl:2 audit-2.jsonl.gz:2c "
            "audit-3.jsonl.zst:0");
}
END_TEST

START_TEST(a_resumed_file_supersedes_the_end_of_its_suspect)
{
    write_trail("audit-1.jsonl.gz", 1, NULL);
    write_trail("audit-b.jsonl", 12, "audit-1.jsonl");
    write_trail("audit-a.jsonl", 12, "audit-b.jsonl");
    write_trail("audit.jsonl", 20, "audit-a.jsonl");
    must_be(
        "audit-1.jsonl.gz:1<12 audit-b.jsonl:12<12 audit-a.jsonl:12<20 audit.jsonl:20");
}
END_TEST

START_TEST(suspects_that_name_each_other_end)
{
    write_trail("audit-a.jsonl", 3, "audit-b.jsonl");
    write_trail("audit-b.jsonl", 3, "audit-a.jsonl");
    write_trail("audit-c.jsonl", 3, "audit-c.jsonl");
    must_be("audit-c.jsonl:3 audit-a.jsonl:3<3 audit-b.jsonl:3c<3");
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_an_error)
{
    struct audit_folder files;
    struct error error;

    ck_assert(!audit_folder_list(folder_entry(&folder, "gone"), &files, &error));
    ck_assert_ptr_null(files.files);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/folder");
    TCase *files = suite_case(suite, "files");

    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, files_stand_in_the_order_of_their_sequences);
    tcase_add_test(files, what_is_no_trail_file_is_left_out);
    tcase_add_test(files, a_file_without_a_whole_record_stands_last);
    tcase_add_test(files, a_compressed_file_beside_its_original_is_a_copy);
    tcase_add_test(files, a_resumed_file_supersedes_the_end_of_its_suspect);
    tcase_add_test(files, suspects_that_name_each_other_end);
    tcase_add_test(files, a_folder_that_is_not_there_is_an_error);
    return run_suite_in_folder(suite);
}
