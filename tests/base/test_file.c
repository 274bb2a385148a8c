#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/file.h"
#include "support/folder.h"
#include "support/suite.h"

static struct folder folder;

static void make_folder(void)
{
    folder_make(&folder);
}

static void remove_folder(void)
{
    folder_remove(&folder);
}

static const size_t lengths[] = {0, 1, 16383, 16384, 16385, 100000};

START_TEST(a_file_is_read_whole_and_appended)
{
    size_t len = lengths[_i];
    char *content = malloc(len + 1);
    struct text text = {0};
    struct error error = {{0}};
    const char *path;

    for (size_t i = 0; i < len; i++)
        content[i] = (char)(i * 7);
    path = folder_write(&folder, "file", span_make(content, len), 0644);
    text_add(&text, SPAN("before"));
    ck_assert_msg(file_read(path, FILE_PUBLIC, &text, &error), "%s", error.text);
    ck_assert_uint_eq(text.len, 6 + len);
    ck_assert_int_eq(memcmp(text.bytes, "before", 6), 0);
    ck_assert(len == 0 || memcmp(text.bytes + 6, content, len) == 0);
    text_fini(&text);
    free(content);
}
END_TEST

static void assert_refused(const char *path, enum file_privacy privacy, const char *word)
{
    struct text text = {0};
    struct error error = {{0}};

    ck_assert(!file_read(path, privacy, &text, &error));
    ck_assert_msg(strstr(error.text, path) != NULL, "no path in '%s'", error.text);
    ck_assert_msg(strstr(error.text, word) != NULL, "no '%s' in '%s'", word, error.text);
    text_fini(&text);
}

START_TEST(what_is_no_regular_file_is_refused)
{
    assert_refused(folder_entry(&folder, "absent"), FILE_PUBLIC, "No such file");
    assert_refused(folder.path, FILE_PUBLIC, "not a regular file");
    assert_refused("/dev/zero", FILE_PUBLIC, "not a regular file");
}
END_TEST

