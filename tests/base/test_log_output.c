/*
 * The log's thread, in a process of its own for each test: standard error is what the
 * test wants it to be.
 */
#include "base/log_output.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "support/folder.h"

enum { FLOOD = 120000 }; /* lines of 86 bytes: more than queue, thread and pipe take */

struct child {
    pid_t pid;
    int out; /* what it writes to standard error; -1: it goes elsewhere */
    struct text read;
};

/* Runs body in a child whose standard error is fd, or a pipe that we have not read yet.
 */
static void start(struct child *child, void (*body)(void), int fd)
{
    int ends[2] = {-1, -1};

    *child = (struct child){.out = -1};
    if (fd < 0)
        ck_assert_int_eq(pipe(ends), 0);
    child->pid = fork();
    ck_assert_int_ge(child->pid, 0);
    if (child->pid == 0) {
        (void)alarm(100);
        (void)dup2(fd >= 0 ? fd : ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        body();
        _exit(0);
    }
    (void)close(fd >= 0 ? fd : ends[1]);
    child->out = ends[0];
}

static void read_to_end(struct child *child)
{
    char bytes[65536];
    ssize_t len;

    while ((len = read(child->out, bytes, sizeof(bytes))) > 0)
        text_add(&child->read, span_make(bytes, (size_t)len));
    (void)close(child->out);
    text_add_byte(&child->read, '\0');
}

static void finish(struct child *child)
{
    int status;

    ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x: %s", status,
                  child->read.bytes != NULL ? child->read.bytes : "");
    text_fini(&child->read);
}

/* In the child: its own assertions, which Check would not see. */
#define CHILD_ASSERT(what)                                                               \
    do {                                                                                 \
        if (!(what))                                                                     \
            _exit(1);                                                                    \
    } while (0)

static void start_log(void)
{
    struct error error;

    CHILD_ASSERT(log_start(&error));
}

/* How often the text stands in what was read. */
static unsigned count(const char *text, const char *part)
{
    const char *end = text + strlen(text);
    unsigned found = 0;

    while ((text = memmem(text, (size_t)(end - text), part, strlen(part))) != NULL) {
        text++;
        found++;
    }
    return found;
}

/* Every line is one of ours, from its start to its end. */
static void assert_whole_lines(const char *text)
{
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');

        ck_assert_msg(end != NULL && line[4] == '-' && line[23] == 'Z', "%.100s", line);
        ck_assert_msg(memmem(line + 4, (size_t)(end - line) - 4, "T", 1) == line + 10,
                      "%.100s", line);
        line = end + 1;
    }
}

/* Flowing */

static void log_some(void)
{
    log_info("before the thread");
    start_log();
    for (int i = 0; i < 3; i++)
        log_info("line %d", i);
    log_stop();
    log_info("after the thread");
}

START_TEST(what_is_logged_before_with_and_after_the_thread_comes_in_order)
{
    static const char *const wanted[] = {"before", "line 0", "line 1", "line 2", "after"};
    struct child child;
    const char *at;

    start(&child, log_some, -1);
    read_to_end(&child);
    at = child.read.bytes;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        at = strstr(at, wanted[i]);
        ck_assert_msg(at != NULL, "%s: %s", wanted[i], child.read.bytes);
    }
    ck_assert_uint_eq(count(child.read.bytes, "\n"), 5);
    finish(&child);
}
END_TEST

static void log_non_blocking(void)
{
    CHILD_ASSERT(fcntl(STDERR_FILENO, F_SETFL, O_WRONLY | O_NONBLOCK) == 0);
    start_log();
    for (int i = 0; i < 5000; i++)
        log_info("one of many lines, which are more than a pipe can hold at once");
    log_stop();
}

START_TEST(nothing_is_lost_where_somebody_made_standard_error_non_blocking)
{
    struct child child;

    start(&child, log_non_blocking, -1);
    read_to_end(&child);
    assert_whole_lines(child.read.bytes);
    ck_assert_uint_eq(count(child.read.bytes, "one of many"), 5000);
    finish(&child);
}
END_TEST

/* Stuck */

static int go_ahead[2]; /* the child tells that it has logged it all */

