#include "audit/reader.h"

#include <zlib.h>
#include <zstd.h>

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

enum form { PLAIN, GZIP, ZSTD, FORMS };

static void pack_gzip(struct text *out, struct span content)
{
    static unsigned char room[4 << 20];
    z_stream stream = {0};

    ck_assert_int_eq(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, 0), Z_OK);
    stream.next_in = (unsigned char *)(uintptr_t)content.at;
    stream.avail_in = (unsigned)content.len;
    stream.next_out = room;
    stream.avail_out = sizeof(room);
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    text_add(out, span_make((char *)room, stream.total_out));
    (void)deflateEnd(&stream);
}

static void pack_zstd(struct text *out, struct span content)
{
    static char room[4 << 20];
    size_t len = ZSTD_compress(room, sizeof(room), content.at, content.len, 3);

    ck_assert(!ZSTD_isError(len));
    text_add(out, span_make(room, len));
}

static void pack(struct text *out, enum form form, struct span content)
{
    if (form == PLAIN)
        text_add(out, content);
    else if (form == GZIP)
        pack_gzip(out, content);
    else
        pack_zstd(out, content);
}

/* The content in one piece, or split into two members or frames. */
static struct audit_reader *open_with(enum form form, struct span content, size_t split)
{
    struct text packed = {0};
    struct error error;
    struct audit_reader *reader;
    const char *path;

    if (split > 0)
        pack(&packed, form, span_make(content.at, split));
    pack(&packed, form, span_make(content.at + split, content.len - split));
    path = folder_write(&folder, "lines", span_make(packed.bytes, packed.len), 0600);
    text_fini(&packed);
    reader = audit_reader_open(path, &error);
    ck_assert_msg(reader != NULL, "%s", error.text);
    ck_assert(audit_reader_is_compressed(reader) == (form != PLAIN));
    return reader;
}

static void must_give(struct audit_reader *reader, struct span text, uint64_t number,
                      uint64_t offset, bool is_whole)
{
    struct audit_read_line line;
    struct error error = {{0}};

    ck_assert_msg(audit_reader_next(reader, &line, &error) == AUDIT_READ_LINE, "%s",
                  error.text);
    assert_span_is(line.text, text, "the line");
    ck_assert_uint_eq(line.number, number);
    ck_assert_uint_eq(line.offset, offset);
    ck_assert(line.is_whole == is_whole);
    ck_assert_uint_eq(audit_reader_line(reader), number);
}

static void must_answer(struct audit_reader *reader, enum audit_read wanted)
{
    struct audit_read_line line;
    struct error error;

    ck_assert_int_eq(audit_reader_next(reader, &line, &error), wanted);
}

START_TEST(lines_come_one_after_another)
{
    struct span content = SPAN("one\n\nthree\r\nfo\0ur\nrest");

    for (size_t split = 0; split < content.len; split++) {
        struct audit_reader *reader = open_with((enum form)_i, content, split);

        must_give(reader, SPAN("one"), 1, 0, true);
        must_give(reader, SPAN(""), 2, 4, true);
        must_give(reader, SPAN("three\r"), 3, 5, true);
        must_give(reader, SPAN("fo\0ur"), 4, 12, true);
        must_give(reader, SPAN("rest"), 5, 18, false);
        must_answer(reader, AUDIT_READ_END);
        must_answer(reader, AUDIT_READ_END);
        audit_reader_close(reader);
    }
}
END_TEST

START_TEST(an_empty_file_has_no_line)
{
    struct audit_reader *reader = open_with((enum form)_i, SPAN(""), 0);

    must_answer(reader, AUDIT_READ_END);
    audit_reader_close(reader);
}
END_TEST

/* Lines of every length around the buffer's sizes, each told from the others. */
START_TEST(long_and_many_lines_come_whole)
{
    static const size_t lengths[] = {
        65534, 65535, 65536, 65537, 131071, 1, 0, AUDIT_LINE_MAX_BYTES, 3};
    struct text content = {0};
    struct audit_reader *reader;
    uint64_t offset = 0;

    for (int i = 0; i < ROWS(lengths); i++) {
        for (size_t j = 0; j < lengths[i]; j++)
            text_add_byte(&content, (char)('a' + (j * 7 + (size_t)i) % 26));
        text_add_byte(&content, '\n');
    }
    reader = open_with((enum form)_i, span_make(content.bytes, content.len), 70000);
    for (int i = 0; i < ROWS(lengths); i++) {
        must_give(reader, span_make(content.bytes + offset, lengths[i]), (uint64_t)i + 1,
                  offset, true);
        offset += lengths[i] + 1;
    }
    must_answer(reader, AUDIT_READ_END);
    audit_reader_close(reader);
    text_fini(&content);
}
END_TEST

