/*
 * One thing at a time is done to the sample trail: each byte is changed, each line
 * removed, doubled or swapped, each file removed or cut at each byte. All of it must be
 * found, but for what FORMAT and audit/verify.h say that only a checkpoint finds, or
 * nothing.
 */
#include "audit/verify.h"

#include "base/file.h"
#include "base/text.h"
#include "sample.h"

static const char *const names[] = {"audit-a.jsonl", "audit-b.jsonl", "audit-c.jsonl",
                                    "audit-d.jsonl", "audit.jsonl"};

enum { SUSPECT = 1, FILES = 5, LAST = FILES - 1, MOST_LINES = 32 };

/* One file: its bytes and where its lines begin; lines[count] is its end. */
struct copy {
    struct text bytes;
    size_t lines[MOST_LINES + 1];
    size_t count;   /* whole lines; a torn one follows them in the suspect */
    size_t counted; /* of them, those of the chain */
    const char *path;
};

static struct sample sample;
static struct copy copies[FILES];
static struct audit_checkpoint held; /* of the last record */

static void read_copy(struct copy *copy, const char *name)
{
    struct error error;
    size_t at = 0;

    *copy = (struct copy){.path = folder_entry(&sample.folder, name)};
    ck_assert(file_read(copy->path, FILE_PUBLIC, &copy->bytes, &error));
    for (const char *end;
         (end = memchr(copy->bytes.bytes + at, '\n', copy->bytes.len - at)) != NULL;) {
        at = (size_t)(end - copy->bytes.bytes) + 1;
        copy->lines[++copy->count] = at;
    }
    copy->counted = copy->count;
}

static void make_sample(void)
{
    sample_make(&sample);
    sample_hold(&sample, &held);
    for (int i = 0; i < FILES; i++)
        read_copy(&copies[i], names[i]);
    ck_assert_uint_eq(copies[SUSPECT].count, 17);
    copies[SUSPECT].counted = 13;
}

static void remove_sample(void)
{
    for (int i = 0; i < FILES; i++)
        text_fini(&copies[i].bytes);
    sample_fini(&sample);
}

static bool verify(bool is_held, struct audit_verdict *verdict)
{
    struct error error = {{0}};
    bool is_intact = audit_verify(
        &(struct audit_verify_request){
            .folder = sample.folder.path, .held = &held, .held_count = is_held ? 1 : 0},
        verdict, &error);

    ck_assert(is_intact || error.text[0] != '\0');
    return is_intact;
}

static void must_be_found(bool is_held, const char *what, int file, size_t where)
{
    struct audit_verdict verdict;

    ck_assert_msg(!verify(is_held, &verdict), "%s: %s at %zu is not found", what,
                  names[file], where);
}

static void must_be_intact(const char *what, int file, size_t where)
{
    struct audit_verdict verdict;

    ck_assert_msg(verify(false, &verdict), "%s: %s at %zu is held against it", what,
                  names[file], where);
}

static void write_file(int file, struct span first, struct span second, struct span third)
{
    FILE *out = fopen(copies[file].path, "w");

    ck_assert_ptr_nonnull(out);
    (void)fwrite(first.at, 1, first.len, out);
    (void)fwrite(second.at, 1, second.len, out);
    (void)fwrite(third.at, 1, third.len, out);
    ck_assert_int_eq(fclose(out), 0);
}

/* Bytes of a file, and whole lines of it, from one to before another. */
static struct span bytes_of(int file, size_t from, size_t to)
{
    return span_make(copies[file].bytes.bytes + from, to - from);
}

static struct span lines_of(int file, size_t from, size_t to)
{
    return bytes_of(file, copies[file].lines[from], copies[file].lines[to]);
}

static struct span rest_of(int file, size_t line)
{
    return bytes_of(file, copies[file].lines[line], copies[file].bytes.len);
}

static void restore(int file)
{
    write_file(file, rest_of(file, 0), SPAN(""), SPAN(""));
}