static void flood(void)
{
    start_log();
    for (int i = 0; i < FLOOD; i++)
        log_info("a line of a flood that nobody reads, number %010d", i);
    log_error("an error in the flood");
    CHILD_ASSERT(write(go_ahead[1], "x", 1) == 1);
    CHILD_ASSERT(read(go_ahead[0], &(char){0}, 1) >= 0);
    log_stop();
}

START_TEST(a_pipe_that_nobody_reads_holds_nobody_up_and_what_was_dropped_is_told)
{
    struct child child;
    unsigned long long told = 0;
    const char *notice;
    int from_child[2], to_child[2];

    ck_assert(pipe(from_child) == 0 && pipe(to_child) == 0);
    go_ahead[0] = to_child[0];
    go_ahead[1] = from_child[1];
    start(&child, flood, -1);
    ck_assert_int_eq(read(from_child[0], &(char){0}, 1),
                     1); /* and nothing was read yet */
    ck_assert_int_eq(write(to_child[1], "x", 1), 1);
    read_to_end(&child);
    assert_whole_lines(child.read.bytes);
    notice = strstr(child.read.bytes, "warn  log: ");
    ck_assert_msg(notice != NULL, "no word of what was dropped");
    told = strtoull(notice + strlen("warn  log: "), NULL, 10);
    ck_assert_uint_gt(told, 0);
    ck_assert_uint_eq(told + count(child.read.bytes, "a line of a flood"), FLOOD);
    ck_assert_uint_eq(count(child.read.bytes, "error an error in the flood"), 1);
    ck_assert_uint_eq(count(child.read.bytes, " lines were dropped"), 1);
    finish(&child);
    for (int i = 0; i < 2; i++) {
        (void)close(from_child[i]);
        (void)close(to_child[i]);
    }
}
END_TEST

static void flood_and_leave(void)
{
    start_log();
    for (int i = 0; i < FLOOD; i++)
        log_info("a line of a flood that nobody reads, number %010d", i);
    log_stop();
    log_error("and this would hang");
}

START_TEST(a_thread_that_hangs_does_not_hold_up_the_end)
{
    struct child child;

    start(&child, flood_and_leave, -1);
    finish(&child); /* before anything was read */
    (void)close(child.out);
}
END_TEST

/* Failing */

static struct folder folder;
static const char *log_path, *old_path;

static void use(const char *path)
{
    struct error error;
    int fd;

    CHILD_ASSERT(log_open(path, &fd, &error));
    log_switch(fd);
}

static void log_to_full_disk(void)
{
    start_log();
    for (int i = 0; i < 10; i++)
        log_info("to nowhere");
    log_stop();
}

START_TEST(a_full_disk_holds_nobody_up)
{
    struct child child;

    start(&child, log_to_full_disk, open("/dev/full", O_WRONLY));
    finish(&child);
}
END_TEST

static void wait_for_size(const char *path, off_t size)
{
    struct stat status = {0};

    while (stat(path, &status) != 0 || status.st_size < size)
        (void)usleep(1000);
}