START_TEST(a_line_has_a_bound)
{
    struct text content = {0};
    struct audit_reader *reader;

    text_add(&content, SPAN("first\n"));
    for (size_t i = 0; i <= AUDIT_LINE_MAX_BYTES; i++)
        text_add_byte(&content, 'x');
    text_add_byte(&content, '\n');
    reader = open_with((enum form)_i, span_make(content.bytes, content.len), 0);
    must_give(reader, SPAN("first"), 1, 0, true);
    must_answer(reader, AUDIT_READ_FAILED);
    ck_assert_uint_eq(audit_reader_line(reader), 2);
    audit_reader_close(reader);
    text_fini(&content);
}
END_TEST

START_TEST(a_file_that_grows_is_read_on)
{
    const char *path = folder_write(&folder, "lines", SPAN("one\ntw"), 0600);
    struct error error;
    struct audit_reader *reader = audit_reader_open(path, &error);
    FILE *file = fopen(path, "a");

    ck_assert(reader != NULL && file != NULL);
    must_give(reader, SPAN("one"), 1, 0, true);
    must_give(reader, SPAN("tw"), 2, 4, false);
    must_answer(reader, AUDIT_READ_END);
    ck_assert_int_ge(fputs("o", file), 0);
    ck_assert_int_eq(fflush(file), 0);
    must_give(reader, SPAN("two"), 2, 4, false);
    ck_assert_int_ge(fputs("\nthree\n", file), 0);
    ck_assert_int_eq(fflush(file), 0);
    must_give(reader, SPAN("two"), 2, 4, true);
    must_give(reader, SPAN("three"), 3, 8, true);
    must_answer(reader, AUDIT_READ_END);
    (void)fclose(file);
    audit_reader_close(reader);
}
END_TEST

/* What of a compressed file is there is read; then it is said to stop, or to be damaged.
 */
START_TEST(a_compressed_file_cut_short_is_told_from_a_whole_one)
{
    struct text packed = {0};
    struct span content = SPAN("one\ntwo\nthree\n");

    pack(&packed, (enum form)_i, content);
    for (size_t len = MAX_WBITS; len < packed.len; len++) {
        const char *path =
            folder_write(&folder, "lines", span_make(packed.bytes, len), 0600);
        enum audit_read answer = AUDIT_READ_LINE;
        struct audit_read_line line;
        struct error error;
        struct audit_reader *reader = audit_reader_open(path, &error);

        ck_assert_ptr_nonnull(reader);
        while (answer == AUDIT_READ_LINE)
            answer = audit_reader_next(reader, &line, &error);
        ck_assert_int_eq(answer, AUDIT_READ_SHORT);
        audit_reader_close(reader);
    }
    text_fini(&packed);
}
END_TEST

START_TEST(a_compressed_file_with_a_changed_byte_fails_or_reads_the_same)
{
    struct text packed = {0};
    struct span content = SPAN("one\ntwo\nthree\n");

    pack(&packed, GZIP, content);
    text_add(&packed, SPAN("garbage"));
    for (size_t i = 2; i < packed.len; i++) {
        struct text got = {0};
        enum audit_read answer = AUDIT_READ_LINE;
        struct audit_read_line line;
        struct error error;
        struct audit_reader *reader;

        packed.bytes[i] ^= 0x10;
        reader = audit_reader_open(
            folder_write(&folder, "lines", span_make(packed.bytes, packed.len), 0600),
            &error);
        ck_assert_ptr_nonnull(reader);
        while ((answer = audit_reader_next(reader, &line, &error)) == AUDIT_READ_LINE)
            text_add(&got, line.text);
        ck_assert_int_ne(answer, AUDIT_READ_END); /* there is garbage at the end */
        audit_reader_close(reader);
        text_fini(&got);
        packed.bytes[i] ^= 0x10;
    }
    text_fini(&packed);
}
END_TEST

START_TEST(only_regular_files_are_opened)
{
    const char *link = folder_entry(&folder, "link");
    struct error error;

    ck_assert_int_eq(symlink(folder_write(&folder, "lines", SPAN("x\n"), 0600), link), 0);
    ck_assert_ptr_null(audit_reader_open(link, &error));
    ck_assert_ptr_null(audit_reader_open(folder.path, &error));
    ck_assert_ptr_null(audit_reader_open(folder_entry(&folder, "gone"), &error));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/reader");
    TCase *lines = suite_case(suite, "lines");

    tcase_add_checked_fixture(lines, make_folder, remove_folder);
    tcase_add_loop_test(lines, lines_come_one_after_another, 0, FORMS);
    tcase_add_loop_test(lines, an_empty_file_has_no_line, 0, FORMS);
    tcase_add_loop_test(lines, long_and_many_lines_come_whole, 0, FORMS);
    tcase_add_loop_test(lines, a_line_has_a_bound, 0, FORMS);
    tcase_add_test(lines, a_file_that_grows_is_read_on);
    tcase_add_loop_test(lines, a_compressed_file_cut_short_is_told_from_a_whole_one, GZIP,
                        FORMS);
    tcase_add_test(lines, a_compressed_file_with_a_changed_byte_fails_or_reads_the_same);
    tcase_add_test(lines, only_regular_files_are_opened);
    return run_suite_in_folder(suite);
}