START_TEST(the_sample_is_intact)
{
    struct audit_verdict verdict;

    ck_assert(verify(true, &verdict));
    ck_assert_uint_eq(verdict.records, SAMPLE_RECORDS);
    ck_assert_uint_eq(verdict.mutations, SAMPLE_MUTATIONS);
    ck_assert_uint_eq(verdict.unfinished, SAMPLE_UNFINISHED);
    ck_assert_uint_eq(verdict.checkpoints, 4);
    ck_assert_uint_eq(verdict.held, 1);
    ck_assert(!verdict.is_incomplete && !verdict.is_repeating);
}
END_TEST

/* What nothing shows: a torn line, and the "\n" without which its neighbour is torn too.
 */
static bool is_torn(int file, size_t at)
{
    return file == SUSPECT && at >= copies[SUSPECT].lines[copies[SUSPECT].count] - 1;
}

static size_t line_of(int file, size_t at)
{
    size_t line = 0;

    while (line < copies[file].count && copies[file].lines[line + 1] <= at)
        line++;
    return line;
}

/*
 * Where a change may be said to be at another line: a first line's makes another order of
 * files, an end's another line, the last superseded line and the last repeat have no line
 * of their kind after them that could tell which of two was changed.
 */
static bool is_vague(int file, size_t line, size_t at)
{
    return line == 0 || at + 1 == copies[file].lines[line + 1] ||
           (file == SUSPECT && line + 1 == copies[file].count) ||
           (file == SUSPECT + 1 && line == 3);
}

static void must_be_found_there(int file, size_t at)
{
    struct audit_verdict verdict;
    size_t line = line_of(file, at);
    char wanted[512];

    ck_assert_msg(!verify(false, &verdict), "%s at %zu is not found", names[file], at);
    (void)snprintf(wanted, sizeof(wanted), "%s:%zu", copies[file].path, line + 1);
    ck_assert_msg(strcmp(verdict.place, wanted) == 0 || is_vague(file, line, at),
                  "%s at %zu is found at %s", wanted, at, verdict.place);
}

static const char flips[] = {'\x01', '\x20', '\x80', '\x07'};

/* Every byte is changed in one way, and every third in each of the others. */
START_TEST(every_changed_byte_is_found)
{
    size_t first = _i == 0 ? 0 : (size_t)_i - 1, step = _i == 0 ? 1 : 3;

    for (int file = 0; file < FILES; file++) {
        const struct copy *copy = &copies[file];
        int fd = open(copy->path, O_WRONLY | O_CLOEXEC);

        for (size_t at = first; at < copy->bytes.len; at += step) {
            char changed = copy->bytes.bytes[at] ^ flips[_i];
            bool is_last = file == LAST && at >= copy->lines[copy->count - 1];

            ck_assert_int_eq(pwrite(fd, &changed, 1, (off_t)at), 1);
            if (is_torn(file, at))
                (void)0; /* may be anything */
            else if (is_last)
                must_be_found(true, "change", file, at);
            else
                must_be_found_there(file, at);
            ck_assert_int_eq(pwrite(fd, copy->bytes.bytes + at, 1, (off_t)at), 1);
        }
        ck_assert_int_eq(close(fd), 0);
    }
}
END_TEST

START_TEST(every_removed_line_is_found)
{
    for (int file = 0; file < FILES; file++) {
        for (size_t i = 0; i < copies[file].count; i++) {
            bool is_end = i + 1 == copies[file].count;

            write_file(file, lines_of(file, 0, i), rest_of(file, i + 1), SPAN(""));
            if (file == SUSPECT && is_end)
                must_be_intact("removal", file, i); /* its repeat is there */
            else
                must_be_found(file == LAST && is_end, "removal", file, i);
        }
        restore(file);
    }
}
END_TEST

START_TEST(every_doubled_line_is_found)
{
    for (int file = 0; file < FILES; file++) {
        for (size_t i = 0; i < copies[file].count; i++) {
            write_file(file, lines_of(file, 0, i + 1), rest_of(file, i), SPAN(""));
            must_be_found(false, "doubling", file, i);
            if (i == 0)
                continue;
            write_file(file, lines_of(file, 0, i), lines_of(file, 0, 1),
                       rest_of(file, i));
            must_be_found(false, "insertion", file, i);
        }
        restore(file);
    }
}
END_TEST