/* A disk that is full behind 1,000 bytes; then there is room again. */
static void log_to_small_disk(void)
{
    struct rlimit limit;

    CHILD_ASSERT(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    use(log_path);
    limit.rlim_cur = 1000;
    CHILD_ASSERT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    start_log();
    for (int i = 0; i < 100; i++)
        log_info("a line that is written, or half, or not at all");
    wait_for_size(log_path, 1000);
    for (int tries = 0; tries < 100; tries++) { /* the thread may still be at the rest */
        log_info("in vain");
        (void)usleep(2000);
    }
    limit.rlim_cur = limit.rlim_max;
    CHILD_ASSERT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    log_info("there is room again");
    log_stop();
}

static void read_file(const char *path, struct text *content)
{
    struct error error;

    text_clear(content);
    ck_assert_msg(file_read(path, FILE_PUBLIC, content, &error), "%s", error.text);
    text_add_byte(content, '\0');
}

START_TEST(a_line_that_was_cut_by_a_full_disk_is_ended_and_what_is_missing_is_told)
{
    struct child child;
    struct text content = {0};
    const char *told, *next;

    start(&child, log_to_small_disk, open("/dev/null", O_WRONLY));
    finish(&child);
    read_file(log_path, &content);
    next = strstr(content.bytes, "there is room again");
    ck_assert_msg(next != NULL && content.bytes[1000] == '\n', "%s", content.bytes);
    ck_assert_int_eq(next[-strlen("2026-11-23T17:04:05.123Z info  ") - 1], '\n');
    told = strstr(content.bytes, "warn  log: ");
    ck_assert_msg(told != NULL && strstr(told, "not be written: File too large") != NULL,
                  "%s", content.bytes);
    ck_assert_uint_eq(strtoull(told + strlen("warn  log: "), NULL, 10) +
                          count(content.bytes, "not at all\n") +
                          count(content.bytes, "in vain\n"),
                      200);
    text_fini(&content);
}
END_TEST

/* Files */

static void log_and_rotate(void)
{
    use(log_path);
    start_log();
    log_info("in the old file");
    wait_for_size(log_path, 10);
    CHILD_ASSERT(rename(log_path, old_path) == 0);
    log_info("in the old file still");
    wait_for_size(old_path, 80);
    use(log_path);
    use(log_path); /* in a hurry */
    log_info("in the new file");
    wait_for_size(log_path, 10);
    use(NULL);
    log_info("on standard error");
    log_stop();
}

START_TEST(a_file_is_appended_to_and_reopened_by_name)
{
    struct child child;
    struct text content = {0};
    struct stat status;

    (void)umask(022);
    start(&child, log_and_rotate, -1);
    read_to_end(&child);
    ck_assert_uint_eq(count(child.read.bytes, "\n"), 1);
    ck_assert_ptr_nonnull(strstr(child.read.bytes, "on standard error"));
    finish(&child);
    read_file(old_path, &content);
    ck_assert_uint_eq(count(content.bytes, "in the old file"), 2);
    ck_assert_uint_eq(count(content.bytes, "\n"), 2);
    read_file(log_path, &content);
    ck_assert_uint_eq(count(content.bytes, "in the new file"), 1);
    ck_assert_uint_eq(count(content.bytes, "\n"), 1);
    ck_assert_int_eq(stat(log_path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0640);
    text_fini(&content);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_named)
{
    const char *path = folder_entry(&folder, "missing/psgate.log");
    struct error error;
    int fd = 7;

    ck_assert(!log_open(path, &fd, &error));
    ck_assert_int_eq(fd, -1);
    ck_assert_ptr_nonnull(strstr(error.text, path));
    ck_assert_ptr_nonnull(strstr(error.text, "No such file"));
    ck_assert(!log_open(folder.path, &fd, &error));
}
END_TEST

START_TEST(a_named_pipe_without_a_reader_is_refused_instead_of_waited_for)
{
    const char *path = folder_entry(&folder, "pipe");
    struct error error;
    int fd;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert(!log_open(path, &fd, &error));
}
END_TEST

static void set_up(void)
{
    folder_make(&folder);
    log_path = folder_entry(&folder, "psgate.log");
    old_path = folder_entry(&folder, "psgate.log.1");
}

static void tear_down(void)
{
    folder_remove(&folder);
}

int main(void)
{
    Suite *suite = suite_create("base/log_output");
    TCase *thread = suite_case(suite, "thread");
    TCase *files = suite_case(suite, "files");

    tcase_add_test(thread,
                   what_is_logged_before_with_and_after_the_thread_comes_in_order);
    tcase_add_test(thread,
                   nothing_is_lost_where_somebody_made_standard_error_non_blocking);
    tcase_add_test(thread,
                   a_pipe_that_nobody_reads_holds_nobody_up_and_what_was_dropped_is_told);
    tcase_add_test(thread, a_thread_that_hangs_does_not_hold_up_the_end);
    tcase_add_test(thread, a_full_disk_holds_nobody_up);
    tcase_add_checked_fixture(files, set_up, tear_down);
    tcase_add_test(
        files, a_line_that_was_cut_by_a_full_disk_is_ended_and_what_is_missing_is_told);
    tcase_add_test(files, a_file_is_appended_to_and_reopened_by_name);
    tcase_add_test(files, a_file_that_cannot_be_opened_is_named);
    tcase_add_test(files, a_named_pipe_without_a_reader_is_refused_instead_of_waited_for);
    return run_suite(suite);
}