/* In a child, so that a read that waits for a writer ends with it. */
START_TEST(a_pipe_is_refused_without_waiting_for_its_writer)
{
    const char *path = folder_entry(&folder, "pipe");
    pid_t child;
    int status;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct text text = {0};
        struct error error;

        (void)signal(SIGALRM, SIG_DFL);
        (void)alarm(10);
        _exit(file_read(path, FILE_PUBLIC, &text, &error) ? 1 : 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "the reader hung");
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(a_file_larger_than_the_limit_is_refused)
{
    const char *path = folder_write(&folder, "large", SPAN("x"), 0600);

    ck_assert_int_eq(truncate(path, (off_t)FILE_MAX_BYTES + 1), 0);
    assert_refused(path, FILE_PUBLIC, "larger than 64 MiB");
}
END_TEST

START_TEST(a_link_leads_to_its_file_and_that_file_is_judged)
{
    const char *link = folder_entry(&folder, "link");
    struct text text = {0};
    struct error error = {{0}};

    ck_assert_int_eq(symlink(folder_write(&folder, "target", SPAN("x"), 0604), link), 0);
    assert_refused(link, FILE_PRIVATE, "0604");
    ck_assert_msg(file_read(link, FILE_PUBLIC, &text, &error), "%s", error.text);
    ck_assert_str_eq(text.bytes, "x");
    text_fini(&text);
}
END_TEST

enum owner { SELF, ROOT, STRANGER };

/* INTERFACES: 0600 or stricter if owned by the running user, at most 0640 if by root. */
static const struct {
    mode_t mode;
    enum owner owner;
    bool is_fine;
} privacies[] = {
    {0600, SELF, true},      {0400, SELF, true},      {0640, SELF, false},
    {0440, SELF, false},     {0604, SELF, false},     {0644, SELF, false},
    {0620, SELF, false},     {0610, SELF, false},     {0601, SELF, false},
    {0660, SELF, false},     {0666, SELF, false},     {0777, SELF, false},
    {0600, ROOT, true},      {0400, ROOT, true},      {0640, ROOT, true},
    {0440, ROOT, true},      {0660, ROOT, false},     {0644, ROOT, false},
    {0604, ROOT, false},     {0602, ROOT, false},     {0641, ROOT, false},
    {0666, ROOT, false},     {0600, STRANGER, false}, {0400, STRANGER, false},
    {0640, STRANGER, false},
};

enum { USER = 54322 }; /* whom root becomes, to be nobody special */

/*
 * Gives the file to its owner and becomes an ordinary user, where the test is run by
 * root; others can only own their own files. False: this owner cannot be had. The group
 * of a file of root's is the user's, or nobody but root could read it.
 */
static bool set_owner(const char *path, enum owner owner, mode_t mode)
{
    static const uid_t uids[] = {[SELF] = USER, [ROOT] = 0, [STRANGER] = FOLDER_STRANGER};

    if (geteuid() != 0)
        return owner == SELF;
    ck_assert_int_eq(chown(path, uids[owner], USER), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
    ck_assert_int_eq(chmod(folder.path, 0755), 0);
    ck_assert_int_eq(setegid(USER), 0);
    ck_assert_int_eq(seteuid(USER), 0);
    return true;
}

static void restore_user(void)
{
    if (getuid() == 0) {
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(setegid(getgid()), 0);
    }
}

START_TEST(privacy_is_owner_and_mode)
{
    mode_t mode = privacies[_i].mode;
    const char *path = folder_write(&folder, "key", SPAN("k"), mode);
    struct text text = {0};
    struct error error = {{0}}, again = {{0}};
    char buffer[4];
    size_t len = 0;
    bool can_be_read, is_read, is_read_again;

    if (!set_owner(path, privacies[_i].owner, mode))
        return;
    can_be_read = access(path, F_OK) == 0;
    is_read = file_read(path, FILE_PRIVATE, &text, &error);
    is_read_again = file_read_private(path, buffer, sizeof(buffer), &len, &again);
    restore_user();
    ck_assert(can_be_read);
    /* A file of root's that nobody else may open is private indeed. */
    if (privacies[_i].owner == ROOT && geteuid() == 0 && (mode & 040) == 0 && !is_read)
        ck_assert_ptr_nonnull(strstr(error.text, "Permission denied"));
    else
        ck_assert_msg(is_read == privacies[_i].is_fine, "%04o: %s", mode, error.text);
    ck_assert_int_eq(is_read_again, is_read);
    ck_assert(is_read || strstr(error.text, path) != NULL);
    text_fini(&text);
}
END_TEST

START_TEST(roots_own_files_may_be_readable_by_their_group)
{
    const char *path = folder_write(&folder, "key", SPAN("k"), 0640);
    struct text text = {0};
    struct error error = {{0}};

    if (geteuid() == 0)
        ck_assert_msg(file_read(path, FILE_PRIVATE, &text, &error), "%s", error.text);
    text_fini(&text);
}
END_TEST

START_TEST(a_private_file_fills_at_most_the_buffer)
{
    const char *path = folder_write(&folder, "key", SPAN("12345"), 0600);
    struct error error = {{0}};
    char *buffer = malloc(5);
    size_t len = 777;

    ck_assert_msg(file_read_private(path, buffer, 5, &len, &error), "%s", error.text);
    assert_span_is(span_make(buffer, len), SPAN("12345"), "the content");
    ck_assert(!file_read_private(path, buffer, 4, &len, &error));
    ck_assert_ptr_nonnull(strstr(error.text, path));
    ck_assert(!file_read_private(folder_entry(&folder, "no"), buffer, 5, &len, &error));
    free(buffer);
}
END_TEST

static void assert_content(const char *path, struct span content)
{
    struct text text = {0};
    struct error error = {{0}};

    ck_assert_msg(file_read(path, FILE_PRIVATE, &text, &error), "%s", error.text);
    assert_span_is(span_make(text.bytes, text.len), content, "the file");
    text_fini(&text);
}

static unsigned count_entries(void)
{
    DIR *entries = opendir(folder.path);
    const struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(entries);
    while ((entry = readdir(entries)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    ck_assert_int_eq(closedir(entries), 0);
    return count;
}

START_TEST(a_replaced_file_is_private_and_leaves_nothing_beside_it)
{
    const char *path = folder_entry(&folder, "file");
    struct error error = {{0}};
    mode_t before = umask(0);
    struct stat status;

    ck_assert_msg(file_replace_private(path, SPAN("one"), &error), "%s", error.text);
    assert_content(path, SPAN("one"));
    ck_assert_int_eq(chmod(path, 0666), 0);
    ck_assert_msg(file_replace_private(path, SPAN("two\0"), &error), "%s", error.text);
    (void)umask(before);
    assert_content(path, SPAN("two\0"));
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    ck_assert_uint_eq(count_entries(), 1);
}
END_TEST

/* Who has the old file open still reads the old content, to its end. */
START_TEST(readers_see_the_old_content_or_the_new)
{
    const char *path = folder_write(&folder, "file", SPAN("old content"), 0600);
    struct error error = {{0}};
    char buffer[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_msg(file_replace_private(path, SPAN("new"), &error), "%s", error.text);
    ck_assert_int_eq(read(fd, buffer, sizeof(buffer)), 11);
    ck_assert_int_eq(memcmp(buffer, "old content", 11), 0);
    ck_assert_int_eq(close(fd), 0);
    assert_content(path, SPAN("new"));
}
END_TEST

START_TEST(a_replaced_file_keeps_its_owner)
{
    const char *path = folder_write(&folder, "file", SPAN("old"), 0600);
    struct error error = {{0}};
    struct stat status;

    if (geteuid() != 0)
        return; /* nobody else may give files away */
    ck_assert_int_eq(chown(path, FOLDER_STRANGER, USER), 0);
    ck_assert_msg(file_replace_private(path, SPAN("new"), &error), "%s", error.text);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_uid, FOLDER_STRANGER);
    ck_assert_uint_eq(status.st_gid, USER);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
}
END_TEST

START_TEST(a_file_that_cannot_be_replaced_stays_and_nothing_is_left)
{
    const char *taken = folder_entry(&folder, "folder");
    struct error error = {{0}};
    struct stat status;

    ck_assert_int_eq(mkdir(taken, 0700), 0);
    ck_assert(!file_replace_private(taken, SPAN("x"), &error));
    ck_assert_ptr_nonnull(strstr(error.text, taken));
    ck_assert_int_eq(stat(taken, &status), 0);
    ck_assert(S_ISDIR(status.st_mode));
    ck_assert_uint_eq(count_entries(), 1);
    ck_assert(!file_replace_private(folder_entry(&folder, "no/such"), SPAN("x"), &error));
    ck_assert_ptr_nonnull(strstr(error.text, "No such file"));
}
END_TEST

START_TEST(a_name_that_is_too_long_is_an_error)
{
    char *name = malloc(6000);
    struct error error = {{0}};

    memset(name, 'n', 5999);
    name[5999] = '\0';
    ck_assert(!file_replace_private(name, SPAN("x"), &error));
    ck_assert_uint_gt(strlen(error.text), 0);
    free(name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/file");
    TCase *reading = suite_case(suite, "reading");
    TCase *privacy = suite_case(suite, "privacy");
    TCase *replacing = suite_case(suite, "replacing");
    TCase *cases[] = {reading, privacy, replacing};

    for (int i = 0; i < ROWS(cases); i++)
        tcase_add_checked_fixture(cases[i], make_folder, remove_folder);
    tcase_add_loop_test(reading, a_file_is_read_whole_and_appended, 0, ROWS(lengths));
    tcase_add_test(reading, what_is_no_regular_file_is_refused);
    tcase_add_test(reading, a_pipe_is_refused_without_waiting_for_its_writer);
    tcase_add_test(reading, a_file_larger_than_the_limit_is_refused);
    tcase_add_test(reading, a_link_leads_to_its_file_and_that_file_is_judged);
    tcase_add_loop_test(privacy, privacy_is_owner_and_mode, 0, ROWS(privacies));
    tcase_add_test(privacy, roots_own_files_may_be_readable_by_their_group);
    tcase_add_test(privacy, a_private_file_fills_at_most_the_buffer);
    tcase_add_test(replacing, a_replaced_file_is_private_and_leaves_nothing_beside_it);
    tcase_add_test(replacing, readers_see_the_old_content_or_the_new);
    tcase_add_test(replacing, a_replaced_file_keeps_its_owner);
    tcase_add_test(replacing, a_file_that_cannot_be_replaced_stays_and_nothing_is_left);
    tcase_add_test(replacing, a_name_that_is_too_long_is_an_error);
    return run_suite_in_folder(suite);
}