START_TEST(every_two_swapped_lines_are_found)
{
    for (int file = 0; file < FILES; file++) {
        for (size_t i = 0; i + 1 < copies[file].count; i++) {
            struct text swapped = {0};

            text_add(&swapped, lines_of(file, i + 1, i + 2));
            text_add(&swapped, lines_of(file, i, i + 1));
            write_file(file, lines_of(file, 0, i), span_make(swapped.bytes, swapped.len),
                       rest_of(file, i + 2));
            must_be_found(false, "swapping", file, i);
            text_fini(&swapped);
        }
        restore(file);
    }
}
END_TEST

START_TEST(every_cut_off_end_of_a_file_is_found)
{
    for (int file = 0; file < LAST; file++) {
        size_t superseded = copies[file].lines[copies[file].counted];

        for (size_t len = 0; len < copies[file].bytes.len; len++) {
            ck_assert_int_eq(truncate(copies[file].path, 0), 0);
            write_file(file, bytes_of(file, 0, len), SPAN(""), SPAN(""));
            if (file == SUSPECT && len >= superseded)
                must_be_intact("cutting", file, len);
            else
                must_be_found(false, "cutting", file, len);
        }
        restore(file);
    }
}
END_TEST

/* The end of the trail: cut between lines nothing but a checkpoint finds it. */
START_TEST(a_cut_off_end_of_the_trail_is_found_by_a_checkpoint)
{
    const struct copy *copy = &copies[LAST];

    for (size_t len = 0; len < copy->bytes.len; len++) {
        struct audit_verdict verdict;
        size_t line = line_of(LAST, len);

        write_file(LAST, bytes_of(LAST, 0, len), SPAN(""), SPAN(""));
        ck_assert(verify(false, &verdict));
        ck_assert_uint_eq(verdict.records, SAMPLE_RECORDS - copy->count + line);
        ck_assert(verdict.is_incomplete == (len != copy->lines[line]));
        must_be_found(true, "cutting", LAST, len);
    }
    restore(LAST);
}
END_TEST

START_TEST(every_removed_file_is_found)
{
    for (int file = 0; file < FILES; file++) {
        ck_assert_int_eq(unlink(copies[file].path), 0);
        must_be_found(file == LAST, "removing", file, 0);
        restore(file);
    }
}
END_TEST

START_TEST(names_do_not_matter_but_the_suspects)
{
    struct audit_verdict verdict;

    for (int file = 0; file < FILES; file++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "audit-%c.jsonl.%d", 'z' - file, file);
        ck_assert_int_eq(rename(copies[file].path, folder_entry(&sample.folder, name)),
                         0);
        ck_assert(verify(true, &verdict) == (file != SUSPECT));
        if (file == SUSPECT)
            ck_assert_int_eq(
                rename(folder_entry(&sample.folder, name), copies[file].path), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/verify mutations");
    TCase *tcase = suite_case(suite, "mutations");

    tcase_add_checked_fixture(tcase, make_sample, remove_sample);
    tcase_add_test(tcase, the_sample_is_intact);
    tcase_add_loop_test(tcase, every_changed_byte_is_found, 0, ROWS(flips));
    tcase_add_test(tcase, every_removed_line_is_found);
    tcase_add_test(tcase, every_doubled_line_is_found);
    tcase_add_test(tcase, every_two_swapped_lines_are_found);
    tcase_add_test(tcase, every_cut_off_end_of_a_file_is_found);
    tcase_add_test(tcase, a_cut_off_end_of_the_trail_is_found_by_a_checkpoint);
    tcase_add_test(tcase, every_removed_file_is_found);
    tcase_add_test(tcase, names_do_not_matter_but_the_suspects);
    return run_suite_in_folder(suite);
}
